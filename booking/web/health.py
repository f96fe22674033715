"""Health: whether the process lives, and whether it can do its work."""

from flask import Blueprint, Response, jsonify

from booking.database import DatabaseAway, revision
from booking.web.description import describe
from booking.web.premises import premises

health = Blueprint("health", __name__)


@health.get("/healthz")
def alive() -> Response:
    """Alive, and nothing else asked."""
    return jsonify(status="ok")


@health.get("/readyz")
def ready() -> tuple[Response, int]:
    """Ready: the database answers and stands at the newest migration; how many leads wait in the spool."""
    spool = premises().spool
    state = {"spool": spool.depth(), "set_aside": spool.set_aside_count()}
    try:
        with premises().database.reading() as db:
            migrated = revision.is_at_head(db)
        checks = {"database": "ok", "migrations": "ok" if migrated else "behind"}
    except DatabaseAway:
        migrated, checks = False, {"database": "away", "migrations": "unknown"}
    return jsonify(status="ready" if migrated else "not ready", **checks, **state), 200 if migrated else 503


@health.get("/openapi.json")
def openapi() -> Response:
    """The description of the public interface."""
    return jsonify(describe(premises().clinic.name, premises().base_url))
