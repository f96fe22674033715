"""The catalogue, appointments, holds and time off, and the claims that no two of them can share."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from booking.database import UtcDateTime

revision = "0002"
down_revision = "0001"

STATES = "'pending', 'booked', 'arrived', 'fulfilled', 'cancelled', 'noshow'"
MINUTES = "opens >= 0 AND opens < closes AND closes <= 1440"
TABLES = (
    "claim", "time_off", "hold", "appointment", "closure", "extra_hours", "working_hours", "resource", "offer",
    "practitioner", "service", "location", "calendar", "catalog_state",
)  # fmt: skip

# Claims of one calendar never overlap, so of those that begin before the new one ends, the last to begin is also
# the last to end: one look into the index decides.
SQLITE_OVERLAP = """
CREATE TRIGGER claim_overlap_{event} BEFORE {when} ON claim
WHEN (SELECT ends_at FROM claim WHERE calendar_id = NEW.calendar_id AND starts_at < NEW.ends_at {others}
      ORDER BY starts_at DESC LIMIT 1) > NEW.starts_at
BEGIN SELECT RAISE(ABORT, 'claims overlap'); END
"""
SQLITE_TRIGGERS = (
    {"event": "insert", "when": "INSERT", "others": ""},
    {"event": "update", "when": "UPDATE OF calendar_id, starts_at, ends_at", "others": "AND id <> OLD.id"},
)
POSTGRESQL_OVERLAP = """
ALTER TABLE claim ADD CONSTRAINT ex_claim_overlap
EXCLUDE USING gist (calendar_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
"""
OWNER = {
    "sqlite": "(appointment_id IS NULL) + (hold_id IS NULL) + (time_off_id IS NULL) = 2",
    "postgresql": "num_nonnulls(appointment_id, hold_id, time_off_id) = 1",
}
# 0.0001 of a day is nine seconds, for the rounding of julianday.
ONE_DAY = {
    "sqlite": "julianday(ends_at) - julianday(starts_at) < 1.0001",
    "postgresql": "ends_at <= starts_at + interval '24 hours'",
}


def upgrade() -> None:
    """Make the tables, and what guards the claims on each engine."""
    versions()
    what_and_where()
    people_and_rooms()
    hours()
    appointments()
    holds_and_time_off()
    claims()
    op.execute("INSERT INTO catalog_state (id, version) VALUES (1, 0)")


def downgrade() -> None:
    """Drop them, children first; triggers go with their table."""
    for table in TABLES:
        op.drop_table(table)


def versions() -> None:
    """The versions of the catalogue and of each calendar."""
    op.create_table(
        "catalog_state",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_state")),
    )
    op.create_table(
        "calendar",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar")),
    )


def what_and_where() -> None:
    """What is offered, and where."""
    op.create_table(
        "location",
        *named(),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("street", "city", "region", "postal_code", "phone")),
        sa.Column("timezone", sa.String(60), nullable=False),
        sa.Column("holiday_region", sa.String(10), nullable=False),
        sa.Column("holidays", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location")),
        sa.UniqueConstraint("slug", name=op.f("uq_location_slug")),
    )
    op.create_table(
        "service",
        *named(),
        sa.Column("summary", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in (
                "duration_minutes", "buffer_before_minutes", "buffer_after_minutes", "step_minutes", "notice_minutes",
                "horizon_days", "cutoff_minutes",
            )
        ),
        sa.Column("daily_cap", sa.Integer),
        sa.Column("audience", sa.String(12), nullable=False),
        sa.Column("bookable", sa.String(12), nullable=False),
        sa.Column("needs", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service")),
        sa.UniqueConstraint("slug", name=op.f("uq_service_slug")),
        sa.CheckConstraint(
            "duration_minutes > 0 AND step_minutes > 0 AND horizon_days >= 0", name=op.f("ck_service_lengths")
        ),
        sa.CheckConstraint(
            "buffer_before_minutes >= 0 AND buffer_after_minutes >= 0", name=op.f("ck_service_buffers")
        ),
        sa.CheckConstraint("audience IN ('anyone', 'new', 'returning')", name=op.f("ck_service_audience")),
        sa.CheckConstraint("bookable IN ('online', 'call', 'hidden')", name=op.f("ck_service_bookable")),
    )  # fmt: skip


def people_and_rooms() -> None:
    """By whom it is offered, and with what."""
    op.create_table(
        "practitioner",
        *named(),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("calendar_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practitioner")),
        sa.UniqueConstraint("slug", name=op.f("uq_practitioner_slug")),
        sa.UniqueConstraint("calendar_id", name=op.f("uq_practitioner_calendar_id")),
        *to("practitioner", "calendar"),
    )
    op.create_table(
        "offer",
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("practitioner_id", "service_id", "location_id")),
        sa.PrimaryKeyConstraint("practitioner_id", "service_id", "location_id", name=op.f("pk_offer")),
        *to("offer", "practitioner", "service", "location", ondelete="CASCADE"),
    )
    op.create_table(
        "resource",
        *named(),
        sa.Column("kind", sa.String(60), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("location_id", "calendar_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource")),
        sa.UniqueConstraint("slug", name=op.f("uq_resource_slug")),
        sa.UniqueConstraint("calendar_id", name=op.f("uq_resource_calendar_id")),
        *to("resource", "location", "calendar"),
    )


def hours() -> None:
    """When: weekly, extra, and not at all."""
    for table, day in (("working_hours", sa.Column("weekday", sa.Integer, nullable=False)),
                       ("extra_hours", sa.Column("on_date", sa.Date, nullable=False))):  # fmt: skip
        weekly = table == "working_hours"
        op.create_table(
            table,
            sa.Column("id", sa.Integer, nullable=False),
            *(sa.Column(name, sa.Integer, nullable=False) for name in ("practitioner_id", "location_id")),
            day,
            *(sa.Column(name, sa.Integer, nullable=False) for name in ("opens", "closes")),
            *(sa.Column(name, sa.Date) for name in ("valid_from", "valid_until") if weekly),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
            *to(table, "practitioner", "location", ondelete="CASCADE"),
            *([sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f(f"ck_{table}_weekday"))] if weekly else []),
            sa.CheckConstraint(MINUTES, name=op.f(f"ck_{table}_span")),
        )
        op.create_index(op.f(f"ix_{table}_practitioner_id"), table, ["practitioner_id"])
    op.create_table(
        "closure",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("location_id", sa.Integer),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("ends_on", sa.Date, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closure")),
        *to("closure", "location", ondelete="CASCADE"),
        sa.CheckConstraint("starts_on <= ends_on", name=op.f("ck_closure_span")),
    )


def appointments() -> None:
    """Booked visits."""
    op.create_table(
        "appointment",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("reference", sa.String(20), nullable=False),
        sa.Column("lead_id", sa.BigInteger, nullable=False),
        *what_whom_where(),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
        sa.Column("timezone", sa.String(60), nullable=False),
        sa.Column("wall_start", sa.String(16), nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("reason", sa.LargeBinary),
        sa.Column("cancelled_by", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
        sa.UniqueConstraint("reference", name=op.f("uq_appointment_reference")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_appointment_token_digest")),
        sa.CheckConstraint(f"status IN ({STATES})", name=op.f("ck_appointment_status")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_appointment_span")),
        *to("appointment", "lead", ondelete="CASCADE"),
        *to("appointment", "service", "practitioner", "location"),
    )
    op.create_index(op.f("ix_appointment_lead_id"), "appointment", ["lead_id"])
    for columns in (["service_id", "location_id", "starts_at"], ["practitioner_id", "starts_at"]):
        op.create_index(op.f("_".join(["ix", *(f"appointment_{each}" for each in columns)])), "appointment", columns)


def holds_and_time_off() -> None:
    """What else takes time: holds, and being away."""
    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("visitor", sa.LargeBinary(16), nullable=False),
        sa.Column("seat", sa.SmallInteger, nullable=False),
        *what_whom_where(),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("extended", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_hold_token_digest")),
        sa.UniqueConstraint("visitor", "seat", name=op.f("uq_hold_visitor_seat")),
        sa.CheckConstraint("seat IN (1, 2)", name=op.f("ck_hold_seat")),
        *to("hold", "service", "practitioner", "location"),
    )
    op.create_index(op.f("ix_hold_expires_at"), "hold", ["expires_at"])
    op.create_table(
        "time_off",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("calendar_id", sa.Integer, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_time_off")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_time_off_span")),
        *to("time_off", "calendar"),
    )
    op.create_index(op.f("ix_time_off_calendar_id"), "time_off", ["calendar_id"])


def claims() -> None:
    """The one table that takes time."""
    dialect = op.get_bind().dialect.name
    owners = ("appointment", "hold", "time_off")
    op.create_table(
        "claim",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("calendar_id", sa.Integer, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
        *(sa.Column(f"{owner}_id", sa.BigInteger) for owner in owners),
        sa.Column("expires_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_claim_span")),
        sa.CheckConstraint(ONE_DAY[dialect], name=op.f("ck_claim_one_day")),
        sa.CheckConstraint(OWNER[dialect], name=op.f("ck_claim_owner")),
        sa.CheckConstraint("(hold_id IS NULL) = (expires_at IS NULL)", name=op.f("ck_claim_expiry")),
        *to("claim", "calendar"),
        *to("claim", *owners, ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
    )
    for owner in owners:
        op.create_index(op.f(f"ix_claim_{owner}_id"), "claim", [f"{owner}_id"])
    op.create_index(op.f("ix_claim_calendar_id_claim_starts_at"), "claim", ["calendar_id", "starts_at"])
    if dialect == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        op.execute(POSTGRESQL_OVERLAP)
    else:
        for trigger in SQLITE_TRIGGERS:
            op.execute(SQLITE_OVERLAP.format(**trigger))


def named() -> list[sa.Column[object]]:
    """What every part of the catalogue has."""
    return [
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("slug", sa.String(60), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    ]


def what_whom_where() -> list[sa.Column[object]]:
    """The parts of the catalogue that a visit and a hold name."""
    return [sa.Column(f"{name}_id", sa.Integer, nullable=False) for name in ("service", "practitioner", "location")]


def to(table: str, *targets: str, **options: Any) -> list[sa.ForeignKeyConstraint]:
    """Foreign keys from `<target>_id` to each target."""
    return [
        sa.ForeignKeyConstraint([f"{each}_id"], [f"{each}.id"], name=op.f(f"fk_{table}_{each}_id_{each}"), **options)
        for each in targets
    ]
