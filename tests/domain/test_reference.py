"""References: short, random, easy to say over the phone, and they say nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.reference import ALPHABET, is_wellformed, make


def test_a_reference_looks_like_sv_7k4q_92() -> None:
    prefix, first, second = make("SV").split("-")
    assert (prefix, len(first), len(second)) == ("SV", 4, 2)
    assert set(first + second) <= set(ALPHABET)


def test_no_letter_can_be_taken_for_another() -> None:
    assert not set("01ILOUV") & set(ALPHABET)
    assert len(set(ALPHABET)) == len(ALPHABET) == 29


def test_a_thousand_references_are_a_thousand_different_ones() -> None:
    # 594 million are possible: two equal ones among 1,000 come once in 1,200 runs, three never.
    assert len({make("SV") for _ in range(1000)}) >= 999


def test_what_was_made_is_wellformed() -> None:
    assert all(is_wellformed(make(prefix), prefix) for prefix in ("SV", "A", "X.Y") for _ in range(50))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SV",
        "SV-7K4Q-9",
        "SV-7K4Q-922",
        "sv-7k4q-92",
        "XX-7K4Q-92",
        "SV-7K4Q-92\n",
        " SV-7K4Q-92",
        "SV-7K0Q-92",
        "SV-٧K4Q-92",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_wellformed(text, "SV")


@given(st.text(max_size=14))
def test_asking_never_raises(text: str) -> None:
    assert is_wellformed(text, "SV") in {True, False}
