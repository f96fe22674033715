"""Messages in a worker's hands, and the last look at them."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from booking.keyring import Keyring
from booking.models import Appointment
from booking.operations import fates, last_look, leases, outbox
from booking.operations.last_look import Done, Later, Ready
from booking.operations.leases import Claimed
from booking.operations.notifications import LEAD_CAPTURED
from booking.operations.outbox import Message
from tests.visits import TEN, Clinic

ZONE = ZoneInfo("America/New_York")
ADA, NUMBER = "ada@example.com", "+12025550123"


def put(clinic: Clinic, event: str = LEAD_CAPTURED, **more: Any) -> None:
    """Write one message that is due now; a letter to ada unless it says otherwise."""
    given_of_it = {"audience": "visitor", "channel": "mail", "recipient": ADA, "key": (str(more),)} | more
    clinic.do(outbox.write, clinic.keyring, [Message(event=event, due_at=clinic.now, **given_of_it)], clinic.now)


def claim(clinic: Clinic, channel: str = "mail", worker: str = "one") -> list[Claimed]:
    return clinic.do(leases.claim, worker, channel, clinic.now, limit=25)


def look(
    clinic: Clinic, claimed: Claimed, *, zone: ZoneInfo = ZONE, worker: str = "one", keyring: Keyring | None = None
) -> Ready | Done | Later | None:
    with clinic.database.reading() as db:
        ring = keyring or clinic.keyring
        return last_look.look(db, clinic.diary.catalog, ring, worker, claimed, zone, clinic.now)


def only(clinic: Clinic, channel: str = "mail") -> Claimed:
    (claimed,) = claim(clinic, channel)
    return claimed


def about(clinic: Clinic, event: str, visit_id: int, **more: Any) -> Claimed:
    """A message of this event about a visit, in our hands, whatever else waits."""
    put(clinic, event, **({"appointment_id": visit_id, "recipient": f"{event}@example.com"} | more))
    (found,) = [each for each in claim(clinic, more.get("channel", "mail")) if each.event == event]
    return found


def booked(clinic: Clinic) -> int:
    """A visit of which nobody was told yet."""
    clinic.diary = replace(clinic.diary, telling=None)
    return clinic.book("short", TEN, "ann").row.id


def change(clinic: Clinic, visit_id: int, **values: Any) -> None:
    with clinic.database.transaction() as db:
        row = db.get_one(Appointment, visit_id)
        for name, value in values.items():
            setattr(row, name, value)


def confirm(clinic: Clinic, **more: Any) -> Ready | Done | Later | None:
    """One more confirmation to ada, which is sent if nothing is against it."""
    put(clinic, lead_id=clinic.somebody(), **more)
    claimed = only(clinic, more.get("channel", "mail"))
    found = look(clinic, claimed)
    if isinstance(found, Ready):
        clinic.do(fates.sent, "one", claimed, found.to_tell, clinic.now)
    elif isinstance(found, Done):
        clinic.do(leases.finish, "one", claimed.id, found.state, found.reason, clinic.now)
    return found
