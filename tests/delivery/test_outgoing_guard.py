"""The guard of what goes out: whatever is typed, and whatever a name server says, nothing reaches our own network."""

import http.client
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.delivery import outgoing
from booking.delivery.failures import Refused, TryLater
from tests.delivery.receiver import Names, Receiver, answering, certificate

BODY = b"canary-of-a-health-text"
PUBLIC = "93.184.216.34"

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104  which Linux takes for itself
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # the metadata of most clouds
    "100.64.0.1",
    "100.100.100.200",  # and of Alibaba's
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001::7f00:1",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
]
OPEN = [PUBLIC, "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
DISGUISED = ["2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "017700000001", "0177.0.0.1", "127.0.1", "0x7f.1"]


class Wires:
    """Every connection that is made, by the address asked for; all of them end at one place of ours, as behind a NAT.

    The operating system's connect is what is replaced, for no test may reach into the open internet.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached: list[str] = []
        self.end: Any = None
        connect = socket.socket.connect

        def connected(connection: socket.socket, place: Any) -> None:
            self.reached.append(place[0])
            if self.end is None:
                raise ConnectionRefusedError
            connect(connection, self.end)

        monkeypatch.setattr(socket.socket, "connect", connected)


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    return Wires(monkeypatch)


def post(url: str, *addresses: str) -> outgoing.Answer:
    return outgoing.post(url, BODY, {}, seconds=30, resolve=Names(addresses))


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_into_a_private_network_is_refused(wires: Wires, address: str) -> None:
    with pytest.raises(Refused, match="not a public address"):
        post("https://receiver.test/", address)
    assert wires.reached == []


@pytest.mark.parametrize("address", ["fe80::1%lo", "fe80::1%1"])
def test_an_address_of_one_link_is_refused(wires: Wires, address: str) -> None:
    with pytest.raises(Refused, match="not a public address"):
        post("https://receiver.test/", address)
    assert wires.reached == []


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_in_the_url_itself_is_refused_before_anything_is_asked(wires: Wires, address: str) -> None:
    names = Names([PUBLIC])
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Refused, match="not a public address"):
        outgoing.post(f"https://{host}/", BODY, {}, resolve=names)
    assert (names.questions, wires.reached) == ([], [])


@pytest.mark.parametrize("address", OPEN)
def test_a_public_address_may_be_reached(wires: Wires, address: str) -> None:
    with pytest.raises(TryLater, match="refuses connections"):
        post("https://receiver.test/", address)
    assert wires.reached == [address]


@pytest.mark.parametrize("addresses", [(PUBLIC, "10.0.0.1"), ("10.0.0.1", PUBLIC), (PUBLIC,) * 6 + ("::1",)])
def test_a_name_with_a_public_and_a_private_address_is_refused(wires: Wires, addresses: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="not a public address"):
        post("https://receiver.test/", *addresses)
    assert wires.reached == []


@given(inner=st.ip_addresses(v=4))
def test_an_address_within_an_address_is_judged_like_the_one_inside(inner: Any) -> None:
    public = outgoing.is_public(inner)
    for prefix, behind in (("::ffff:0:0", 0), ("64:ff9b::", 0), ("2002::", 80)):
        assert outgoing.is_public(ip_address(int(ip_address(prefix)) | int(inner) << behind)) is public


@pytest.mark.parametrize("host", DISGUISED)
def test_a_number_in_disguise_is_refused_with_the_guard_or_without(wires: Wires, host: str) -> None:
    (*_, place), *_ = socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)
    assert place[0] == "127.0.0.1"  # that is where it leads
    for guard in (True, False):
        with pytest.raises(Refused, match="names no host"):
            outgoing.post(f"https://{host}/", BODY, {}, guard=guard)
    assert wires.reached == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "localhost.", "127.0.0.1."])
def test_this_machine_is_refused_by_any_of_its_names(wires: Wires, host: str) -> None:
    with pytest.raises(Refused):
        outgoing.post(f"https://{host}/", BODY, {})
    assert wires.reached == []


# ---------------------------------------------------------------- a name server that lies


def test_a_name_is_asked_for_once_and_the_address_that_was_checked_is_the_one_reached(
    wires: Wires, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", names)  # nobody can ask elsewhere
    trusted = certificate(tmp_path, "receiver.test")
    with Receiver(answering(200), tls=trusted) as receiver:
        wires.end = ("127.0.0.1", receiver.port)
        answer = outgoing.post("https://receiver.test/", BODY, {}, ca=trusted, seconds=30, resolve=names)
    assert answer.status == 200
    assert receiver.requests[0].body == BODY
    assert names.questions == ["receiver.test"]
    assert wires.reached == [PUBLIC]


def test_twin_a_client_that_checks_and_then_connects_by_name_is_led_into_the_private_network(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", names)
    (*_, place), *_ = names("receiver.test", 80, 0, socket.SOCK_STREAM)
    assert outgoing.is_public(ip_address(place[0]))
    with Receiver(answering(200)) as receiver:
        wires.end = ("127.0.0.1", receiver.port)
        connection = http.client.HTTPConnection("receiver.test", timeout=30)
        connection.request("POST", "/", BODY)
        connection.close()
    assert wires.reached == ["127.0.0.1"]


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "empty"),
        ("receiver.test/hook", "https://"),
        ("http://receiver.test/", "https://"),
        ("ftp://receiver.test/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "names no host"),
        ("https:///hook", "names no host"),
        ("https://ada:secret@receiver.test/", "password"),
        ("https://receiver.test@127.0.0.1/", "password"),
        ("https://ada:secret", "cannot be read"),
        ("https://receiver.test:99999/", "cannot be read"),
        ("https://receiver.test:port/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://[fe80::1%25lo]/", "."),
        ("https://receiver.test/#part", "fragment"),
        ("https://receiver.test\\@127.0.0.1/", "character"),
        ("https://receiver.test/ HTTP/1.1\r\nX-Injected: 1\r\n\r\n", "character"),
        ("https://receiver.test/\r\nX-Injected: 1", "character"),
        ("https://receiver.test\r\n.evil.test/", "character"),
        ("https://receiver.test/a\tb", "character"),
        ("\x00https://receiver.test/", "character"),
        (" https://receiver.test/", "character"),
        ("https://receiver.test/?x=\n", "character"),
        ("https://bücher.test/", "xn--"),
        ("https://receiver%2etest/", "names no host"),
        ("https://receiver..test/", "names no host"),
        (f"https://{'a' * 64}.test/", "names no host"),
        (f"https://{'a.' * 130}test/", "names no host"),
    ],
)
def test_a_url_that_would_be_read_in_two_ways_is_refused_with_a_reason(wires: Wires, url: str, words: str) -> None:
    names = Names([PUBLIC])
    with pytest.raises(Refused, match=words) as told:
        outgoing.post(url, BODY, {}, resolve=names)
    assert "secret" not in str(told.value)
    assert (names.questions, wires.reached) == ([], [])


@given(url=st.text(st.characters(max_codepoint=255)).map("https://receiver.test/".__add__))
def test_no_url_adds_a_line_to_a_request(url: str) -> None:
    try:
        to = outgoing.target(url, guard=True)
    except ValueError:
        return
    assert outgoing._head(to, 0, {}).count(b"\r\n") == 6
    assert outgoing._head(to, 0, {}).split()[2] == b"HTTP/1.1"


def test_an_escaped_line_end_stays_escaped() -> None:
    with Receiver(answering(200)) as receiver:
        outgoing.post(f"{receiver.url}/%0d%0aX-Injected:1?%0d%0a", BODY, {}, guard=False)
    assert receiver.requests[0].line == "POST /%0d%0aX-Injected:1?%0d%0a HTTP/1.1"
    assert "x-injected" not in receiver.requests[0].headers


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\x00", "ü", "a\x7f"])
def test_a_header_with_a_line_end_is_a_mistake_of_ours(wires: Wires, value: str) -> None:
    for headers in ({"X-Event": value}, {value: "1"}):
        with pytest.raises(ValueError, match="more than one line"):
            outgoing.post("https://receiver.test/", BODY, headers, resolve=Names([PUBLIC]))
    assert wires.reached == []


def test_the_host_is_named_with_its_port_if_it_has_an_unusual_one() -> None:
    for url, authority in {
        "https://Receiver.Test": "receiver.test",
        "https://receiver.test:8443/a": "receiver.test:8443",
        "https://[2606:2800:220:1::1]:8443/a": "[2606:2800:220:1::1]:8443",
    }.items():
        assert outgoing.target(url, guard=True).authority == authority
