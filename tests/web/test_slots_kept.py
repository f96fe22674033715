"""Kept answers about free slots: given again while nothing has changed, and never once anything has."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from booking import clinic, config
from booking.app import create_app
from booking.database import Database, schema
from booking.domain.catalog import Catalog
from booking.domain.offers import Wish
from booking.domain.slots import Slot
from booking.operations import catalog_loading, claims, holds, slots, time_off
from booking.operations.claims import Owner
from booking.operations.slots import Question
from booking.runtime import Runtime
from booking.web.slots import Answer, Answers
from booking.web.slots import ask as look_up
from tests.clinics import changed, without
from tests.service import Serving
from tests.web.visitor import ADA, ADJUSTMENT, BEN, MASSAGE, book, elsewhere, free, hold, path_of, post, queries, wish

WREN, JUNIPER = "wren-palmetto", "dr-juniper-tidewell"


@dataclass(frozen=True)
class Stage:
    """A visit that is booked, a slot that is held, and everything with which that can be changed."""

    client: FlaskClient
    database: Database
    catalog: Catalog
    visit: str
    hold: str

    def away(self) -> object:
        """Somebody takes an hour off."""
        start = datetime.fromisoformat(free(self.client, practitioner=JUNIPER)[-1]["starts_at"])
        end, now = start + timedelta(hours=1), datetime.now(UTC)
        with self.database.transaction() as db:
            return time_off.take(
                db, self.catalog, practitioner=JUNIPER, starts_at=start, ends_at=end, note="", now=now
            )  # fmt: skip

    def load(self) -> object:
        """Another catalogue."""
        wanted = changed(clinic.load().catalog, "services", ADJUSTMENT, step_minutes=30)
        with self.database.transaction() as db:
            return catalog_loading.load(db, without(wanted, WREN), now=datetime.now(UTC))


CHANGES: dict[str, Callable[[Stage], object]] = {
    "a booking": lambda stage: book(stage.client, BEN),
    "a hold": lambda stage: hold(stage.client, free(stage.client)[5]),
    "the end of a hold": lambda stage: stage.client.delete(f"/api/v1/holds/{stage.hold}"),
    "a cancellation": lambda stage: stage.client.post(f"{stage.visit}/cancellation", json={}),
    "a move": lambda stage: stage.client.post(f"{stage.visit}/rescheduling", json=free(stage.client)[9]),
    "time off": Stage.away,
    "a new catalogue": Stage.load,
}


@pytest.fixture
def stage(client: FlaskClient, database: Database, catalog: Catalog) -> Stage:
    """One visit and one hold."""
    visit = path_of(book(client)["manage_url"])
    return Stage(client, database, catalog, visit, hold(client, free(client)[3]).get_json()["hold"])


def ask(client: FlaskClient, etag: str = "", **query: Any) -> TestResponse:
    headers = {"If-None-Match": etag} if etag else {}
    return client.get("/api/v1/slots", query_string={"service": ADJUSTMENT, "days": 20} | query, headers=headers)


# ---------------------------------------------------------------- nothing new, and something new


@pytest.mark.parametrize("kind", CHANGES)
def test_nothing_new_is_said_without_a_body_and_a_change_is_told_at_once(stage: Stage, kind: str) -> None:
    first = ask(stage.client)
    again = ask(stage.client, first.headers["ETag"])
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    CHANGES[kind](stage)
    changed = ask(stage.client, first.headers["ETag"])
    assert changed.status_code == 200
    assert changed.get_json()["slots"] != first.get_json()["slots"]
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert ask(stage.client, changed.headers["ETag"]).status_code == 304


def test_a_change_elsewhere_leaves_an_answer_as_it_was(client: FlaskClient, catalog: Catalog) -> None:
    first = ask(client, service=MASSAGE)
    book(client)
    assert ask(client, first.headers["ETag"], service=MASSAGE).status_code == 304


def test_what_another_process_has_booked_is_known_at_once(
    client: FlaskClient, catalog: Catalog, serving: Callable[..., Serving]
) -> None:
    chosen, first = free(client)[0], ask(client)
    assert elsewhere(serving(), ADA | wish(chosen)) == 201
    changed = ask(client, first.headers["ETag"])
    assert changed.status_code == 200
    assert chosen not in changed.get_json()["slots"]
    assert post(client, BEN | wish(chosen)).status_code == 409


def test_asked_again_one_query_tells_that_nothing_is_new(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    etag = ask(client).headers["ETag"]
    with queries(runtime) as statements:
        assert ask(client, etag).status_code == 304
        assert ask(client).status_code == 200
    assert len(statements) == 2


# ---------------------------------------------------------------- time passes


class Watch:
    """One who asks the same question again and again, at any time; answers are kept in between."""

    def __init__(self, runtime: Runtime, question: Question) -> None:
        self.runtime, self.question, self.answers = runtime, question, Answers()

    def at(self, now: datetime) -> Answer:
        """The answer at `now`; what nobody has kept would be the same."""
        kept, fresh = (look_up(self.runtime, each, self.question, "", now) for each in (self.answers, Answers()))
        assert (kept.body, kept.etag) == (fresh.body, fresh.etag)
        return kept


def first_slot(runtime: Runtime, service: str, now: datetime, **question: Any) -> Slot:
    with runtime.database.reading() as db:
        found = slots.next_free(db, runtime.catalogs.current(db, now.date()), Question(service, **question), now)
    assert found is not None
    return found


def hold_it(runtime: Runtime, service: str, slot: Slot, now: datetime, visitor: bytes = b"somebody") -> None:
    with runtime.database.transaction() as db:
        catalog = runtime.catalogs.current(db, now.date())
        wanted = Wish(service, slot.starts_at, slot.practitioner.slug)
        holds.place(db, catalog, wanted, visitor=visitor, now=now)


def test_a_hold_that_runs_out_gives_its_slot_back_to_the_minute(
    runtime: Runtime, catalog: Catalog, now: datetime
) -> None:
    slot, watch = first_slot(runtime, ADJUSTMENT, now), Watch(runtime, Question(ADJUSTMENT))
    before = watch.at(now)
    hold_it(runtime, ADJUSTMENT, slot, now)
    held = watch.at(now)
    assert held.etag != before.etag
    assert watch.at(now + timedelta(minutes=9, seconds=59)).etag == held.etag
    assert watch.at(now + timedelta(minutes=10)).etag == before.etag


def test_a_slot_goes_when_its_notice_begins(runtime: Runtime, catalog: Catalog, now: datetime) -> None:
    slot, watch = first_slot(runtime, ADJUSTMENT, now), Watch(runtime, Question(ADJUSTMENT))
    last_moment = slot.starts_at - timedelta(minutes=120)
    early = watch.at(now)
    assert slot.starts_at.astimezone(slot.location.zone).isoformat() in early.body.decode()
    assert watch.at(last_moment).etag == early.etag
    assert watch.at(last_moment + timedelta(seconds=1)).etag != early.etag


def test_the_next_free_slot_goes_when_its_notice_begins_too(runtime: Runtime, catalog: Catalog, now: datetime) -> None:
    long_ago = Question(ADJUSTMENT, first=datetime(2020, 6, 1, tzinfo=UTC).date(), days=1)
    slot, watch = first_slot(runtime, ADJUSTMENT, now), Watch(runtime, long_ago)
    before = watch.at(now)
    assert b'"slots":[]' in before.body
    after = watch.at(slot.starts_at - timedelta(minutes=119, seconds=59))
    assert before.etag != after.etag


def test_a_day_that_is_full_by_a_hold_is_open_again_when_that_runs_out(
    runtime: Runtime, database: Database, now: datetime
) -> None:
    wanted = changed(clinic.load().catalog, "services", ADJUSTMENT, daily_cap=1)
    with database.transaction() as db:
        catalog_loading.load(db, wanted, now=now)
    first = first_slot(runtime, ADJUSTMENT, now, practitioner="dr-sol-marshgrove")
    day = first.starts_at.date()
    watch = Watch(runtime, Question(ADJUSTMENT, practitioner=JUNIPER, first=day, days=1))
    before = watch.at(now)
    assert b'"slots":[]' not in before.body
    hold_it(runtime, ADJUSTMENT, first, now)
    assert b'"slots":[]' in watch.at(now).body
    assert watch.at(now + timedelta(minutes=10)).etag == before.etag


def test_the_last_day_of_the_horizon_opens_at_midnight_on_the_clinics_clock(
    runtime: Runtime, catalog: Catalog, now: datetime
) -> None:
    watch = Watch(runtime, Question(ADJUSTMENT, first=(now + timedelta(days=55)).date(), days=30))
    midnight = datetime(2026, 11, 26, 5, tzinfo=UTC)  # in Florida, and sixty days later it is a Monday
    before = watch.at(now)
    assert watch.at(midnight - timedelta(seconds=1)).etag == before.etag
    assert watch.at(midnight).etag != before.etag


def test_what_others_do_meanwhile_is_in_the_next_answer(
    runtime: Runtime, catalog: Catalog, database: Database, now: datetime
) -> None:
    watch = Watch(runtime, Question(ADJUSTMENT, practitioner=JUNIPER))
    slot, before = first_slot(runtime, ADJUSTMENT, now, practitioner=JUNIPER), watch.at(now)
    with database.transaction() as db:
        away = time_off.take(
            db, catalog, practitioner=JUNIPER, starts_at=slot.starts_at, ends_at=slot.ends_at, note="", now=now
        )
    assert watch.at(now).etag != before.etag
    with database.transaction() as db:
        claims.release(db, Owner("time_off", away.id))
    assert watch.at(now).etag == before.etag


# ---------------------------------------------------------------- what is kept


def answer(size: int, state: tuple[int, int] = (1, 1)) -> Answer:
    return Answer(state, datetime(2099, 1, 1, tzinfo=UTC), b"x" * size, "")


def test_answers_are_kept_up_to_so_many_bytes_and_the_longest_unasked_go_first(now: datetime) -> None:
    kept, asked = Answers(most_bytes=100), [Question(f"service {number}") for number in range(4)]
    for question in asked[:3]:
        kept.keep(question, answer(30))
    assert kept.get(asked[0], (1, 1), now)
    kept.keep(asked[3], answer(30))
    assert [kept.get(question, (1, 1), now) is not None for question in asked] == [True, False, True, True]
    kept.keep(asked[0], answer(101))
    assert [kept.get(question, (1, 1), now) for question in asked] == [None] * 4
    for _ in range(9):
        kept.keep(asked[1], answer(90))
    assert kept.get(asked[1], (1, 1), now)


def test_an_answer_is_kept_for_one_state_of_the_database_alone(now: datetime) -> None:
    kept, question = Answers(), Question("service")
    kept.keep(question, answer(1, (1, 7)))
    assert [kept.get(question, state, now) is not None for state in ((1, 7), (1, 8), (2, 7), (1, 6))] == [
        True, False, False, False,
    ]  # fmt: skip


def test_two_services_in_one_process_keep_their_answers_apart(
    client: FlaskClient, catalog: Catalog, settings: config.Settings, tmp_path: Path
) -> None:
    """Two databases can be in the same state by number and hold other visits."""
    other = create_app(replace(settings, database_url=f"sqlite:///{tmp_path}/other.db"))
    schema.upgrade(f"sqlite:///{tmp_path}/other.db")
    with other.extensions["booking"].database.transaction() as db:
        catalog_loading.load(db, clinic.load().catalog, now=datetime.now(UTC))
    slots_of_both = [free(each, MASSAGE) for each in (client, other.test_client())]
    assert slots_of_both[0] == slots_of_both[1]
    book(client, ADA, service=MASSAGE)
    book(other.test_client(), ADA, service=MASSAGE, at=-1)
    seen = [free(each, MASSAGE) for each in (client, other.test_client())]
    other.extensions["booking"].database.close()
    assert seen[0] != seen[1]
