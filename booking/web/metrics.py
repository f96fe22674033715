"""Metrics: the vital signs in numbers, in Prometheus' text format."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response

from booking.operations import vitals
from booking.operations.vitals import Vitals
from booking.web.access import bearer
from booking.web.intake import utc_now
from booking.web.premises import premises

FORMAT = "text/plain; version=0.0.4; charset=utf-8"
FAULTS = ("worker", "late", "failing", "dead", "webflow", "watch", "silence")

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
def show() -> Response:
    """The signs; in production only for a token with the scope `metrics:read`, for they tell how business goes."""
    if premises().production:
        bearer("metrics:read")
    now, zone = utc_now(), premises().zone
    with premises().database.reading() as db:
        signs = vitals.read(db, zone, now)
    lines = [*_lines(signs, now), *_faults(signs, now), *_spool()]
    response = Response("\n".join([*lines, ""]), content_type=FORMAT)
    response.headers["Cache-Control"] = "no-store"
    return response


def _lines(signs: Vitals, now: datetime) -> Iterator[str]:
    yield from _about("outbox_messages", "Messages by channel and state; of those that are done, the last day's.")
    for (channel, state), number in sorted(signs.messages.items()):
        yield f'booking_outbox_messages{{channel="{channel}",state="{state}"}} {number}'
    waited = (now - signs.oldest_due).total_seconds() if signs.oldest_due else 0
    yield from _one("outbox_oldest_due_seconds", "How long the message that is due has waited.", waited)
    yield from _one("enquiries_today", "Enquiries since midnight on the clinic's clock.", signs.days[0])
    if signs.worker:
        age = (now - signs.worker).total_seconds()
        yield from _one("worker_beat_age_seconds", "How long ago a worker was last seen.", age)
    if seen_at := signs.watch.get("seen_at"):
        age = (now - datetime.fromisoformat(seen_at).astimezone(UTC)).total_seconds()
        yield from _one("form_seen_age_seconds", "How long ago a test of the form came through to its end.", age)


def _faults(signs: Vitals, now: datetime) -> Iterator[str]:
    found = dict(vitals.faults(signs, premises().zone, now))
    yield from _about("fault", "1 for each fault that `booking doctor` names.")
    for name in FAULTS:
        yield f'booking_fault{{kind="{name}"}} {int(name in found)}'


def _spool() -> Iterator[str]:
    yield from _one("spool_leads", "Leads that wait for the database.", premises().spool.depth())
    yield from _one("spool_set_aside", "Unreadable files of the spool.", premises().spool.set_aside_count())


def _one(name: str, meaning: str, value: float) -> Iterator[str]:
    yield from _about(name, meaning)
    yield f"booking_{name} {value:g}"


def _about(name: str, meaning: str) -> Iterator[str]:
    yield f"# HELP booking_{name} {meaning}"
    yield f"# TYPE booking_{name} gauge"
