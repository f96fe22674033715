"""Leads, what people consented to, the names of posts, tokens, and the audit chain."""

import sqlalchemy as sa
from alembic import op

from booking.database import UtcDateTime

revision = "0001"
down_revision = None

STATES = "'new', 'contacted', 'qualified', 'converted', 'lost'"


def upgrade() -> None:
    """Make the first tables; names follow the convention of `booking.database.Base`."""
    lead()
    for_leads()
    for_staff()


def lead() -> None:
    """The lead and the indexes its questions need."""
    op.create_table(
        "lead",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("reference", sa.String(20), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("held_reasons", sa.JSON, nullable=False),
        sa.Column("signals", sa.JSON, nullable=False),
        sa.Column("incomplete", sa.Boolean, nullable=False),
        sa.Column("door", sa.String(12), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("phone", sa.String(20), nullable=False),
        sa.Column("phone_typed", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("practitioner", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("contact_preference", sa.Text, nullable=False),
        sa.Column("new_patient", sa.Boolean),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("page_url", sa.Text, nullable=False),
        sa.Column("referrer", sa.Text, nullable=False),
        sa.Column("attribution", sa.JSON, nullable=False),
        sa.Column("client", sa.LargeBinary(16)),
        sa.Column("text_digest", sa.LargeBinary(16)),
        sa.Column("key_digest", sa.LargeBinary(16)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead")),
        sa.UniqueConstraint("reference", name=op.f("uq_lead_reference")),
        sa.CheckConstraint(f"status IN ({STATES})", name=op.f("ck_lead_status")),
        sa.CheckConstraint("incomplete OR email <> '' OR phone <> ''", name=op.f("ck_lead_reachable")),
    )
    op.create_index(op.f("ix_lead_received_at"), "lead", ["received_at"])
    op.create_index(op.f("ix_lead_updated_at"), "lead", ["updated_at"])
    op.create_index(op.f("ix_lead_client_lead_received_at"), "lead", ["client", "received_at"])
    op.create_index(op.f("ix_lead_text_digest_lead_received_at"), "lead", ["text_digest", "received_at"])
    op.create_index(op.f("ix_lead_key_digest"), "lead", ["key_digest"])


def for_leads() -> None:
    """What hangs on a lead, and goes with it."""
    op.create_table(
        "consent",
        sa.Column("lead_id", sa.BigInteger, nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("given_at", UtcDateTime, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("wording", sa.Text, nullable=False),
        sa.Column("wording_sha256", sa.String(64), nullable=False),
        sa.Column("page_url", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("lead_id", "purpose", name=op.f("pk_consent")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], ondelete="CASCADE", name=op.f("fk_consent_lead_id_lead")),
    )
    op.create_table(
        "lead_alias",
        sa.Column("reference", sa.String(20), nullable=False),
        sa.Column("lead_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_lead_alias")),
        sa.ForeignKeyConstraint(["lead_id"], ["lead.id"], ondelete="CASCADE", name=op.f("fk_lead_alias_lead_id_lead")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("name", sa.LargeBinary(16), nullable=False),
        sa.Column("content", sa.LargeBinary(16), nullable=False),
        sa.Column("lead_id", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_idempotency_key")),
        sa.ForeignKeyConstraint(
            ["lead_id"],
            ["lead.id"],
            ondelete="CASCADE",
            deferrable=True,
            initially="DEFERRED",
            name=op.f("fk_idempotency_key_lead_id_lead"),
        ),
    )
    op.create_index(op.f("ix_idempotency_key_lead_id"), "idempotency_key", ["lead_id"])
    op.create_index(op.f("ix_idempotency_key_created_at"), "idempotency_key", ["created_at"])


def for_staff() -> None:
    """Tokens for programs, and the record of who did what."""
    op.create_table(
        "api_token",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.String(12), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("last_used_at", UtcDateTime),
        sa.Column("revoked_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_token_digest")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )


def downgrade() -> None:
    """Drop them all, children first."""
    for table in ("audit_entry", "api_token", "idempotency_key", "lead_alias", "consent", "lead"):
        op.drop_table(table)
