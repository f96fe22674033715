"""The law of slots: what is found is what a look at every minute finds, all of it books, and all else has a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from booking.domain.catalog import Closure, ExtraHours, Service, WorkingHours
from booking.domain.slots import Span, claimed_span
from tests.practice import ANN, BOB, LASER, OTHER_ROOM, ROOM, VISIT, Practice, minutes_of, obvious

# Each zone with the days around which its clock jumps: both changes of a year, or a day that was left out.
EDGES = {
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14), date(2027, 11, 7)],
    "America/Chicago": [date(2026, 3, 8), date(2026, 11, 1)],
    "America/Havana": [date(2026, 3, 8), date(2026, 11, 1)],
    "America/Santiago": [date(2026, 4, 4), date(2026, 9, 6)],
    "America/Nuuk": [date(2026, 3, 28), date(2026, 10, 24)],
    "Africa/Cairo": [date(2026, 4, 24), date(2026, 10, 29)],
    "Africa/Casablanca": [date(2026, 2, 15), date(2026, 3, 22)],
    "Antarctica/Troll": [date(2026, 3, 29), date(2026, 10, 25)],
    "Asia/Kolkata": [date(2026, 3, 8)],
    "Atlantic/Azores": [date(2026, 3, 29), date(2026, 10, 25)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
    "Europe/London": [date(2026, 3, 29), date(2026, 10, 25)],
    "Pacific/Apia": [date(2011, 12, 30)],
    "Pacific/Kiritimati": [date(1994, 12, 31), date(2026, 3, 8)],
}


@dataclass(frozen=True)
class Case:
    """A question and all that bears on its answer."""

    practice: Practice
    window: Span
    taken: Mapping[int, Sequence[Span]]
    full_days: frozenset[date]
    now: datetime

    def find(self) -> set[tuple[int, int]]:
        """Each start that is offered, with whom."""
        found = self.practice.find(self.window, self.taken, self.full_days, self.now)
        order = [(slot.starts, self.practice.people.index(slot.practitioner.id)) for slot in found]
        assert order == sorted(set(order))
        return {(slot.starts, slot.practitioner.id) for slot in found}

    def is_free(self, start: int, who: int) -> bool:
        """Whether a visit would meet no claim, and no cap, minute by minute."""
        visit, begin, end = self.practice.visit, *claimed_span(self.practice.visit, start)
        claimed = minutes_of([(begin, end)])
        free = {each for each in (who, *self.practice.rooms) if not claimed & minutes_of(self.taken.get(each, ()))}
        kinds = [{room for room, of in self.practice.rooms.items() if of == kind} for kind in visit.needs]
        on = datetime.fromtimestamp(start, ZoneInfo(self.practice.zone)).date()
        return who in free and all(free & kind for kind in kinds) and on not in self.full_days


def mostly(usual: object, *rare: object) -> st.SearchStrategy[Any]:
    """The usual in three of four cases, so that what is rare does not leave most clinics empty."""
    return st.sampled_from([usual] * 3 * len(rare) + list(rare))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zone, edge = draw(st.sampled_from([(zone, edge) for zone, edges in EDGES.items() for edge in edges]))
    nearby = st.integers(-2, 2).map(lambda days: edge + timedelta(days=days))
    early = datetime(edge.year, edge.month, edge.day, tzinfo=UTC) - timedelta(days=4)
    bare = Practice(draw(hours), zone, draw(visits()))
    first, last = bare.window(edge - timedelta(days=draw(st.integers(0, 2))), draw(st.integers(2, 3)))
    cut = mostly(0, 1, 77, 600)
    window = first + 60 * draw(cut), last - 60 * draw(cut)
    practice = replace(
        bare,
        people=draw(st.sampled_from([(ANN,), (ANN, BOB), (BOB, ANN)])),
        rooms={each: kind for each, kind in ROOMS.items() if draw(mostly(True, False))},
        weekly=draw(st.lists(weekly_hours(nearby), max_size=4)),
        extra=draw(st.lists(extra_hours(nearby), max_size=2)),
        closures=draw(st.lists(closures(nearby), max_size=1)),
    )
    taken = {each: draw(claims(window)) for each in (*practice.people, *practice.rooms)}
    now = early + draw(mostly(timedelta(0), draw(st.timedeltas(timedelta(0), timedelta(days=6)))))
    return Case(practice, window, taken, draw(mostly(frozenset(), draw(st.frozensets(nearby, max_size=1)))), now)


ROOMS = {ROOM: "room", OTHER_ROOM: "room", LASER: "laser"}
buffers = mostly(0, 5, 10, 15, 37)
clocks = st.sampled_from([0, 30, 60, 90, 120, 150, 180, 540, 600, 720, 780, 1020, 1410, 1440]) | st.integers(0, 1440)
openings = st.lists(clocks, min_size=2, max_size=2, unique=True).map(sorted)


def written(minutes: Sequence[int]) -> list[str]:
    """Openings that touch, from each of some minutes to the next."""
    shown = [f"{each // 60}:{each % 60}" for each in minutes]
    return [f"{opens}-{closes}" for opens, closes in pairwise(shown)]


touching = st.lists(clocks, min_size=3, max_size=4, unique=True).map(sorted).map(written)
hours = st.lists(openings.map(written).map("".join), max_size=3) | touching


@st.composite
def visits(draw: st.DrawFn) -> Service:
    return replace(
        VISIT,
        duration_minutes=draw(st.sampled_from([5, 20, 30, 45, 60, 90, 200])),
        buffer_before_minutes=draw(buffers),
        buffer_after_minutes=draw(buffers),
        step_minutes=draw(st.sampled_from([5, 7, 15, 20, 30, 60, 75])),
        notice_minutes=draw(mostly(0, 60, 1440, 1441)),
        horizon_days=draw(mostly(30, 0, 2, 4)),
        needs=draw(mostly((), ("room",), ("laser", "room"))),
    )


@st.composite
def weekly_hours(draw: st.DrawFn, nearby: st.SearchStrategy[date]) -> WorkingHours:
    days = st.none() | nearby
    on, (opens, closes) = draw(nearby), draw(openings)
    return WorkingHours(draw(st.sampled_from([ANN, BOB])), 1, on.weekday(), opens, closes, draw(days), draw(days))


@st.composite
def extra_hours(draw: st.DrawFn, nearby: st.SearchStrategy[date]) -> ExtraHours:
    return ExtraHours(draw(st.sampled_from([ANN, BOB])), 1, draw(nearby), *draw(openings))


@st.composite
def closures(draw: st.DrawFn, nearby: st.SearchStrategy[date]) -> Closure:
    first, last = sorted([draw(nearby), draw(nearby)])
    return Closure(draw(st.sampled_from([None, 1])), first, last, "a holiday")


@st.composite
def claims(draw: st.DrawFn, window: Span) -> list[Span]:
    """Spans of whole minutes in and around a window, sorted and without overlap; some touch."""
    at, found = window[0] // 60 - 120, []
    for gap, length in draw(
        st.lists(st.tuples(st.sampled_from([0, 5, 30, 45, 60, 61, 400]), st.integers(1, 180)), max_size=12)
    ):
        found.append((60 * (at + gap), 60 * (at + gap + length)))
        at += gap + length
    return found


@given(cases())
def test_what_is_found_is_what_a_look_at_every_minute_finds(case: Case) -> None:
    assert case.find() == obvious(case.practice, case.window, case.taken, case.full_days, case.now)


@given(cases())
def test_every_slot_books(case: Case) -> None:
    for start, who in case.find():
        assert case.practice.why_not(start, who, case.now) == ""
        assert case.is_free(start, who)


@given(cases(), st.data())
def test_every_time_that_is_not_offered_is_refused(case: Case, data: st.DataObject) -> None:
    found = case.find()
    for start in data.draw(st.lists(st.integers(case.window[0] // 60, case.window[1] // 60), max_size=40)):
        for who in case.practice.people:
            reason = case.practice.why_not(60 * start, who, case.now)
            offered = not reason and case.is_free(60 * start, who) and 60 * start < case.window[1]
            assert offered == ((60 * start, who) in found)


@given(cases())
def test_every_start_of_the_grid_is_either_offered_or_explained(case: Case) -> None:
    """The grid is found by asking long before, for as far ahead as one likes, with nothing taken."""
    found = case.find()
    explained = case.practice.explain(case.window, case.taken, case.full_days, case.now)
    visit = replace(case.practice.visit, notice_minutes=0, horizon_days=90, needs=())
    free = replace(case.practice, visit=visit)
    long_ago = case.now - timedelta(days=30)
    assert not found & explained.keys()
    for practice in (free, replace(free, closures=())):
        grid = obvious(practice, case.window, {}, (), long_ago)
        assert grid <= found | explained.keys()
    assert all(explained.values())
    assert all(case.window[0] <= start < case.window[1] for start, _ in explained)
