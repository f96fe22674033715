"""The watch: it tests the form as a visitor would, to the end, and sounds an alarm that nobody learns to ignore."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.serving import make_server

from booking import reception
from booking.database import DatabaseAway
from booking.delivery.failures import TryLater
from booking.models.lead import WATCH, Lead
from booking.models.outbox import FACTS
from booking.operations import digest, exports, vitals
from booking.operations.exports import Filters
from booking.operations.vitals import Vitals
from booking.worker.watch import ALARM_AGAIN_AFTER, FIRST_AFTER, HEADER, Watch
from tests.delivery.receiver import Receiver, answering, reply, saying
from tests.faults.crowd import eventually
from tests.faults.weather import away
from tests.posting import ADA
from tests.service import free_port
from tests.worker.conftest import DESK, MINUTE, Office, Open

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
SIX_IN_FLORIDA = datetime(2026, 11, 25, 11, 0, tzinfo=UTC)
RECEIVED = reply(201, b'{"reference": "SV-2222-22"}')
ASKED = {"Accept": "application/json"}


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the form is reached, in this process but over a connection."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    serving.join()
    server.server_close()


def watching(office: Open, address: str, **settings: str) -> tuple[Office, Watch]:
    """The clinic in the present, as the form's door is, and its watch."""
    at_work = office(BASE_URL=address, **settings)
    at_work.clock.now = datetime.now(UTC)
    return at_work, Watch(at_work.premises, at_work.clock)


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def signs(at_work: Office) -> Vitals:
    with at_work.premises.database.reading() as db:
        return vitals.read(db, at_work.premises.zone, at_work.clock.now)


def faults(at_work: Office) -> dict[str, str]:
    """What is wrong, but for that no worker runs beside these tests."""
    found = dict(vitals.faults(signs(at_work), at_work.premises.zone, at_work.clock.now))
    return {name: told for name, told in found.items() if name != "worker"}


def beat(at_work: Office) -> None:
    """Let it seem that a worker runs."""
    with at_work.premises.database.transaction() as db:
        vitals.beat(db, vitals.WORKER, at_work.clock.now)


def sounded(at_work: Office, watch: Watch, **later: float) -> list[str]:
    """What the alarm says some time later, while a worker runs."""
    at_work.clock.now += timedelta(**later)
    beat(at_work)
    return watch.sound_alarm(at_work.clock.now)


def exported(at_work: Office) -> int:
    with at_work.premises.database.reading() as db:
        return exports.count(db, Filters(incomplete=True), zone=at_work.premises.zone)


def digest_facts(at_work: Office) -> Any:
    premises, now = at_work.premises, at_work.clock.now
    with premises.database.transaction() as db:
        digest.write(db, premises.keyring, premises.outside.desk, premises.zone, now, undrained=0)
    row = at_work.message(event=digest.EVENT)
    return json.loads(premises.keyring.open(row.facts, FACTS, row.dedupe_key.hex()))


# ---------------------------------------------------------------- testing the form


def test_the_form_is_tested_to_the_end_and_nobody_sees_the_enquiry(office: Open, address: str) -> None:
    at_work, watch = watching(office, address)
    assert watch.test_form() == ""
    with at_work.premises.database.reading() as db:
        lead = db.scalars(select(Lead)).one()
    assert (lead.door, signs(at_work).watch["reference"]) == (WATCH, lead.reference)
    watch.see()
    assert "seen_at" not in signs(at_work).watch, "stored is not yet delivered"
    assert "not known yet" in vitals.form_in_words(signs(at_work), at_work.premises.zone)

    at_work.deliver(minutes=1)
    watch.see()
    assert datetime.fromisoformat(signs(at_work).watch["seen_at"]) == at_work.clock.now
    assert vitals.form_in_words(signs(at_work), at_work.premises.zone).endswith(", and works.")
    assert at_work.fates() == {("form_tested", "watch", "sent")}
    assert not at_work.folder.exists(), "no letter was written"
    assert exported(at_work) == 0
    facts = digest_facts(at_work)
    assert (facts["new"], facts["urgent"], facts["held"], facts["waiting"]) == (0, 0, 0, [])
    assert signs(at_work).days[0] == 0
    assert faults(at_work) == {}


def test_each_test_is_an_enquiry_of_its_own_that_is_gone_after_a_day_and_is_not_lost(
    office: Open, address: str
) -> None:
    at_work, watch = watching(office, address)
    for _ in range(3):
        assert watch.test_form() == ""
        at_work.clock.now += MINUTE
    assert len(at_work.messages(event="form_tested")) == 3
    at_work.deliver(hours=25)
    assert at_work.messages() == []
    with at_work.premises.database.reading() as db:
        assert db.scalars(select(Lead)).all() == []
    assert reception.reconcile(at_work.premises) == (0, [])


def test_a_test_that_does_not_come_through_is_a_fault_until_it_does(office: Open, address: str) -> None:
    at_work, watch = watching(office, address)
    watch.test_form()
    at_work.clock.now += 5 * MINUTE
    assert faults(at_work) == {}
    at_work.clock.now += SECOND
    assert faults(at_work)["watch"].endswith("does not work: it was posted, but not seen to its end.")
    at_work.deliver()
    watch.see()
    assert faults(at_work) == {}


def test_a_form_that_cannot_be_reached_has_failed(office: Open) -> None:
    at_work, watch = watching(office, nowhere())
    failed = watch.test_form()
    assert failed
    assert signs(at_work).watch["failed"] == failed
    assert failed in faults(at_work)["watch"]
    assert failed in vitals.form_in_words(signs(at_work), at_work.premises.zone)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (reply(500), "it answered 500"),
        (reply(303, Location="/elsewhere"), "it answered 303"),
        (reply(201, b"<html>thank you"), "it answered, but named no reference"),
        (reply(201, b"{}"), "it answered, but named no reference"),
        (reply(201, b"[]"), "it answered, but named no reference"),
        (b"nonsense\r\n\r\n", ""),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_that_answers_as_it_should_not_has_failed(office: Open, answer: bytes, failed: str) -> None:
    with Receiver(saying(answer)) as form:
        at_work, watch = watching(office, form.url)
        assert failed in (told := watch.test_form())
        assert told
        assert len(form.requests) == 1
    assert "watch" in faults(at_work)


def test_who_forges_the_watchs_header_is_an_ordinary_visitor(office: Open, address: str, client: FlaskClient) -> None:
    at_work, _ = watching(office, address)
    token = at_work.premises.keyring.token("watch")
    for number, forged in enumerate(("", "forged", token[:-1], token.upper(), "ü")):
        visitor = ADA | {"email": f"ada{number}@example.com", "message": f"Question {number}"}
        answer = client.post("/leads", json=visitor, headers=ASKED | {HEADER: forged})
        assert answer.status_code == 201
    assert exported(at_work) == 5
    at_work.deliver(minutes=1)
    assert at_work.fates() == {("lead_captured", "visitor", "sent"), ("lead_captured", "desk", "sent")}
    assert client.post("/leads", json=ADA, headers=ASKED | {HEADER: token}).status_code == 201
    assert exported(at_work) == 5, "the twin: with the true one it is a test"


# ---------------------------------------------------------------- the alarm


def test_the_alarm_sounds_once_for_a_fault_again_after_six_hours_and_no_more_when_it_is_mended(
    office: Open, address: str
) -> None:
    with Receiver(answering(200)) as phone:
        at_work, watch = watching(office, nowhere(), ALARM_URL=phone.url)
        assert sounded(at_work, watch) == []
        watch.test_form()
        (sentence,) = sounded(at_work, watch)
        assert "does not work" in sentence
        assert [request.body.decode() for request in phone.requests] == [sentence]
        for _ in range(5):
            assert sounded(at_work, watch, hours=1) == []
        assert sounded(at_work, watch, minutes=59) == []
        assert sounded(at_work, watch, minutes=1) == [sentence]
        assert len(phone.requests) == 2

        mended, watch = watching(office, address, ALARM_URL=phone.url)
        mended.clock.now = at_work.clock.now
        watch.test_form()
        mended.deliver()
        watch.see()
        assert sounded(mended, watch, hours=7) == []
        assert sounded(mended, watch, hours=7) == []
        assert len(phone.requests) == 2
    assert HOUR * 6 == ALARM_AGAIN_AFTER


def test_a_fault_that_comes_back_is_told_at_once_and_a_second_fault_without_the_first(office: Open) -> None:
    with Receiver(answering(200)) as phone:
        at_work, watch = watching(office, nowhere(), ALARM_URL=phone.url)
        at_work.post()
        watch.test_form()
        assert len(sounded(at_work, watch)) == 1
        (late,) = sounded(at_work, watch, minutes=16)
        assert "should have been sent" in late
        at_work.deliver()
        assert sounded(at_work, watch) == []
        at_work.post(ADA | {"message": "Another question"})
        (late,) = sounded(at_work, watch, minutes=16)
        assert "should have been sent" in late
    assert len(phone.requests) == 3


def test_an_alarm_that_was_not_taken_is_sounded_again_the_next_minute(office: Open) -> None:
    answers = [reply(500), reply(200)]

    def behave(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        here.say(connection, answers.pop(0))

    with Receiver(behave) as phone:
        at_work, watch = watching(office, nowhere(), ALARM_URL=phone.url)
        watch.test_form()
        with pytest.raises(TryLater):
            sounded(at_work, watch)
        assert len(sounded(at_work, watch, minutes=1)) == 1
        assert sounded(at_work, watch, minutes=1) == []
    assert len(phone.requests) == 2


def test_a_database_that_stays_away_is_told_once_by_the_second_channel_and_again_when_it_goes_again(
    office: Open, tmp_path: Path
) -> None:
    with Receiver(answering(200)) as phone:
        at_work, _ = watching(office, nowhere(), ALARM_URL=phone.url, WATCH_MINUTES="0")

        def round_in_a_storm(minutes: float) -> int:
            at_work.clock.now += timedelta(minutes=minutes)
            with pytest.raises(DatabaseAway):
                stormy.round()
            wait_for(stormy)
            return len(phone.requests)

        with away(at_work.premises.database.dialect, tmp_path) as nobody:
            stormy = Watch(replace(at_work.premises, database=nobody), at_work.clock)
            assert [round_in_a_storm(minutes) for minutes in (0, 1, 1, 1, 60)] == [0, 0, 1, 1, 1]
    assert b"The database does not answer" in phone.requests[0].body


def test_that_no_worker_runs_while_something_waits_is_told_by_whoever_looks(office: Open) -> None:
    with Receiver(answering(200)) as phone:
        at_work, watch = watching(office, nowhere(), ALARM_URL=phone.url)
        at_work.post()
        beat(at_work)
        at_work.clock.now += vitals.BEAT_WITHIN
        assert watch.sound_alarm(at_work.clock.now) == []
        at_work.clock.now += SECOND
        assert "No worker has been running" in watch.sound_alarm(at_work.clock.now)[0]
    assert len(phone.requests) == 1


def test_an_alarm_says_nothing_of_any_visitor(office: Open) -> None:
    with Receiver(answering(200)) as phone:
        at_work, watch = watching(office, nowhere(), ALARM_URL=phone.url)
        at_work.post()
        at_work.clock.now += 16 * MINUTE
        assert watch.sound_alarm(at_work.clock.now)
    told = str(phone.requests)
    assert [word for word in (*ADA.values(), at_work.lead().reference) if word in told] == []


# ---------------------------------------------------------------- round after round


def wait_for(watch: Watch) -> None:
    """Wait until what was begun outside has ended."""
    if watch._outside is not None:
        watch._outside.join(60)


def rounds(at_work: Office, watch: Watch, minutes: int, form: Receiver) -> list[int]:
    """How often the form has been tested after each minute."""
    found = []
    for _ in range(minutes):
        watch.round()
        wait_for(watch)
        found.append(len(form.requests))
        at_work.clock.now += MINUTE
    return found


def test_the_form_is_tested_two_minutes_after_the_start_and_then_every_fifteen(office: Open) -> None:
    with Receiver(saying(RECEIVED)) as form:
        at_work, watch = watching(office, form.url)
        assert rounds(at_work, watch, 34, form) == [0] * 2 + [1] * 15 + [2] * 15 + [3] * 2
        assert signs(at_work).worker == at_work.clock.now - MINUTE
        another = Watch(at_work.premises, at_work.clock)
        assert set(rounds(at_work, another, 4, form)) == {3}, "a start anew does not begin anew"
    assert 2 * MINUTE == FIRST_AFTER


def test_a_test_that_has_not_come_through_is_not_forgotten_over_the_next(office: Open) -> None:
    with Receiver(saying(RECEIVED)) as form:
        at_work, watch = watching(office, form.url, WATCH_MINUTES="1")
        assert rounds(at_work, watch, 12, form)[-1] == 1
        assert "not seen to its end" in faults(at_work)["watch"]
        assert rounds(at_work, watch, 1, form) == [2]


def test_with_zero_minutes_the_form_is_never_tested(office: Open) -> None:
    with Receiver(answering(500)) as form:
        at_work, watch = watching(office, form.url, WATCH_MINUTES="0")
        assert set(rounds(at_work, watch, 20, form)) == {0}


def test_a_form_that_hangs_holds_up_neither_the_worker_nor_its_pulse(office: Open) -> None:
    over = threading.Event()

    def hang(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        over.wait(60)

    with Receiver(hang) as form:
        at_work, watch = watching(office, form.url)
        watch.round()
        wait_for(watch)
        at_work.clock.now += FIRST_AFTER
        watch.round()
        eventually(lambda: len(form.requests) == 1)
        for _ in range(20):
            at_work.clock.now += MINUTE
            watch.round()
        assert signs(at_work).worker == at_work.clock.now
        assert len(form.requests) == 1, "one test at a time"
        over.set()
        wait_for(watch)
    assert "failed" in signs(at_work).watch


def test_the_digest_is_written_at_seven_once_whoever_looks_and_not_for_a_day_nobody_saw(office: Open) -> None:
    at_work = office(BASE_URL=nowhere(), WATCH_MINUTES="0")
    at_work.clock.now = SIX_IN_FLORIDA
    watches = [Watch(at_work.premises, at_work.clock) for _ in range(2)]
    late = Watch(at_work.premises, at_work.clock)

    def written(*, at: datetime, by: list[Watch]) -> int:
        at_work.clock.now = at
        for watch in by:
            watch.round()
        return len(at_work.messages(event=digest.EVENT, recipient=DESK))

    assert written(at=SIX_IN_FLORIDA, by=watches) == 0
    assert written(at=SIX_IN_FLORIDA + HOUR - SECOND, by=watches) == 0
    assert written(at=SIX_IN_FLORIDA + HOUR + MINUTE, by=watches) == 1
    assert written(at=SIX_IN_FLORIDA + 9 * HOUR, by=[*watches, late]) == 1
    assert written(at=SIX_IN_FLORIDA + 26 * HOUR, by=[late]) == 2
    at_work.deliver()
    assert {state for event, _, state in at_work.fates() if event == digest.EVENT} == {"sent"}
