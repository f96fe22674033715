"""Leases: a message is in one worker's hands at a time, in order for each person, and no poison holds up the others."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Select, bindparam, false, select, update

from booking.database import Database
from booking.domain.status import MessageState
from booking.keyring import Keyring
from booking.models.appointment import Appointment
from booking.models.outbox import OutboxMessage
from booking.operations import leases, outbox, webhooks
from booking.operations.leases import FIRST_WAIT, LEASE, LONGEST_WAIT, SHARED_AT_ONCE, Claimed
from booking.operations.outbox import Message
from tests.postgres import somebody_waits_for_a_lock
from tests.visits import TEN, Clinic

MOMENT, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
GUARDED = pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "twin without lease and lock"])


def put(clinic: Clinic, *names: str, lead: int | None = None, **more: Any) -> None:
    """Write messages that are due now, each with its name for its event; all to one person unless it says whom."""
    message = Message("", "visitor", "mail", "ada@example.com", ("test",), clinic.now, lead_id=lead)
    found = [replace(message, event=name, **more) for name in names]
    clinic.do(outbox.write, clinic.keyring, found, clinic.now)


def claim(clinic: Clinic, worker: str = "one", channel: str = "mail", *, limit: int = 25) -> list[Claimed]:
    return clinic.do(leases.claim, worker, channel, clinic.now, limit=limit)


def names(claimed: Sequence[Claimed]) -> list[str]:
    return [each.event for each in claimed]


def finish(clinic: Clinic, claimed: Claimed, worker: str = "one", state: MessageState = MessageState.SENT) -> bool:
    return clinic.do(leases.finish, worker, claimed.id, state, "because", clinic.now)


def rows(database: Database) -> list[OutboxMessage]:
    with database.reading() as db:
        return list(db.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


def is_mine(clinic: Clinic, claimed: Claimed, worker: str) -> bool:
    with clinic.database.reading() as db:
        return leases.is_mine(db, worker, claimed)


def is_due(clinic: Clinic, channel: str = "mail", **more: str) -> bool:
    with clinic.database.reading() as db:
        return leases.is_due(db, channel, clinic.now, **more)


def remove_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a claim see neither that somebody has a message nor that somebody is taking it: for the twins."""
    due = leases._due

    def blind(*asked: Any) -> tuple[Any, ...]:
        return tuple(each for each in due(*asked) if "lease_until" not in str(each))

    monkeypatch.setattr(leases, "_due", blind)
    monkeypatch.setattr(Select, "with_for_update", lambda query, **_: query)
    monkeypatch.setattr(leases, "_CLAIM", leases._claim_statement())
    monkeypatch.setattr(leases, "_CLAIM_FOR", leases._claim_statement(leases._to(bindparam("whom"))))
    these = leases.messages.c.id.in_(bindparam("these", expanding=True))
    monkeypatch.setattr(leases, "_CLAIM_THESE", leases._claim_statement(these))


# ---------------------------------------------------------------- one worker at a time


def test_a_message_is_in_one_workers_hands_until_the_lease_ends(clinic: Clinic) -> None:
    put(clinic, "letter")
    (first,) = claim(clinic, "one")
    assert (first.attempts, first.lease_until, is_mine(clinic, first, "one")) == (1, clinic.now + LEASE, True)
    clinic.now += LEASE
    assert (claim(clinic, "two"), is_due(clinic)) == ([], False)
    clinic.now += MOMENT
    assert is_due(clinic)
    (second,) = claim(clinic, "two")
    assert (second.id, second.attempts) == (first.id, 2)
    assert (is_mine(clinic, first, "one"), is_mine(clinic, second, "two")) == (False, True)


def test_whoever_lost_the_lease_changes_nothing(clinic: Clinic, database: Database) -> None:
    put(clinic, "letter")
    (lost,) = claim(clinic, "one")
    clinic.now += LEASE + MOMENT
    claim(clinic, "two")
    before = vars(rows(database)[0]) | {"_sa_instance_state": None}
    assert not finish(clinic, lost, "one")
    assert not clinic.do(leases.put_off, "one", lost.id, clinic.now, "not now")
    clinic.do(leases.give_back, "one", [lost])
    assert vars(rows(database)[0]) | {"_sa_instance_state": None} == before
    assert finish(clinic, lost, "two"), "the twin: who has it may"


def test_what_is_withdrawn_is_nobodys_any_more(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", clinic.now + timedelta(days=1))
    put(clinic, "letter", appointment_id=visit.row.id)
    (claimed,) = claim(clinic)
    clinic.do(outbox.withdraw, visit.row.id, ["letter"], "it moved", clinic.now)
    assert not is_mine(clinic, claimed, "one")
    assert not finish(clinic, claimed)
    assert [(row.state, row.reason) for row in rows(database)] == [("withdrawn", "it moved")]


def test_a_message_that_is_done_is_not_claimed_again(clinic: Clinic, database: Database) -> None:
    done = [state for state in MessageState if state not in (MessageState.WAITING, MessageState.HELD)]
    put(clinic, *done, MessageState.HELD)
    for claimed in claim(clinic):
        assert finish(clinic, claimed, state=MessageState(claimed.event))
    clinic.now += timedelta(days=30)
    assert claim(clinic) == []
    assert {row.state: row.done_at is None for row in rows(database)} == dict.fromkeys(done, False) | {"held": True}
    assert {(row.worker, row.lease_until, row.reason) for row in rows(database)} == {(None, None, "because")}


@GUARDED
def test_two_workers_who_claim_at_the_same_moment_share_the_messages(
    guarded: bool, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(clinic, *(f"letter {number}" for number in range(12)))
    if not guarded:
        remove_the_guard(monkeypatch)
    got, both = at_once(lambda worker: names(claim(clinic, worker))), [f"letter {number}" for number in range(12)]
    assert sorted(got) == sorted(both if guarded else both * 2)


@GUARDED
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_claims_while_another_is_claiming_neither_waits_nor_gets_the_same(
    guarded: bool, clinic: Clinic, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(clinic, "a", "b", "c")
    if not guarded:
        remove_the_guard(monkeypatch)
    theirs: list[str] = []
    other = threading.Thread(target=lambda: theirs.extend(names(claim(clinic, "two", limit=2))))
    with database.transaction() as db:
        ours = names(leases.claim(db, "one", "mail", clinic.now, limit=2))
        other.start()
        if guarded:
            other.join(30)
            assert not other.is_alive(), "it did not wait for us, whose transaction is still open"
        else:
            assert somebody_waits_for_a_lock(database.engine)
    other.join()
    assert (ours, theirs) == (["a", "b"], ["c"] if guarded else ["a", "b"])


def at_once(act: Callable[[str], list[str]]) -> list[str]:
    """What two workers get who act at the same moment."""
    got: list[str] = []
    together = threading.Barrier(2)

    def work(worker: str) -> None:
        together.wait(30)
        got.extend(act(worker))

    threads = [threading.Thread(target=work, args=[worker]) for worker in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


# ---------------------------------------------------------------- which, and in which order


def test_what_is_not_due_is_not_claimed(clinic: Clinic) -> None:
    put(clinic, "later", due_at=clinic.now + MINUTE)
    clinic.now += MINUTE - MOMENT
    assert (claim(clinic), is_due(clinic)) == ([], False)
    clinic.now += MOMENT
    assert is_due(clinic)
    assert names(claim(clinic)) == ["later"]


def test_the_longest_due_come_first_and_no_more_than_are_asked_for(clinic: Clinic) -> None:
    put(clinic, "third", "fourth")
    put(clinic, "second", due_at=clinic.now - MINUTE)
    put(clinic, "first", due_at=clinic.now - 2 * MINUTE)
    assert [names(claim(clinic, limit=3)), names(claim(clinic, limit=3))] == [["first", "second", "third"], ["fourth"]]


def test_each_channel_and_each_recipient_can_be_claimed_for_itself(clinic: Clinic) -> None:
    put(clinic, "letter")
    put(clinic, "call", channel="webhook", recipient="1")
    put(clinic, "other call", channel="webhook", recipient="2")
    assert not is_due(clinic, "sms")
    assert not is_due(clinic, "webhook", recipient="3")
    assert is_due(clinic, "webhook", recipient="2")
    assert names(clinic.do(leases.claim, "one", "webhook", clinic.now, limit=25, recipient="2")) == ["other call"]
    assert names(claim(clinic, channel="webhook")) == ["call"]
    assert names(claim(clinic)) == ["letter"]


def test_what_a_person_is_told_comes_in_order(clinic: Clinic) -> None:
    ada, ben = clinic.somebody(), clinic.somebody()
    put(clinic, "first", "second", lead=ada)
    put(clinic, "to the desk", lead=ada, recipient="desk@example.com")
    put(clinic, "text", lead=ada, channel="sms")
    put(clinic, "to ben", lead=ben)
    got = claim(clinic)
    assert names(got) == ["first", "to the desk", "to ben"]
    assert names(claim(clinic, channel="sms")) == ["text"]
    assert (claim(clinic), is_due(clinic)) == ([], False), "while the first is in somebody's hands the second waits"
    finish(clinic, got[0])
    assert names(claim(clinic)) == ["second"]


def test_poison_holds_up_its_own_lead_and_nobody_else(clinic: Clinic) -> None:
    ada, ben = clinic.somebody(), clinic.somebody()
    put(clinic, "poison", "after it", lead=ada)
    poison, *_ = claim(clinic)
    for wait in (1, 2, 4):
        assert clinic.do(leases.put_off, "one", poison.id, clinic.now + wait * MINUTE, "it was not taken")
        put(clinic, f"to ben {wait}", lead=ben, recipient="ben@example.com")
        (other,) = claim(clinic)
        assert (other.event, finish(clinic, other)) == (f"to ben {wait}", True)
        clinic.now += wait * MINUTE
        assert names(claim(clinic)) == ["poison"]
    finish(clinic, poison, state=MessageState.DEAD)
    assert names(claim(clinic)) == ["after it"]


def test_what_is_planned_for_later_holds_up_nothing_until_then(clinic: Clinic) -> None:
    lead = clinic.somebody()
    put(clinic, "reminder", lead=lead, due_at=clinic.now + 2 * MINUTE)
    put(clinic, "confirmation", lead=lead)
    (claimed,) = claim(clinic)
    assert (claimed.event, finish(clinic, claimed)) == ("confirmation", True)
    clinic.now += 2 * MINUTE
    put(clinic, "news", lead=lead)
    assert names(claim(clinic)) == ["reminder"]


# ---------------------------------------------------------------- not now


def test_each_attempt_is_counted_but_not_one_that_was_not_made(clinic: Clinic, database: Database) -> None:
    put(clinic, "letter")

    def after(act: Callable[[Claimed], object]) -> int:
        (claimed,) = claim(clinic)
        act(claimed)
        return rows(database)[0].attempts

    def put_off(claimed: Claimed, *, tried: bool = True) -> None:
        clinic.do(leases.put_off, "one", claimed.id, clinic.now, "why", tried=tried)

    def give_back(claimed: Claimed) -> None:
        clinic.do(leases.give_back, "one", [claimed])

    acts: list[Callable[[Claimed], object]]
    acts = [partial(put_off, tried=False), give_back, put_off, give_back, partial(put_off, tried=False), put_off]
    assert [after(act) for act in acts] == [0, 0, 1, 1, 1, 2]


def test_what_is_put_off_comes_when_it_was_said_to(clinic: Clinic, database: Database) -> None:
    put(clinic, "letter")
    (claimed,) = claim(clinic)
    assert clinic.do(leases.put_off, "one", claimed.id, clinic.now + MINUTE, "no answer")
    assert [(row.reason, row.worker, row.lease_until) for row in rows(database)] == [("no answer", None, None)]
    assert claim(clinic, "two") == []
    clinic.now += MINUTE
    assert names(claim(clinic, "two")) == ["letter"]


def test_what_is_given_back_others_can_have_at_once(clinic: Clinic) -> None:
    put(clinic, "a", "b", "c")
    got = claim(clinic, "one")
    clinic.do(leases.give_back, "one", got[1:])
    assert [(each.event, each.attempts) for each in claim(clinic, "two")] == [("b", 1), ("c", 1)]


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_the_wait_grows_with_each_attempt_to_an_hour_and_is_spread_by_chance(attempts: int, chance: float) -> None:
    middle = leases.wait_after(attempts, 0.5)
    assert FIRST_WAIT <= middle <= LONGEST_WAIT
    assert middle == min(LONGEST_WAIT, 2 * leases.wait_after(attempts - 1, 0.5) if attempts > 1 else FIRST_WAIT)
    assert middle / 2 <= leases.wait_after(attempts, chance) < 1.5 * middle + MOMENT


def test_two_messages_that_fail_together_are_not_tried_together() -> None:
    assert len({leases.wait_after(3) for _ in range(20)}) > 10


# ---------------------------------------------------------------- to each program


def add_programs(clinic: Clinic, *hosts: str) -> list[int]:
    return [
        clinic.do(webhooks.add, clinic.keyring, f"https://{host}.example", "whsec_x", clinic.now).id for host in hosts
    ]


def share_out(clinic: Clinic, keyring: Keyring | None = None) -> int:
    return clinic.do(leases.share_out, keyring or clinic.keyring, clinic.now)


def to_programs(database: Database) -> list[tuple[str, str, str]]:
    return sorted((row.event, row.recipient, row.state) for row in rows(database))


def test_an_event_becomes_one_message_to_each_program_that_is_told(clinic: Clinic, database: Database) -> None:
    one, gone, two = add_programs(clinic, "one", "gone", "two")
    clinic.do(webhooks.remove, gone, clinic.now)
    lead, written_at = clinic.somebody(), clinic.now
    put(clinic, "event", lead=lead, channel="webhook", recipient="", audience="program", facts={"reference": "SV-1"})
    clinic.now += MINUTE
    assert [share_out(clinic), share_out(clinic)] == [1, 0]
    shared, *shares = rows(database)
    assert (shared.state, shared.reason, shared.worker) == ("sent", "shared out to 2", None)
    assert to_programs(database)[1:] == [("event", str(one), "waiting"), ("event", str(two), "waiting")]
    assert {(row.lead_id, row.due_at, row.created_at) for row in shares} == {(lead, clinic.now, written_at)}
    assert len({row.dedupe_key for row in shares}) == 2, "each program knows it by a name of its own"
    assert [each.facts(clinic.keyring) for each in claim(clinic, channel="webhook")] == [{"reference": "SV-1"}] * 2


@GUARDED
def test_two_workers_who_share_out_at_the_same_moment_make_no_message_twice(
    guarded: bool, clinic: Clinic, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of a message guards it too: it is one even where both workers share out the same event."""
    programs = add_programs(clinic, "one", "two")
    put(clinic, "a", "b", "c", channel="webhook", recipient="", audience="program")
    if not guarded:
        remove_the_guard(monkeypatch)
        # What is shared out is not marked either: whoever comes second shares it out again.
        monkeypatch.setattr(leases, "update", lambda table: update(table).where(false()))
    shared = at_once(lambda _: ["event"] * share_out(clinic))
    assert len(shared) == (3 if guarded else 6)
    there = [(event, recipient) for event, recipient, _ in to_programs(database) if recipient]
    assert there == [(event, str(program)) for event in "abc" for program in programs]


def test_an_event_that_cannot_be_read_is_tried_again_and_holds_up_no_other(clinic: Clinic, database: Database) -> None:
    (program,) = add_programs(clinic, "one")
    ours, theirs = clinic.keyring, Keyring([(2, bytes(range(32, 64)))], "another secret of a service: 0123456789")
    clinic.keyring = theirs
    put(clinic, "unreadable", channel="webhook", recipient="")
    clinic.keyring = ours
    put(clinic, "readable", channel="webhook", recipient="")
    assert [share_out(clinic), share_out(clinic)] == [2, 0]
    assert to_programs(database) == [
        ("readable", "", "sent"), ("readable", str(program), "waiting"), ("unreadable", "", "waiting"),
    ]  # fmt: skip
    clinic.now += LEASE + MOMENT
    assert [share_out(clinic, theirs), share_out(clinic)] == [1, 0]
    assert ("unreadable", str(program), "waiting") in to_programs(database)


def test_so_many_are_shared_out_in_one_transaction_and_the_others_in_the_next(clinic: Clinic) -> None:
    put(clinic, *(f"event {number}" for number in range(SHARED_AT_ONCE + 2)), channel="webhook", recipient="")
    assert [share_out(clinic), share_out(clinic), share_out(clinic)] == [SHARED_AT_ONCE, 2, 0]


@pytest.mark.parametrize("guarded", [True, False], ids=["as it is", "twin that waits with the message in hand"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_shares_out_does_not_wait_for_who_changes_the_visit(
    guarded: bool, clinic: Clinic, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock otherwise: the one has the visit and wants its message, the other the message and wants the visit."""
    add_programs(clinic, "one")
    visit = clinic.book("short", TEN, "ann").row
    put(clinic, "event", channel="webhook", recipient="", appointment_id=visit.id)
    if not guarded:
        monkeypatch.setattr(leases, "_lock_free", lambda _db, _table, ids: ids)
    shared: list[int] = []
    other = threading.Thread(target=lambda: shared.append(share_out(clinic)))
    with database.transaction() as db:
        db.get_one(Appointment, visit.id, with_for_update=True).token_digest = bytes(32)
        db.flush()
        other.start()
        if guarded:
            other.join(30)
            assert shared == [0], "it did not wait for us, whose transaction is still open"
        else:
            assert somebody_waits_for_a_lock(database.engine)
    other.join(30)
    assert (shared, share_out(clinic)) == (([0], 1) if guarded else ([1], 0))
    assert {(row.attempts, row.state) for row in rows(database) if row.recipient == ""} == {(1, "sent")}
