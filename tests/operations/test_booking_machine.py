"""Hypothesis walks every road that takes time, in any order, beside a plain model that knows no database."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from booking.database import Database
from booking.domain.catalog import Service
from booking.domain.errors import (
    AlreadyExtended,
    HoldUnknown,
    NotOffered,
    SlotTaken,
    TimeIsBooked,
    TooLate,
    TooManyHolds,
)
from booking.domain.status import AppointmentStatus
from booking.keyring import Keyring
from booking.operations import appointments, holds, time_off
from booking.operations.appointments import Visit
from booking.operations.holds import Held
from tests.visits import CAPPED, HOUR, LONG, QUARTER, REFUSALS, SHORT, TEN, Clinic, overlaps, small

Span = tuple[datetime, datetime]

LONGER = replace(SHORT, duration_minutes=45, buffer_before_minutes=15, needs=("room",))
CATALOGUES = (small(SHORT, LONG, CAPPED), small(LONGER, LONG, CAPPED), small(SHORT, replace(LONG, needs=()), CAPPED))

# ---------------------------------------------------------------- the model


@dataclass
class Taken:
    """A visit or hold: what it takes of which calendar; `expires_at` is a hold's."""

    service: str
    starts_at: datetime
    who: str
    spans: dict[str, Span]
    status: str = "booked"
    expires_at: datetime | None = None
    extended: bool = False
    visitor: str = ""


@dataclass
class Model:
    """The clinic as anybody would write it down: a list of who has what."""

    now: datetime
    services: dict[str, Service]
    taken: dict[int, Taken] = field(default_factory=dict)
    off: dict[int, tuple[str, Span]] = field(default_factory=dict)

    def live(self) -> Iterator[tuple[int, Taken]]:
        """What takes time now."""
        for number, each in self.taken.items():
            if each.expires_at is None or each.expires_at > self.now:
                yield number, each

    def is_free(self, calendar: str, span: Span, but: int | None) -> bool:
        """Whether nothing but one's own is in the way."""
        others = [each.spans[calendar] for number, each in self.live() if number != but and calendar in each.spans]
        others += [there for whose, there in self.off.values() if whose == calendar]
        return not any(meets(span, there) for there in others)

    def place(
        self, service: str, starts_at: datetime, who: str, *, leaving: int | None = None, stays: bool = False
    ) -> Taken:
        """What a visit takes; raises NotOffered, SlotTaken."""
        offered = self.services[service]
        if offered.daily_cap is not None and not stays and self.count(service, leaving) >= offered.daily_cap:
            raise NotOffered("starts_at", "full")
        before, after = offered.buffer_before_minutes, offered.duration_minutes + offered.buffer_after_minutes
        span = starts_at - timedelta(minutes=before), starts_at + timedelta(minutes=after)
        had = self.taken[leaving].spans if leaving in self.taken else {}
        spans = {}
        for need in [[who] if who else ["ann", "bob"], *([kind] for kind in offered.needs)]:
            able = [
                each for each in sorted(need, key=lambda each: each not in had) if self.is_free(each, span, leaving)
            ]
            if not able:
                raise SlotTaken
            spans[able[0]] = span
        return Taken(service, starts_at, next(iter(spans)), spans)

    def count(self, service: str, but: int | None) -> int:
        """How many of a service the day has, a hold of one's own apart."""
        own = but if but in self.taken and self.taken[but].expires_at else None
        return sum(
            each.service == service and each.status != "cancelled" for number, each in self.live() if number != own
        )

    def claimed(self) -> dict[str, list[Span]]:
        """What is claimed of each calendar; what touches is one."""
        found: dict[str, list[Span]] = {}
        spans = [pair for _, each in self.live() for pair in each.spans.items()]
        for calendar, span in sorted([*spans, *self.off.values()], key=lambda pair: pair[1]):
            there = found.setdefault(calendar, [])
            if there and span[0] <= there[-1][1]:
                span = (there[-1][0], max(span[1], there.pop()[1]))  # noqa: PLW2901  one span with what it touches
            there.append(span)
        return dict(sorted(found.items()))


def meets(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


# ---------------------------------------------------------------- the roads

times = st.integers(-1, 4).map(lambda quarters: TEN + quarters * QUARTER)
people = st.sampled_from(["", "ann", "bob"])
services = st.sampled_from(["short", "long", "capped"])
any_of = st.integers(0, 7)


class Machine(RuleBasedStateMachine):
    """Each rule does one thing to the clinic and to the model, which must agree on it."""

    def __init__(self, clinic: Clinic, lead: int) -> None:
        super().__init__()
        self.clinic, self.lead = clinic, lead
        self.visits: dict[int, Visit] = {}
        self.holds: dict[int, Held] = {}

    @initialize()
    def empty(self) -> None:
        self.clinic.now = TEN - 24 * HOUR
        with self.clinic.database.transaction() as db:
            for table in ("claim", "appointment", "hold", "time_off"):
                db.execute(text(f"delete from {table}"))
        self.model = Model(self.clinic.now, {})
        self.change_the_catalogue(0)

    @rule(minutes=st.integers(1, 11))
    def tick(self, minutes: int) -> None:
        self.clinic.now += timedelta(minutes=minutes)
        self.model.now = self.clinic.now

    @rule(number=st.integers(0, 2))
    def change_the_catalogue(self, number: int) -> None:
        if self.clinic.wanted is not CATALOGUES[number]:
            self.clinic.load(CATALOGUES[number])
        self.model.services = {each.slug: each for each in self.clinic.diary.catalog.services}

    @precondition(lambda self: self.holds)
    @rule(service=services, at=times, who=people, which=any_of, pending=st.booleans())
    def book_from_a_hold(self, service: str, at: datetime, who: str, which: int, pending: bool) -> None:
        hold_id, held = nth(self.holds, which)
        live = hold_id if hold_id in dict(self.model.live()) else None
        status = AppointmentStatus.PENDING if pending else AppointmentStatus.BOOKED
        token = held.token if held else ""
        made = self.both(
            lambda: replace(self.model.place(service, at, who, leaving=live), status=status.value),
            lambda: self.clinic.book(
                service, at, who, lead=self.lead, hold_token=token, status=status, by_desk=pending
            ),
        )
        if made is not None:
            self.model.taken.pop(live or 0, None)
            self.keep(*made)

    @rule(service=services, at=times, who=people)
    def book_plainly(self, service: str, at: datetime, who: str) -> None:
        made = self.both(
            lambda: self.model.place(service, at, who), lambda: self.clinic.book(service, at, who, lead=self.lead)
        )  # fmt: skip
        if made is not None:
            self.keep(*made)

    @rule(service=services, at=times, who=people, visitor=st.sampled_from(["one", "two"]))
    def hold(self, service: str, at: datetime, who: str, visitor: str) -> None:
        def modelled() -> Taken:
            if sum(each.visitor == visitor for _, each in self.model.live()) == 2:
                raise TooManyHolds
            taken = self.model.place(service, at, who)
            return replace(taken, expires_at=self.model.now + holds.LASTS, visitor=visitor)

        made = self.both(modelled, lambda: self.clinic.hold(service, at, who, visitor))
        if made is not None:
            self.model.taken[made[1].id], self.holds[made[1].id] = made

    @precondition(lambda self: self.holds)
    @rule(which=any_of)
    def extend(self, which: int) -> None:
        hold_id, held = nth(self.holds, which)

        def modelled() -> Taken:
            there = dict(self.model.live()).get(hold_id or 0)
            if there is None:
                raise HoldUnknown
            if there.extended:
                raise AlreadyExtended
            if len(there.spans) < 1 + len(self.model.services[there.service].needs):
                raise HoldUnknown
            return replace(there, expires_at=self.model.now + holds.LASTS, extended=True)

        token = held.token if held else "none"
        made = self.both(modelled, lambda: self.clinic.do(holds.extend, token, self.clinic.now))
        if made is not None:
            self.model.taken[hold_id or 0] = made[0]

    @precondition(lambda self: self.holds)
    @rule(which=any_of)
    def release(self, which: int) -> None:
        hold_id, held = nth(self.holds, which)
        if hold_id in dict(self.model.live()):
            self.both(lambda: None, lambda: self.clinic.do(holds.release, held))
            self.model.taken.pop(hold_id or 0)

    @precondition(lambda self: self.visits)
    @rule(which=any_of)
    def cancel(self, which: int) -> None:
        def modelled(there: Taken) -> Taken:
            return replace(there, status="cancelled", spans={})

        self.change(which, modelled, self.clinic.cancel)

    @precondition(lambda self: self.visits)
    @rule(which=any_of)
    def restore(self, which: int) -> None:
        def modelled(there: Taken) -> Taken:
            if there.status != "cancelled":
                raise TooLate
            return self.model.place(there.service, there.starts_at, there.who)

        self.change(which, modelled, self.clinic.restore)

    @precondition(lambda self: self.visits)
    @rule(which=any_of, at=times, who=people)
    def move(self, which: int, at: datetime, who: str) -> None:
        self.change(
            which,
            lambda there: self.keep_place(there, at, who or there.who),
            lambda visit: self.clinic.move(visit, at, practitioner=who),
        )

    @precondition(lambda self: self.visits)
    @rule(which=any_of, who=st.sampled_from(["ann", "bob"]))
    def reassign(self, which: int, who: str) -> None:
        self.change(
            which,
            lambda there: self.keep_place(there, there.starts_at, who),
            lambda visit: self.clinic.reassign(visit, who),
        )

    @precondition(lambda self: self.visits)
    @rule(which=any_of)
    def change_length(self, which: int) -> None:
        self.change(
            which, lambda there: self.keep_place(there, there.starts_at, there.who), self.clinic.change_length
        )  # fmt: skip

    @precondition(lambda self: self.visits)
    @rule(which=any_of)
    def confirm(self, which: int) -> None:
        def modelled(there: Taken) -> Taken:
            if there.status != "pending":
                raise TooLate
            return replace(there, status="booked")

        def real(visit: Visit) -> Visit:
            self.clinic.do(appointments.accept, self.clinic.diary, visit.row.id, self.clinic.now)
            with self.clinic.database.reading() as db:
                return appointments.by_token(db, self.clinic.diary.catalog, visit.token, self.clinic.now)

        self.change(which, modelled, real)

    @rule(whose=st.sampled_from(["ann", "room"]), at=times, quarters=st.integers(1, 6))
    def take_off(self, whose: str, at: datetime, quarters: int) -> None:
        span = (at, at + quarters * QUARTER)
        in_the_way = {number: each for number, each in self.model.live() if meets_on(whose, span, each)}

        def modelled() -> None:
            if visits := [each for each in in_the_way.values() if each.expires_at is None]:
                raise TimeIsBooked([each.service for each in visits])

        calendar = next(number for number, slug in self.clinic.calendars.items() if slug == whose)
        told = {"calendar_id": calendar, "starts_at": at, "ends_at": span[1], "note": "", "now": self.clinic.now}
        made = self.both(modelled, lambda: self.clinic.do(time_off.take, self.clinic.diary.catalog, **told))
        if made is not None:
            self.model.off[made[1].id] = (whose, span)
            for number in in_the_way:
                self.model.taken.pop(number)

    @precondition(lambda self: self.model.off)
    @rule(which=any_of)
    def give_back(self, which: int) -> None:
        number, _ = nth(self.model.off, which)
        self.both(lambda: None, lambda: self.clinic.give_back(number or 0))
        self.model.off.pop(number or 0, None)

    @rule()
    def tidy_up(self) -> None:
        self.clinic.do(holds.forget_expired, self.clinic.now)

    # ------------------------------------------------------------ what holds after each

    @invariant()
    def the_database_has_what_the_model_has_and_nothing_overlaps(self) -> None:
        assert overlaps(self.clinic.database) == 0
        assert self.clinic.spans() == self.model.claimed()

    def both(self, modelled: Callable[[], Any], real: Callable[[], Any]) -> tuple[Any, Any] | None:
        """Do it to both: what they say, or None where both refuse, for one reason and without a trace."""
        before, plain = self.seen(), copy.deepcopy(self.model)
        try:
            expected = modelled()
        except REFUSALS as refusal:
            with pytest.raises(type(refusal)):
                real()
            assert self.seen() == before
            assert self.model == plain
            return None
        made = real()
        self.check_versions(before, self.seen())
        return expected, made

    def change(self, which: int, modelled: Callable[[Taken], Taken], real: Callable[[Visit], Visit]) -> None:
        number, visit = nth(self.visits, which)
        if number is None or visit is None:
            return
        made = self.both(lambda: modelled(self.model.taken[number]), lambda: real(visit))
        if made is not None:
            self.keep(*made)

    def keep_place(self, there: Taken, at: datetime, who: str) -> Taken:
        if there.status == "cancelled":
            raise TooLate
        number = next(number for number, each in self.model.taken.items() if each is there)
        placed = self.model.place(there.service, at, who, leaving=number, stays=True)
        return replace(placed, status=there.status)

    def keep(self, expected: Taken, visit: Visit) -> None:
        self.model.taken[visit.row.id], self.visits[visit.row.id] = expected, visit
        assert (visit.row.status, visit.row.starts_at) == (expected.status, expected.starts_at)
        assert visit.practitioner.slug == expected.who

    def seen(self) -> dict[str, Sequence[Any]]:
        """Everything that anybody could notice; run-out holds and their claims are nothing."""
        live = " where expires_at is null or expires_at > :now"
        now = self.clinic.now
        given = {"now": now if self.clinic.database.dialect == "postgresql" else f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}
        with self.clinic.database.reading() as db:
            queries = {
                "claim": f"select * from claim{live} order by id",
                "hold": f"select * from hold{live} order by id",
                "appointment": "select * from appointment order by id",
                "time_off": "select * from time_off order by id",
                "calendar": "select id, version from calendar order by id",
            }
            return {name: db.execute(text(query), given).all() for name, query in queries.items()}

    def check_versions(self, before: dict[str, Sequence[Any]], after: dict[str, Sequence[Any]]) -> None:
        old, new = ({row.id: row.version for row in seen["calendar"]} for seen in (before, after))
        for number in new:
            claims = ([row for row in seen["claim"] if row.calendar_id == number] for seen in (before, after))
            changed = next(claims) != next(claims)
            assert new[number] == old[number] + changed, f"{self.clinic.calendars[number]} {changed=}"


def nth(things: dict[int, Any], which: int) -> tuple[int | None, Any]:
    """One of those that are there, and none if there is none."""
    numbers = list(things)
    return (numbers[which % len(numbers)], things[numbers[which % len(numbers)]]) if numbers else (None, None)


def meets_on(calendar: str, span: Span, each: Taken) -> bool:
    return calendar in each.spans and meets(each.spans[calendar], span)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_road_in_any_order_does_what_the_model_does(database: Database, keyring: Keyring, now: datetime) -> None:
    clinic = Clinic(database, keyring, now, CATALOGUES[0])
    lead = clinic.somebody()
    given = settings(
        max_examples=settings().max_examples // 3,
        stateful_step_count=50,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(lambda: Machine(clinic, lead), settings=given)  # type: ignore[arg-type]  # any callable will do
