"""Housekeeping: what is done again and again beside the web server: waiting leads are brought in, old things go."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from booking import reception
from booking.database import DatabaseAway
from booking.operations import holds, leads, wall_times, witness
from booking.operations.appointments import Diary
from booking.runtime import Runtime

TIDY_EVERY = timedelta(minutes=1)
TESTS_LAST = timedelta(days=1)
log = structlog.get_logger(__name__)


class Housekeeping:
    """Drains the spool at each round; once a minute it tidies up."""

    def __init__(self, premises: Runtime, clock: Callable[[], datetime], stopping: threading.Event) -> None:
        self._premises, self._clock, self._stopping = premises, clock, stopping
        self._tidied: datetime | None = None

    def round(self) -> None:
        """Do once what there is to do."""
        self._drain()
        self._look_at_the_catalogue()
        self._tidy_up()

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
                leads.forget_tests(db, now - TESTS_LAST)
                witness.forget(db, now)
            self._tidied = now
            self._ask_the_witness(now)

    def _ask_the_witness(self, now: datetime) -> None:
        """Take in what only Webflow saw; each post in a transaction of its own."""
        with self._premises.database.reading() as db:
            waiting = witness.waiting(db, now)
        for post_id in waiting:
            try:
                with self._premises.database.transaction() as db:
                    imported = witness.reconcile(db, self._premises.desk, post_id, now)
            except DatabaseAway:
                raise
            except Exception:  # those behind it must not wait for it
                log.exception("witnessed_post_not_compared", post=post_id)
                with self._premises.database.transaction() as db:
                    witness.put_off(db, post_id, now)
                continue
            if imported:
                log.error("lead_was_seen_by_webflow_alone", reference=imported)

    def _keep_wall_times(self, now: datetime) -> None:
        with self._premises.database.reading() as db:  # most often there is none, and then no writer waits
            if not wall_times.drifted(db, now):
                return
        with self._premises.database.transaction() as db:
            parts = self._premises
            catalog = parts.catalogs.current(db, now.date(), hold_still=True)
            diary = Diary(catalog, parts.keyring, parts.clinic.reference_prefix, parts.telling)
            moved, stuck = wall_times.keep(db, diary, now)
        for drift in moved:
            log.warning("wall_time_kept", reference=drift.reference)
        for drift in stuck:
            log.error("wall_time_taken", reference=drift.reference)
