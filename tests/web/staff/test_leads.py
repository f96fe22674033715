"""The leads for programs: who may have them, what a query may ask, and what is on record afterwards."""

import csv
import hashlib
import io
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, TestResponse

from booking.domain import tabular
from booking.models.audit import AuditEntry
from booking.models.lead import new_id
from booking.operations import audit, imports, tokens
from booking.operations.imports import Line
from booking.runtime import Runtime
from tests.service import Serving

FILES = ["/staff/leads.csv", "/staff/leads.jsonl"]
Ask = Callable[..., TestResponse]


def put(runtime: Runtime, *leads: dict[str, Any]) -> None:
    lines, now = [], datetime.now(UTC)
    for number, lead in enumerate(leads):
        values = {"reference": f"SV-{number}", "email": f"{number}@example.com"} | lead
        at = now + timedelta(seconds=number)
        lines.append(Line(number, values=values, received_at=at, lead_id=new_id(at)))
    with runtime.database.transaction() as db:
        imports.take(db, lines, runtime.desk, now=now)


def token(runtime: Runtime, *scopes: str, days: int = 30) -> str:
    with runtime.database.transaction() as db:
        return tokens.create(db, name="desk", scopes=scopes, now=datetime.now(UTC), days=days)


def recorded(runtime: Runtime) -> list[tuple[str, str, dict[str, Any]]]:
    with runtime.database.reading() as db:
        assert audit.verify(db) is None
        query = select(AuditEntry.actor, AuditEntry.action, AuditEntry.details).order_by(AuditEntry.id)
        return [(row.actor, row.action, row.details) for row in db.execute(query)]


@pytest.fixture
def ask(client: FlaskClient, runtime: Runtime) -> Ask:
    """Ask for a file as the desk's program, which may have everything but `raw`."""
    secret = token(runtime, "leads:export")

    def get(path: str, method: str = "GET", scopes: tuple[str, ...] = (), **query: str) -> TestResponse:
        shown = token(runtime, *scopes) if scopes else secret
        headers = {"Authorization": f"Bearer {shown}"}
        return client.open(path, method=method, query_string=query, headers=headers, buffered=True)

    return get


def rows_of(response: TestResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.get_data().decode("utf-8-sig"), newline="")))


# ---------------------------------------------------------------- the files


def test_the_desk_gets_a_file_that_simply_opens_in_a_spreadsheet(ask: Ask, runtime: Runtime) -> None:
    put(runtime, {"name": "=1+1", "phone": "+19045550134"}, {"message": "two\nlines"})
    response = ask("/staff/leads.csv")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/csv")
    assert response.headers["X-Row-Count"] == "2"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="leads-20')
    assert response.headers["Content-Disposition"].endswith('.csv"')
    assert response.get_data().startswith(b'\xef\xbb\xbf"reference","received_at (America/New_York)"')
    first, second = rows_of(response)
    assert (first["name"], first["phone"], second["message"]) == ("'=1+1", "(904) 555-0134", "two\nlines")


def test_json_lines_are_beside_it(ask: Ask, runtime: Runtime) -> None:
    put(runtime, {"name": "=1+1"}, {})
    response = ask("/staff/leads.jsonl")
    assert response.headers["Content-Type"] == "application/jsonl"
    assert response.headers["X-Row-Count"] == "2"
    assert [json.loads(line)["name"] for line in response.get_data().splitlines()] == ["=1+1", ""]


def test_raw_has_a_scope_of_its_own(ask: Ask, runtime: Runtime) -> None:
    put(runtime, {"name": "=1+1"})
    assert ask("/staff/leads.csv", profile="raw").status_code == 403
    response = ask("/staff/leads.csv", scopes=("leads:export", "leads:export:raw"), profile="raw")
    assert response.get_data().startswith(b"reference,received_at,status")
    assert rows_of(response)[0]["name"] == "=1+1"


@pytest.mark.parametrize("path", FILES)
def test_a_query_chooses_leads_and_columns(ask: Ask, runtime: Runtime, path: str) -> None:
    put(runtime, {"status": "lost"}, {"held": True, "name": "Ada"}, {"email": "", "incomplete": True})
    assert ask(path).headers["X-Row-Count"] == "2"
    for query, rows in [
        ({"status": "lost"}, 1), ({"status": "new,lost"}, 2), ({"held": "yes"}, 1), ({"held": "false"}, 1),
        ({"urgent": "1"}, 0), ({"incomplete": "yes"}, 3), ({"q": "ada"}, 1), ({"service": "knees"}, 0),
        ({"from": "2026-01-01", "to": "2999-12-31"}, 2), ({"to": "2026-01-01"}, 0), ({"status": "", "q": " "}, 2),
        ({"since": "2026-01-01T00:00:00Z"}, 2), ({"since": "2026-01-01T00:00:00 05:00"}, 2),
        ({"since": "2999-01-01T00:00:00-05:00"}, 0),
    ]:  # fmt: skip
        response = ask(path, **query)
        assert (response.status_code, response.headers.get("X-Row-Count")) == (200, str(rows)), query
        assert len(response.get_data().splitlines()) == rows + (path == "/staff/leads.csv"), query
    narrow = ask("/staff/leads.csv", columns="name,reference", q="ada").get_data().decode("utf-8-sig")
    assert narrow == '"name","reference"\r\n"Ada","SV-1"\r\n'


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "waiting"),
        ("status", "new,waiting"),
        ("from", "yesterday"),
        ("from", "2026-02-30"),
        ("from", "0001-01-01"),
        ("to", "9999-12-31"),
        ("to", "2026-11-24T00:00"),
        ("since", "2026-11-24"),
        ("since", "2026-11-24T10:00:00"),
        ("since", "0001-01-01T00:00:00+14:00"),
        ("held", "perhaps"),
        ("urgent", "2"),
        ("incomplete", "only"),
        ("q", "x" * 501),
        ("q", "a\0b"),
        ("service", "\0"),
        ("columns", "reference,nmae"),
        ("profile", "excel"),
        ("statsu", "new"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(ask: Ask, path: str, name: str, text: str) -> None:
    response = ask(path, **{name: text})
    assert response.status_code == 422
    assert list(response.get_json()["errors"]) == [name]


def test_all_wrong_parameters_are_named_at_once(ask: Ask) -> None:
    errors = ask("/staff/leads.csv", held="x", columns="x", nonsense="x").get_json()["errors"]
    assert set(errors) == {"held", "columns", "nonsense"}


@pytest.mark.parametrize("path", FILES)
def test_head_tells_the_count_and_sends_nothing(ask: Ask, runtime: Runtime, path: str) -> None:
    put(runtime, {}, {})
    response = ask(path, method="HEAD")
    assert (response.status_code, response.headers["X-Row-Count"], response.get_data()) == (200, "2", b"")
    assert "Content-Length" not in response.headers
    assert recorded(runtime) == []


# ---------------------------------------------------------------- who may have them


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer ", "Bearer bk_wrong", "Basic YTpi", "Token x", "Bearer ä"]
)
def test_without_a_good_token_nobody_gets_a_lead(client: FlaskClient, path: str, shown: str | None) -> None:
    client.set_cookie("session", "anything")
    response = client.get(path, headers={} if shown is None else {"Authorization": shown})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", FILES)
def test_a_token_for_something_else_is_not_enough(ask: Ask, path: str) -> None:
    assert ask(path, scopes=("leads:read", "slots:explain", "leads:export:raw")).status_code == 403


@pytest.mark.parametrize("path", FILES)
def test_a_wrong_token_hears_nothing_of_its_query(client: FlaskClient, path: str) -> None:
    assert client.get(path, query_string={"held": "x"}).status_code == 401


def test_an_expired_token_is_not_good(client: FlaskClient, runtime: Runtime) -> None:
    with runtime.database.transaction() as db:
        long_ago = datetime.now(UTC) - timedelta(days=31)
        secret = tokens.create(db, name="old", scopes=["leads:export"], now=long_ago, days=30)
    assert client.get(FILES[0], headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_cookie_beside_a_good_token_changes_nothing(client: FlaskClient, ask: Ask) -> None:
    client.set_cookie("session", "anything")
    response = ask(FILES[0])
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


def test_the_last_use_of_a_token_is_on_record(ask: Ask, runtime: Runtime) -> None:
    ask(FILES[0])
    with runtime.database.reading() as db:
        assert tokens.list_all(db)[0].last_used_at is not None


# ---------------------------------------------------------------- what is on record


@pytest.mark.parametrize("path", FILES)
def test_an_export_is_on_record_with_who_what_and_the_digest_of_its_bytes(
    ask: Ask, runtime: Runtime, path: str
) -> None:
    put(runtime, {}, {"held": True})
    with ask(path, held="yes", columns="reference,name") as response:
        data = response.get_data()
    (who, started, wish), (also, ended, end) = recorded(runtime)
    assert who == also
    assert who.endswith("(desk)")
    assert (started, ended) == ("export_started", "export_ended")
    assert wish["filters"] == {"held": True, "incomplete": False}
    assert wish["columns"] == ["reference", "name"]
    facts = {"rows": 1, "sha256": hashlib.sha256(data).hexdigest(), "complete": True, "unreadable": 0}
    assert end == wish | facts


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_an_export_that_a_client_leaves_is_on_record_as_cut(app: Flask, runtime: Runtime, chunks: int) -> None:
    put(runtime, *({} for _ in range(1200)))
    headers = {"Authorization": f"Bearer {token(runtime, 'leads:export')}"}
    answer: Any = app(EnvironBuilder("/staff/leads.csv", headers=Headers(headers)).get_environ(), lambda *_: print)
    data = b"".join(islice(answer, chunks))
    answer.close()
    [_, (_, action, end)] = recorded(runtime)
    assert (action, end["complete"]) == ("export_ended", False)
    assert end["rows"] == max(0, chunks - 1) * 500
    assert end["sha256"] == hashlib.sha256(data).hexdigest()
    assert runtime.database.engine.pool.status().endswith("Current Checked out connections: 0")


def test_no_lead_leaves_the_house_unrecorded(ask: Ask, runtime: Runtime) -> None:
    put(runtime, {})
    with runtime.database.transaction() as db:
        audit.record(db, actor="x", action="x", details={}, now=datetime.now(UTC))
        entry = db.scalar(select(AuditEntry))
        assert entry is not None
        entry.id = 2**63 - 1  # the number after it does not exist
    assert ask("/staff/leads.csv").status_code >= 500


def test_the_columns_of_a_file_are_those_of_the_table(ask: Ask) -> None:
    assert [
        name.split(" ")[0]
        for name in csv.DictReader(io.StringIO(ask(FILES[0]).get_data().decode("utf-8-sig"))).fieldnames or ()
    ] == list(tabular.COLUMNS)


def test_a_program_that_hangs_up_in_the_middle_frees_the_snapshot_and_is_on_record(
    serving: Callable[[], Serving], runtime: Runtime
) -> None:
    put(runtime, *({"message": "x" * 16_000} for _ in range(3000)))  # more than all buffers on the way can hold
    server = serving()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as program:
        secret = token(runtime, "leads:export")
        program.sendall(f"GET /staff/leads.csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
        assert program.recv(4096).startswith(b"HTTP/1.1 200")
    until = time.monotonic() + 30
    while len(entries := recorded(runtime)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    _, action, end = entries[-1]
    assert (action, end["complete"]) == ("export_ended", False)
    assert 0 < end["rows"] < 3000
    assert server.stop() == 0
