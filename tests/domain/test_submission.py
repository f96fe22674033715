"""A submission: what was typed, read and cleaned; only a person nobody can reach is a problem."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.fields import CANONICAL, PURPOSES, sort
from booking.domain.submission import (
    UNREACHABLE,
    Circumstances,
    Submission,
    compose,
    seconds_to_fill,
    yes_or_no,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
FORM = st.dictionaries(st.sampled_from(CANONICAL) | TEXT, TEXT, max_size=10)
CIRCUMSTANCES = st.builds(
    Circumstances,
    door=st.sampled_from(["form", "api"]),
    by_get=st.booleans(),
    origin=st.sampled_from(["same", "known", "unknown", "none"]),
    client=st.sampled_from(["", "00" * 16]),
    seconds=st.none() | st.floats(0, 1e9),
    honeypot=st.booleans(),
)


def read(circumstances: Circumstances | None = None, /, **values: Any) -> Submission:
    return compose(sort(values.items()), region="US", circumstances=circumstances or Circumstances())


def test_a_name_may_come_in_two_parts() -> None:
    assert read(first_name=" Ada ", last_name="Lovelace").name == "Ada Lovelace"
    assert read(first_name="Ada").name == "Ada"
    assert read(last_name="Lovelace").name == "Lovelace"
    assert read(name="Ada Byron", last_name="").name == "Ada Byron"


def test_nothing_typed_is_dropped_when_a_name_comes_whole_and_in_parts() -> None:
    submission = read(name="Ada Byron", first_name="Augusta", last_name="Lovelace", email="ada@example.com")
    kept = json.dumps(submission.as_json())
    assert all(part in kept for part in ("Ada Byron", "Augusta", "Lovelace"))


@pytest.mark.parametrize("field", ["new_patient", "consent_reply", "consent_marketing"])
def test_an_answer_that_is_neither_yes_nor_no_is_kept_as_it_was_given(field: str) -> None:
    submission = read(**{"email": "ada@example.com", field: "only on Tuesdays"})
    assert "only on Tuesdays" in json.dumps(submission.as_json())
    assert submission.new_patient is None
    assert submission.consents == ()


def test_an_address_alone_is_enough() -> None:
    submission = read(email="ada@example.com")
    assert submission.acceptable
    assert submission.doubts == ()


def test_a_number_alone_is_enough_and_is_kept_as_typed_too() -> None:
    submission = read(phone="(904)  555-0134")
    assert submission.acceptable
    assert (submission.phone, submission.phone_typed) == ("+19045550134", "(904) 555-0134")


def test_a_wrong_address_beside_a_good_number_is_accepted_with_a_doubt() -> None:
    submission = read(email="ada at example", phone="904-555-0134")
    assert submission.acceptable
    assert submission.email == ""
    assert submission.extras == {"email as typed": "ada at example"}
    assert submission.doubts == ("The e-mail address is not a valid one; call instead.",)


def test_a_wrong_number_beside_a_good_address_is_accepted_with_a_doubt() -> None:
    submission = read(email="ada@example.com", phone="ask Tom")
    assert submission.acceptable
    assert (submission.phone, submission.phone_typed) == ("", "ask Tom")
    assert submission.doubts == ("The phone number is not a valid one; write instead.",)


def test_a_number_that_may_not_exist_is_accepted_with_a_doubt() -> None:
    assert read(phone="004-055-0134").doubts == ("The phone number may not exist.",)


def test_a_slip_in_the_address_is_a_suggestion_and_no_problem() -> None:
    submission = read(email="ada@gmial.com")
    assert submission.acceptable
    assert submission.suggestions == {"email": "ada@gmail.com"}


def test_nobody_to_answer_is_the_only_problem() -> None:
    problems = read(name="Ada", message="Help").problems
    assert set(problems) == {"email", "phone"}
    assert problems["email"] == UNREACHABLE


def test_what_was_given_wrong_is_named_where_it_stands() -> None:
    assert set(read(email="ada").problems) == {"email"}
    assert set(read(phone="12").problems) == {"phone"}
    assert set(read(email="ada", phone="12").problems) == {"email", "phone"}


def test_an_attempt_that_fails_keeps_what_was_typed() -> None:
    submission = read(email="ada at example", phone="12", message="My back")
    assert submission.extras["email as typed"] == "ada at example"
    assert (submission.phone_typed, submission.message) == ("12", "My back")


def test_attribution_is_kept_as_it_came() -> None:
    submission = read(
        email="ada@example.com",
        page_url="https://www.example.com/a?b=c",
        referrer="https://search.example.net/",
        utm_source="news letter",
        utm_id="7",
        gclid="Cj0-_x",
        fbclid="",
    )
    assert submission.page_url == "https://www.example.com/a?b=c"
    assert submission.referrer == "https://search.example.net/"
    assert submission.attribution == {"utm_source": "news letter", "utm_id": "7", "gclid": "Cj0-_x"}


def test_consent_is_what_was_ticked() -> None:
    assert read(consent_reply="on", consent_marketing="false").consents == ("reply",)
    assert read(consent_reply=True, consent_marketing=True).consents == PURPOSES
    assert read().consents == ()


def test_wishes_and_symptoms_that_have_no_column_are_kept_as_extras() -> None:
    submission = read(email="a@example.com", starts_at="2026-12-01T15:00:00Z", symptoms=["back", " neck "])
    assert submission.extras == {"starts_at": "2026-12-01T15:00:00Z", "symptoms": ["back", "neck"]}
    assert submission.asks_for_a_time


def test_the_secret_of_a_hold_asks_for_a_time_and_is_not_kept() -> None:
    submission = read(email="a@example.com", hold="h1")
    assert (submission.hold, submission.asks_for_a_time, submission.extras) == ("h1", True, {})


def test_a_post_without_a_time_asks_for_none() -> None:
    assert not read(email="a@example.com", starts_at=" ", service="massage-therapy").asks_for_a_time


@given(FORM, CIRCUMSTANCES)
def test_any_submission_survives_the_way_through_json(form: dict[str, str], circumstances: Circumstances) -> None:
    submission = compose(sort(form.items()), region="US", circumstances=circumstances)
    there = json.loads(json.dumps(submission.as_json()))
    assert Submission.from_json(there) == submission


@given(FORM)
def test_a_form_can_be_answered_exactly_when_there_is_an_address_or_a_number(form: dict[str, str]) -> None:
    submission = read(**form)
    assert submission.acceptable == bool(submission.email or submission.phone)


@pytest.mark.parametrize("word", ["true", "on", "Yes", " YES ", "1", "I agree", "checked"])
def test_a_yes_is_a_yes(word: str) -> None:
    assert yes_or_no(word) is True


@pytest.mark.parametrize("word", ["false", "off", "No", "0"])
def test_a_no_is_a_no(word: str) -> None:
    assert yes_or_no(word) is False


@pytest.mark.parametrize("word", ["", "maybe", "yes and no", "2"])
def test_anything_else_is_neither(word: str) -> None:
    assert yes_or_no(word) is None


def test_the_time_to_fill_a_form_is_counted_from_its_showing() -> None:
    assert seconds_to_fill("1000", datetime.fromtimestamp(1012.5, UTC)) == 12.5


@pytest.mark.parametrize("started", ["", "x", "-5", "1e3", "²", "9" * 13, "2000"])
def test_a_start_that_makes_no_sense_or_lies_ahead_is_no_start(started: str) -> None:
    assert seconds_to_fill(started, datetime.fromtimestamp(1000, UTC)) is None
