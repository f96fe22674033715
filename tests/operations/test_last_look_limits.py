"""The last look's limits: no flood into one box, no text at night or against a STOP, and then somebody calls."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from booking.database import Database
from booking.domain.status import MessageState
from booking.operations import fates, last_look, leases, notifications, reminders
from booking.operations.last_look import (
    A_DAY,
    AT_THE_LATEST,
    CONFIRMATIONS_A_DAY,
    LETTERS_A_DAY,
    MOVES_A_DAY,
    Done,
    Later,
    Ready,
)
from booking.operations.leases import Claimed
from booking.operations.notifications import BOOKED, CANCELLED, LEAD_CAPTURED, MOVED
from tests.operations.in_hand import ADA, NUMBER, ZONE, about, booked, change, confirm, look, only, put
from tests.visits import DAY, HOUR, MAIN, SHORT, TEN, Clinic, small

MOMENT, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)


# ---------------------------------------------------------------- no flood into one box


def test_the_fourth_confirmation_to_one_address_within_a_day_is_held(clinic: Clinic) -> None:
    for _ in range(CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic), Ready)
        clinic.now += MINUTE
    assert confirm(clinic) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)
    assert isinstance(confirm(clinic, recipient="ben@example.com"), Ready)
    clinic.now += A_DAY - CONFIRMATIONS_A_DAY * MINUTE - MOMENT
    assert confirm(clinic) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)
    clinic.now += MOMENT
    assert isinstance(confirm(clinic), Ready)
    assert confirm(clinic) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)


def test_neither_capitals_nor_texts_are_a_way_round(clinic: Clinic) -> None:
    for address in ("ada@example.com", "Ada@Example.com", "ada+1@example.com"):
        assert isinstance(confirm(clinic, recipient=address), Ready)
    assert confirm(clinic, recipient="ADA@example.com") == Done(MessageState.HELD, last_look.ENOUGH_TODAY)
    clinic.now = clinic.now.replace(hour=17)
    for _ in range(CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic, channel="sms", recipient=NUMBER), Ready)
    assert confirm(clinic, channel="sms", recipient=NUMBER) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)


def tell(clinic: Clinic, event: str, visit_id: int, number: int, **more: Any) -> Ready | Done | Later | None:
    """One more message about a visit, which is sent if nothing is against it."""
    claimed = about(clinic, event, visit_id, recipient=ADA, key=(event, str(visit_id), str(number)), **more)
    found = look(clinic, claimed)
    if isinstance(found, Ready):
        clinic.do(fates.sent, "one", claimed, "", clinic.now)
        clinic.now += MINUTE
    else:
        clinic.do(leases.finish, "one", claimed.id, MessageState.WITHDRAWN, "", clinic.now)
    return found


@pytest.mark.parametrize("audience", ["visitor", "desk"])
def test_a_visit_that_is_moved_again_and_again_is_told_once_an_hour(audience: str, clinic: Clinic) -> None:
    visit_id = visit_in_a_week(clinic)
    for number in range(MOVES_A_DAY):
        assert isinstance(tell(clinic, MOVED, visit_id, number, audience=audience), Ready)
    last = clinic.now - MINUTE
    assert tell(clinic, MOVED, visit_id, 99, audience=audience) == Later(last + HOUR, last_look.MANY_CHANGES)
    other = visit_in_a_week(clinic, TEN + 7 * DAY + HOUR)
    assert isinstance(tell(clinic, MOVED, other, 0, audience=audience), Ready), "of another visit"
    change(clinic, visit_id, status="cancelled")
    assert isinstance(tell(clinic, CANCELLED, visit_id, 0, audience=audience), Ready), "this is the end of it"
    change(clinic, visit_id, status="booked")
    clinic.now = last + HOUR
    assert isinstance(tell(clinic, MOVED, visit_id, 100, audience=audience), Ready)


def visit_in_a_week(clinic: Clinic, at: datetime = TEN + 7 * DAY) -> int:
    clinic.diary = replace(clinic.diary, telling=None)
    return clinic.book("short", at, "ann").row.id


def test_shortly_before_a_visit_nothing_waits(clinic: Clinic) -> None:
    visit_id = visit_in_a_week(clinic)
    clinic.now = TEN + 7 * DAY - 3 * HOUR - 4 * MINUTE
    for number in range(MOVES_A_DAY):
        tell(clinic, MOVED, visit_id, number)
    last = clinic.now - MINUTE
    assert last + HOUR == TEN + 7 * DAY - AT_THE_LATEST
    assert tell(clinic, MOVED, visit_id, 99) == Later(last + HOUR, last_look.MANY_CHANGES)
    change(clinic, visit_id, starts_at=TEN + 7 * DAY - MOMENT)
    assert isinstance(tell(clinic, MOVED, visit_id, 100), Ready)


def test_a_family_with_many_visits_hears_of_each_at_once_and_nobody_can_flood_it(clinic: Clinic) -> None:
    visits = [visit_in_a_week(clinic, TEN + 7 * DAY + number * HOUR) for number in range(6)]
    for number in range(LETTERS_A_DAY):
        assert isinstance(tell(clinic, BOOKED, visits[number % 6], number), Ready)
    last = clinic.now - MINUTE
    assert tell(clinic, BOOKED, visits[0], 99) == Later(last + HOUR, last_look.MANY_CHANGES)
    assert isinstance(tell(clinic, BOOKED, visits[0], 100, audience="desk"), Ready), "the desk hears of each"


def test_what_was_sent_to_somebody_is_counted_in_an_index_of_its_own(clinic: Clinic, database: Database) -> None:
    """So that a confirmation costs the same after years, and writing a message does not pay for it."""
    put(clinic)
    claimed = only(clinic)
    asked: list[tuple[str, Any]] = []
    listener = lambda _c, _k, statement, values, *_: asked.append((statement, values))  # noqa: E731  for both calls
    event.listen(database.engine, "before_cursor_execute", listener)
    with database.reading() as db:
        last_look._sent_lately(db, clinic.keyring, claimed, [LEAD_CAPTURED], clinic.now)
    event.remove(database.engine, "before_cursor_execute", listener)
    (statement, values) = asked[-1]
    with database.reading() as db:
        if database.dialect == "postgresql":
            db.execute(text("set local enable_seqscan = off"))
        how = "explain" if database.dialect == "postgresql" else "explain query plan"
        plan = db.connection().exec_driver_sql(f"{how} {statement}", values).all()
    assert "ix_outbox_message_sent" in str(plan)


@pytest.mark.parametrize(
    "other",
    [{"event": "digest"}, {"event": LEAD_CAPTURED, "audience": "desk"}],
    ids=["a digest", "a letter to the desk"],
)
def test_other_letters_are_neither_counted_nor_held(other: dict[str, Any], clinic: Clinic) -> None:
    for _ in range(2 * CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic, **other), Ready)
    for _ in range(CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic), Ready)
    assert isinstance(confirm(clinic), Done)
    assert isinstance(confirm(clinic, **other), Ready)


# ---------------------------------------------------------------- texts


def test_a_number_that_said_stop_after_the_text_was_written_gets_none(clinic: Clinic) -> None:
    put(clinic, channel="sms", recipient=NUMBER)
    claimed = only(clinic, "sms")
    assert isinstance(look(clinic, claimed), Ready)
    for _ in range(2):
        clinic.do(fates.stop_texts, clinic.keyring, NUMBER, clinic.now)
    assert look(clinic, claimed) == Done(MessageState.WITHDRAWN, last_look.STOPPED)
    clinic.do(fates.allow_texts, clinic.keyring, NUMBER)
    assert isinstance(look(clinic, claimed), Ready)


def test_a_stop_stops_texts_and_no_letters_and_nobody_elses(clinic: Clinic) -> None:
    clinic.do(fates.stop_texts, clinic.keyring, NUMBER, clinic.now)
    put(clinic)
    put(clinic, channel="sms", recipient="+12025550199")
    assert isinstance(look(clinic, only(clinic)), Ready)
    assert isinstance(look(clinic, only(clinic, "sms")), Ready)


WAKING = {"07:59": "08:00", "08:00": "", "19:59": "", "20:00": "08:00", "23:59": "08:00", "00:00": "08:00"}


@pytest.mark.parametrize("wall", WAKING)
def test_texts_are_sent_between_eight_and_eight_and_letters_at_any_time(wall: str, clinic: Clinic) -> None:
    put(clinic, channel="sms", recipient=NUMBER)
    put(clinic, "digest")
    text, letter = only(clinic, "sms"), only(clinic)
    at = datetime.fromisoformat(f"2026-12-05T{wall}").replace(tzinfo=ZONE)
    clinic.now = at.astimezone(UTC)
    assert isinstance(look(clinic, letter), Ready)
    found = look(clinic, text)
    if not WAKING[wall]:
        assert isinstance(found, Ready)
    else:
        next_day = at.date() + DAY if wall > "08" else at.date()
        morning = datetime.combine(next_day, time(8), ZONE)
        assert found == Later(morning, last_look.AT_NIGHT)


def test_night_is_on_the_clock_of_the_visit_and_else_of_the_clinic(clinic: Clinic) -> None:
    clinic.load(small(SHORT, locations=(replace(MAIN, timezone="America/Los_Angeles"),)))
    visit_id = booked_at_noon(clinic)
    texts = [about(clinic, BOOKED, visit_id, channel="sms"), about_nothing(clinic)]
    clinic.now = datetime(2026, 11, 24, 21, 0, tzinfo=ZONE).astimezone(UTC)  # six in the evening in Los Angeles
    assert isinstance(look(clinic, texts[0]), Ready)
    assert look(clinic, texts[1]) == Later(datetime(2026, 11, 25, 8, 0, tzinfo=ZONE), last_look.AT_NIGHT)


@pytest.mark.parametrize("recipient", ["+14155550123", NUMBER], ids=["in California", "in the east"])
def test_night_is_also_on_the_clock_of_the_number(recipient: str, clinic: Clinic) -> None:
    put(clinic, channel="sms", recipient=recipient)
    text = only(clinic, "sms")
    clinic.now = datetime(2026, 11, 25, 8, 0, tzinfo=ZONE).astimezone(UTC)
    found = look(clinic, text)
    if recipient == NUMBER:
        assert isinstance(found, Ready)
    else:
        assert found == Later(datetime(2026, 11, 25, 11, 0, tzinfo=ZONE), last_look.AT_NIGHT)


def test_a_text_that_could_help_only_at_night_is_missed_and_says_why(clinic: Clinic) -> None:
    clinic.now = datetime(2026, 11, 24, 21, 0, tzinfo=ZONE).astimezone(UTC)
    put(clinic, channel="sms", recipient=NUMBER, useful_until=clinic.now + 10 * HOUR)
    assert look(clinic, only(clinic, "sms")) == Done(MessageState.MISSED, last_look.ONLY_AT_NIGHT)


def booked_at_noon(clinic: Clinic) -> int:
    clinic.diary = replace(clinic.diary, telling=None)
    return clinic.book("short", TEN + 5 * HOUR, "ann").row.id


def about_nothing(clinic: Clinic) -> Claimed:
    put(clinic, channel="sms", recipient=NUMBER)
    return only(clinic, "sms")


# ---------------------------------------------------------------- somebody has to call


def by_text(clinic: Clinic, **more: Any) -> Done | Ready | Later | None:
    """What becomes of the news by text that a visit of tomorrow at ten is cancelled."""
    visit_id = booked(clinic)
    change(clinic, visit_id, status="cancelled", told=more.pop("told", None))
    return look(clinic, about(clinic, CANCELLED, visit_id, channel="sms", **({"recipient": NUMBER} | more)))


@pytest.mark.parametrize("recipient", [NUMBER, "+14155550123"], ids=["in the east", "in California"])
def test_who_can_be_reached_by_text_alone_and_not_before_the_visit_is_called(recipient: str, clinic: Clinic) -> None:
    clinic.now = TEN - HOUR  # at nine it is six in California
    found = by_text(clinic, recipient=recipient)
    if recipient == NUMBER:
        assert isinstance(found, Ready)
    else:
        assert found == Done(MessageState.DEAD, last_look.TOO_LATE_THEN)


def test_who_is_told_by_letter_too_need_not_be_called(clinic: Clinic) -> None:
    clinic.now = TEN - HOUR
    lead = clinic.somebody()
    assert by_text(clinic, recipient="+14155550123", lead_id=lead) == Done(MessageState.MISSED, last_look.TOO_LATE_THEN)


def test_who_saw_it_on_the_page_need_not_be_called(clinic: Clinic) -> None:
    clinic.now = TEN - HOUR
    told = {"sms": notifications.SEEN_SINCE}
    assert by_text(clinic, recipient="+14155550123", told=told) == Done(MessageState.MISSED, last_look.TOO_LATE_THEN)


def test_who_said_stop_and_left_nothing_else_is_called_when_the_desk_changes_their_visit(clinic: Clinic) -> None:
    clinic.do(fates.stop_texts, clinic.keyring, NUMBER, clinic.now)
    assert by_text(clinic) == Done(MessageState.DEAD, last_look.STOPPED)
    reminder = about(clinic, reminders.HOURS, booked_at_noon(clinic), channel="sms", recipient=NUMBER,
                     facts={"starts_at": (TEN + 5 * HOUR).isoformat()})  # fmt: skip
    assert look(clinic, reminder) == Done(MessageState.WITHDRAWN, last_look.STOPPED), "a reminder is no news"
