"""Poison: a message that cannot be written holds up itself alone, and is given up like any other."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import booking
from booking.delivery.letters import Letters
from booking.keyring import Keyring
from booking.models.outbox import FACTS, OutboxMessage
from booking.operations.fates import GIVEN_UP_AFTER
from booking.worker.postman import UNREADABLE
from tests.visits import TEN
from tests.worker.conftest import BEN, Office, Open

TEMPLATES = Path(booking.__file__).with_name("templates")
LOST = Keyring([(2, bytes(range(32, 64)))], "another secret of a service: 0123456789")


def events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was logged since somebody asked last."""
    return [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]


def test_a_broken_template_holds_up_its_own_letter_alone_and_never_the_booking(
    office: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    (templates / "email/lead_captured/desk.txt").write_text("{{ this.never.was }}")
    at_work = office()
    outside = replace(at_work.premises.outside, letters=Letters(templates))
    broken = Office(replace(at_work.premises, outside=outside), at_work.clinic, at_work.clock.now)
    assert broken.post(at=TEN).visit is not None
    capsys.readouterr()
    broken.deliver()
    assert events(capsys) == ["message_not_written", "message_not_taken"]
    waits = broken.message(audience="desk")
    assert (waits.state, waits.attempts) == ("waiting", 1)
    assert waits.reason == "it could not be written (UndefinedError); see the log"
    assert broken.message(event="lead_captured", audience="visitor").state == "sent"

    at_work.deliver()
    assert at_work.message(audience="desk").state == "waiting", "it rests as any other"
    at_work.deliver(hours=1)
    assert at_work.message(audience="desk").state == "sent", "mended, it goes"


def test_a_message_whose_facts_are_none_holds_up_itself_alone(office: Open) -> None:
    at_work = office()
    at_work.post(BEN)
    at_work.post()
    poison = at_work.messages(recipient=BEN["email"])[0]
    key = poison.dedupe_key.hex()
    with at_work.premises.database.transaction() as db:
        db.get_one(OutboxMessage, poison.id).facts = at_work.premises.keyring.seal(
            "nothing that was written", FACTS, key
        )
    at_work.deliver()
    waits = at_work.message(state="waiting")
    assert (waits.id, waits.reason) == (poison.id, "it could not be written (JSONDecodeError); see the log")
    assert {each.state for each in at_work.messages() if each.id != poison.id} == {"sent"}


def test_a_message_that_cannot_be_decrypted_is_given_up_after_a_day_and_the_desk_calls(office: Open) -> None:
    """And goes, if the key comes back before that."""
    at_work = office()
    at_work.post()
    at_work.post(BEN)
    sealed = {each.recipient: each.facts for each in at_work.messages(audience="visitor")}
    with at_work.premises.database.transaction() as db:
        for each in at_work.messages(audience="visitor"):
            db.get_one(OutboxMessage, each.id).facts = LOST.seal("{}", FACTS, each.dedupe_key.hex())
    at_work.deliver()
    waits = at_work.message(recipient=BEN["email"])
    assert (waits.state, waits.attempts, waits.reason) == ("waiting", 1, UNREADABLE)
    with at_work.premises.database.transaction() as db:
        db.get_one(OutboxMessage, waits.id).facts = sealed[BEN["email"]]
    for _ in range(8):
        at_work.deliver(seconds=GIVEN_UP_AFTER.total_seconds() / 6)
    assert at_work.message(recipient=BEN["email"]).state == "sent"
    assert {each.state for each in at_work.messages(audience="desk")} == {"sent"}
    dead = at_work.message(audience="visitor", state="dead")
    assert (dead.reason, at_work.lead().undelivered.startswith("The e-mail did not arrive, call instead")) == (
        UNREADABLE, True,
    )  # fmt: skip
    assert at_work.clock.now - dead.created_at <= 2 * GIVEN_UP_AFTER
