"""A rush: visitors and the desk, in several processes, who are all ready and then act at the same moment."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from typing import Any, Protocol, Self

from booking.config import Settings
from booking.database import Database
from booking.keyring import Keyring
from tests.faults.crowd import PATIENCE_SECONDS, Answer, send
from tests.visits import REFUSALS, Clinic

WAIT_SECONDS = 90


@dataclass(frozen=True)
class Deed:
    """What became of what the desk did: refused by `refusal`, or done."""

    refusal: str
    began: float
    seconds: float

    @property
    def won(self) -> bool:
        """Whether it was done."""
        return not self.refusal


class Person(Protocol):
    """Somebody who can get ready, and then do it."""

    def get_ready(self) -> Callable[[], Answer | Deed]:
        """Do everything that can be done before."""
        ...


@dataclass(frozen=True)
class Visitor:
    """One post, on a connection that stands by then; `address` is where the proxy says it comes from."""

    port: int
    path: str
    fields: dict[str, str]
    key: str = ""
    address: str = "10.0.0.1"

    def get_ready(self) -> Callable[[], Answer]:
        """Connect."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.connect()
        headers = {"X-Forwarded-For": self.address}
        return lambda: send(connection, self.path, self.fields, key=self.key, headers=headers)


@dataclass(frozen=True)
class Clerk:
    """One deed of the desk: a method of `Clinic`, on a database connection of its own."""

    settings: Settings
    act: str
    args: tuple[Any, ...]
    more: dict[str, Any] = field(default_factory=dict)

    def get_ready(self) -> Callable[[], Deed]:
        """Read the catalogue."""
        keyring = Keyring(self.settings.encryption_keys, self.settings.secret_key)
        clinic = Clinic(Database(self.settings.database_url), keyring, datetime.now(UTC), first=False)
        return lambda: self._do(clinic)

    def _do(self, clinic: Clinic) -> Deed:
        began, refusal = time.monotonic(), ""
        try:
            getattr(clinic, self.act)(*self.args, **self.more)
        except REFUSALS as no:
            refusal = f"{type(no).__name__} {no}".strip()
        finally:
            clinic.database.close()
        return Deed(refusal, began, time.monotonic() - began)


class Rush:
    """Some processes among which people are divided, round after round."""

    def __init__(self, processes: int = 4) -> None:
        forks = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            ours, theirs = forks.Pipe()
            process = forks.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.send(None)
            pipe.close()
        for process in self._processes:
            process.join()

    def go(self, people: Sequence[Person]) -> list[Any]:
        """Let them all act at once; returns what became of each, in order."""
        shares = [people[number :: len(self._pipes)] for number in range(len(self._pipes))]
        for word in (shares, ["go"] * len(shares)):
            for pipe, share in zip(self._pipes, word, strict=True):
                pipe.send(share)
            told = [pipe.recv() for pipe in self._pipes]
        found: list[Any] = [None] * len(people)
        for number, answers in enumerate(told):
            found[number :: len(self._pipes)] = answers
        assert not [each for each in found if isinstance(each, Exception)], found
        return found


def at_once(answers: Sequence[Answer | Deed]) -> int:
    """How many were waiting for their answer at the same moment, at most."""
    edges = [(each.began, 1) for each in answers] + [(each.began + each.seconds, -1) for each in answers]
    waiting = most = 0
    for _, edge in sorted(edges):
        waiting += edge
        most = max(most, waiting)
    return most


def _work(pipe: Connection) -> None:
    while (people := pipe.recv()) is not None:
        together = threading.Barrier(len(people) + 1)
        answers: list[Any] = [None] * len(people)
        threads = [threading.Thread(target=_act, args=(together, answers, *pair)) for pair in enumerate(people)]
        for thread in threads:
            thread.start()
        together.wait(WAIT_SECONDS)
        pipe.send("ready")
        pipe.recv()
        together.wait(WAIT_SECONDS)
        for thread in threads:
            thread.join()
        pipe.send(answers)


def _act(together: threading.Barrier, answers: list[Any], number: int, person: Person) -> None:
    try:
        act = person.get_ready()
    except Exception as failure:  # noqa: BLE001  it is raised where the rush was called for
        answers[number] = failure
        act = None
    together.wait(WAIT_SECONDS)
    together.wait(WAIT_SECONDS)
    if act is not None:
        try:
            answers[number] = act()
        except Exception as failure:  # noqa: BLE001  as above
            answers[number] = failure
