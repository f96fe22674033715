"""Measure whether a running server still answers while hundreds of clients send one byte a second."""

import argparse
import dataclasses
import http.client
import resource
import socket
import statistics
import sys
import threading
import time
from urllib.parse import SplitResult, urlsplit

LONGEST = 20.0
"""No measurement sends slow bytes for longer than this many seconds."""

GIVE_UP = 5.0
"""A normal request without an answer after this many seconds counts as unanswered."""

_HEAD = "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Slow: " + "a" * 4000
_BODY = "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: 4000\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Answers:
    """The seconds each normal request took, and how many got no answer at all."""

    seconds: list[float]
    unanswered: int

    @property
    def worst(self) -> float:
        """The longest wait; a request without an answer waited for ever."""
        return float("inf") if self.unanswered or not self.seconds else max(self.seconds)


class SlowClients:
    """Open `heads` + `bodies` connections and feed each one byte a second, until `stop`.

    A connection the server closes is counted in `closed` and opened again, so that the pressure stays.
    """

    def __init__(self, target: SplitResult, heads: int, bodies: int, post_path: str) -> None:
        self._address = (target.hostname or "127.0.0.1", target.port or 80)
        fill = {"host": target.netloc, "path": target.path or "/"}
        head = _HEAD.format(**fill).encode()
        body = _BODY.format(**(fill | {"path": post_path})).encode()
        # (what is sent at once, what is sent byte by byte), head and body senders mixed.
        self._scripts = [(b"", head)] * heads + [(body, b"n" * 4000)] * bodies
        self._scripts = self._scripts[::2] + self._scripts[1::2]
        self._sockets: list[socket.socket | None] = [None] * len(self._scripts)
        self._sent = [0] * len(self._scripts)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self.closed = 0
        self.rounds = 0

    def start(self) -> None:
        """Open every connection (raises OSError if the server refuses), then drip in the background."""
        for index in range(len(self._scripts)):
            self._open(index)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for connection in self._sockets:
            if connection is not None:
                connection.close()

    @property
    def connected(self) -> int:
        """How many connections are open now."""
        return sum(connection is not None for connection in self._sockets)

    def _drip(self) -> None:
        begun = time.monotonic()
        while True:
            for index in range(len(self._scripts)):
                due = begun + self.rounds + index / len(self._scripts)
                if self._stopped.wait(max(0.0, due - time.monotonic())):
                    return
                self._drop_of(index)
            self.rounds += 1

    def _drop_of(self, index: int) -> None:
        connection = self._sockets[index]
        try:
            if connection is None:
                self._open(index)
                return
            at = self._sent[index]
            connection.send(self._scripts[index][1][at : at + 1])
            self._sent[index] = at + 1
        except OSError:
            self.closed += 1
            if connection is not None:
                connection.close()
            self._sockets[index] = None

    def _open(self, index: int) -> None:
        connection = socket.create_connection(self._address, timeout=GIVE_UP)
        connection.sendall(self._scripts[index][0])
        connection.setblocking(False)
        self._sockets[index], self._sent[index] = connection, 0


def allow_open_files(wanted: int) -> None:
    """Raise this process's own limit of open files to `wanted`, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(target: SplitResult, seconds: float, pause: float = 0.2) -> Answers:
    """Send normal requests for about `seconds`, one after another, each on a connection of its own."""
    waits: list[float] = []
    unanswered = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            _get(target)
            waits.append(time.monotonic() - began)
        except (OSError, http.client.HTTPException):
            unanswered += 1
        time.sleep(pause)
    return Answers(waits, unanswered)


def _get(target: SplitResult) -> None:
    connection = http.client.HTTPConnection(target.netloc, timeout=GIVE_UP)
    try:
        connection.request("GET", target.path or "/", headers={"Connection": "close"})
        connection.getresponse().read()
    finally:
        connection.close()


def _line(label: str, answers: Answers) -> str:
    if not answers.seconds:
        return f"{label:<8} none of {answers.unanswered} requests answered within {GIVE_UP:g} s"
    median, worst = statistics.median(answers.seconds) * 1000, max(answers.seconds) * 1000
    counts = f"{len(answers.seconds)} answered, {answers.unanswered} unanswered"
    return f"{label:<8} median {median:.1f} ms, worst {worst:.1f} ms, {counts}"


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("url", help="a page of the running server, such as http://127.0.0.1:8000/")
    parser.add_argument("--post-path", default="/leads", help="where the slow bodies go")
    parser.add_argument("--heads", type=int, default=300, help="clients with a slow head")
    parser.add_argument("--bodies", type=int, default=300, help="clients with a slow body")
    parser.add_argument("--seconds", type=float, default=10.0, help=f"how long, at most {LONGEST:g}")
    parser.add_argument("--within", type=float, default=1.0, help="the longest wait allowed, in seconds")
    given = parser.parse_args()
    if urlsplit(given.url).hostname not in ("127.0.0.1", "::1", "localhost"):
        parser.error("this is an attack: only a server on this machine may be measured")
    return given


def main() -> int:
    """Print the waits before and during the attack; the exit status is 1 if one exceeded --within."""
    given = _given()
    target = urlsplit(given.url)
    allow_open_files(given.heads + given.bodies + 64)
    seconds = min(given.seconds, LONGEST)
    print(_line("before", ask(target, min(seconds, 3.0))))
    slow = SlowClients(target, given.heads, given.bodies, given.post_path)
    try:
        slow.start()
        during = ask(target, seconds)
        print(_line("during", during))
        print(f"slow     {slow.connected} connected at the end, {slow.closed} closed by the server meanwhile")
    finally:
        slow.stop()
    return 0 if during.worst <= given.within else 1


if __name__ == "__main__":
    sys.exit(main())
