"""Traffic: how many requests are being worked on, so that what can wait gives way to them."""

import threading

LIGHT = 2  # so many at once leave room for others
LONGEST_WAIT_SECONDS = 0.05


class Traffic:
    """Requests come and go; whoever has time lets them pass, but not for ever."""

    def __init__(self) -> None:
        self._here = 0
        self._changed = threading.Condition()

    def come(self) -> None:
        """A request begins."""
        with self._changed:
            self._here += 1

    def go(self) -> None:
        """A request has ended."""
        with self._changed:
            self._here -= 1
            self._changed.notify_all()

    def give_way(self) -> None:
        """Wait while many requests are being worked on, for a twentieth of a second at most: nobody waits for ever."""
        with self._changed:
            self._changed.wait_for(lambda: self._here <= LIGHT, LONGEST_WAIT_SECONDS)
