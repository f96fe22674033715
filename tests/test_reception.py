"""Reception takes a submission in whatever the weather, loses none, and makes one lead of what is the same."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from booking import reception
from booking.database import Database
from booking.domain.errors import KeyReused
from booking.domain.submission import Circumstances, Submission
from booking.models.lead import Lead
from booking.operations import leads
from booking.reception import Receipt
from booking.runtime import Runtime
from booking.spool import Spool, SpoolFull
from tests.faults.ledger import leads_by_name, stored
from tests.faults.weather import away

ANNA = Submission(name="Anna", email="anna@example.com", message="I cannot sleep", key="key-of-the-page")
BERT = Submission(name="Bert", email="bert@example.com", message="My back hurts", key="key-of-the-page")
API = Circumstances(door="api")


@pytest.fixture
def stormy(runtime: Runtime, tmp_path: Path) -> Iterator[Runtime]:
    """The same premises, whose database cannot be reached."""
    with away(runtime.database.dialect, tmp_path) as database:
        yield replace(runtime, database=database)


def drained(premises: Runtime, now: datetime) -> list[tuple[str, str]]:
    return [(waiting.reference, fate) for waiting, fate in reception.drain(premises, lambda: now)]


def assert_nothing_is_missing(premises: Runtime, handed_out: int) -> None:
    assert premises.spool.depth() == 0
    assert reception.reconcile(premises) == (handed_out, [])


# ---------------------------------------------------------------- fair weather


def test_in_fair_weather_a_lead_is_stored_and_the_spool_stays_empty(runtime: Runtime, now: datetime) -> None:
    receipt = reception.receive(runtime, ANNA, now)
    assert not receipt.spooled
    assert stored(runtime.database) == {receipt.reference: 1}
    assert_nothing_is_missing(runtime, 1)


def test_reconcile_names_a_reference_that_was_handed_out_and_is_nowhere(runtime: Runtime, now: datetime) -> None:
    reception.receive(runtime, ANNA, now)
    runtime.receipts.note("SV-2222-22", "stored", now)  # as a thank-you before the commit would
    assert reception.reconcile(runtime) == (2, ["SV-2222-22"])


def test_an_attempt_that_cannot_be_answered_is_kept_and_gets_no_receipt(runtime: Runtime, now: datetime) -> None:
    receipt = reception.receive(runtime, Submission(name="Anna", problems={"email": "none"}), now)
    assert receipt.incomplete
    assert stored(runtime.database) == {receipt.reference: 1}
    assert reception.reconcile(runtime) == (0, [])


# ---------------------------------------------------------------- the database is away


def test_with_the_database_away_a_lead_waits_and_is_stored_once_under_the_reference_given(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    receipt = reception.receive(stormy, ANNA, now)
    assert receipt.spooled
    assert stored(database) == {}
    assert reception.is_known(runtime, receipt.reference)
    assert drained(stormy, now) == [(receipt.reference, "waiting")]
    assert drained(runtime, now + timedelta(hours=1)) == [(receipt.reference, "stored")]
    assert stored(database) == {receipt.reference: 1}
    with database.reading() as db:
        assert list(db.scalars(select(Lead.received_at))) == [now]
    assert_nothing_is_missing(runtime, 1)


def test_reconcile_counts_what_waits_as_kept(stormy: Runtime, runtime: Runtime, now: datetime) -> None:
    reception.receive(stormy, ANNA, now)
    assert reception.reconcile(runtime) == (1, [])


def test_an_attempt_made_while_the_database_is_away_is_kept_too(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    receipt = reception.receive(stormy, Submission(name="Anna", problems={"email": "none"}), now)
    assert receipt.incomplete
    drained(runtime, now)
    assert stored(database) == {receipt.reference: 1}
    assert reception.reconcile(runtime) == (0, [])


def test_two_posts_of_one_key_while_the_database_is_away_get_one_reference(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    first, second = (reception.receive(stormy, ANNA, now) for _ in range(2))
    assert (first.replayed, second.replayed) == (False, True)
    assert first.reference == second.reference
    assert drained(runtime, now) == [(first.reference, "stored")]
    assert leads_by_name(database) == {"Anna": 1}


def test_twin_without_their_key_and_with_other_words_they_are_two_leads(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    for message in ("first", "second"):
        reception.receive(stormy, replace(ANNA, key="", message=message), now)
    drained(runtime, now)
    assert leads_by_name(database) == {"Anna": 2}


def test_the_key_of_a_cached_page_hides_nobody_while_the_database_is_away(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    receipts = [reception.receive(stormy, who, now) for who in (ANNA, BERT)]
    drained(runtime, now)
    assert stored(database) == {receipt.reference: 1 for receipt in receipts}
    assert leads_by_name(database) == {"Anna": 1, "Bert": 1}


def test_many_posts_of_one_key_at_once_while_the_database_is_away_become_one_lead(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    receipts: list[Receipt] = []
    start = threading.Barrier(8)

    def visit() -> None:
        start.wait()
        receipts.append(reception.receive(stormy, ANNA, now))

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 8
    drained(runtime, now)
    assert leads_by_name(database) == {"Anna": 1}
    assert {receipt.reference for receipt in receipts} == set(stored(database))
    assert_nothing_is_missing(runtime, len({receipt.reference for receipt in receipts}))


def test_a_full_spool_is_said_aloud_and_gets_no_receipt(stormy: Runtime, tmp_path: Path, now: datetime) -> None:
    keyring = stormy.keyring
    full = replace(stormy, spool=Spool(tmp_path / "tiny", 10, keyring.seal, keyring.open))
    with pytest.raises(SpoolFull):
        reception.receive(full, ANNA, now)
    assert list(full.receipts.references()) == []


# ---------------------------------------------------------------- the same enquiry by two ways


def test_a_post_repeated_when_the_database_is_back_before_the_drain_answers_to_both_references(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    waiting = reception.receive(stormy, ANNA, now)
    direct = reception.receive(runtime, ANNA, now)
    assert waiting.reference != direct.reference
    assert drained(runtime, now) == [(waiting.reference, "stored")]
    assert leads_by_name(database) == {"Anna": 1}
    assert stored(database) == {waiting.reference: 1, direct.reference: 1}
    assert reception.is_known(runtime, waiting.reference)
    assert_nothing_is_missing(runtime, 2)


def test_a_commit_whose_answer_never_came_is_the_same_lead_when_drained(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    waiting = reception.receive(stormy, ANNA, now)
    with database.transaction() as db:  # the commit that was believed lost, under the same reference
        leads.capture(db, ANNA, runtime.desk, reference=waiting.reference, received_at=now, now=now)
    drained(runtime, now)
    assert stored(database) == {waiting.reference: 1}
    assert leads_by_name(database) == {"Anna": 1}


def test_a_drain_killed_between_commit_and_removal_does_no_harm(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    reception.receive(stormy, ANNA, now)
    direct = reception.receive(runtime, ANNA, now)
    (waiting,) = runtime.spool.waiting()
    sealed = waiting.path.read_bytes()
    for _ in range(2):
        waiting.path.write_bytes(sealed)
        assert drained(runtime, now) == [(waiting.reference, "stored")]
    assert stored(database) == {waiting.reference: 1, direct.reference: 1}
    assert leads_by_name(database) == {"Anna": 1}


def test_a_reference_that_chance_gave_to_somebody_else_meanwhile_loses_nobody(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    waiting = reception.receive(stormy, ANNA, now)
    with database.transaction() as db:
        later = now + timedelta(minutes=1)
        leads.capture(db, BERT, runtime.desk, reference=waiting.reference, received_at=later, now=later)
    drained(runtime, now)
    assert leads_by_name(database) == {"Anna": 1, "Bert": 1}
    assert_nothing_is_missing(runtime, 1)


# ---------------------------------------------------------------- a program's key with another content


def test_a_programs_key_with_another_content_is_never_thanked_with_the_first_ones_reference(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    anna = reception.receive(stormy, replace(ANNA, circumstances=API), now)
    try:
        bert = reception.receive(stormy, replace(BERT, circumstances=API), now)
    except KeyReused:
        expected = {"Anna": 1}  # refused with a clear word, as in fair weather
    else:
        assert bert.reference != anna.reference
        expected = {"Anna": 1, "Bert": 1}
    drained(runtime, now)
    assert leads_by_name(database) == expected
    assert runtime.spool.set_aside_count() == 0


def test_a_programs_key_used_before_the_storm_loses_nobody_who_was_thanked_during_it(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    reception.receive(runtime, replace(ANNA, circumstances=API), now)
    thanked = reception.receive(stormy, replace(BERT, circumstances=API), now)
    drained(runtime, now)
    assert thanked.reference in stored(database)
    assert_nothing_is_missing(runtime, 2)


# ---------------------------------------------------------------- bad files


def test_a_bad_file_is_set_aside_and_those_behind_it_are_stored(
    stormy: Runtime, database: Database, runtime: Runtime, now: datetime
) -> None:
    bad = reception.receive(stormy, ANNA, now)
    good = reception.receive(stormy, BERT, now + timedelta(seconds=1))
    first = next(runtime.spool.waiting())
    first.path.write_bytes(first.path.read_bytes()[:50])
    assert drained(runtime, now) == [(bad.reference, "bad"), (good.reference, "stored")]
    assert runtime.spool.set_aside_count() == 1
    assert stored(database) == {good.reference: 1}
    assert reception.reconcile(runtime) == (2, [bad.reference])


@pytest.mark.parametrize("payload", [{}, {"submission": {"name": "Anna"}}, {"submission": [], "received_at": "now"}])
def test_a_sealed_file_of_another_shape_is_set_aside(
    runtime: Runtime, payload: dict[str, object], now: datetime
) -> None:
    runtime.spool.put("SV-2222-22", "", 1, payload)
    assert drained(runtime, now) == [("SV-2222-22", "bad")]


@pytest.mark.parametrize("unstorable", [Submission(name="Nobody"), replace(ANNA, page_url="\N{NULL}", key="")])
def test_a_lead_that_the_database_refuses_does_not_hold_up_those_behind_it(
    stormy: Runtime, database: Database, runtime: Runtime, unstorable: Submission, now: datetime
) -> None:
    refused = reception.receive(stormy, unstorable, now)
    behind = reception.receive(stormy, BERT, now + timedelta(seconds=1))
    assert dict(drained(runtime, now))[behind.reference] == "stored"
    assert behind.reference in stored(database)
    kept = {waiting.reference for waiting in runtime.spool.waiting()} | set(stored(database))
    assert refused.reference in kept or runtime.spool.set_aside_count() == 1


def test_a_lead_that_met_a_fault_of_ours_waits_until_the_fault_is_mended(
    runtime: Runtime, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(leads, "screen", None)
        receipt = reception.receive(runtime, ANNA, now)
        assert receipt.spooled
        assert drained(runtime, now) == [(receipt.reference, "waiting")]
        assert runtime.spool.set_aside_count() == 0
    assert drained(runtime, now) == [(receipt.reference, "stored")]
    assert stored(database) == {receipt.reference: 1}
    assert_nothing_is_missing(runtime, 1)


def test_a_disk_that_refuses_the_writers_turn_is_a_database_that_is_away_and_sets_no_lead_aside(
    runtime: Runtime, stormy: Runtime, tmp_path: Path, now: datetime
) -> None:
    if runtime.database.dialect != "sqlite":
        with runtime.database.transaction() as db:  # PostgreSQL keeps its turns itself
            db.execute(text("select 1"))
        return
    waiting = reception.receive(stormy, ANNA, now)
    (tmp_path / "booking.db.writer").mkdir()  # so that opening it fails, for root too
    assert drained(runtime, now) == [(waiting.reference, "waiting")]
    assert reception.receive(runtime, BERT, now).spooled
    assert runtime.spool.set_aside_count() == 0
