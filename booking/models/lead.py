"""Lead: one enquiry by one person; what they consented to; other references they were given for it."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from booking.database import Base
from booking.domain.status import LeadStatus

CONTENT = "lead.content"  # the place name under which a lead's private content is sealed
WATCH = "watch"  # the door of enquiries by which the form is tested; nobody is to see them
STATES = ", ".join(f"'{status.value}'" for status in LeadStatus)


def new_id(at: datetime) -> int:
    """A fresh id (63 bits, in order of `at`): made before the row, because the content is sealed for its id."""
    return int(at.timestamp() * 1000) << 21 | secrets.randbits(21)


class Lead(Base):
    """One enquiry by one person.

    `content` is sealed JSON `{"message", "preferred_times", "extras"}`; `attribution` holds `utm_*` and click ids;
    `signals` and `held_reasons` are what screening saw and said. An `incomplete` lead could not be answered: it
    has neither a usable e-mail address nor a phone number, and is kept for a while all the same. `undelivered` says
    why a message did not reach the person, so that somebody calls instead.
    """

    __tablename__ = "lead"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(String(20), unique=True)
    received_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(String(12), default=LeadStatus.NEW.value)
    urgent: Mapped[bool] = mapped_column(default=False)
    held: Mapped[bool] = mapped_column(default=False)
    held_reasons: Mapped[list[str]] = mapped_column(JSON, default=list)
    signals: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    incomplete: Mapped[bool] = mapped_column(default=False)
    door: Mapped[str] = mapped_column(String(12))
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    phone: Mapped[str] = mapped_column(String(20))
    phone_typed: Mapped[str] = mapped_column(Text)
    service: Mapped[str] = mapped_column(Text)
    practitioner: Mapped[str] = mapped_column(Text)
    location: Mapped[str] = mapped_column(Text)
    contact_preference: Mapped[str] = mapped_column(Text)
    new_patient: Mapped[bool | None]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    page_url: Mapped[str] = mapped_column(Text)
    referrer: Mapped[str] = mapped_column(Text)
    attribution: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    client: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    text_digest: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    key_digest: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    undelivered: Mapped[str] = mapped_column(Text, default="", server_default="")

    __table_args__ = (
        CheckConstraint(f"status IN ({STATES})", name="status"),
        CheckConstraint("incomplete OR email <> '' OR phone <> ''", name="reachable"),
        Index(None, "client", "received_at"),
        Index(None, "text_digest", "received_at"),
        Index(None, "key_digest"),
    )


class Consent(Base):
    """What a person agreed to, as evidence: the exact wording, its version and SHA-256, when and on which page.

    `wording` and its hash are empty when the posting page did not say which version it showed.
    """

    __tablename__ = "consent"

    lead_id: Mapped[int] = mapped_column(ForeignKey("lead.id", ondelete="CASCADE"), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    given_at: Mapped[datetime]
    version: Mapped[str] = mapped_column(Text)
    wording: Mapped[str] = mapped_column(Text)
    wording_sha256: Mapped[str] = mapped_column(String(64))
    page_url: Mapped[str] = mapped_column(Text)


class LeadAlias(Base):
    """Another reference for a lead, handed out while the database was away and two posts of one enquiry waited."""

    __tablename__ = "lead_alias"

    reference: Mapped[str] = mapped_column(String(20), primary_key=True)
    lead_id: Mapped[int] = mapped_column(ForeignKey("lead.id", ondelete="CASCADE"))
