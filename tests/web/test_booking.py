"""A post that names a time: lead and visit in one, or the lead alone with the reason and the nearest other times."""

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from booking import clinic, reception
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.models import Appointment
from booking.models.lead import CONTENT, Lead
from booking.operations import catalog_loading
from booking.runtime import Runtime
from booking.web.representations import KEPT
from tests.clinics import changed
from tests.faults.weather import away as database_away
from tests.web.visitor import ADA, ADJUSTMENT, BEN, BROWSER, FIRST_VISIT, MASSAGE, Slot, free, path_of, post, wish

FAILED = "Oops! Something went wrong while submitting the form."
PLACE = re.compile(r"/received/(SV-[2-9A-Z]{4}-[2-9A-Z]{2})\?visit=([\w-]{22,})")
DOORS = ["/api/v1/leads", "/leads"]
every_door = pytest.mark.parametrize("door", DOORS)


def leads(runtime: Runtime) -> list[Lead]:
    with runtime.database.reading() as db:
        return list(db.scalars(select(Lead).order_by(Lead.id)))


def visits(runtime: Runtime) -> list[Appointment]:
    with runtime.database.reading() as db:
        return list(db.scalars(select(Appointment).order_by(Appointment.id)))


def as_webflow(fields: dict[str, str]) -> dict[str, str]:
    return {"name": "Contact Form"} | {f"fields[{name.replace('_', ' ').title()}]": fields[name] for name in fields}


def extras(runtime: Runtime, lead: Lead) -> Any:
    return json.loads(runtime.keyring.open(lead.content, CONTENT, lead.id))["extras"]


def take(client: FlaskClient, slot: Slot, service: str = ADJUSTMENT) -> None:
    """Somebody else is faster."""
    somebody = {"name": "Eve", "email": f"{slot['starts_at']}@example.com".replace(":", "").replace("+", "")}
    assert post(client, somebody | wish(slot, service)).status_code == 201


def two_people(client: FlaskClient) -> list[tuple[dict[str, str], Slot]]:
    found = free(client)
    return [(ADA, found[0]), (BEN, found[-1])]


def away(one: Slot, other: Slot) -> timedelta:
    return abs(datetime.fromisoformat(one["starts_at"]) - datetime.fromisoformat(other["starts_at"]))


def same_but_for_the_moment(answers: list[TestResponse]) -> bool:
    """Whether answers differ in nothing but what is made by chance or by the clock."""
    texts = {re.sub(r"SV-\w{4}-\w{2}|appointments/[\w-]+|\d+:\d\d\.\d+Z", "…", answer.text) for answer in answers}
    return len(texts) == 1 and len({answer.status_code for answer in answers}) == 1


# ---------------------------------------------------------------- booked


@every_door
def test_a_booked_time_is_answered_with_everything_a_page_shows(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str
) -> None:
    slot = free(client)[0]
    answer = post(client, ADA | wish(slot), path=door)
    body, (lead,), (visit,) = answer.get_json(), leads(runtime), visits(runtime)
    assert (answer.status_code, answer.mimetype, body["reference"]) == (201, "application/json", lead.reference)
    appointment = body["appointment"]
    url = appointment.pop("manage_url")
    assert appointment == {
        "reference": visit.reference,
        "starts_at": slot["starts_at"],
        "ends_at": slot["ends_at"],
        "timezone": "America/New_York",
        "service": ADJUSTMENT,
        "practitioner": slot["practitioner"],
        "location": "st-augustine",
        "calendar_url": f"{url}/calendar.ics",
    }
    assert (visit.lead_id, visit.starts_at) == (lead.id, datetime.fromisoformat(slot["starts_at"]))
    assert slot not in free(client)
    assert client.get(path_of(url)).status_code == 200


def test_the_link_is_a_secret_of_at_least_128_bits_and_is_not_stored(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    found = [post(client, who | wish(slot)) for who, slot in two_people(client)]
    tokens = [answer.get_json()["appointment"]["manage_url"].rpartition("/")[2] for answer in found]
    assert len(set(tokens)) == 2
    assert all(len(base64.urlsafe_b64decode(token + "==")) >= 16 for token in tokens)
    with runtime.database.reading() as db:
        for visit in db.execute(select(Appointment.__table__)).mappings():
            assert not [token for token in tokens if token in str(dict(visit))]


def test_a_browser_is_sent_on_to_the_thanks_with_its_visit(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    answer = client.post("/leads", data=ADA | wish(free(client)[0]), headers=BROWSER)
    place = PLACE.fullmatch(answer.headers["Location"])
    assert (answer.status_code, bool(place)) == (303, True)
    assert place
    assert place[1] == leads(runtime)[0].reference
    thanks = client.get(answer.headers["Location"])
    assert (thanks.status_code, thanks.headers["Referrer-Policy"]) == (200, "no-referrer")
    assert "Chiropractic Adjustment" in thanks.text
    assert "Lovelace" not in thanks.text
    assert client.get(f"/appointments/{place[2]}", headers={"Accept": "application/json"}).status_code == 200


SHAPES: dict[str, Any] = {
    "urlencoded": lambda client, fields: client.post("/leads", data=fields),
    "multipart": lambda client, fields: client.post("/leads", data=fields, content_type="multipart/form-data"),
    "Webflow's own post": lambda client, fields: client.post("/leads", data=as_webflow(fields)),
    "JSON in Webflow's wrapping": lambda client, fields: client.post("/leads", json={"fields": fields}),
    "answers in the address": lambda client, fields: client.get("/leads", query_string=fields),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_time_may_be_asked_for_in_any_shape_of_the_form(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, shape: str
) -> None:
    slot = free(client)[0]
    answer = SHAPES[shape](client, ADA | wish(slot))
    assert answer.status_code in {201, 303}
    (visit,) = visits(runtime)
    assert (visit.lead_id, visit.starts_at) == (leads(runtime)[0].id, datetime.fromisoformat(slot["starts_at"]))


def test_names_do_as_well_as_slugs_and_any_offset_names_the_same_time(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slot = free(client, practitioner="dr-juniper-tidewell")[0]
    utc = datetime.fromisoformat(slot["starts_at"]).astimezone(UTC)
    words = {"service": "Chiropractic Adjustment", "practitioner": "Dr. Juniper Tidewell", "location": "St. Augustine"}
    answer = post(client, ADA | words | {"starts_at": f"{utc:%Y-%m-%dt%H:%M:%S}.000z"})
    assert answer.get_json()["appointment"]["starts_at"] == slot["starts_at"]


def test_without_a_practitioner_the_first_who_is_free_has_the_visit(client: FlaskClient, catalog: Catalog) -> None:
    found = free(client)
    starts_at = next(slot["starts_at"] for slot in found if found.count(slot | {"practitioner": "dr-sol-marshgrove"}))
    able = [slot["practitioner"] for slot in found if slot["starts_at"] == starts_at]
    asked = {"service": ADJUSTMENT, "starts_at": starts_at}
    got = [post(client, {"email": f"{n}@example.com"} | asked) for n in range(len(able) + 1)]
    assert [answer.get_json()["appointment"]["practitioner"] for answer in got[:-1]] == able
    assert got[-1].status_code == 409


def test_signs_that_are_urgent_hold_up_no_booking_and_are_answered_with_advice(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    urgent = next(sign.slug for sign in runtime.clinic.signs if sign.level == "emergency")
    answer = post(client, ADA | wish(free(client)[0]) | {"symptoms": [urgent]})
    assert (answer.status_code, answer.get_json()["advice"]) == (201, runtime.clinic.texts.emergency_advice)
    assert leads(runtime)[0].urgent
    assert len(visits(runtime)) == 1


# ---------------------------------------------------------------- taken meanwhile


@every_door
def test_when_somebody_was_faster_the_lead_is_safe_and_the_nearest_times_are_offered(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str
) -> None:
    slot = free(client, MASSAGE)[3]
    take(client, slot, MASSAGE)
    answer = post(client, ADA | wish(slot, MASSAGE), path=door)
    body = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    assert (body["title"], body["status"], set(body["errors"])) == (FAILED, 409, {"starts_at"})
    assert body["reference"] == leads(runtime)[1].reference
    assert not leads(runtime)[1].incomplete
    assert extras(runtime, leads(runtime)[1])["starts_at"] == slot["starts_at"]
    nearest = body["alternatives"]
    assert len({each["starts_at"] for each in nearest}) == 3
    assert all(each in free(client, MASSAGE) for each in nearest)
    assert (
        sorted(away(slot, each) for each in nearest) == sorted(away(slot, each) for each in free(client, MASSAGE))[:3]
    )
    assert len(visits(runtime)) == 1


@every_door
@pytest.mark.parametrize("key", ["k1", ""])
def test_trying_again_with_another_time_is_the_same_lead(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str, key: str
) -> None:
    slot = free(client)[0]
    take(client, slot)
    lost = [post(client, ADA | wish(slot), key=key, path=door) for _ in range(2)]
    other = lost[0].get_json()["alternatives"][0]
    done = post(client, ADA | wish(other), key=key, path=door)
    assert [answer.status_code for answer in (*lost, done)] == [409, 409, 201]
    assert len({answer.get_json()["reference"] for answer in (*lost, done)}) == 1
    assert "Idempotency-Replayed" not in done.headers
    assert done.get_json()["appointment"]["starts_at"] == other["starts_at"]
    assert [lead.name for lead in leads(runtime)] == ["Eve", "Ada Lovelace"]


@every_door
def test_a_time_that_never_was_can_be_mended_too(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str
) -> None:
    slot = free(client)[0]
    wrong = post(client, ADA | wish(slot) | {"starts_at": "tomorrow"}, key="k1", path=door)
    right = post(client, ADA | wish(slot), key="k1", path=door)
    assert (wrong.status_code, right.status_code) == (422, 201)
    assert wrong.get_json()["reference"] == right.get_json()["reference"]
    assert len(leads(runtime)) == len(visits(runtime)) == 1


def test_an_attempt_without_a_way_to_answer_books_nothing_until_it_is_complete(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slot = free(client)[0]
    attempt = post(client, {"name": "Ada"} | wish(slot), key="k1")
    assert (attempt.status_code, visits(runtime)) == (422, [])
    done = post(client, {"name": "Ada", "phone": "904-555-0134"} | wish(slot), key="k1")
    assert (done.status_code, done.get_json()["reference"]) == (201, attempt.get_json()["reference"])
    assert done.get_json()["appointment"]


# ---------------------------------------------------------------- once more the same


@every_door
@pytest.mark.parametrize("key", ["k1", ""])
def test_the_same_post_again_is_the_same_answer_byte_for_byte_and_says_so(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str, key: str
) -> None:
    fields = ADA | wish(free(client)[0])
    first, second = (post(client, fields, key=key, path=door) for _ in range(2))
    third = post(client, fields | {"starts_at": free(client)[5]["starts_at"]}, key=key, path=door)
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert (third.status_code, third.get_json()) == (201, first.get_json() | {"note": KEPT})
    assert [answer.headers.get("Idempotency-Replayed") for answer in (first, second, third)] == [None, "true", None]
    assert len(leads(runtime)) == len(visits(runtime)) == 1


@every_door
@pytest.mark.parametrize("first", ["without a time", "with one that is none"])
def test_who_thinks_better_of_choosing_a_time_is_no_second_lead(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str, first: str
) -> None:
    slot = free(client)[0]
    posts = [ADA, ADA | wish(slot)] if first == "without a time" else [ADA | {"starts_at": "soon"}, ADA]
    answers = [post(client, fields, path=door) for fields in posts]
    assert [answer.status_code for answer in answers] == ([201, 201] if first == "without a time" else [422, 201])
    assert len({answer.get_json()["reference"] for answer in answers}) == len(leads(runtime)) == 1
    assert len(visits(runtime)) == (1 if first == "without a time" else 0)


def test_a_second_click_in_a_browser_leads_to_the_same_place(client: FlaskClient, catalog: Catalog) -> None:
    fields = ADA | wish(free(client)[0]) | {"submission_key": "k1"}
    first, second = (client.post("/leads", data=fields, headers=BROWSER) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true"


def test_the_key_of_a_cached_page_books_for_each_who_has_it(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    posts = two_people(client)
    answers = [post(client, who | wish(slot), key="cached", path="/leads") for who, slot in posts]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.get_json()["appointment"]["manage_url"] for answer in answers}) == 2
    assert len(leads(runtime)) == len(visits(runtime)) == 2


def test_a_programs_key_with_another_person_is_refused_and_books_nothing(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slots = free(client)
    post(client, ADA | wish(slots[0]), key="k1")
    answer = post(client, BEN | wish(slots[5]), key="k1")
    assert (answer.status_code, set(answer.get_json()["errors"])) == (422, {"submission_key"})
    assert len(leads(runtime)) == len(visits(runtime)) == 1


@pytest.mark.parametrize("key", ["page", ""])
def test_a_parent_books_two_children_back_to_back(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, key: str
) -> None:
    family = {"email": "ada@example.com", "phone": "904-555-0134", "message": ""}
    first = free(client, MASSAGE)[0]
    answers = [post(client, {"name": "Mia"} | family | wish(first, MASSAGE), key=key, path="/leads")]
    second = free(client, MASSAGE)[0]
    answers.append(post(client, {"name": "Tom"} | family | wish(second, MASSAGE), key=key, path="/leads"))
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [lead.name for lead in leads(runtime)] == ["Mia", "Tom"]
    assert [visit.lead_id for visit in visits(runtime)] == [lead.id for lead in leads(runtime)]


# ---------------------------------------------------------------- while the database is away


def test_while_nobody_can_tell_whether_a_time_is_free_it_is_a_request_and_never_confirmed(
    app: Flask, client: FlaskClient, catalog: Catalog, runtime: Runtime, tmp_path: Path
) -> None:
    slot = free(client)[0]
    with database_away(runtime.database.dialect, tmp_path) as nowhere:
        app.extensions["booking"] = replace(runtime, database=nowhere)
        answer = post(client, ADA | wish(slot), key="k1")
        page = client.post("/leads", data=BEN | wish(slot), headers=BROWSER)
    app.extensions["booking"] = runtime
    assert (answer.status_code, answer.get_json()["appointment"]) == (202, None)
    assert (page.status_code, page.headers["Location"].endswith("?time=open")) == (303, True)
    assert [fate for _, fate in reception.drain(runtime, lambda: datetime.now(UTC))] == ["stored", "stored"]
    assert (len(leads(runtime)), visits(runtime)) == (2, [])
    assert [extras(runtime, lead)["starts_at"] for lead in leads(runtime)] == [slot["starts_at"]] * 2
    again = post(client, ADA | wish(slot), key="k1")
    assert (again.status_code, again.get_json()["reference"]) == (201, answer.get_json()["reference"])
    assert again.get_json()["appointment"]["starts_at"] == slot["starts_at"]


# ---------------------------------------------------------------- who is new, and who is known


@pytest.fixture
def for_some(database: Database, catalog: Catalog, now: datetime) -> None:
    """Massage is for those who have been here before; the first visit is for those who have not."""
    with database.transaction() as db:
        wanted = changed(clinic.load().catalog, "services", MASSAGE, audience="returning")
        catalog_loading.load(db, wanted, now=now)


@pytest.mark.parametrize(("service", "new"), [(FIRST_VISIT, "false"), (MASSAGE, "true")])
def test_who_says_they_are_new_or_not_is_told_the_rule_and_what_to_choose(
    client: FlaskClient, for_some: None, runtime: Runtime, service: str, new: str
) -> None:
    slot = free(client, service)[0]
    answer = post(client, ADA | wish(slot, service) | {"new_patient": new})
    assert (answer.status_code, set(answer.get_json()["errors"])) == (422, {"service"})
    assert answer.get_json()["reference"] == leads(runtime)[0].reference
    assert visits(runtime) == []


@pytest.mark.parametrize("new", ["true", "false", ""])
@pytest.mark.parametrize("service", [FIRST_VISIT, MASSAGE, ADJUSTMENT])
def test_no_answer_tells_whether_somebody_is_known(
    client: FlaskClient, for_some: None, runtime: Runtime, service: str, new: str
) -> None:
    known = ADA | {"phone": "904-555-0134"}
    assert post(client, known | wish(free(client)[0])).status_code == 201
    slot, answers = free(client, service)[0], []
    for who in (known, {"name": "Cy", "email": "cy@example.com", "phone": "904-555-0177"}):
        said = {"message": f"Again, {service}", "new_patient": new}
        answers.append(post(client, who | said | wish(slot, service)))
        if answers[-1].status_code == 201:
            path = path_of(answers[-1].get_json()["appointment"]["manage_url"])
            assert client.post(f"{path}/cancellation", json={}).status_code == 200
    assert same_but_for_the_moment(answers)
