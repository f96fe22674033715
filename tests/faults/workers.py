"""Workers in processes of their own, and the mail server at which a test has them exactly where it wants them."""

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import psutil
from sqlalchemy import text

from booking.database import Database
from booking.operations import leases
from booking.worker import postman
from tests.delivery.mailbox import Talk
from tests.faults.crowd import eventually
from tests.service import STOP_SECONDS, start

Before = Callable[[], None] | None


def without_leases() -> None:
    """Let leases have ended before they began: for the twins."""
    leases.LEASE, postman.LONGEST_SENDING = timedelta(minutes=-1), timedelta(minutes=-2)


class Working:
    """A running `booking work`."""

    def __init__(self, environ: Mapping[str, str], folder: Path, name: str, before: Before = None) -> None:
        self.log = folder / f"work-{name}.log"
        self.process = start(["work"], environ, folder, self.log, before)
        assert self.process.pid is not None
        self.pid = self.process.pid

    @property
    def output(self) -> str:
        """All that it has said."""
        return self.log.read_text()

    def wait_until_it_works(self) -> "Working":
        eventually(lambda: "Working." in self.output or self.process.exitcode is not None)
        assert self.process.exitcode is None, self.output
        return self

    def freeze(self) -> None:
        """Let it do nothing more, between two instructions."""
        os.kill(self.pid, signal.SIGSTOP)
        eventually(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it between two instructions."""
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        """Ask it to end, and return its exit code."""
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        return self.process.exitcode

    def talks_from(self, port: int) -> bool:
        """Whether it is who has a connection from this port."""
        ours = psutil.Process(self.pid).net_connections(kind="tcp")
        return port in {each.laddr.port for each in ours}


@contextmanager
def at_work(environ: Mapping[str, str], folder: Path, *names: str, before: Before = None) -> Iterator[list[Working]]:
    """As many workers as names, all at once; whoever is left at the end is killed."""
    workers = [Working(environ, folder, name, before) for name in names]
    try:
        yield [worker.wait_until_it_works() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()


# ---------------------------------------------------------------- the mail server


class Ledger:
    """What a mail server has said yes to: the Message-ID of each letter, as often as it was taken."""

    def __init__(self) -> None:
        self.taken = Counter[str]()
        self._guard = threading.Lock()

    @property
    def doubled(self) -> int:
        """How many letters came once more than they should."""
        return self.taken.total() - len(self.taken)

    def take_all(self, talk: Talk) -> None:
        """From its first DATA on, take all that comes over a connection."""
        self.say_yes(talk, read_letter(talk))
        self.take_more(talk)

    def take_more(self, talk: Talk) -> None:
        """Take what comes over a connection after its first letter."""
        while line := talk.lines.readline():
            if line.upper().startswith(b"DATA"):
                self.say_yes(talk, read_letter(talk))
            else:
                talk.say("221 bye" if line.upper().startswith(b"QUIT") else "250 2.0.0 fine")

    def say_yes(self, talk: Talk, message_id: str) -> None:
        """Take one letter."""
        with self._guard:
            self.taken[message_id] += 1
        talk.say("250 2.0.0 fine")


def read_letter(talk: Talk) -> str:
    """Ask for the letter after DATA, and return its Message-ID."""
    talk.say("354 go on")
    letter = message_from_bytes(b"".join(iter(talk.lines.readline, b".\r\n")))
    return str(letter["Message-ID"])


def unread(connection: socket.socket) -> int:
    """How many bytes lie in the other side's socket that its program has not read: the kernel's own word."""
    here, there = connection.getsockname(), connection.getpeername()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == _in_hex(there) and fields[2] == _in_hex(here):
            return int(fields[4].partition(":")[2], 16)
    return 0  # the other side has read what it wanted, and has gone


def _in_hex(address: tuple[str, int]) -> str:
    return f"{socket.inet_aton(address[0])[::-1].hex().upper()}:{address[1]:04X}"


def who(workers: Sequence[Working], connection: socket.socket) -> Working:
    """The worker at the other end of a connection."""
    port = connection.getpeername()[1]
    (found,) = [worker for worker in workers if worker.talks_from(port)]
    return found


# ---------------------------------------------------------------- the outbox


def states(database: Database) -> Counter[str]:
    """How many messages are in each state."""
    with database.reading() as db:
        return Counter(db.scalars(text("select state from outbox_message")))


def claimed(database: Database) -> Counter[str]:
    """How many messages each worker has in its hands."""
    with database.reading() as db:
        rows = db.scalars(text("select worker from outbox_message where state = 'waiting' and worker is not null"))
        return Counter(rows)


@contextmanager
def unwritable(database: Database) -> Iterator[None]:
    """Nobody can write to the outbox for the length of the block, and everybody can read it."""
    with database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("lock table outbox_message in share row exclusive mode")
        yield


def end_the_leases(database: Database, worker: str) -> None:
    """Let what a dead worker had in its hands be free at once.

    A process takes the time from the machine, so the three minutes of a lease can pass in a test only by writing that
    they have passed; the workers that live keep theirs.
    """
    past = "2000-01-01T00:00:00.000000Z"
    with database.transaction() as db:
        db.execute(text("update outbox_message set lease_until = :past where worker = :dead"),
                   {"past": past, "dead": worker})  # fmt: skip
