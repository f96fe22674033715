"""The yardstick: a bare Flask app that parses the same post and writes the same rows, and does nothing else.

`/leads` without a time is what `bench/capture.py` posts, with one what `bench/booking.py` does; `/slots` makes one
indexed query and answers with JSON as long as ours, for `bench/slot_query.py`.
"""

import hashlib
import json
import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from flask import Flask, Response, request
from sqlalchemy import Connection, Engine, Table, create_engine, event, select

from booking import server
from booking.database.sqlite import driver
from booking.models import Appointment, Claim, Consent, IdempotencyKey, Lead, OutboxMessage

leads, names, consents, appointments, claims, messages = (
    cast(Table, model.__table__) for model in (Lead, IdempotencyKey, Consent, Appointment, Claim, OutboxMessage)
)

SLOT = {
    "starts_at": "2026-12-01T10:00:00-05:00",
    "ends_at": "2026-12-01T10:30:00-05:00",
    "practitioner": "who-10",
    "location": "here",
}


def open_engine(url: str, threads: int) -> Engine:
    """An engine as durable as ours, without the fair turn and the deadlines."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=threads)
    engine = create_engine(url, module=driver(), pool_size=threads, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on", "busy_timeout=30000"):
            connection.execute(f"pragma {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def make_app(engine: Engine) -> Flask:
    """One route: parse, insert with Core, commit, answer."""
    app = Flask(__name__)

    @app.post("/leads")
    def post() -> tuple[dict[str, str], int]:
        form, now = request.form, datetime.now(UTC)
        lead_id = time.time_ns() // 1_000_000 << 22 | secrets.randbits(22)
        reference = f"SV-{secrets.token_hex(6)}"
        with engine.begin() as connection:
            connection.execute(
                names.insert(),
                {"name": secrets.token_bytes(16), "content": b"c" * 16, "lead_id": lead_id,
                 "answer": {"reference": reference, "received_at": now.isoformat()}, "created_at": now},
            )  # fmt: skip
            connection.execute(
                leads.insert(),
                {"id": lead_id, "reference": reference, "received_at": now, "updated_at": now, "status": "new",
                 "urgent": False, "held": False, "held_reasons": [], "signals": {"origin": "none", "seconds": None},
                 "incomplete": False, "door": "form", "name": form["name"], "email": form["email"],
                 "phone": "+19045550134", "phone_typed": form["phone"], "service": form["service"], "practitioner": "",
                 "location": "", "contact_preference": form["contact_preference"], "new_patient": True,
                 "content": form["message"].encode(), "page_url": form["page_url"], "referrer": "",
                 "attribution": {"utm_source": form["utm_source"]}, "client": b"c" * 16, "text_digest": b"t" * 16,
                 "key_digest": None},
            )  # fmt: skip
            connection.execute(
                consents.insert(),
                {"lead_id": lead_id, "purpose": "reply", "given_at": now, "version": "1", "wording": "w" * 120,
                 "wording_sha256": "0" * 64, "page_url": form["page_url"]},
            )  # fmt: skip
            visit_id = lead_id if "starts_at" in form else None
            if visit_id:
                book(connection, lead_id, form["starts_at"], int(form["practitioner"].rpartition("-")[2]), now)
            tell(connection, lead_id, visit_id, form["email"], now)
        return {"reference": reference}, 201

    @app.get("/slots")
    def slots() -> Response:
        begin = datetime.fromisoformat(request.args["from"]).replace(tzinfo=UTC)
        end = begin + timedelta(days=int(request.args["days"]))
        who = [int(number) for number in request.args["who"].split(",")]
        taken = select(claims.c.calendar_id, claims.c.starts_at, claims.c.ends_at).where(
            claims.c.calendar_id.in_(who), claims.c.starts_at >= begin, claims.c.starts_at < end
        )
        with engine.connect() as connection:
            connection.execute(taken).all()
        return Response(json.dumps({"slots": [SLOT] * int(request.args["count"])}), mimetype="application/json")

    return app


def book(connection: Connection, lead_id: int, starts_at: str, number: int, now: datetime) -> None:
    """The claim and the appointment, for the practitioner whose number the slug carries."""
    start = datetime.fromisoformat(starts_at).astimezone(UTC)
    end = start + timedelta(minutes=15)
    connection.execute(
        claims.insert(), {"calendar_id": number, "starts_at": start, "ends_at": end, "appointment_id": lead_id}
    )  # fmt: skip
    connection.execute(
        appointments.insert(),
        {"id": lead_id, "reference": f"SV-{secrets.token_hex(6)}", "lead_id": lead_id, "service_id": 1,
         "practitioner_id": number, "location_id": 1, "status": "booked", "starts_at": start, "ends_at": end,
         "timezone": "UTC", "wall_start": starts_at[:16], "sequence": 0, "generation": 0, "created_at": now,
         "updated_at": now, "token_digest": hashlib.sha256(secrets.token_bytes(32)).digest()},
    )  # fmt: skip


def tell(connection: Connection, lead_id: int, visit_id: int | None, email: str, now: datetime) -> None:
    """The messages: to the visitor and the desk, and of a visit two reminders, in one statement."""
    visitor, desk = ("lead_captured", "visitor", email), ("lead_captured", "desk", "hello@example.com")
    reminders = [(event, "visitor", email) for event in ("reminder_day", "reminder_hours")] if visit_id else []
    connection.execute(
        messages.insert(),
        [
            {"dedupe_key": secrets.token_bytes(16), "event": event, "audience": audience, "channel": "mail",
             "recipient": recipient, "mailbox": b"m" * 16, "lead_id": lead_id, "appointment_id": visit_id,
             "facts": b"f" * 150, "state": "waiting", "reason": "", "created_at": now,
             "due_at": now + timedelta(days=30), "useful_until": None, "attempts": 0, "worker": None,
             "lease_until": None, "done_at": None}
            for event, audience, recipient in (visitor, desk, *reminders)
        ],
    )  # fmt: skip


if __name__ == "__main__":
    URL, PORT, THREADS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    server.serve(make_app(open_engine(URL, THREADS)), host="127.0.0.1", port=PORT, threads=THREADS)
