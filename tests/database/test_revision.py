"""The revision: what is told without Alembic is what Alembic itself would say, on both engines."""

import pytest
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from booking.database import Database, revision, schema

SCRIPTS = ScriptDirectory(str(revision.MIGRATIONS))


def alembic_says(database: Database) -> bool:
    """Whether the database stands at the newest revision, by Alembic's own account."""
    with database.engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == set(SCRIPTS.get_heads())


def test_the_newest_is_alembics_one_and_only_head() -> None:
    assert SCRIPTS.get_heads() == [revision.head()]


def test_a_migrated_database_stands_at_the_newest(database: Database) -> None:
    with database.reading() as db:
        assert revision.is_at_head(db)
    assert alembic_says(database)


@pytest.mark.parametrize("back", ["-1", "base"])
def test_a_database_that_was_taken_back_does_not_stand_there_until_it_is_moved_up_again(
    database: Database, database_url: str, back: str
) -> None:
    schema.downgrade(database_url, back)
    with database.reading() as db:
        assert not revision.is_at_head(db)
    assert not alembic_says(database)
    schema.upgrade(database_url)
    with database.reading() as db:
        assert revision.is_at_head(db)


def test_a_database_that_knows_nothing_of_migrations_does_not_stand_there(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("drop table alembic_version")
    with database.reading() as db:
        assert not revision.is_at_head(db)
    assert not alembic_says(database)


def test_a_database_ahead_of_this_program_does_not_stand_there(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with database.reading() as db:
        assert not revision.is_at_head(db)
