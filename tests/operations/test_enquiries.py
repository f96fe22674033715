"""Enquiries: one post is a lead and a visit in one transaction, and whatever becomes of the time, the lead stays."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from booking import reception
from booking.database import Database
from booking.domain.errors import KeyReused
from booking.operations import appointments
from booking.runtime import Runtime
from tests.posting import ADA, Post, cancel, counts, read
from tests.visits import HOUR, TEN, Clinic, overlaps

MINUTE = timedelta(minutes=1)


# ---------------------------------------------------------------- a time that is free


def test_one_post_is_a_lead_and_a_visit_that_its_link_opens(
    post: Post, runtime: Runtime, clinic: Clinic, database: Database
) -> None:
    receipt = post(ADA, TEN, key="one")
    assert receipt.visit is not None
    assert receipt.visit | {"id": 0, "reference": ""} == {
        "id": 0,
        "generation": 0,
        "reference": "",
        "starts_at": TEN.isoformat(),
        "ends_at": (TEN + HOUR / 2).isoformat(),
        "timezone": "America/New_York",
        "service": "short",
        "practitioner": "ann",
        "location": "main",
    }
    token = runtime.keyring.token("appointment", str(receipt.visit["id"]), "0")
    with database.reading() as db:
        visit = appointments.by_token(db, clinic.diary.catalog, token, clinic.now)
        assert db.scalar(text("select reference from lead where id = :id"), {"id": visit.row.lead_id}) == (
            receipt.reference
        )
    assert counts(database) == (1, 1)
    assert clinic.taken() == {"ann": ["10:00-10:30"]}


@pytest.mark.parametrize("door", ["form", "api"])
@pytest.mark.parametrize("key", ["one", ""])
def test_the_same_post_again_gets_the_same_answer_and_no_second_visit(
    door: str, key: str, post: Post, clinic: Clinic, database: Database
) -> None:
    first = post(ADA, TEN, key=key, door=door)
    clinic.now += MINUTE
    again = post(ADA, TEN, key=key, door=door)
    assert again == replace(first, replayed=True)
    assert counts(database) == (1, 1)


def test_a_programs_key_that_comes_with_another_person_books_nothing(
    post: Post, clinic: Clinic, database: Database
) -> None:
    post(ADA, TEN, key="one", door="api")
    for other in ({"email": "else@example.com"}, {"name": "Ben"}, {"message": "Another"}):
        with pytest.raises(KeyReused):
            post(ADA | other, TEN + HOUR, key="one", door="api")
    assert counts(database) == (1, 1)
    assert clinic.taken() == {"ann": ["10:00-10:30"]}


def test_a_hold_alone_says_which_time_is_meant(post: Post, clinic: Clinic, database: Database) -> None:
    held = clinic.hold("long", TEN, "bob")
    receipt = post({"name": "Ada", "email": ADA["email"]}, hold=held.token, key="one")
    assert receipt.visit is not None
    assert (receipt.visit["service"], receipt.visit["practitioner"]) == ("long", "bob")
    again = post({"name": "Ada", "email": ADA["email"]}, hold=held.token, key="one")
    assert again == replace(receipt, replayed=True), "also when the hold is used up"
    assert counts(database) == (1, 1)


def test_a_post_without_a_time_takes_none_and_one_that_cannot_be_answered_uses_no_hold(
    post: Post, clinic: Clinic, database: Database
) -> None:
    assert post(ADA).visit is None
    held = clinic.hold("short", TEN, "ann")
    nobody = {"name": "Ada", "message": "no way to reach me", "service": "short"}
    assert post(nobody, TEN, hold=held.token, key="one").incomplete
    assert clinic.taken() == {"ann": ["10:00-10:30"]}
    assert counts(database) == (2, 0)
    whole = post(nobody | {"email": "ada@example.net"}, TEN, hold=held.token, key="one")
    assert whole.visit is not None
    assert counts(database) == (2, 1), "the attempt is completed"


# ---------------------------------------------------------------- a time that is not


@pytest.mark.parametrize("key", ["one", ""])
@pytest.mark.parametrize("door", ["form", "api"])
def test_a_time_that_is_taken_costs_no_lead_and_the_same_lead_can_have_another(
    key: str, door: str, post: Post, clinic: Clinic, database: Database
) -> None:
    for who in ("ann", "bob"):
        clinic.book("short", TEN, who)
    lost = post(ADA, TEN, key=key, door=door)
    assert (lost.visit, lost.refusal) == (None, None)
    assert lost.taken is not None
    assert [slot.starts_at - TEN for slot in lost.alternatives] == [-2 * HOUR / 4, 2 * HOUR / 4, 3 * HOUR / 4]
    assert counts(database) == (3, 2)
    assert post(ADA, TEN, key=key, door=door) == replace(lost, replayed=False), "and is said as often as it is asked"
    clinic.now += MINUTE
    found = post(ADA, lost.alternatives[0].starts_at, key=key, door=door)
    assert (found.reference, found.replayed) == (lost.reference, False)
    assert found.visit is not None
    assert counts(database) == (3, 3)
    assert post(ADA, lost.alternatives[0].starts_at, key=key, door=door) == replace(found, replayed=True)


def test_of_a_visit_that_has_no_room_the_practitioners_time_stays_free(
    post: Post, clinic: Clinic, database: Database
) -> None:
    clinic.book("long", TEN, "bob")
    there, versions = clinic.taken(), clinic.versions()
    assert post(ADA | {"service": "long"}, TEN + HOUR, practitioner="ann", key="one").taken
    assert (clinic.taken(), clinic.versions()) == (there, versions)
    assert counts(database) == (2, 1)
    assert post(ADA, TEN + HOUR, practitioner="ann", key="one").visit


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "off the grid": ({"starts_at": "2026-11-25T10:07:00-05:00"}, "starts_at"),
    "past": ({"starts_at": "2026-11-23T10:00:00-05:00"}, "starts_at"),
    "inside the notice": ({"starts_at": "2026-11-24T11:15:00-05:00"}, "starts_at"),
    "beyond the horizon": ({"starts_at": "2027-06-01T10:00:00-04:00"}, "starts_at"),
    "outside the hours": ({"starts_at": "2026-11-25T22:00:00-05:00"}, "starts_at"),
    "a Sunday": ({"starts_at": "2026-11-29T10:00:00-05:00"}, "starts_at"),
    "without zone": ({"starts_at": "2026-11-25T10:00:00"}, "starts_at"),
    "in the spring gap": ({"starts_at": "2027-03-14T02:15:00"}, "starts_at"),
    "twice in autumn": ({"starts_at": "2027-11-07T01:30:00"}, "starts_at"),
    "malformed": ({"starts_at": "tomorrow at ten"}, "starts_at"),
    "no such day": ({"starts_at": "2027-02-30T10:00:00-05:00"}, "starts_at"),
    "no such service": ({"service": "levitation"}, "service"),
    "no service": ({"service": ""}, "service"),
    "hidden": ({"service": "hidden"}, "service"),
    "no such practitioner": ({"practitioner": "nobody"}, "practitioner"),
    "no such location": ({"location": "nowhere"}, "location"),
    "a hold that is none": ({"starts_at": "", "hold": "no-such-hold"}, "hold"),
}


def test_what_is_not_offered_is_refused_with_field_and_reason_and_the_lead_stays(
    post: Post, clinic: Clinic, database: Database
) -> None:
    for number, (why, (fields, field)) in enumerate(REFUSED.items(), 1):
        receipt = post(ADA | {"name": why}, TEN, key=why, **fields)
        assert receipt.refusal is not None, why
        assert (receipt.refusal.field, receipt.visit, receipt.taken) == (field, None, None), why
        assert str(receipt.refusal), why
        assert counts(database) == (number, 0), why
    assert clinic.taken() == {}
    reasons = {str(post(ADA | {"name": why}, TEN, key=why, **fields).refusal) for why, (fields, _) in REFUSED.items()}
    assert len(reasons) >= len(REFUSED) - 3, "each says what is wrong with it"
    assert counts(database) == (len(REFUSED), 0)
    mended = post(ADA | {"name": "past"}, TEN, key="past")
    assert mended.visit is not None
    assert counts(database) == (len(REFUSED), 1)


# ---------------------------------------------------------------- families


@pytest.mark.parametrize("keys", [("one", "two"), ("one", "one"), ("", "")], ids=["own keys", "one key", "no keys"])
def test_a_parent_books_two_children_back_to_back_with_one_address(
    keys: tuple[str, str], post: Post, clinic: Clinic, database: Database
) -> None:
    children = ({"name": "Max Reed"}, {"name": "Zoe Reed"})
    times = (TEN, TEN + HOUR / 2)
    receipts = [
        post(ADA | child, at, key=key, practitioner="ann")
        for child, at, key in zip(children, times, keys, strict=True)
    ]  # fmt: skip
    assert len({receipt.reference for receipt in receipts}) == 2
    assert not any(receipt.replayed for receipt in receipts)
    assert clinic.taken() == {"ann": ["10:00-11:00"]}
    with database.reading() as db:
        assert set(db.scalars(text("select name from lead"))) == {"Max Reed", "Zoe Reed"}


# ---------------------------------------------------------------- the spool


def test_a_lead_that_waited_never_confirms_a_time_until_the_visitor_asks_again(
    stormy: Runtime, runtime: Runtime, post: Post, clinic: Clinic, database: Database
) -> None:
    held = clinic.hold("long", TEN, "bob")
    told = reception.receive(stormy, read(ADA, TEN, key="one", hold=held.token), clinic.now)
    assert (told.spooled, told.visit) == (True, None)
    clinic.now = held.expires_at
    assert [fate for _, fate in reception.drain(runtime, lambda: clinic.now)] == ["stored"]
    assert counts(database) == (1, 0)
    assert clinic.taken() == {}
    again = post(ADA, TEN, key="one")
    assert (again.reference, again.visit is not None) == (told.reference, True)
    assert counts(database) == (1, 1)


def test_a_lead_that_was_booked_before_its_answer_was_lost_keeps_its_visit_when_it_is_drained(
    stormy: Runtime, runtime: Runtime, post: Post, clinic: Clinic, database: Database
) -> None:
    waiting = reception.receive(stormy, read(ADA, TEN, key="one"), clinic.now)
    direct = post(ADA, TEN, key="one")
    assert direct.visit is not None
    assert [fate for _, fate in reception.drain(runtime, lambda: clinic.now)] == ["stored"]
    assert counts(database) == (1, 1)
    assert post(ADA, TEN, key="one") == replace(direct, replayed=True)
    assert reception.is_known(runtime, waiting.reference)


# ---------------------------------------------------------------- two at once, and what is stored


def test_two_attempts_of_one_lead_at_once_are_one_visit(
    runtime: Runtime, post: Post, clinic: Clinic, database: Database
) -> None:
    for who in ("ann", "bob"):
        clinic.book("short", TEN, who)
    lost = post(ADA, TEN, key="one")
    together, receipts = threading.Barrier(4), []

    def try_again(hours: int) -> None:
        together.wait(30)
        receipts.append(reception.receive(runtime, read(ADA, TEN + hours * HOUR, key="one"), clinic.now))

    threads = [threading.Thread(target=try_again, args=(hours,)) for hours in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {receipt.reference for receipt in receipts} == {lost.reference}
    assert len({str(receipt.visit) for receipt in receipts}) == 1, "all are told of the one there is"
    assert counts(database) == (3, 3)
    assert overlaps(database) == 0


def test_neither_health_words_nor_tokens_are_in_the_database_as_they_were_given(
    post: Post, runtime: Runtime, clinic: Clinic, database: Database, tmp_path: Path
) -> None:
    held = clinic.hold("short", TEN, "ann")
    receipt = post(
        ADA | {"symptoms": "night pain", "preferred_times": "after dialysis"}, TEN, hold=held.token, key="k1"
    )
    lost = post(ADA | {"name": "Ben", "preferred_times": "dialysis"}, TEN, practitioner="ann", key="k2")
    assert receipt.visit
    assert lost.taken
    clinic.do(cancel, clinic, receipt.visit["id"])
    token = runtime.keyring.token("appointment", str(receipt.visit["id"]), "0")
    there = everything(database, tmp_path)
    assert receipt.reference.encode() in there, "the twin: what is not hidden is found"
    for secret in ("sciatica", "night pain", "dialysis", "a relapse", token, held.token):
        assert secret.encode() not in there


def everything(database: Database, folder: Path) -> bytes:
    """Every byte of SQLite's files, or every row of PostgreSQL."""
    if database.dialect == "sqlite":
        return b"".join(path.read_bytes() for path in sorted(folder.glob("booking.db*")))
    found = []
    with database.reading() as db:
        tables = "select table_name from information_schema.tables where table_schema = 'public'"
        for table in db.scalars(text(tables)).all():
            for row in db.execute(text(f'select * from "{table}"')):
                found += [
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row
                ]
    return b"\n".join(found)
