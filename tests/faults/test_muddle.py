"""A muddle: many clerks do anything to everything, in no order and by clocks that differ; nothing is given twice.

Where `test_double_booking` races one road against another, this looks for rings of waiting that nobody thought of.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from booking import config
from booking.database import Database, DatabaseAway
from booking.keyring import Keyring
from booking.models import Appointment, TimeOff
from booking.operations import appointments, holds
from booking.operations.appointments import Visit
from tests.faults.rush import Deed, Rush, at_once
from tests.visits import (
    CAPPED,
    HOUR,
    LONG,
    MAIN,
    QUARTER,
    REFUSALS,
    SHORT,
    TEN,
    Clinic,
    overlaps,
    remove_the_guard,
    small,
)

CLERKS, STEPS = 8, 60

# Two places, so that what is not to be had at one is tried at the other, by the same two people.
PLACES = MAIN, replace(MAIN, slug="other", name="Other")
CATALOG = small(SHORT, replace(LONG, needs=("room",)), replace(CAPPED, daily_cap=6), locations=PLACES)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("double booking")]


@dataclass(frozen=True)
class Muddler:
    """A clerk who does one thing after another, each drawn by chance from `seed`."""

    settings: config.Settings
    lead: int
    now: datetime
    seed: int

    def get_ready(self) -> Callable[[], Deed]:
        """Read the catalogue."""
        keyring = Keyring(self.settings.encryption_keys, self.settings.secret_key)
        clinic = Clinic(Database(self.settings.database_url), keyring, self.now, first=False)
        return lambda: self._do(clinic)

    def _do(self, clinic: Clinic) -> Deed:
        began, chance, tokens = time.monotonic(), random.Random(self.seed), [""]
        for _ in range(STEPS):
            clinic.now = self.now + chance.randrange(30) * timedelta(minutes=1)
            try:
                with suppress(*REFUSALS):
                    self._do_one_thing(clinic, chance, tokens)
            except DatabaseAway as away:
                # To stand in a line for too long, on a busy machine, is no ring: that would have been noticed before.
                if "DeadlockDetected" in str(away):
                    raise
        clinic.database.close()
        return Deed("", began, time.monotonic() - began)

    def _do_one_thing(self, clinic: Clinic, chance: random.Random, tokens: list[str]) -> None:
        service, who = chance.choice(["short", "long", "capped"]), chance.choice(["", "", "ann", "bob"])
        at, token = TEN + chance.randrange(-4, 8) * QUARTER, chance.choice(tokens)
        visit = some_visit(clinic, chance)
        things: list[Callable[[], Any]] = [
            lambda: clinic.book(service, at, who, lead=self.lead, hold_token=token),
            lambda: tokens.append(clinic.hold(service, at, who, visitor=f"visitor {chance.randrange(3)}").token),
            lambda: clinic.do(holds.extend, token, clinic.now),
            lambda: clinic.take_off(who or "ann", at, at + HOUR),
            lambda: give_back_some(clinic, chance),
            clinic.tidy_up,
        ]
        if visit is not None:
            things += [
                lambda: clinic.move(visit, at, practitioner=who, location=chance.choice(["", "main", "other"])),
                lambda: clinic.reassign(visit, who or "bob"),
                lambda: clinic.cancel(visit),
                lambda: clinic.restore(visit),
                lambda: clinic.change_length(visit),
            ]
        chance.choice(things)()


def some_visit(clinic: Clinic, chance: random.Random) -> Visit | None:
    """Any visit, as the desk sees it."""
    with clinic.database.reading() as db:
        rows = db.scalars(select(Appointment)).all()
        return appointments.visit_of(clinic.diary.catalog, chance.choice(rows)) if rows else None


def give_back_some(clinic: Clinic, chance: random.Random) -> None:
    with clinic.database.reading() as db:
        ids = db.scalars(select(TimeOff.id)).all()
    if ids:
        clinic.give_back(chance.choice(ids))


@pytest.fixture
def rush() -> Iterator[Rush]:
    """Four processes, made before this one has a database open."""
    with Rush() as rush:
        yield rush


def muddle(rush: Rush, settings: config.Settings, database: Database, keyring: Keyring, now: datetime) -> None:
    lead = Clinic(database, keyring, now, CATALOG).somebody()
    deeds = rush.go([Muddler(settings, lead, now, seed) for seed in range(CLERKS)])
    assert at_once(deeds) == CLERKS, "they were at it together"
    with database.reading() as db:
        states = set(db.scalars(text("select status from appointment")))
        assert db.scalars(text("select count(*) from appointment where sequence > 0")).one() > CLERKS
    assert {"booked", "cancelled"} <= states, "there was something to do"


def test_whatever_many_do_at_once_nothing_is_given_twice_and_nobody_waits_for_ever(
    rush: Rush, settings: config.Settings, database: Database, keyring: Keyring, now: datetime
) -> None:
    muddle(rush, settings, database, keyring, now)  # a deadlock would have been the end of one of them
    assert overlaps(database) == 0
    assert unfounded(database) == 0


def test_twin_without_the_guard_a_muddle_gives_time_twice(
    rush: Rush, settings: config.Settings, database: Database, keyring: Keyring, now: datetime
) -> None:
    Clinic(database, keyring, now, CATALOG)
    remove_the_guard(database)
    muddle(rush, settings, database, keyring, now)
    assert overlaps(database) > 0


def unfounded(database: Database) -> int:
    """How many visits have not all of their time, or time although they are cancelled, counted by the database."""
    seconds = {
        "sqlite": "sum(julianday(claim.ends_at) - julianday(claim.starts_at)) * 86400",
        "postgresql": "sum(extract(epoch from claim.ends_at - claim.starts_at))",
    }
    query = f"""
        select count(*) from (
            select appointment.id, appointment.status, coalesce({seconds[database.dialect]}, 0) as taken,
                60 * (duration_minutes + buffer_before_minutes + buffer_after_minutes) as visit,
                case when service.slug = 'long' and location.slug = 'main' then 2 else 1 end as calendars
            from appointment join service on service.id = service_id join location on location.id = location_id
            left join claim on claim.appointment_id = appointment.id
            group by appointment.id, appointment.status, service.id, location.id
        ) as visits
        where abs(taken - case status when 'cancelled' then 0 else visit * calendars end) > 1
    """
    with database.reading() as db:
        return int(db.scalars(text(query)).one())
