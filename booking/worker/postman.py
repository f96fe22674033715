"""The postman: claims what is due, looks once more, hands it over and writes its fate down, one lane per receiver."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from booking.database import DatabaseAway
from booking.delivery import webhook
from booking.delivery.failures import Refused, TryLater, Undelivered
from booking.domain.catalog import Catalog
from booking.domain.status import MessageState
from booking.keyring import Unreadable
from booking.operations import fates, last_look, leases, webhooks
from booking.operations.last_look import Done, Later, Ready
from booking.operations.leases import Claimed
from booking.runtime import Runtime
from booking.worker.lanes import Closed, Lane, Send, open_lane

BATCH = 25
# A message is not begun when its lease might end while it is sent.
LONGEST_SENDING = timedelta(seconds=60)
ASK_AGAIN_SECONDS = 0.5
UNREADABLE = "its facts cannot be decrypted: is a key missing from BOOKING_ENCRYPTION_KEYS?"
log = structlog.get_logger(__name__)


class Postman:
    """Delivers what is due. Each lane (all mail, all texts, each webhook) has a thread while there is something in it.

    So no receiver that hangs delays another; and a message is marked before the lane begins the next, so that a kill
    can double one in each lane, and no more.
    """

    def __init__(
        self, premises: Runtime, clock: Callable[[], datetime], stopping: threading.Event, *, name: str
    ) -> None:
        self._premises, self._clock, self._stopping, self._name = premises, clock, stopping, name
        self._threads: dict[Lane, threading.Thread] = {}
        self._broken: set[Lane] = set()

    def round(self) -> bool:
        """Let each lane in which something is due run; returns whether any was begun. Raises DatabaseAway.

        A lane that broke down (a fault of ours, or the database is away) is begun anew by the round after the next.
        """
        now, database = self._clock(), self._premises.database
        broken, self._broken = self._broken, set()
        self._threads = {lane: thread for lane, thread in self._threads.items() if thread.is_alive()}
        with database.reading() as db:
            # Without a program that listens, events wait for the next that does.
            to_share = bool(webhooks.active(db)) and leases.is_due(db, "webhook", now, recipient="")
        while to_share and not self._stopping.is_set():
            self._premises.traffic.give_way()
            with database.transaction() as db:
                to_share = bool(leases.share_out(db, self._premises.keyring, now))
        with database.reading() as db:
            due = [
                lane
                for lane in self._lanes(webhooks.active(db))
                if leases.is_due(db, lane.channel, now, recipient=lane.recipient)
            ]
        begun = [lane for lane in due if lane not in self._threads and lane not in broken]
        for lane in begun:
            thread = threading.Thread(target=self._run, args=[lane], name=f"lane {lane}", daemon=True)
            self._threads[lane] = thread
            thread.start()
        return bool(begun)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all lanes have ended, for so long at most."""
        until = None if seconds is None else time.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _lanes(self, programs: Sequence[str]) -> list[Lane]:
        texts = [Lane("sms")] if self._premises.outside.texts else []
        return [Lane("mail"), Lane("watch"), *texts, *(Lane("webhook", number) for number in programs)]

    def _run(self, lane: Lane) -> None:
        try:
            with open_lane(lane, self._premises) as send:
                while self._deliver_some(lane, send):
                    pass
        except Closed:
            log.info("lane_closed", lane=str(lane))
        except DatabaseAway as away:
            self._broken.add(lane)
            log.debug("postman_waits", reason=str(away))
        except Exception:  # the next round begins the lane anew
            self._broken.add(lane)
            log.exception("lane_failed", lane=str(lane))

    def _deliver_some(self, lane: Lane, send: Send) -> bool:
        """Deliver the next few messages of a lane; returns whether there may be more."""
        database = self._premises.database
        with database.transaction() as db:
            now = self._clock()
            batch = leases.claim(db, self._name, lane.channel, now, limit=BATCH, recipient=lane.recipient)
        left = list(batch)
        try:
            while left and self._may_begin(left[0]):
                self._deliver(left.pop(0), send)
        finally:
            if left:  # told to stop, out of time, or the lane has broken down or closed
                with database.transaction() as db:
                    leases.give_back(db, self._name, left)
        return bool(batch) and not self._stopping.is_set()

    def _may_begin(self, claimed: Claimed) -> bool:
        self._premises.traffic.give_way()
        return not self._stopping.is_set() and self._clock() + LONGEST_SENDING <= claimed.lease_until

    def _deliver(self, claimed: Claimed, send: Send) -> None:
        try:
            found = self._look(claimed)
            if isinstance(found, Ready):
                send(claimed, found, self._clock())
        except Undelivered as failure:
            self._failed(claimed, failure)
        except Unreadable:
            self._failed(claimed, TryLater(UNREADABLE))
        except Closed as closed:
            waits = Later(claimed.due_at, str(closed))
            self._write_down(claimed, lambda db: self._settle(db, claimed, waits))
            raise
        except DatabaseAway:
            raise  # nothing was sent: its lease ends, and it comes again
        except Exception as broken:  # a template or a fault of ours: only this message waits for it
            log.exception("message_not_written", about=claimed.event, message=claimed.name)
            self._failed(claimed, TryLater(f"it could not be written ({type(broken).__name__}); see the log"))
        else:
            self._write_down(claimed, lambda db: self._settle(db, claimed, found))

    def _look(self, claimed: Claimed) -> Ready | Done | Later | None:
        premises, now = self._premises, self._clock()
        with premises.database.reading() as db:
            # Of a message about no visit nobody asks what can be booked.
            about_visit = claimed.appointment_id is not None
            catalog = premises.catalogs.current(db, now.date()) if about_visit else Catalog(0)
            return last_look.look(db, catalog, premises.keyring, self._name, claimed, premises.zone, now)

    def _settle(self, db: Any, claimed: Claimed, found: Ready | Done | Later | None) -> bool:
        if isinstance(found, Ready):
            return fates.sent(db, self._name, claimed, found.to_tell, self._clock())
        if isinstance(found, Done) and found.state == MessageState.DEAD:
            return fates.refused(db, self._name, claimed, found.reason, self._clock())
        if isinstance(found, Done):
            return leases.finish(db, self._name, claimed.id, found.state, found.reason, self._clock())
        if isinstance(found, Later):
            return leases.put_off(db, self._name, claimed.id, found.due_at, found.reason, tried=False)
        return True  # it was withdrawn, or another worker has it

    def _failed(self, claimed: Claimed, failure: Undelivered) -> None:
        log.warning("message_not_taken", about=claimed.event, channel=claimed.channel, message=claimed.name,
                    reason=str(failure))  # fmt: skip
        self._write_down(claimed, lambda db: self._record(db, claimed, failure))

    def _record(self, db: Any, claimed: Claimed, failure: Undelivered) -> bool:
        now, reason = self._clock(), str(failure)
        if isinstance(failure, Refused):
            if failure.gone and claimed.channel == "webhook":
                fates.disable_webhook(db, int(claimed.recipient), fates.GONE, now)
            if failure.gone and claimed.channel == "sms":
                fates.stop_texts(db, self._premises.keyring, claimed.recipient, now)
            return fates.refused(db, self._name, claimed, reason, now)
        after = failure.after if isinstance(failure, TryLater) else None
        table = webhook.RETRY_AFTER if claimed.channel == "webhook" else ()
        return fates.failed(db, self._name, claimed, reason, now, after=after, table=table)

    def _write_down(self, claimed: Claimed, write: Callable[[Any], bool]) -> None:
        """Write a fate down; while the database is away, again and again as long as the message is ours."""
        while True:
            try:
                with self._premises.database.transaction() as db:
                    if not write(db):
                        log.warning("message_was_taken_over", message=claimed.name)
            except DatabaseAway:
                if self._clock() > claimed.lease_until or self._stopping.wait(ASK_AGAIN_SECONDS):
                    raise
            else:
                return
