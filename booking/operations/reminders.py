"""Reminders: messages due before a visit, planned when it is booked; they are moved and withdrawn with it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from booking.domain import clock, quiet_hours
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
    """The reminders of a visit that are still to come: at the same time of the day before, and two hours before.

    A text that would be due at night is due in the evening before.
    """
    return [each for each in _all(visit, ways) if each.due_at > now + FRESH]


def late(visit: Appointment, ways: Iterable[tuple[str, str]], now: datetime) -> list[Message]:
    """The reminders too near for `plan` that would help still, by the ways in which the visit is known as it stands."""
    known = [(channel, whom) for channel, whom in ways if (visit.told or {}).get(channel) == visit.to_tell]
    return [
        each
        for each in _all(visit, known)
        if each.due_at <= now + FRESH and each.useful_until is not None and now < each.useful_until
    ]


def _all(visit: Appointment, ways: Iterable[tuple[str, str]]) -> Iterator[Message]:
    zone = ZoneInfo(visit.timezone)
    for channel, recipient in ways:
        for event, usual, useful_until in _times(visit, zone):
            clocks = quiet_hours.clocks(recipient, zone) if channel == "sms" else ()
            due_at = quiet_hours.time_before(clocks, usual)
            yield _message(visit, channel, recipient, event, due_at, useful_until)


def _times(visit: Appointment, zone: ZoneInfo) -> Iterator[tuple[str, datetime, datetime]]:
    """The event, when it is due, and until when it helps."""
    wall = clock.wall_minus(datetime.fromisoformat(visit.wall_start), DAY_IN_MINUTES)
    day_before = clock.instant_at(wall, zone, visit.starts_at - timedelta(days=1))
    for event, due_at, helps in (
        (DAY, day_before, DAY_HELPS_UNTIL),
        (HOURS, visit.starts_at - HOURS_BEFORE, HOURS_HELP_UNTIL),
    ):
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
