"""The worker: a thread beside the web server that brings in waiting leads and keeps house."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from booking import reception
from booking.database import DatabaseAway
from booking.operations import holds, wall_times
from booking.runtime import Runtime

LOOK_EVERY_SECONDS = 1.0
TIDY_EVERY = timedelta(minutes=1)
log = structlog.get_logger(__name__)


class Worker:
    """Drains the spool once a second until told to stop; once a minute it tidies up."""

    def __init__(self, premises: Runtime, clock: Callable[[], datetime]) -> None:
        self._premises, self._clock = premises, clock
        self._tidied: datetime | None = None
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
            for part in (self._drain, self._look_at_the_catalogue, self._tidy_up):
                try:
                    part()
                except DatabaseAway as away:
                    log.debug("worker_waits", reason=str(away))
                except Exception:  # the thread must outlive whatever one round meets
                    log.exception("worker_round_failed")
            self._stopping.wait(LOOK_EVERY_SECONDS)

    def _drain(self) -> None:
        for waiting, fate in reception.drain(self._premises, self._clock):
            if fate == "stored":
                log.info("spooled_lead_stored", reference=waiting.reference)
            if self._stopping.is_set():
                return

    def _look_at_the_catalogue(self) -> None:
        """Keep this process's copy fresh, so that pages need not ask the database for it."""
        with self._premises.database.reading() as db:
            self._premises.catalogs.current(db, self._clock().date())

    def _tidy_up(self) -> None:
        now = self._clock()
        if self._tidied is None:  # the zones' laws are those that this process was started with
            self._keep_wall_times(now)
        if self._tidied is None or now - self._tidied >= TIDY_EVERY:
            with self._premises.database.transaction() as db:
                holds.forget_expired(db, now)
            self._tidied = now

    def _keep_wall_times(self, now: datetime) -> None:
        with self._premises.database.reading() as db:  # most often there is none, and then no writer waits
            if not wall_times.drifted(db, now):
                return
        with self._premises.database.transaction() as db:
            catalog = self._premises.catalogs.current(db, now.date(), hold_still=True)
            moved, stuck = wall_times.keep(db, catalog, now)
        for drift in moved:
            log.warning("wall_time_kept", reference=drift.reference)
        for drift in stuck:
            log.error("wall_time_taken", reference=drift.reference)
