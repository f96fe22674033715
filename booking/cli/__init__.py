"""The command-line door: `booking` and its commands."""

import importlib

import click

from booking.cli.catalog import catalog_commands
from booking.cli.doorway import Doorway
from booking.cli.messages import message_commands, webhook_commands
from booking.cli.records import export, import_leads, token
from booking.cli.service import doctor, reconcile, replay, rotate_keys, seed, serve, work

__all__ = ["Doorway", "booking"]

LOADED_WHEN_ASKED_FOR = {"migrate": "booking.cli.migration"}


class Commands(click.Group):
    """A group that loads what is slow to load only when it is asked for, in the way that click documents."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, loaded or not."""
        return sorted([*super().list_commands(ctx), *LOADED_WHEN_ASKED_FOR])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, loaded now if it was not before."""
        if cmd_name not in LOADED_WHEN_ASKED_FOR:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(LOADED_WHEN_ASKED_FOR[cmd_name]), cmd_name)
        return command


@click.group(cls=Commands)
def booking() -> None:
    """The microservice behind the clinic's form: serve it, look after it, take leads out and in."""


for command in (
    serve,
    work,
    seed,
    catalog_commands,
    doctor,
    replay,
    reconcile,
    rotate_keys,
    export,
    import_leads,
    token,
    message_commands,
    webhook_commands,
):
    booking.add_command(command)
