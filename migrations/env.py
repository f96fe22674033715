"""How Alembic reaches the database: the URL it is handed, or the one of the settings."""

import os
from pathlib import Path

from alembic import context

from booking import config, models
from booking.database import open_engine


def run() -> None:
    """Run the asked-for migrations in one transaction."""
    url = context.config.attributes.get("url") or config.load(os.environ, Path(".env")).database_url
    engine = open_engine(url, hurried=False)
    try:
        with engine.connect() as connection:
            context.configure(
                connection=connection,
                target_metadata=models.Lead.metadata,
                render_as_batch=connection.dialect.name == "sqlite",
                compare_type=True,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


run()
