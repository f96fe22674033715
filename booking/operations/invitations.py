"""Invitations: a visit as a file for calendars, the same by letter and by link."""

from booking import calendar_file
from booking.clinic import Clinic
from booking.domain.status import AppointmentStatus
from booking.operations.appointments import Visit


def of(clinic: Clinic, visit: Visit, attendee: str = "") -> calendar_file.Visit:
    """The visit as it stands, as a request to a calendar or its cancellation; only a letter names who comes."""
    row = visit.row
    return calendar_file.Visit(
        uid=f"{row.reference}@booking",  # not our host name: that may change in the life of a visit
        sequence=row.sequence,
        cancelled=row.status == AppointmentStatus.CANCELLED,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        timezone=row.timezone,
        title=f"Appointment, {clinic.name.split()[0]}",
        place=visit.location.address,  # a clinic's name can say what it treats
        clinic_email=clinic.email,
        stamped_at=row.updated_at,
        attendee=attendee,
        tentative=row.status == AppointmentStatus.PENDING,
    )
