"""The watch: tests the form as a visitor would, sees whether it comes through to the end, and sounds the alarm."""

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from booking.database import DatabaseAway
from booking.delivery import alarm, outgoing
from booking.delivery.failures import Undelivered
from booking.operations import digest, notifications, vitals
from booking.runtime import Runtime

BEAT_EVERY = timedelta(seconds=30)
LOOK_EVERY = timedelta(minutes=1)
FIRST_AFTER = timedelta(minutes=2)  # what has just been started may still be on its way up
ALARM_AGAIN_AFTER = timedelta(hours=6)
DIGEST_STILL_OF_TODAY = timedelta(hours=1)
AWAY_FOR = timedelta(minutes=2)
AWAY = "The database does not answer. Enquiries are safe ({waiting} wait on disk), but nobody hears of them."
HEADER = "X-Booking-Watch"
log = structlog.get_logger(__name__)


class Watch:
    """Looks after the service once a minute; what may hang, it does in a thread of its own."""

    def __init__(self, premises: Runtime, clock: Callable[[], datetime]) -> None:
        self._premises, self._clock = premises, clock
        self._began = clock()
        self._beaten: datetime | None = None
        self._looked: datetime | None = None
        self._away_since: datetime | None = None
        self._away_told = False
        self._outside: threading.Thread | None = None

    def round(self) -> None:
        """Do what is due; raises DatabaseAway, of which the alarm tells if it lasts."""
        now = self._clock()
        try:
            self._do_what_is_due(now)
        except DatabaseAway:
            self._away_since = self._away_since or now
            if now - self._away_since >= AWAY_FOR and not self._away_told:
                self._away_told = True
                self._outside = self._start(self._tell_that_the_database_is_away, now)
            raise
        self._away_since, self._away_told = None, False

    def _do_what_is_due(self, now: datetime) -> None:
        database = self._premises.database
        if self._beaten is None or now - self._beaten >= BEAT_EVERY:
            with database.transaction() as db:
                vitals.beat(db, vitals.WORKER, now)
            self._beaten = now
        if self._looked is None or now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._write_digest(now)
            self.see()
            self._go_outside(now)

    def test_form(self) -> str:
        """Post an enquiry to our own address as a website does; returns what failed, empty if it was received."""
        premises, now = self._premises, self._clock()
        body = {"name": "Test", "email": premises.clinic.email, "message": "Test", "submission_key": now.isoformat()}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            HEADER: premises.keyring.token("watch"),
        }
        details: dict[str, Any] = {}
        try:
            answer = outgoing.post(f"{premises.base_url}/leads", json.dumps(body).encode(), headers, guard=False)
            if answer.status in (201, 202):
                details["reference"] = json.loads(answer.body)["reference"]
            else:
                details["failed"] = f"it answered {answer.status}"
        except Undelivered as failure:
            details["failed"] = str(failure)
        except (ValueError, KeyError, TypeError):
            details["failed"] = "it answered, but named no reference"
        with premises.database.transaction() as db:
            vitals.beat(db, vitals.WATCHED, now, details)
        return str(details.get("failed", ""))

    def see(self) -> None:
        """Note that the enquiry posted last has come through to the end: stored, and its message delivered."""
        with self._premises.database.reading() as db:
            found = vitals.last(db, vitals.WATCHED)
            reference = found.details.get("reference") if found and not found.details.get("seen_at") else None
            seen = reference is not None and notifications.was_told(db, reference)
        if found is not None and seen:
            with self._premises.database.transaction() as db:
                details = found.details | {"seen_at": self._clock().isoformat()}
                vitals.beat(db, vitals.WATCHED, found.beat_at, details)

    def sound_alarm(self, now: datetime) -> list[str]:
        """Tell by the second channel of each fault that was not told of for a while; returns what was told."""
        premises = self._premises
        with premises.database.reading() as db:
            found = dict(vitals.faults(vitals.read(db, premises.zone, now), premises.zone, now))
            before = vitals.last(db, vitals.ALARMED)
        told = {name: at for name, at in (before.details if before else {}).items() if name in found}
        due = [name for name in found
               if name not in told or now - datetime.fromisoformat(told[name]) >= ALARM_AGAIN_AFTER]  # fmt: skip
        sentences = [found[name] for name in due]
        if sentences:
            log.error("fault_seen", faults=due)
            if premises.outside.alarm_url:
                alarm.sound(premises.outside.alarm_url, " ".join(sentences), guard=premises.outside.guarded)
        if due or len(told) != len(before.details if before else {}):
            with premises.database.transaction() as db:
                vitals.beat(db, vitals.ALARMED, now, told | dict.fromkeys(due, now.isoformat()))
        return sentences

    def _write_digest(self, now: datetime) -> None:
        premises = self._premises
        due = digest.due_since(premises.zone, now)
        with premises.database.reading() as db:
            last = vitals.last(db, digest.EVENT)
        if due is None or (last is not None and last.beat_at >= due):
            return
        begins = last is None and now - due > DIGEST_STILL_OF_TODAY  # a service that is new has nothing to tell yet
        with premises.database.transaction() as db:
            if not begins:
                digest.write(db, premises.keyring, premises.outside.desk, premises.zone, now,
                             undrained=premises.spool.depth())  # fmt: skip
            vitals.beat(db, digest.EVENT, now)

    def _go_outside(self, now: datetime) -> None:
        if self._outside is None or not self._outside.is_alive():
            self._outside = self._start(self._look_outside, now)

    def _start(self, look: Callable[[datetime], None], now: datetime) -> threading.Thread:
        thread = threading.Thread(target=look, args=[now], name="watch", daemon=True)
        thread.start()
        return thread

    def _tell_that_the_database_is_away(self, now: datetime) -> None:
        outside, waiting = self._premises.outside, self._premises.spool.depth()
        log.error("fault_seen", faults=["database"])
        if outside.alarm_url:
            try:
                alarm.sound(outside.alarm_url, AWAY.format(waiting=waiting), guard=outside.guarded)
            except Undelivered as failure:
                self._away_told = False  # again with the next round
                log.error("alarm_not_sounded", reason=str(failure), at=now.isoformat())  # noqa: TRY400  as below

    def _look_outside(self, now: datetime) -> None:
        try:
            if self._test_is_due(now) and (failed := self.test_form()):
                log.error("form_does_not_work", reason=failed)
            self.sound_alarm(now)
        except Undelivered as failure:
            log.error("alarm_not_sounded", reason=str(failure))  # noqa: TRY400  the reason says it all
        except Exception:  # seen again in a minute
            log.exception("watch_failed")

    def _test_is_due(self, now: datetime) -> bool:
        every = timedelta(minutes=self._premises.outside.watch_minutes)
        if not every or now - self._began < FIRST_AFTER:
            return False
        with self._premises.database.reading() as db:
            last = vitals.last(db, vitals.WATCHED)
        if last is None:
            return True
        # Of the last one it must be seen first that it does not come through.
        in_hand = "reference" in last.details and "seen_at" not in last.details
        return now - last.beat_at >= max(every, 2 * vitals.SEEN_WITHIN if in_hand else every)
