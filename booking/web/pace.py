"""Pace: how often one client may ask for something that costs others, within a moving minute of this process."""

import time
from collections import OrderedDict, deque
from threading import Lock

MOST_CLIENTS = 10_000


class TooOften(Exception):
    """A client asks for the same kind of thing too often; in a while it may again."""


class Pace:
    """At most `most` times in `seconds` for each client; of very many clients the longest silent are forgotten.

    Forty lines of our own, because the libraries for it take 0.15 s to import, a sixth of the whole start.
    """

    def __init__(self, most: int, seconds: float = 60.0) -> None:
        self._most, self._seconds = most, seconds
        self._asked: OrderedDict[bytes, deque[float]] = OrderedDict()
        self._lock = Lock()

    def allows(self, client: bytes, now: float | None = None) -> bool:
        """Count one request of a client (at `now` on the monotonic clock); False if it was one too many."""
        now = time.monotonic() if now is None else now
        with self._lock:
            times = self._asked.setdefault(client, deque(maxlen=self._most))
            self._asked.move_to_end(client)
            if len(self._asked) > MOST_CLIENTS:
                self._asked.popitem(last=False)
            if len(times) == self._most and now - times[0] < self._seconds:
                return False
            times.append(now)
            return True
