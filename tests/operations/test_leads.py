"""Capture: whatever comes twice is one lead, whoever else comes is another, and nothing that was typed is lost."""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from booking import clinic
from booking.database import Database
from booking.domain.errors import KeyReused
from booking.domain.fields import sort
from booking.domain.submission import Circumstances, Submission, compose
from booking.keyring import Keyring
from booking.models.lead import CONTENT, Consent, Lead
from booking.operations import enquiries, leads
from booking.operations.catalog import CatalogCache
from booking.operations.leads import Captured, Desk
from tests.postgres import somebody_waits_for_a_lock

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "message": "My back hurts since May."}
BEN = {"name": "Ben Franklin", "email": "ben@example.com", "message": "A first visit, please."}
PHONE = "904-555-0134"
LATER = timedelta(minutes=10, seconds=1)

Capture = Callable[..., Captured]


@pytest.fixture
def desk(keyring: Keyring) -> Desk:
    """The demonstration clinic with the keys of this test."""
    return Desk(clinic.load(clinic.DEFAULT_PATH), keyring, CatalogCache())


@pytest.fixture
def capture(database: Database, desk: Desk, now: datetime) -> Capture:
    """Take in a form, some time after `now`, in a transaction of its own."""
    given = iter(range(1000))

    def take(
        fields: dict[str, Any], door: str = "form", after: timedelta = timedelta(0), reference: str = "", **more: Any
    ) -> Captured:
        own = reference or f"SV-2222-{next(given):02d}"
        at = now + after
        with database.transaction() as db:
            return leads.capture(db, read(fields | more, door), desk, reference=own, received_at=at, now=at)

    return take


def read(fields: dict[str, Any], door: str = "form") -> Submission:
    return compose(sort(fields.items()), region="US", circumstances=Circumstances(door=door))


def stored(database: Database) -> list[Lead]:
    with database.reading() as db:
        found = list(db.scalars(select(Lead).order_by(Lead.reference)))
        db.expunge_all()
    return found


def private(lead: Lead, keyring: Keyring) -> Any:
    return json.loads(keyring.open(lead.content, CONTENT, lead.id))


# ---------------------------------------------------------------- what is stored


def test_a_lead_keeps_all_that_was_said(capture: Capture, database: Database, keyring: Keyring, now: datetime) -> None:
    form = ADA | {
        "phone": PHONE,
        "preferred_times": "mornings",
        "Insurance": "Sunshine",
        "symptoms": "back",
        "service": "massage-therapy",
        "new_patient": "yes",
        "contact_preference": "phone",
        "location": "main",
        "page_url": "https://www.example.com/",
        "referrer": "https://search.example.net/",
        "utm_source": "mail",
    }
    captured = capture(form)
    (lead,) = stored(database)
    assert (lead.reference, lead.received_at, lead.updated_at) == (captured.reference, now, now)
    assert (lead.name, lead.email, lead.phone, lead.phone_typed) == (ADA["name"], ADA["email"], "+19045550134", PHONE)
    assert (lead.service, lead.new_patient, lead.contact_preference) == ("massage-therapy", True, "phone")
    assert (lead.page_url, lead.referrer) == (form["page_url"], form["referrer"])
    assert (lead.location, lead.attribution, lead.status, lead.held) == ("main", {"utm_source": "mail"}, "new", False)
    assert private(lead, keyring) == {
        "message": ADA["message"],
        "preferred_times": "mornings",
        "extras": {"Insurance": "Sunshine", "symptoms": ["back"]},
    }


def test_health_text_is_nowhere_in_the_database_as_it_was_typed(
    capture: Capture, database: Database, tmp_path: Path
) -> None:
    canary = "canary-4711"
    private_fields = (
        "message",
        "preferred_times",
        "Allergies",
        f"{canary} as a label",
        "symptoms",
        "starts_at",
        "hold",
    )
    capture({"phone": PHONE, "email": f"{canary} at example"} | dict.fromkeys(private_fields, f"{canary}, since May"))
    capture({"message": canary, "email": canary, "submission_key": canary})
    capture(ADA, submission_key=f"{canary}-key")
    assert len(stored(database)) == 3
    raw = raw_content(database, tmp_path)
    assert b"Lovelace" in raw, "the twin: what is not sealed is found"
    assert canary.encode() not in raw
    assert canary.encode().hex().encode() not in raw


def raw_content(database: Database, folder: Path) -> bytes:
    if database.dialect == "sqlite":
        return b"".join(path.read_bytes() for path in sorted(folder.glob("booking.db*")))
    with database.reading() as db:
        tables = db.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
        lines = [line for table in tables for line in db.scalars(text(f'select t::text from "{table}" t'))]
    return "\n".join(lines).encode()


def test_the_content_of_one_lead_does_not_open_in_another(
    capture: Capture, database: Database, keyring: Keyring
) -> None:
    capture(ADA)
    capture(BEN)
    first, second = stored(database)
    first.content = second.content
    with pytest.raises(Exception, match="changed or moved"):
        private(first, keyring)


def test_consent_is_kept_as_evidence(capture: Capture, database: Database, desk: Desk, now: datetime) -> None:
    page = "https://www.example.com/contact"
    capture(ADA, consent_reply="on", consent_version=desk.clinic.consent_version, page_url=page)
    with database.reading() as db:
        (consent,) = db.scalars(select(Consent)).all()
        ours = desk.clinic.consents["reply"]
        assert (consent.purpose, consent.wording, consent.version) == ("reply", ours.wording, ours.version)
        assert consent.wording_sha256 == hashlib.sha256(ours.wording.encode()).hexdigest()
        assert (consent.given_at, consent.page_url) == (now, page)


@pytest.mark.parametrize("shown", ["", "reply:1999-01", "marketing:2026-11", "2026-11", ":,::", "reply"])
def test_of_a_version_we_do_not_know_no_wording_is_claimed(capture: Capture, database: Database, shown: str) -> None:
    capture(ADA, consent_reply="on", consent_version=shown)
    with database.reading() as db:
        (consent,) = db.scalars(select(Consent)).all()
        assert (consent.wording, consent.wording_sha256) == ("", "")


def test_nothing_ticked_is_no_consent(capture: Capture, database: Database) -> None:
    capture(ADA, consent_reply="false", consent_marketing="")
    with database.reading() as db:
        assert db.scalars(select(Consent)).all() == []


def test_a_reference_that_is_taken_is_replaced_by_a_fresh_one(capture: Capture, database: Database) -> None:
    capture(BEN, reference="SV-7K4Q-92")
    captured = capture(ADA, submission_key="k1", reference="SV-7K4Q-92")
    assert captured.reference != "SV-7K4Q-92"
    assert {(lead.name, lead.reference) for lead in stored(database)} == {
        (BEN["name"], "SV-7K4Q-92"),
        (ADA["name"], captured.reference),
    }
    assert capture(ADA, submission_key="k1") == replace(captured, replayed=True)


def test_a_lead_from_the_spool_is_stored_even_if_its_reference_was_given_twice(
    capture: Capture, database: Database, desk: Desk, now: datetime
) -> None:
    capture(BEN, reference="SV-7K4Q-92")
    later = now + timedelta(minutes=1)
    for _ in range(2):  # killed after the commit, the drain does it again
        with database.transaction() as db:
            enquiries.recover(db, read(ADA), desk, reference="SV-7K4Q-92", received_at=later, now=later)
    assert sorted(lead.name for lead in stored(database)) == [ADA["name"], BEN["name"]]


def test_what_waited_in_the_spool_answers_to_the_reference_that_was_given_for_it(
    capture: Capture, database: Database, desk: Desk, now: datetime
) -> None:
    first = capture(ADA)
    for _ in range(2):
        with database.transaction() as db:
            enquiries.recover(db, read(ADA), desk, reference="SV-7K4Q-92", received_at=now, now=now)
    with database.reading() as db:
        assert leads.missing(db, [first.reference, "SV-7K4Q-92", "SV-2222-99"]) == ["SV-2222-99"]
        assert leads.knows(db, "SV-7K4Q-92")
    assert len(stored(database)) == 1


TEXT = "We offer cheap roofs for every house in town."


@pytest.mark.parametrize("way", ["email", "phone"])
def test_the_same_text_from_two_other_people_holds_the_third(capture: Capture, database: Database, way: str) -> None:
    for number in range(3):
        own = {"email": f"{number}@example.com", "phone": f"904-555-012{number}"}[way]
        capture({way: own, "message": TEXT})
    assert [lead.held for lead in stored(database)] == [False, False, True]


def test_nobody_is_held_for_what_they_tried_to_say_before(capture: Capture, database: Database) -> None:
    for _ in range(3):
        capture({"name": "Ada", "message": TEXT})
    reference = capture({"name": "Ada", "message": TEXT, "phone": PHONE}).reference
    assert [lead.held_reasons for lead in stored(database) if lead.reference == reference] == [[]]


# ---------------------------------------------------------------- once, with a key


@pytest.mark.parametrize("door", ["form", "api"])
def test_the_same_key_and_content_is_the_same_answer_however_late(
    capture: Capture, database: Database, door: str
) -> None:
    first = capture(ADA, door, submission_key="k1")
    again = capture(ADA, door, timedelta(days=3), submission_key="k1", page_url="https://elsewhere.example.com/")
    assert again == replace(first, replayed=True)
    assert len(stored(database)) == 1


def test_on_a_form_the_same_key_with_another_person_is_a_new_lead(capture: Capture, database: Database) -> None:
    answers = [capture(form, submission_key="cached") for form in (ADA, BEN, ADA | {"message": "And my neck."})]
    assert [answer.replayed for answer in answers] == [False, False, False]
    assert len({answer.reference for answer in answers}) == len(stored(database)) == 3
    assert capture(BEN, submission_key="cached").reference == answers[1].reference


@pytest.mark.parametrize("other", [BEN, ADA | {"message": "And my neck."}, ADA | {"name": "Augusta"}])
def test_at_the_programs_door_the_same_key_with_another_content_is_refused(
    capture: Capture, database: Database, other: dict[str, str]
) -> None:
    capture(ADA, "api", submission_key="k1")
    with pytest.raises(KeyReused):
        capture(other, "api", submission_key="k1")
    assert [lead.name for lead in stored(database)] == [ADA["name"]]


def test_a_forms_key_and_a_programs_key_are_two_keys(capture: Capture, database: Database) -> None:
    capture(ADA, "form", submission_key="k1")
    assert not capture(BEN, "api", submission_key="k1").replayed
    assert len(stored(database)) == 2


@pytest.mark.parametrize("door", ["form", "api"])
def test_the_same_person_with_another_time_is_the_same_lead_trying_again(
    capture: Capture, database: Database, door: str
) -> None:
    capture(ADA, door, submission_key="k1", starts_at="2026-12-01T15:00:00Z")
    assert capture(ADA, door, submission_key="k1", starts_at="2026-12-02T15:00:00Z").replayed
    assert len(stored(database)) == 1


# ---------------------------------------------------------------- once, without a key


@pytest.mark.parametrize("way", [{"email": "ada@example.com"}, {"phone": PHONE}])
def test_without_a_key_the_same_way_and_message_within_ten_minutes_is_the_same_lead(
    capture: Capture, database: Database, way: dict[str, str]
) -> None:
    first = capture(way | {"message": "My back"})
    again = capture(way | {"message": "My back"}, after=timedelta(minutes=10))
    assert again == replace(first, replayed=True)
    assert len(stored(database)) == 1


def test_without_a_key_the_same_after_ten_minutes_is_a_new_lead(capture: Capture, database: Database) -> None:
    first = capture(ADA)
    second = capture(ADA, after=LATER)
    assert (second.replayed, second.reference == first.reference) == (False, False)
    assert capture(ADA, after=LATER * 2 - timedelta(minutes=1)).reference == second.reference
    assert len(stored(database)) == 2


def test_without_a_key_another_message_is_another_lead(capture: Capture, database: Database) -> None:
    capture(ADA)
    assert not capture(ADA | {"message": "And my neck."}).replayed
    assert len(stored(database)) == 2


@pytest.mark.parametrize("first", ["email", "phone"])
def test_address_and_number_lead_to_one_another(capture: Capture, database: Database, first: str) -> None:
    second = "phone" if first == "email" else "email"
    for day in range(8):  # which of the two is looked up first is up to a digest: eight messages try both orders
        both = {"email": "ada@example.com", "phone": PHONE, "message": f"My back, day {day}"}
        ways = [{name: value for name, value in both.items() if name != missing} for missing in (second, "", first)]
        answers = [capture(way, after=timedelta(minutes=n)) for n, way in enumerate(ways)]
        assert {answer.reference for answer in answers} == {answers[0].reference}
        assert [answer.replayed for answer in answers] == [False, True, True]
    assert len(stored(database)) == 8


# ---------------------------------------------------------------- attempts


def test_an_attempt_nobody_can_answer_is_kept_and_completed_by_the_same_key(
    capture: Capture, database: Database, keyring: Keyring, now: datetime
) -> None:
    attempt = capture({"name": "Ada", "message": "My back", "submission_key": "k1"})
    assert attempt.incomplete
    assert [(lead.incomplete, lead.name) for lead in stored(database)] == [(True, "Ada")]
    minute = timedelta(minutes=1)
    captured = capture({"name": "Ada", "message": "My back", "phone": PHONE, "submission_key": "k1"}, after=minute)
    assert replace(captured, lead_id=0) == Captured(attempt.reference, now + minute)
    (lead,) = stored(database)
    assert (lead.incomplete, lead.phone) == (False, "+19045550134")
    assert private(lead, keyring)["message"] == "My back"
    assert capture({"name": "Ada", "message": "My back", "phone": PHONE, "submission_key": "k1"}).replayed


def test_one_person_failing_twice_is_one_attempt(capture: Capture, database: Database) -> None:
    for phone in ("12", "123"):
        capture({"name": "Ada", "phone": phone, "submission_key": "k1"})
    assert [lead.phone_typed for lead in stored(database)] == ["123"]


@pytest.mark.parametrize("name", ["Ada", ""])
def test_somebody_else_on_the_same_cached_page_does_not_overwrite_an_attempt(
    capture: Capture, database: Database, keyring: Keyring, name: str
) -> None:
    attempt = capture({"name": name, "phone": "12", "message": "My back", "submission_key": "cached"})
    captured = capture(BEN, submission_key="cached")
    assert captured.reference != attempt.reference
    kept = {lead.reference: (lead.incomplete, private(lead, keyring)["message"]) for lead in stored(database)}
    assert kept == {attempt.reference: (True, "My back"), captured.reference: (False, BEN["message"])}


def test_attempts_without_a_key_are_all_kept(capture: Capture, database: Database) -> None:
    for message in ("one", "two"):
        assert capture({"message": message}).incomplete
    assert len(stored(database)) == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_posts_that_complete_one_attempt_at_once_do_not_overwrite_each_other(
    capture: Capture, database: Database, desk: Desk, now: datetime
) -> None:
    attempt = capture({"name": "Ada", "message": "My back", "submission_key": "cached"})
    first, second = ({"name": "Ada", "submission_key": "cached", "phone": f"904-555-013{n}"} for n in (1, 2))
    answers: list[Captured] = []
    other = threading.Thread(target=lambda: answers.append(capture(second)))
    with database.transaction() as db:
        leads.capture(db, read(first), desk, reference="SV-3333-33", received_at=now, now=now)
        other.start()
        assert somebody_waits_for_a_lock(database.engine), "the second post must come while the first is under way"
    other.join()
    assert {lead.phone for lead in stored(database)} == {"+19045550131", "+19045550132"}
    assert answers[0].reference != attempt.reference
