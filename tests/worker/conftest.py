"""What tests of the worker ask for: a small clinic at work, on its own clock, with any setting, and its outbox."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from booking import config, reception
from booking.app import open_runtime
from booking.database import Database
from booking.delivery import webhook
from booking.keyring import Keyring
from booking.models.lead import Lead
from booking.models.outbox import OutboxMessage
from booking.operations import appointments, webhooks
from booking.operations.appointments import Visit
from booking.reception import Receipt
from booking.runtime import Runtime
from booking.worker import Worker
from tests.posting import ADA, read
from tests.visits import Clinic

DESK = "desk@clinic.example"
BEN = {"name": "Ben Marsh", "email": "ben@example.com", "message": "A first visit, please"}
MINUTE = timedelta(minutes=1)


@dataclass
class Clock:
    """A clock that a test turns."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


class Office:
    """The clinic at work: people post, visits change, and a worker delivers what is due; `clock` is everybody's."""

    def __init__(self, premises: Runtime, clinic: Clinic, now: datetime) -> None:
        self.premises, self.clinic, self.clock = premises, clinic, Clock(now)
        clinic.diary = replace(clinic.diary, telling=premises.telling)

    def worker(self) -> Worker:
        """One more worker."""
        return Worker(self.premises, self.clock)

    def deliver(self, **later: float) -> None:
        """Let a worker do what is due (`minutes=5`) later."""
        self.clock.now += timedelta(**later)
        self.worker().drain()

    def post(self, fields: dict[str, Any] = ADA, at: datetime | None = None, **more: Any) -> Receipt:
        """Somebody sends the form."""
        return reception.receive(self.premises, read(fields, at, **more), self.clock.now)

    def visit(self, email: str = ADA["email"]) -> Visit:
        """Somebody's visit, as it stands now."""
        with self.premises.database.reading() as db:
            return appointments.of_lead(db, self.clinic.diary.catalog, self.lead(email).id, self.clock.now)[0]

    def move(self, at: datetime, email: str = ADA["email"]) -> None:
        """The visitor moves the visit."""
        self.clinic.do(appointments.reschedule, self.clinic.diary, self.visit(email), at, now=self.clock.now)

    def cancel(self, reason: str = "", email: str = ADA["email"]) -> None:
        """The visitor cancels the visit."""
        told = {"reason": reason, "by": "visitor", "now": self.clock.now}
        self.clinic.do(appointments.cancel, self.clinic.diary, self.visit(email), **told)

    def listen(self, url: str, *, whole: bool = False) -> tuple[int, str]:
        """Let a program be told of events; its number and its secret."""
        secret, ring = webhook.new_secret(), self.premises.keyring
        with self.premises.database.transaction() as db:
            return webhooks.add(db, ring, url, secret, self.clock.now, whole=whole).id, secret

    def lead(self, email: str = ADA["email"]) -> Lead:
        """Somebody's enquiry."""
        with self.premises.database.reading() as db:
            return db.scalars(select(Lead).where(Lead.email == email)).one()

    def messages(self, **like: Any) -> list[OutboxMessage]:
        """The messages of which all this is true, in the order in which they were written."""
        with self.premises.database.reading() as db:
            found = select(OutboxMessage).filter_by(**like).order_by(OutboxMessage.id)
            return list(db.scalars(found))

    def message(self, **like: Any) -> OutboxMessage:
        """The one message of which this is true."""
        (found,) = self.messages(**like)
        return found

    def fates(self) -> set[tuple[str, str, str]]:
        """Event, audience and state of every message but the reminders that wait for their day."""
        waits = ("reminder_day", "reminder_hours")
        return {(each.event, each.audience, each.state) for each in self.messages() if each.event not in waits}

    @property
    def folder(self) -> Path:
        """Where letters lie that no mail server is handed."""
        return self.premises.receipts.path.parent / "mail"


Open = Callable[..., Office]


@pytest.fixture
def office(environ: dict[str, str], database: Database, keyring: Keyring, now: datetime) -> Iterator[Open]:
    """Open the clinic with some settings of its own, once: `office(MAIL_URL="smtp://127.0.0.1:2525")`."""
    with ExitStack() as opened:

        def open_office(**settings: str) -> Office:
            told = {"BOOKING_STAFF_EMAILS": DESK} | {f"BOOKING_{name}": text for name, text in settings.items()}
            premises = open_runtime(config.load(environ | told, None))
            opened.callback(premises.database.close)
            return Office(premises, Clinic(database, keyring, now), now)

        yield open_office
