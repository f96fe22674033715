"""Vitals: each fault is seen when it is there and gone when it is mended, and tests of the form count for nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.domain import silence
from booking.domain.status import MessageState
from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models.lead import Lead
from booking.models.outbox import OutboxMessage
from booking.operations import exports, fates, leases, outbox, vitals, webhooks, witness
from booking.operations.exports import Filters
from booking.operations.outbox import Message
from booking.operations.vitals import BEAT_WITHIN, LATE_AFTER, SEEN_WITHIN, WATCHED, WEEKS, WORKER, Vitals
from tests.posting import ADA, Post
from tests.visits import DAY, HOUR, Clinic

ZONE = ZoneInfo("America/New_York")
MINUTE, MOMENT, WEEK = timedelta(minutes=1), timedelta(microseconds=1), timedelta(days=7)


@pytest.fixture
def clinic(clinic: Clinic) -> Clinic:
    """The clinic while its worker runs."""
    beat(clinic, WORKER)
    return clinic


def beat(clinic: Clinic, name: str, **details: Any) -> None:
    clinic.do(vitals.beat, name, clinic.now, details)


def read(clinic: Clinic, zone: ZoneInfo = ZONE) -> Vitals:
    with clinic.database.reading() as db:
        return vitals.read(db, zone, clinic.now)


def faults(clinic: Clinic) -> dict[str, str]:
    return dict(vitals.faults(read(clinic), ZONE, clinic.now))


def put(clinic: Clinic, **more: Any) -> None:
    message = Message("event", "visitor", "mail", "ada@example.com", (str(more),), clinic.now)
    clinic.do(outbox.write, clinic.keyring, [replace(message, **more)], clinic.now)


def finish(clinic: Clinic, state: MessageState) -> int:
    (claimed,) = clinic.do(leases.claim, "one", "mail", clinic.now, limit=1)
    assert clinic.do(leases.finish, "one", claimed.id, state, "", clinic.now)
    return claimed.id


def come(clinic: Clinic, number: int, at: datetime) -> None:
    """So many enquiries come at an instant."""
    now, clinic.now = clinic.now, at
    for _ in range(number):
        clinic.somebody()
    clinic.now = now


# ---------------------------------------------------------------- faults


def test_where_all_is_well_nothing_is_said(clinic: Clinic) -> None:
    put(clinic)
    beat(clinic, WATCHED, reference="SV-2222-22", seen_at=clinic.now.isoformat())
    assert faults(clinic) == {}


def test_a_worker_that_stands_still_while_something_waits_is_seen_after_two_minutes(clinic: Clinic) -> None:
    put(clinic)
    clinic.now += BEAT_WITHIN
    assert faults(clinic) == {}
    clinic.now += MOMENT
    assert "since 2026-11-24 10:30" in faults(clinic)["worker"]
    beat(clinic, WORKER)
    assert faults(clinic) == {}


def test_where_nothing_waits_no_worker_is_missed(clinic: Clinic) -> None:
    put(clinic, due_at=clinic.now + 2 * DAY)
    clinic.now += DAY
    assert faults(clinic) == {}


def test_where_no_worker_ever_ran_it_is_said(database: Database, keyring: Keyring, now: datetime) -> None:
    clinic = Clinic(database, keyring, now)
    put(clinic)
    clinic.now += BEAT_WITHIN + MOMENT
    assert "No worker has been running yet" in faults(clinic)["worker"]


def test_a_message_that_nobody_sends_is_seen_after_a_quarter_of_an_hour(clinic: Clinic) -> None:
    put(clinic)
    put(clinic, due_at=clinic.now + HOUR)
    clinic.now += LATE_AFTER
    beat(clinic, WORKER)
    assert faults(clinic) == {}
    clinic.now += MOMENT
    assert "at 2026-11-24 10:30" in faults(clinic)["late"]
    finish(clinic, MessageState.SENT)
    assert faults(clinic) == {}


@pytest.mark.parametrize("state", [MessageState.HELD, MessageState.WITHDRAWN])
def test_what_waits_for_nobody_is_not_late(state: MessageState, clinic: Clinic) -> None:
    put(clinic)
    finish(clinic, state)
    clinic.now += DAY
    beat(clinic, WORKER)
    assert faults(clinic) == {}


def test_what_waits_for_a_program_that_is_told_no_more_is_not_late(clinic: Clinic) -> None:
    number = clinic.do(webhooks.add, clinic.keyring, "https://crm.example", "whsec_x", clinic.now).id
    put(clinic, channel="webhook", recipient=str(number))
    clinic.now += HOUR
    beat(clinic, WORKER)
    assert set(faults(clinic)) == {"late"}
    clinic.do(webhooks.remove, number, clinic.now)
    assert faults(clinic) == {}
    clinic.do(webhooks.enable, number)
    assert set(faults(clinic)) == {"late"}


@pytest.mark.parametrize("channel", ["mail", "sms"])
def test_a_server_that_takes_nothing_is_seen_after_a_few_attempts(channel: str, clinic: Clinic) -> None:
    """What is tried again is never late: each failure makes it due later."""
    put(clinic, channel=channel)
    began = clinic.now
    for attempts in range(1, vitals.TRIED_IN_VAIN + 1):
        assert faults(clinic) == {}
        (claimed,) = clinic.do(leases.claim, "one", channel, clinic.now, limit=1)
        assert claimed.attempts == attempts
        clinic.do(fates.failed, "one", claimed, "the mail server did not accept our password", clinic.now, after=None)
        with clinic.database.reading() as db:
            clinic.now = db.get_one(OutboxMessage, claimed.id).due_at
        beat(clinic, WORKER)
    assert faults(clinic) == {
        "failing": "1 letters or texts are tried again and again, and not taken: "
        "the mail server did not accept our password."
    }
    assert clinic.now - began < HOUR
    reach(clinic, channel, "another@example.com")
    assert faults(clinic) == {}, "who is reached proves that the server takes what it is given"
    for number in range(2, 4):
        put(clinic, channel=channel, recipient=f"full{number}@example.com")
    with clinic.database.transaction() as db:
        for row in db.scalars(select(OutboxMessage).where(OutboxMessage.recipient.like("full%"))):
            row.attempts, row.due_at = vitals.TRIED_IN_VAIN, clinic.now + HOUR
    assert faults(clinic)["failing"].startswith("3 letters or texts"), "but of three that are not, it is said"
    clinic.now += 3 * HOUR
    for _ in range(3):
        reach(clinic, channel)
    beat(clinic, WORKER)
    assert faults(clinic) == {}


def reach(clinic: Clinic, channel: str, recipient: str = "") -> None:
    """The next message is sent, to somebody new if they are named."""
    if recipient:
        put(clinic, channel=channel, recipient=recipient, due_at=clinic.now - DAY)
    (claimed,) = clinic.do(leases.claim, "one", channel, clinic.now, limit=1)
    clinic.do(fates.sent, "one", claimed, "", clinic.now)


def test_a_program_that_takes_nothing_is_no_fault_of_ours(clinic: Clinic) -> None:
    put(clinic, channel="webhook", recipient="1")
    with clinic.database.transaction() as db:
        row = db.scalars(select(OutboxMessage)).one()
        row.attempts, row.due_at = 9, clinic.now + HOUR
    assert faults(clinic) == {}


def test_what_webflow_saw_and_cannot_be_compared_is_seen(clinic: Clinic) -> None:
    submission = Submission(name="Ada", email="ada@example.com")
    clinic.do(witness.keep, clinic.keyring, "w1", submission, clinic.now - witness.COMPARED_AFTER)
    clinic.now += witness.AGAIN_AFTER
    assert faults(clinic) == {}
    clinic.now += MOMENT
    assert "Webflow" in faults(clinic)["webflow"]


def test_a_message_that_died_is_seen_for_a_day(clinic: Clinic) -> None:
    put(clinic)
    number = finish(clinic, MessageState.DEAD)
    assert (read(clinic).dead, set(faults(clinic))) == (1, {"dead"})
    clinic.do(outbox.release, clinic.now, message_id=number)
    assert faults(clinic) == {}
    finish(clinic, MessageState.DEAD)
    clinic.now += DAY + MOMENT
    beat(clinic, WORKER)
    assert faults(clinic) == {}


def test_a_form_that_does_not_answer_is_seen_at_once_and_until_it_does(clinic: Clinic) -> None:
    beat(clinic, WATCHED, failed="it answered 500")
    assert "10:30 and does not work: it answered 500" in faults(clinic)["watch"]
    beat(clinic, WATCHED, reference="SV-2222-22")
    assert faults(clinic) == {}


def test_a_test_that_is_posted_and_not_seen_is_a_fault_after_five_minutes(clinic: Clinic) -> None:
    beat(clinic, WATCHED, reference="SV-2222-22")
    clinic.now += SEEN_WITHIN
    beat(clinic, WORKER)
    assert faults(clinic) == {}
    clinic.now += MOMENT
    assert "not seen to its end" in faults(clinic)["watch"]
    beat(clinic, WATCHED, reference="SV-2222-22", seen_at=clinic.now.isoformat())
    assert faults(clinic) == {}


def test_whether_the_form_works_is_said_in_words(clinic: Clinic) -> None:
    said = []
    for details in ({"seen_at": "now"}, {"failed": "it answered 500"}, {"reference": "SV-2222-22"}):
        said.append(vitals.form_in_words(read(clinic), ZONE))
        beat(clinic, WATCHED, **details)
    said.append(vitals.form_in_words(read(clinic), ZONE))
    assert said == [
        "The form has not been tested by itself yet.",
        "The form was tested at 2026-11-24 10:30, and works.",
        "The form was tested at 2026-11-24 10:30: it answered 500.",
        "The form was tested at 2026-11-24 10:30: it is not known yet how.",
    ]


def test_a_beat_takes_the_place_of_the_one_before(clinic: Clinic, database: Database) -> None:
    beat(clinic, WATCHED, reference="one")
    clinic.now += MINUTE
    beat(clinic, WATCHED, failed="two")
    with database.reading() as db:
        found = vitals.last(db, WATCHED)
        assert vitals.last(db, "never") is None
    assert found is not None
    assert (found.beat_at, found.details) == (clinic.now, {"failed": "two"})


# ---------------------------------------------------------------- silence


def test_a_day_far_more_silent_than_such_days_before_is_seen_until_somebody_comes(clinic: Clinic) -> None:
    come(clinic, 1, clinic.now - 5 * WEEK)
    for week in range(1, 5):
        come(clinic, 8, clinic.now - week * WEEK - 2 * HOUR)
    assert read(clinic).days == (0, 8, 8, 8, 8)
    assert faults(clinic)["silence"].startswith("Only 0 enquiries today")
    come(clinic, 3, clinic.now)
    assert faults(clinic) == {}


def test_days_are_compared_up_to_the_same_time_on_the_same_weekday_for_eight_weeks(clinic: Clinic) -> None:
    come(clinic, 1, clinic.now - (WEEKS + 3) * WEEK)
    come(clinic, 1, clinic.now - WEEK)
    come(clinic, 2, clinic.now - WEEK + MOMENT)
    come(clinic, 4, clinic.now - WEEK - DAY)
    assert read(clinic).days == (0, 1, *[0] * (WEEKS - 1))


def test_the_same_time_is_that_of_the_wall_also_over_a_change_of_the_clock(clinic: Clinic) -> None:
    clinic.now = datetime(2026, 11, 3, 10, 0, tzinfo=ZONE).astimezone(UTC)
    come(clinic, 1, clinic.now - 3 * WEEK)
    come(clinic, 1, datetime(2026, 10, 27, 10, 0, tzinfo=ZONE).astimezone(UTC))
    come(clinic, 2, datetime(2026, 10, 27, 10, 1, tzinfo=ZONE).astimezone(UTC))
    come(clinic, 4, datetime(2026, 10, 26, 23, 59, tzinfo=ZONE).astimezone(UTC))
    assert read(clinic).days == (0, 1, 0)


def test_a_service_that_is_new_is_not_compared_with_days_before_it_began(clinic: Clinic) -> None:
    assert read(clinic).days == (0,)
    come(clinic, 30, clinic.now - 2 * WEEK - MINUTE)
    assert read(clinic).days == (0, 0)
    assert faults(clinic) == {}


def test_a_silence_that_goes_on_is_seen_where_each_day_for_itself_is_too_quiet_to_tell(clinic: Clinic) -> None:
    for week in range(8):
        for day in range(5 if week else 1):
            come(clinic, 2, clinic.now - 10 * DAY - week * WEEK + day * DAY)
    last = clinic.now - 10 * DAY
    assert read(clinic).last_enquiry == last
    assert read(clinic).quiet[:2] == (18, 18)
    assert min(read(clinic).quiet) >= 16, "on the wall, also over the change of the clock"
    assert not silence.is_unusual(read(clinic).days[0], read(clinic).days[1:]), "the twin: of a day nothing is said"
    assert faults(clinic)["silence"].startswith("No enquiry has come since 2026-11-14")
    clinic.now -= 6 * DAY
    assert min(read(clinic).quiet) >= 6
    beat(clinic, WORKER)
    assert faults(clinic) == {}


# ---------------------------------------------------------------- tests of the form


def test_a_test_of_the_form_is_in_no_number_and_no_export(post: Post, clinic: Clinic, database: Database) -> None:
    post(ADA, door="watch")
    assert read(clinic).days == (0,)
    assert exported(database, clinic) == []
    post(ADA | {"email": "real@example.com"}, door="form")
    assert read(clinic).days == (1,)
    assert exported(database, clinic) == ["real@example.com"], "the twin: what is no test is there"


def exported(database: Database, clinic: Clinic) -> list[str]:
    """The e-mail addresses in an export of everything."""
    everything = Filters(incomplete=True)
    with database.reading() as db:
        assert db.scalars(select(Lead)).all(), "it is stored"
        given: dict[str, Any] = {"columns": ["email"], "profile": "raw", "region": "US", "keyring": clinic.keyring}
        file = b"".join(exports.stream(db, everything, zone=ZONE, **given))
        found = file.decode().split()[1:]
        assert exports.count(db, everything, zone=ZONE) == len(found)
    return found
