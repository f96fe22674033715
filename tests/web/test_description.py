"""The description of the interface: valid, complete, and true of every answer that can be had here."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from booking.domain.catalog import Catalog
from booking.models import Appointment
from booking.operations import tokens
from booking.runtime import Runtime
from booking.web.description import describe
from booking.web.schemas import schemas
from tests.web.shape import faults
from tests.web.visitor import ADA, ADJUSTMENT, AS_JSON, BEN, BROWSER, book, free, hold, path_of, post, wish

# How an answer looks does not depend on the database; what is in it is shown elsewhere on both.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DESCRIPTION = describe("the clinic", "http://127.0.0.1:8000")
OPERATIONS = {
    (path, method): operation for path, methods in DESCRIPTION["paths"].items() for method, operation in methods.items()
}
METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH"}


# ---------------------------------------------------------------- the check itself


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"type": "string"}),
        (True, {"type": "integer"}),
        ({}, {"type": "object", "required": ["a"]}),
        ({"b": 1}, {"type": "object", "properties": {"a": {}}}),
        ({"a": [1, "x"]}, {"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}),
        ("x", {"oneOf": [{"type": "null"}, {"const": "y"}]}),
        ("2026-12-01T10:00:00", {"type": "string", "format": "date-time"}),
        ("Not A Slug", {"$ref": "#/components/schemas/Slot"}),
    ],
)
def test_twin_the_check_finds_what_is_wrong(value: Any, schema: dict[str, Any]) -> None:
    assert list(faults(value, schema))


# ---------------------------------------------------------------- well made


def parts(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def test_it_is_openapi_3_1_with_all_that_it_must_have() -> None:
    assert re.fullmatch(r"3\.1\.\d", DESCRIPTION["openapi"])
    assert {"title", "version"} <= set(DESCRIPTION["info"])
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    for (path, _), operation in OPERATIONS.items():
        assert operation["summary"]
        assert all(re.fullmatch(r"[2345]\d\d", status) for status in operation["responses"])
        assert all(answer["description"] for answer in operation["responses"].values())
        named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_mention_leads_somewhere_and_no_schema_is_idle() -> None:
    mentioned = {
        part["$ref"].rpartition("/")[2] for part in parts(DESCRIPTION) if isinstance(part, dict) and "$ref" in part
    }
    assert mentioned == set(schemas())


@on_sqlite
def test_every_public_route_is_described_and_none_that_is_not_there(app: Flask) -> None:
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & METHODS
        if not rule.rule.startswith(("/staff/", "/static/", "/hooks/", "/metrics"))  # for the clinic's own programs
    }
    assert routes == set(OPERATIONS)


@on_sqlite
def test_the_parameters_of_slots_are_those_that_are_known(client: FlaskClient, catalog: Catalog) -> None:
    named = {each["name"] for each in OPERATIONS["/api/v1/slots", "get"]["parameters"]}
    answer = client.get("/api/v1/slots", query_string=dict.fromkeys(named, "x"))
    unknown = client.get("/api/v1/slots", query_string={"service": ADJUSTMENT, "other": "x"})
    assert "There is no such parameter." not in answer.text
    assert "There is no such parameter." in unknown.text


# ---------------------------------------------------------------- true


class Story:
    """A few visitors, and everything they are answered: by described path, method and status."""

    def __init__(self, client: FlaskClient, runtime: Runtime) -> None:
        self.client, self.runtime = client, runtime
        self.answers: list[tuple[str, str, TestResponse]] = []

    def ask(self, path: str, method: str = "get", *, of: str = "", **options: Any) -> TestResponse:
        """Ask for an address; `of` is the described path it belongs to."""
        options.setdefault("headers", AS_JSON)
        answer = self.client.open(path, method=method.upper(), **options)
        self.answers.append((of or path.partition("?")[0], method, answer))
        return answer

    def link(self, who: dict[str, str]) -> str:
        """The path of an appointment that is booked for this."""
        return path_of(book(self.client, who)["manage_url"])


def enquire(story: Story) -> None:
    slot = free(story.client)[0]
    advised = [sign.slug for sign in story.runtime.clinic.signs][:1]
    for door in ("/leads", "/api/v1/leads"):
        story.ask(door, "post", json={"email": "ada@gmial.com", "symptoms": advised, "message": door})
        for fields in (ADA | wish(slot) | {"message": door}, ADA | {"starts_at": "soon"}, {"name": "Ada"}):
            story.ask(door, "post", json=fields)
        story.ask(door, "post", json=BEN | wish(slot) | {"message": door})
        story.ask(door, "post", data=b"{", content_type="application/json")
        story.ask(door, "post", data=b"x" * 70_000, content_type="application/json")
    story.ask("/leads", "post", data=ADA, headers=BROWSER)
    story.ask("/leads", "post", data={"name": "Ada"}, headers=BROWSER)
    story.ask("/leads?name=Ada&email=ada%40example.com", headers=BROWSER)
    story.ask("/leads?name=Ada&email=ada%40example.com&message=x")
    story.ask("/leads?name=Ada")
    story.ask(f"/leads?{urlencode({'email': 'eve@example.com'} | wish(slot))}")


def look(story: Story) -> None:
    for name in ("services", "practitioners", "locations"):
        story.ask(f"/api/v1/{name}")
    slots = f"/api/v1/slots?service={ADJUSTMENT}&days=3"
    etag = story.ask(slots).headers["ETag"]
    story.ask(slots, headers={"If-None-Match": etag})
    story.ask(f"{slots}&from=2020-01-01")
    story.ask("/api/v1/slots")
    story.ask(f"{slots}&explain=true")
    for scope in ("leads:read", "slots:explain"):
        with story.runtime.database.transaction() as db:
            token = tokens.create(db, name=scope, scopes=[scope], now=datetime.now(UTC), days=1)
        story.ask(f"{slots}&explain=true", headers={"Authorization": f"Bearer {token}"})


def keep(story: Story) -> None:
    days = {slot["starts_at"][:10]: slot for slot in free(story.client)}
    first, second, third, *_ = days.values()
    held = hold(story.client, first).get_json()["hold"]
    for body in ({"hold": held}, {"hold": held}, wish(first), wish(second), wish(third), {"service": "x"}):
        story.ask("/api/v1/holds", "post", json=body)
    story.ask("/api/v1/holds", "post", data=b"{", content_type="application/json")
    story.ask("/api/v1/holds", "post", data=b"x" * 70_000)
    story.ask(f"/api/v1/holds/{held}", "delete", of="/api/v1/holds/{token}")


def manage(story: Story) -> None:
    slots = free(story.client)
    first = story.link(ADA)
    other = [slot["starts_at"] for slot in slots if slot["practitioner"] == slots[0]["practitioner"]][-1]
    over = story.link(BEN)
    with story.runtime.database.transaction() as db:
        now, name = datetime.now(UTC), story.client.get(over, headers=AS_JSON).get_json()["appointment"]["reference"]
        db.execute(update(Appointment).where(Appointment.reference == name).values(starts_at=now))
    for link in (first, "/appointments/x"):
        for path in ("", "/calendar.ics"):
            story.ask(link + path, of="/appointments/{token}" + path)
    story.ask(first, of="/appointments/{token}", headers=BROWSER)
    for link, headers in ((first, AS_JSON), (first, BROWSER), (over, AS_JSON), ("/appointments/x", AS_JSON)):
        described = "/appointments/{token}/confirmation"
        story.ask(f"{link}/confirmation", "post", of=described, data={}, headers=headers)
    for way in ("/rescheduling", "/cancellation"):
        described = "/appointments/{token}" + way
        for link, fields in (
            (over, {"starts_at": other}),
            (first, {"starts_at": 5, "reason": 5}),
            ("/appointments/x", {"starts_at": other}),
            (first, {"starts_at": other}),
            (first, {}),
        ):
            answer = story.ask(link + way, "post", of=described, json=fields)
            if answer.status_code == 200:
                first = path_of(answer.get_json()["appointment"]["manage_url"])
        story.ask(first + way, "post", of=described, data=b"{", content_type="application/json")
        story.ask(first + way, "post", of=described, data=b"x" * 70_000)
    story.ask(f"{first}/cancellation", "post", of="/appointments/{token}/cancellation", data={}, headers=BROWSER)
    third = story.link(BEN | {"name": "Ben the third"})
    described = "/appointments/{token}/rescheduling"
    story.ask(f"{third}/rescheduling", "post", of=described, data={"starts_at": other}, headers=BROWSER)


def read(story: Story) -> None:
    story.ask("/", headers=BROWSER)
    story.ask(f"/?service={ADJUSTMENT}", headers=BROWSER)
    story.ask("/?service=x", headers=BROWSER)
    story.ask("/times", "post", data={"service": ADJUSTMENT}, headers=BROWSER)
    story.ask("/times", "post", data={"service": "x"}, headers=BROWSER)
    story.ask("/times", "post", data=b"x" * 70_000)
    story.ask("/times", "post", data=b"{", content_type="application/json")
    name = post(story.client, BEN).get_json()["reference"]
    story.ask(f"/received/{name}", of="/received/{reference}", headers=BROWSER)
    story.ask("/received/SV-2222-22", of="/received/{reference}")
    for path in ("/healthz", "/readyz", "/openapi.json"):
        story.ask(path)


STORIES: dict[str, Callable[[Story], None]] = {
    "enquiring": enquire, "looking": look, "keeping": keep, "managing": manage, "reading": read,
}  # fmt: skip


@pytest.fixture
def told(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> Callable[[str], Story]:
    """Play a story."""

    def play(name: str) -> Story:
        story = Story(client, runtime)
        STORIES[name](story)
        return story

    return play


@on_sqlite
@pytest.mark.parametrize("name", STORIES)
def test_every_answer_is_one_that_is_described(told: Callable[[str], Story], name: str) -> None:
    wrong = []
    for path, method, answer in told(name).answers:
        described = OPERATIONS[path, method]["responses"].get(str(answer.status_code))
        kinds = described.get("content", {}) if described else {}
        if described is None or (kinds and answer.mimetype not in kinds):
            wrong.append(f"{method} {path} {answer.status_code} {answer.mimetype}")
        elif answer.is_json:
            schema = kinds[answer.mimetype]["schema"]
            wrong += [f"{method} {path} {answer.status_code} {fault}" for fault in faults(answer.get_json(), schema)]
    assert wrong == []


@on_sqlite
def test_every_described_answer_can_be_had_but_those_of_bad_weather(told: Callable[[str], Story]) -> None:
    had = {(path, method, str(answer.status_code)) for name in STORIES for path, method, answer in told(name).answers}
    described = {(*way, status) for way, operation in OPERATIONS.items() for status in operation["responses"]}
    bad_weather = {each for each in described if each[2] in {"202", "503"}}
    # An address is too short for these two.
    rare = {("/leads", "get", "400"), ("/leads", "get", "413")}
    assert described - had - bad_weather - rare == set()
