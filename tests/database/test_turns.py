"""Turns: so many write at once, the others wait their time, and a database that gives no turn is away."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from booking.database import Database, DatabaseAway, postgresql
from booking.database.turns import Turns, TurnTimeout


class Writers:
    """Threads that hold a turn until they are told to end; `most` is how many held one at the same time."""

    def __init__(self, held: Callable[[], contextlib.AbstractContextManager[None]], number: int) -> None:
        self._held, self._guard, self._end = held, threading.Lock(), threading.Event()
        self.writing = self.most = self.done = 0
        self.all_in = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._write) for _ in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        with self._held():
            with self._guard:
                self.writing += 1
                self.most = max(self.most, self.writing)
            self.all_in.release()
            self._end.wait(30)
            with self._guard:
                self.writing -= 1
                self.done += 1


def wait_for(writers: Writers, number: int) -> None:
    for _ in range(number):
        assert writers.all_in.acquire(timeout=30)


def test_so_many_write_at_once_and_the_others_after_them() -> None:
    turns = Turns(3)
    with Writers(lambda: turns.held(30), 8) as writers:
        wait_for(writers, 3)
    assert (writers.most, writers.done) == (3, 8)


def test_twin_without_turns_all_write_at_once() -> None:
    with Writers(contextlib.nullcontext, 8) as writers:
        wait_for(writers, 8)
    assert writers.most == 8


def test_who_waits_too_long_is_told_and_a_block_that_raises_gives_its_turn_back() -> None:
    turns = Turns(1)
    with turns.held(), pytest.raises(TurnTimeout), turns.held(0.01):
        raise AssertionError("there is one turn only")
    with pytest.raises(KeyError), turns.held():
        raise KeyError
    with turns.held(0.01):
        pass


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_all_of_whose_turns_are_held_for_too_long_is_away(database: Database) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(postgresql.AT_ONCE):
            held.enter_context(database.transaction())
        with pytest.raises(DatabaseAway, match="TurnTimeout"), database.transaction():
            raise AssertionError("there is no turn left")


@pytest.fixture
def exports(database: Database) -> Iterator[Database]:
    """A database that many are reading from."""
    with contextlib.ExitStack() as held:
        for _ in range(postgresql.AT_ONCE + 1):
            held.enter_context(database.reading())
        yield database


def test_who_only_reads_takes_no_turn(exports: Database) -> None:
    with exports.transaction():
        pass
