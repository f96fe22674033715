"""The outbox and what it knows of its receivers: webhooks, numbers that said STOP, what each visitor was last told."""

import sqlalchemy as sa
from alembic import op

from booking.database import UtcDateTime

revision = "0003"
down_revision = "0002"

STATES = "'waiting', 'held', 'sent', 'dead', 'missed', 'withdrawn'"
WAITING, SENT = sa.text("state = 'waiting'"), sa.text("state = 'sent'")


def upgrade() -> None:
    """Make the tables, and the columns that tell of messages."""
    outbox()
    webhooks()
    witness()
    op.create_table(
        "sms_stop",
        sa.Column("number", sa.LargeBinary(16), nullable=False),
        sa.Column("stopped_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_sms_stop")),
    )
    op.create_table(
        "pulse",
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("beat_at", UtcDateTime, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pulse")),
    )
    op.add_column("appointment", sa.Column("told", sa.JSON))
    op.add_column("appointment", sa.Column("confirmed_at", UtcDateTime))
    op.add_column("lead", sa.Column("undelivered", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop them; messages that wait are lost with their table."""
    op.drop_column("lead", "undelivered")
    op.drop_column("appointment", "confirmed_at")
    op.drop_column("appointment", "told")
    for table in ("witnessed_post", "pulse", "sms_stop", "outbox_message", "webhook"):
        op.drop_table(table)


def outbox() -> None:
    """The messages; only those that wait are in the index that workers look into."""
    op.create_table(
        "outbox_message",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("dedupe_key", sa.LargeBinary(16), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("audience", sa.String(10), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("mailbox", sa.LargeBinary(16), nullable=False),
        sa.Column("lead_id", sa.BigInteger),
        sa.Column("appointment_id", sa.BigInteger),
        sa.Column("facts", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("useful_until", UtcDateTime),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("released", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("worker", sa.String(40)),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("done_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_message")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_outbox_message_dedupe_key")),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_outbox_message_state")),
        sa.CheckConstraint("(state IN ('waiting', 'held')) = (done_at IS NULL)", name=op.f("ck_outbox_message_done")),
        *(
            sa.ForeignKeyConstraint(
                [f"{each}_id"], [f"{each}.id"], name=op.f(f"fk_outbox_message_{each}_id_{each}"), ondelete="CASCADE"
            )
            for each in ("lead", "appointment")
        ),
    )
    op.create_index(
        op.f("ix_outbox_message_waiting"), "outbox_message", ["channel", "due_at", "id"],
        sqlite_where=WAITING, postgresql_where=WAITING,
    )  # fmt: skip
    for column in ("lead_id", "appointment_id"):
        op.create_index(op.f(f"ix_outbox_message_{column}"), "outbox_message", [column])
    op.create_index(
        op.f("ix_outbox_message_sent"), "outbox_message", ["mailbox", "done_at"],
        sqlite_where=SENT, postgresql_where=SENT,
    )  # fmt: skip


def webhooks() -> None:
    """The programs that are told of events."""
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secrets", sa.LargeBinary, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("disabled_at", UtcDateTime),
        sa.Column("disabled_because", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("url", name=op.f("uq_webhook_url")),
    )


def witness() -> None:
    """What another service says was posted."""
    op.create_table(
        "witnessed_post",
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("posted_at", UtcDateTime, nullable=False),
        sa.Column("compare_at", UtcDateTime, nullable=False),
        sa.Column("compared_at", UtcDateTime),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.String(10), nullable=False),
        sa.Column("reference", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_witnessed_post")),
        sa.CheckConstraint("outcome IN ('', 'known', 'imported')", name=op.f("ck_witnessed_post_outcome")),
    )
    op.create_index(op.f("ix_witnessed_post_posted_at"), "witnessed_post", ["posted_at"])
