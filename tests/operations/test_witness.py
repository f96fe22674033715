"""The witness: what only Webflow saw is taken in, and only what is surely the same enquiry is not."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.domain.submission import Submission
from booking.keyring import Keyring, Unreadable
from booking.models.lead import Lead
from booking.models.witness import WitnessedPost
from booking.operations import witness
from booking.operations.leads import Desk
from booking.runtime import Runtime
from tests.posting import Post
from tests.visits import Clinic

ANA = {"name": "Ana Marsh", "email": "", "phone": "+12025550123", "message": "Check-up please"}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def desk(runtime: Runtime) -> Desk:
    return runtime.desk


def seen(clinic: Clinic, post_id: str = "w1", **answers: str) -> None:
    """Webflow saw this an hour ago."""
    given: dict[str, Any] = ANA | answers
    submission = Submission(**given)
    clinic.do(witness.keep, clinic.keyring, post_id, submission, clinic.now - HOUR)


def compared(clinic: Clinic, desk: Desk, post_id: str = "w1") -> str:
    return clinic.do(witness.reconcile, desk, post_id, clinic.now)


def names(database: Database) -> list[str]:
    with database.reading() as db:
        return list(db.scalars(select(Lead.name).order_by(Lead.id)))


def waiting(clinic: Clinic) -> list[str]:
    with clinic.database.reading() as db:
        return witness.waiting(db, clinic.now)


@pytest.mark.parametrize("same", [{}, {"name": "ANA MARSH"}], ids=["to the letter", "but for capitals"])
def test_what_reached_us_too_is_known(same: dict[str, str], post: Post, clinic: Clinic, desk: Desk) -> None:
    post(ANA)
    seen(clinic, **same)
    assert compared(clinic, desk) == ""
    assert names(clinic.database) == ["Ana Marsh"]


@pytest.mark.parametrize(
    "other", [{"name": "Ben Marsh"}, {"message": "Another thing"}, {"phone": "+12025550199"}], ids=str
)
def test_another_name_other_words_or_another_way_is_another_enquiry(
    other: dict[str, str], post: Post, clinic: Clinic, desk: Desk
) -> None:
    """A parent writes the same for two children, by one telephone."""
    post(ANA)
    seen(clinic, **other)
    assert compared(clinic, desk)
    assert len(names(clinic.database)) == 2


def test_what_cannot_be_read_is_compared_later_and_is_in_nobodys_way(clinic: Clinic, desk: Desk) -> None:
    ours = clinic.keyring
    clinic.keyring = Keyring([(2, bytes(range(32, 64)))], "another secret of a service: 0123456789")
    seen(clinic, "lost")
    clinic.keyring = ours
    seen(clinic, "next", message="Later")
    assert sorted(waiting(clinic)) == ["lost", "next"]
    with pytest.raises(Unreadable):
        compared(clinic, desk, "lost")
    clinic.do(witness.put_off, "lost", clinic.now)
    assert waiting(clinic) == ["next"]
    clinic.now += witness.AGAIN_AFTER + timedelta(microseconds=1)
    assert sorted(waiting(clinic)) == ["lost", "next"]


def test_what_was_compared_is_forgotten_and_what_could_not_be_is_kept(clinic: Clinic, desk: Desk) -> None:
    for post_id in ("never", "known"):
        seen(clinic, post_id, message=post_id)
    compared(clinic, desk, "known")
    for later, left in ((witness.KEPT_FOR - HOUR, ["known", "never"]), (timedelta(microseconds=1), ["never"])):
        clinic.now += later
        clinic.do(witness.forget, clinic.now)
        with clinic.database.reading() as db:
            assert list(db.scalars(select(WitnessedPost.id).order_by(WitnessedPost.id))) == left
    assert waiting(clinic) == ["never"]


def test_what_was_taken_in_is_told_of_by_when_it_was_taken_in(clinic: Clinic, desk: Desk) -> None:
    seen(clinic)
    clinic.now += 3 * DAY
    reference = compared(clinic, desk)
    with clinic.database.reading() as db:
        assert witness.imported_since(db, clinic.now - HOUR) == [reference]
        assert witness.imported_since(db, clinic.now) == []
