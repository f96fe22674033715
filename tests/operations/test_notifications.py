"""Notifications: who hears of an enquiry or a visit, by which way and with which facts, and who does not."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.models.outbox import OutboxMessage
from booking.operations import fates, leases, notifications, outbox, webhooks
from booking.operations.notifications import HELD_BACK, Person, Telling
from booking.runtime import Runtime
from tests.posting import ADA, Post, lead_with
from tests.visits import DAY, HOUR, TEN, Clinic

DESK, BOSS, MAIL, NUMBER = "desk@clinic.example", "boss@clinic.example", ADA["email"], "+12025550123"
BOTH = ADA | {"phone": NUMBER, "contact_preference": "text", "consent_reply": "yes",
              "consent_version": "reply:2026-11"}  # fmt: skip
URGENT = {"symptoms": ["pain-not-eased-by-rest"]}
SPAM = {"name": "Win at https://spam.example"}
CAPTURED = ("lead_captured", "visitor", "mail", MAIL, "waiting")
AT_THE_DESK = [("lead_captured", "desk", "mail", each, "waiting") for each in (BOSS, DESK)]


@pytest.fixture(params=["twilio://AC1:token@+12025550100"], ids=[""])
def environ(environ: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    return environ | {"BOOKING_STAFF_EMAILS": f"{DESK},{BOSS}", "BOOKING_SMS_URL": request.param}


def written(database: Database, **only: str) -> list[tuple[str, str, str, str, str]]:
    """What is told to whom and how, reminders left out."""
    with database.reading() as db:
        rows = list(db.scalars(select(OutboxMessage).filter_by(**only)))
    return sorted(
        (row.event, row.audience, row.channel, row.recipient, row.state) for row in rows if "reminder" not in row.event
    )


def ways(database: Database) -> list[tuple[str, str]]:
    return [(channel, whom) for _, _, channel, whom, _ in written(database, audience="visitor")]


def add_program(clinic: Clinic) -> int:
    return clinic.do(webhooks.add, clinic.keyring, "https://crm.example", "whsec_x", clinic.now).id


# ---------------------------------------------------------------- an enquiry


def test_of_a_new_enquiry_the_visitor_and_everybody_at_the_desk_hear(post: Post, database: Database) -> None:
    post(ADA, key="one")
    assert written(database) == [*AT_THE_DESK, CAPTURED]


def test_with_the_visit_it_booked_it_is_one_letter_and_two_events(
    post: Post, clinic: Clinic, database: Database
) -> None:
    add_program(clinic)
    post(ADA, TEN + DAY, key="one")
    programs = [(event, "program", "webhook", "", "waiting") for event in ("appointment_booked", "lead_captured")]
    assert written(database) == sorted([*AT_THE_DESK, CAPTURED, *programs])


def test_programs_are_written_to_only_while_one_is_told(post: Post, clinic: Clinic, database: Database) -> None:
    post(ADA, TEN, key="one")
    program = add_program(clinic)
    post(ADA | {"email": "two@example.com"}, TEN + HOUR, key="two")
    two = written(database, audience="program")
    clinic.do(fates.disable_webhook, program, "gone", clinic.now)
    post(ADA | {"email": "three@example.com"}, TEN + 2 * HOUR, key="three")
    assert (len(two), written(database, audience="program")) == (2, two)


def test_a_visit_booked_later_is_told_for_itself(post: Post, clinic: Clinic, database: Database) -> None:
    post(ADA, key="one")
    post(ADA, TEN, key="one")
    told = [each for each in written(database) if each[0] == "appointment_booked"]
    assert [(audience, whom) for _, audience, _, whom, _ in told] == [
        ("desk", BOSS), ("desk", DESK), ("visitor", MAIL),
    ]  # fmt: skip


def test_a_time_that_was_taken_costs_nobody_their_confirmation(post: Post, clinic: Clinic, database: Database) -> None:
    for who in ("ann", "bob"):
        clinic.book("short", TEN, who)
    assert post(ADA, TEN, key="one").taken
    assert written(database) == [*AT_THE_DESK, CAPTURED]


def test_a_test_of_the_form_goes_the_way_of_a_message_and_disturbs_nobody(
    post: Post, clinic: Clinic, database: Database
) -> None:
    add_program(clinic)
    receipt = post(BOTH | URGENT, TEN, door="watch")
    assert written(database) == [("form_tested", "watch", "watch", "", "waiting")]
    with database.reading() as db:
        assert not notifications.was_told(db, receipt.reference)
    (claimed,) = clinic.do(leases.claim, "one", "watch", clinic.now, limit=25)
    clinic.do(fates.sent, "one", claimed, "", clinic.now)
    with database.reading() as db:
        assert notifications.was_told(db, receipt.reference)
        assert not notifications.was_told(db, "SV-2222-2222")


# ---------------------------------------------------------------- by which way


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, [("mail", MAIL), ("sms", NUMBER)]),
        ({"contact_preference": "email"}, [("mail", MAIL)]),
        ({"contact_preference": "email", "email": ""}, [("sms", NUMBER)]),
        ({"consent_reply": ""}, [("mail", MAIL)]),
        ({"consent_reply": "", "email": ""}, []),
        ({"consent_reply": "", "consent_marketing": "yes", "email": ""}, []),
        ({"consent_version": ""}, [("mail", MAIL)]),
        ({"consent_version": "reply:2025-01"}, [("mail", MAIL)]),
        ({"phone": ""}, [("mail", MAIL)]),
        ({"phone": "+447911123456"}, [("mail", MAIL)]),
        ({"phone": "+19005550123"}, [("mail", MAIL)]),
    ],
    ids=str,
)
def test_texts_go_to_who_agreed_to_our_words_and_prefers_them_or_left_nothing_else(
    given: dict[str, str], found: list[tuple[str, str]], post: Post, database: Database
) -> None:
    post(BOTH | given, key="one")
    assert ways(database) == found
    assert written(database, audience="desk") == AT_THE_DESK


@pytest.mark.parametrize("environ", [""], ids=["not set up"], indirect=True)
def test_where_texts_are_not_set_up_none_are_written(post: Post, database: Database) -> None:
    post(BOTH, key="one")
    post(BOTH | {"email": ""}, key="two")
    assert ways(database) == [("mail", MAIL)]


@pytest.mark.parametrize("given", [{}, {"consent_reply": ""}, {"email": ""}, {"contact_preference": ""}], ids=str)
def test_the_person_of_a_stored_lead_is_told_in_the_ways_of_the_one_who_posted(
    given: dict[str, str], post: Post, clinic: Clinic, runtime: Runtime, database: Database
) -> None:
    receipt = post(BOTH | given, key="one")
    with database.reading() as db:
        person = notifications.person_of(db, lead_with(database, runtime, receipt.reference)[0].id)
        assert not person.programs
    assert sorted(person.ways(runtime.telling)) == ways(database)
    add_program(clinic)
    with database.reading() as db:
        assert outbox.programs_listen(db)
        assert notifications.person_of(db, person.lead_id) == replace(person, programs=True)


def test_without_anything_that_can_be_reached_there_is_no_way(now: datetime) -> None:
    nobody = Person(1, "SV-1", now, "", "")
    assert nobody.ways(Telling(texts=True)) == []


# ---------------------------------------------------------------- held, and urgent


def test_of_a_held_enquiry_the_desk_hears_nothing_and_the_visitor_waits(post: Post, database: Database) -> None:
    post(ADA | SPAM, key="one")
    assert written(database) == [(*CAPTURED[:4], "held")]
    with database.reading() as db:
        assert db.scalars(select(OutboxMessage.reason)).all() == [HELD_BACK]


def test_of_a_held_enquiry_that_is_urgent_the_desk_hears_now(post: Post, database: Database) -> None:
    post(ADA | SPAM | URGENT, key="one")
    assert written(database) == [*AT_THE_DESK, (*CAPTURED[:4], "held")]


def test_of_a_held_enquiry_with_a_visit_everybody_hears_now(post: Post, database: Database) -> None:
    post(ADA | SPAM, TEN, key="one")
    assert written(database) == [*AT_THE_DESK, CAPTURED]


def test_a_held_confirmation_is_sent_once_somebody_releases_it(
    post: Post, clinic: Clinic, runtime: Runtime, database: Database
) -> None:
    lead, _ = lead_with(database, runtime, post(ADA | SPAM, key="one").reference)
    assert clinic.do(leases.claim, "one", "mail", clinic.now, limit=25) == []
    assert clinic.do(outbox.release, clinic.now, lead_id=lead.id) == 1
    assert [each.recipient for each in clinic.do(leases.claim, "one", "mail", clinic.now, limit=25)] == [MAIL]


@pytest.mark.parametrize("first", [ADA, ADA | SPAM], ids=["told", "held"])
def test_an_enquiry_that_turns_urgent_is_told_to_the_desk_once(
    first: dict[str, Any], post: Post, database: Database
) -> None:
    post(first, key="one")
    before = written(database)
    for _ in range(3):
        assert post(first | URGENT, key="one").replayed
    urgent = [("lead_urgent", "desk", "mail", each, "waiting") for each in (BOSS, DESK)]
    assert written(database) == sorted([*before, *urgent])


def test_what_was_urgent_from_the_beginning_does_not_turn_urgent(post: Post, database: Database) -> None:
    for _ in range(2):
        post(ADA | URGENT, key="one")
    assert written(database, event="lead_urgent") == []


# ---------------------------------------------------------------- which facts


def test_the_facts_are_the_reference_the_time_and_whether_it_is_urgent(
    post: Post, clinic: Clinic, runtime: Runtime
) -> None:
    add_program(clinic)
    receipt = post(ADA | URGENT, TEN, key="one")
    assert receipt.visit is not None
    expected = {"reference": receipt.reference, "received_at": clinic.now.isoformat(), "urgent": True}
    for channel in ("mail", "webhook"):
        for claimed in clinic.do(leases.claim, "one", channel, clinic.now, limit=25):
            assert claimed.facts(runtime.keyring) == expected | {"appointment": receipt.visit["reference"]}
            assert claimed.appointment_id == receipt.visit["id"]
