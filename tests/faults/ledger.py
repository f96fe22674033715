"""What is where: the references in database and spool, held against the references somebody was thanked with."""

import http.client
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from sqlalchemy import text

from booking import config, reception
from booking.app import open_runtime
from booking.database import Database
from booking.spool import WAITING
from tests.faults.crowd import eventually
from tests.service import COMMAND, surroundings


def stored(database: Database) -> Counter[str]:
    """Every reference the database answers to, with how often it is there."""
    with database.reading() as db:
        return Counter(db.scalars(text("select reference from lead union all select reference from lead_alias")))


def leads_by_name(database: Database) -> Counter[str]:
    """How many leads each visitor has."""
    with database.reading() as db:
        return Counter(db.scalars(text("select name from lead")))


def spooled(environ: Mapping[str, str]) -> set[str]:
    """The references that wait in the spool."""
    names = [path.name for path in spool_folder(environ).iterdir()]
    return {found["reference"] for name in names if (found := WAITING.fullmatch(name))}


def spool_folder(environ: Mapping[str, str]) -> Path:
    """Where the leads wait."""
    return Path(environ["BOOKING_DATA_DIR"]) / "spool"


def assert_kept(thanked: Iterable[str], database: Database, environ: Mapping[str, str]) -> None:
    """Whoever was thanked is in the spool or in the database now."""
    waiting = spooled(environ)  # before the database: a lead that is drained meanwhile is then in one of them
    lost = set(thanked) - waiting - set(stored(database))
    assert lost == set(), f"thanked and nowhere: {sorted(lost)}"


def assert_all_stored_once(thanked: Mapping[str, str], database: Database, environ: Mapping[str, str]) -> None:
    """After the drain each visitor who was thanked has exactly one lead, under that reference; `reconcile` agrees."""
    assert spooled(environ) == set()
    references = stored(database)
    assert set(thanked.values()) - set(references) == set()
    assert [reference for reference, count in references.items() if count > 1] == []
    leads = leads_by_name(database)
    assert {name: leads[name] for name in thanked} == dict.fromkeys(thanked, 1)
    assert [name for name, count in leads.items() if count > 1] == []
    assert_reconciled(set(thanked.values()), environ)


def assert_reconciled(thanked: AbstractSet[str], environ: Mapping[str, str]) -> None:
    """`booking reconcile` finds no difference, and knows of everybody who was thanked."""
    premises = open_runtime(config.load(environ, None))
    try:
        assert thanked - set(premises.receipts.references()) == set()
        assert reception.reconcile(premises)[1] == []
    finally:
        premises.database.close()


def booking(command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a `booking` command with these settings."""
    return subprocess.run(
        [COMMAND, command],
        cwd=environ["BOOKING_DATA_DIR"],
        env=surroundings() | dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )


def ready(port: int) -> dict[str, Any]:
    """What /readyz says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/readyz")
        state: dict[str, Any] = json.loads(connection.getresponse().read())
        return state
    finally:
        connection.close()


def wait_until_drained(port: int) -> None:
    """Wait until the running server has nothing left in its spool."""
    eventually(lambda: ready(port)["spool"] == 0)
