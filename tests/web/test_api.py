"""The program's door: one exact answer for what is stored, problems for what is not, and keys taken at their word."""

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from booking.models.lead import CONTENT, Lead
from booking.runtime import Runtime

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "message": "My back hurts since May."}
BEN = {"name": "Ben Franklin", "email": "ben@example.com", "message": "A first visit, please."}
PATHS = ["/api/v1/leads", "/leads"]


def post(client: FlaskClient, fields: Any, key: str = "", path: str = "/api/v1/leads") -> TestResponse:
    return client.post(path, json=fields, headers={"Idempotency-Key": key} if key else {})


def stored(runtime: Runtime) -> list[Lead]:
    with runtime.database.reading() as db:
        leads = list(db.scalars(select(Lead).order_by(Lead.id)))
        db.expunge_all()
    return leads


@pytest.mark.parametrize("path", PATHS)
def test_what_is_stored_is_answered_exactly_so(client: FlaskClient, runtime: Runtime, path: str) -> None:
    answer = post(client, ADA, path=path)
    (lead,) = stored(runtime)
    body = answer.get_json()
    received_at = body.pop("received_at")
    assert (answer.status_code, answer.mimetype) == (201, "application/json")
    assert body == {
        "status": "received",
        "message": "Your submission has been received!",
        "reference": lead.reference,
        "appointment": None,
        "code": 200,
        "msg": "ok",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", received_at)
    assert abs((datetime.fromisoformat(received_at) - lead.received_at).total_seconds()) < 0.001
    assert re.fullmatch(r"SV-[2-9A-Z]{4}-[2-9A-Z]{2}", lead.reference)


def test_a_likely_slip_is_stored_and_suggested(client: FlaskClient, runtime: Runtime) -> None:
    answer = post(client, ADA | {"email": "ada@gmial.com"})
    assert (answer.status_code, answer.get_json()["suggestions"]) == (201, {"email": "ada@gmail.com"})
    assert stored(runtime)[0].email == "ada@gmial.com"


def test_a_program_that_fills_the_honeypot_hears_the_truth_too(client: FlaskClient, runtime: Runtime) -> None:
    assert post(client, ADA | {"contact_me_by_fax": "x"}).status_code == 201
    assert stored(runtime)[0].held


@pytest.mark.parametrize("path", PATHS)
def test_the_same_key_again_is_the_same_answer(client: FlaskClient, runtime: Runtime, path: str) -> None:
    first, second = post(client, ADA, "k1", path), post(client, ADA, "k1", path)
    assert first.get_json() == second.get_json()
    assert first.status_code == second.status_code == 201
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(stored(runtime)) == 1


def test_a_key_may_stand_in_the_header_or_in_a_field(client: FlaskClient, runtime: Runtime) -> None:
    first = post(client, ADA, "k1")
    assert post(client, ADA | {"submission_key": "k1"}).get_json() == first.get_json()
    assert post(client, ADA | {"submission_key": "another"}, "k1").get_json() == first.get_json()
    assert len(stored(runtime)) == 1


def test_the_same_key_with_another_content_is_refused_and_nothing_is_stored(
    client: FlaskClient, runtime: Runtime
) -> None:
    post(client, ADA, "k1")
    answer = post(client, BEN, "k1")
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert set(answer.get_json()["errors"]) == {"submission_key"}
    assert [lead.name for lead in stored(runtime)] == [ADA["name"]]


def test_the_same_key_on_the_form_is_a_new_lead(client: FlaskClient, runtime: Runtime) -> None:
    assert [post(client, who, "k1", "/leads").status_code for who in (ADA, BEN)] == [201, 201]
    assert len(stored(runtime)) == 2


def test_an_attempt_is_completed_under_its_key(client: FlaskClient, runtime: Runtime) -> None:
    attempt = post(client, {"name": "Ada", "message": "Help"}, "k1")
    assert attempt.status_code == 422
    done = post(client, {"name": "Ada", "message": "Help", "phone": "904-555-0134"}, "k1")
    assert (done.status_code, done.get_json()["reference"]) == (201, attempt.get_json()["reference"])
    assert [lead.incomplete for lead in stored(runtime)] == [False]


def test_extras_of_any_shape_come_back_as_they_were(client: FlaskClient, runtime: Runtime) -> None:
    extras = {"pets": [{"cat": 1, "dog": None}], "Score": 1.5, "vip": True, "é \U0001f600": "\u202e\u0000"[:1]}
    post(client, ADA | extras)
    (lead,) = stored(runtime)
    assert json.loads(runtime.keyring.open(lead.content, CONTENT, lead.id))["extras"] == extras


@pytest.mark.parametrize(
    ("body", "kind", "statuses"),
    [
        (b"name=Ada&email=ada%40example.com", "application/x-www-form-urlencoded", {400, 415}),
        (b"<lead/>", "application/xml", {400, 415}),
        (b"", "application/json", {400}),
        (b"{", "application/json", {400}),
        (b"[1]", "application/json", {400, 422}),
        (b"{}", "application/json", {422}),
        (b'{"email": ""}', "application/json", {422}),
    ],
)
def test_what_is_no_enquiry_in_json_is_a_problem(
    client: FlaskClient, runtime: Runtime, body: bytes, kind: str, statuses: set[int]
) -> None:
    answer = client.post("/api/v1/leads", data=body, content_type=kind)
    assert answer.status_code in statuses
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["status"] == answer.status_code


# ---------------------------------------------------------------- while the database is away


@contextmanager
def away(runtime: Runtime) -> Iterator[None]:
    """Another process holds the writers' turn; after the first time-out everybody is told at once."""
    with Path(f"{runtime.database.engine.url.database}.writer").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_the_database_is_away_nothing_untrue_is_said(client: FlaskClient, runtime: Runtime) -> None:
    with away(runtime):
        first = post(client, ADA, "k1")
        again, other = post(client, ADA, "k1"), post(client, BEN, "k1")
        attempts = [post(client, {"name": "Cy", "message": "Help"}, "k2") for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.get_json() == first.get_json()
    assert other.status_code == 422 or other.get_json()["reference"] != first.get_json()["reference"]
    assert [attempt.status_code for attempt in attempts] == [422, 422]
