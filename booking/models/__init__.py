"""Rows: one mapped class per table, its constraints and its own small verbs."""

from booking.models.appointment import Appointment, Claim, Hold, TimeOff
from booking.models.audit import AuditEntry
from booking.models.catalog import (
    Calendar,
    CatalogState,
    Closure,
    ExtraHours,
    Location,
    Offer,
    Practitioner,
    Resource,
    Service,
    WorkingHours,
)
from booking.models.idempotency import IdempotencyKey
from booking.models.lead import Consent, Lead, LeadAlias
from booking.models.outbox import OutboxMessage, Pulse, SmsStop, Webhook
from booking.models.staff import ApiToken
from booking.models.witness import WitnessedPost

__all__ = [
    "ApiToken",
    "Appointment",
    "AuditEntry",
    "Calendar",
    "CatalogState",
    "Claim",
    "Closure",
    "Consent",
    "ExtraHours",
    "Hold",
    "IdempotencyKey",
    "Lead",
    "LeadAlias",
    "Location",
    "Offer",
    "OutboxMessage",
    "Practitioner",
    "Pulse",
    "Resource",
    "Service",
    "SmsStop",
    "TimeOff",
    "Webhook",
    "WitnessedPost",
    "WorkingHours",
]
