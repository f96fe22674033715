"""Lanes: whoever hangs delays nobody else, neither the form; programs and telephones are told what is theirs alone."""

import base64
import hmac
import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from booking.database import Database
from booking.models.lead import Lead
from booking.models.outbox import Webhook
from booking.operations import fates, webhooks
from booking.worker import postman
from tests.delivery.mailbox import Talk, awkward, mailbox
from tests.delivery.receiver import Receiver, answering, reply
from tests.delivery.twilio_server import ACCOUNT, SENDER, TOKEN, TwilioServer, error
from tests.posting import ADA
from tests.visits import TEN
from tests.worker.conftest import BEN, Office, Open

FINE = "250 2.0.0 fine"
PATIENCE, TWINS_PATIENCE = 25.0, 2.0  # seconds: the one who hangs gives up waiting for the others
AGREED = {"consent_reply": "yes", "consent_version": "reply:2026-11"}
CALLED = {"name": "Cleo Reed", "phone": "+1 202 555 0123", "message": "Please text me"} | AGREED
CELL = "+12025550123"


class InTurn(threading.Thread):
    """A thread that is none: whoever starts it waits for it."""

    def start(self) -> None:
        self.run()

    def is_alive(self) -> bool:
        return False

    def join(self, timeout: float | None = None) -> None:
        """There is nothing to wait for."""


@pytest.fixture
def one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lanes run one after the other: for the twins."""
    monkeypatch.setattr(postman, "threading", SimpleNamespace(Thread=InTurn))


def hanging_until(others: Callable[[], bool], seconds: float, seen: list[bool]) -> Callable[..., None]:
    """Say nothing until `others` have been told, or patience ends; note whether they were."""

    def hang(talk: Talk) -> None:
        seen.append(waited_for(others, seconds))
        talk.say(FINE)

    return hang


def silent_until(others: Callable[[], bool], seconds: float, seen: list[bool]) -> Callable[..., None]:
    """The same of a program."""

    def hang(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        seen.append(waited_for(others, seconds))
        here.say(connection, reply(204))

    return hang


def waited_for(others: Callable[[], bool], seconds: float) -> bool:
    over = threading.Event()
    for _ in range(int(seconds * 50)):
        if others():
            return True
        over.wait(0.02)
    return others()


def payload(program: Receiver, number: int = 0) -> Any:
    return json.loads(program.requests[number].body)


def texting(office: Open, server: TwilioServer, **settings: str) -> Office:
    url = f"twilio://{ACCOUNT}:{TOKEN}@{SENDER}?base=http://127.0.0.1:{server.port}"
    return office(SMS_URL=url, **settings)


# ---------------------------------------------------------------- whoever hangs


def program_told_while_the_mail_hangs(office: Open, seconds: float) -> tuple[Office, bool]:
    seen: list[bool] = []
    with Receiver(answering(204)) as program:
        with awkward({"letter": hanging_until(lambda: bool(program.requests), seconds, seen)}, {}) as server:
            at_work = office(MAIL_URL=f"smtp://127.0.0.1:{server.port}")
            at_work.listen(program.url)
            at_work.post()
            at_work.deliver()
            assert server.fired == ["letter"]
        assert len(program.requests) == 1
    assert {each.state for each in at_work.messages()} == {"sent"}
    return at_work, seen[0]


def test_a_mail_server_that_hangs_delays_no_program(office: Open) -> None:
    assert program_told_while_the_mail_hangs(office, PATIENCE)[1]


def test_twin_in_one_lane_a_program_waits_for_the_mail(office: Open, one_lane: None) -> None:
    assert not program_told_while_the_mail_hangs(office, TWINS_PATIENCE)[1]


def others_told_while_a_program_hangs(office: Open, seconds: float) -> bool:
    seen: list[bool] = []
    with mailbox() as box, Receiver(answering(204)) as program:

        def others() -> bool:
            return len(box.letters) == 2 and len(program.requests) == 1

        with Receiver(silent_until(others, seconds, seen)) as hanging:
            at_work = office(MAIL_URL=f"smtp://127.0.0.1:{box.port}")
            at_work.listen(hanging.url)
            at_work.listen(program.url)
            at_work.post()
            at_work.deliver()
            assert len(hanging.requests) == 1
        assert others()
    assert {each.state for each in at_work.messages()} == {"sent"}
    return seen[0]


def test_a_program_that_hangs_delays_no_other_and_not_the_mail(office: Open) -> None:
    assert others_told_while_a_program_hangs(office, PATIENCE)


def test_twin_in_one_lane_the_other_program_waits_for_the_one_that_hangs(office: Open, one_lane: None) -> None:
    assert not others_told_while_a_program_hangs(office, TWINS_PATIENCE)


def posted_while_the_mail_hangs(office: Open, app: Flask, meanwhile: Callable[[Callable[[], None]], None]) -> int:
    """The status of a visitor's answer, while a letter to another hangs at the mail server."""
    statuses: list[int] = []

    def post() -> None:
        answer = app.test_client().post("/leads", json=BEN, headers={"Accept": "application/json"})
        statuses.append(answer.status_code)

    def hang(talk: Talk) -> None:
        meanwhile(post)
        talk.say(FINE)

    with awkward({"letter": hang}, {}) as server:
        at_work = office(MAIL_URL=f"smtp://127.0.0.1:{server.port}")
        at_work.post()
        at_work.deliver()
        assert server.fired == ["letter"]
    return statuses[0]


def test_a_mail_server_that_hangs_does_not_delay_the_form(office: Open, app: Flask) -> None:
    assert posted_while_the_mail_hangs(office, app, lambda post: post()) == 201


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_twin_who_kept_a_transaction_open_while_sending_would_leave_the_form_to_its_spool(
    office: Open, app: Flask, database: Database
) -> None:
    def meanwhile(post: Callable[[], None]) -> None:
        with database.transaction():
            post()

    assert posted_while_the_mail_hangs(office, app, meanwhile) == 202


# ---------------------------------------------------------------- programs


def verified(program: Receiver, secret: str, at: datetime, number: int = 0) -> bool:
    """Whether the signature is right, reckoned as the specification says and not by our own code."""
    request = program.requests[number]
    name, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = f"{name}.{timestamp}.".encode() + request.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
    return wanted in request.headers["webhook-signature"].split() and int(timestamp) == int(at.timestamp())


def test_a_program_is_told_of_references_alone_unless_the_clinic_wants_it_to_know_the_person(office: Open) -> None:
    with Receiver(answering(204)) as thin, Receiver(answering(204)) as whole:
        at_work = office()
        secrets = [at_work.listen(thin.url)[1], at_work.listen(whole.url, whole=True)[1]]
        reference = at_work.post(at=TEN).reference
        at_work.deliver()
    visit = at_work.visit()
    for program, secret in zip((thin, whole), secrets, strict=True):
        assert {payload(program, n)["type"] for n in (0, 1)} == {"lead.captured", "appointment.booked"}
        assert all(verified(program, secret, at_work.clock.now, n) for n in (0, 1))
        assert len({request.headers["webhook-id"] for request in program.requests}) == 2
        assert datetime.fromisoformat(payload(program)["timestamp"]) == at_work.clock.now
    assert all(payload(thin, n)["data"] == {"reference": reference, "appointment": visit.row.reference} for n in (0, 1))
    told = payload(whole)["data"]
    assert (told["name"], told["email"], told["reference"]) == (ADA["name"], ADA["email"], reference)
    assert datetime.fromisoformat(told["visit"]["starts_at"]) == TEN
    assert ADA["message"] not in whole.requests[0].body.decode()


def test_a_program_that_fails_is_told_again_after_five_seconds_under_the_same_id(office: Open) -> None:
    with Receiver(answering(500)) as program:
        at_work = office()
        at_work.listen(program.url)
        at_work.post()
        at_work.deliver()
        waits = at_work.message(audience="program", state="waiting")
        assert waits.reason == "the receiver answered 500"
        assert waits.due_at == at_work.clock.now + timedelta(seconds=5)
        at_work.deliver(seconds=4)
        assert len(program.requests) == 1
        at_work.deliver(seconds=1)
        first, again = program.requests
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == waits.dedupe_key.hex()
    assert first.body == again.body
    assert first.headers["webhook-timestamp"] != again.headers["webhook-timestamp"]


def test_a_program_that_is_gone_is_told_no_more_and_what_waits_for_it_is_kept(office: Open) -> None:
    with Receiver(answering(410)) as program:
        at_work = office()
        number, _ = at_work.listen(program.url)
        at_work.post()
        at_work.post(BEN)
        at_work.post(BEN | {"message": "And at what time?"})
        at_work.deliver()
        assert len(program.requests) == 1
        at_work.deliver(hours=1)
        assert len(program.requests) == 1
    with at_work.premises.database.reading() as db:
        row = db.get_one(Webhook, number)
        assert (row.disabled_at is not None, row.disabled_because) == (True, fates.GONE)
    gone, *waiting = at_work.messages(recipient=str(number))
    assert (gone.state, waiting[0].reason) == ("dead", "the webhook is disabled")
    assert {(each.state, each.attempts, each.worker) for each in waiting} == {("waiting", 0, None)}
    at_work.post(BEN | {"message": "Another question"})
    assert len(at_work.messages(recipient=str(number))) == 3, "nobody listens, so nothing is written for anybody"


def test_what_waited_for_a_program_that_was_disabled_is_told_once_it_is_enabled(office: Open) -> None:
    answers = [reply(500), reply(204)]

    def behave(here: Receiver, connection: socket.socket) -> None:
        here.take(connection)
        here.say(connection, answers.pop(0))

    with Receiver(behave) as program:
        at_work = office()
        number, _ = at_work.listen(program.url)
        at_work.post()
        at_work.deliver()
        assert at_work.message(recipient=str(number)).state == "waiting"
        with at_work.premises.database.transaction() as db:
            fates.disable_webhook(db, number, "a test", at_work.clock.now)
        at_work.deliver(hours=1)
        assert len(program.requests) == 1
        with at_work.premises.database.transaction() as db:
            webhooks.enable(db, number)
        at_work.deliver()
        assert at_work.message(recipient=str(number)).state == "sent"
    assert len({request.headers["webhook-id"] for request in program.requests}) == 1


# ---------------------------------------------------------------- texts


def test_who_left_a_number_alone_is_told_by_text(office: Open) -> None:
    with TwilioServer() as twilio:
        at_work = texting(office, twilio)
        reference = at_work.post(CALLED).reference
        at_work.deliver()
        (form,) = twilio.messages
    assert (form["To"], form["From"]) == (CELL, SENDER)
    assert reference in form["Body"]
    assert at_work.message(channel="sms").state == "sent"


def test_a_text_at_night_waits_for_the_morning_and_has_not_used_up_an_attempt(office: Open) -> None:
    with TwilioServer() as twilio:
        at_work = texting(office, twilio)
        at_work.clock.now = datetime(2026, 11, 25, 1, 30, tzinfo=UTC)  # half past eight in the evening
        at_work.post(CALLED)
        at_work.deliver()
        waits = at_work.message(channel="sms")
        assert (twilio.messages, waits.state, waits.attempts) == ([], "waiting", 0)
        assert waits.due_at == datetime(2026, 11, 25, 13, 0, tzinfo=UTC)
        at_work.clock.now = waits.due_at
        at_work.deliver()
        assert len(twilio.messages) == 1


def test_who_told_the_provider_to_stop_is_texted_no_more(office: Open) -> None:
    with TwilioServer(error(400, 21610, "Attempt to send to unsubscribed recipient")) as twilio:
        at_work = texting(office, twilio)
        at_work.post(CALLED)
        at_work.deliver()
        assert at_work.message(channel="sms").state == "dead"
        at_work.post(CALLED | {"message": "Once more, please"})
        at_work.deliver()
        assert len(twilio.requests) == 1
    assert [each.state for each in at_work.messages(channel="sms")] == ["dead", "withdrawn"]
    with at_work.premises.database.reading() as db:
        told = {undelivered.partition(":")[0] for undelivered in db.scalars(select(Lead.undelivered))}
    assert told == {"The text did not arrive", ""}


def test_a_text_that_nobody_carries_any_more_waits_until_somebody_does(office: Open) -> None:
    with TwilioServer() as twilio:
        texting(office, twilio).post(CALLED)
        without = office()
        without.deliver()
        assert without.message(channel="sms").state == "waiting"
        texting(office, twilio).deliver()
        assert len(twilio.messages) == 1
        assert without.message(channel="sms").state == "sent"
