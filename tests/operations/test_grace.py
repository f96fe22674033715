"""Grace: what the desk changes and changes back is told once, as it ended; what the visitor does is told at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.domain.status import AppointmentStatus
from booking.keyring import Keyring
from booking.models import Appointment, Consent
from booking.models.lead import Lead
from booking.models.outbox import OutboxMessage
from booking.operations import appointments, fates, last_look, leases, reminders, webhooks
from booking.operations.appointments import Visit
from booking.operations.last_look import Done, Ready
from booking.operations.leases import Claimed
from booking.operations.notifications import BOOKED, CANCELLED, GRACE, MOVED, Telling
from tests.visits import DAY, HOUR, TEN, Clinic

ZONE = ZoneInfo("America/New_York")
MOMENT, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
DESK = "desk@clinic.example"
THEN = TEN + DAY


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    clinic = Clinic(database, keyring, now)
    clinic.diary = replace(clinic.diary, telling=Telling((DESK,), texts=True))
    return clinic


@pytest.fixture
def visit(clinic: Clinic) -> Visit:
    """A visit that the visitor has booked, and of which everybody was told."""
    visit = clinic.book("short", TEN, "ann")
    assert deliver(clinic) == [(BOOKED, DESK), (BOOKED, "person1@example.com")]
    return visit


def deliver(
    clinic: Clinic, channel: str = "mail", *, but: Callable[[], object] = lambda: None
) -> list[tuple[str, str]]:
    """Send what is due, as a worker does, and all that becomes due by it; returns what was sent to whom.

    `but` happens after the last look and before the fate is written down.
    """
    sent: list[tuple[str, str]] = []
    while batch := clinic.do(leases.claim, "one", channel, clinic.now, limit=25):
        for claimed in batch:
            found = look(clinic, claimed)
            if isinstance(found, Ready):
                but()
                clinic.do(fates.sent, "one", claimed, found.to_tell, clinic.now)
                sent.append((claimed.event, claimed.recipient))
            elif isinstance(found, Done):
                clinic.do(leases.finish, "one", claimed.id, found.state, found.reason, clinic.now)
    return sorted((event, whom) for event, whom in sent if event not in reminders.EVENTS)


def look(clinic: Clinic, claimed: Claimed) -> Any:
    with clinic.database.reading() as db:
        return last_look.look(db, clinic.diary.catalog, clinic.keyring, "one", claimed, ZONE, clinic.now)


def to_visitor(clinic: Clinic, channel: str = "mail") -> list[str]:
    """The events that the visitor is sent now."""
    return [event for event, whom in deliver(clinic, channel) if whom != DESK]


def drag(clinic: Clinic, visit: Visit, at: datetime, *, after: timedelta = MINUTE) -> Visit:
    """The desk moves a visit, some time after what it did last; until then the worker sends what is due."""
    clinic.now += after
    assert deliver(clinic) == []
    return clinic.move(visit, at, by_desk=True)


def waiting(database: Database) -> list[tuple[str, datetime]]:
    with database.reading() as db:
        rows = select(OutboxMessage).where(OutboxMessage.state == "waiting").order_by(OutboxMessage.id)
        return [(row.event, row.due_at) for row in db.scalars(rows) if row.event not in reminders.EVENTS]


# ---------------------------------------------------------------- the desk


def test_a_drag_is_told_after_three_minutes_and_to_the_visitor_alone(clinic: Clinic, visit: Visit) -> None:
    drag(clinic, visit, THEN)
    clinic.now += GRACE - MOMENT
    assert deliver(clinic) == []
    clinic.now += MOMENT
    assert deliver(clinic) == [(MOVED, "person1@example.com")]
    clinic.now += HOUR
    assert deliver(clinic) == []


def test_a_drag_undone_and_dragged_again_is_one_message_of_how_it_ended(
    clinic: Clinic, visit: Visit, database: Database
) -> None:
    for at in (THEN, TEN, THEN + HOUR):
        visit = drag(clinic, visit, at)
    assert waiting(database) == [(MOVED, clinic.now + GRACE)]
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]
    assert told(database) == {"mail": visit.row.to_tell}
    assert visit.row.starts_at == THEN + HOUR


def test_each_change_begins_the_three_minutes_anew(clinic: Clinic, visit: Visit) -> None:
    for at in (THEN, THEN + HOUR, THEN + 2 * HOUR, THEN + 3 * HOUR):
        visit = drag(clinic, visit, at, after=GRACE - MOMENT)
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]


def test_what_is_undone_entirely_is_told_to_nobody(clinic: Clinic, visit: Visit, database: Database) -> None:
    drag(clinic, drag(clinic, visit, THEN), TEN)
    clinic.now += GRACE
    assert to_visitor(clinic) == []
    assert waiting(database) == []
    assert reasons(database, MOVED) == {"withdrawn": {last_look.KNOWN, "Something newer is to be told of this visit."}}


def test_what_is_undone_after_it_was_told_is_told_too(clinic: Clinic, visit: Visit) -> None:
    """The twin: it is what the visitor knows that counts, and not where the visit was."""
    moved = drag(clinic, visit, THEN)
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]
    drag(clinic, moved, TEN)
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]


def test_a_cancellation_taken_back_within_the_grace_is_told_to_nobody(clinic: Clinic, visit: Visit) -> None:
    cancelled = clinic.cancel(visit, by="desk", by_desk=True)
    clinic.now += MINUTE
    clinic.restore(cancelled)
    clinic.now += GRACE
    assert to_visitor(clinic) == []


def test_a_drag_and_then_a_cancellation_is_a_cancellation(clinic: Clinic, visit: Visit, database: Database) -> None:
    clinic.cancel(drag(clinic, visit, THEN), by="desk", by_desk=True)
    clinic.now += GRACE
    assert to_visitor(clinic) == [CANCELLED]
    assert waiting(database) == []


def test_another_practitioner_and_another_length_are_told_in_one_message(clinic: Clinic, visit: Visit) -> None:
    clinic.reassign(visit, "bob")
    clinic.change_length(visit)
    drag(clinic, visit, THEN)
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]


def test_what_the_desk_books_and_moves_within_the_grace_is_one_booking(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN, "ann", by_desk=True)
    assert deliver(clinic) == []
    visit = drag(clinic, visit, THEN)
    assert waiting(database) == [(BOOKED, clinic.now + GRACE)]
    clinic.now += GRACE
    assert deliver(clinic) == [(BOOKED, "person1@example.com")]
    drag(clinic, visit, TEN)
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED], "from then on it is moved"


def test_what_the_desk_books_and_cancels_within_the_grace_is_told_to_nobody(clinic: Clinic, database: Database) -> None:
    cancelled = clinic.cancel(clinic.book("short", TEN, "ann", by_desk=True), by="desk", by_desk=True)
    assert waiting(database) == []
    clinic.restore(cancelled)
    clinic.now += GRACE
    assert to_visitor(clinic) == [BOOKED]


def test_what_the_desk_cancels_after_the_grace_is_told_also_if_the_booking_has_not_gone_yet(clinic: Clinic) -> None:
    """Whoever agreed on it by telephone knows of it: the letter alone waits, for the worker or for the morning."""
    visit = clinic.book("short", TEN, "ann", by_desk=True)
    clinic.now += GRACE + MOMENT
    clinic.cancel(visit, by="desk", by_desk=True)
    clinic.now += GRACE
    assert to_visitor(clinic) == [CANCELLED]


def test_what_the_visitor_booked_and_the_desk_cancels_at_once_is_told_to_them(clinic: Clinic) -> None:
    """The twin: no letter has gone yet, but the page has told them of their visit."""
    clinic.cancel(clinic.book("short", TEN, "ann"), by="desk", by_desk=True)
    clinic.now += GRACE
    assert to_visitor(clinic) == [CANCELLED]


def test_a_booking_on_its_way_when_the_desk_cancels_it_is_followed_by_the_cancellation(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann", by_desk=True)
    clinic.now += GRACE
    assert [event for event, _ in deliver(clinic, but=lambda: clinic.cancel(visit, by="desk", by_desk=True))] == [
        BOOKED
    ]
    clinic.now += GRACE
    assert to_visitor(clinic) == [CANCELLED]


def test_a_request_that_the_desk_accepts_is_told_after_the_grace(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN, "ann", status=AppointmentStatus.PENDING)
    assert to_visitor(clinic) == [BOOKED]
    clinic.do(appointments.accept, clinic.diary, visit.row.id, clinic.now)
    assert deliver(clinic) == []
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]


# ---------------------------------------------------------------- the visitor


def test_what_the_visitor_does_is_told_at_once_to_them_and_to_the_desk(clinic: Clinic, visit: Visit) -> None:
    moved = clinic.move(visit, THEN)
    assert deliver(clinic) == [(MOVED, DESK), (MOVED, "person1@example.com")]
    clinic.cancel(moved)
    assert deliver(clinic) == [(CANCELLED, DESK), (CANCELLED, "person1@example.com")]


def test_a_visitor_who_moves_within_the_grace_of_the_desk_hears_of_their_own_change_alone(
    clinic: Clinic, visit: Visit, database: Database
) -> None:
    clinic.move(drag(clinic, visit, THEN), THEN + HOUR)
    assert deliver(clinic) == [(MOVED, DESK), (MOVED, "person1@example.com")]
    clinic.now += HOUR
    assert (deliver(clinic), waiting(database)) == ([], [])


@pytest.mark.parametrize("undo", ["move", "restore"])
def test_what_the_desk_undoes_of_what_the_visitor_saw_done_is_told_to_them(
    undo: str, clinic: Clinic, visit: Visit, database: Database
) -> None:
    """The page has told them already, though the letter has not gone yet."""
    if undo == "move":
        clinic.move(clinic.move(visit, THEN), TEN, by_desk=True)
    else:
        clinic.restore(clinic.cancel(visit))
    clinic.now += GRACE
    assert (to_visitor(clinic), waiting(database)) == ([MOVED], [])
    assert told(database) == {"mail": moved_line(database, TEN)}


def test_a_visitor_who_moves_there_and_back_has_it_in_writing(clinic: Clinic, visit: Visit, database: Database) -> None:
    clinic.move(clinic.move(visit, THEN), TEN)
    assert (to_visitor(clinic), waiting(database)) == ([MOVED], [])


# ---------------------------------------------------------------- in flight


def test_a_letter_on_its_way_when_the_visit_moves_is_followed_by_one_of_how_it_ended(
    clinic: Clinic, visit: Visit, database: Database
) -> None:
    """The visitor reads the letter that nobody could call back, so the way back has to be told, too."""
    moved = drag(clinic, visit, THEN)
    on_its_way: list[Visit] = []

    def undo() -> None:
        if not on_its_way:
            on_its_way.append(clinic.move(moved, TEN, by_desk=True))

    clinic.now += GRACE
    assert [event for event, _ in deliver(clinic, but=undo)] == [MOVED]
    assert on_its_way, "the desk was in time"
    assert told(database) == {"mail": moved_line(database, THEN)}
    clinic.now += GRACE
    assert to_visitor(clinic) == [MOVED]
    assert told(database) == {"mail": moved_line(database, TEN)}


def moved_line(database: Database, at: datetime) -> str:
    with database.reading() as db:
        row = db.scalars(select(Appointment)).one()
    row.starts_at, row.ends_at = at, at + HOUR / 2
    return row.to_tell


def told(database: Database) -> dict[str, str] | None:
    with database.reading() as db:
        return db.scalars(select(Appointment.told)).one()


def reasons(database: Database, event: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with database.reading() as db:
        for row in db.scalars(select(OutboxMessage).where(OutboxMessage.event == event)):
            found.setdefault(row.state, set()).add(row.reason)
    return found


# ---------------------------------------------------------------- two ways, and programs


def likes_texts(clinic: Clinic) -> int:
    """A lead who left both, prefers texts, and agreed to be answered."""
    lead = clinic.somebody()
    with clinic.database.transaction() as db:
        row = db.get_one(Lead, lead)
        row.phone, row.contact_preference = "+12025550123", "text"
        words = {"version": "1", "wording": "by text", "wording_sha256": "", "page_url": ""}
        db.add(Consent(lead_id=lead, purpose="reply", given_at=clinic.now, **words))
    return lead


@pytest.mark.parametrize("ways", [("mail", "sms"), ("sms", "mail")], ids="-then-".join)
def test_who_is_told_by_letter_is_told_by_text_all_the_same(ways: tuple[str, str], clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann", lead=likes_texts(clinic))
    assert [to_visitor(clinic, way) for way in ways] == [[BOOKED], [BOOKED]]
    visit = clinic.move(visit, THEN)
    assert [to_visitor(clinic, way) for way in ways] == [[MOVED], [MOVED]]
    clinic.cancel(visit)
    assert [to_visitor(clinic, way) for way in ways] == [[CANCELLED], [CANCELLED]]


@pytest.mark.parametrize("ways", [("mail", "sms"), ("sms", "mail")], ids="-then-".join)
def test_what_is_undone_entirely_is_told_by_neither_way(ways: tuple[str, str], clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann", lead=likes_texts(clinic))
    for way in ways:
        assert deliver(clinic, way)
    drag(clinic, drag(clinic, visit, THEN), TEN)
    clinic.now += GRACE
    assert [deliver(clinic, way) for way in ways] == [[], []]


def test_programs_are_told_once_after_the_grace(clinic: Clinic, visit: Visit, database: Database) -> None:
    clinic.do(webhooks.add, clinic.keyring, "https://crm.example", "whsec_x", clinic.now)
    for at in (THEN, THEN + HOUR):
        visit = drag(clinic, visit, at)
    assert clinic.do(leases.share_out, clinic.keyring, clinic.now) == 0
    clinic.now += GRACE
    assert clinic.do(leases.share_out, clinic.keyring, clinic.now) == 1
    assert [event for event, _ in deliver(clinic, "webhook")] == [MOVED]
