"""What is offered, by whom and where, for programs; the page shows the same."""

from flask import Blueprint, Response, jsonify

from booking.domain.catalog import Catalog
from booking.web.intake import utc_now
from booking.web.premises import premises

catalog = Blueprint("catalog", __name__, url_prefix="/api/v1")


def current() -> Catalog:
    """The catalogue as it stands; raises DatabaseAway."""
    with premises().database.reading() as db:
        return premises().catalogs.current(db, utc_now().date())


@catalog.get("/services")
def services() -> Response:
    """What is offered; `bookable` is `online` or `call`."""
    found = [
        {
            "slug": each.slug,
            "name": each.name,
            "summary": each.summary,
            "duration_minutes": each.duration_minutes,
            "bookable": each.bookable.value,
            "for": each.audience.value,
            "horizon_days": each.horizon_days,
        }
        for each in current().shown_services
    ]
    return jsonify(services=found)


@catalog.get("/practitioners")
def practitioners() -> Response:
    """Who gives which services where."""
    known = current()
    shown = {each.id: each.slug for each in known.shown_services}
    places = {each.id: each.slug for each in known.locations}
    found = []
    for each in known.practitioners:
        offered, where = ({pair[side] for pair in each.offers} for side in (0, 1))
        found.append(
            {
                "slug": each.slug,
                "name": each.name,
                "title": each.title,
                "services": [slug for number, slug in shown.items() if number in offered],
                "locations": [slug for number, slug in places.items() if number in where],
            }
        )
    return jsonify(practitioners=found)


@catalog.get("/locations")
def locations() -> Response:
    """Where, and in which time zone."""
    found = [
        {
            "slug": each.slug,
            "name": each.name,
            "timezone": each.timezone,
            "address": each.address,
            "phone": each.phone,
        }
        for each in current().locations
    ]
    return jsonify(locations=found)
