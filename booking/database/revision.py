"""The revision: the newest there is, and whether a database stands at it; told without Alembic, slow to load."""

from functools import cache
from pathlib import Path

from sqlalchemy import column, inspect, select, table
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parents[2] / "migrations"

_alembic_version = table("alembic_version", column("version_num"))


class RevisionUnknown(ValueError):
    """The database cannot be brought to the revision that was asked for."""


def is_at_head(db: Session) -> bool:
    """Whether the database behind `db` stands at the newest revision; one that was never migrated does not."""
    if not inspect(db.connection()).has_table(_alembic_version.name):
        return False
    return db.scalars(select(_alembic_version.c.version_num)).all() == [head()]


@cache
def head() -> str:
    """The newest revision there is: the highest number that a file in migrations/versions begins with."""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
