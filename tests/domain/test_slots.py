"""Slots, situation by situation: what is offered on an ordinary day, and on the days when the clock changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from booking.domain import clock, slots
from booking.domain.catalog import Closure, ExtraHours, Service, WorkingHours
from tests.practice import ANN, BOB, LASER, MONDAY, OTHER_ROOM, ROOM, VISIT, Practice, every

SPRING = date(2026, 3, 8)
NEW_YORK = ZoneInfo("America/New_York")
WITH_ROOM = replace(VISIT, needs=("room",))


def visit(**changes: Any) -> Service:
    return replace(VISIT, **changes)


def hours_on(on: date, opens: int, closes: int, who: int = ANN) -> ExtraHours:
    return ExtraHours(who, 1, on, 60 * opens, 60 * closes)


def next_day(on: date, days: int = 1) -> date:
    return on + timedelta(days=days)


# ---------------------------------------------------------------- the grid


def test_an_empty_day_is_offered_from_opening_on_in_steps() -> None:
    assert Practice().times() == ["9:00", "9:30", "10:00", "10:30", "11:00"]


def test_a_slot_that_fits_right_at_the_end_is_offered() -> None:
    assert Practice(["9:00-10:00"]).times() == ["9:00"]


def test_a_slot_that_ends_a_minute_too_late_is_not() -> None:
    assert Practice(["9:00-9:59"]).times() == []


def test_the_grid_begins_when_the_opening_does_and_not_on_the_hour() -> None:
    assert Practice(["9:10-11:00"]).times() == ["9:10", "9:40"]


def test_a_step_may_be_longer_than_the_visit() -> None:
    assert Practice(visit=visit(duration_minutes=20, step_minutes=45)).times() == ["9:00", "9:45", "10:30", "11:15"]


def test_slots_come_by_start_and_then_in_the_order_of_the_practitioners() -> None:
    practice = Practice(["9:00-10:30"], people=(BOB, ANN))
    found = practice.find(practice.window(MONDAY))
    assert [(practice.wall(slot.starts), slot.practitioner.id) for slot in found] == [
        ("9:00", BOB), ("9:00", ANN), ("9:30", BOB), ("9:30", ANN),
    ]  # fmt: skip


def test_a_slot_says_when_it_starts_and_when_the_visit_ends_without_buffers() -> None:
    practice = Practice(["9:00-10:30"], visit=visit(duration_minutes=45, buffer_after_minutes=30))
    slot = practice.find(practice.window(MONDAY))[0]
    assert slot.starts_at == datetime(2026, 6, 1, 13, 0, tzinfo=UTC)
    assert slot.ends_at == datetime(2026, 6, 1, 13, 45, tzinfo=UTC)
    assert (slot.practitioner.id, slot.location) == (ANN, practice.location)


def test_a_window_may_begin_and_end_within_an_opening_and_off_the_grid() -> None:
    practice = Practice()
    found = practice.find((practice.at("2026-06-01 9:10"), practice.at("2026-06-01 10:30")))
    assert [practice.wall(slot.starts) for slot in found] == ["9:30", "10:00"]


def test_a_window_without_length_offers_nothing() -> None:
    practice = Practice()
    at = practice.at("2026-06-01 9:00")
    assert practice.find((at, at)) == practice.find((at, at - 1)) == []


# ---------------------------------------------------------------- hours


def test_two_openings_a_day_leave_the_lunch_break_free() -> None:
    assert Practice(["9:00-11:00", "13:00-14:30"]).times() == ["9:00", "9:30", "10:00", "13:00", "13:30"]


def test_openings_that_only_touch_have_a_grid_each_and_no_visit_across() -> None:
    assert Practice(["9:00-10:40", "10:40-12:10"]).times() == ["9:00", "9:30", "10:40", "11:10"]


def test_openings_that_overlap_are_one() -> None:
    assert Practice(["9:00-10:40", "10:20-11:40"]).times() == ["9:00", "9:30", "10:00", "10:30"]


def test_an_opening_within_another_changes_nothing() -> None:
    assert Practice(["9:00-12:00", "9:10-10:00"]).times() == Practice().times()


def test_overlaps_may_join_what_only_touched() -> None:
    assert Practice(["9:00-10:00", "10:00-11:00", "9:45-10:15"]).times() == ["9:00", "9:30", "10:00"]


def test_extra_hours_that_overlap_the_weekly_ones_lengthen_them() -> None:
    practice = Practice(["9:00-10:40"], extra=[hours_on(MONDAY, 10, 12)])
    assert practice.times() == every(30, "9:00-11:00")
    assert practice.times(next_day(MONDAY)) == ["9:00", "9:30"]


def test_extra_hours_on_a_closed_day_are_offered_all_the_same() -> None:
    closure = Closure(1, MONDAY, next_day(MONDAY), "a holiday")
    practice = Practice(closures=[closure], extra=[hours_on(MONDAY, 14, 15)])
    assert practice.times(days=3) == ["14:00", *Practice().times()]


@pytest.mark.parametrize("location_id", [1, None])
def test_a_closure_is_closed_up_to_and_with_its_last_day(location_id: int | None) -> None:
    practice = Practice(["9:00-10:00"], closures=[Closure(location_id, MONDAY, next_day(MONDAY, 2), "works")])
    found = practice.find(practice.window(next_day(MONDAY, -1), 5))
    assert [slot.starts_at.date() for slot in found] == [next_day(MONDAY, -1), next_day(MONDAY, 3)]


def test_a_closure_of_another_place_closes_nothing_here() -> None:
    assert Practice(closures=[Closure(2, MONDAY, MONDAY, "works")]).times() == Practice().times()


def test_hours_are_those_of_their_weekday_place_and_person() -> None:
    weekly = [WorkingHours(ANN, 1, 0, 540, 600), WorkingHours(ANN, 2, 1, 540, 600), WorkingHours(BOB, 1, 2, 540, 600)]
    practice = Practice([], weekly=weekly, extra=[ExtraHours(ANN, 2, MONDAY, 900, 960), hours_on(MONDAY, 15, 16, BOB)])
    found = practice.find(practice.window(next_day(MONDAY, -7), 14))
    assert [slot.starts_at.date() for slot in found] == [next_day(MONDAY, -7), MONDAY]


def test_hours_hold_from_their_first_day_to_their_last_one() -> None:
    weekly = [WorkingHours(ANN, 1, weekday, 540, 600, MONDAY, next_day(MONDAY, 2)) for weekday in range(7)]
    practice = Practice([], weekly=weekly)
    found = practice.find(practice.window(next_day(MONDAY, -7), 21))
    assert [slot.starts_at.date() for slot in found] == [next_day(MONDAY, each) for each in range(3)]


def test_summer_hours_take_over_from_winter_hours_without_a_day_between() -> None:
    winter = WorkingHours(ANN, 1, 0, 540, 600, valid_until=next_day(MONDAY, -1))
    summer = WorkingHours(ANN, 1, 0, 480, 540, valid_from=MONDAY)
    assert Practice([], weekly=[winter, summer]).times(next_day(MONDAY, -7), 14) == ["9:00", "8:00"]


def test_hours_may_last_from_midnight_to_midnight_but_no_visit_crosses_it() -> None:
    found = Practice(["0:00-24:00"]).times(days=2)
    assert found == every(30, "0:00-23:00") * 2


# ---------------------------------------------------------------- claims


def test_a_visit_fits_exactly_between_two_claims() -> None:
    practice = Practice()
    taken = [(practice.at("2026-06-01 8:00"), practice.at("2026-06-01 9:30")),
             (practice.at("2026-06-01 10:30"), practice.at("2026-06-01 12:00"))]  # fmt: skip
    assert practice.times(taken={ANN: taken}) == ["9:30"]


def test_a_claim_longer_by_a_second_is_in_the_way() -> None:
    practice = Practice(["9:00-10:00"])
    begins, ends = practice.at("2026-06-01 9:00"), practice.at("2026-06-01 10:00")
    for taken in ([(begins - 60, begins)], [(ends, ends + 60)]):
        assert practice.times(taken={ANN: taken}) == ["9:00"]
    for taken in ([(begins - 60, begins + 1)], [(ends - 1, ends + 60)], [(begins + 60, begins + 120)]):
        assert practice.times(taken={ANN: taken}) == []


def test_after_a_claim_off_the_grid_the_next_start_is_on_it_again() -> None:
    practice = Practice()
    taken = [(practice.at("2026-06-01 9:05"), practice.at("2026-06-01 9:40"))]
    assert practice.times(taken={ANN: taken}) == ["10:00", "10:30", "11:00"]


def test_buffers_that_meet_do_not_overlap() -> None:
    practice = Practice(["9:00-12:00"], visit=visit(step_minutes=15, buffer_before_minutes=15, buffer_after_minutes=15))
    taken = [slots.claimed_span(practice.visit, practice.at("2026-06-01 9:00"))]
    assert practice.times(taken={ANN: taken}) == ["10:30", "10:45", "11:00"]


def test_buffers_may_reach_beyond_the_hours() -> None:
    practice = Practice(["9:00-10:00"], visit=visit(buffer_before_minutes=30, buffer_after_minutes=30))
    assert practice.times() == ["9:00"]
    late = [(practice.at("2026-06-01 10:29"), practice.at("2026-06-01 11:00"))]
    assert practice.times(taken={ANN: late}) == []


def test_what_one_has_taken_does_not_keep_another_from_working() -> None:
    practice = Practice(["9:00-10:00"], people=(ANN, BOB))
    taken = {ANN: [practice.window(MONDAY)]}
    found = practice.find(practice.window(MONDAY), taken)
    assert [slot.practitioner.id for slot in found] == [BOB]


def test_time_off_of_several_days_takes_all_of_them() -> None:
    practice = Practice(["9:00-10:00"])
    found = practice.find(practice.window(MONDAY, 4), {ANN: [practice.window(next_day(MONDAY), 2)]})
    assert [slot.starts_at.date() for slot in found] == [MONDAY, next_day(MONDAY, 3)]


# ---------------------------------------------------------------- rooms


def test_the_last_free_room_is_enough() -> None:
    practice = Practice(visit=WITH_ROOM, rooms={ROOM: "room", OTHER_ROOM: "room"})
    whole_day = practice.window(MONDAY)
    ten = (practice.at("2026-06-01 10:00"), practice.at("2026-06-01 11:00"))
    assert practice.times(taken={ROOM: [whole_day]}) == Practice().times()
    assert practice.times(taken={ROOM: [whole_day], OTHER_ROOM: [ten]}) == ["9:00", "11:00"]
    assert practice.times(taken={ROOM: [whole_day], OTHER_ROOM: [whole_day]}) == []


def test_two_rooms_that_are_free_by_turns_do_not_make_one() -> None:
    practice = Practice(["9:00-10:00"], visit=WITH_ROOM, rooms={ROOM: "room", OTHER_ROOM: "room"})
    half = practice.at("2026-06-01 9:30")
    taken = {ROOM: [(half - 1800, half)], OTHER_ROOM: [(half, half + 1800)]}
    assert practice.times(taken=taken) == []


def test_of_several_kinds_each_must_have_one_free() -> None:
    practice = Practice(visit=visit(needs=("room", "laser")), rooms={ROOM: "room", LASER: "laser"})
    early = [(practice.at("2026-06-01 9:00"), practice.at("2026-06-01 10:00"))]
    late = [(practice.at("2026-06-01 11:00"), practice.at("2026-06-01 12:00"))]
    assert practice.times(taken={ROOM: early, LASER: late}) == ["10:00"]


def test_the_buffers_are_kept_in_the_room_too() -> None:
    practice = Practice(visit=replace(WITH_ROOM, buffer_after_minutes=30), rooms={ROOM: "room"})
    taken = {ROOM: [(practice.at("2026-06-01 11:00"), practice.at("2026-06-01 11:30"))]}
    assert practice.times(taken=taken) == ["9:00", "9:30"]


def test_without_any_room_of_a_kind_nothing_is_offered() -> None:
    assert Practice(visit=WITH_ROOM, rooms={LASER: "laser"}).times() == []


def test_a_room_that_is_not_needed_may_be_taken() -> None:
    practice = Practice(rooms={ROOM: "room"})
    assert practice.times(taken={ROOM: [practice.window(MONDAY)]}) == Practice().times()


# ---------------------------------------------------------------- cap, notice, horizon


def test_a_day_whose_cap_is_reached_offers_nothing_more_not_even_in_extra_hours() -> None:
    practice = Practice(extra=[hours_on(MONDAY, 15, 16)])
    assert practice.times(next_day(MONDAY, -1), 3, full_days={MONDAY}) == Practice().times() * 2


def test_a_full_day_ends_at_the_midnight_of_the_clinic() -> None:
    practice = Practice(["20:00-23:00"])  # in UTC the next day has begun
    assert practice.times(days=2, full_days={MONDAY}) == every(30, "20:00-22:00")


def test_notice_is_counted_in_full() -> None:
    practice = Practice(visit=visit(notice_minutes=120))
    for seconds, first in ((0, "10:00"), (1e-6, "10:30"), (-1, "10:00")):
        now = datetime(2026, 6, 1, 12, 0, tzinfo=UTC) + timedelta(seconds=seconds)  # 8:00 in New York
        assert practice.times(now=now)[0] == first


def test_what_begins_right_now_is_offered_where_no_notice_is_asked() -> None:
    now = datetime(2026, 6, 1, 14, 0, tzinfo=UTC)
    assert Practice().times(now=now) == ["10:00", "10:30", "11:00"]


def test_notice_is_time_that_passes_and_no_matter_of_the_wall_clock() -> None:
    practice = Practice(["0:00-12:00"], visit=visit(notice_minutes=24 * 60))
    now = datetime.fromisoformat("2026-03-07T09:00-05:00")
    assert practice.times(SPRING, now=now)[0] == "10:00"


def test_the_horizon_ends_with_its_last_day_in_the_clinic() -> None:
    practice = Practice(["22:00-24:00"], visit=visit(horizon_days=2))
    now = datetime(2026, 6, 2, 3, 30, tzinfo=UTC)  # still Monday evening in New York, half past eleven
    for later, days in ((0, [2, 3]), (29, [2, 3]), (30, [2, 3, 4])):
        found = practice.find(practice.window(MONDAY, 30), now=now + timedelta(minutes=later))
        assert sorted({clock.day_of(slot.starts_at, NEW_YORK).day for slot in found}) == days
        assert practice.why_not(found[-1].starts, now=now + timedelta(minutes=later)) == ""


def test_a_horizon_of_no_days_is_today() -> None:
    practice = Practice(visit=visit(horizon_days=0))
    assert practice.times(days=9, now=datetime(2026, 6, 1, 4, 0, tzinfo=UTC)) == Practice().times()


@pytest.mark.parametrize("first", [date.min, date.max])
def test_at_the_ends_of_the_calendar_nothing_is_offered(first: date) -> None:
    assert Practice().times(first, 62) == []


# ---------------------------------------------------------------- spans


def test_is_free_looks_at_what_touches_and_at_what_meets() -> None:
    taken = [(0, 10), (20, 30), (30, 40)]
    assert [start for start in range(-15, 45) if slots.is_free(taken, (start, start + 10))] == [
        *range(-15, -9), 10, *range(40, 45),
    ]  # fmt: skip
    assert slots.is_free([], (0, 1))


def test_merging_keeps_what_touches_apart_and_drops_what_is_empty() -> None:
    assert slots.merged([(5, 9), (9, 9), (9, 12), (1, 3), (2, 4), (2, 3), (7, 7)]) == [(1, 4), (5, 9), (9, 12)]
