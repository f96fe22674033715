"""Migrations: up and down on both engines, equal to the models, every constraint named by the convention."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from booking.database import Base, Database, open_engine, revision, schema
from booking.models import Lead
from tests.postgres import PostgresServer

CONVENTION = re.compile(r"(pk|uq|ck|fk|ix|ex)_[a-z0-9_]+")
LEAD = (
    "insert into lead (id, reference, received_at, updated_at, status, urgent, held, held_reasons, signals, incomplete,"
    " door, name, email, phone, phone_typed, service, practitioner, location, contact_preference, content, page_url,"
    " referrer, attribution) values (7, 'SV-7K4Q-92', '2026-11-24T15:30:00.000000Z', '2026-11-24T15:30:00.000000Z',"
    " :status, false, false, '[]', '{}', false, 'form', 'Ada', 'ada@example.com', '', '', '', '', '', '', :content,"
    " '', '', '{}')"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a single table, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
        yield url
        server.drop_database(url)


def tables(url: str) -> set[str]:
    engine = open_engine(url)
    try:
        return set(inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def test_up_makes_every_table_and_nothing_differs_from_the_models(empty_url: str) -> None:
    schema.upgrade(empty_url)
    assert tables(empty_url) == set(Base.metadata.tables)
    schema.check(empty_url)


def test_up_twice_is_up_once(empty_url: str) -> None:
    schema.upgrade(empty_url)
    schema.upgrade(empty_url)
    schema.check(empty_url)


def test_up_with_data_then_down_then_up_again(empty_url: str) -> None:
    schema.upgrade(empty_url)
    insert(empty_url)
    schema.downgrade(empty_url, "base")
    assert tables(empty_url) == set()
    schema.upgrade(empty_url)
    schema.check(empty_url)
    insert(empty_url)


def test_every_constraint_and_index_is_named_by_the_convention(database: Database) -> None:
    seen = inspect(database.engine)
    names = []
    for table in Base.metadata.tables:
        names.append(seen.get_pk_constraint(table)["name"])
        for found in (
            seen.get_unique_constraints(table),
            seen.get_check_constraints(table),
            seen.get_foreign_keys(table),
            seen.get_indexes(table),
        ):
            names += [constraint["name"] for constraint in found]
    assert len(names) >= 18
    assert [name for name in names if not CONVENTION.fullmatch(name or "")] == []


def test_the_named_constraints_of_the_lead_are_there(database: Database) -> None:
    checks = {check["name"] for check in inspect(database.engine).get_check_constraints("lead")}
    assert checks == {"ck_lead_status", "ck_lead_reachable"}


def test_the_database_knows_that_it_stands_at_the_newest(database: Database) -> None:
    with database.reading() as db:
        assert revision.is_at_head(db)


def test_a_database_without_tables_does_not_stand_at_the_newest(empty_url: str) -> None:
    database = Database(empty_url)
    try:
        with database.reading() as db:
            assert not revision.is_at_head(db)
    finally:
        database.close()


@pytest.mark.parametrize("column", ["status", "email", "content", "received_at"])
def test_a_lead_without_what_it_needs_is_refused_by_the_database(column: str, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(LEAD), {"status": "new", "content": b"sealed"})
    with pytest.raises(IntegrityError), database.engine.begin() as connection:
        connection.execute(text(f"update lead set {column} = null"))
    with database.reading() as db:
        assert getattr(db.get_one(Lead, 7), column) is not None


@pytest.mark.parametrize(
    ("change", "constraint"),
    [("status = 'gone'", "status"), ("status = ''", "status"), ("email = '', phone = ''", "reachable")],
)
def test_a_lead_that_cannot_be_is_refused_by_the_database(change: str, constraint: str, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(LEAD), {"status": "new", "content": b"sealed"})
    with pytest.raises(IntegrityError, match=f"ck_lead_{constraint}"), database.engine.begin() as connection:
        connection.execute(text(f"update lead set {change}"))


@pytest.mark.parametrize(
    "change", ["status = 'contacted'", "email = '', phone = '+19045550134'", "incomplete = true, email = ''"]
)
def test_a_lead_that_can_be_is_taken_by_the_database(change: str, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(LEAD), {"status": "new", "content": b"sealed"})
        connection.execute(text(f"update lead set {change}"))


def insert(url: str) -> None:
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(LEAD), {"status": "new", "content": b"sealed"})
            connection.execute(
                text(
                    "insert into consent (lead_id, purpose, given_at, version, wording, wording_sha256, page_url)"
                    " values (7, 'reply', '2026-11-24T15:30:00.000000Z', '', '', '', '')"
                )
            )
    finally:
        engine.dispose()
