"""Correspondence: what a letter or text says, put together from its facts and the clinic's own words."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from booking import calendar_file
from booking.delivery.message import Letter
from booking.domain import clock, offers, opening, spoken
from booking.domain.status import AppointmentStatus
from booking.operations import invitations, notifications
from booking.operations.appointments import Visit
from booking.operations.last_look import Ready
from booking.operations.leases import Claimed
from booking.runtime import Runtime

TODAY = "We will get in touch today."
TIME_ENOUGH = timedelta(hours=1)  # before closing, to keep a promise for today
INVITING = (notifications.LEAD_CAPTURED, *notifications.VISIT_EVENTS)


@dataclass(frozen=True)
class Told:
    """A visit, as a letter speaks of it."""

    service: str
    practitioner: str
    location: str
    address: str
    phone: str
    when: str
    day: str
    time: str
    reference: str
    manage_url: str
    pending: bool
    change_until: str


def letter(premises: Runtime, claimed: Claimed, ready: Ready, at: datetime) -> Letter:
    """The whole letter; raises what a broken template raises."""
    written = premises.outside.letters.write(claimed.event, claimed.audience, words(premises, claimed, ready, at))
    to_visitor, visit = claimed.audience == "visitor", ready.visit
    file = None
    if to_visitor and visit is not None and claimed.event in INVITING:
        file = invitations.of(premises.clinic, visit, claimed.recipient)
    return Letter(
        message_id=f"{claimed.name}@{premises.outside.mail_domain}",
        recipient=claimed.recipient,
        subject=written.subject,
        text=written.text,
        html=written.html,
        reply_to=premises.clinic.email if to_visitor else "",
        calendar=calendar_file.write(file) if file else b"",
        calendar_method=file.method if file else "",
    )


def words(premises: Runtime, claimed: Claimed, ready: Ready, at: datetime) -> dict[str, Any]:
    """Everything that a template may say: the clinic's words and the facts, and nothing that a visitor wrote."""
    found = {"clinic": premises.clinic, "base_url": premises.base_url}
    if claimed.lead_id is None:
        return found | ready.facts
    facts, lead = ready.facts, ready.lead
    received_at = lead.received_at if lead is not None else claimed.created_at
    return found | {
        "reference": lead.reference if lead is not None else facts["reference"],
        "received": spoken.long_time(received_at.astimezone(premises.zone)),
        "urgent": bool(lead is not None and lead.urgent),
        "promise": _promise(premises, at),
        "visit": told(premises, ready.visit, at) if ready.visit is not None else None,
    }


def told(premises: Runtime, visit: Visit, at: datetime) -> Told:
    """A visit in words; a manage link that was replaced meanwhile is the newest one."""
    row, zone = visit.row, ZoneInfo(visit.row.timezone)
    wall = row.starts_at.astimezone(zone)
    token = premises.keyring.token("appointment", str(row.id), str(row.generation))
    last = offers.last_change(visit.service, row.starts_at, zone)
    until = last.astimezone(zone)
    return Told(
        service=visit.service.name,
        practitioner=visit.practitioner.name,
        location=visit.location.name,
        address=visit.location.address,
        phone=visit.location.phone,
        when=spoken.long_time(wall),
        day=spoken.day(wall),
        time=spoken.clock_time(wall),
        reference=row.reference,
        manage_url=f"{premises.base_url}/appointments/{token}",
        pending=row.status == AppointmentStatus.PENDING,
        change_until=f"{spoken.day(until)}, {spoken.clock_time(until)}" if at < last else "",
    )


def _promise(premises: Runtime, at: datetime) -> str:
    """When the visitor will hear, in the clinic's opening hours."""
    catalog = premises.catalogs.latest
    closes = opening.open_until(catalog, at) if catalog is not None else None
    if closes is not None and closes - at >= TIME_ENOUGH:
        return TODAY
    opens = opening.opens_at(catalog, closes or at) if catalog is not None else None
    if opens is None:
        return premises.clinic.texts.response_promise
    local = opens.astimezone(premises.zone)
    days = (clock.day_of(opens, premises.zone) - clock.day_of(at, premises.zone)).days
    day = "today" if days == 0 else f"on {local:%A}" if days < 7 else f"on {spoken.day(local)}"
    closed = "" if closes is not None else "We are closed now. "
    return f"{closed}We will get in touch {day} from {spoken.hour(local)}."
