"""The witness: what Webflow says was posted is compared with our leads, and what did not reach us is taken in."""

import json
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain import reference as references
from booking.domain.submission import Submission
from booking.keyring import Keyring, Unreadable
from booking.models.lead import CONTENT, WATCH, Lead
from booking.models.witness import POST, WitnessedPost
from booking.operations import enquiries
from booking.operations.leads import Desk

DOOR = "webflow"
COMPARED_AFTER = timedelta(minutes=30)  # what reached us both ways may still wait in the spool
AGAIN_AFTER = timedelta(hours=1)
AROUND = timedelta(days=1)
KEPT_FOR = timedelta(days=30)

posts = cast(Table, WitnessedPost.__table__)


def keep(db: Session, keyring: Keyring, post_id: str, submission: Submission, posted_at: datetime) -> None:
    """Keep what was seen, to be compared later; what is told twice is kept once."""
    connection = db.connection()
    content = keyring.seal(json.dumps(submission.as_json()), POST, post_id)
    row = {"id": post_id, "posted_at": posted_at, "compare_at": posted_at + COMPARED_AFTER, "content": content,
           "outcome": "", "reference": ""}  # fmt: skip
    connection.execute(_INSERT[connection.dialect.name], row)


def waiting(db: Session, now: datetime) -> list[str]:
    """The posts that can be compared now, oldest first."""
    due = select(WitnessedPost.id).where(WitnessedPost.outcome == "", WitnessedPost.compare_at < now)
    return list(db.scalars(due.order_by(WitnessedPost.posted_at).limit(100)))


def put_off(db: Session, post_id: str, now: datetime) -> None:
    """Compare a post later that cannot be compared now."""
    db.execute(update(WitnessedPost).where(WitnessedPost.id == post_id).values(compare_at=now + AGAIN_AFTER))


def stuck(db: Session, now: datetime) -> int:
    """How many posts should have been compared long ago and were not."""
    those = (WitnessedPost.outcome == "", WitnessedPost.posted_at < now - COMPARED_AFTER - AGAIN_AFTER)
    return db.scalar(select(func.count()).select_from(WitnessedPost).where(*those)) or 0


def reconcile(db: Session, desk: Desk, post_id: str, now: datetime) -> str:
    """Compare one post with our leads; returns the reference of the lead it became, empty if we had it."""
    post = db.scalar(select(WitnessedPost).where(WitnessedPost.id == post_id).with_for_update())
    if post is None or post.outcome:
        return ""
    post.compared_at = now
    submission = Submission.from_json(json.loads(desk.keyring.open(post.content, POST, post_id)))
    if found := _known(db, desk.keyring, submission, post.posted_at):
        post.outcome, post.reference = "known", found
        return ""
    reference = references.make(desk.clinic.reference_prefix)
    # As a post of today: a time that was chosen long ago must not be booked without anybody there.
    outcome = enquiries.recover(db, submission, desk, reference=reference, received_at=post.posted_at, now=now)
    post.outcome, post.reference = "imported", outcome.reference
    return outcome.reference


def imported_since(db: Session, since: datetime) -> list[str]:
    """The references of the leads that only Webflow saw, taken in since an instant."""
    those = (WitnessedPost.outcome == "imported", WitnessedPost.compared_at > since)
    return list(db.scalars(select(WitnessedPost.reference).where(*those).order_by(WitnessedPost.posted_at)))


def forget(db: Session, now: datetime) -> None:
    """Delete what was compared long ago; what could not be is kept, and stays a fault: it may be an enquiry."""
    db.connection().execute(posts.delete().where(posts.c.posted_at < now - KEPT_FOR, posts.c.outcome != ""))


def _known(db: Session, keyring: Keyring, submission: Submission, posted_at: datetime) -> str:
    """The lead of the same person with the same words; in doubt there is none, for twice is better than never."""
    told = ((func.lower(Lead.email), submission.email.lower()), (Lead.phone, submission.phone))
    ways = [column == value for column, value in told if value] or [Lead.name == submission.name]
    around = (Lead.received_at > posted_at - AROUND, Lead.received_at < posted_at + AROUND, Lead.door != WATCH)
    for lead in db.scalars(select(Lead).where(*around, or_(*ways))):
        same_name = lead.name.casefold() == submission.name.casefold()  # a parent writes for two children
        if same_name and _message(keyring, lead) == submission.message:
            return lead.reference
    return ""


def _message(keyring: Keyring, lead: Lead) -> Any:
    try:
        return json.loads(keyring.open(lead.content, CONTENT, lead.id))["message"]
    except Unreadable:
        return None


_INSERT = {
    dialect: module.insert(posts).on_conflict_do_nothing()
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
