"""Logs: one JSON line for each event with the request's id, and nothing of what a visitor typed, whatever breaks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from booking.logs import place_of_failure

ROOT = Path(__file__).parent.parent
CANARY = "canary4711"
# A process of its own: what it says on standard error is all there is, libraries included.
PROGRAM = """
import logging, os, sys, warnings
from booking import config
from booking.app import create_app

CANARY = "canary4711"
app = create_app(config.load(os.environ))

def broken():
    raise RuntimeError(f"{CANARY} in the text of an error")

def library():
    try:
        broken()
    except RuntimeError:
        logging.getLogger("some.library").exception("It failed")
    return "fine"

app.add_url_rule("/broken", view_func=broken, methods=["GET", "POST"])
app.add_url_rule("/library", view_func=library)
client = app.test_client()
person = {
    "name": f"{CANARY} Lovelace", "email": f"{CANARY}@example.com", "phone": f"904 555 0134 {CANARY}",
    "message": f"my {CANARY} hurts", "pet": CANARY, CANARY: "label", "submission_key": CANARY,
    "return_to": f"https://{CANARY}.test/", "page_url": f"https://x.test/?{CANARY}", "starts_at": CANARY,
}
headers = {
    "Referer": f"https://x.test/?{CANARY}", "Cookie": f"session={CANARY}", "Idempotency-Key": CANARY,
    "Origin": f"https://{CANARY}.test", "User-Agent": CANARY, "X-Request-Id": CANARY,
    "Authorization": f"Bearer {CANARY}",
}

def visit():
    attempt, refused = {"message": CANARY, "email": f"{CANARY} at"}, {CANARY: "a\\0b"}
    timeless = {name: value for name, value in person.items() if name != "starts_at"}
    for fields in (person, timeless, attempt, person | {"name": CANARY * 30}, refused):
        for path in ("/leads", "/api/v1/leads", "/broken", f"/{CANARY}", f"/received/{CANARY}"):
            client.post(path, data=fields, headers=headers)
            client.post(path, json=fields, headers=headers)
            client.post(path, data=fields, headers=headers, content_type="multipart/form-data")
            client.get(path, query_string=fields, headers=headers)
    for path in ("/", "/library", "/healthz", "/readyz", "/openapi.json", "/staff/leads.csv", "/staff/leads.jsonl"):
        client.get(path, query_string=person, headers=headers)
    client.post("/leads", data=b'{"email": "' + CANARY.encode(), content_type="application/json", headers=headers)
    client.post("/leads", data=f"message={CANARY}" + "x" * 70_000, headers=headers)
    client.put("/leads", query_string=person, headers=headers)
    client.open("/leads", method="OPTIONS", headers=headers)

print("good weather", file=sys.stdout)
visit()
print("bad weather", file=sys.stdout)
database = app.extensions["booking"].database
with database.engine.begin() as connection:
    connection.exec_driver_sql("alter table lead rename to gone")
visit()
database.close()
"""


@pytest.fixture
def lines(environ: dict[str, str], tmp_path: Path) -> list[str]:
    """Everything the service wrote on standard error while visitors posted in good weather and in bad."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BOOKING_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", PROGRAM],
        env=inherited | environ | {"BOOKING_LOG_LEVEL": "debug", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:2] == ["good weather", "bad weather"]
    return done.stderr.splitlines()


def test_every_line_is_json_with_the_requests_id_and_nothing_that_was_typed(lines: list[str]) -> None:
    assert [line for line in lines if CANARY in line.lower()] == []
    assert [line for line in lines if "Lovelace" in line or ("555" in line and "0134" in line)] == []
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for event in events:
        assert isinstance(event["event"], str)
        assert event["level"] in {"debug", "info", "warning", "error", "critical"}
        assert event["timestamp"].endswith("Z")
        assert len(event["request_id"]) == 16
    told = {event["event"] for event in events}
    assert {"request", "request_broke", "database_away", "It failed"} <= told, "what was provoked was told"
    assert {event["failure"] for event in events if event["event"] == "request_broke"} == {"RuntimeError"}
    each_request_is_one_line_with_an_id_of_its_own(events)


def each_request_is_one_line_with_an_id_of_its_own(events: list[dict[str, Any]]) -> None:
    requests = [event for event in events if event["event"] == "request"]
    assert len({event["request_id"] for event in requests}) == len(requests) > 100
    assert {event["method"] for event in requests} == {"GET", "POST", "PUT", "OPTIONS"}
    assert {event["status"] for event in requests} >= {200, 201, 202, 303, 400, 401, 404, 405, 413, 422, 500}
    assert "/received/<reference>" in {event["route"] for event in requests}
    assert all(event["ms"] >= 0 for event in requests)


def test_an_error_is_told_by_its_class_and_its_place_alone() -> None:
    try:
        raise ValueError(CANARY)
    except ValueError as failure:
        for told in (True, failure, (type(failure), failure, failure.__traceback__)):
            event = place_of_failure(None, "error", {"event": "broke", "exc_info": told})
            assert event["failure"] == "ValueError"
            assert f"{Path(__file__).name}:" in event["at"][0]
            assert CANARY not in repr(event)


def test_an_event_without_an_error_stays_as_it_is() -> None:
    assert place_of_failure(None, "info", {"event": "fine", "exc_info": None}) == {"event": "fine"}
