"""Offers: a wish is met where it can be, refused at the field that is wrong, and nobody loses their own visit early."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from booking.domain import offers
from booking.domain.catalog import Catalog, Closure, ExtraHours, Practitioner, Service, WorkingHours
from booking.domain.errors import NotOffered
from booking.domain.offers import FULL, NO_ROOM, TAKEN, Wish
from booking.domain.status import Audience, Bookable
from tests.practice import ANN, BOB, LONG_BEFORE, MONDAY, ROOM, VISIT, Practice

NEW_YORK = ZoneInfo("America/New_York")
TUESDAY = date(2026, 6, 2)
MAIN = Practice().location
BEACH = replace(MAIN, id=2, slug="beach", name="Beach", timezone="America/Chicago")
FIRST = replace(VISIT, id=2, slug="first", name="First visit", audience=Audience.NEW, duration_minutes=90)
RETURN = replace(VISIT, id=3, slug="return", name="Return visit", audience=Audience.RETURNING)
CALL = replace(VISIT, id=4, slug="call", name="Surgery", bookable=Bookable.CALL)
HIDDEN = replace(VISIT, id=5, slug="hidden", name="Inventory", bookable=Bookable.HIDDEN)
NOBODYS = replace(VISIT, id=6, slug="nobodys", name="Nobody's")
# Ann gives everything at both places; Bob the visit alone, by the beach.
CATALOG = Catalog(
    version=1,
    locations=(MAIN, BEACH),
    services=(VISIT, FIRST, RETURN, CALL, HIDDEN, NOBODYS),
    practitioners=(
        Practitioner(ANN, "ann", "Ann Reed", "", ANN, frozenset((each, at) for each in range(1, 6) for at in (1, 2))),
        Practitioner(BOB, "bob", "Bob Marsh", "", BOB, frozenset({(1, 2)})),
    ),
    working_hours=(
        *(WorkingHours(ANN, 1, weekday, 540, 720) for weekday in range(5)),
        *(WorkingHours(each, 2, weekday, 840, 1020) for each in (ANN, BOB) for weekday in range(5)),
    ),
)  # fmt: skip


def wish(at: str, **words: Any) -> Wish:
    return Wish(**{"service": "visit", **words, "starts_at": datetime.fromisoformat(at)})


def refusal(**words: Any) -> tuple[str, str]:
    with pytest.raises(NotOffered) as refused:
        offers.meeting(CATALOG, wish(words.pop("at", "2026-06-01T09:00-04:00"), **words), LONG_BEFORE)
    return refused.value.field, str(refused.value)


# ---------------------------------------------------------------- services


@pytest.mark.parametrize("word", ["visit", "Visit", " vISIT "])
def test_a_service_is_known_by_its_slug_and_by_its_name(word: str) -> None:
    assert offers.service_for(CATALOG, word) == VISIT


@pytest.mark.parametrize(
    ("word", "new_patient", "why"),
    [
        ("", None, "Please choose what the visit is for."),
        ("tarot", None, "We do not offer this service."),
        ("hidden", None, "We do not offer this service."),
        ("Inventory", None, "We do not offer this service."),
        ("call", None, "We agree on a time for Surgery by phone: please call us."),
        ("first", False, "First visit is for people who come to us for the first time."),
        ("return", True, "A first visit begins with First visit (90 minutes): please choose that."),
    ],
)
def test_a_service_that_one_cannot_book_is_refused_with_what_to_do_instead(
    word: str, new_patient: bool | None, why: str
) -> None:
    with pytest.raises(NotOffered) as refused:
        offers.service_for(CATALOG, word, new_patient=new_patient)
    assert (refused.value.field, str(refused.value)) == ("service", why)


def test_a_clinic_without_a_first_visit_asks_new_people_to_call() -> None:
    catalog = replace(CATALOG, services=(RETURN,))
    with pytest.raises(NotOffered, match="please call us for a first visit"):
        offers.service_for(catalog, "return", new_patient=True)


@pytest.mark.parametrize(
    ("word", "new_patient"), [("first", True), ("first", None), ("return", False), ("return", None)]
)
def test_who_does_not_say_whether_they_are_new_may_book_either(word: str, new_patient: bool | None) -> None:
    assert offers.service_for(CATALOG, word, new_patient=new_patient).slug == word


@pytest.mark.parametrize("service", [VISIT, FIRST, RETURN, CALL, HIDDEN])
def test_the_desk_books_everything_for_everybody(service: Service) -> None:
    for new_patient in (True, False, None):
        assert offers.service_for(CATALOG, service.slug, new_patient=new_patient, by_desk=True) == service


# ---------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("practitioner", "location", "found"),
    [
        ("", "", {"main": ["ann"], "beach": ["ann", "bob"]}),
        ("", "beach", {"beach": ["ann", "bob"]}),
        ("ann", "", {"main": ["ann"], "beach": ["ann"]}),
        ("Bob Marsh", "", {"beach": ["bob"]}),
        ("bob", "Beach", {"beach": ["bob"]}),
    ],
)
def test_places_are_narrowed_by_what_is_named(practitioner: str, location: str, found: dict[str, list[str]]) -> None:
    places = offers.places_for(CATALOG, VISIT, practitioner, location)
    assert {place.location.slug: [each.slug for each in place.practitioners] for place in places} == found


@pytest.mark.parametrize(
    ("words", "field", "why"),
    [
        ({"practitioner": "zoe"}, "practitioner", "We know nobody of this name."),
        ({"location": "moon"}, "location", "We have no place of this name."),
        ({"practitioner": "bob", "location": "main"}, "practitioner", "Bob Marsh does not offer Visit there."),
        ({"practitioner": "bob", "service": "first"}, "practitioner", "Bob Marsh does not offer First visit."),
        ({"service": "nobodys"}, "service", "Nobody's cannot be booked."),
        ({"service": "nobodys", "location": "main"}, "location", "Nobody's cannot be booked there."),
    ],
)
def test_what_nobody_gives_there_is_refused_at_the_field_that_is_wrong(
    words: dict[str, str], field: str, why: str
) -> None:
    assert refusal(**words) == (field, why)


# ---------------------------------------------------------------- wishes


def test_a_wish_is_met_wherever_and_by_whomever_the_time_suits() -> None:
    morning = offers.meeting(CATALOG, wish("2026-06-01T09:00-04:00"), LONG_BEFORE)
    assert [(place.location, [each.slug for each in place.practitioners]) for place in morning] == [(MAIN, ["ann"])]
    afternoon = offers.meeting(CATALOG, wish("2026-06-01T14:00-05:00"), LONG_BEFORE)
    assert [(place.location, [each.slug for each in place.practitioners]) for place in afternoon] == [
        (BEACH, ["ann", "bob"])
    ]


@pytest.mark.parametrize("at", ["2026-06-01T09:00-04:00", "2026-06-01T13:00Z", "2026-06-01T18:30+05:30"])
def test_a_wish_is_the_same_from_wherever_it_is_made(at: str) -> None:
    assert offers.meeting(CATALOG, wish(at), LONG_BEFORE)[0].location == MAIN


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ("2025-12-31T09:00-05:00", "This time has passed."),
        ("2026-06-01T09:10-04:00", "Visits do not begin at this time: please choose one of the times shown."),
        ("2026-06-01T09:00:01-04:00", "Visits do not begin at this time: please choose one of the times shown."),
        ("2026-06-01T09:00:00.000001-04:00", "Visits do not begin at this time: please choose one of the times shown."),
        ("2026-06-01T08:30-04:00", "This is outside the hours in which the visit can be given."),
        ("2026-06-01T11:30-04:00", "This is outside the hours in which the visit can be given."),
        ("2026-06-06T09:00-04:00", "This is outside the hours in which the visit can be given."),
        ("2029-06-01T09:00-04:00", "This is too far ahead: visits are booked up to 1000 days ahead."),
        ("9999-12-31T23:59:59+00:00", "This is too far ahead: visits are booked up to 1000 days ahead."),
        ("0001-01-01T00:00:00+00:00", "This time has passed."),
    ],
)
def test_a_start_that_is_none_is_refused_with_the_reason(at: str, why: str) -> None:
    assert refusal(at=at, location="main") == ("starts_at", why)


def test_of_several_reasons_the_one_that_holds_for_most_is_given() -> None:
    # By the beach it is off the grid, for two; at the other place it is too late in the day, for one.
    off_the_grid = "Visits do not begin at this time: please choose one of the times shown."
    assert refusal(at="2026-06-01T15:10-04:00") == ("starts_at", off_the_grid)


def test_the_desk_is_bound_by_the_hours_as_everybody_is() -> None:
    assert offers.meeting(CATALOG, wish("2026-06-01T09:00-04:00", service="hidden"), LONG_BEFORE, by_desk=True)
    with pytest.raises(NotOffered, match="outside the hours"):
        offers.meeting(CATALOG, wish("2026-06-01T07:00-04:00", service="hidden"), LONG_BEFORE, by_desk=True)


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (1, "1 minute"),
        (90, "1 hour and 30 minutes"),
        (120, "2 hours"),
        (1440, "1 day"),
        (2925, "2 days and 45 minutes"),
    ],
)
def test_notice_is_told_in_days_hours_and_minutes(minutes: int, said: str) -> None:
    practice = Practice(visit=replace(VISIT, notice_minutes=minutes))
    start = practice.at("2026-06-04 9:00")
    enough = datetime.fromtimestamp(start, UTC) - timedelta(minutes=minutes)
    assert practice.why_not(start, now=enough) == ""
    too_late = practice.why_not(start, now=enough + timedelta(microseconds=1))
    assert too_late == f"This is too soon: visits are booked at least {said} ahead."


def test_on_a_closed_day_the_reason_is_named() -> None:
    practice = Practice(closures=[Closure(2, MONDAY, MONDAY, "works"), Closure(None, MONDAY, MONDAY, "a holiday")])
    assert practice.why_not(practice.at("2026-06-01 9:00")) == "We are closed on this day (a holiday)."
    assert practice.why_not(practice.at("2026-06-02 9:00")) == ""


def test_on_a_closed_day_extra_hours_are_hours() -> None:
    practice = Practice(
        closures=[Closure(1, MONDAY, MONDAY, "a holiday")], extra=[ExtraHours(ANN, 1, MONDAY, 540, 600)]
    )
    assert practice.why_not(practice.at("2026-06-01 9:00")) == ""
    assert "outside the hours" in practice.why_not(practice.at("2026-06-01 10:00"))


# ---------------------------------------------------------------- explanations


def test_each_start_that_is_not_offered_is_explained_by_what_comes_first() -> None:
    visit = replace(VISIT, duration_minutes=30, needs=("room",), notice_minutes=60, horizon_days=1)
    closed = Closure(1, TUESDAY, TUESDAY, "a holiday")
    practice = Practice(["8:00-11:00"], visit=visit, rooms={ROOM: "room"}, closures=[closed])
    now = datetime.fromisoformat("2026-06-01T08:15-04:00")
    ten = practice.at("2026-06-01 10:00")
    told = practice.explain(practice.window(MONDAY, 3), {ANN: [(ten, ten + 60)], ROOM: [(ten, ten + 2000)]}, now=now)
    assert [(practice.wall(start), reason) for (start, _), reason in told.items()] == [
        ("8:00", "This time has passed."),
        ("8:30", "This is too soon: visits are booked at least 1 hour ahead."),
        ("9:00", "This is too soon: visits are booked at least 1 hour ahead."),
        ("10:00", TAKEN),
        ("10:30", NO_ROOM),
        *((f"{each // 2}:{each % 2 * 30:02}", "We are closed on this day (a holiday).") for each in range(16, 22)),
        *(
            (f"{each // 2}:{each % 2 * 30:02}", "This is too far ahead: visits are booked up to 1 days ahead.")
            for each in range(16, 22)
        ),
    ]


def test_a_full_day_is_explained() -> None:
    practice = Practice(["9:00-10:00"])
    told = practice.explain(practice.window(MONDAY, 2), full_days={TUESDAY})
    assert told == {(practice.at("2026-06-02 9:00"), ANN): FULL}


def test_only_what_lies_in_the_window_is_explained() -> None:
    practice = Practice(people=(ANN, BOB))
    day = practice.window(MONDAY)
    window = practice.at("2026-06-01 9:30"), practice.at("2026-06-01 10:30")
    told = practice.explain(window, {ANN: [day]})
    assert told == {(start, ANN): TAKEN for start in (window[0], window[0] + 1800)}
    assert practice.explain((day[0], day[0])) == {}


# ---------------------------------------------------------------- the cut-off


@pytest.mark.parametrize(
    ("starts_at", "until"),
    [
        ("2026-06-02T10:00-04:00", "2026-06-01T10:00-04:00"),
        ("2026-03-08T10:00-04:00", "2026-03-07T10:00-05:00"),  # twenty-three hours earlier
        ("2026-03-09T02:30-04:00", "2026-03-08T03:00-04:00"),  # the half past two before is skipped
        ("2026-11-01T10:00-05:00", "2026-10-31T10:00-04:00"),  # twenty-five hours earlier
        ("2026-11-02T01:30-05:00", "2026-11-01T01:30-05:00"),  # the half past one before comes twice: the later one
        ("2026-11-01T01:30-05:00", "2026-10-31T01:30-04:00"),
        ("2027-03-14T03:00-04:00", "2027-03-13T03:00-05:00"),
    ],
)
def test_a_visit_can_be_changed_until_the_same_time_on_the_day_before(starts_at: str, until: str) -> None:
    start, last = datetime.fromisoformat(starts_at), datetime.fromisoformat(until)
    for zone in (UTC, NEW_YORK, ZoneInfo("Asia/Kolkata"), ZoneInfo("Pacific/Honolulu")):  # wherever the visitor is
        assert offers.last_change(VISIT, start.astimezone(zone), NEW_YORK) == last


def test_without_a_cut_off_a_visit_can_be_changed_until_it_begins() -> None:
    start = datetime.fromisoformat("2026-06-01T10:00-04:00")
    service = replace(VISIT, cutoff_minutes=0)
    assert offers.last_change(service, start, NEW_YORK) == start
