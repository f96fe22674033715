"""The catalogue's rows: locations, services, practitioners, resources, their hours, and the version of it all."""

from datetime import date

from sqlalchemy import JSON, CheckConstraint, Date, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from booking.database import Base
from booking.domain.status import Audience, Bookable

ONE_DAY_OF_MINUTES = "opens >= 0 AND opens < closes AND closes <= 1440"


class CatalogState(Base):
    """One row: the catalogue's version, raised by every change; whoever books holds it still while doing so."""

    __tablename__ = "catalog_state"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer)


class Calendar(Base):
    """The time of one practitioner or resource; `version` is raised in each transaction that changes its claims."""

    __tablename__ = "calendar"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=0)


class Location(Base):
    """A place; `holidays` are the names of the public holidays of `holiday_region` (such as US-FL) it closes on."""

    __tablename__ = "location"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(Text)
    timezone: Mapped[str] = mapped_column(String(60))
    street: Mapped[str] = mapped_column(Text)
    city: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text)
    postal_code: Mapped[str] = mapped_column(Text)
    phone: Mapped[str] = mapped_column(Text)
    holiday_region: Mapped[str] = mapped_column(String(10), default="")
    holidays: Mapped[list[str]] = mapped_column(JSON, default=list)
    position: Mapped[int] = mapped_column(Integer, default=0)
    active: Mapped[bool] = mapped_column(default=True)


class Service(Base):
    """Something offered; `needs` are kinds of resources, one of each."""

    __tablename__ = "service"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    duration_minutes: Mapped[int] = mapped_column(Integer)
    buffer_before_minutes: Mapped[int] = mapped_column(Integer, default=0)
    buffer_after_minutes: Mapped[int] = mapped_column(Integer, default=0)
    step_minutes: Mapped[int] = mapped_column(Integer)
    notice_minutes: Mapped[int] = mapped_column(Integer)
    horizon_days: Mapped[int] = mapped_column(Integer)
    cutoff_minutes: Mapped[int] = mapped_column(Integer)
    daily_cap: Mapped[int | None] = mapped_column(Integer)
    audience: Mapped[str] = mapped_column(String(12))
    bookable: Mapped[str] = mapped_column(String(12))
    needs: Mapped[list[str]] = mapped_column(JSON, default=list)
    position: Mapped[int] = mapped_column(Integer, default=0)
    active: Mapped[bool] = mapped_column(default=True)

    __table_args__ = (
        CheckConstraint("duration_minutes > 0 AND step_minutes > 0 AND horizon_days >= 0", name="lengths"),
        CheckConstraint("buffer_before_minutes >= 0 AND buffer_after_minutes >= 0", name="buffers"),
        CheckConstraint("audience IN ({})".format(", ".join(f"'{each.value}'" for each in Audience)), name="audience"),
        CheckConstraint("bookable IN ({})".format(", ".join(f"'{each.value}'" for each in Bookable)), name="bookable"),
    )


class Practitioner(Base):
    """Somebody who gives services."""

    __tablename__ = "practitioner"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id"), unique=True)
    position: Mapped[int] = mapped_column(Integer, default=0)
    active: Mapped[bool] = mapped_column(default=True)


class Offer(Base):
    """That a practitioner gives a service at a location."""

    __tablename__ = "offer"

    practitioner_id: Mapped[int] = mapped_column(ForeignKey("practitioner.id", ondelete="CASCADE"), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True)
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id", ondelete="CASCADE"), primary_key=True)


class Resource(Base):
    """A room or machine of some kind, at a location."""

    __tablename__ = "resource"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(60))
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id"))
    calendar_id: Mapped[int] = mapped_column(ForeignKey("calendar.id"), unique=True)
    position: Mapped[int] = mapped_column(Integer, default=0)
    active: Mapped[bool] = mapped_column(default=True)


class WorkingHours(Base):
    """A weekly opening; `weekday` 0 is Monday, times are minutes after midnight on the location's wall clock."""

    __tablename__ = "working_hours"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    practitioner_id: Mapped[int] = mapped_column(ForeignKey("practitioner.id", ondelete="CASCADE"), index=True)
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id", ondelete="CASCADE"))
    weekday: Mapped[int] = mapped_column(Integer)
    opens: Mapped[int] = mapped_column(Integer)
    closes: Mapped[int] = mapped_column(Integer)
    valid_from: Mapped[date | None] = mapped_column(Date)
    valid_until: Mapped[date | None] = mapped_column(Date)

    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint(ONE_DAY_OF_MINUTES, name="span"),
    )


class ExtraHours(Base):
    """Hours on one date, on top of the weekly ones."""

    __tablename__ = "extra_hours"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    practitioner_id: Mapped[int] = mapped_column(ForeignKey("practitioner.id", ondelete="CASCADE"), index=True)
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id", ondelete="CASCADE"))
    on: Mapped[date] = mapped_column("on_date", Date)
    opens: Mapped[int] = mapped_column(Integer)
    closes: Mapped[int] = mapped_column(Integer)

    __table_args__ = (CheckConstraint(ONE_DAY_OF_MINUTES, name="span"),)


class Closure(Base):
    """Whole days on which a location is closed; without a location, all are."""

    __tablename__ = "closure"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    location_id: Mapped[int | None] = mapped_column(ForeignKey("location.id", ondelete="CASCADE"))
    starts_on: Mapped[date] = mapped_column(Date)
    ends_on: Mapped[date] = mapped_column(Date)
    reason: Mapped[str] = mapped_column(Text)

    __table_args__ = (CheckConstraint("starts_on <= ends_on", name="span"),)
