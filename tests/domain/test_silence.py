"""Silence: few enquiries alarm only where many came before, and the fewer the sooner."""

from math import exp, factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.silence import FEWEST_DAYS, UNLIKELY, is_too_long, is_unusual

DAYS = st.lists(st.integers(0, 60), min_size=FEWEST_DAYS, max_size=8)


@pytest.mark.parametrize(
    ("today", "before", "unusual"),
    [
        (0, [8, 8, 8, 8], True),
        (0, [7, 7, 7, 7], True),
        (0, [6, 6, 6, 6], False),
        (1, [8, 8, 8, 8], False),
        (1, [9, 9, 9, 9], True),
        (0, [0, 0, 0, 0], False),
        (8, [8, 8, 8, 8], False),
        (12, [30, 30, 30, 30], True),
        (20, [30, 30, 30, 30], False),
        (1000, [1000, 1000, 1000, 1000], False),
        (800, [1000, 1000, 1000, 1000], True),
    ],
)
def test_it_is_unusual_where_chance_would_do_it_once_in_five_hundred_days(
    today: int, before: list[int], unusual: bool
) -> None:
    assert is_unusual(today, before) is unusual


@given(today=st.integers(0, 20), before=DAYS)
def test_it_is_the_law_of_poisson(today: int, before: list[int]) -> None:
    expected = sum(before) / len(before)
    chance = sum(exp(-expected) * expected**number / factorial(number) for number in range(today + 1))
    assert abs(chance - UNLIKELY) < 1e-9 or is_unusual(today, before) is (chance < UNLIKELY)


@given(today=st.integers(0, 60), before=DAYS, more=st.integers(1, 10))
def test_where_a_number_is_usual_a_greater_one_is_too(today: int, before: list[int], more: int) -> None:
    assert is_unusual(today, before) or not is_unusual(today + more, before)


@given(today=st.integers(0, 60), before=DAYS, day=st.integers(0, 7), more=st.integers(1, 10))
def test_what_is_unusual_after_some_days_is_unusual_after_busier_ones(
    today: int, before: list[int], day: int, more: int
) -> None:
    busier = [*before]
    busier[day % len(before)] += more
    assert not is_unusual(today, before) or is_unusual(today, busier)


@given(before=st.lists(st.integers(0, 10_000), max_size=FEWEST_DAYS - 1))
def test_after_a_few_days_alone_nothing_is_known(before: list[int]) -> None:
    assert not is_unusual(0, before)


@given(before=st.lists(st.integers(0, 10_000), min_size=FEWEST_DAYS, max_size=8))
def test_as_many_as_ever_is_never_unusual(before: list[int]) -> None:
    assert not is_unusual(max(before), before)


@pytest.mark.parametrize(
    ("before", "too_long"),
    [
        ([10, 10, 10, 10], True),
        ([9, 9, 9, 10], True),
        ([9, 9, 9, 9], False),
        ([0, 0, 0, 0], False),
        ([30, 30, 30], False),
        ([], False),
    ],
)
def test_a_time_without_any_is_too_long_where_ten_would_have_come(before: list[int], too_long: bool) -> None:
    assert is_too_long(before) is too_long
