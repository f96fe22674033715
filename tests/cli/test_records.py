"""What `booking token`, `export` and `import` do, and what of it lies on standard output alone."""

import csv
import hashlib
import io
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from booking.database import Database
from booking.models.audit import AuditEntry
from booking.models.lead import Lead
from booking.models.staff import ApiToken
from tests.cli.conftest import OTHER_KEY, Terminal

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TRICKY = [
    {"name": "Ana María Núñez 北京", "email": "ana@example.com", "message": "She said \"no\",\nthen; '=1+1' 🦷"},
    {
        "name": "=HYPERLINK(1)",
        "phone": "(904) 555-0134",
        "message": "-2+3",
        "Insurance": "@none",
        "service": "Cleaning",
    },
    {"name": "'=x", "phone": "+44 20 7946 0958", "message": "", "utm_source": "+plus", "gclid": "12345678901234567890"},
    {"name": "Out of reach", "message": "no way to answer me"},
]
WEBFLOW = (
    "Name,E-mail,Phone Number,Message,Submission Date\r\n"
    "Ann Lee,ann@example.com,,My knee,11/24/2026 9:15:00 AM\r\n"
    "Bob,,904-555-0134,,11/24/2026 9:16:00 AM\r\n"
    "Cy,,,nobody can answer,11/24/2026 9:17:00 AM\r\n"
)


def post(client: FlaskClient) -> None:
    """Four visitors, the last of whom cannot be answered."""
    assert [client.post("/leads", json=lead).status_code for lead in TRICKY] == [201, 201, 201, 422]


def secret(terminal: Terminal, *scopes: str) -> str:
    """A token made at the terminal."""
    words = [word for scope in scopes for word in ("--scope", scope)]
    result = terminal.call("token", "create", "--name", "desk", *words)
    assert result.exit_code == 0
    return result.stdout.strip()


def ask(client: FlaskClient, token: str, **query: str) -> TestResponse:
    """Ask for the file as a program does."""
    headers = {"Authorization": f"Bearer {token}"}
    return client.get("/staff/leads.csv", query_string=query, headers=headers, buffered=True)


def recorded(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """What the command line has put on record."""
    with database.reading() as db:
        query = select(AuditEntry.action, AuditEntry.details).where(AuditEntry.actor == "command line")
        return [(row.action, row.details) for row in db.execute(query.order_by(AuditEntry.id))]


# ---------------------------------------------------------------- tokens


@ON_SQLITE
def test_a_new_token_lies_alone_on_standard_output_and_nowhere_in_the_data(terminal: Terminal) -> None:
    result = terminal.run("token", "create", "--name", "desk", "--scope", "leads:export")
    assert result.returncode == 0
    assert re.fullmatch(rb"bk_[\w-]{43}\n", result.stdout)
    token = result.stdout.strip()
    files = [path.read_bytes() for path in terminal.folder.rglob("*") if path.is_file()]
    assert any(hashlib.sha256(token).digest() in data for data in files), "the token is not kept where we looked"
    assert not any(token in data for data in files)


def test_a_token_is_good_for_its_scope_until_it_is_revoked(terminal: Terminal, client: FlaskClient) -> None:
    desk, reader = secret(terminal, "leads:export"), secret(terminal, "leads:read")
    assert ask(client, desk).status_code == 200
    assert ask(client, reader).status_code == 403
    assert ask(client, desk, profile="raw").status_code == 403
    assert ask(client, desk[:-1]).status_code == 401

    listed = terminal.call("token", "list").stdout.splitlines()
    assert [line.split("\t")[:2] for line in listed] == [["1", "desk"], ["2", "desk"]]
    assert desk[-4:] in listed[0]
    assert "leads:export" in listed[0]
    assert not any(token in line for line in listed for token in (desk, reader))
    assert "never used" in listed[1]

    assert terminal.call("token", "revoke", "1").exit_code == 0
    assert ask(client, desk).status_code == 401
    assert "revoked" in terminal.call("token", "list").stdout.splitlines()[0]


def test_an_expired_token_opens_nothing(terminal: Terminal, client: FlaskClient, database: Database) -> None:
    desk = secret(terminal, "leads:export")
    with database.transaction() as db:
        db.execute(update(ApiToken).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    answer = ask(client, desk)
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]


@ON_SQLITE
def test_a_name_typed_over_several_lines_is_listed_in_one(terminal: Terminal) -> None:
    made = terminal.call("token", "create", "--name", " the\tfront\r\ndesk\u2028", "--scope", "leads:export")
    assert made.exit_code == 0
    (line,) = terminal.call("token", "list").stdout.splitlines()
    assert line.split("\t")[:2] == ["1", "the front desk"]
    assert len(line.split("\t")) == 6


@ON_SQLITE
@pytest.mark.parametrize("name", ["", " \n", "x" * 201, "\x1b[31mred", "desk\u202e", os.fsdecode(b"caf\xe9")])
def test_a_name_that_a_list_cannot_show_is_refused(terminal: Terminal, name: str) -> None:
    result = terminal.call("token", "create", "--name", name, "--scope", "leads:export")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Must be a name of 1 to 200 printable characters." in result.stderr
    assert terminal.call("token", "list").stdout == ""


@pytest.mark.parametrize("number", ["7", "0", "9" * 30])
def test_a_token_that_does_not_live_cannot_be_revoked(terminal: Terminal, number: str) -> None:
    secret(terminal, "leads:export")
    assert terminal.call("token", "revoke", "1").exit_code == 0
    again, unknown = terminal.call("token", "revoke", "1"), terminal.call("token", "revoke", number)
    assert (again.exit_code, unknown.exit_code) == (2, 2)
    assert again.stderr == "There is no live token 1.\n"


def test_what_tokens_were_made_and_ended_is_on_record(terminal: Terminal, database: Database) -> None:
    secret(terminal, "leads:export")
    terminal.call("token", "revoke", "1")
    terminal.call("token", "revoke", "1")
    made = {"name": "desk", "scopes": ["leads:export"], "days": 365}
    assert recorded(database) == [("token_created", made), ("token_revoked", {"id": 1})]


# ---------------------------------------------------------------- export


@pytest.mark.parametrize("profile", ["spreadsheet", "raw"])
def test_export_writes_the_bytes_that_the_web_gives_and_puts_their_digest_on_record(
    terminal: Terminal, client: FlaskClient, database: Database, profile: str
) -> None:
    post(client)
    token = secret(terminal, "leads:export", "leads:export:raw")
    result = terminal.run("export", "--profile", profile)
    assert (result.returncode, result.stderr) == (0, b"3 leads\n")
    assert result.stdout == ask(client, token, profile=profile).data

    _, (began, wish), (ended, facts) = recorded(database)
    assert (began, ended) == ("export_started", "export_ended")
    assert (wish["filters"], wish["profile"]) == ({"incomplete": False}, profile)
    expected = wish | {"rows": 3, "sha256": hashlib.sha256(result.stdout).hexdigest(), "complete": True}
    assert facts == facts | expected


@pytest.mark.parametrize(
    ("words", "query", "rows"),
    [
        ("--incomplete", {"incomplete": "yes"}, 4),
        ("--service Cleaning", {"service": "Cleaning"}, 1),
        ("--status new --status lost", {"status": "new,lost"}, 3),
        ("--status converted", {"status": "converted"}, 0),
        ("--held", {"held": "yes"}, 0),
        ("--not-held", {"held": "no"}, 3),
        ("--from 2020-01-01 --to 2020-12-31", {"from": "2020-01-01", "to": "2020-12-31"}, 0),
        ("--from 2020-01-01", {"from": "2020-01-01"}, 3),
        ("--q 北京", {"q": "北京"}, 1),
        ("--q ANA@example", {"q": "ANA@example"}, 1),
        ("--urgent", {"urgent": "yes"}, 1),
        ("--not-urgent --q 555-0134", {"urgent": "no", "q": "555-0134"}, 1),
        ("--since 2020-01-01T00:00:00Z", {"since": "2020-01-01T00:00:00Z"}, 3),
        ("--since 2999-12-31T23:00:00-05:00", {"since": "2999-12-31T23:00:00-05:00"}, 0),
        ("--columns name,phone,reference --profile raw", {"columns": "name,phone,reference", "profile": "raw"}, 3),
    ],
)
def test_each_filter_of_export_chooses_what_the_same_filter_of_the_web_does(
    terminal: Terminal, client: FlaskClient, database: Database, words: str, query: dict[str, str], rows: int
) -> None:
    post(client)
    with database.transaction() as db:
        db.execute(update(Lead).where(Lead.email == "ana@example.com").values(urgent=True))
    exported = terminal.export(*words.split())
    assert exported == ask(client, secret(terminal, "leads:export", "leads:export:raw"), **query).data
    assert len(list(csv.reader(io.StringIO(exported.decode(), newline="")))) == rows + 1


@ON_SQLITE
@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("since", text) for text in ("yesterday", "2026-11-24", "2026-11-24T15:30:00", "0001-01-01T00:00:00Z")),
        *(("from", text) for text in ("24.11.2026", "20261124", "2026-11-31", "2026-W48-2", "1899-12-31")),
        *(("to", text) for text in ("tomorrow", "9999-12-31")),
        *((name, "x" * 501) for name in ("q", "service")),
    ],
)
def test_what_the_web_refuses_as_a_filter_export_refuses_in_the_same_words(
    terminal: Terminal, client: FlaskClient, name: str, text: str
) -> None:
    (problem,) = ask(client, secret(terminal, "leads:export"), **{name: text}).get_json()["errors"][name]
    result = terminal.call("export", f"--{name}", text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"Error: Invalid value for '--{name}': {problem}\n")


@ON_SQLITE
def test_a_filter_that_is_no_text_is_refused(terminal: Terminal) -> None:
    result = terminal.run("export", "--q", os.fsdecode(b"caf\xe9"))
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"Must be a text" in result.stderr


@ON_SQLITE
def test_export_to_where_nothing_can_be_written_says_so(terminal: Terminal) -> None:
    result = terminal.call("export", "--output", str(terminal.folder / "absent" / "leads.csv"))
    assert result.exit_code == 2
    assert "leads.csv" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@ON_SQLITE
def test_export_of_a_column_that_does_not_exist_names_those_that_do(terminal: Terminal) -> None:
    result = terminal.call("export", "--columns", "name,shoe_size")
    assert result.exit_code == 2
    assert "shoe_size" in result.stderr
    assert "reference" in result.stderr


@ON_SQLITE
def test_an_export_whose_reader_has_left_is_on_record_as_cut(
    terminal: Terminal, client: FlaskClient, database: Database
) -> None:
    post(client)
    reading, writing = os.pipe()
    os.close(reading)
    with terminal.start("export", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"Traceback" not in err
    (began, _), (ended, facts) = recorded(database)
    assert (began, ended, facts["complete"]) == ("export_started", "export_ended", False)


def test_a_lead_whose_key_is_gone_is_marked_in_the_file_and_nothing_else_gets_into_it(
    terminal: Terminal, client: FlaskClient
) -> None:
    post(client)
    before = terminal.export("--profile", "raw")
    result = terminal.told(ENCRYPTION_KEYS=OTHER_KEY).run("export", "--profile", "raw")
    assert result.returncode == 1
    assert b"3 leads, 3 of them unreadable" in result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout.decode(), newline="")))
    assert [row["message"] for row in rows] == ["[cannot be decrypted]"] * 3
    assert [row["name"] for row in rows] == [lead["name"] for lead in TRICKY[:3]]
    assert result.stdout.splitlines()[0] == before.splitlines()[0]


# ---------------------------------------------------------------- import


@pytest.mark.parametrize("profile", ["spreadsheet", "raw", "jsonl"])
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_our_own_file_taken_into_a_fresh_database_comes_out_again_to_the_byte(
    terminal: Terminal, client: FlaskClient, fresh: Callable[..., Terminal], engine: str, profile: str
) -> None:
    post(client)
    words = ("--incomplete", "--profile", profile)
    exported = terminal.export(*words)
    file = terminal.folder / "leads"
    file.write_bytes(exported)
    another = fresh(engine)
    first = another.call("import", str(file))
    assert (first.exit_code, first.stdout) == (0, "3 added, 1 incomplete, 0 known, 0 refused\n")
    assert another.export(*words) == exported
    second = another.call("import", str(file))
    assert (second.exit_code, second.stdout) == (0, "0 added, 0 incomplete, 4 known, 0 refused\n")
    assert another.export(*words) == exported


def test_webflows_list_of_submissions_is_taken_in_once_and_whoever_cannot_be_reached_as_incomplete(
    terminal: Terminal, database: Database
) -> None:
    file = terminal.folder / "submissions.csv"
    file.write_text(WEBFLOW, newline="")
    result = terminal.run("import", str(file))
    assert (result.returncode, result.stdout) == (0, b"2 added, 1 incomplete, 0 known, 0 refused\n")
    again = terminal.call("import", str(file))
    assert (again.exit_code, again.stdout) == (0, "0 added, 0 incomplete, 3 known, 0 refused\n")
    with database.reading() as db:
        query = select(Lead.name, Lead.incomplete, Lead.received_at).order_by(Lead.received_at)
        rows = [(row.name, row.incomplete, row.received_at.minute) for row in db.execute(query)]
    assert rows == [("Ann Lee", False, 15), ("Bob", False, 16), ("Cy", True, 17)]
    counts = {"file": "submissions.csv", "added": 2, "incomplete": 1}
    assert recorded(database) == [("imported", counts), ("imported", {"file": "submissions.csv", "known": 3})]


NONSENSE = {
    "empty": b"",
    "a picture": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "prose": b"Dear desk,\nplease find attached nothing at all.\n",
    "another alphabet": "Name,Téléphone\nZoé,1\n".encode("latin-1"),
    "other people's table": b"sku,price\n1,2\n",
    "broken JSON": b'{"reference": "SV-1", \n',
    "zeros": bytes(5000),
}


@ON_SQLITE
@pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_file_of_nonsense_is_refused_in_one_plain_line(terminal: Terminal, content: bytes) -> None:
    file = terminal.folder / "nonsense"
    file.write_bytes(content)
    result = terminal.call("import", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"[A-Z][^\n]+\.\n", result.stderr)


@ON_SQLITE
def test_a_file_that_is_not_there_is_a_misuse(terminal: Terminal) -> None:
    result = terminal.call("import", "absent.csv")
    assert result.exit_code == 2
    assert "absent.csv" in result.stderr


def test_bad_lines_are_named_and_the_good_ones_beside_them_are_kept(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    file.write_text(
        "reference,received_at,email,status\r\n"
        "SV-1,2026-11-24T15:30:00Z,a@example.com,new\r\n"
        "SV-2,yesterday,b@example.com,new\r\n"
        "SV-3,2026-11-24T15:30:00Z,c@example.com,enchanted\r\n"
        ",2026-11-24T15:30:00Z,d@example.com,new\r\n"
        "SV-5,2026-11-24T15:31:00Z,e@example.com,new\r\n",
        newline="",
    )
    result = terminal.run("import", str(file))
    assert (result.returncode, result.stdout) == (1, b"2 added, 0 incomplete, 0 known, 3 refused\n")
    assert result.stderr.decode().splitlines() == [
        "Line 3: The column received_at cannot be read.",
        "Line 4: The column status names no status.",
        "Line 5: The column reference is empty.",
    ]
    assert terminal.export("--columns", "reference", "--profile", "raw") == b"reference\r\nSV-1\r\nSV-5\r\n"
