"""The server is killed between two instructions, again and again, and nobody who was thanked is lost."""

import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from booking.database import Database
from tests.faults.crowd import Crowd, eventually, form, post
from tests.faults.ledger import assert_all_stored_once, assert_kept, leads_by_name, stored, wait_until_drained
from tests.service import Serving, surroundings

Start = Callable[..., Serving]


def killed_under_load(server: Serving, after: int) -> Crowd:
    """The crowd that was posting when the server was killed, once `after` of them had been thanked."""
    with Crowd(server.port) as crowd:
        eventually(lambda: len(crowd.thanked) >= after)
        server.kill()
        crowd.wait()
    return crowd


def test_a_server_killed_under_load_has_lost_nobody_it_thanked_and_who_tries_again_has_one_lead(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    crowd = killed_under_load(serving(), after=60)
    assert crowd.unanswered, "the kill came while nobody was posting"
    assert_kept(crowd.thanked.values(), database, environ)
    server = serving()
    for name in crowd.unanswered:
        answer = post(server.port, form(name), key=name)
        assert answer.status == 201
        crowd.thanked[name] = answer.reference
    wait_until_drained(server.port)
    assert_all_stored_once(crowd.thanked, database, environ)


def test_who_was_thanked_before_the_kill_is_told_the_same_after_it(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    crowd = killed_under_load(serving(), after=20)
    server = serving()
    for name, reference in crowd.thanked.items():
        again = post(server.port, form(name), key=name)
        assert (again.status, again.replayed, again.reference) == (201, True, reference)
    assert_kept(crowd.thanked.values(), database, environ)


def test_leads_that_wait_when_a_server_is_killed_are_stored_by_the_next(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    away = {"BOOKING_DATABASE_URL": f"sqlite:///{environ['BOOKING_DATA_DIR']}"}  # a folder: it cannot be opened
    first = serving(away)
    thanked = {name: post(first.port, form(name), key=name) for name in ("anna", "bert", "cleo")}
    first.kill()
    assert {answer.status for answer in thanked.values()} == {202}
    assert stored(database) == {}
    assert_kept([answer.reference for answer in thanked.values()], database, environ)
    wait_until_drained(serving().port)
    assert_all_stored_once({name: answer.reference for name, answer in thanked.items()}, database, environ)


# ---------------------------------------------------------------- between commit and answer


def send_and_hang_up(port: int, name: str) -> None:
    """Post a whole form and leave before anything can be answered."""
    body = "&".join(f"{field}={value}" for field, value in form(name).items()).replace(" ", "+").encode()
    head = (
        f"POST /leads HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nIdempotency-Key: {name}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + body)


def test_a_visitor_whose_answer_was_lost_tries_again_and_is_one_lead(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    server = serving()
    names = [f"lost{number}" for number in range(20)]
    for name in names:
        send_and_hang_up(server.port, name)
    eventually(lambda: sum(leads_by_name(database).values()) == len(names))
    answers = {name: post(server.port, form(name), key=name) for name in names}
    assert all(answer.replayed and answer.status == 201 for answer in answers.values())
    assert_all_stored_once({name: answer.reference for name, answer in answers.items()}, database, environ)


def test_twin_a_visitor_who_tries_again_with_no_key_and_other_words_is_two_leads(
    serving: Start, database: Database
) -> None:
    server = serving()
    send_and_hang_up(server.port, "lost")
    eventually(lambda: leads_by_name(database)["lost"] == 1)
    post(server.port, form("lost") | {"message": "other words"})
    assert leads_by_name(database)["lost"] == 2


def test_a_kill_between_commit_and_answer_leaves_one_lead_for_who_tries_again(
    serving: Start, database: Database, environ: dict[str, str]
) -> None:
    names = [f"visitor{number}" for number in range(100)]
    server = serving()
    for name in names:
        send_and_hang_up(server.port, name)
    eventually(lambda: leads_by_name(database).total() > 0)
    server.kill()
    committed = leads_by_name(database)
    assert 0 < len(committed) < len(names), "the kill came after the last commit"
    server = serving()
    answers = {name: post(server.port, form(name), key=name) for name in names}
    assert {name for name, answer in answers.items() if answer.replayed} == set(committed)
    assert_all_stored_once({name: answer.reference for name, answer in answers.items()}, database, environ)


# ---------------------------------------------------------------- what the order is worth

THANKS_FIRST = """
import os, sys
from datetime import UTC, datetime
from booking import config
from booking.app import open_runtime
from booking.domain.submission import Submission
from booking.operations import leads

premises, now = open_runtime(config.load(os.environ, None)), datetime.now(UTC)
anna = Submission(name="anna", email="anna@example.com")
with premises.database.transaction() as db:
    captured = leads.capture(db, anna, premises.desk, reference="SV-2222-22", received_at=now, now=now)
    print(captured.reference, flush=True)
    sys.stdin.read()
"""


def test_twin_a_service_that_thanks_before_it_commits_loses_whom_it_thanked(
    database: Database, environ: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", THANKS_FIRST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=surroundings() | environ,
        text=True,
    )
    with process:
        assert process.stdout is not None
        thanked = process.stdout.readline().strip()
        process.kill()
    assert thanked == "SV-2222-22"
    with pytest.raises(AssertionError, match=thanked):
        assert_kept([thanked], database, environ)
