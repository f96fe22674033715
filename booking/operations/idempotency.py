"""Idempotency: the names under which a post is remembered, so that the same post again is the same lead."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from booking.domain.errors import KeyReused
from booking.domain.submission import Circumstances, Submission
from booking.keyring import Keyring
from booking.models.idempotency import IdempotencyKey

SAME_ENQUIRY_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Earlier:
    """The lead that a post already is; `alike` says whether person and message are all as they were said then.

    Who knows an address and a message need not be the person: only who says all the same is shown what was booked.
    """

    lead_id: int
    reference: str
    received_at: datetime
    alike: bool


names = cast(Table, IdempotencyKey.__table__)


def take_names(
    connection: Connection, submission: Submission, keyring: Keyring, lead_id: int, answer: dict[str, Any], at: datetime
) -> Earlier | None:
    """Take the post's names for `lead_id`; returns the lead it already is where a name is taken by the same post."""
    content = content_digest(submission, keyring)
    earlier: Any = None
    taken = []
    for name in names_of(submission, keyring):
        row = {"name": name, "content": content, "lead_id": lead_id, "answer": answer, "created_at": at}
        if connection.execute(_INSERT[connection.dialect.name], row).rowcount:
            taken.append(name)
            continue
        holder = connection.execute(select(names).where(names.c.name == name)).one()
        if submission.key and holder.content != content:
            raise KeyReused
        if submission.key or _is_the_same_without_a_key(submission, holder, content, at):
            earlier = earlier or holder
        else:
            connection.execute(update(names).where(names.c.name == name), row)
            taken.append(name)
    if earlier is None:
        return None
    # The e-mail is new but the phone is known, or the reverse: all names lead to the lead there is.
    e = earlier
    found = {"content": e.content, "lead_id": e.lead_id, "answer": e.answer, "created_at": e.created_at}
    if taken:
        connection.execute(update(names).where(names.c.name.in_(taken)), found)
    said_at = datetime.fromisoformat(e.answer["received_at"])
    return Earlier(e.lead_id, e.answer["reference"], said_at, alike=e.content == content)


def change_answer(connection: Connection, lead_id: int, answer: dict[str, Any]) -> None:
    """Let all names of a lead give another answer than was expected when they were taken."""
    connection.execute(_CHANGE_ANSWER, {"of_lead": lead_id, "answer": answer})


def names_of(submission: Submission, keyring: Keyring) -> list[bytes]:
    """The names under which a post is remembered: by its key, else by person and message.

    Sorted, so that no two posts wait for each other in a ring.
    """
    content = content_digest(submission, keyring)
    if submission.key and submission.circumstances.door == "api":
        return [keyring.digest("api key", submission.key)]
    if submission.key:
        # On a form one key may reach many people (a cached page): the content is part of the name.
        return [keyring.digest("form key", submission.key, content.hex())]
    ways = {"email": submission.email.casefold(), "phone": submission.phone}
    # A parent asks for two children one after the other: another name is another enquiry.
    said = (submission.message, submission.name.casefold())
    return sorted(keyring.digest(f"same {way}", value, *said) for way, value in ways.items() if value)


def mark_of(submission: Submission, keyring: Keyring) -> str:
    """A short word by which the same post is found where there is no database: by its key and all that it says."""
    said = replace(submission, circumstances=Circumstances(door=submission.circumstances.door)).as_json()
    return keyring.digest("mark", json.dumps(said, sort_keys=True)).hex()


def content_digest(submission: Submission, keyring: Keyring) -> bytes:
    """A digest of what makes two posts the same: the person and the message."""
    s = submission
    return keyring.digest("content", s.name.casefold(), s.email.casefold(), s.phone, s.message)


def _is_the_same_without_a_key(submission: Submission, holder: Any, content: bytes, at: datetime) -> bool:
    return abs(at - holder.created_at) <= SAME_ENQUIRY_WITHIN and (
        holder.content == content or not submission.asks_for_a_time
    )


_INSERT = {
    # Without the option an INSERT on PostgreSQL tells no count; RETURNING would tell it, for a fifth more.
    dialect: module.insert(names).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
_CHANGE_ANSWER = update(names).where(names.c.lead_id == bindparam("of_lead", type_=names.c.lead_id.type))
