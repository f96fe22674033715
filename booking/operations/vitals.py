"""Vitals: how the service does, read from its own rows: for the digest, the doctor, the metrics and the alarm."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain import silence
from booking.domain.status import MessageState
from booking.models.lead import WATCH, Lead
from booking.models.outbox import Pulse
from booking.operations import outbox, witness

WORKER, WATCHED, ALARMED = "worker", "watch", "alarm"
A_DAY, A_WEEK = timedelta(days=1), timedelta(days=7)
WEEKS = 8
LATE_AFTER = timedelta(minutes=15)  # a message that is due and not even tried
TRIED_IN_VAIN, MAILBOXES = 6, 3  # with the waits in between, ten minutes or so
BEAT_WITHIN = timedelta(minutes=2)
SEEN_WITHIN = timedelta(minutes=5)

pulses = cast(Table, Pulse.__table__)


@dataclass(frozen=True)
class Vitals:
    """The signs: messages by channel and state (those that are done, of the last day), and when what was last done.

    `failing` is how many letters and texts are tried again and again, and the newest reason; `not_compared` how many
    posts that Webflow saw could not be compared with our leads. `days` counts enquiries since midnight, today first,
    and then up to the same hour on the same weekday before; `quiet` those of as long a time in weeks before as none has
    come since `last_enquiry`.
    """

    messages: dict[tuple[str, str], int]
    oldest_due: datetime | None
    failing: tuple[int, str]
    not_compared: int
    worker: datetime | None
    watch: dict[str, Any]
    days: tuple[int, ...]
    last_enquiry: datetime | None = None
    quiet: tuple[int, ...] = ()

    @property
    def dead(self) -> int:
        """How many messages died within a day."""
        return sum(number for (_, state), number in self.messages.items() if state == MessageState.DEAD)


def read(db: Session, zone: ZoneInfo, now: datetime) -> Vitals:
    """The signs as they are now; `zone` is the clinic's clock."""
    found = {pulse.name: pulse for pulse in db.scalars(select(Pulse))}
    worker, watch = found.get(WORKER), found.get(WATCHED)
    return Vitals(
        messages=outbox.counts(db, now - A_DAY),
        oldest_due=outbox.oldest_due(db, now),
        failing=outbox.failing(db, TRIED_IN_VAIN, MAILBOXES),
        not_compared=witness.stuck(db, now),
        worker=worker.beat_at if worker else None,
        watch=watch.details | {"posted_at": watch.beat_at} if watch else {},
        days=tuple(_enquiries(db, zone, now)),
        last_enquiry=(last := _last_enquiry(db)),
        quiet=tuple(_as_long_before(db, zone, last, now)) if last else (),
    )


def faults(vitals: Vitals, zone: ZoneInfo, now: datetime) -> Iterator[tuple[str, str]]:
    """What is wrong, as a short name and a sentence; nothing if all is well."""
    # With nothing to do none is missed: somebody may just be setting the service up.
    waits = vitals.oldest_due is not None and now - vitals.oldest_due > BEAT_WITHIN
    if waits and (vitals.worker is None or now - vitals.worker > BEAT_WITHIN):
        since = f"since {_shown(vitals.worker, zone)}" if vitals.worker else "yet"
        yield "worker", f"No worker has been running {since}: run `booking serve` or `booking work`."
    if vitals.oldest_due is not None and now - vitals.oldest_due > LATE_AFTER:
        yield "late", f"A message should have been sent at {_shown(vitals.oldest_due, zone)} and was not."
    number, reason = vitals.failing
    if number:
        yield "failing", f"{number} letters or texts are tried again and again, and not taken: {reason}."
    if vitals.dead:
        yield "dead", f"{vitals.dead} messages within a day did not arrive: see `booking messages list`."
    if vitals.not_compared:
        yield (
            "webflow",
            f"{vitals.not_compared} enquiries that Webflow saw could not be compared with ours: see the log.",
        )
    posted = vitals.watch.get("posted_at")
    if posted and (vitals.watch.get("failed") or (not vitals.watch.get("seen_at") and now - posted > SEEN_WITHIN)):
        why = vitals.watch.get("failed") or "it was posted, but not seen to its end"
        yield "watch", f"The form was tested at {_shown(posted, zone)} and does not work: {why}."
    if vitals.days and silence.is_unusual(vitals.days[0], vitals.days[1:]):
        yield "silence", f"Only {vitals.days[0]} enquiries today: far fewer than on this weekday before."
    elif vitals.last_enquiry is not None and silence.is_too_long(vitals.quiet):
        yield "silence", f"No enquiry has come since {_shown(vitals.last_enquiry, zone)}: far longer than before."


def form_in_words(vitals: Vitals, zone: ZoneInfo) -> str:
    """Whether the form was tested, and works, in a sentence."""
    posted = vitals.watch.get("posted_at")
    if posted is None:
        return "The form has not been tested by itself yet."
    if vitals.watch.get("seen_at"):
        return f"The form was tested at {_shown(posted, zone)}, and works."
    return f"The form was tested at {_shown(posted, zone)}: {vitals.watch.get('failed') or 'it is not known yet how'}."


def beat(db: Session, name: str, now: datetime, details: dict[str, Any] | None = None) -> None:
    """Note that something was done now, in place of when it was done before."""
    connection = db.connection()
    row = {"name": name, "beat_at": now, "details": details or {}}
    connection.execute(_BEAT[connection.dialect.name], row)


def last(db: Session, name: str) -> Pulse | None:
    """When something was last done, and what was noted."""
    return db.get(Pulse, name, populate_existing=True)


def _enquiries(db: Session, zone: ZoneInfo, now: datetime) -> Iterator[int]:
    first = db.scalar(select(func.min(Lead.received_at)).where(Lead.door != WATCH))
    for week in range(WEEKS + 1):
        # The same time on the wall, also across a change of the clock.
        until = (now.astimezone(zone) - week * A_WEEK).replace(fold=0)
        midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
        if week and (first is None or midnight < first):
            return
        those = (Lead.received_at >= midnight, Lead.received_at <= until, Lead.door != WATCH)
        yield db.scalar(select(func.count()).select_from(Lead).where(*those)) or 0


def _last_enquiry(db: Session) -> datetime | None:
    return db.scalar(select(func.max(Lead.received_at)).where(Lead.door != WATCH))


def _as_long_before(db: Session, zone: ZoneInfo, last: datetime, now: datetime) -> Iterator[int]:
    first = db.scalar(select(func.min(Lead.received_at)).where(Lead.door != WATCH)) or now
    whole_weeks = (now - last) // A_WEEK + 1  # so that the silence is not compared with itself
    for week in range(whole_weeks, whole_weeks + WEEKS):
        begins, ends = (at.astimezone(zone) - week * A_WEEK for at in (last, now))
        if begins < first:
            return
        those = (Lead.received_at > begins, Lead.received_at <= ends, Lead.door != WATCH)
        yield db.scalar(select(func.count()).select_from(Lead).where(*those)) or 0


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _beat_statement(module: Any) -> Any:
    insert = module.insert(pulses)
    new = {"beat_at": insert.excluded.beat_at, "details": insert.excluded.details}
    return insert.on_conflict_do_update(index_elements=["name"], set_=new)


_BEAT = {name: _beat_statement(module) for name, module in (("postgresql", postgresql), ("sqlite", sqlite))}
