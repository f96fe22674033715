"""IdempotencyKey: a name under which a post is remembered, so that the same post again is the same lead."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from booking.database import Base


class IdempotencyKey(Base):
    """One name of a post, the digest of its content, and the answer it got.

    The name is a keyed digest: of the client's key, or, without one, of the person and the message.
    The lead's constraint is deferred, because the name is taken before the lead is written: whoever comes
    second must wait here, before doing any work.
    """

    __tablename__ = "idempotency_key"

    name: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary(16))
    lead_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("lead.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), index=True
    )
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(index=True)
