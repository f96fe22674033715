"""Consents: what a person agreed to, kept as evidence with the wording that was shown."""

import hashlib
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from booking.clinic import Clinic
from booking.domain.submission import Submission
from booking.models.lead import Consent

consents = cast(Table, Consent.__table__)


def record(connection: Connection, submission: Submission, clinic: Clinic, lead_id: int, at: datetime) -> None:
    """Keep the consents of a submission; of one that the lead gave before, the first evidence stays."""
    s = submission
    for purpose in s.consents:
        wording = wording_shown(s, clinic, purpose)
        digest = hashlib.sha256(wording.encode()).hexdigest() if wording else ""
        row = {"lead_id": lead_id, "purpose": purpose, "given_at": at, "version": _versions(s).get(purpose, ""),
               "wording": wording, "wording_sha256": digest, "page_url": s.page_url}  # fmt: skip
        connection.execute(_INSERT[connection.dialect.name], row)


def wording_shown(submission: Submission, clinic: Clinic, purpose: str) -> str:
    """What a person agreed to for a purpose; empty if they did not, or the page did not say which wording it showed."""
    ours = clinic.consents.get(purpose)
    agreed = purpose in submission.consents and ours is not None and ours.version == _versions(submission).get(purpose)
    return ours.wording if ours is not None and agreed else ""


def _versions(submission: Submission) -> dict[str, str]:
    """The version of each wording that the page showed: `reply:2026-11,marketing:2026-11`."""
    return dict(part.strip().partition(":")[::2] for part in submission.consent_version.split(",") if part.strip())


_INSERT = {
    dialect: module.insert(consents).on_conflict_do_nothing()
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
