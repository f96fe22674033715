"""The outbox: a message is written with its cause or not at all, once whatever is repeated, and sealed."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from booking import reception
from booking.database import Database, DatabaseAway
from booking.domain.errors import KeyReused
from booking.domain.status import MessageState
from booking.keyring import Unreadable
from booking.models.outbox import FACTS, OutboxMessage
from booking.operations import enquiries, leases, outbox, webhooks
from booking.operations.leases import Claimed
from booking.operations.outbox import Message
from booking.runtime import Runtime
from tests.posting import ADA, Post, counts, read
from tests.visits import HOUR, TEN, Clinic

MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)
HEALTH, NAME, ADDRESS, NUMBER = "my sciatica is back", "Ada Canary", "canary@example.com", "+12025550123"
CANARY = {
    "name": NAME,
    "email": ADDRESS,
    "phone": NUMBER,
    "message": HEALTH,
    "service": "short",
    "consent_reply": "yes",
}


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return environ | {"BOOKING_STAFF_EMAILS": "desk@clinic.example,boss@clinic.example"}


def letter(clinic: Clinic, *key: str, **more: Any) -> Message:
    return replace(Message("event", "visitor", "mail", "ada@example.com", key, clinic.now), **more)


def write(clinic: Clinic, *messages: Message) -> None:
    clinic.do(outbox.write, clinic.keyring, messages, clinic.now)


def rows(database: Database) -> list[OutboxMessage]:
    with database.reading() as db:
        return list(db.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


def number_of(database: Database) -> int:
    with database.reading() as db:
        return db.scalar(select(func.count()).select_from(OutboxMessage)) or 0


def add_program(clinic: Clinic) -> int:
    return clinic.do(webhooks.add, clinic.keyring, "https://crm.example", "whsec_x", clinic.now).id


# ---------------------------------------------------------------- with its cause


def test_a_post_writes_its_messages_in_its_own_transaction(
    runtime: Runtime, clinic: Clinic, database: Database
) -> None:
    with runtime.database.transaction() as db:
        submission, now = read(ADA, TEN, key="one"), clinic.now
        enquiries.take_in(db, submission, runtime.desk, reference="SV-2222-22", received_at=now, now=now)
        assert db.scalar(select(func.count()).select_from(OutboxMessage)), "they are there"
        db.rollback()
    assert (counts(database), number_of(database)) == ((0, 0), 0)


@pytest.mark.parametrize("key", ["one", ""])
@pytest.mark.parametrize("at", [None, TEN], ids=["without a time", "with a time"])
def test_the_same_post_again_writes_nothing(at: Any, key: str, post: Post, clinic: Clinic, database: Database) -> None:
    add_program(clinic)
    post(ADA, at, key=key)
    first = number_of(database)
    assert first > 2
    for _ in range(3):
        clinic.now += MINUTE
        assert post(ADA, at, key=key).replayed
    assert number_of(database) == first


def test_a_post_that_asks_for_another_time_than_it_has_writes_nothing(
    post: Post, clinic: Clinic, database: Database
) -> None:
    post(ADA, TEN, key="one")
    first = number_of(database)
    assert post(ADA, TEN + HOUR, key="one").kept
    assert number_of(database) == first


def test_a_key_that_comes_with_another_person_writes_nothing(post: Post, database: Database) -> None:
    post(ADA, key="one", door="api")
    first = number_of(database)
    with pytest.raises(KeyReused):
        post(ADA | {"email": "else@example.com"}, key="one", door="api")
    assert number_of(database) == first


def test_what_cannot_be_answered_is_kept_and_told_to_nobody_until_it_can(post: Post, database: Database) -> None:
    assert post({"name": "Ada", "message": "call me"}, key="one").incomplete
    assert number_of(database) == 0
    assert not post({"name": "Ada", "message": "call me", "email": ADA["email"]}, key="one").incomplete
    assert {row.event for row in rows(database)} == {"lead_captured"}


def test_what_waited_in_the_spool_is_told_once_it_is_a_lead_and_once_only(
    stormy: Runtime, runtime: Runtime, clinic: Clinic, database: Database
) -> None:
    receipt = reception.receive(stormy, read(ADA, key="one"), clinic.now)
    assert receipt.spooled
    for _ in range(2):
        assert [fate for _, fate in reception.drain(runtime, lambda: clinic.now)] == ["stored"]
        reception.receive(stormy, read(ADA, key="one"), clinic.now)
    assert [row.event for row in rows(database)] == ["lead_captured"] * 3


def test_all_messages_of_a_cause_are_one_statement(clinic: Clinic, database: Database) -> None:
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    write(clinic, *(letter(clinic, f"letter {number}") for number in range(20)))
    assert len([each for each in statements if "outbox_message" in each]) == 1
    assert number_of(database) == 20


# ---------------------------------------------------------------- once


def test_a_message_is_one_whoever_writes_it_again(clinic: Clinic, database: Database) -> None:
    write(clinic, letter(clinic, "one"))
    (before,) = rows(database)
    clinic.now += MINUTE
    write(clinic, letter(clinic, "one", facts={"other": 1}))
    write(clinic, letter(clinic, "two"), letter(clinic, "one"))
    first, second = rows(database)
    assert (first.facts, first.created_at, first.due_at) == (before.facts, before.created_at, before.due_at)
    assert second.dedupe_key != first.dedupe_key


def test_what_is_written_twice_in_one_breath_is_one(clinic: Clinic, database: Database) -> None:
    """As when one address of the desk is set twice; PostgreSQL refuses a statement that meets a row again."""
    write(clinic, letter(clinic, "one"), letter(clinic, "one"))
    assert number_of(database) == 1


@pytest.mark.parametrize(
    "other", [{"event": "other"}, {"channel": "sms"}, {"recipient": "ben@example.com"}, {"key": ("o", "ne")}], ids=str
)
def test_another_event_channel_recipient_or_key_is_another_message(
    other: dict[str, Any], clinic: Clinic, database: Database
) -> None:
    write(clinic, letter(clinic, "one"), letter(clinic, "one", **other))
    assert number_of(database) == 2


def test_the_database_itself_refuses_a_second_row_of_one_message(clinic: Clinic, database: Database) -> None:
    write(clinic, letter(clinic, "one"))
    columns = [column.name for column in OutboxMessage.__table__.columns if column.name != "id"]
    copy = f"insert into outbox_message ({', '.join(columns)}) select {', '.join(columns)} from outbox_message"
    with pytest.raises(DatabaseAway, match=r"^(IntegrityError|UniqueViolation) "), database.transaction() as db:
        db.execute(text(copy))
    with database.transaction() as db:
        db.execute(text(copy.replace("select dedupe_key", "select 'another key, 16.'")), {})
    assert number_of(database) == 2, "the twin: under another key it is taken"


def test_a_message_that_was_withdrawn_waits_again_when_it_is_written_again(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN).row.id
    message = letter(clinic, "one", appointment_id=visit, facts={"said": "first"})
    write(clinic, message)
    claimed = claim(clinic)
    clinic.do(outbox.withdraw, visit, ["event"], "it moved", clinic.now)
    clinic.now += MINUTE
    write(clinic, replace(message, facts={"said": "second"}, due_at=clinic.now))
    (row,) = rows(database)
    assert (row.state, row.reason, row.created_at, row.attempts) == ("waiting", "", clinic.now, 0)
    assert (row.worker, row.lease_until, row.done_at) == (None, None, None)
    again = claim(clinic)
    assert (again.id, again.name, again.facts(clinic.keyring)) == (claimed.id, claimed.name, {"said": "second"})


@pytest.mark.parametrize("state", [MessageState.SENT, MessageState.DEAD, MessageState.MISSED, MessageState.HELD])
def test_a_message_that_met_any_other_fate_stays_as_it_is(
    state: MessageState, clinic: Clinic, database: Database
) -> None:
    write(clinic, letter(clinic, "one"))
    clinic.do(leases.finish, "one", claim(clinic).id, state, "because", clinic.now)
    write(clinic, letter(clinic, "one"))
    assert [(row.state, row.reason) for row in rows(database)] == [(state, "because")]


def claim(clinic: Clinic) -> Claimed:
    (claimed,) = clinic.do(leases.claim, "one", "mail", clinic.now, limit=25)
    return claimed


def test_only_what_is_still_to_be_told_of_this_visit_is_withdrawn(clinic: Clinic, database: Database) -> None:
    this, other = clinic.book("short", TEN).row.id, clinic.book("short", TEN).row.id
    write(clinic, letter(clinic, "done", appointment_id=this))
    clinic.do(leases.finish, "one", claim(clinic).id, MessageState.SENT, "", clinic.now)
    more: dict[str, Any] = {"appointment_id": this, "state": MessageState.HELD}
    write(clinic, letter(clinic, "a", **more), letter(clinic, "b", appointment_id=other))
    write(clinic, letter(clinic, "c", event="other", appointment_id=this))
    clinic.do(outbox.withdraw, this, ["event"], "it moved", clinic.now)
    assert [row.state for row in rows(database)] == ["sent", "withdrawn", "waiting", "waiting"]


# ---------------------------------------------------------------- sealed


def test_nothing_that_a_person_wrote_or_is_called_is_in_a_row(post: Post, clinic: Clinic, database: Database) -> None:
    add_program(clinic)
    receipt = post(CANARY, TEN, key="one")
    found = rows(database)
    assert {row.audience for row in found} == {"visitor", "desk", "program"}
    for row in found:
        readable = [value for name, value in vars(row).items() if not isinstance(value, bytes) and name != "recipient"]
        assert not [canary for canary in (HEALTH, NAME, ADDRESS, NUMBER) if canary in str(readable)]
        assert (row.recipient in (ADDRESS, NUMBER)) == (row.audience == "visitor"), "the twin: there it can be found"
        assert receipt.reference.encode() not in row.facts


def test_opened_the_facts_name_nobody_and_say_nothing_of_health(post: Post, clinic: Clinic, database: Database) -> None:
    add_program(clinic)
    receipt = post(CANARY, TEN, key="one")
    for row in rows(database):
        facts = clinic.keyring.open(row.facts, FACTS, row.dedupe_key.hex())
        assert not [canary for canary in (HEALTH, NAME, ADDRESS, NUMBER) if canary in facts]
        assert (receipt.reference in facts) == (row.event not in ("reminder_day", "reminder_hours"))
        assert set(json.loads(facts)) <= {"reference", "received_at", "urgent", "appointment", "starts_at"}


def test_facts_open_in_their_own_row_alone(clinic: Clinic, database: Database) -> None:
    write(clinic, letter(clinic, "one", facts={"secret": 1}), letter(clinic, "two"))
    one, two = rows(database)
    assert b"secret" not in one.facts
    with pytest.raises(Unreadable):
        clinic.keyring.open(one.facts, FACTS, two.dedupe_key.hex())


# ---------------------------------------------------------------- looked up


def test_they_are_listed_newest_first_with_the_reference_of_their_enquiry(clinic: Clinic, database: Database) -> None:
    lead = clinic.somebody()
    write(clinic, letter(clinic, "a", lead_id=lead), letter(clinic, "b"), letter(clinic, "c", state=MessageState.HELD))
    with database.reading() as db:
        waiting = outbox.listed(db, ["waiting"], 10)
        assert [(row.lead_id, reference) for row, reference in waiting] == [(None, ""), (lead, "SV-2222-0001")]
        assert [row.state for row, _ in outbox.listed(db, ["waiting", "held"], 2)] == ["held", "waiting"]


def test_what_is_done_is_counted_for_so_long_and_what_waits_for_ever(clinic: Clinic, database: Database) -> None:
    write(clinic, letter(clinic, "a"))
    clinic.do(leases.finish, "one", claim(clinic).id, MessageState.SENT, "", clinic.now)
    write(clinic, letter(clinic, "b"), letter(clinic, "c", channel="sms", state=MessageState.HELD))
    with database.reading() as db:
        waiting = {("mail", "waiting"): 1, ("sms", "held"): 1}
        assert outbox.counts(db, clinic.now) == waiting | {("mail", "sent"): 1}
        assert outbox.counts(db, clinic.now + MOMENT) == waiting


def test_a_lead_that_is_deleted_takes_its_messages_with_it(post: Post, database: Database) -> None:
    post(ADA, TEN, key="one")
    with database.transaction() as db:
        for table in ("idempotency_key", "lead"):
            db.execute(text(f"delete from {table}"))
    assert (counts(database), number_of(database)) == ((0, 0), 0)
