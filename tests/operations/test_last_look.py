"""The last look: what a worker has in its hands is sent only if it is still true and still wanted."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.domain.status import MessageState
from booking.keyring import Keyring, Unreadable
from booking.models import Appointment
from booking.models.outbox import OutboxMessage
from booking.operations import fates, last_look, leases, outbox, reminders
from booking.operations.last_look import Done, Ready
from booking.operations.leases import LEASE
from booking.operations.notifications import BOOKED, CANCELLED, LEAD_CAPTURED, MOVED
from tests.operations.in_hand import about, booked, change, claim, confirm, look, only, put
from tests.visits import DAY, HOUR, TEN, Clinic

MOMENT, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)


# ---------------------------------------------------------------- whose it is


def test_what_is_true_and_wanted_is_sent_with_its_facts_lead_and_visit(clinic: Clinic) -> None:
    visit_id, lead = booked(clinic), clinic.somebody()
    found = look(clinic, about(clinic, LEAD_CAPTURED, visit_id, lead_id=lead, facts={"reference": "SV-2222-22"}))
    assert isinstance(found, Ready)
    assert found.facts == {"reference": "SV-2222-22"}
    assert found.lead is not None
    assert found.visit is not None
    assert (found.lead.id, found.visit.row.id, found.to_tell) == (lead, visit_id, found.visit.row.to_tell)


def test_what_belongs_to_no_enquiry_is_sent_with_its_facts_alone(clinic: Clinic) -> None:
    put(clinic, "digest", audience="desk", facts={"new": 3})
    assert look(clinic, only(clinic)) == Ready({"new": 3})


def test_what_another_worker_has_meanwhile_is_left_to_it(clinic: Clinic) -> None:
    put(clinic)
    lost = only(clinic)
    clinic.now += LEASE + MOMENT
    (taken,) = claim(clinic, worker="two")
    assert look(clinic, lost) is None
    assert isinstance(look(clinic, taken, worker="two"), Ready)


@pytest.mark.parametrize("event", [BOOKED, MOVED, CANCELLED])
def test_what_is_withdrawn_after_the_claim_is_not_sent(event: str, clinic: Clinic) -> None:
    visit_id = booked(clinic)
    change(clinic, visit_id, status="cancelled" if event == CANCELLED else "booked")
    claimed = about(clinic, event, visit_id)
    assert isinstance(look(clinic, claimed), Ready), "the twin: until then it would be"
    clinic.do(outbox.withdraw, visit_id, [event], "something newer", clinic.now)
    assert look(clinic, claimed) is None


def test_what_cannot_be_read_is_said_and_not_sent_as_nothing(clinic: Clinic) -> None:
    put(clinic)
    with pytest.raises(Unreadable):
        look(clinic, only(clinic), keyring=Keyring([(2, bytes(range(32, 64)))], "another secret: 0123456789abcdef"))


def test_what_helps_no_more_was_missed(clinic: Clinic) -> None:
    put(clinic, useful_until=clinic.now)
    claimed = only(clinic)
    assert isinstance(look(clinic, claimed), Ready)
    clinic.now += MOMENT
    assert look(clinic, claimed) == Done(MessageState.MISSED, last_look.TOO_LATE)


# ---------------------------------------------------------------- whether the visit is as it says


CHANGED = Done(MessageState.WITHDRAWN, last_look.CHANGED)
STATUSES = ("pending", "booked", "arrived", "fulfilled", "cancelled", "noshow")


@pytest.mark.parametrize("status", STATUSES)
def test_an_event_is_told_only_of_a_visit_that_still_is_as_it_says(status: str, clinic: Clinic) -> None:
    visit_id = booked(clinic)
    change(clinic, visit_id, status=status)
    stands = status not in ("cancelled", "noshow")
    found = {event: look(clinic, about(clinic, event, visit_id)) for event in (BOOKED, MOVED, CANCELLED)}
    assert (found[BOOKED] == CHANGED, found[MOVED] == CHANGED) == (not stands, not stands)
    assert (found[CANCELLED] == CHANGED) == (status != "cancelled")


def test_a_new_enquiry_is_confirmed_without_the_visit_that_was_given_up_since(clinic: Clinic) -> None:
    visit_id = booked(clinic)
    claimed = about(clinic, LEAD_CAPTURED, visit_id)
    change(clinic, visit_id, status="cancelled")
    assert look(clinic, claimed) == Ready({}, None, None, "")


def test_a_new_enquiry_is_confirmed_late_without_the_visit_that_began_meanwhile(clinic: Clinic) -> None:
    claimed = about(clinic, LEAD_CAPTURED, booked(clinic))
    clinic.now = TEN - MOMENT
    assert isinstance(found := look(clinic, claimed), Ready)
    assert found.visit is not None
    clinic.now = TEN
    assert look(clinic, claimed) == Ready({}, None, None, "")


def test_what_the_visitor_knows_is_not_told_again(clinic: Clinic, database: Database) -> None:
    visit_id = booked(clinic)
    with database.reading() as db:
        as_it_is = db.get_one(Appointment, visit_id).to_tell
    mail, text = about(clinic, MOVED, visit_id), about(clinic, BOOKED, visit_id, channel="sms")
    change(clinic, visit_id, told={"mail": as_it_is})
    assert look(clinic, mail) == Done(MessageState.WITHDRAWN, last_look.KNOWN)
    assert isinstance(look(clinic, text), Ready), "what was told by letter was not told by text"
    change(clinic, visit_id, told={"mail": "as it was before"})
    assert isinstance(look(clinic, mail), Ready)


@pytest.mark.parametrize("event", [BOOKED, MOVED])
def test_of_a_visit_that_is_over_nothing_is_told(event: str, clinic: Clinic) -> None:
    claimed = about(clinic, event, booked(clinic))
    clinic.now = TEN + HOUR / 2
    assert isinstance(look(clinic, claimed), Ready)
    clinic.now += MOMENT
    assert look(clinic, claimed) == Done(MessageState.MISSED, last_look.OVER)


@pytest.mark.parametrize("audience", ["desk", "program"])
def test_the_desk_and_programs_hear_of_each_event_whatever_came_of_it(audience: str, clinic: Clinic) -> None:
    visit_id = booked(clinic)
    claimed = about(clinic, BOOKED, visit_id, audience=audience)
    change(clinic, visit_id, status="cancelled")
    assert isinstance(look(clinic, claimed), Ready)


def test_a_reminder_agrees_with_the_visit_or_is_withdrawn(clinic: Clinic) -> None:
    visit_id = booked(clinic)
    right, wrong = (
        about(clinic, event, visit_id, facts={"starts_at": at.isoformat()})
        for event, at in ((reminders.DAY, TEN), (reminders.HOURS, TEN + HOUR))
    )
    assert isinstance(look(clinic, right), Ready)
    assert look(clinic, wrong) == CHANGED
    clinic.now = TEN
    assert look(clinic, right) == Done(MessageState.MISSED, last_look.OVER), "also one that somebody released"
    change(clinic, visit_id, status="cancelled")
    assert look(clinic, right) == CHANGED


@pytest.mark.parametrize("by", ["message_id", "lead_id"])
def test_a_held_confirmation_that_is_released_is_sent(by: str, clinic: Clinic, database: Database) -> None:
    while isinstance(confirm(clinic), Ready):
        clinic.now += MINUTE
    with database.reading() as db:
        held = db.scalars(select(OutboxMessage).where(OutboxMessage.state == "held")).one()
    clinic.now += HOUR
    number = held.id if by == "message_id" else held.lead_id
    assert clinic.do(outbox.release, clinic.now, **{by: number}) == 1
    assert clinic.do(outbox.release, clinic.now, **{by: number}) == 0, "a second time there is nothing to do"
    released = only(clinic)
    assert (released.id, released.created_at) == (held.id, clinic.now)
    assert isinstance(look(clinic, released), Ready)


def test_a_dead_message_can_be_sent_after_all(clinic: Clinic, database: Database) -> None:
    put(clinic, lead_id=clinic.somebody(), useful_until=clinic.now)
    dead = only(clinic)
    clinic.do(fates.refused, "one", dead, "no such address", clinic.now)
    clinic.now += 30 * DAY
    assert clinic.do(outbox.release, clinic.now, message_id=dead.id) == 1
    released = only(clinic)
    assert (released.id, released.name) == (dead.id, dead.name), "under the name it always had"
    assert isinstance(look(clinic, released), Ready)


@pytest.mark.parametrize("state", [MessageState.SENT, MessageState.MISSED, MessageState.WITHDRAWN])
def test_what_was_sent_or_is_wanted_no_more_cannot_be_released(state: MessageState, clinic: Clinic) -> None:
    put(clinic)
    claimed = only(clinic)
    clinic.do(leases.finish, "one", claimed.id, state, "", clinic.now)
    assert clinic.do(outbox.release, clinic.now, message_id=claimed.id) == 0
