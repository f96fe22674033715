"""The command that moves the schema: a room of its own, because it alone needs Alembic, which is slow to load."""

import click

from booking.cli.doorway import Doorway, in_plain_words, pass_doorway, say
from booking.database import revision, schema


@click.command()
@click.option("--to", "wanted", default="head", show_default=True, help="A revision, `head` or `base`.")
@pass_doorway
def migrate(doorway: Doorway, wanted: str) -> None:
    """Bring the database to the newest schema, or back to an older one."""
    url = doorway.settings().database_url
    with in_plain_words():
        if wanted == "head":
            schema.upgrade(url)
        else:
            schema.move(url, wanted)
    say(f"The schema stands at {revision.head() if wanted == 'head' else wanted}.")
