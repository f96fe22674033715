"""A small clinic to book in, and a look at what is claimed there: each call is a transaction, as it is at the doors."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from booking import clinic
from booking.clinic import Catalog, Location, Offer, Practitioner, Resource, Service, WorkingHours
from booking.database import Database
from booking.domain.errors import (
    AlreadyExtended,
    AppointmentUnknown,
    HoldUnknown,
    NotOffered,
    SlotTaken,
    TimeIsBooked,
    TooLate,
    TooManyHolds,
)
from booking.domain.offers import Wish
from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models import Claim, Lead
from booking.operations import appointments, catalog, catalog_loading, holds, leads, time_off
from booking.operations.appointments import Diary, Visit
from booking.operations.catalog import CatalogCache
from booking.operations.holds import Held
from booking.operations.leads import Desk

TEN = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)  # a Wednesday in Florida
Result = TypeVar("Result")
REFUSALS = (
    AlreadyExtended, AppointmentUnknown, HoldUnknown, NotOffered, SlotTaken, TimeIsBooked, TooLate, TooManyHolds,
)  # fmt: skip
QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
WORDS = clinic.load()
NAMES = {"ann": "Ann Reed", "bob": "Bob Marsh"}

# Two who give everything, one room of each kind: `short` needs nothing else, `long` both rooms and time around it.
MAIN = Location("main", "Main", "America/New_York", "1 Road", "St. Augustine", "FL", "32084", "904-555-0134", "", ())
SHORT = Service("short", "Short", "A short one.", 30, "online", notice_minutes=60)
LONG = replace(SHORT, slug="long", name="Long", duration_minutes=60, needs=("laser", "room"))
LONG = replace(LONG, buffer_before_minutes=15, buffer_after_minutes=30)
CAPPED = replace(SHORT, slug="capped", name="Capped", daily_cap=2)
HIDDEN = replace(SHORT, slug="hidden", name="Hidden", bookable="hidden")


def small(*services: Service, locations: tuple[Location, ...] = (MAIN,)) -> Catalog:
    """A clinic that is open from nine to five, Monday to Saturday, and has two practitioners and two rooms."""
    offered = services or (SHORT, LONG, CAPPED, HIDDEN)
    hours = tuple(WorkingHours(each.slug, day, 540, 1020) for each in locations for day in range(6))
    offers = tuple(Offer(service.slug, each.slug) for service in offered for each in locations)
    return Catalog(
        locations=locations,
        services=offered,
        practitioners=tuple(Practitioner(slug, name, "", offers, hours, ()) for slug, name in NAMES.items()),
        resources=tuple(Resource(kind, kind.title(), kind, locations[0].slug) for kind in ("laser", "room")),
        closures=(),
    )


class Clinic:
    """The clinic at work; `now` is its clock. Who is not the `first` finds its catalogue in the database."""

    def __init__(
        self, database: Database, keyring: Keyring, now: datetime, wanted: Catalog | None = None, *, first: bool = True
    ) -> None:
        self.database, self.keyring, self.now = database, keyring, now
        self._people = 0
        self.wanted = wanted or small()
        if first:
            self.load(self.wanted)
        else:
            self._read()

    def load(self, wanted: Catalog) -> None:
        """Change the catalogue."""
        self.wanted = wanted
        with self.database.transaction() as db:
            catalog_loading.load(db, wanted, now=self.now)
        self._read()

    def _read(self) -> None:
        with self.database.reading() as db:
            self.diary = Diary(catalog.read(db, self.now.date()), self.keyring, "SV")

    def somebody(self) -> int:
        """A new lead."""
        self._people += 1
        person = Submission(name=f"Person {self._people}", email=f"person{self._people}@example.com")
        desk = Desk(WORDS, self.keyring, CatalogCache())
        with self.database.transaction() as db:
            name = f"SV-2222-{self._people:04}"
            return leads.capture(db, person, desk, reference=name, received_at=self.now, now=self.now).lead_id

    def book(self, service: str, at: datetime, who: str = "", *, lead: int | None = None, **more: Any) -> Visit:
        """Book a visit for somebody new, unless for `lead`."""
        lead_id, wish = self.somebody() if lead is None else lead, Wish(service, at, who)
        return self.do(appointments.book, self.diary, wish, lead_id=lead_id, now=self.now, **more)

    def hold(self, service: str, at: datetime, who: str = "", visitor: str | bytes = "somebody") -> Held:
        """Hold a slot for a visitor."""
        named = visitor if isinstance(visitor, bytes) else visitor.encode().ljust(16)
        return self.do(holds.place, self.diary.catalog, Wish(service, at, who), visitor=named, now=self.now)[0]

    def move(self, visit: Visit, at: datetime, **more: Any) -> Visit:
        """Move a visit."""
        return self.do(appointments.reschedule, self.diary, visit, at, now=self.now, **more)

    def cancel(self, visit: Visit, **more: Any) -> Visit:
        """Cancel a visit."""
        told = {"reason": "", "by": "visitor", "now": self.now} | more
        return self.do(appointments.cancel, self.diary, visit, **told)

    def restore(self, visit: Visit) -> Visit:
        """Take a cancellation back."""
        return self.do(appointments.restore, self.diary, visit, self.now)

    def reassign(self, visit: Visit, who: str) -> Visit:
        """Give a visit to somebody else."""
        return self.do(appointments.reassign, self.diary, visit, who, self.now)

    def change_length(self, visit: Visit) -> Visit:
        """Let a visit have what its service takes now."""
        return self.do(appointments.change_length, self.diary, visit, self.now)

    def take_off(self, who: str, starts_at: datetime, ends_at: datetime) -> int:
        """Take time off; returns its id."""
        span = {"starts_at": starts_at, "ends_at": ends_at, "note": "", "now": self.now}
        return self.do(time_off.take, self.diary.catalog, practitioner=who, **span).id

    def give_back(self, time_off_id: int) -> None:
        """Take time off back."""
        self.do(time_off.give_back, time_off_id)

    def tidy_up(self) -> int:
        """Delete what has run out."""
        return self.do(holds.forget_expired, self.now)

    def do(self, operation: Callable[..., Result], *args: Any, **more: Any) -> Result:
        """Let an operation have a transaction of its own; refused, what it has done until then is committed.

        So it is where a lead is stored all the same: an operation itself must leave nothing behind.
        """
        with self.database.transaction() as db:
            try:
                return operation(db, *args, **more)
            except REFUSALS as no:
                refusal = no
        raise refusal

    @property
    def calendars(self) -> dict[int, str]:
        """Whose calendar is which."""
        known = self.diary.catalog
        people = {each.calendar_id: each.slug for each in known.practitioners}
        return people | {each.calendar_id: each.slug for each in known.resources}

    def taken(self, now: datetime | None = None) -> dict[str, list[str]]:
        """What is claimed of each calendar, as `10:00-10:30`, run-out holds left out; what touches is one."""
        return {slug: [f"{_clock(a)}-{_clock(b)}" for a, b in spans] for slug, spans in self.spans(now).items()}

    def spans(self, now: datetime | None = None) -> dict[str, list[tuple[datetime, datetime]]]:
        """The same as instants."""
        found: dict[str, list[tuple[datetime, datetime]]] = {}
        with self.database.reading() as db:
            rows = select(Claim).where(Claim.expires_at.is_(None) | (Claim.expires_at > (now or self.now)))
            for claim in db.scalars(rows.order_by(Claim.starts_at)):
                spans = found.setdefault(self.calendars[claim.calendar_id], [])
                touching = bool(spans) and spans[-1][1] == claim.starts_at
                spans.append((spans.pop()[0] if touching else claim.starts_at, claim.ends_at))
        return dict(sorted(found.items()))

    def versions(self) -> dict[str, int]:
        """The version of each calendar."""
        with self.database.reading() as db:
            rows = db.execute(text("select id, version from calendar")).all()
        return {self.calendars[number]: version for number, version in rows}


def _clock(instant: datetime) -> str:
    return (instant - timedelta(hours=5)).strftime("%H:%M")  # Florida in winter


def lead_of(db: Session, reference: str) -> int:
    """The id of a lead."""
    return db.scalars(select(Lead.id).where(Lead.reference == reference)).one()


def rows(database: Database, *but: str) -> Mapping[str, list[Any]]:
    """Every row of every table that booking can change."""
    tables = {"appointment", "hold", "time_off", "claim", "calendar"} - set(but)
    with database.reading() as db:
        return {table: sorted(map(str, db.execute(text(f"select * from {table}")).all())) for table in tables}


def overlaps(database: Database) -> int:
    """How many pairs of claims of one calendar overlap, counted by the database."""
    query = """
        select count(*) from claim one join claim other on one.calendar_id = other.calendar_id and one.id < other.id
        where one.starts_at < other.ends_at and other.starts_at < one.ends_at
    """
    with database.reading() as db:
        return int(db.execute(text(query)).scalar_one())


def remove_the_guard(database: Database) -> None:
    """Take away what makes the database refuse overlapping claims: for the twins, which must then see some."""
    statements = {
        "sqlite": ["drop trigger claim_overlap_insert", "drop trigger claim_overlap_update"],
        "postgresql": ["alter table claim drop constraint ex_claim_overlap"],
    }
    with database.transaction() as db:
        for statement in statements[database.dialect]:
            db.execute(text(statement))
