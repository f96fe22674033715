"""Holds over HTTP: a slot is kept for ten minutes for who is typing, and stands in nobody's way for longer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from booking.domain.catalog import Catalog
from booking.models import Appointment, Claim, Hold, Lead
from booking.runtime import Runtime
from tests.web.visitor import ADA, ADJUSTMENT, BEN, BROWSER, MASSAGE, Slot, free, hold, post, wish

TOKENS_OF_NOBODY = ("x", "0" * 32, "x" * 5000, "%00", "é", "%FF%FE", "-", "%2e%2e", "a b")


@pytest.fixture
def neighbour(app: Flask) -> FlaskClient:
    """Somebody at another address."""
    other = app.test_client()
    other.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    return other


def extend(client: FlaskClient, token: Any) -> TestResponse:
    return client.post("/api/v1/holds", json={"hold": token})


def count(runtime: Runtime, model: type) -> int:
    with runtime.database.reading() as db:
        return int(db.scalar(select(func.count()).select_from(model)) or 0)


def run_out(runtime: Runtime) -> None:
    """Ten minutes pass for every hold."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with runtime.database.transaction() as db:
        db.execute(update(Hold).values(expires_at=past))
        db.execute(update(Claim).where(Claim.hold_id.is_not(None)).values(expires_at=past))


def minutes_left(answer: TestResponse) -> float:
    expires_at = datetime.fromisoformat(answer.get_json()["expires_at"])
    return (expires_at - datetime.now(UTC)).total_seconds() / 60


def apart(client: FlaskClient, service: str = ADJUSTMENT) -> list[Slot]:
    """Free slots on days of their own."""
    by_day = {slot["starts_at"][:10]: slot for slot in reversed(free(client, service))}
    return [by_day[day] for day in sorted(by_day)]


# ---------------------------------------------------------------- placed, longer, given back


def test_a_hold_says_what_is_held_and_until_when(client: FlaskClient, catalog: Catalog) -> None:
    slot = free(client)[0]
    answer = hold(client, slot)
    body = answer.get_json()
    assert (answer.status_code, answer.mimetype, answer.headers["Cache-Control"]) == (
        201,
        "application/json",
        "no-store",
    )
    assert 9.5 < minutes_left(answer) <= 10
    assert len(body.pop("hold")) >= 22
    assert body.pop("expires_at").endswith("Z")
    assert body == {
        "can_be_extended": True,
        "starts_at": slot["starts_at"],
        "practitioner": slot["practitioner"],
        "location": "st-augustine",
    }


def test_the_same_again_under_its_key_is_the_same_hold(
    client: FlaskClient, neighbour: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    """The first answer was lost on its way: without the hold its own visitor would be kept out."""
    first, other = apart(client)[:2]
    held = client.post("/api/v1/holds", json=wish(first) | {"submission_key": "k"})
    again = client.post("/api/v1/holds", json=wish(first), headers={"Idempotency-Key": "k"})
    assert (held.status_code, again.status_code, again.get_json()) == (201, 201, held.get_json())
    assert hold(client, first).status_code == 409, "the twin: without the key it is somebody's"
    assert neighbour.post("/api/v1/holds", json=wish(first) | {"submission_key": "k"}).status_code == 409
    assert client.post("/api/v1/holds", json=wish(other) | {"submission_key": "k"}).status_code == 201
    assert count(runtime, Hold) == 2
    run_out(runtime)
    anew = client.post("/api/v1/holds", json=wish(first) | {"submission_key": "k"})
    assert anew.status_code == 201
    assert post(client, ADA | wish(first) | {"hold": anew.get_json()["hold"]}).status_code == 201


def test_what_is_held_is_offered_to_nobody_else_and_booked_by_nobody_else(
    client: FlaskClient, neighbour: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slot = free(client)[0]
    assert hold(client, slot).status_code == 201
    assert slot not in free(neighbour)
    lost = [hold(neighbour, slot), post(neighbour, BEN | wish(slot)), hold(client, slot)]
    assert [answer.status_code for answer in lost] == [409, 409, 409]
    assert all(answer.get_json()["alternatives"] for answer in lost)
    assert all("starts_at" in answer.get_json()["errors"] for answer in lost)
    assert count(runtime, Appointment) == 0


def test_without_a_practitioner_whoever_is_free_is_held(client: FlaskClient, catalog: Catalog) -> None:
    slot = free(client)[0]
    answer = client.post("/api/v1/holds", json={"service": ADJUSTMENT, "starts_at": slot["starts_at"]})
    assert answer.get_json()["practitioner"] == slot["practitioner"]


def test_a_form_can_hold_as_well_as_a_program(client: FlaskClient, catalog: Catalog) -> None:
    assert client.post("/api/v1/holds", data=wish(free(client)[0])).status_code == 201


def test_a_hold_can_be_made_longer_once(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> None:
    token = hold(client, free(client)[0]).get_json()["hold"]
    with runtime.database.transaction() as db:
        almost = datetime.now(UTC) + timedelta(minutes=1)
        db.execute(update(Hold).values(expires_at=almost))
        db.execute(update(Claim).values(expires_at=almost))
    longer, again = extend(client, token), extend(client, token)
    assert (longer.status_code, longer.get_json()["hold"], longer.get_json()["can_be_extended"]) == (200, token, False)
    assert 9.5 < minutes_left(longer) <= 10
    assert (again.status_code, again.mimetype) == (409, "application/problem+json")


def test_a_hold_that_is_not_there_cannot_be_made_longer(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    token = hold(client, free(client)[0]).get_json()["hold"]
    run_out(runtime)
    refused = [extend(client, each) for each in (token, "x", "x" * 5000, "é\ud83d\ude00", ["x"], {"a": 1}, 7, True)]
    assert {answer.status_code for answer in refused} == {409}
    assert len({answer.get_json()["detail"] for answer in refused}) == 1


def test_a_hold_is_given_back_and_doing_it_twice_says_the_same(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slot = free(client)[0]
    path = f"/api/v1/holds/{hold(client, slot).get_json()['hold']}"
    answers = [client.delete(path) for _ in range(2)]
    assert [(answer.status_code, answer.data) for answer in answers] == [(204, b"")] * 2
    assert slot in free(client)
    assert count(runtime, Claim) == count(runtime, Hold) == 0


def test_a_hold_of_nobody_is_given_back_in_the_same_words(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    hold(client, free(client)[0])
    for token in TOKENS_OF_NOBODY:
        assert (client.delete(f"/api/v1/holds/{token}").status_code, count(runtime, Hold)) == (204, 1)
    for method in ("GET", "HEAD", "POST", "PUT"):
        assert client.open("/api/v1/holds/x", method=method).status_code == 405


# ---------------------------------------------------------------- bounds


def test_two_can_be_held_at_a_time_and_one_who_is_next_door_is_somebody_else(
    client: FlaskClient, neighbour: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slots = apart(client)
    held = [hold(client, slot) for slot in slots[:3]]
    assert [answer.status_code for answer in held] == [201, 201, 429]
    assert int(held[2].headers["Retry-After"]) == 600
    assert slots[2] in free(client)
    assert hold(neighbour, slots[2]).status_code == 201
    client.delete(f"/api/v1/holds/{held[0].get_json()['hold']}")
    assert hold(client, slots[3]).status_code == 201
    run_out(runtime)
    assert [hold(client, slot).status_code for slot in slots[:3]] == [201, 201, 429]


def test_who_asks_without_end_is_told_to_wait_and_nobody_else_is(
    client: FlaskClient, neighbour: FlaskClient, catalog: Catalog
) -> None:
    answers = [extend(client, "x") for _ in range(25)]
    assert [answer.status_code for answer in answers] == [409] * 20 + [429] * 5
    assert answers[-1].mimetype == "application/problem+json"
    assert answers[-1].headers["Retry-After"] == "60"
    assert hold(neighbour, free(neighbour)[0]).status_code == 201
    assert post(client, ADA | wish(free(client)[0])).status_code == 201


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no time": ("starts_at", {"starts_at": None}),
    "a time in words": ("starts_at", {"starts_at": "tomorrow"}),
    "no zone": ("starts_at", {"starts_at": "2026-12-01T10:00:00"}),
    "long ago": ("starts_at", {"starts_at": "2020-01-01T10:00:00Z"}),
    "far ahead": ("starts_at", {"starts_at": "2099-01-01T10:00:00Z"}),
    "another type": ("starts_at", {"starts_at": ["2026-12-01"]}),
    "NUL": ("starts_at", {"starts_at": "2026-12-01T10:00:00Z\0"}),
    "no service": ("service", {"service": ""}),
    "an unknown service": ("service", {"service": "x" * 10_000}),
    "a service agreed on by phone": ("service", {"service": "aesthetics"}),
    "a practitioner who does not give it": ("practitioner", {"practitioner": "wren-palmetto"}),
    "an unknown location": ("location", {"location": "mars"}),
    "NUL in the service": ("service", {"service": "\0"}),
    "a number for a location": ("location", {"location": 5}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_held_is_refused_with_the_field_named(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, wrong: str
) -> None:
    field, values = WRONG[wrong]
    answer = client.post("/api/v1/holds", json=wish(free(client)[0]) | values)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert set(answer.get_json()["errors"]) == {field}
    assert count(runtime, Hold) == count(runtime, Claim) == count(runtime, Lead) == 0


def test_a_body_of_garbage_is_refused_and_breaks_nothing(client: FlaskClient, catalog: Catalog) -> None:
    for body, kind in (
        (b"{", "application/json"),
        (b"[1]", "application/json"),
        (b"\xff\x00", "text/plain"),
        (b"", ""),
    ):
        assert client.post("/api/v1/holds", data=body, content_type=kind).status_code in {400, 422}


# ---------------------------------------------------------------- a hold becomes a visit


@pytest.mark.parametrize("door", ["/leads", "/api/v1/leads"])
@pytest.mark.parametrize("told", ["the hold alone", "the hold and its time"])
def test_what_was_held_is_booked_by_who_held_it(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, door: str, told: str
) -> None:
    slot = free(client, MASSAGE)[0]
    token = hold(client, slot, MASSAGE).get_json()["hold"]
    fields = {"hold": token} | (wish(slot, MASSAGE) if told == "the hold and its time" else {})
    answer = post(client, ADA | fields, path=door)
    assert answer.status_code == 201
    booked = answer.get_json()["appointment"]
    assert {name: booked[name] for name in slot} == slot
    assert (booked["service"], count(runtime, Hold)) == (MASSAGE, 0)
    assert extend(client, token).status_code == 409
    assert post(client, ADA | fields, path=door).data == answer.data


def test_a_browser_books_what_it_held(client: FlaskClient, catalog: Catalog) -> None:
    token = hold(client, free(client)[0]).get_json()["hold"]
    answer = client.post("/leads", data=ADA | {"hold": token}, headers=BROWSER)
    assert (answer.status_code, "?visit=" in answer.headers["Location"]) == (303, True)


def test_a_hold_that_has_run_out_changes_nothing_while_its_time_is_free(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slot = free(client)[0]
    token = hold(client, slot).get_json()["hold"]
    run_out(runtime)
    assert slot in free(client)
    assert post(client, ADA | wish(slot) | {"hold": token}).status_code == 201


def test_a_hold_that_has_run_out_does_not_win_against_who_came_after_it(
    client: FlaskClient, neighbour: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    slot = free(client)[0]
    token = hold(client, slot).get_json()["hold"]
    run_out(runtime)
    assert post(neighbour, BEN | wish(slot)).status_code == 201
    assert post(client, ADA | wish(slot) | {"hold": token}).status_code == 409


@pytest.mark.parametrize("token", ["x", "x" * 10_000, "é\u202e", None])
def test_a_hold_of_nobody_alone_is_no_time_but_the_lead_is_kept(
    client: FlaskClient, catalog: Catalog, runtime: Runtime, token: str | None
) -> None:
    if token is None:
        token = hold(client, free(client)[0]).get_json()["hold"]
        run_out(runtime)
    answer = post(client, ADA | {"hold": token})
    assert (answer.status_code, set(answer.get_json()["errors"])) == (422, {"hold"})
    with runtime.database.reading() as db:
        assert db.scalars(select(Lead.reference)).all() == [answer.get_json()["reference"]]
    assert count(runtime, Appointment) == 0


def test_who_holds_one_slot_and_books_another_gives_the_held_one_back(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    held, other = apart(client)[:2]
    token = hold(client, held).get_json()["hold"]
    answer = post(client, ADA | wish(other) | {"hold": token})
    assert answer.get_json()["appointment"]["starts_at"] == other["starts_at"]
    assert held in free(client)
    assert count(runtime, Hold) == 0


def test_a_hold_stays_while_the_form_is_not_complete(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> None:
    slot = free(client)[0]
    token = hold(client, slot).get_json()["hold"]
    assert post(client, {"name": "Ada", "hold": token} | wish(slot), key="k1").status_code == 422
    assert (count(runtime, Hold), count(runtime, Appointment)) == (1, 0)
    assert post(client, ADA | {"hold": token} | wish(slot), key="k1").status_code == 201
