"""Holds for programs and for the page's script: a slot is kept for ten minutes while somebody types."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, current_app, jsonify, request
from flask.blueprints import BlueprintSetupState

from booking import reception
from booking.domain import clock
from booking.domain.catalog import Catalog
from booking.domain.clock import NoInstant
from booking.domain.errors import NotOffered, SlotTaken
from booking.domain.fields import Fields, sort
from booking.domain.offers import Wish
from booking.domain.submission import yes_or_no
from booking.operations import holds
from booking.operations.holds import Held
from booking.web import representations, visits
from booking.web.intake import client_digest, utc_now
from booking.web.pace import Pace, TooOften
from booking.web.parsing import read_body
from booking.web.premises import premises

# Of one process; the seats of a visitor, which the database counts, are the bound that matters.
MOST_A_MINUTE = 20
NEAREST, NONE_NEAR = "These are the nearest ones that are free.", "No other time is free now: please call us."
KEPT_HERE = "booking pace of holds"

hold_routes = Blueprint("holds", __name__, url_prefix="/api/v1")


@hold_routes.record
def open_pace(setup: BlueprintSetupState) -> None:
    """Let each application count for itself."""
    setup.app.extensions[KEPT_HERE] = Pace(MOST_A_MINUTE)


@hold_routes.post("/holds")
def place() -> tuple[Response, int]:
    """Hold a slot (`service`, `starts_at`, perhaps `practitioner` and `location`), or extend one by its `hold`.

    With a key the same again is the same hold: an answer that was lost must not keep its own visitor out.
    """
    visitor, pace = client_digest(request), current_app.extensions[KEPT_HERE]
    if not pace.allows(visitor):
        raise TooOften
    pairs = read_body(request.get_data(cache=False), request.mimetype, dict(request.mimetype_params))
    asked = sort(pairs)
    now = utc_now()
    if token := asked.text("hold"):
        with premises().database.transaction() as db:
            return jsonify(_shown(holds.extend(db, token, now))), 200
    try:
        with premises().database.transaction() as db:
            catalog = premises().catalogs.current(db, now.date(), hold_still=True)
            wish = _wish(catalog, asked)
            token = _token(asked, wish, visitor)
            held, practitioner, location = holds.place(db, catalog, wish, visitor=visitor, now=now, token=token)
    except SlotTaken:
        nearest = reception.alternatives(premises(), wish, now)
        detail = f"Somebody has just taken this time. {NEAREST if nearest else NONE_NEAR}"
        return representations.problem(409, detail, {"starts_at": [detail]}, alternatives=visits.slots(nearest)), 409
    shown = _shown(held) | {"practitioner": practitioner.slug, "location": location.slug}
    return jsonify(shown | {"starts_at": held.starts_at.astimezone(location.zone).isoformat()}), 201


@hold_routes.delete("/holds/<token>")
def release(token: str) -> Response:
    """Give a hold back; of one that is not there, or no more, the same is said."""
    with premises().database.reading() as db:  # who only guesses takes no writer's turn
        held = holds.find(db, token, utc_now())
    if held is not None:
        with premises().database.transaction() as db:
            holds.release(db, held)
    response = Response(status=204)
    del response.headers["Content-Type"]  # of nothing
    return response


def _wish(catalog: Catalog, asked: Fields) -> Wish:
    words = {name: asked.text(name).strip() for name in ("service", "practitioner", "location", "starts_at")}
    where = catalog.location(words["location"])
    try:
        starts_at = clock.read_instant(
            words["starts_at"], where.zone if where else ZoneInfo(premises().clinic.timezone)
        )
    except NoInstant as refusal:
        raise NotOffered("starts_at", str(refusal) if words["starts_at"] else "Please choose a time.") from refusal
    new_patient = yes_or_no(asked.text("new_patient"))
    return Wish(words["service"], starts_at, words["practitioner"], words["location"], new_patient)


def _token(asked: Fields, wish: Wish, visitor: bytes) -> str:
    """The token of this wish under the visitor's key; nobody without our own key can tell it, or make it."""
    key = request.headers.get("Idempotency-Key", "").strip() or asked.text("submission_key")
    if not key:
        return ""
    named = (wish.service, wish.practitioner, wish.location, wish.starts_at.astimezone(UTC).isoformat())
    return premises().keyring.token("hold", premises().keyring.digest("hold", visitor.hex(), key, *named).hex())


def _shown(held: Held) -> dict[str, Any]:
    return {
        "hold": held.token,
        "expires_at": held.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "can_be_extended": not held.extended,
    }
