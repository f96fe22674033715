"""The postman: what is due is handed over once and its fate is written down, whatever the other side may do."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

import booking
from booking.database import Database, DatabaseAway
from booking.models.outbox import OutboxMessage
from booking.operations import last_look, leases
from booking.worker import Worker, postman
from booking.worker.postman import Postman
from tests.delivery.mailbox import Awkward, Talk, awkward, cut, mailbox
from tests.faults.crowd import eventually
from tests.faults.weather import away
from tests.posting import ADA
from tests.visits import HOUR, TEN
from tests.worker.conftest import BEN, DESK, MINUTE, Office, Open

TEMPLATES = Path(booking.__file__).with_name("templates")
FINE = "250 2.0.0 fine"


def at_smtp(office: Open, server: Awkward, **settings: str) -> Office:
    return office(MAIL_URL=f"smtp://127.0.0.1:{server.port}", **settings)


def addressed(server: Awkward) -> list[str]:
    """To whom letters came, in their order."""
    return [message_from_bytes(letter)["To"] for letter in server.letters]


def message_ids(server: Awkward) -> list[str]:
    return [message_from_bytes(letter)["Message-ID"] for letter in server.letters]


def events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was logged since somebody asked last."""
    return [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]


def one_postman(office: Office) -> tuple[Postman, threading.Event]:
    """A postman, and what tells it to stop."""
    stopping = threading.Event()
    return Postman(office.premises, office.clock, stopping, name="one"), stopping


@contextmanager
def unwritable(database: Database) -> Iterator[None]:
    """Nobody can write to the outbox for the length of the block."""
    with database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("lock table outbox_message in share row exclusive mode")
        yield


# ---------------------------------------------------------------- a mail server that says no


def test_a_letter_that_is_refused_for_good_is_dead_and_the_lead_says_to_call_instead(office: Open) -> None:
    with awkward({"RCPT": ["550 5.1.1 there is no such canary"]}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        at_work.deliver()
    assert server.fired == ["RCPT"]
    refused = at_work.message(audience="visitor")
    assert (refused.state, refused.attempts, refused.done_at) == ("dead", 1, at_work.clock.now)
    assert refused.reason == "550 5.1.1: the mail server refused the address"
    assert at_work.lead().undelivered == f"The e-mail did not arrive, call instead: {refused.reason}"
    assert addressed(server) == [DESK], "the next letter of the lane is not held up"
    assert at_work.message(audience="desk").state == "sent"


def test_a_desk_that_cannot_be_written_to_is_no_fault_of_the_visitors_address(office: Open) -> None:
    with awkward({"RCPT": [FINE, "550 5.1.1 no"]}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        at_work.deliver()
    assert at_work.fates() == {("lead_captured", "visitor", "sent"), ("lead_captured", "desk", "dead")}
    assert at_work.lead().undelivered == ""


def test_a_letter_that_is_not_taken_now_waits_with_its_reason_and_is_the_same_letter_later(office: Open) -> None:
    with awkward({"RCPT": ["451 4.3.0 later"]}, {}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        at_work.deliver()
        assert server.fired == ["RCPT"]
        waits = at_work.message(audience="visitor")
        assert (waits.state, waits.attempts, waits.worker, waits.lease_until) == ("waiting", 1, None, None)
        assert waits.reason == "451 4.3.0: the mail server refused the address for now"
        assert waits.due_at > at_work.clock.now
        assert addressed(server) == [DESK]
        at_work.deliver()
        assert at_work.message(audience="visitor").attempts == 1, "it rests until it is due"
        at_work.deliver(minutes=1)
    sent = at_work.message(audience="visitor")
    assert (sent.state, sent.attempts, sent.reason) == ("sent", 2, "")
    assert addressed(server) == [DESK, ADA["email"]]
    assert at_work.lead().undelivered == ""


def test_a_letter_of_which_it_is_not_known_whether_it_came_is_sent_again_under_the_same_id(office: Open) -> None:
    with awkward({"letter": cut}, {}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        at_work.deliver()
        assert "may have the letter" in at_work.message(audience="visitor").reason
        at_work.deliver(minutes=1)
    assert addressed(server) == [ADA["email"], DESK, ADA["email"]]
    first, _, again = message_ids(server)
    assert first == again == f"<{at_work.message(audience='visitor').dedupe_key.hex()}@example.com>"


def test_a_letter_that_nobody_takes_for_a_day_is_given_up_and_the_desk_calls(office: Open) -> None:
    with awkward({"MAIL": "451 4.3.0 later"}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        for _ in range(40):
            at_work.deliver(hours=1)
    given_up = at_work.message(audience="visitor")
    assert given_up.state == "dead"
    assert given_up.done_at is not None
    assert timedelta(hours=22) < given_up.done_at - given_up.created_at < timedelta(hours=25)
    assert "call instead" in at_work.lead().undelivered


# ---------------------------------------------------------------- a database that goes away


def delivered_while_nobody_can_write(office: Open, database: Database, *, stop: bool) -> tuple[Office, Awkward]:
    """The database takes nothing from the moment that the first letter is taken until the mark has failed once."""
    stopping = threading.Event()

    def take_and_lock(talk: Talk) -> None:
        with unwritable(database):
            if stop:
                stopping.set()
            talk.say(FINE)
            eventually(lambda: at_work.premises.database._resting_until > 0)
            talk.server.fired.append("the mark failed")

    with awkward({"letter": take_and_lock}, {}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        delivering = Postman(at_work.premises, at_work.clock, stopping, name="one")
        delivering.round()
        delivering.wait(60)
    assert server.fired == ["letter", "the mark failed"]
    eventually(at_work.premises.database.answers)
    return at_work, server


def test_a_letter_that_was_taken_while_the_database_was_away_is_marked_when_it_is_back(
    office: Open, database: Database
) -> None:
    at_work, server = delivered_while_nobody_can_write(office, database, stop=False)
    assert at_work.message(audience="visitor").state == "sent"
    at_work.deliver(hours=1)
    assert Counter(addressed(server))[ADA["email"]] == 1


def test_twin_who_does_not_ask_again_sends_the_letter_twice_under_one_id(office: Open, database: Database) -> None:
    at_work, first = delivered_while_nobody_can_write(office, database, stop=True)
    left = at_work.message(audience="visitor")
    assert (left.state, left.worker, left.attempts) == ("waiting", "one", 1)
    with awkward({}) as second:
        again = at_smtp(office, second)
        again.deliver(minutes=4)
    assert message_ids(first)[0] in message_ids(second)
    assert again.message(audience="visitor").state == "sent"


def test_while_the_database_is_away_a_round_says_so_and_the_worker_lives_on(
    office: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_work = office(LOG_LEVEL="debug")
    at_work.post()
    with away(at_work.premises.database.dialect, tmp_path) as nothing:
        cut_off = Office(replace(at_work.premises, database=nothing), at_work.clinic, at_work.clock.now)
        with pytest.raises(DatabaseAway):
            one_postman(cut_off)[0].round()
        said = Counter[str]()

        def rounds() -> int:
            said.update(events(capsys))
            return said["worker_waits"] // 3  # as many parts as a round has

        worker = cut_off.worker()
        worker.start()
        eventually(lambda: rounds() >= 2)
        worker.stop()
    assert {*said, *events(capsys)} == {"worker_waits"}
    at_work.deliver()
    assert {state for *_, state in at_work.fates()} == {"sent"}


# ---------------------------------------------------------------- told to stop


def test_who_is_told_to_stop_finishes_the_letter_at_hand_and_gives_back_the_others(office: Open) -> None:
    def stop_and_take(talk: Talk) -> None:
        in_hand.extend(each for each in at_work.messages() if each.worker == "one")
        stopping.set()
        talk.say(FINE)

    in_hand: list[object] = []
    with awkward({"letter": stop_and_take}, {}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        at_work.post(BEN)
        delivering, stopping = one_postman(at_work)
        delivering.round()
        delivering.wait(60)
        assert len(in_hand) == 4, "all had been claimed"
        first, *others = at_work.messages()
        assert (first.state, first.attempts) == ("sent", 1)
        assert {(each.state, each.attempts, each.worker, each.lease_until) for each in others} == {
            ("waiting", 0, None, None)
        }
        at_work.deliver()
    assert {each.state for each in at_work.messages()} == {"sent"}
    assert {each.attempts for each in at_work.messages()} == {1}
    assert len(set(message_ids(server))) == len(message_ids(server)) == 4


def test_a_letter_is_not_begun_when_its_lease_could_end_before_it_is_sent(office: Open) -> None:
    def dawdle(talk: Talk) -> None:
        at_work.clock.now += leases.LEASE - postman.LONGEST_SENDING + timedelta(seconds=1)
        talk.say(FINE)

    with awkward({"letter": dawdle}, {}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        began = at_work.clock.now
        delivering, _ = one_postman(at_work)
        delivering.round()
        delivering.wait(60)
    assert at_work.clock.now > began, "the first letter took so long"
    assert [each.state for each in at_work.messages()] == ["sent", "sent"]
    assert [each.attempts for each in at_work.messages()] == [1, 1], "given back, and claimed anew"
    assert len(set(message_ids(server))) == len(message_ids(server)) == 2


# ---------------------------------------------------------------- withdrawn in the worker's hands


def cancelled_in_hand(office: Open) -> tuple[Office, list[str]]:
    """Ada cancels while the news that her visit moved is in the worker's hands; what she hears of after that."""

    def cancel_and_take(talk: Talk) -> None:
        in_hand.extend(at_work.messages(event="appointment_moved", audience="visitor"))
        at_work.cancel()
        talk.say(FINE)

    in_hand: list[OutboxMessage] = []
    with awkward({}) as quiet:
        at_work = at_smtp(office, quiet)
        at_work.post(at=TEN)
        at_work.deliver()
    with awkward({"letter": cancel_and_take}, {}) as server:
        at_work.premises = at_smtp(office, server).premises
        at_work.post(BEN)
        at_work.move(TEN + HOUR)
        at_work.deliver()
    assert [(each.attempts, each.state) for each in in_hand] == [(1, "waiting")], "it was claimed, and stood"
    assert addressed(server)[0] == BEN["email"]
    subjects = [message_from_bytes(each) for each in server.letters]
    return at_work, [str(each["Subject"]).partition("=?")[0] for each in subjects if each["To"] == ADA["email"]]


def test_what_is_withdrawn_in_a_workers_hands_is_not_sent(office: Open) -> None:
    at_work, heard = cancelled_in_hand(office)
    assert len(heard) == 1
    assert "is cancelled" in heard[0]
    assert at_work.message(event="appointment_moved", audience="visitor").state == "withdrawn"
    assert at_work.message(event="appointment_cancelled", audience="visitor").state == "sent"


def test_twin_without_the_last_look_a_visitor_hears_of_what_they_have_cancelled(
    office: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "is_mine", lambda *_: True)
    monkeypatch.setattr(last_look, "_fate", lambda *_: None)
    assert len(cancelled_in_hand(office)[1]) == 2


# ---------------------------------------------------------------- two workers


def test_two_workers_deliver_each_message_once(office: Open) -> None:
    with mailbox() as box:
        at_work = office(MAIL_URL=f"smtp://127.0.0.1:{box.port}")
        for number in range(40):
            at_work.post(BEN | {"email": f"visitor{number}@example.com", "message": f"question {number}"})
        in_turn([at_work.worker(), at_work.worker()])
        ids = [letter.message["Message-ID"] for letter in box.letters]
        assert box.connections == 2, "both had something to do"
    assert len(set(ids)) == len(ids) == 80
    assert {(each.state, each.attempts) for each in at_work.messages()} == {("sent", 1)}


def in_turn(workers: list[Worker]) -> None:
    """Let all of them do at one time what is due."""
    ready = threading.Barrier(len(workers))

    def work(worker: Worker) -> None:
        ready.wait()
        worker.drain()

    threads = [threading.Thread(target=work, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def seen_by_a_second_worker(office: Open) -> list[str]:
    """The ids of the letters, when a second worker works while the first has its first letter at the server."""

    def meanwhile(talk: Talk) -> None:
        at_work.worker().drain()
        talk.say(FINE)

    with awkward({"letter": meanwhile}, {}) as server:
        at_work = at_smtp(office, server)
        at_work.post()
        at_work.deliver()
    assert server.fired == ["letter"]
    assert {each.state for each in at_work.messages()} == {"sent"}
    return message_ids(server)


def test_what_one_worker_has_in_hand_another_does_not_send(office: Open) -> None:
    assert len(seen_by_a_second_worker(office)) == 2


def test_twin_without_a_lease_the_second_sends_what_the_first_has_in_hand(
    office: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", -MINUTE)
    monkeypatch.setattr(postman, "LONGEST_SENDING", -2 * MINUTE)
    found = Counter(seen_by_a_second_worker(office))
    assert max(found.values()) == 2
