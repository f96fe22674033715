"""The command-line door: `booking` and its commands."""

import click

from booking.cli.doorway import Doorway
from booking.cli.records import export, import_leads, token
from booking.cli.service import doctor, migrate, reconcile, replay, rotate_keys, seed, serve, work

__all__ = ["Doorway", "booking"]


@click.group()
def booking() -> None:
    """The microservice behind the clinic's form: serve it, look after it, take leads out and in."""


for command in (serve, work, migrate, seed, doctor, replay, reconcile, rotate_keys, export, import_leads, token):
    booking.add_command(command)
