"""The digest: every morning at seven the desk is told how things stand, once, also when nothing came."""

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from booking.database import Database
from booking.domain.status import MessageState
from booking.models.lead import Lead
from booking.models.outbox import FACTS, OutboxMessage
from booking.models.witness import WitnessedPost
from booking.operations import digest, fates, leases, outbox, vitals
from booking.operations.digest import MOST_NAMED
from booking.operations.outbox import Message
from tests.posting import ADA, Post
from tests.visits import DAY, HOUR, Clinic

ZONE = ZoneInfo("America/New_York")
DESK = ("desk@clinic.example", "boss@clinic.example")
MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)


def at(wall: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=ZONE).astimezone(UTC)


def write(clinic: Clinic, desk: Sequence[str] = DESK, undrained: int = 0) -> None:
    clinic.do(digest.write, clinic.keyring, desk, ZONE, clinic.now, undrained=undrained)


def written(database: Database) -> list[OutboxMessage]:
    with database.reading() as db:
        rows = select(OutboxMessage).where(OutboxMessage.event == digest.EVENT).order_by(OutboxMessage.id)
        return list(db.scalars(rows))


def facts(clinic: Clinic) -> dict[str, Any]:
    """What a digest of now says."""
    with clinic.database.transaction() as db:
        return json.loads(json.dumps(digest._facts(db, ZONE, clinic.now)))  # type: ignore[no-any-return]  # it is one


def come(clinic: Clinic, since: timedelta, **values: Any) -> str:
    """An enquiry that came so long ago, and how it stands; returns its reference."""
    now, clinic.now = clinic.now, clinic.now - since
    number, clinic.now = clinic.somebody(), now
    with clinic.database.transaction() as db:
        row = db.get_one(Lead, number)
        for name, value in values.items():
            setattr(row, name, value)
        return row.reference


# ---------------------------------------------------------------- when


@pytest.mark.parametrize("day", ["2026-11-24", "2026-11-01", "2027-03-14", "2027-07-04"])
def test_it_is_due_at_seven_on_the_clinics_clock_on_every_day_of_the_year(day: str) -> None:
    due = at(f"{day}T07:00")
    assert digest.due_since(ZONE, due - MOMENT) is None
    for later in (timedelta(0), MOMENT, 16 * HOUR + 59 * MINUTE):
        assert digest.due_since(ZONE, due + later) == due


@given(
    now=st.integers(0, 3 * 366 * 1440).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE),
    zone=st.sampled_from(["America/New_York", "Pacific/Auckland", "Asia/Kolkata", "America/Los_Angeles"]),
)
def test_what_is_due_was_due_today_at_seven(now: datetime, zone: str) -> None:
    clock = ZoneInfo(zone)
    due, wall = digest.due_since(clock, now), now.astimezone(clock)
    assert (due is None) == (wall.hour < 7)
    if due is not None:
        assert due <= now
        assert f"{due.astimezone(clock):%Y-%m-%d %H:%M}" == f"{wall:%Y-%m-%d} 07:00"


# ---------------------------------------------------------------- once


def test_each_address_of_the_desk_gets_one_a_day(clinic: Clinic, database: Database) -> None:
    for _ in range(3):
        write(clinic)
        clinic.now += HOUR
    found = written(database)
    assert [(row.recipient, row.audience, row.channel, row.state) for row in found] == [
        (each, "desk", "mail", "waiting") for each in DESK
    ]
    clinic.now += DAY
    write(clinic)
    assert len(written(database)) == 4


def test_the_day_is_that_of_the_clinic(clinic: Clinic, database: Database) -> None:
    for wall in ("2026-12-01T07:00", "2026-12-01T23:59"):
        clinic.now = at(wall)
        write(clinic)
    assert len(written(database)) == 2
    clinic.now = at("2026-12-02T00:00")
    write(clinic)
    assert len(written(database)) == 4


@pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "twin without the key"])
def test_two_workers_who_write_it_at_the_same_moment_write_it_once(
    guarded: bool, clinic: Clinic, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not guarded:
        row, count = outbox._row, iter(range(100))
        monkeypatch.setattr(outbox, "_row", lambda *given: row(*given) | {"dedupe_key": b"%16d" % next(count)})
    together = threading.Barrier(2)

    def work() -> None:
        together.wait(30)
        write(clinic)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.recipient for row in written(database)) == sorted(DESK if guarded else DESK * 2)


def test_where_nobody_is_at_the_desk_nothing_is_written(clinic: Clinic, database: Database) -> None:
    write(clinic, [])
    assert written(database) == []


# ---------------------------------------------------------------- what


def test_it_comes_also_when_nothing_came(clinic: Clinic, database: Database) -> None:
    clinic.do(vitals.beat, vitals.WORKER, clinic.now)
    write(clinic, undrained=2)
    (first, _) = written(database)
    assert json.loads(clinic.keyring.open(first.facts, FACTS, first.dedupe_key.hex())) == {
        "day": "Tuesday, November 24",
        "new": 0,
        "urgent": 0,
        "held": 0,
        "overdue": 0,
        "incomplete": 0,
        "waiting": [],
        "failed": [],
        "held_messages": 0,
        "form": "The form has not been tested by itself yet.",
        "faults": [],
        "undrained": 2,
    }


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-11-24", 24), ("2026-11-01", 25), ("2027-03-14", 23)], ids=["usual", "longer", "shorter"]
)
def test_new_is_what_came_since_seven_yesterday(day: str, hours: int, clinic: Clinic) -> None:
    clinic.now = at(f"{day}T07:00")
    since = hours * HOUR
    for age in (timedelta(0), HOUR, since - MOMENT, since, since + MOMENT):
        come(clinic, age)
    come(clinic, HOUR, incomplete=True)
    assert (facts(clinic)["new"], facts(clinic)["incomplete"]) == (3, 1)


def test_who_waits_is_named_by_reference_the_urgent_first_and_then_the_longest(clinic: Clinic) -> None:
    new = come(clinic, HOUR)
    urgent = come(clinic, 2 * HOUR, urgent=True)
    overdue = come(clinic, DAY)
    for values in ({"status": "contacted"}, {"held": True}, {"incomplete": True}):
        come(clinic, HOUR, **values)
    come(clinic, 31 * DAY, urgent=True)
    found = facts(clinic)
    assert [(each["reference"], each["urgent"], each["overdue"]) for each in found["waiting"]] == [
        (urgent, True, False), (overdue, False, True), (new, False, False),
    ]  # fmt: skip
    assert found["waiting"][0]["received"] == "Tuesday, November 24, 2026, 8:30 AM EST"
    assert [found[name] for name in ("urgent", "overdue", "held")] == [1, 1, 1]


def test_no_more_are_named_than_fit_and_all_are_counted(clinic: Clinic) -> None:
    for minutes in range(MOST_NAMED + 2):
        come(clinic, DAY + minutes * MINUTE)
    found = facts(clinic)
    assert (len(found["waiting"]), found["overdue"]) == (MOST_NAMED, MOST_NAMED + 2)


def test_whom_no_message_reached_is_named_with_the_reason_in_the_next_digest(clinic: Clinic) -> None:
    reference = come(clinic, HOUR)
    with clinic.database.reading() as db:
        lead = db.scalars(select(Lead.id)).one()
    for audience in ("visitor", "desk"):
        message = Message("event", audience, "mail", "ada@example.com", (audience,), clinic.now, lead_id=lead)
        clinic.do(outbox.write, clinic.keyring, [message], clinic.now)
        (claimed,) = clinic.do(leases.claim, "one", "mail", clinic.now, limit=25)
        clinic.do(fates.refused, "one", claimed, "no such box", clinic.now)
    named = [{"reference": reference, "why": "no such box"}]
    assert facts(clinic)["failed"] == named
    clinic.now += 3 * DAY
    clinic.do(vitals.beat, digest.EVENT, clinic.now - 4 * DAY)
    assert facts(clinic)["failed"] == named, "no digest told of it while no worker ran"
    clinic.do(vitals.beat, digest.EVENT, clinic.now)
    assert facts(clinic)["failed"] == []


def test_messages_that_wait_for_somebody_to_release_them_are_counted(clinic: Clinic) -> None:
    message = Message("event", "visitor", "mail", "ada@example.com", ("one",), clinic.now, state=MessageState.HELD)
    clinic.do(outbox.write, clinic.keyring, [message], clinic.now)
    assert facts(clinic)["held_messages"] == 1


def test_faults_are_said_in_sentences(clinic: Clinic) -> None:
    message = Message("event", "visitor", "mail", "ada@example.com", ("one",), clinic.now - vitals.LATE_AFTER)
    clinic.do(outbox.write, clinic.keyring, [message], clinic.now)
    assert facts(clinic)["faults"] == ["No worker has been running yet: run `booking serve` or `booking work`."]
    clinic.do(vitals.beat, vitals.WORKER, clinic.now)
    assert facts(clinic)["faults"] == []


def test_what_webflow_alone_saw_is_said(clinic: Clinic) -> None:
    clinic.do(vitals.beat, vitals.WORKER, clinic.now)
    with clinic.database.transaction() as db:
        for number, age in ((1, HOUR), (2, 2 * DAY)):
            at, posted_at = clinic.now - age, clinic.now - 5 * DAY
            seen = {"posted_at": posted_at, "compare_at": posted_at, "compared_at": at, "content": b""}
            db.add(WitnessedPost(id=str(number), outcome="imported", reference=f"SV-2222-000{number}", **seen))
    (said,) = facts(clinic)["faults"]
    assert said.endswith("they were taken in: SV-2222-0001."), "however long ago they were posted"
    clinic.do(vitals.beat, digest.EVENT, clinic.now - 2 * DAY - MINUTE)
    (said,) = facts(clinic)["faults"]
    assert said.endswith("they were taken in: SV-2222-0001, SV-2222-0002."), "and of which no digest told"


def test_a_test_of_the_form_is_in_none_of_its_numbers(post: Post, clinic: Clinic) -> None:
    before = facts(clinic)
    spam = {"name": "Win at https://spam.example", "symptoms": ["pain-not-eased-by-rest"]}
    for given_of_it in ({}, spam):
        post(ADA | given_of_it, door="watch")
    assert facts(clinic) == before
    post(ADA | {"email": "real@example.com"}, door="form")
    assert facts(clinic)["new"] == 1, "the twin: what is no test is there"


def test_it_names_nobody_and_says_nothing_of_their_health(post: Post, clinic: Clinic, database: Database) -> None:
    canaries = ("sciatica", "Ada Reed", "ada@example.com", "+12025550123")
    receipt = post(ADA | {"phone": canaries[-1]})
    write(clinic)
    for row in written(database):
        opened = clinic.keyring.open(row.facts, FACTS, row.dedupe_key.hex())
        assert receipt.reference in opened
        assert not [canary for canary in canaries if canary in opened + str(vars(row))]
