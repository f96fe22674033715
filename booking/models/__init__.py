"""Rows: one mapped class per table, its constraints and its own small verbs."""

from booking.models.audit import AuditEntry
from booking.models.idempotency import IdempotencyKey
from booking.models.lead import Consent, Lead, LeadAlias
from booking.models.staff import ApiToken

__all__ = ["ApiToken", "AuditEntry", "Consent", "IdempotencyKey", "Lead", "LeadAlias"]
