"""The worker: a thread beside the web server that keeps house and has messages delivered."""

import secrets
import threading
from collections.abc import Callable
from datetime import datetime

import structlog

from booking.database import DatabaseAway
from booking.runtime import Runtime
from booking.worker.housekeeping import Housekeeping
from booking.worker.postman import Postman
from booking.worker.watch import Watch

__all__ = ["Worker"]

LOOK_EVERY_SECONDS = 1.0
SECONDS_TO_END = 35.0  # a letter that is being sent may take thirty
log = structlog.get_logger(__name__)


class Worker:
    """Keeps house and delivers what is due, once a second, until told to stop."""

    def __init__(
        self, premises: Runtime, clock: Callable[[], datetime], stopping: threading.Event | None = None
    ) -> None:
        self._stopping = stopping or threading.Event()
        self._housekeeping = Housekeeping(premises, clock, self._stopping)
        self._postman = Postman(premises, clock, self._stopping, name=secrets.token_hex(8))
        self._watch = Watch(premises, clock)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float = SECONDS_TO_END) -> None:
        """Finish the lead and the messages at hand and end; what still waits is taken up by the next start."""
        self._stopping.set()
        self._thread.join(seconds)
        self._postman.wait(seconds)

    def drain(self) -> None:
        """Do once all that is due now, and end when it is done or it is told to stop: for one run by hand."""
        try:
            self._housekeeping.round()
        except DatabaseAway:
            raise
        except Exception:  # messages must not wait for what one round meets
            log.exception("worker_round_failed")
        while not self._stopping.is_set() and self._postman.round():
            self._postman.wait()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for part in (self._housekeeping.round, self._postman.round, self._watch.round):
                try:
                    part()
                except DatabaseAway as away:
                    log.debug("worker_waits", reason=str(away))
                except Exception:  # the thread must outlive whatever one round meets
                    log.exception("worker_round_failed")
            self._stopping.wait(LOOK_EVERY_SECONDS)
