"""What a visitor is told beside the thanks: that a time was not booked, and whatever else they must know."""

import html
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from booking.domain.catalog import Catalog
from booking.models import Appointment
from booking.models.lead import Lead
from booking.runtime import Runtime
from booking.web.representations import CANCELLED, KEPT
from tests.web.visitor import ADA, BEN, BROWSER, free, path_of, post, wish


def rows(runtime: Runtime, model: type) -> list[Any]:
    with runtime.database.reading() as db:
        return list(db.scalars(select(model)))


def test_who_posts_the_same_after_a_cancellation_is_told_of_it(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    fields = ADA | wish(free(client)[0])
    booked = post(client, fields, key="one").get_json()
    client.post(f"{path_of(booked['appointment']['manage_url'])}/cancellation", json={})
    again = post(client, fields, key="one")
    assert (again.status_code, again.get_json()) == (201, booked | {"note": CANCELLED})
    assert len(rows(runtime, Appointment)) == 1


def test_who_has_a_visit_and_asks_for_another_time_is_told_that_it_was_not_booked(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    first, other = free(client)[0], free(client)[5]
    booked = post(client, ADA | wish(first), key="one").get_json()
    again = post(client, ADA | wish(other), key="one")
    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (201, False)
    assert again.get_json() == booked | {"note": KEPT}
    page = client.post("/leads", data=ADA | wish(other), headers=BROWSER | {"Idempotency-Key": "two"})
    assert KEPT not in client.get(page.location).text
    page = client.post("/leads", data=ADA | wish(first), headers=BROWSER | {"Idempotency-Key": "two"})
    assert page.status_code == 303
    told = client.get(page.location).text
    assert KEPT in html.unescape(told)
    assert len(rows(runtime, Appointment)) == 2


def test_whoever_must_know_something_is_told_before_they_go_back_to_the_web_site(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    site = {"return_to": f"{runtime.base_url}/thanks"}
    first, other = free(client)[0], free(client)[5]
    urgent = next(sign.slug for sign in runtime.clinic.signs if sign.level == "emergency")

    def told(fields: dict[str, Any]) -> str:
        place = client.post("/leads", data=fields | site, headers=BROWSER).location
        return place if place == site["return_to"] else html.unescape(client.get(place).text)

    assert told(BEN) == site["return_to"], "who needs to know nothing more goes there at once"
    for fields, sentence in (
        (ADA | wish(first), "Your appointment is booked."),
        (ADA | wish(other), KEPT),
        ({"email": "eve@example.com", "symptoms": urgent}, runtime.clinic.texts.emergency_advice),
    ):
        page = told(fields)
        assert sentence in page
        assert f'href="{site["return_to"]}"' in page
    nowhere = client.get(
        f"/received/{rows(runtime, Lead)[0].reference}", query_string={"back": "https://evil.example/"}
    )
    assert "evil" not in nowhere.text
