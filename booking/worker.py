"""The worker: a thread beside the web server that brings waiting leads into the database."""

import threading
from collections.abc import Callable
from datetime import datetime

import structlog

from booking import reception
from booking.runtime import Runtime

LOOK_EVERY_SECONDS = 1.0
log = structlog.get_logger(__name__)


class Worker:
    """Drains the spool once a second until told to stop."""

    def __init__(self, premises: Runtime, clock: Callable[[], datetime]) -> None:
        self._premises, self._clock = premises, clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """Finish the lead at hand and end; what still waits is drained by the next start."""
        self._stopping.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._round()
            except Exception:  # the thread must outlive whatever one round meets
                log.exception("worker_round_failed")
            self._stopping.wait(LOOK_EVERY_SECONDS)

    def _round(self) -> None:
        for waiting, fate in reception.drain(self._premises, self._clock):
            if fate == "stored":
                log.info("spooled_lead_stored", reference=waiting.reference)
            if self._stopping.is_set():
                return
