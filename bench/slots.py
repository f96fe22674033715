"""How fast free slots are computed, beside the library `portion` computing the same ones.

    python -m bench.slots [--rounds 15]

Both turn the clinic's wall times into instants, take away what is claimed, buffers included, and list the starts that
are left; a change of the clock lies among the days, and the answers must be equal. Ours is measured with the instants
of wall times forgotten before each run (cold) and remembered (warm).
"""

import argparse
import random
import statistics
import time as stopwatch
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import portion

from booking.domain import clock, slots
from booking.domain.catalog import Catalog, Closure, Location, Practitioner, Service, WorkingHours
from booking.domain.slots import Slot, Span

FIRST = date(2026, 10, 20)
NOW = datetime(2026, 10, 19, 12, tzinfo=UTC)
OPENINGS = ((8 * 60, 13 * 60), (14 * 60, 19 * 60))
PLACE = Location(
    1, "main", "Main Street", "America/New_York", "1 Main Street", "Anytown", "FL", "32080", "904-555-0134"
)
VISIT = Service(1, "adjustment", "Adjustment", "", duration_minutes=30, buffer_after_minutes=10, horizon_days=90)


@dataclass(frozen=True)
class Question:
    """A clinic with its claims, and the days that are asked for."""

    catalog: Catalog
    claims: dict[int, list[Span]]
    days: int
    window: Span

    @property
    def size(self) -> int:
        """How many days of practitioners it is about."""
        return len(self.catalog.practitioners) * self.days


def main() -> None:
    """Measure a small question and a large one, and print how they compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    small, large = clinic(practitioners=1, days=30), clinic(practitioners=20, days=60)
    costs = [report(small, rounds), report(large, max(3, rounds // 5))]
    growth = [after / before for before, after in zip(*costs, strict=True)]
    print(
        f"In the large one a practitioner's day costs {growth[0]:.2f} (cold) and {growth[1]:.2f} (warm) times as much."
    )


def report(question: Question, rounds: int) -> tuple[float, float]:
    """Print one line; returns what a practitioner's day costs, cold and warm."""
    found = [(slot.starts, slot.practitioner.id) for slot in ours(question)]
    assert found == by_portion(question)
    theirs, cold, warm = measure(question, rounds)
    name = f"{len(question.catalog.practitioners)} x {question.days} days"
    print(f"{name:12} {len(found):5} slots   portion {theirs * 1000:7.2f} ms", end="")
    for way, taken in (("cold", cold), ("warm", warm)):
        print(f"   {way} {taken * 1000:6.3f} ms = 1/{theirs / taken:.0f}", end="")
    print()
    return cold / question.size, warm / question.size


def measure(question: Question, rounds: int) -> tuple[float, float, float]:
    """The median seconds of portion, of ours cold and of ours warm, which take turns."""
    theirs, cold, warm = [], [], []
    for _ in range(rounds):
        theirs.append(seconds(lambda: by_portion(question)))
        fresh = replace(question, catalog=replace(question.catalog))
        cold += [seconds(lambda: ours(fresh), before=clock.instant_of.cache_clear) for _ in range(5)]  # noqa: B023 - x
        warm += [seconds(lambda: ours(question)) for _ in range(5)]
    return statistics.median(theirs), statistics.median(cold), statistics.median(warm)


def seconds(run: Callable[[], object], before: Callable[[], None] = lambda: None) -> float:
    """The processor's time that a run takes: on a busy machine the clock on the wall counts others' work."""
    before()
    began = stopwatch.process_time()
    run()
    return stopwatch.process_time() - began


def ours(question: Question) -> list[Slot]:
    """The free slots as the service computes them."""
    catalog, window, claims = question.catalog, question.window, question.claims
    return slots.find(catalog, VISIT, PLACE, catalog.practitioners, window, claims=claims, full_days=(), now=NOW)


def by_portion(question: Question) -> list[tuple[int, int]]:
    """Each start with its practitioner by set arithmetic: the openings, less what is claimed and its buffers."""
    length, step = 60 * VISIT.duration_minutes, 60 * VISIT.step_minutes
    before, after = 60 * VISIT.buffer_before_minutes, 60 * VISIT.buffer_after_minutes
    found = []
    for practitioner in question.catalog.practitioners:
        openings = wall_openings(question)
        taken = question.claims[practitioner.calendar_id]
        busy = portion.Interval(*(portion.closedopen(start - after, end + before) for start, end in taken))
        free = portion.Interval(*(portion.closedopen(*each) for each in openings)) - busy
        origins = iter(openings)
        opens, closes = next(origins)
        for each in free:
            while closes < each.upper:
                opens, closes = next(origins)
            first = each.lower + (opens - each.lower) % step
            found += [(start, practitioner.id) for start in range(first, each.upper - length + 1, step)]
    return sorted(found)


def wall_openings(question: Question) -> list[Span]:
    """When the clinic is open, its wall times turned into instants by the standard library."""
    closures = question.catalog.closures
    days = [FIRST + timedelta(number) for number in range(question.days)]
    open_days = [on for on in days if not any(each.starts_on <= on <= each.ends_on for each in closures)]
    return [(instant(on, opens), instant(on, closes)) for on in open_days for opens, closes in OPENINGS]


def instant(on: date, minutes: int) -> int:
    """The instant of a wall time that the clock shows once."""
    return int(datetime.combine(on, time(*divmod(minutes, 60)), PLACE.zone).timestamp())


def clinic(practitioners: int, days: int) -> Question:
    """A clinic in which everybody has the same hours and ten visits a day, at times of their own."""
    people = tuple(
        Practitioner(number, f"p{number}", f"P {number}", "", number, frozenset({(1, 1)}))
        for number in range(1, practitioners + 1)
    )
    hours = tuple(
        WorkingHours(each.id, 1, weekday, *opening) for each in people for weekday in range(7) for opening in OPENINGS
    )
    closures = (Closure(None, date(2026, 11, 26), date(2026, 11, 26), "Thanksgiving"),)
    catalog = Catalog(1, (PLACE,), (VISIT,), people, (), hours, (), closures)
    claims = {each.calendar_id: visits(each.id, days) for each in people}
    return Question(catalog, claims, days, slots.days_window(FIRST, days, PLACE))


def visits(seed: int, days: int) -> list[Span]:
    """Five claims in each opening, on the grid, with gaps where chance leaves them."""
    chance = random.Random(seed)
    found = []
    for number in range(days):
        for opens, _ in OPENINGS:
            for place, gaps in enumerate(sorted(chance.choices(range(7), k=5))):
                start = instant(FIRST + timedelta(number), opens + 45 * place + 15 * gaps)
                found.append(slots.claimed_span(VISIT, start))
    return found


if __name__ == "__main__":
    main()
