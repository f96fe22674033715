"""Events: what a program is told, by reference alone, or with the person's details where the clinic chose that."""

from typing import Any

from booking.operations.last_look import Ready
from booking.operations.leases import Claimed


def payload(claimed: Claimed, ready: Ready, *, whole: bool) -> dict[str, Any]:
    """The body of a webhook, as Standard Webhooks recommends it: type, timestamp and data."""
    data: dict[str, Any] = {"reference": ready.facts["reference"]}
    if "appointment" in ready.facts:
        data["appointment"] = ready.facts["appointment"]
    if whole:
        data |= _details(ready)
    return {
        "type": claimed.event.replace("_", ".", 1),
        "timestamp": claimed.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": data,
    }


def _details(ready: Ready) -> dict[str, Any]:
    """Who it is and what they wish; never what they wrote, which is about their health."""
    lead, visit, found = ready.lead, ready.visit, {}
    if lead is not None:
        found = {
            "name": lead.name,
            "email": lead.email,
            "phone": lead.phone,
            "service": lead.service,
            "contact_preference": lead.contact_preference,
            "urgent": lead.urgent,
            "status": lead.status,
        }
    if visit is not None:
        found["visit"] = {
            "status": visit.row.status,
            "starts_at": visit.row.starts_at.isoformat(),
            "ends_at": visit.row.ends_at.isoformat(),
            "timezone": visit.row.timezone,
            "service": visit.service.slug,
            "practitioner": visit.practitioner.slug,
            "location": visit.location.slug,
        }
    return found
