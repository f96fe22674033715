"""A visitor without a browser: looks at free times, books, holds, and follows the link to their appointment."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from booking.runtime import Runtime
from tests.service import Serving

ADJUSTMENT, MASSAGE, FIRST_VISIT = "chiropractic-adjustment", "massage-therapy", "first-visit"
AS_JSON = {"Accept": "application/json"}
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "message": "My back hurts since May."}
BEN = {"name": "Ben Franklin", "email": "ben@example.com", "message": "A first visit, please."}

Slot = dict[str, str]


def free(client: FlaskClient, service: str = ADJUSTMENT, **query: Any) -> list[Slot]:
    """The free slots of two weeks from the day after tomorrow: none of them is lost while a test runs."""
    first = (datetime.now(UTC) + timedelta(days=2)).date()
    asked = {"service": service, "from": first.isoformat(), "days": 14} | query
    answer = client.get("/api/v1/slots", query_string=asked)
    assert answer.status_code == 200, answer.text
    found: list[Slot] = answer.get_json()["slots"]
    return found


def later(client: FlaskClient, link: str) -> str:
    """The last free time with whom the visit is."""
    who = client.get(link, headers=AS_JSON).get_json()["appointment"]["practitioner"]
    return free(client, practitioner=who)[-1]["starts_at"]


def wish(slot: Slot, service: str = ADJUSTMENT) -> dict[str, str]:
    """A slot in the fields of the form."""
    return {"service": service} | {name: slot[name] for name in ("starts_at", "practitioner", "location")}


def post(client: FlaskClient, fields: Any, *, key: str = "", path: str = "/api/v1/leads") -> TestResponse:
    """Post as a program does."""
    return client.post(path, json=fields, headers={"Idempotency-Key": key} if key else {})


def book(client: FlaskClient, who: dict[str, str] = ADA, *, service: str = ADJUSTMENT, at: int = 0) -> dict[str, str]:
    """Book one of the free slots; the appointment as the answer shows it."""
    answer = post(client, who | wish(free(client, service)[at], service))
    assert answer.status_code == 201, answer.text
    found: dict[str, str] = answer.get_json()["appointment"]
    return found


def hold(client: FlaskClient, slot: Slot, service: str = ADJUSTMENT) -> TestResponse:
    """Ask for a slot to be held."""
    return client.post("/api/v1/holds", json=wish(slot, service))


def path_of(url: str) -> str:
    """The path of a link of ours."""
    return url.removeprefix("http://127.0.0.1:8000")


def elsewhere(server: Serving, fields: dict[str, str]) -> int:
    """Post to a server in a process of its own; the status of its answer."""
    asked = urllib.request.Request(  # noqa: S310  an address of ours
        f"{server.url}/api/v1/leads", json.dumps(fields).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310  the same
            status: int = answer.status
    except urllib.error.HTTPError as refusal:
        status = refusal.code
    return status


@contextmanager
def queries(runtime: Runtime) -> Iterator[list[str]]:
    """What is asked of the database within the block, the ends of transactions left out."""
    statements: list[str] = []

    def note(*seen: Any) -> None:
        if not seen[2].startswith("BEGIN"):
            statements.append(seen[2])

    event.listen(runtime.database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(runtime.database.engine, "before_cursor_execute", note)
