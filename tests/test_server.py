"""The server stops nobody for the slow and drops nobody when it stops: real processes, sockets and signals."""

import collections
import contextlib
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from bench.slow_clients import SlowClients, allow_open_files, ask
from tests.small_server import A_THREAD_IS_LATE, NARROW, Running, answer_on, eventually, get, post

MEGABYTE = 1024 * 1024

Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def start(*, host: str = "127.0.0.1", stop_within: float = 60.0, sabotage: str = "") -> Running:
        started.append(Running(tmp_path, host=host, stop_within=stop_within, sabotage=sabotage))
        return started[-1]

    yield start
    for each in started:
        each.end()


def under_slow_clients(server: Running) -> float:
    """The shortest wait of some normal requests while 600 clients send a byte a second each."""
    allow_open_files(1000)
    target = urlsplit(f"http://{server.host}:{server.port}/")
    slow = SlowClients(target, heads=300, bodies=300, post_path="/lead")
    try:
        slow.start()
        eventually(lambda: slow.rounds >= 2)
        best = min(ask(target, seconds=1.0).seconds, default=float("inf"))
        assert slow.connected == 600
        return best
    finally:
        slow.stop()


def test_a_normal_request_is_answered_within_a_second_beside_300_slow_heads_and_300_slow_bodies(start: Start) -> None:
    assert under_slow_clients(start()) < 1.0


def test_twin_with_the_usual_hundred_connections_the_same_attack_locks_everybody_out(start: Start) -> None:
    assert under_slow_clients(start(sabotage="server.MAX_CONNECTIONS = 100")) == float("inf")


def test_a_request_that_never_ends_is_cut_off_although_bytes_keep_coming(start: Start) -> None:
    with start(sabotage="server.RECEIVE_SECONDS = 1").connect() as slow:
        slow.sendall(post("/lead", b"", length=100_000))
        with pytest.raises(ConnectionError):
            eventually(lambda: slow.send(b"x") == 0)


def test_a_reader_that_stalls_loses_its_connection_and_gives_the_thread_back(start: Start) -> None:
    server = start(sabotage="server.IDLE_SECONDS = 1")
    with server.connect() as stalled:
        stalled.sendall(get("/endless"))
        eventually(lambda: server.state()[1] == 1)


def test_a_slow_reader_of_a_long_answer_costs_little_memory(start: Start) -> None:
    server = start()
    memory = psutil.Process(server.process.pid).memory_info
    before, peak, read = memory().rss, 0, 0
    with server.connect() as slow:
        slow.sendall(get("/hundred-megabytes"))
        while data := slow.recv(MEGABYTE):
            read += len(data)
            peak = max(peak, memory().rss)
    assert read > 100 * MEGABYTE * 0.99
    assert peak - before < 16 * MEGABYTE


def test_twin_without_the_high_water_mark_the_whole_answer_piles_up(start: Start) -> None:
    server = start(sabotage="server.MAX_ANSWER_PENDING = 1024 ** 3")
    memory = psutil.Process(server.process.pid).memory_info
    before = memory().rss
    with server.connect() as slow:
        slow.sendall(get("/hundred-megabytes"))
        eventually(lambda: server.state()[0] == 1600 * 65536)
        assert memory().rss - before > 64 * MEGABYTE


def turns_for_twelve(running: Running) -> int:
    """How often the loop turns for twelve requests of four visitors, each of whom wakes it beside the others."""
    with ThreadPoolExecutor(4) as visitors:
        list(visitors.map(running.ask, [get("/size")] * 12))
    return int(json.loads(running.ask(get("/turns"))[1]))


def test_the_loop_rests_while_a_thread_sends_its_answer(start: Start) -> None:
    assert 12 < turns_for_twelve(start(sabotage=A_THREAD_IS_LATE)) < 200


def test_twin_as_waitress_has_it_the_loop_turns_all_the_while(start: Start) -> None:
    assert turns_for_twelve(start(sabotage=f"{A_THREAD_IS_LATE}\ndel server._Channel.writable")) > 1000


def comes_before_the_thread_goes_on(running: Running) -> int:
    """How much of a long answer arrives while its thread is at work on the rest."""
    with running.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(get("/long-then-late"))
        come = b""
        while b"the end" not in come[-100:]:
            before = len(come)
            come += connection.recv(65536)
            if b"the end" in come[-100:]:
                return before
    return 0


def test_what_a_thread_has_left_is_sent_while_it_works_on(start: Start) -> None:
    assert comes_before_the_thread_goes_on(start(sabotage=NARROW)) > 900_000


def test_twin_without_a_look_at_what_was_left_it_lies_until_the_thread_goes_on(start: Start) -> None:
    late = start(sabotage=f"{NARROW}\nserver.LEFT_LYING_SECONDS = 60")
    assert comes_before_the_thread_goes_on(late) < 900_000


def test_a_client_that_leaves_closes_the_generator_of_its_answer(start: Start) -> None:
    server = start()
    with server.connect() as leaving:
        leaving.sendall(get("/endless"))
        leaving.recv(65536)
        assert server.state()[1] == 0
    eventually(lambda: server.state()[1] == 1)


def test_what_the_application_should_judge_reaches_it_and_the_server_adds_no_name(start: Start) -> None:
    server = start()
    answer, body = server.ask(post("/size", b"x" * MEGABYTE))
    assert (answer.status, body) == (200, str(MEGABYTE).encode())
    assert answer.getheader("Server") is None
    assert server.ask(get("/", "X-Forwarded-For: 192.0.2.7\r\n"))[1] == b"192.0.2.7"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (post("/size", b"", length=9 * MEGABYTE), 413),
        (get("/fails"), 500),
    ],
    ids=["malformed", "long head", "huge body", "exception"],
)
def test_the_servers_own_refusals_carry_the_given_headers_and_no_traceback(
    start: Start, request_bytes: bytes, status: int
) -> None:
    answer, body = start().ask(request_bytes)
    assert answer.status == status
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Server") is None
    assert b"planted" not in body


def test_it_listens_on_ipv6_as_well(start: Start) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start(host="::1")
    assert server.host == "::1"
    assert server.ask(post("/", b"hello"))[1] == b"hello"


class Crowd:
    """Clients that post one lead after another, each on a new connection, until the server is gone."""

    def __init__(self, server: Running, size: int = 32) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.answered: set[bytes] = set()
        self._server = server
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(size)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def _post(self, number: int) -> None:
        for turn in range(10_000):
            lead = f"lead {number}.{turn}".encode()
            try:
                with self._server.connect() as connection:
                    connection.sendall(post("/lead", lead))
                    answer, body = answer_on(connection)
            except OSError as failed:
                self.outcomes["refused" if isinstance(failed, ConnectionRefusedError) else "dropped"] += 1
                return
            self.answered.add(body)
            self.outcomes["told to close" if answer.getheader("Connection") else "answered"] += 1


def stopped_under_load(server: Running, how: signal.Signals = signal.SIGTERM) -> Crowd:
    """What a crowd met with that was posting when the signal came."""
    crowd = Crowd(server)
    eventually(lambda: len(crowd.answered) > 100)
    server.process.send_signal(how)
    server.process.wait(timeout=30)
    crowd.wait()
    return crowd


def test_a_stop_under_load_answers_every_post_whose_connection_was_accepted(start: Start) -> None:
    server = start()
    crowd = stopped_under_load(server)
    assert server.ended() == "returned\n"
    assert crowd.outcomes["told to close"] > 0, "the signal came while no post was in flight"
    assert crowd.outcomes["refused"] == 32
    assert crowd.outcomes["dropped"] == 0
    assert set(server.ledger.read_bytes().splitlines()) == crowd.answered


def test_twin_a_hard_kill_under_the_same_load_drops_posts(start: Start) -> None:
    assert stopped_under_load(start(), signal.SIGKILL).outcomes["dropped"] > 0


LINGERING_AT_THE_DOOR = """
closing = server.wasyncore.dispatcher.close
def linger(dispatcher):
    if dispatcher.accepting:  # the listening socket
        time.sleep(0.5)
    closing(dispatcher)
server.wasyncore.dispatcher.close = linger
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can refuse handshakes and still accept")
def test_nobody_slips_in_between_the_last_look_and_the_closing_however_long_that_takes(start: Start) -> None:
    assert stopped_under_load(start(sabotage=LINGERING_AT_THE_DOOR)).outcomes["dropped"] == 0


def test_twin_as_long_as_handshakes_begin_some_slip_in_and_are_dropped(start: Start) -> None:
    unguarded = LINGERING_AT_THE_DOOR + "server._drop_first_knocks = lambda listener: None"
    assert stopped_under_load(start(sabotage=unguarded)).outcomes["dropped"] > 0


def posts_queued_in_the_kernel_when_the_stop_comes(server: Running) -> int:
    """How many of 50 posts are answered that a frozen server has not even accepted when it is told to stop."""
    server.process.send_signal(signal.SIGSTOP)
    waiting = [server.connect() for _ in range(50)]
    for number, connection in enumerate(waiting):
        connection.sendall(post("/lead", b"queued %d" % number))
    server.process.terminate()
    server.process.send_signal(signal.SIGCONT)
    answered = 0
    for number, connection in enumerate(waiting):
        with connection, contextlib.suppress(OSError):
            answered += answer_on(connection)[1] == b"queued %d" % number
    server.ended()
    return answered


def test_connections_still_queued_in_the_kernel_when_the_stop_comes_are_answered(start: Start) -> None:
    assert posts_queued_in_the_kernel_when_the_stop_comes(start()) == 50


def test_twin_closing_the_door_without_looking_drops_those_in_the_queue(start: Start) -> None:
    blind = "server._Server._close_the_door = lambda self: server.wasyncore.dispatcher.close(self)"
    assert posts_queued_in_the_kernel_when_the_stop_comes(start(sabotage=blind)) < 50


def test_a_request_half_sent_when_the_stop_comes_is_completed_while_newcomers_are_refused(start: Start) -> None:
    server = start()
    with server.connect() as halfway:
        halfway.sendall(post("/lead", b"first half,", length=23))
        eventually(lambda: server.ask(get("/"))[0].status == 200)
        server.process.terminate()
        with pytest.raises(ConnectionRefusedError):
            eventually(lambda: server.ask(get("/"))[0].status != 200)
        halfway.sendall(b" second half")
        answer, body = answer_on(halfway)
    assert body == b"first half, second half"
    assert answer.getheader("Connection") == "close"
    assert server.ended() == "returned\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_connection_is_closed_by_a_stop_and_does_not_delay_it(start: Start, number: signal.Signals) -> None:
    server = start()
    with server.connect() as idle, server.connect() as silent:
        idle.sendall(post("/", b"hello"))
        answer, body = answer_on(idle)
        assert body == b"hello"
        assert answer.getheader("Connection") is None
        server.process.send_signal(number)
        assert server.ended() == "returned\n"
        assert idle.recv(1) == b""
        assert silent.recv(1) == b""


def test_a_body_slower_than_the_bound_of_the_stop_does_not_hold_it_up(start: Start) -> None:
    server = start(stop_within=1.0)
    with server.connect() as slow:
        slow.sendall(post("/lead", b"never finished", length=1000))
        server.process.terminate()
        assert server.ended() == "returned\n"
    assert b"stopped with 1 connections unfinished" in server.errors.read_bytes()


def test_a_whole_post_is_served_even_if_its_sender_has_hung_up(start: Start) -> None:
    server = start()
    server.process.send_signal(signal.SIGSTOP)
    with server.connect() as hurried:
        hurried.sendall(post("/lead", b"sent and gone"))
    server.process.send_signal(signal.SIGCONT)
    eventually(server.ledger.exists)
    eventually(lambda: server.ledger.read_bytes() == b"sent and gone\n")
