"""Appointments, and the claims that take time: what is booked, held or off, guarded by one constraint."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from booking.database import Base
from booking.domain.status import AppointmentStatus

REASON = "appointment.reason"  # the place name under which a reason is sealed
OVERLAP = "claims overlap"  # what SQLite's triggers say
STATES = ", ".join(f"'{status.value}'" for status in AppointmentStatus)


class Appointment(Base):
    """A booked visit; cancelled ones are kept.

    `starts_at` is the instant, `wall_start` (`2026-12-01T10:00`) and `timezone` what was agreed: should the zone's
    law change, the wall time stands. `generation` numbers the manage links given out; the digest is of the newest.
    `told` is the visit as the visitor was last told of it by each channel; at `confirmed_at` they said that they will
    come.
    """

    __tablename__ = "appointment"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    reference: Mapped[str] = mapped_column(String(20), unique=True)
    lead_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("lead.id", ondelete="CASCADE"), index=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"))
    practitioner_id: Mapped[int] = mapped_column(ForeignKey("practitioner.id"))
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id"))
    status: Mapped[str] = mapped_column(String(12))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    timezone: Mapped[str] = mapped_column(String(60))
    wall_start: Mapped[str] = mapped_column(String(16))
    sequence: Mapped[int] = mapped_column(Integer, default=0)
    generation: Mapped[int] = mapped_column(Integer, default=0)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    reason: Mapped[bytes | None] = mapped_column(LargeBinary)
    cancelled_by: Mapped[str | None] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None]
    told: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint(f"status IN ({STATES})", name="status"),
        CheckConstraint("starts_at < ends_at", name="span"),
        Index(None, "service_id", "location_id", "starts_at"),
        Index(None, "practitioner_id", "starts_at"),
    )

    @property
    def to_tell(self) -> str:
        """What a visitor is told of it, in one line: two equal ones need no second letter."""
        parts = (self.service_id, self.practitioner_id, self.location_id)
        return f"{self.status} {self.starts_at:%Y-%m-%dT%H:%MZ} {self.ends_at:%H:%MZ} {' '.join(map(str, parts))}"


class Hold(Base):
    """A slot kept for a while for somebody who is typing; `seat` 1 or 2 is what bounds the holds of one visitor."""

    __tablename__ = "hold"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    visitor: Mapped[bytes] = mapped_column(LargeBinary(16))
    seat: Mapped[int] = mapped_column(SmallInteger)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"))
    practitioner_id: Mapped[int] = mapped_column(ForeignKey("practitioner.id"))
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id"))
    starts_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    extended: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        UniqueConstraint("visitor", "seat"),
        CheckConstraint("seat IN (1, 2)", name="seat"),
    )


class TimeOff(Base):
    """When a practitioner is away or a resource out of use."""

    __tablename__ = "time_off"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    note: Mapped[str] = mapped_column(Text)

    __table_args__ = (CheckConstraint("starts_at < ends_at", name="span"),)


class Claim(Base):
    """A span `[starts_at, ends_at)`, buffers included, that takes a calendar's time for a visit, a hold or time off.

    Two claims of one calendar cannot overlap: PostgreSQL excludes them, on SQLite triggers refuse (both stand in the
    migration, as nothing here can express them). None is longer than a day, so that a look into a range need not go
    further back. Rows of an expired hold (`expires_at`) stay until somebody wants their time.
    """

    __tablename__ = "claim"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    appointment_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("appointment.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), index=True
    )
    hold_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("hold.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), index=True
    )
    time_off_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("time_off.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), index=True
    )
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="span"),
        CheckConstraint(
            "(appointment_id IS NULL) + (hold_id IS NULL) + (time_off_id IS NULL) = 2", name="owner"
        ).ddl_if(dialect="sqlite"),
        CheckConstraint("num_nonnulls(appointment_id, hold_id, time_off_id) = 1", name="owner").ddl_if(
            dialect="postgresql"
        ),
        CheckConstraint("(hold_id IS NULL) = (expires_at IS NULL)", name="expiry"),
        Index(None, "calendar_id", "starts_at"),
    )
