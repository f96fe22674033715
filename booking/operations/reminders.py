"""Reminders: messages due before a visit, planned when it is booked; they are moved and withdrawn with it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from booking.domain import clock
from booking.models.appointment import Appointment
from booking.operations.outbox import Message

DAY, HOURS = "reminder_day", "reminder_hours"
EVENTS = (DAY, HOURS)
HOURS_BEFORE = timedelta(hours=2)
DAY_IN_MINUTES = 24 * 60
# Who has booked a moment ago need not be reminded at once.
FRESH = timedelta(hours=1)
# Until then a late one still helps: after the first the second is due, and after the second they are on their way.
DAY_HELPS_UNTIL, HOURS_HELP_UNTIL = timedelta(hours=3), timedelta(minutes=20)


def plan(visit: Appointment, ways: Iterable[tuple[str, str]], now: datetime) -> list[Message]:
    """The reminders of a visit that are still to come: at the same time of the day before, and two hours before."""
    found = list(_times(visit, now))
    return [
        _message(visit, channel, recipient, event, due_at, useful_until)
        for channel, recipient in ways
        for event, due_at, useful_until in found
    ]


def _times(visit: Appointment, now: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    """The event, when it is due, and until when it helps."""
    zone = ZoneInfo(visit.timezone)
    wall = clock.wall_minus(datetime.fromisoformat(visit.wall_start), DAY_IN_MINUTES)
    day_before = clock.instant_at(wall, zone, visit.starts_at - timedelta(days=1))
    for event, due_at, helps in (
        (DAY, day_before, DAY_HELPS_UNTIL),
        (HOURS, visit.starts_at - HOURS_BEFORE, HOURS_HELP_UNTIL),
    ):
        if due_at > now + FRESH:
            yield event, due_at, visit.starts_at - helps


def _message(
    visit: Appointment, channel: str, recipient: str, event: str, due_at: datetime, useful_until: datetime
) -> Message:
    return Message(
        event=event,
        audience="visitor",
        channel=channel,
        recipient=recipient,
        key=(str(visit.id), due_at.isoformat()),
        due_at=due_at,
        facts={"starts_at": visit.starts_at.isoformat()},
        lead_id=visit.lead_id,
        appointment_id=visit.id,
        useful_until=useful_until,
    )
