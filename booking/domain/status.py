"""The words of state: of a lead, an appointment and a message; who may book a service, and how."""

from enum import StrEnum


class LeadStatus(StrEnum):
    """Where the desk stands with a lead, in the order of the work."""

    NEW = "new"
    CONTACTED = "contacted"
    QUALIFIED = "qualified"
    CONVERTED = "converted"
    LOST = "lost"


class AppointmentStatus(StrEnum):
    """The life of a visit, in FHIR's words."""

    PENDING = "pending"
    BOOKED = "booked"
    ARRIVED = "arrived"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    NOSHOW = "noshow"

    @property
    def takes_time(self) -> bool:
        """Whether a visit in this state keeps its claims."""
        return self not in {AppointmentStatus.CANCELLED, AppointmentStatus.NOSHOW}

    @property
    def is_ahead(self) -> bool:
        """Whether the visit is still to come, and may be moved or cancelled."""
        return self in {AppointmentStatus.PENDING, AppointmentStatus.BOOKED}


class MessageState(StrEnum):
    """The fate of a message: it waits to be sent, or for a person to release it; or it is done, in one of four ways."""

    WAITING = "waiting"
    HELD = "held"
    SENT = "sent"
    DEAD = "dead"
    MISSED = "missed"
    WITHDRAWN = "withdrawn"


class Audience(StrEnum):
    """Who may book a service."""

    ANYONE = "anyone"
    NEW = "new"
    RETURNING = "returning"


class Bookable(StrEnum):
    """How a service is booked: by the visitor, by calling, or by the desk alone."""

    ONLINE = "online"
    CALL = "call"
    HIDDEN = "hidden"
