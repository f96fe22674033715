"""A receiver on loopback: a real HTTP server that keeps what it is sent and answers as a test wants it, rudely too."""

import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SAFETY = 60  # seconds: no thread of a test outlives it


@dataclass(frozen=True)
class Request:
    """What was posted, header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Serves while entered; `behave` does what it likes with each connection, and a client may hang up at any time.

    With `tls`, a file as `certificate` makes it, it speaks https. `sent` counts the bytes that clients were sent, and
    `hung_up` has the reasons why they were sent no more.
    """

    def __init__(self, behave: "Behaviour", tls: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.connections, self.sent = 0, 0
        self.hung_up: list[str] = []
        self.ending = threading.Event()
        self._behave, self._tls = behave, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._threads = [threading.Thread(target=self._listen)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._wake.close()
        for thread in self._threads:
            thread.join()
        self._woken.close()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def take(self, connection: socket.socket) -> Request:
        """Read one request and keep it."""
        with connection.makefile("rb") as incoming:
            line = incoming.readline().decode("latin-1").rstrip("\r\n")
            headers: dict[str, str] = {}
            while (header := incoming.readline().decode("latin-1").rstrip("\r\n")) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            request = Request(line, headers, incoming.read(int(headers.get("content-length", 0))))
        self.requests.append(request)
        return request

    def say(self, connection: socket.socket, words: bytes) -> None:
        connection.sendall(words)
        self.sent += len(words)

    def _listen(self) -> None:
        while self._woken not in select.select([self._listener, self._woken], [], [])[0]:
            connection, _ = self._listener.accept()
            connection.settimeout(SAFETY)
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, self._channel(connection) as channel:
                self._behave(self, channel)
        except OSError as hung_up:
            self.hung_up.append(str(hung_up))

    def _channel(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls)
        return context.wrap_socket(connection, server_side=True)


Behaviour = Callable[[Receiver, socket.socket], None]


# ---------------------------------------------------------------- manners


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer's bytes; `Retry_After="5"` is the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": str(len(body))}
    return (
        f"HTTP/1.1 {status} So\r\n" + "".join(f"{name}: {named[name]}\r\n" for name in named) + "\r\n"
    ).encode() + body


def answering(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Take the request, and answer it."""
    return saying(reply(status, body, **headers))


def saying(words: bytes) -> Behaviour:
    """Take the request, and say these bytes, be they HTTP or not."""

    def behave(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        here.say(connection, words)

    return behave


def dripping(words: bytes, *, at_once: int = 0, every: float = 0.1) -> Behaviour:
    """Take the request, say the first bytes at once and each of the others only after a while."""

    def behave(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        here.say(connection, words[:at_once])
        drip(here, connection, words[at_once:], every)

    return behave


def drip(here: Receiver, connection: socket.socket, words: bytes, every: float = 0.1) -> None:
    for byte in words:
        if here.ending.wait(every):
            return
        here.say(connection, bytes([byte]))


def flooding(head: bytes, piece: bytes, total: int) -> Behaviour:
    """Take the request, and pour out `total` bytes."""

    def behave(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        here.say(connection, head)
        for _ in range(total // len(piece)):
            here.say(connection, piece)

    return behave


def silent(here: Receiver, connection: socket.socket) -> None:
    """Take the request, and never answer."""
    here.take(connection)
    with suppress(OSError):
        connection.recv(1)


def deaf(here: Receiver, connection: socket.socket) -> None:
    """Take nothing, not even the request."""
    here.ending.wait(SAFETY)


# ---------------------------------------------------------------- names and certificates


class Names:
    """A name server in miniature: each question is given the next answer, and those after the last one the last."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.questions = answers, list[str]()

    def __call__(self, host: str, port: int, family: int, kind: int) -> list[Any]:
        self.questions.append(host)
        addresses = self.answers[min(len(self.questions), len(self.answers)) - 1]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


def certificate(folder: Path, name: str) -> Path:
    """A file with a key and a certificate for `name` and 127.0.0.1 that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path
