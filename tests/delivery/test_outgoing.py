"""One post to a stranger's URL: it arrives whole, and whatever the other side does, we are done with it in time."""

import http.client
import os
import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from booking.delivery import outgoing
from booking.delivery.failures import TryLater
from tests.delivery.receiver import (
    Behaviour,
    Names,
    Receiver,
    answering,
    certificate,
    deaf,
    drip,
    dripping,
    flooding,
    reply,
    saying,
    silent,
)

BODY = b'{"message": "canary-of-a-health-text"}'
KIND = {"Content-Type": "application/json"}
PATH = "/hook/secret-of-a-path?key=secret-of-a-query"
WORDS = {"canary", "secret"}
PATIENCE = 1.0  # seconds: what is granted to those who never finish
FAR_TOO_LONG = 30  # seconds: what they would take, and more


def post(receiver: Receiver, seconds: float = 30.0, ca: Path | None = None, body: bytes = BODY) -> outgoing.Answer:
    return outgoing.post(receiver.url + PATH, body, KIND, guard=False, seconds=seconds, ca=ca)


def reason(receiver: Receiver, seconds: float = 30.0, ca: Path | None = None, body: bytes = BODY) -> str:
    """Why a post was not answered, in words that quote neither the body nor the URL."""
    with pytest.raises(TryLater) as told:
        post(receiver, seconds, ca, body)
    assert not any(word in str(told.value) for word in WORDS)
    assert told.value.__cause__ is None
    return str(told.value)


# ---------------------------------------------------------------- a good day


def test_a_post_arrives_as_it_was_given_and_its_answer_comes_back() -> None:
    with Receiver(answering(202, b"taken", X_Request_Id="17")) as receiver:
        answer = post(receiver)
    (request,) = receiver.requests
    assert request.line == f"POST {PATH} HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "booking",
        "content-length": str(len(BODY)),
        "connection": "close",
        "content-type": "application/json",
    }
    assert (answer.status, answer.headers["x-request-id"], answer.body) == (202, "17", b"taken")


def test_a_long_body_arrives_whole() -> None:
    body = os.urandom(3_000_000)
    with Receiver(answering(200)) as receiver:
        post(receiver, body=body)
    assert receiver.requests[0].body == body


def test_an_answer_in_chunks_is_put_together() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with Receiver(saying(chunks)) as receiver:
        assert post(receiver).body == b"abcde"


def test_an_answer_of_known_length_is_not_waited_for_any_longer_if_the_connection_stays_open() -> None:
    def linger(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        here.say(connection, reply(200, b"done"))
        assert connection.recv(1) == b""  # until we hang up

    with Receiver(linger) as receiver:
        started = time.monotonic()
        assert post(receiver, seconds=100).body == b"done"
        assert time.monotonic() - started < FAR_TOO_LONG


@pytest.mark.parametrize("broken", [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"])
def test_an_answer_that_breaks_off_in_its_body_stands(broken: bytes) -> None:
    with Receiver(saying(b"HTTP/1.1 201 Created\r\n" + broken)) as receiver:
        answer = post(receiver)
    assert (answer.status, answer.body) == (201, b"half")


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("good"), "receiver.test")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("other"), "elsewhere.test")


def named(host: str, receiver: Receiver, ca: Path) -> outgoing.Answer:
    url = f"https://{host}:{receiver.port}/"
    return outgoing.post(url, BODY, KIND, guard=False, seconds=30, ca=ca, resolve=Names(["127.0.0.1"]))


def test_a_receiver_whose_certificate_is_trusted_is_served_by_name_and_by_address(good: Path) -> None:
    with Receiver(answering(200), tls=good) as receiver:
        assert named("receiver.test", receiver, good).status == 200
        assert post(receiver, ca=good).status == 200
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("trusts_another", [True, False])
def test_a_receiver_that_signed_its_own_certificate_is_told_nothing(
    good: Path, other: Path, trusts_another: bool
) -> None:
    with Receiver(answering(200), tls=good) as receiver:
        assert "self-signed certificate" in reason(receiver, ca=other if trusts_another else None)
    assert receiver.requests == []
    assert len(receiver.hung_up) == 1


def test_a_receiver_with_a_trusted_certificate_for_another_name_is_told_nothing(other: Path) -> None:
    with (
        Receiver(answering(200), tls=other) as receiver,
        pytest.raises(TryLater, match=r"certificate is not valid for 'receiver\.test'"),
    ):
        named("receiver.test", receiver, other)
    assert (receiver.connections, receiver.requests) == (1, [])


def test_a_receiver_that_speaks_no_tls_is_told_nothing(good: Path) -> None:
    heard: list[bytes] = []

    def plain(here: Receiver, connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        here.say(connection, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        heard.append(connection.recv(65536))

    with Receiver(plain) as receiver, pytest.raises(TryLater, match="TLS could not be agreed on"):
        named("receiver.test", receiver, good)
    assert heard
    assert all(BODY not in piece for piece in heard)


# ---------------------------------------------------------------- led elsewhere


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with Receiver(answering(200)) as second, Receiver(answering(302, Location=second.url)) as first:
        answer = post(first)
    assert (answer.status, answer.headers["location"]) == (302, second.url)
    assert (first.connections, second.connections) == (1, 0)


def test_twin_the_client_of_the_standard_library_follows_a_redirect() -> None:
    with Receiver(answering(200)) as second, Receiver(answering(302, Location=second.url)) as first:
        urllib.request.build_opener().open(first.url, BODY, timeout=30).close()
    assert second.connections == 1


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> "Receiver":
    proxy = Receiver(answering(200))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    return proxy


def test_a_proxy_of_the_environment_is_not_asked(proxy: Receiver) -> None:
    with proxy, Receiver(answering(200)) as receiver:
        post(receiver)
    assert (proxy.connections, receiver.connections) == (0, 1)


def test_twin_the_client_of_the_standard_library_asks_the_proxy(proxy: Receiver) -> None:
    with proxy, Receiver(answering(200)) as receiver:
        urllib.request.build_opener().open(receiver.url, BODY, timeout=30).close()
    assert (proxy.connections, receiver.connections) == (1, 0)


# ---------------------------------------------------------------- those who never finish


def handshake_byte_by_byte(here: Receiver, connection: socket.socket) -> None:
    connection.recv(1)
    drip(here, connection, b"\x16\x03\x03\x40\x00" + bytes(1000))  # a record of TLS, longer than anybody waits for


def endless_continue(here: Receiver, connection: socket.socket) -> None:
    here.take(connection)
    drip(here, connection, b"HTTP/1.1 100 Continue\r\n\r\n" * 40)


def slowly_reading(here: Receiver, connection: socket.socket) -> None:
    while not here.ending.wait(0.1) and connection.recv(100_000):
        here.sent += 1  # proof that it read something: each send of ours gets on before long


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(dripping(reply(200, Filler="x" * 1000)), id="a byte at a time"),
        pytest.param(dripping(reply(200, Filler="x" * 1000), at_once=30), id="headers a byte at a time"),
        pytest.param(endless_continue, id="continue, continue"),
    ],
)
def test_a_receiver_that_answers_a_byte_at_a_time_is_tried_later(behave: Behaviour) -> None:
    with Receiver(behave) as receiver:
        started = time.monotonic()
        assert reason(receiver, seconds=PATIENCE) == "the other side did not answer in time"
        assert time.monotonic() - started < FAR_TOO_LONG
    assert receiver.requests[0].body == BODY
    assert receiver.sent > 3  # it was busy all the time: no time-out for a single byte would ever have fired


def test_twin_a_time_out_for_each_byte_never_ends_it() -> None:
    words, patience = reply(200), 0.5
    assert (len(words) - 20) * 0.1 > 2 * patience
    with Receiver(dripping(words, at_once=20)) as receiver:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=patience)
        connection.request("POST", "/", BODY)
        assert connection.getresponse().status == 200
        connection.close()


def test_a_receiver_that_sends_its_body_a_byte_at_a_time_has_answered() -> None:
    words = reply(200, b"x" * 1000)
    with Receiver(dripping(words, at_once=len(words) - 1000)) as receiver:
        started = time.monotonic()
        answer = post(receiver, seconds=PATIENCE)
        assert time.monotonic() - started < FAR_TOO_LONG
    assert answer.status == 200
    assert 0 < len(answer.body) < 1000


@pytest.mark.parametrize("behave", [handshake_byte_by_byte, deaf])
def test_a_handshake_that_never_ends_is_given_up(behave: Behaviour, good: Path) -> None:
    with Receiver(behave) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/"
        with pytest.raises(TryLater, match="in time"):
            outgoing.post(url, BODY, KIND, guard=False, seconds=PATIENCE, ca=good)
    assert receiver.connections == 1
    assert receiver.sent > 3 or behave is deaf


def test_a_receiver_that_hangs_is_tried_later() -> None:
    with Receiver(silent) as receiver:
        assert "in time" in reason(receiver, seconds=PATIENCE)
    assert receiver.requests[0].body == BODY


@pytest.mark.parametrize("behave", [deaf, slowly_reading])
def test_a_receiver_that_does_not_take_a_long_body_in_time_is_tried_later(behave: Behaviour) -> None:
    with Receiver(behave) as receiver:
        started = time.monotonic()
        assert "in time" in reason(receiver, seconds=PATIENCE, body=bytes(64_000_000))
        assert time.monotonic() - started < FAR_TOO_LONG
    assert receiver.connections == 1
    assert receiver.sent > 1 or behave is deaf


def test_a_name_that_is_never_resolved_is_tried_later() -> None:
    gate, asked = threading.Event(), threading.Event()

    def resolve(*_: object) -> list[outgoing.Found]:
        asked.set()
        gate.wait(60)
        return []

    with pytest.raises(TryLater, match="in time"):
        outgoing.post("https://receiver.test/", BODY, KIND, seconds=0.2, resolve=resolve)
    assert asked.is_set()
    gate.set()


# ---------------------------------------------------------------- those who say too much, or nothing


def test_a_gigabyte_is_not_read() -> None:
    with Receiver(flooding(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536), 10**9)) as receiver:
        answer = post(receiver)
    assert (answer.status, len(answer.body)) == (200, outgoing.AT_MOST)
    assert outgoing.AT_MOST < receiver.sent < 32_000_000  # what stood in buffers when we hung up
    assert len(receiver.hung_up) == 1


def test_a_chunk_of_less_than_nothing_does_not_open_the_floodgates() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n"
    with Receiver(flooding(head, bytes(65536), 10**9)) as receiver:
        answer = post(receiver)
    assert (answer.status, len(answer.body)) == (200, outgoing.AT_MOST)
    assert receiver.sent < 32_000_000


@pytest.mark.parametrize("piece", [b"x" * 65536, b"Name: value\r\n" * 5000], ids=["one line", "many headers"])
def test_a_gigabyte_of_headers_is_not_read(piece: bytes) -> None:
    with Receiver(flooding(b"HTTP/1.1 200 OK\r\n", piece, 10**9)) as receiver:
        assert "not HTTP" in reason(receiver)
    assert receiver.sent < 32_000_000
    assert len(receiver.hung_up) == 1


def test_a_receiver_that_speaks_something_else_is_tried_later() -> None:
    with Receiver(saying(b"SSH-2.0-canary\r\n")) as receiver:
        assert reason(receiver) == "what the other side answered is not HTTP"


def test_a_receiver_that_hangs_up_is_tried_later() -> None:
    with Receiver(saying(b"")) as receiver:
        assert reason(receiver) == "the other side closed the connection without an answer"
    assert len(receiver.requests) == 1


def test_a_refused_connection_is_tried_later() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{held.getsockname()[1]}{PATH}"
        with pytest.raises(TryLater, match=r"^the other side refuses connections$"):
            outgoing.post(url, BODY, KIND, guard=False)


def test_a_name_that_does_not_exist_is_tried_later() -> None:
    def unknown(*_: object) -> list[outgoing.Found]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(TryLater, match="the name of the host was not found"):
        outgoing.post("https://receiver.test/", BODY, KIND, resolve=unknown)
    with pytest.raises(TryLater, match="the name of the host was not found"):
        outgoing.post("https://receiver.test/", BODY, KIND, resolve=Names([]))


def test_the_next_address_is_tried_if_one_does_not_answer() -> None:
    names = Names(["::1", "127.0.0.1"])
    with Receiver(answering(200)) as receiver:
        with pytest.raises(OSError, match=r"refused|assign|reach"):
            socket.create_connection(("::1", receiver.port), timeout=30).close()
        url = f"http://receiver.test:{receiver.port}/"
        assert outgoing.post(url, BODY, KIND, guard=False, resolve=names).status == 200
    assert names.questions == ["receiver.test"]


def test_an_address_that_swallows_everything_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    swallowed: list[float] = []
    connect = socket.socket.connect

    def connected(connection: socket.socket, place: tuple[str, int]) -> None:
        if place[0] == "192.0.2.1":
            swallowed.append(connection.gettimeout() or 0)
            threading.Event().wait(swallowed[-1])
            raise TimeoutError
        connect(connection, place)

    monkeypatch.setattr(socket.socket, "connect", connected)
    with Receiver(answering(200)) as receiver:
        url, names = f"http://receiver.test:{receiver.port}/", Names(["192.0.2.1", "127.0.0.1"])
        assert outgoing.post(url, BODY, KIND, guard=False, seconds=4, resolve=names).status == 200
    assert len(swallowed) == 1
