"""Fates: what became of a message stands where people look, and whoever lost it meanwhile writes nothing down."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.delivery.webhook import RETRY_AFTER
from booking.models import Appointment
from booking.models.lead import Lead
from booking.models.outbox import OutboxMessage, SmsStop
from booking.operations import fates, leases, outbox, webhooks
from booking.operations.fates import GIVEN_UP_AFTER
from booking.operations.leases import FIRST_WAIT, LEASE, LONGEST_WAIT, Claimed
from booking.operations.notifications import MOVED
from booking.operations.outbox import Message
from tests.visits import TEN, Clinic

MOMENT, MINUTE, HOUR, DAY = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NUMBER = "+12025550123"


OFTEN = fates.FEWEST_TRIES + 1


def claimed_letter(clinic: Clinic, **more: Any) -> Claimed:
    """A message in the hands of the worker `one`: a letter to a visitor, unless it says otherwise."""
    message = Message("event", "visitor", "mail", "ada@example.com", ("test",), clinic.now)
    clinic.do(outbox.write, clinic.keyring, [replace(message, **more)], clinic.now)
    return again(clinic, more.get("channel", "mail"))


def again(clinic: Clinic, channel: str = "mail", worker: str = "one") -> Claimed:
    (claimed,) = clinic.do(leases.claim, worker, channel, clinic.now, limit=25)
    return claimed


def fail(clinic: Clinic, claimed: Claimed, worker: str = "one", **more: Any) -> bool:
    return clinic.do(fates.failed, worker, claimed, "no answer", clinic.now, **({"after": None} | more))


def row_of(database: Database, claimed: Claimed) -> OutboxMessage:
    with database.reading() as db:
        return db.get_one(OutboxMessage, claimed.id)


def fate(database: Database, claimed: Claimed) -> tuple[str, str]:
    row = row_of(database, claimed)
    return row.state, row.reason


def undelivered(database: Database, lead_id: int) -> str:
    with database.reading() as db:
        return db.get_one(Lead, lead_id).undelivered


def told(database: Database, visit_id: int) -> dict[str, str] | None:
    with database.reading() as db:
        return db.get_one(Appointment, visit_id).told


# ---------------------------------------------------------------- sent


def test_what_arrives_after_all_is_no_more_a_reason_to_call(clinic: Clinic, database: Database) -> None:
    lead = clinic.somebody()
    for name in ("one", "two"):
        claimed = claimed_letter(clinic, lead_id=lead, key=(name,))
        clinic.do(fates.refused, "one", claimed, "no such box", clinic.now)
    with database.reading() as db:
        dead = db.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)).all()
    for number, still in zip(dead, (True, False), strict=True):
        assert "call instead" in undelivered(database, lead)
        clinic.do(outbox.release, clinic.now, message_id=number)
        clinic.do(fates.sent, "one", again(clinic), "", clinic.now)
        assert bool(undelivered(database, lead)) is still


def test_what_arrives_as_usual_leaves_what_the_lead_says(clinic: Clinic, database: Database) -> None:
    lead = clinic.somebody()
    clinic.do(fates.refused, "one", claimed_letter(clinic, lead_id=lead), "no such box", clinic.now)
    for more in ({"audience": "desk", "key": ("desk",)}, {"key": ("another",)}):
        clinic.do(fates.sent, "one", claimed_letter(clinic, lead_id=lead, **more), "", clinic.now)
        assert "call instead" in undelivered(database, lead)


def test_what_was_sent_is_done_and_the_visit_remembers_what_was_told(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN).row.id
    claimed = claimed_letter(clinic, appointment_id=visit, event=MOVED)
    assert clinic.do(fates.sent, "one", claimed, "as it stands", clinic.now)
    assert (fate(database, claimed), row_of(database, claimed).done_at) == (("sent", ""), clinic.now)
    assert told(database, visit) == {"mail": "as it stands"}


def test_each_channel_is_remembered_for_itself(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN).row.id
    for channel, line in (("mail", "first"), ("sms", "first"), ("mail", "second")):
        claimed = claimed_letter(clinic, appointment_id=visit, channel=channel, key=(channel, line))
        clinic.do(fates.sent, "one", claimed, line, clinic.now)
    assert told(database, visit) == {"mail": "second", "sms": "first"}


@pytest.mark.parametrize(
    "more", [{"audience": "desk"}, {"audience": "program", "channel": "webhook"}, {"to_tell": ""}], ids=str
)
def test_what_no_visitor_was_told_of_the_visit_is_not_remembered(
    more: dict[str, Any], clinic: Clinic, database: Database
) -> None:
    visit, given_of_it = clinic.book("short", TEN).row.id, dict(more)
    to_tell = given_of_it.pop("to_tell", "as it stands")
    claimed = claimed_letter(clinic, appointment_id=visit, **given_of_it)
    assert clinic.do(fates.sent, "one", claimed, to_tell, clinic.now)
    assert told(database, visit) is None


def test_what_was_withdrawn_while_it_was_sent_was_told_all_the_same(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN).row.id
    claimed = claimed_letter(clinic, appointment_id=visit, event=MOVED)
    clinic.do(outbox.withdraw, visit, [MOVED], "it moved again", clinic.now)
    assert not clinic.do(fates.sent, "one", claimed, "as it was", clinic.now)
    assert fate(database, claimed) == ("withdrawn", "it moved again")
    assert told(database, visit) == {"mail": "as it was"}


# ---------------------------------------------------------------- never


@pytest.mark.parametrize(
    ("channel", "says"),
    [("mail", "The e-mail did not arrive, call instead: no such box"), ("sms", "The text did not arrive: no such box")],
)
def test_of_what_never_arrives_the_lead_says_so(channel: str, says: str, clinic: Clinic, database: Database) -> None:
    lead, other = clinic.somebody(), clinic.somebody()
    claimed = claimed_letter(clinic, lead_id=lead, channel=channel)
    clinic.now += MINUTE
    assert clinic.do(fates.refused, "one", claimed, "no such box", clinic.now)
    assert fate(database, claimed) == ("dead", "no such box")
    assert (undelivered(database, lead), undelivered(database, other)) == (says, "")
    with database.reading() as db:
        assert db.get_one(Lead, lead).updated_at == clinic.now, "so that an export since then has it"


@pytest.mark.parametrize("audience", ["desk", "program"])
def test_of_what_the_desk_or_a_program_never_got_the_lead_says_nothing(
    audience: str, clinic: Clinic, database: Database
) -> None:
    lead = clinic.somebody()
    claimed = claimed_letter(clinic, lead_id=lead, audience=audience, channel="mail")
    assert clinic.do(fates.refused, "one", claimed, "no such box", clinic.now)
    assert (fate(database, claimed), undelivered(database, lead)) == (("dead", "no such box"), "")


# ---------------------------------------------------------------- not this time


def test_what_is_not_taken_is_tried_again_later_each_time_and_dead_after_a_day(
    clinic: Clinic, database: Database
) -> None:
    lead = clinic.somebody()
    claimed, written_at, waits = claimed_letter(clinic, lead_id=lead), clinic.now, []
    while fail(clinic, claimed) and fate(database, claimed)[0] == "waiting":
        waits.append(row_of(database, claimed).due_at - clinic.now)
        clinic.now = row_of(database, claimed).due_at
        claimed = again(clinic)
    assert fate(database, claimed) == ("dead", "no answer")
    assert GIVEN_UP_AFTER - 1.5 * LONGEST_WAIT < clinic.now - written_at <= GIVEN_UP_AFTER
    assert undelivered(database, lead) == "The e-mail did not arrive, call instead: no answer"
    for number, wait in enumerate(waits):
        middle = min(LONGEST_WAIT, FIRST_WAIT * 2.0**number)
        assert middle / 2 <= wait <= 1.5 * middle


def test_a_message_that_is_sent_after_all_has_a_day_again(clinic: Clinic, database: Database) -> None:
    claimed = replace(claimed_letter(clinic), attempts=OFTEN)
    clinic.now += 2 * DAY
    assert fail(clinic, claimed)
    assert fate(database, claimed)[0] == "dead"
    clinic.do(outbox.release, clinic.now, message_id=claimed.id)
    assert fail(clinic, again(clinic))
    assert fate(database, claimed) == ("waiting", "no answer")


def test_a_webhook_is_tried_by_the_table_of_the_standard_and_then_dead(clinic: Clinic, database: Database) -> None:
    claimed = claimed_letter(clinic, channel="webhook", audience="program", recipient="1")
    for wait in RETRY_AFTER:
        assert fail(clinic, claimed, table=RETRY_AFTER)
        assert (fate(database, claimed)[0], row_of(database, claimed).due_at) == ("waiting", clinic.now + wait)
        clinic.now += wait
        claimed = again(clinic, "webhook")
    assert claimed.attempts == len(RETRY_AFTER) + 1
    assert fail(clinic, claimed, table=RETRY_AFTER)
    assert fate(database, claimed) == ("dead", "no answer")


def test_what_helps_only_for_a_time_is_missed_and_nobody_has_to_call(clinic: Clinic, database: Database) -> None:
    lead = clinic.somebody()
    claimed = claimed_letter(clinic, lead_id=lead, useful_until=clinic.now + 3 * DAY)
    clinic.now += 2 * DAY
    assert fail(clinic, claimed)
    assert fate(database, claimed)[0] == "waiting", "it is tried for as long as it helps, and not for a day"
    clinic.now += DAY - MOMENT
    assert fail(clinic, again(clinic))
    assert (fate(database, claimed), undelivered(database, lead)) == (("missed", "no answer"), "")


@pytest.mark.parametrize("table", [(), RETRY_AFTER], ids=["mail", "webhook"])
def test_the_other_side_may_ask_for_more_time_and_not_for_less(
    table: tuple[timedelta, ...], clinic: Clinic, database: Database
) -> None:
    claimed = claimed_letter(clinic)
    assert fail(clinic, claimed, after=7200.0, table=table)
    assert row_of(database, claimed).due_at == clinic.now + 2 * HOUR
    clinic.now += 2 * HOUR
    assert fail(clinic, again(clinic), after=0.001, table=table)
    assert row_of(database, claimed).due_at >= clinic.now + FIRST_WAIT / 2


def test_who_asks_for_more_than_a_day_is_given_up(clinic: Clinic, database: Database) -> None:
    claimed = replace(claimed_letter(clinic), attempts=OFTEN)
    assert fail(clinic, claimed, after=(DAY + MINUTE).total_seconds())
    assert fate(database, claimed) == ("dead", "no answer")


def test_what_was_hardly_tried_is_not_given_up_after_a_day_in_which_nobody_worked(
    clinic: Clinic, database: Database
) -> None:
    claimed = claimed_letter(clinic)
    clinic.now += 2 * DAY
    assert fail(clinic, claimed)
    assert fate(database, claimed) == ("waiting", "no answer")


# ---------------------------------------------------------------- whoever lost it


FATES: dict[str, dict[str, Any]] = {
    "refused": {},
    "failed": {"after": None},
    "failed for the last time": {"after": DAY.total_seconds() * 2},
}


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "twin: still its own"])
@pytest.mark.parametrize("how", FATES)
def test_a_worker_that_lost_its_lease_changes_nothing(how: str, lost: bool, clinic: Clinic, database: Database) -> None:
    lead = clinic.somebody()
    claimed = claimed_letter(clinic, lead_id=lead)
    if lost:
        clinic.now += LEASE + MOMENT
        again(clinic, worker="two")
    before = seen(database, claimed, lead)
    act = getattr(fates, how.split(maxsplit=1)[0])
    assert clinic.do(act, "one", claimed, "no answer", clinic.now, **FATES[how]) is not lost
    assert (seen(database, claimed, lead) == before) is lost


def seen(database: Database, claimed: Claimed, lead: int) -> tuple[Any, ...]:
    row = row_of(database, claimed)
    return row.state, row.reason, row.worker, row.lease_until, row.due_at, row.attempts, undelivered(database, lead)


# ---------------------------------------------------------------- numbers and programs


def test_a_number_that_said_stop_is_kept_as_a_digest_and_once(clinic: Clinic, database: Database) -> None:
    for _ in range(2):
        clinic.do(fates.stop_texts, clinic.keyring, NUMBER, clinic.now)
    with database.reading() as db:
        (stop,) = list(db.scalars(select(SmsStop)))
    assert (stop.number, stop.stopped_at) == (clinic.keyring.digest("sms", NUMBER), clinic.now)
    assert NUMBER.encode() not in stop.number
    clinic.do(fates.allow_texts, clinic.keyring, NUMBER)
    with database.reading() as db:
        assert list(db.scalars(select(SmsStop))) == []


def test_a_program_that_is_gone_is_told_no_more_and_the_first_reason_stays(clinic: Clinic, database: Database) -> None:
    gone, other = (
        clinic.do(webhooks.add, clinic.keyring, f"https://{host}.example", "whsec_x", clinic.now).id
        for host in ("gone", "other")
    )
    clinic.do(fates.disable_webhook, gone, fates.GONE, clinic.now)
    clinic.do(fates.disable_webhook, gone, "something else", clinic.now + MINUTE)
    with database.reading() as db:
        assert [(row.id, row.disabled_at, row.disabled_because) for row in webhooks.listed(db)] == [
            (gone, clinic.now, fates.GONE), (other, None, ""),
        ]  # fmt: skip
        assert webhooks.active(db) == [str(other)]
