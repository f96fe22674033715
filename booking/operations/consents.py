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
    shown = dict(part.strip().partition(":")[::2] for part in s.consent_version.split(",") if part.strip())
    for purpose in s.consents:
        ours = clinic.consents.get(purpose)
        version = shown.get(purpose, "")
        wording = ours.wording if ours is not None and ours.version == version else ""
        digest = hashlib.sha256(wording.encode()).hexdigest() if wording else ""
        row = {"lead_id": lead_id, "purpose": purpose, "given_at": at, "version": version, "wording": wording,
               "wording_sha256": digest, "page_url": s.page_url}  # fmt: skip
        connection.execute(_INSERT[connection.dialect.name], row)


_INSERT = {
    dialect: module.insert(consents).on_conflict_do_nothing()
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
