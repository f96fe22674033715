"""Outgoing: one HTTP POST to a URL that somebody typed, which can neither look into our network nor hold us up."""

import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from booking.delivery.failures import Refused, TryLater

AT_MOST = 64 * 1024  # bytes of an answer's body that are read
AT_ONCE = 16 * 1024  # bytes of a request
TRIES = 4  # addresses of one host
PORTS = {"http": 80, "https": 443}

URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")

GLOBAL_UNICAST = ip_network("2000::/3")
NAT64 = ip_network("64:ff9b::/96")
# Not of the open internet, though Python 3.11 calls them global.
NEVER = (
    ip_network("192.0.0.0/24"),  # in Oracle's cloud, the metadata of the machine
    ip_network("168.63.129.16/32"),  # in Azure, the host below the machine
    ip_network("192.88.99.0/24"),
    ip_network("3fff::/20"),
)

Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
Resolver = Callable[[str, int, int, int], Sequence[Found]]

WORDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "the other side did not answer in time"),
    (ssl.SSLError, "TLS could not be agreed on with the other side"),
    (socket.gaierror, "the name of the host was not found"),
    (ConnectionRefusedError, "the other side refuses connections"),
    (ConnectionError, "the other side closed the connection without an answer"),
    (OSError, "no connection could be made"),
    (HTTPException, "what the other side answered is not HTTP"),
)


@dataclass(frozen=True)
class Answer:
    """What came back: header names in lower case, and as much of the body as came in time, 64 KB of it at most."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Target:
    """A URL taken apart; `path` has the query with it, and `authority` is for the Host header."""

    tls: bool
    host: str
    port: int
    authority: str
    path: str


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    guard: bool = True,
    seconds: float = 15.0,
    ca: Path | None = None,
    resolve: Resolver = socket.getaddrinfo,
) -> Answer:
    """Post `body` and return whatever the other side answers; redirects are not followed, proxies are not asked.

    All of it, from the host's name to the last byte of the answer, takes `seconds` at most; an answer whose status
    came in time stands, even if its body did not. With `guard` the URL must be https and every address of its host a
    public one; without it (development, tests) anything may be reached. `ca` is a file of certificates to trust
    instead of the system's. Raises TryLater when nothing comes back, Refused for a URL that must not be called, and
    ValueError for headers that would break a request in two.
    """
    try:
        to = target(url, guard=guard)
    except ValueError as wrong:
        raise Refused(str(wrong)) from None
    request = _head(to, len(body), headers) + body
    try:
        return _exchange(to, request, _Deadline(seconds), guard=guard, ca=ca, resolve=resolve)
    except (OSError, HTTPException) as failure:
        # Without its cause: the text of an HTTPException quotes what the other side sent, perhaps our own words.
        raise TryLater(_reason(failure)) from None


def target(url: str, *, guard: bool) -> Target:
    """Take a URL apart; raises ValueError, in words for the person who typed it, for one that must not be called.

    Nothing is resolved here: a name that leads into a private network is found out by `post`.
    """
    parts, port = _split(url)
    if parts.scheme != "https" and (guard or parts.scheme != "http"):
        raise ValueError("the URL must begin with https://")
    if "@" in parts.netloc:
        raise ValueError("the URL must not hold a user name or a password")
    host = parts.hostname or ""
    _check_host(host, guard=guard)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return Target(parts.scheme == "https", host, port or PORTS[parts.scheme], authority, path)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the open internet, and so is the IPv4 address that it may carry inside."""
    if (carried := _carried(address)) is not None:
        return is_public(carried)
    if not address.is_global or address.is_multicast or any(address in network for network in NEVER):
        return False
    return address.version == 4 or address in GLOBAL_UNICAST


def _split(url: str) -> tuple[SplitResult, int | None]:
    # First of all, for urlsplit silently drops line ends, and a browser's idea of a backslash is not Python's.
    if not URL_CHARACTERS.fullmatch(url):
        raise ValueError("the URL is empty, has a #fragment, or holds a character that must be written as %xx or xn--")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text may quote a password
        raise ValueError("the URL cannot be read: its host or its port is not one") from None
    return parts, port


def _check_host(host: str, *, guard: bool) -> None:
    address = _literal(host)
    # 127.1, 0x7f000001 and 017700000001 are addresses to the C library, though to nobody who means well
    if address is None and (NUMBER.fullmatch(host.rpartition(".")[2]) or not HOST_NAME.fullmatch(host)):
        raise ValueError("the URL names no host: write a name such as example.com, or an address such as 192.0.2.1")
    if guard and (host == "localhost" or host.endswith(".localhost")):
        raise ValueError("the URL leads to this machine itself")
    if guard and address is not None and not is_public(address):
        raise ValueError(f"the URL leads to {address}, which is not a public address")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        return ip_address(host) if "%" not in host else None
    return None


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which a gateway would pass on what is sent to this one."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class _Deadline:
    """The moment at which all patience ends."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, never zero; raises TimeoutError when none are."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Hearing(io.RawIOBase):
    """What comes in on a connection until the deadline: a time-out of its own for each byte would never end."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Itself, as http.client asks a socket for it."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


def _head(to: Target, length: int, headers: Mapping[str, str]) -> bytes:
    own = {"Host": to.authority, "User-Agent": "booking", "Content-Length": str(length), "Connection": "close"}
    lines = [f"POST {to.path} HTTP/1.1"]
    for name, value in {**own, **headers}.items():
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} holds more than one line of ASCII")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _exchange(
    to: Target, request: bytes, deadline: _Deadline, *, guard: bool, ca: Path | None, resolve: Resolver
) -> Answer:
    found = _resolved(to, resolve, deadline)
    if guard:
        _require_public(found)
    with _channel(to, found, ca, deadline) as connection:
        _send(connection, memoryview(request), deadline)
        return _answer(connection, deadline)


def _resolved(to: Target, resolve: Resolver, deadline: _Deadline) -> Sequence[Found]:
    """The addresses of the host, asked for in a thread: getaddrinfo cannot be interrupted, but it can be left behind.

    A thread that was left behind ends when the C library gives up, half a minute later as a rule.
    """
    addresses: Future[Sequence[Found]] = Future()

    def ask() -> None:
        try:
            addresses.set_result(resolve(to.host, to.port, 0, socket.SOCK_STREAM))
        except OSError as failure:
            addresses.set_exception(failure)

    threading.Thread(target=ask, name="resolving", daemon=True).start()
    return addresses.result(timeout=deadline.left())


def _require_public(found: Sequence[Found]) -> None:
    for *_, place in found:
        if not is_public(ip_address(place[0])):
            raise Refused(f"the host of the URL leads to {place[0]}, which is not a public address")


@contextmanager
def _channel(to: Target, found: Sequence[Found], ca: Path | None, deadline: _Deadline) -> Iterator[socket.socket]:
    """A connection to one of the addresses found; over TLS, to nobody but the host that the URL names."""
    with _connected(found[:TRIES], deadline) as plain:
        if not to.tls:
            yield plain
            return
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["http/1.1"])
        with context.wrap_socket(plain, server_hostname=to.host, do_handshake_on_connect=False) as secured:
            secured.settimeout(deadline.left())
            secured.do_handshake()
            yield secured


def _connected(found: Sequence[Found], deadline: _Deadline) -> socket.socket:
    last: OSError = socket.gaierror()
    for position, (family, kind, protocol, _, place) in enumerate(found):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(deadline.left() / (len(found) - position))
            connection.connect(place)
        except OSError as failure:
            connection.close()
            last = failure
        else:
            return connection
    raise last


def _send(connection: socket.socket, rest: memoryview, deadline: _Deadline) -> None:
    while rest:
        connection.settimeout(deadline.left())
        rest = rest[connection.send(rest[:AT_ONCE]) :]


def _answer(connection: socket.socket, deadline: _Deadline) -> Answer:
    response = HTTPResponse(_Hearing(connection, deadline))  # type: ignore[arg-type]  # all it wants is makefile
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, _body(response))


def _body(response: HTTPResponse) -> bytes:
    body = b""
    with suppress(OSError, HTTPException):  # the status was told: what was taken must not be sent again for its body
        while len(body) < AT_MOST and (more := response.read1(AT_MOST - len(body))):
            body += more
    return body[:AT_MOST]


def _reason(failure: Exception) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"the TLS certificate of the other side is not to be trusted: {failure.verify_message}"
    return next(words for kind, words in WORDS if isinstance(failure, kind))
