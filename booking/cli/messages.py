"""Commands about messages: their fate, sending them after all, and the programs that are told of events."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from booking.cli.doorway import Doorway, Exit, fail, now, pass_doorway, say
from booking.delivery import webhook
from booking.domain.errors import WebhookKnown, WebhooksTooMany, WebhookUnknown
from booking.domain.status import MessageState
from booking.operations import outbox, webhooks

OPEN = (MessageState.DEAD.value, MessageState.HELD.value, MessageState.MISSED.value)
STATES = [state.value for state in MessageState]


@click.group("messages")
def message_commands() -> None:
    """Messages to visitors, the desk and programs: what became of them."""


@message_commands.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="By default dead, held and missed.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@pass_doorway
def list_messages(doorway: Doorway, states: tuple[str, ...], limit: int) -> None:
    """List messages, newest first: number, state, event, to whom and how, enquiry, when, and why."""
    with doorway.premises() as premises, premises.database.reading() as db:
        for message, reference in outbox.listed(db, states or OPEN, limit):
            at = _shown(message.done_at or message.due_at, premises.zone)
            fields = (message.id, message.state, message.event, message.audience, message.channel, reference, at)
            click.echo("\t".join([*map(str, fields), message.reason]))


@message_commands.command("send")
@click.argument("number", type=int)
@pass_doorway
def send_message(doorway: Doorway, number: int) -> None:
    """Let a held or dead message be sent (again)."""
    with doorway.premises() as premises, premises.database.transaction() as db:
        released = outbox.release(db, now(), message_id=number)
    if not released:
        fail(f"There is no held or dead message with the number {number}.", Exit.MISUSED)
    say("It will be sent.")


@click.group("webhook")
def webhook_commands() -> None:
    """Programs (a CRM) that are told of events, signed as Standard Webhooks 1.0 describes."""


@webhook_commands.command("add")
@click.argument("url")
@click.option("--whole", is_flag=True, help="Tell names, addresses and times too, and not the reference alone.")
@pass_doorway
def add_webhook(doorway: Doorway, url: str, whole: bool) -> None:
    """Tell the program at URL of events from now on; its secret is shown once, alone on standard output."""
    secret = webhook.new_secret()
    with doorway.premises() as premises:
        try:
            webhook.check_url(url, guard=premises.outside.guarded)
            with premises.database.transaction() as db:
                number = webhooks.add(db, premises.keyring, url, secret, now(), whole=whole).id
        except ValueError as wrong:
            fail(str(wrong), Exit.MISUSED)
        except WebhookKnown:
            fail("The program at this address is told of events already.", Exit.MISUSED)
        except WebhooksTooMany:
            fail(f"At most {webhooks.MOST} programs can be told of events.", Exit.MISUSED)
    say(f"Webhook {number}. This is its secret; it is shown only now:")
    click.echo(secret)


@webhook_commands.command("list")
@pass_doorway
def list_webhooks(doorway: Doorway) -> None:
    """List them: number, since when, whether they are told everything, whether and why not any more, address."""
    with doorway.premises() as premises, premises.database.reading() as db:
        for each in webhooks.listed(db):
            state = f"disabled {_shown(each.disabled_at, premises.zone)}: {each.disabled_because}" if (
                each.disabled_at) else "active"  # fmt: skip
            told = "whole" if each.whole else "thin"
            click.echo("\t".join((str(each.id), _shown(each.created_at, premises.zone), told, state, each.url)))


@webhook_commands.command("rotate")
@click.argument("number", type=int)
@pass_doorway
def rotate_webhook(doorway: Doorway, number: int) -> None:
    """Give a webhook a new secret; what is sent is signed with the one before it too, until the next rotation."""
    secret = webhook.new_secret()
    with doorway.premises() as premises, _known(number), premises.database.transaction() as db:
        webhooks.rotate(db, premises.keyring, number, secret)
    click.echo(secret)


@webhook_commands.command("enable")
@click.argument("number", type=int)
@pass_doorway
def enable_webhook(doorway: Doorway, number: int) -> None:
    """Tell a program again that had been disabled; what waited for it is sent."""
    with doorway.premises() as premises, _known(number), premises.database.transaction() as db:
        webhooks.enable(db, number)


@webhook_commands.command("remove")
@click.argument("number", type=int)
@pass_doorway
def remove_webhook(doorway: Doorway, number: int) -> None:
    """Tell a program nothing more."""
    with doorway.premises() as premises, _known(number), premises.database.transaction() as db:
        webhooks.remove(db, number, now())


@contextmanager
def _known(number: int) -> Iterator[None]:
    try:
        yield
    except WebhookUnknown:
        fail(f"There is no webhook {number}.", Exit.MISUSED)
    except WebhooksTooMany:
        fail(f"At most {webhooks.MOST} programs can be told of events.", Exit.MISUSED)


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
