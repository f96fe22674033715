"""What tests of operations ask for: the clinic at work, a post of its form, and weather in which nothing answers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from booking import reception
from booking.database import Database
from booking.keyring import Keyring
from booking.runtime import Runtime
from tests.faults.weather import away
from tests.posting import Post, read
from tests.visits import Clinic


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    """A clinic of a few people and rooms, with its own clock."""
    return Clinic(database, keyring, now)


@pytest.fixture
def post(runtime: Runtime, clinic: Clinic) -> Post:
    """Send a form at the clinic's time, as a door does."""
    return lambda *given, **more: reception.receive(runtime, read(*given, **more), clinic.now)


@pytest.fixture
def stormy(runtime: Runtime, tmp_path: Path) -> Iterator[Runtime]:
    """The same premises, whose database cannot be reached."""
    with away(runtime.database.dialect, tmp_path) as database:
        yield replace(runtime, database=database)
