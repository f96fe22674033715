"""Lanes: the ways to the outside, each with what it keeps open: the mail, the texts, and one for each webhook."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from booking.delivery import webhook
from booking.delivery.failures import TryLater
from booking.operations import webhooks
from booking.operations.last_look import Ready
from booking.operations.leases import Claimed
from booking.runtime import Runtime
from booking.worker import correspondence, events

Send = Callable[[Claimed, Ready, datetime], None]


class Closed(Exception):
    """Nobody listens at the end of this lane any more; what is in it waits."""


@dataclass(frozen=True)
class Lane:
    """A channel, and its one recipient where each has a lane of their own."""

    channel: str
    recipient: str | None = None

    def __str__(self) -> str:
        return f"{self.channel} {self.recipient}" if self.recipient else self.channel


@contextmanager
def open_lane(lane: Lane, premises: Runtime) -> Iterator[Send]:
    """What hands a message of the lane over; raises TryLater, Refused and Closed when called."""
    if lane.channel == "mail":
        mailer = premises.outside.open_mailer()
        try:
            yield lambda claimed, ready, at: mailer.send(correspondence.letter(premises, claimed, ready, at), at)
        finally:
            mailer.close()
    elif lane.channel == "sms":
        yield lambda claimed, ready, at: _text(premises, claimed, ready, at)
    elif lane.channel == "watch":
        yield lambda _claimed, _ready, _at: None  # that it came this far is all that it says
    else:
        yield lambda claimed, ready, at: _call(premises, claimed, ready, at)


def _text(premises: Runtime, claimed: Claimed, ready: Ready, at: datetime) -> None:
    if premises.outside.texts is None:
        raise TryLater("no way to send texts is set up (BOOKING_SMS_URL)")
    text = premises.outside.letters.text(claimed.event, correspondence.words(premises, claimed, ready, at))
    premises.outside.texts.send(claimed.recipient, text, claimed.name)


def _call(premises: Runtime, claimed: Claimed, ready: Ready, at: datetime) -> None:
    with premises.database.reading() as db:
        receiver = webhooks.receiver(db, premises.keyring, claimed.recipient)
    if receiver is None:
        raise Closed("the webhook is disabled")
    body = json.dumps(events.payload(claimed, ready, whole=receiver.whole)).encode()
    webhook.send(receiver.url, claimed.name, body, receiver.secrets, at, guard=premises.outside.guarded)
