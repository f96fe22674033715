"""The catalogue for programs: what is offered, by whom and where, in slugs that every other field takes."""

from datetime import datetime

import pytest
from flask.testing import FlaskClient

from booking import clinic
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.operations import catalog_loading
from tests.clinics import changed, without

LISTS = ("services", "practitioners", "locations")


def listed(client: FlaskClient, name: str) -> list[dict[str, object]]:
    answer = client.get(f"/api/v1/{name}")
    assert (answer.status_code, answer.mimetype, set(answer.get_json())) == (200, "application/json", {name})
    found: list[dict[str, object]] = answer.get_json()[name]
    return found


def test_services_are_listed_with_what_a_page_needs_to_show_them(client: FlaskClient, catalog: Catalog) -> None:
    first = listed(client, "services")[0]
    service = catalog.services[0]
    assert first == {
        "slug": "first-visit",
        "name": service.name,
        "summary": service.summary,
        "duration_minutes": 60,
        "bookable": "online",
        "for": "new",
        "horizon_days": service.horizon_days,
    }


def test_services_stand_in_the_clinics_order_and_say_how_they_are_booked(client: FlaskClient, catalog: Catalog) -> None:
    found = listed(client, "services")
    assert [each["slug"] for each in found] == [each.slug for each in catalog.services]
    assert {each["slug"] for each in found if each["bookable"] == "call"} == {"functional-wellness", "aesthetics"}


def test_practitioners_are_listed_with_what_they_give_and_where(client: FlaskClient, catalog: Catalog) -> None:
    assert listed(client, "practitioners")[2] == {
        "slug": "wren-palmetto",
        "name": "Wren Palmetto",
        "title": "Massage therapist and aesthetician",
        "services": ["massage-therapy", "posture-and-movement", "aesthetics"],
        "locations": ["st-augustine"],
    }


def test_locations_are_listed_with_their_clock_and_how_to_reach_them(client: FlaskClient, catalog: Catalog) -> None:
    (place,) = listed(client, "locations")
    assert place == {
        "slug": "st-augustine",
        "name": "St. Augustine",
        "timezone": "America/New_York",
        "address": "12 Example Lane, St. Augustine, FL 32084",
        "phone": "904-555-0134",
    }


def test_what_only_the_desk_knows_of_is_nowhere(client: FlaskClient, database: Database, now: datetime) -> None:
    wanted = changed(clinic.load().catalog, "services", "massage-therapy", bookable="hidden")
    with database.transaction() as db:
        catalog_loading.load(db, wanted, now=now)
    for name in LISTS:
        assert "massage" not in client.get(f"/api/v1/{name}").text.lower().replace("massage therapist", "")


def test_a_change_of_the_catalogue_is_seen_at_once(
    client: FlaskClient, catalog: Catalog, database: Database, now: datetime
) -> None:
    assert len(listed(client, "services")) == 7
    with database.transaction() as db:
        catalog_loading.load(db, without(clinic.load().catalog, "massage-therapy", "wren-palmetto"), now=now)
    assert "massage-therapy" not in [each["slug"] for each in listed(client, "services")]
    assert len(listed(client, "practitioners")) == 2


@pytest.mark.parametrize("name", LISTS)
def test_a_clinic_without_a_catalogue_offers_nothing_and_breaks_nowhere(client: FlaskClient, name: str) -> None:
    assert listed(client, name) == []


@pytest.mark.parametrize("name", LISTS)
def test_the_lists_are_only_looked_at(client: FlaskClient, catalog: Catalog, name: str) -> None:
    assert client.head(f"/api/v1/{name}").status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = client.open(f"/api/v1/{name}", method=method)
        assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
