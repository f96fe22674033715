"""The last look: what a worker has in its hands is sent only if it is still true, still wanted, and not at night."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from booking.database import Database
from booking.domain.status import MessageState
from booking.keyring import Keyring, Unreadable
from booking.models import Appointment
from booking.models.outbox import OutboxMessage
from booking.operations import fates, last_look, leases, outbox, reminders
from booking.operations.last_look import A_DAY, CHANGES_A_DAY, CONFIRMATIONS_A_DAY, Done, Later, Ready
from booking.operations.leases import LEASE, Claimed
from booking.operations.notifications import BOOKED, CANCELLED, LEAD_CAPTURED, MOVED, Telling
from booking.operations.outbox import Message
from tests.visits import DAY, HOUR, MAIN, SHORT, TEN, Clinic, small

ZONE = ZoneInfo("America/New_York")
MOMENT, MINUTE = timedelta(microseconds=1), timedelta(minutes=1)
ADA, NUMBER = "ada@example.com", "+12025550123"


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    clinic = Clinic(database, keyring, now)
    clinic.diary = replace(clinic.diary, telling=Telling(("desk@clinic.example",)))
    return clinic


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
    put(clinic, event, appointment_id=visit_id, recipient=f"{event}@example.com", **more)
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


# ---------------------------------------------------------------- no flood into one box


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


def test_the_fourth_confirmation_to_one_address_within_a_day_is_held(clinic: Clinic) -> None:
    for _ in range(CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic), Ready)
        clinic.now += MINUTE
    assert confirm(clinic) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)
    assert isinstance(confirm(clinic, recipient="ben@example.com"), Ready)
    clinic.now += A_DAY - CONFIRMATIONS_A_DAY * MINUTE - MOMENT
    assert confirm(clinic) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)
    clinic.now += MOMENT
    assert isinstance(confirm(clinic), Ready)
    assert confirm(clinic) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)


def test_neither_capitals_nor_texts_are_a_way_round(clinic: Clinic) -> None:
    for address in ("ada@example.com", "Ada@Example.com", "ada+1@example.com"):
        assert isinstance(confirm(clinic, recipient=address), Ready)
    assert confirm(clinic, recipient="ADA@example.com") == Done(MessageState.HELD, last_look.ENOUGH_TODAY)
    clinic.now = clinic.now.replace(hour=17)
    for _ in range(CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic, channel="sms", recipient=NUMBER), Ready)
    assert confirm(clinic, channel="sms", recipient=NUMBER) == Done(MessageState.HELD, last_look.ENOUGH_TODAY)


@pytest.mark.parametrize("audience", ["visitor", "desk"])
def test_a_visit_that_is_moved_again_and_again_is_told_once_an_hour(audience: str, clinic: Clinic) -> None:
    visit_id = booked(clinic)
    for number in range(CHANGES_A_DAY):
        claimed = about(clinic, MOVED, visit_id, audience=audience, key=(str(number),))
        assert isinstance(look(clinic, claimed), Ready)
        clinic.do(fates.sent, "one", claimed, "", clinic.now)
        clinic.now += MINUTE
    last = clinic.now - MINUTE
    claimed = about(clinic, MOVED, visit_id, audience=audience, key=("last",))
    assert look(clinic, claimed) == Later(last + HOUR, last_look.MANY_CHANGES)
    clinic.now = last + HOUR
    assert isinstance(look(clinic, claimed), Ready)
    other = about(clinic, BOOKED, visit_id, audience=audience)
    assert isinstance(look(clinic, other), Ready), "to somebody else"


@pytest.mark.parametrize(
    "other",
    [{"event": "digest"}, {"event": LEAD_CAPTURED, "audience": "desk"}],
    ids=["a digest", "a letter to the desk"],
)
def test_other_letters_are_neither_counted_nor_held(other: dict[str, Any], clinic: Clinic) -> None:
    for _ in range(2 * CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic, **other), Ready)
    for _ in range(CONFIRMATIONS_A_DAY):
        assert isinstance(confirm(clinic), Ready)
    assert isinstance(confirm(clinic), Done)
    assert isinstance(confirm(clinic, **other), Ready)


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


# ---------------------------------------------------------------- texts


def test_a_number_that_said_stop_after_the_text_was_written_gets_none(clinic: Clinic) -> None:
    put(clinic, channel="sms", recipient=NUMBER)
    claimed = only(clinic, "sms")
    assert isinstance(look(clinic, claimed), Ready)
    for _ in range(2):
        clinic.do(fates.stop_texts, clinic.keyring, NUMBER, clinic.now)
    assert look(clinic, claimed) == Done(MessageState.WITHDRAWN, last_look.STOPPED)
    clinic.do(fates.allow_texts, clinic.keyring, NUMBER)
    assert isinstance(look(clinic, claimed), Ready)


def test_a_stop_stops_texts_and_no_letters_and_nobody_elses(clinic: Clinic) -> None:
    clinic.do(fates.stop_texts, clinic.keyring, NUMBER, clinic.now)
    put(clinic)
    put(clinic, channel="sms", recipient="+12025550199")
    assert isinstance(look(clinic, only(clinic)), Ready)
    assert isinstance(look(clinic, only(clinic, "sms")), Ready)


WAKING = {"07:59": "08:00", "08:00": "", "19:59": "", "20:00": "08:00", "23:59": "08:00", "00:00": "08:00"}


@pytest.mark.parametrize("wall", WAKING)
def test_texts_are_sent_between_eight_and_eight_and_letters_at_any_time(wall: str, clinic: Clinic) -> None:
    put(clinic, channel="sms", recipient=NUMBER)
    put(clinic, "digest")
    text, letter = only(clinic, "sms"), only(clinic)
    at = datetime.fromisoformat(f"2026-12-05T{wall}").replace(tzinfo=ZONE)
    clinic.now = at.astimezone(UTC)
    assert isinstance(look(clinic, letter), Ready)
    found = look(clinic, text)
    if not WAKING[wall]:
        assert isinstance(found, Ready)
    else:
        next_day = at.date() + DAY if wall > "08" else at.date()
        morning = datetime.combine(next_day, time(8), ZONE)
        assert found == Later(morning, last_look.AT_NIGHT)


def test_night_is_on_the_clock_of_the_visit_and_else_of_the_clinic(clinic: Clinic) -> None:
    clinic.load(small(SHORT, locations=(replace(MAIN, timezone="America/Los_Angeles"),)))
    visit_id = booked_at_noon(clinic)
    texts = [about(clinic, BOOKED, visit_id, channel="sms"), about_nothing(clinic)]
    clinic.now = datetime(2026, 11, 24, 21, 0, tzinfo=ZONE).astimezone(UTC)  # six in the evening in Los Angeles
    assert isinstance(look(clinic, texts[0]), Ready)
    assert look(clinic, texts[1]) == Later(datetime(2026, 11, 25, 8, 0, tzinfo=ZONE), last_look.AT_NIGHT)


@pytest.mark.parametrize("recipient", ["+14155550123", NUMBER], ids=["in California", "in the east"])
def test_night_is_also_on_the_clock_of_the_number(recipient: str, clinic: Clinic) -> None:
    put(clinic, channel="sms", recipient=recipient)
    text = only(clinic, "sms")
    clinic.now = datetime(2026, 11, 25, 8, 0, tzinfo=ZONE).astimezone(UTC)
    found = look(clinic, text)
    if recipient == NUMBER:
        assert isinstance(found, Ready)
    else:
        assert found == Later(datetime(2026, 11, 25, 11, 0, tzinfo=ZONE), last_look.AT_NIGHT)


def test_a_text_that_could_help_only_at_night_is_missed_and_says_why(clinic: Clinic) -> None:
    clinic.now = datetime(2026, 11, 24, 21, 0, tzinfo=ZONE).astimezone(UTC)
    put(clinic, channel="sms", recipient=NUMBER, useful_until=clinic.now + 10 * HOUR)
    assert look(clinic, only(clinic, "sms")) == Done(MessageState.MISSED, last_look.ONLY_AT_NIGHT)


def booked_at_noon(clinic: Clinic) -> int:
    clinic.diary = replace(clinic.diary, telling=None)
    return clinic.book("short", TEN + 5 * HOUR, "ann").row.id


def about_nothing(clinic: Clinic) -> Claimed:
    put(clinic, channel="sms", recipient=NUMBER)
    return only(clinic, "sms")
