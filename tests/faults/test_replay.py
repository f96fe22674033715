"""What `booking replay`, `booking reconcile` and /readyz say of leads that waited, good files and bad."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from booking import reception
from booking.database import Database
from booking.domain.submission import Submission
from booking.runtime import Runtime
from tests.faults.ledger import booking, leads_by_name, stored
from tests.faults.weather import away

CANARY = "canary-of-a-health-text"


def enquiry(name: str) -> Submission:
    return Submission(name=name, email=f"{name}@example.com", message=CANARY, key=name)


@pytest.fixture
def stormy(runtime: Runtime, tmp_path: Path) -> Iterator[Runtime]:
    """The premises of this test, whose database cannot be reached."""
    with away(runtime.database.dialect, tmp_path) as database:
        yield replace(runtime, database=database)


def test_a_bad_spool_file_is_set_aside_counted_and_named_and_those_behind_it_are_stored(
    stormy: Runtime, database: Database, environ: dict[str, str], client: FlaskClient, now: datetime
) -> None:
    names = ("anna", "bert", "cleo")
    anna, bert, cleo = (
        reception.receive(stormy, enquiry(name), now + timedelta(seconds=number)).reference
        for number, name in enumerate(names)
    )
    truncated, garbage, _ = (waiting.path for waiting in stormy.spool.waiting())
    truncated.write_bytes(truncated.read_bytes()[:99])
    garbage.write_bytes(os.urandom(500))

    replay = booking("replay", environ)
    assert (replay.returncode, replay.stdout) == (1, "1 stored, 2 set aside, 0 still waiting\n")
    assert truncated.name in replay.stderr
    assert garbage.name in replay.stderr
    assert CANARY not in replay.stderr
    assert stored(database) == {cleo: 1}

    state = client.get("/readyz").get_json()
    assert (state["status"], state["spool"], state["set_aside"]) == ("ready", 0, 2)
    reconcile = booking("reconcile", environ)
    assert (reconcile.returncode, reconcile.stdout) == (1, f"{anna}\n{bert}\nhanded out: 3, difference: 2\n")


def test_a_lead_that_waited_and_came_again_directly_is_one_lead_and_reconcile_prints_no_difference(
    stormy: Runtime, runtime: Runtime, database: Database, environ: dict[str, str], now: datetime
) -> None:
    waiting, again = (reception.receive(stormy, enquiry("anna"), now) for _ in range(2))
    assert waiting.reference == again.reference
    direct = reception.receive(runtime, enquiry("anna"), now)
    assert direct.reference != waiting.reference

    replay = booking("replay", environ)
    assert (replay.returncode, replay.stdout) == (0, "1 stored, 0 set aside, 0 still waiting\n")
    assert leads_by_name(database) == {"anna": 1}
    assert stored(database) == {waiting.reference: 1, direct.reference: 1}
    reconcile = booking("reconcile", environ)
    assert (reconcile.returncode, reconcile.stdout) == (0, "handed out: 2, difference: 0\n")
