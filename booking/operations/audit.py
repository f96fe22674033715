"""Audit: who saw, changed and exported what, one entry after the other, each sealed to the one before."""

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from booking.models.audit import AuditEntry

CHAIN_LOCK = 0x626F6F6B_61756474  # any number of our own: the writers of the chain queue up behind it


def record(db: Session, *, actor: str, action: str, details: dict[str, Any], now: datetime) -> int:
    """Append an entry to the chain and return its number.

    On PostgreSQL whoever appends next waits for this transaction to end: record last, and commit soon.
    """
    connection = db.connection()
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(select(func.pg_advisory_xact_lock(CHAIN_LOCK)))
    last = connection.execute(select(AuditEntry.id, AuditEntry.digest).order_by(AuditEntry.id.desc()).limit(1)).first()
    number, before = (last.id + 1, last.digest) if last else (1, b"")
    entry = {"id": number, "at": now, "actor": actor, "action": action, "details": details}
    connection.execute(insert(AuditEntry), entry | {"digest": _digest(before, entry)})
    return number


def verify(db: Session) -> int | None:
    """The number of the first entry that was changed, or is missing; None when the chain is whole.

    Entries cut off at the end leave no trace in the chain: compare its length with a number noted elsewhere.
    """
    before, expected = b"", 1
    query = select(*AuditEntry.__table__.c).order_by(AuditEntry.id)
    with db.connection().execute(query, execution_options={"yield_per": 500}) as rows:
        for row in rows:
            entry = {name: value for name, value in zip(row._fields, row, strict=True) if name != "digest"}
            if row.id != expected or row.digest != _digest(before, entry):
                return expected
            before, expected = row.digest, expected + 1
    return None


def _digest(before: bytes, entry: dict[str, Any]) -> bytes:
    plain = entry | {"at": entry["at"].timestamp().hex()}
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(before + canonical.encode()).digest()
