"""Housekeeping: whatever one thing meets, the others are done all the same."""

import json

import pytest
from sqlalchemy import select

from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models import WitnessedPost
from booking.models.lead import Lead
from booking.operations import witness
from tests.posting import ADA
from tests.worker.conftest import BEN, MINUTE, Office, Open

LOST = Keyring([(2, bytes(range(32, 64)))], "another secret of a service: 0123456789")


def seen_by_webflow(at_work: Office, name: str, keyring: Keyring) -> None:
    submission = Submission(name=name, email=f"{name}@example.com", message="hello")
    with at_work.premises.database.transaction() as db:
        witness.keep(db, keyring, name, submission, at_work.clock.now - witness.COMPARED_AFTER - MINUTE)


def test_a_post_that_cannot_be_read_holds_up_neither_the_next_nor_the_letters(
    office: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    at_work = office()
    seen_by_webflow(at_work, "lost", LOST)
    seen_by_webflow(at_work, "next", at_work.premises.keyring)
    at_work.post()
    at_work.post(BEN)
    capsys.readouterr()
    at_work.deliver()
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["post"] for line in logged if line["event"] == "witnessed_post_not_compared"] == ["lost"]
    with at_work.premises.database.reading() as db:
        assert set(db.scalars(select(Lead.email))) == {ADA["email"], BEN["email"], "next@example.com"}
        outcomes = dict(db.execute(select(WitnessedPost.id, WitnessedPost.outcome)).all())
    assert outcomes == {"lost": "", "next": "imported"}
    assert {state for *_, state in at_work.fates()} == {"sent"}
    at_work.deliver(minutes=2)
    assert "witnessed_post_not_compared" not in capsys.readouterr().err, "it is asked again in an hour"
    at_work.deliver(hours=1)
    assert "witnessed_post_not_compared" in capsys.readouterr().err
