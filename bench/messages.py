"""How fast the worker delivers while the form takes posts, what hanging receivers cost the form, how a start is.

    python -m bench.messages [--messages 3000] [--waiting 100000] [--posts 50] [--seconds 15]

On SQLite and on PostgreSQL: `booking serve` takes posts at a steady rate, and the worker inside it delivers to an
instant mail server on the loopback. Then the same posts without a worker, with instant and with hanging receivers (mail
and three webhooks), in alternated rounds, each on a new database: only those ratios are worth quoting. At last a worker
alone begins with many rows that wait for another day.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil

from bench.capture import wait_for
from booking import config
from booking.app import open_runtime
from booking.database import schema
from booking.operations import outbox, webhooks
from booking.operations.outbox import Message
from booking.runtime import Runtime
from tests.postgres import TemporaryPostgres
from tests.service import free_port

BOOKING = str(Path(sys.executable).with_name("booking"))
SECRET = "a secret for a benchmark: 0123456789abcdefghij"  # noqa: S105  it guards nothing
KEYS = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
Place = Callable[[str], tuple[str, Path]]  # by the name of a run


def main() -> None:
    """Run everything on each engine."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=3000)
    options.add_argument("--waiting", type=int, default=100_000)
    options.add_argument("--posts", type=int, default=50)
    options.add_argument("--seconds", type=int, default=15)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--engines", nargs="+", default=["sqlite", "postgresql"])
    options.add_argument("--parts", nargs="+", default=["throughput", "hanging", "waiting"])
    asked = options.parse_args()
    with TemporaryPostgres(durable=True) as postgres, tempfile.TemporaryDirectory() as name:
        for engine in asked.engines:
            for part in asked.parts:
                PARTS[part](engine, partial(new_place, engine, postgres, Path(name)), asked)


def new_place(engine: str, postgres: TemporaryPostgres, root: Path, what: str) -> tuple[str, Path]:
    """The URL of a new database, and a folder for what a run of that name writes."""
    folder = root / f"{engine}-{what}"
    folder.mkdir()
    url = postgres.create_database() if engine == "postgresql" else f"sqlite:///{folder}/booking.db"
    schema.upgrade(url)
    return url, folder


def throughput(engine: str, place: Place, asked: argparse.Namespace) -> None:
    """Messages a second from the first to the last of a pile, while the form takes posts."""
    url, folder = place("throughput")
    with sink(folder) as (smtp, _, report):
        environ = settings(url, folder, f"smtp://127.0.0.1:{smtp}")
        with runtime(environ) as premises:
            pile_up(premises, asked.messages, datetime.now(UTC))
        with running([BOOKING, "serve"], environ, folder) as (port, _):
            posting = Posting(port, asked.posts)
            posting.run(asked.seconds)
            until = time.monotonic() + 120
            while taken(report)[0] < asked.messages and time.monotonic() < until:
                posting.run(1)
            number, first, last = taken(report)
            rate = number / max(last - first, 0.001)
            print(
                f"{engine}: {rate:.0f} messages/s ({number} letters) beside {posting.rate:.0f} posts/s,"
                f" p50 {percentile(posting.times, 50):.0f} ms p99 {percentile(posting.times, 99):.0f} ms,"
                f" {posting.failed} failed",
                flush=True,
            )


def hanging(engine: str, place: Place, asked: argparse.Namespace) -> None:
    """The form's p99 with receivers that hang (mail, and three webhooks), with instant ones and without a worker."""
    sides = ["no worker", "instant", "hanging"]
    times: dict[str, list[list[float]]] = {side: [] for side in sides}
    with black_hole() as hole:
        for turn in range(asked.rounds):
            for side in sides if turn % 2 == 0 else sides[::-1]:
                url, folder = place(f"{side}-{turn}")
                with sink(folder) as (smtp, http, _):
                    mail, program = (hole, hole) if side == "hanging" else (smtp, http)
                    options = ["--no-worker"] if side == "no worker" else []
                    times[side].append(posting_beside(url, folder, mail, program, asked, options).times)
    for percent in (50, 99):
        hung = [percentile(run, percent) for run in times["hanging"]]
        for side in ("no worker", "instant"):
            other = [percentile(run, percent) for run in times[side]]
            ratios = [one / another for one, another in zip(hung, other, strict=True)]
            print(
                f"{engine}: p{percent} of the form with hanging receivers {statistics.median(hung):.1f} ms,"
                f" {side} {statistics.median(other):.1f} ms: {statistics.median(ratios):.2f} x"
                f" (round by round {', '.join(f'{ratio:.2f}' for ratio in ratios)})",
                flush=True,
            )


def posting_beside(
    url: str, folder: Path, mail: int, program: int, asked: argparse.Namespace, options: Sequence[str]
) -> "Posting":
    """Posts to a server whose mail and three webhooks go to these ports."""
    environ = settings(url, folder, f"smtp://127.0.0.1:{mail}")
    with runtime(environ) as premises, premises.database.transaction() as db:
        for number in range(3):
            webhooks.add(db, premises.keyring, f"http://127.0.0.1:{program}/{number}", "whsec_AAAA", datetime.now(UTC))
    with running([BOOKING, "serve", *options], environ, folder) as (port, _):
        posting = Posting(port, asked.posts)
        posting.run(2)
        posting.times.clear()
        posting.run(asked.seconds)
    return posting


def many_waiting(engine: str, place: Place, asked: argparse.Namespace) -> None:
    """From the start of a worker that finds many rows waiting to its first letter, and its memory."""
    url, folder = place("waiting")
    with sink(folder) as (smtp, _, report):
        environ = settings(url, folder, f"smtp://127.0.0.1:{smtp}")
        with runtime(environ) as premises:
            now = datetime.now(UTC)
            pile_up(premises, asked.waiting, now + timedelta(days=30))
            pile_up(premises, 200, now, first=asked.waiting)
        began = time.time()
        with running([BOOKING, "work"], environ, folder, port=0) as (_, pid):
            while taken(report)[0] < 200 and time.time() < began + 60:
                time.sleep(0.05)
            number, first, _ = taken(report)
            memory = psutil.Process(pid).memory_info().rss / 1e6
    print(
        f"{engine}: {asked.waiting} waiting: first letter {first - began:.1f} s after the start, {number} sent,"
        f" {memory:.0f} MB",
        flush=True,
    )


PARTS: dict[str, Callable[[str, Place, argparse.Namespace], None]] = {
    "throughput": throughput,
    "hanging": hanging,
    "waiting": many_waiting,
}


class Posting:
    """Posts at a steady rate, each in its own time, and how long each took."""

    def __init__(self, port: int, rate: int) -> None:
        self._url, self._each = f"http://127.0.0.1:{port}/leads", 1 / rate
        self.times: list[float] = []
        self.failed, self._seconds = 0, 0.0

    def run(self, seconds: float) -> None:
        """Post for so long."""
        began, threads = time.monotonic(), []
        for number in range(int(seconds / self._each)):
            wait = began + number * self._each - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            thread = threading.Thread(target=self._post)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
        self._seconds += time.monotonic() - began

    @property
    def rate(self) -> float:
        """Posts a second."""
        return len(self.times) / self._seconds

    def _post(self) -> None:
        body = {"name": "Ada", "email": f"ada{time.time_ns()}@example.com", "message": f"I write at {time.time_ns()}."}
        head = {"Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), head)  # noqa: S310  the loopback
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  as above
                self.failed += answer.status != 201
        except OSError:
            self.failed += 1
        self.times.append(time.monotonic() - began)


def percentile(times: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    return sorted(times)[min(len(times) * percent // 100, len(times) - 1)] * 1000


def pile_up(premises: Runtime, number: int, due_at: datetime, first: int = 0) -> None:
    """Messages to the desk about an enquiry each, without the enquiry: their facts say what a letter needs."""
    now = datetime.now(UTC)
    facts = {"reference": "SV-2222-22", "received": "today", "urgent": False, "promise": "", "visit": None}
    for start in range(first, first + number, 1000):
        found = [
            Message("lead_urgent", "desk", "mail", f"desk{each}@example.com", (str(each),), due_at, facts)
            for each in range(start, min(start + 1000, first + number))
        ]
        with premises.database.transaction() as db:
            outbox.write(db, premises.keyring, found, now)


def settings(url: str, folder: Path, mail: str) -> dict[str, str]:
    """The settings of one server."""
    return {
        "BOOKING_DATA_DIR": str(folder / "data"),
        "BOOKING_DATABASE_URL": url,
        "BOOKING_SECRET_KEY": SECRET,
        "BOOKING_ENCRYPTION_KEYS": KEYS,
        "BOOKING_MAIL_URL": mail,
        "BOOKING_WATCH_MINUTES": "0",
    }


@contextmanager
def runtime(environ: dict[str, str]) -> Iterator[Runtime]:
    """The opened parts, to arrange."""
    opened = open_runtime(config.load(environ))
    try:
        yield opened
    finally:
        opened.database.close()


@contextmanager
def running(
    command: list[str], environ: dict[str, str], folder: Path, *, port: int | None = None
) -> Iterator[tuple[int, int]]:
    """A process of ours; yields its port and its id."""
    port = free_port() if port is None else port
    told = {name: value for name, value in os.environ.items() if not name.startswith("BOOKING_")} | environ
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=told | {"BOOKING_BIND": f"127.0.0.1:{port}"}, stdout=log, stderr=log)
    try:
        if port:
            wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def sink(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Instant receivers in a process of their own; yields the ports for mail and for programs, and where it reports."""
    mail, programs, report = free_port(), free_port(), folder / "sink"
    report.write_text("0 0 0")
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(mail), str(programs), str(report)])
    try:
        yield mail, programs, report
    finally:
        process.kill()
        process.wait()


@contextmanager
def black_hole() -> Iterator[int]:
    """A server that accepts and never says a word; yields its port."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def taken(report: Path) -> tuple[int, float, float]:
    """How many letters the sink has taken, and when the first and the last came."""
    number, first, last = [*re.findall(r"[\d.]+", report.read_text()), "0", "0", "0"][:3]
    return int(float(number)), float(first), float(last)


if __name__ == "__main__":
    main()
