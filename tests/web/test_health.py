"""Health: alive is alive, ready means that a lead can be stored, and the description is true."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking import config
from booking.app import create_app
from booking.database import schema
from booking.domain.fields import CANONICAL, HONEYPOT
from booking.runtime import Runtime


@pytest.fixture
def unmigrated(environ: dict[str, str], database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The service on a database without a single table."""
    schema.downgrade(database_url, "base")
    app = create_app(config.load(environ, None))
    yield app
    app.extensions["booking"].database.close()


def test_alive_is_alive(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_ready_is_a_database_that_answers_at_the_newest_migration(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "ready",
        "database": "ok",
        "migrations": "ok",
        "spool": 0,
        "set_aside": 0,
    }


def test_a_database_that_was_not_migrated_is_not_ready(unmigrated: Flask) -> None:
    client = unmigrated.test_client()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["migrations"]) == (503, "behind")
    assert client.get("/healthz").status_code == 200


def test_what_waits_in_the_spool_is_counted(unmigrated: Flask) -> None:
    client = unmigrated.test_client()
    answer = client.post("/api/v1/leads", json={"email": "ada@example.com"})
    assert answer.status_code == 202
    assert client.get("/readyz").get_json()["spool"] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_cannot_be_opened_is_not_ready(client: FlaskClient, runtime: Runtime) -> None:
    runtime.database.close()
    path = Path(runtime.database.engine.url.database or "")
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    path.mkdir()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["database"]) == (503, "away")


# ---------------------------------------------------------------- the description


@pytest.fixture
def description(client: FlaskClient) -> Any:
    """What `/openapi.json` says."""
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    return answer.get_json()


def test_the_description_is_openapi_3_1_and_knows_the_programs_door(description: Any) -> None:
    assert description["openapi"].startswith("3.1.")
    assert description["info"]["title"]
    assert description["info"]["version"]
    post = description["paths"]["/api/v1/leads"]["post"]
    assert list(post["requestBody"]["content"]) == ["application/json"]
    assert {"201", "202", "400", "413", "422", "503"} <= set(post["responses"])
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key"]


def test_the_description_has_every_field_but_the_trap(description: Any) -> None:
    named = set(description["components"]["schemas"]["Lead"]["properties"])
    assert named == {*CANONICAL} - {HONEYPOT, "started_at"}


def test_every_reference_in_the_description_leads_somewhere(description: Any) -> None:
    text = json.dumps(description)
    schemas = description["components"]["schemas"]
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas


def test_the_answers_are_those_described(client: FlaskClient, description: Any) -> None:
    schemas = description["components"]["schemas"]
    received = client.post("/api/v1/leads", json={"email": "ada@gmial.com"}).get_json()
    problem = client.post("/api/v1/leads", json={"name": "Ada"}).get_json()
    assert set(schemas["Received"]["required"]) <= set(received) <= set(schemas["Received"]["properties"])
    assert set(schemas["Problem"]["required"]) <= set(problem) <= set(schemas["Problem"]["properties"])


def test_the_program_door_answers_only_what_is_described(client: FlaskClient, description: Any) -> None:
    described = set(description["paths"]["/api/v1/leads"]["post"]["responses"])
    bodies = [{"email": "ada@example.com"}, {"name": "Ada"}, [], {"email": 1}, {"message": "x" * 70_000}]
    statuses = {str(client.post("/api/v1/leads", json=body).status_code) for body in bodies}
    assert statuses <= described
    assert {"201", "422", "413"} <= statuses
