"""SQLite is locked, or the disk takes no more; leads go to the spool, and when that is full nobody is deceived."""

import html
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from booking.clinic import Clinic
from booking.database import Database
from booking.runtime import Runtime
from booking.web.representations import FAILED
from tests.faults.crowd import Answer, Crowd, eventually, form, post
from tests.faults.ledger import (
    assert_all_stored_once,
    assert_kept,
    spool_folder,
    spooled,
    stored,
    wait_until_drained,
)
from tests.faults.weather import locked, no_file_longer_than
from tests.service import Serving, surroundings

Start = Callable[..., Serving]
LONGEST_SECONDS = 8.0
CANARY = "canary-of-a-health-text"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# ---------------------------------------------------------------- locked


@on_sqlite
def test_sqlite_locked_by_another_process_everybody_is_thanked_in_time_and_stored_once_it_is_free(
    serving: Start, database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    server = serving()
    with Crowd(server.port, size=16) as crowd:
        crowd.wait_for(201, 20)
        with locked(tmp_path / "booking.db"):
            crowd.wait_for(202, 60)
        crowd.wait_for(201, 20)
    assert set(crowd.statuses) == {201, 202}
    assert crowd.unanswered == set()
    assert crowd.slowest < LONGEST_SECONDS
    assert_kept(crowd.thanked.values(), database, environ)
    wait_until_drained(server.port)
    assert_all_stored_once(crowd.thanked, database, environ)


# ---------------------------------------------------------------- full


@on_sqlite
def test_a_disk_too_full_for_the_database_leaves_room_for_the_spool(
    serving: Start, database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    server = serving()
    thanked = {}
    log = tmp_path / "booking.db-wal"
    for number in range(40):
        thanked[f"before{number}"] = post(server.port, form(f"before{number}"), key=f"{number}")
    limit = 64 * 1024
    assert log.stat().st_size > limit, "the next commit would still fit"
    with no_file_longer_than(limit, server.pid):
        for number in range(5):
            thanked[f"full{number}"] = post(server.port, form(f"full{number}"), key=f"full{number}")
        assert "database_away" in server.output
    assert [answer.status for answer in thanked.values()] == [201] * 40 + [202] * 5
    references = {name: answer.reference for name, answer in thanked.items()}
    assert_kept(references.values(), database, environ)
    wait_until_drained(server.port)
    assert_all_stored_once(references, database, environ)


FILLED_IN = {
    "name": "Anna <Example>",
    "email": "anna@example.com",
    "phone": "904-555-0134",
    "message": f'{CANARY}\nsecond line & "quotes"',
    "service": "chiropractic",
    "preferred_times": "Tuesday after 3 pm",
    "contact_preference": "text",
    "new_patient": "yes",
    "consent_reply": "true",
    "submission_key": "the key of this page",
    "utm_source": "newsletter",
    "Favourite colour": "sea green",
}


@pytest.fixture
def stuffed(serving: Start, environ: dict[str, str], tmp_path: Path) -> Serving:
    """A server whose database is away and whose spool is full."""
    aside = spool_folder(environ) / "bad"
    aside.mkdir(parents=True)
    (aside / "000000000000001.SV-2222-22..lead").write_bytes(bytes(1_000_000))
    folder = tmp_path / "no database"
    folder.mkdir()
    return serving({"BOOKING_DATABASE_URL": f"sqlite:///{folder}", "BOOKING_SPOOL_LIMIT_MB": "1"})


@on_sqlite
def test_a_full_spool_tells_a_browser_so_and_keeps_every_keystroke(
    stuffed: Serving, runtime: Runtime, environ: dict[str, str]
) -> None:
    answer = post(stuffed.port, FILLED_IN, accept="text/html")
    assert_told_the_truth(answer, runtime.clinic)
    assert answer.text.count('<form id="lead-form"') == 1
    text = html.unescape(answer.text)
    for typed in set(FILLED_IN.values()) - {"chiropractic", "text", "yes", "true"}:
        assert typed in text
    for name, value in (("contact_preference", "text"), ("new_patient", "yes"), ("consent_reply", "true")):
        assert re.search(rf'<input[^>]*name="{name}" value="{value}"[^>]* checked', text), name
    assert re.search(r'<input[^>]*name="service" value="chiropractic"[^>]* checked>', text)
    assert re.search(r'name="submission_key" value="the key of this page"', text)
    assert CANARY not in stuffed.output


@on_sqlite
@pytest.mark.parametrize("path", ["/leads", "/api/v1/leads"])
def test_a_full_spool_tells_a_program_so(stuffed: Serving, runtime: Runtime, path: str) -> None:
    answer = post(stuffed.port, form("anna"), path=path)
    assert_told_the_truth(answer, runtime.clinic)
    body = json.loads(answer.text)
    assert (body["title"], body["status"]) == (FAILED, 503)
    assert "reference" not in body


def assert_told_the_truth(answer: Answer, clinic: Clinic) -> None:
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert FAILED in answer.text
    assert clinic.phone in answer.text


@on_sqlite
def test_nobody_who_found_the_spool_full_has_a_receipt_and_there_is_room_again_after_it_was_emptied(
    stuffed: Serving, environ: dict[str, str]
) -> None:
    assert post(stuffed.port, form("anna"), key="anna").status == 503
    assert not (Path(environ["BOOKING_DATA_DIR"]) / "receipts.log").exists()
    next((spool_folder(environ) / "bad").iterdir()).unlink()
    assert post(stuffed.port, form("anna"), key="anna").status == 202


@on_sqlite
def test_a_disk_too_full_for_anything_is_told_and_once_there_is_room_the_same_post_is_taken(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    server = serving()
    with no_file_longer_than(0, server.pid):
        refused = [post(server.port, form("anna"), key="anna") for _ in range(2)]
    assert [answer.status for answer in refused] == [503, 503]
    assert stored(database) == {}
    assert list(spool_folder(environ).glob("*.*")) == []
    eventually(lambda: post(server.port, form("anna"), key="anna").status == 201)
    assert stored(database).total() == 1


FULL_LOG = """
import os
from dataclasses import replace
from booking import config
from booking.app import create_app

app = create_app(config.load(os.environ, None))
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
answer = app.test_client().post("/leads", json={"name": "anna", "email": "anna@example.com"})
print(answer.status_code, answer.json.get("reference"))
"""


@on_sqlite
def test_a_log_that_cannot_be_written_costs_no_lead(environ: dict[str, str], tmp_path: Path) -> None:
    with locked(tmp_path / "booking.db"):
        told = subprocess.run(
            [sys.executable, "-c", FULL_LOG],
            env=surroundings() | environ,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        ).stdout
    assert told.startswith("202 SV-"), told
    assert spooled(environ) == {told.split()[1]}
