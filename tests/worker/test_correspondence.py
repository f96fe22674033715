"""Correspondence: visitor and desk hear what they must, calendars can read it, and nothing of what somebody wrote."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from booking.domain.errors import AppointmentUnknown
from booking.models.appointment import REASON
from booking.models.lead import CONTENT
from booking.operations import appointments, digest
from tests.delivery.mailbox import Mailbox, mailbox, parsed
from tests.delivery.receiver import Receiver, answering
from tests.delivery.twilio_server import ACCOUNT, SENDER, TOKEN, TwilioServer
from tests.posting import ADA
from tests.visits import DAY, HOUR, TEN
from tests.worker.conftest import DESK, Office, Open

THURSDAY = TEN + 8 * DAY
MANAGE = re.compile(r"http://127\.0\.0\.1:8000/appointments/(\S+)")


@contextmanager
def posting(office: Open, **settings: str) -> Iterator[tuple[Office, Mailbox]]:
    with mailbox() as box:
        yield office(MAIL_URL=f"smtp://127.0.0.1:{box.port}", **settings), box


def to(box: Mailbox, recipient: str) -> list[EmailMessage]:
    return [letter.message for letter in box.letters if letter.recipient == recipient]


def text_of(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


# ---------------------------------------------------------------- who hears


def test_a_posted_enquiry_leads_to_one_letter_to_the_visitor_and_one_to_the_desk(office: Open) -> None:
    with posting(office) as (at_work, box):
        reference = at_work.post().reference
        at_work.deliver()
        at_work.deliver(hours=1)
        (visitors,), (desks,) = to(box, ADA["email"]), to(box, DESK)
        assert len(box.letters) == 2
    for letter in (visitors, desks):
        assert reference in letter["Subject"]
        assert reference in text_of(letter)
        assert letter["Auto-Submitted"] == "auto-generated"
    assert visitors["Reply-To"] == at_work.premises.clinic.email
    assert desks["Reply-To"] is None
    assert visitors["Message-ID"] != desks["Message-ID"]
    assert at_work.fates() == {("lead_captured", "visitor", "sent"), ("lead_captured", "desk", "sent")}


def test_without_a_mail_server_the_same_letters_lie_in_a_folder(office: Open) -> None:
    at_work = office()
    reference = at_work.post().reference
    at_work.deliver()
    letters = [parsed(path.read_bytes()) for path in at_work.folder.iterdir()]
    assert {letter["To"] for letter in letters} == {ADA["email"], DESK}
    assert all(reference in letter["Subject"] for letter in letters)


@pytest.mark.parametrize(
    ("at", "promised"),
    [
        (datetime(2026, 11, 24, 15, 30, tzinfo=UTC), "We will get in touch today."),
        (datetime(2026, 11, 25, 13, 30, tzinfo=UTC), "We are closed now. We will get in touch today from 9"),
        (datetime(2026, 11, 28, 23, 0, tzinfo=UTC), "We are closed now. We will get in touch on Monday from 9"),
        (datetime(2026, 11, 24, 21, 0, tzinfo=UTC), "We will get in touch today."),
        (datetime(2026, 11, 24, 21, 1, tzinfo=UTC), "us. We will get in touch on Wednesday from 9"),
    ],
    ids=["in the morning", "before the clinic opens", "on Saturday evening", "an hour to go", "less than an hour"],
)
def test_the_visitor_reads_when_they_will_hear_as_of_the_time_of_the_letter(
    at: datetime, promised: str, office: Open
) -> None:
    with posting(office) as (at_work, box):
        at_work.post()
        at_work.clock.now = at
        at_work.deliver()
        assert promised in text_of(to(box, ADA["email"])[0])


def test_the_link_in_a_letter_leads_to_the_visit_until_a_newer_one_takes_its_place(office: Open) -> None:
    with posting(office) as (at_work, box):
        at_work.post(at=TEN)
        at_work.deliver()
        at_work.move(TEN + HOUR)
        at_work.deliver()
        booked, moved = (MANAGE.findall(text_of(letter)) for letter in to(box, ADA["email"]))
    assert len(set(booked)) == len(set(moved)) == 1
    catalog, now = at_work.clinic.diary.catalog, at_work.clock.now
    with at_work.premises.database.reading() as db:
        assert appointments.by_token(db, catalog, moved[0], now).row.starts_at == TEN + HOUR
        with pytest.raises(AppointmentUnknown):
            appointments.by_token(db, catalog, booked[0], now)


# ---------------------------------------------------------------- invitations, read by two who do not know each other

NAME = "[A-Z0-9-]+"
LINE = re.compile(rf'(?P<name>{NAME})(?P<options>(;{NAME}=("[^"]*"|[^";:,]*))*):(?P<value>[^\x00-\x08\x0a-\x1f\x7f]*)')


@dataclass(frozen=True)
class Read:
    """What a calendar takes from an invitation."""

    method: str
    uid: str
    sequence: int
    status: str
    starts_at: datetime
    ends_at: datetime
    attendees: frozenset[str]


def strictly(file: bytes) -> Read:
    """A reader of RFC 5545's lines that forgives nothing, and knows of RFC 5546 what must be there, and how often."""
    assert file.endswith(b"\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", file), "every line ends with both"
    assert all(len(line) <= 75 for line in file.split(b"\r\n"))
    lines = [LINE.fullmatch(line) for line in file.decode().replace("\r\n ", "").split("\r\n")[:-1]]
    open_parts: list[str] = []
    found: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        assert line is not None
        if line["name"] == "BEGIN":
            open_parts.append(line["value"])
        elif line["name"] == "END":
            assert open_parts.pop() == line["value"]
        else:
            place = f"{'/'.join(open_parts)}:{line['name']}"
            found.setdefault(place, []).append((line["options"], line["value"]))
    assert open_parts == []
    once = {place: values[0] for place, values in found.items() if len(values) == 1}
    assert once["VCALENDAR:VERSION"] == ("", "2.0")
    assert "VCALENDAR:PRODID" in once
    event = "VCALENDAR/VEVENT"
    assert {f"{event}:{name}" for name in ("DTSTAMP", "ORGANIZER", "SUMMARY")} <= once.keys()
    zones = {value for _, value in found["VCALENDAR/VTIMEZONE:TZID"]}
    return Read(
        method=once["VCALENDAR:METHOD"][1],
        uid=once[f"{event}:UID"][1],
        sequence=int(once[f"{event}:SEQUENCE"][1]),
        status=once[f"{event}:STATUS"][1],
        starts_at=instant(*once[f"{event}:DTSTART"], zones),
        ends_at=instant(*once[f"{event}:DTEND"], zones),
        attendees=frozenset(value for _, value in found[f"{event}:ATTENDEE"]),
    )


def instant(options: str, value: str, zones: set[str]) -> datetime:
    zone = options.removeprefix(";TZID=")
    assert zone in zones, "the zone that is named is described"
    return datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def by_icalendar(file: bytes) -> Read:
    """The same, read by a library."""
    calendar = Calendar.from_ical(file)
    assert isinstance(calendar, Calendar)
    (event,) = calendar.events
    assert event.errors == calendar.errors == []
    attendees = event["ATTENDEE"]
    assert isinstance(event.start, datetime)
    assert isinstance(event.end, datetime)
    return Read(
        method=str(calendar["METHOD"]),
        uid=str(event["UID"]),
        sequence=event.sequence,
        status=str(event["STATUS"]),
        starts_at=event.start.astimezone(UTC),
        ends_at=event.end.astimezone(UTC),
        attendees=frozenset(map(str, attendees if isinstance(attendees, list) else [attendees])),
    )


def invitation(letter: EmailMessage) -> Read:
    """What the file in a letter says to both readers, which is there for each kind of mail program."""
    (beside,) = [part for part in letter.walk() if part.get_content_type() == "text/calendar"]
    (attached,) = letter.iter_attachments()
    file = beside.get_payload(decode=True)
    assert isinstance(file, bytes)
    assert attached.get_payload(decode=True) == file
    read = strictly(file)
    assert by_icalendar(file) == read
    assert beside["Content-Type"].params["method"] == read.method
    return read


def test_a_booked_visit_comes_with_an_invitation_and_its_cancellation_takes_it_back(office: Open) -> None:
    with posting(office) as (at_work, box):
        at_work.post(at=TEN)
        at_work.deliver()
        at_work.move(TEN + HOUR)
        at_work.deliver()
        at_work.cancel()
        at_work.deliver()
        booked, moved, cancelled = (invitation(letter) for letter in to(box, ADA["email"]))
        assert all(list(letter.iter_attachments()) == [] for letter in to(box, DESK))
    assert (booked.method, booked.status, booked.starts_at) == ("REQUEST", "CONFIRMED", TEN)
    assert (moved.method, moved.status, moved.starts_at) == ("REQUEST", "CONFIRMED", TEN + HOUR)
    assert (cancelled.method, cancelled.status, cancelled.starts_at) == ("CANCEL", "CANCELLED", TEN + HOUR)
    assert booked.uid == moved.uid == cancelled.uid
    assert booked.sequence < moved.sequence < cancelled.sequence
    assert f"mailto:{ADA['email']}" in booked.attendees & moved.attendees & cancelled.attendees


@pytest.mark.parametrize("broken", [(b"\r\n", b"\n"), (b"SEQUENCE:0\r\n", b""), (b"END:VEVENT\r\n", b"")])
def test_twin_the_strict_reader_takes_no_file_that_is_broken(broken: tuple[bytes, bytes], office: Open) -> None:
    with posting(office) as (at_work, box):
        at_work.post(at=TEN)
        at_work.deliver()
        (attached,) = to(box, ADA["email"])[0].iter_attachments()
    file = attached.get_payload(decode=True)
    assert isinstance(file, bytes)
    assert strictly(file).sequence == 0
    with pytest.raises((AssertionError, KeyError)):
        strictly(file.replace(*broken))


# ---------------------------------------------------------------- nothing that somebody wrote

EMAIL, PHONE = "aurelia.quimby@example.com", "2025550177"
PERSONAL = {"name": "Aurelia Quimby", "email": EMAIL, "phone": "+1 202 555 0177"}
HEALTH = {
    "message": "my endometriosis, sertraline and a miscarriage",
    "preferred_times": "before chemotherapy",
    "symptoms": ["pain-not-eased-by-rest", "incontinence"],
    "page_url": "https://www.example.com/fibromyalgia",
    "referrer": "https://search.example/?q=vulvodynia",
    "utm_campaign": "impotence",
    "utm_term": "gonorrhoea",
    "Do you take medicine?": "methadone",
    "consent_version": "reply:2026-11,marketing:bulimia",
    "location": "psoriasis",
}
NAMES = ["aurelia", "quimby", EMAIL, PHONE]
WORDS = [
    "endometriosis", "sertraline", "miscarriage", "chemotherapy", "pain-not-eased", "incontinence", "fibromyalgia",
    "vulvodynia", "impotence", "gonorrhoea", "methadone", "bulimia", "psoriasis", "haemorrhoid",
]  # fmt: skip
POST = PERSONAL | HEALTH | {"service": "short", "consent_reply": "yes", "contact_preference": "text"}


def live_through_everything(at_work: Office) -> None:
    """One person books, turns urgent, moves, is reminded twice, cancels; the desk has its digest after that."""
    calm = {name: value for name, value in POST.items() if name not in ("symptoms", "location")}
    at_work.post(calm, THURSDAY, key="one")
    at_work.deliver()
    at_work.post(POST, THURSDAY, key="one")
    at_work.deliver()
    at_work.move(THURSDAY + HOUR, EMAIL)
    at_work.deliver()
    for before in (DAY, 2 * HOUR):
        at_work.clock.now = THURSDAY + HOUR - before
        at_work.deliver()
    at_work.cancel("a haemorrhoid", EMAIL)
    at_work.deliver()
    premises = at_work.premises
    with premises.database.transaction() as db:
        digest.write(db, premises.keyring, premises.outside.desk, premises.zone, at_work.clock.now, undrained=0)
    at_work.deliver()


def found(words: list[str], text: str) -> list[str]:
    plain = re.sub(r"[-\s().]", "", text.lower())
    return [word for word in words if word in text.lower() or re.sub(r"[-\s().]", "", word) in plain]


def parts_of(letter: EmailMessage) -> str:
    """All that a letter says below its headers, decoded."""
    payloads = [part.get_payload(decode=True) for part in letter.walk() if not part.is_multipart()]
    return "\n".join(payload.decode() for payload in payloads if isinstance(payload, bytes))


def test_nothing_that_a_visitor_wrote_goes_anywhere_but_into_their_sealed_enquiry(
    office: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    with Receiver(answering(204)) as thin, Receiver(answering(204)) as whole, TwilioServer() as twilio:
        sms = f"twilio://{ACCOUNT}:{TOKEN}@{SENDER}?base=http://127.0.0.1:{twilio.port}"
        with posting(office, SMS_URL=sms, LOG_LEVEL="debug") as (at_work, box):
            at_work.listen(thin.url)
            at_work.listen(whole.url, whole=True)
            live_through_everything(at_work)
            everything_was_told(at_work)
            for letter in box.letters:
                headers = "\n".join(f"{name}: {value}" for name, value in letter.message.items() if name != "To")
                assert found(NAMES + WORDS, headers) == []
                assert found(WORDS, parts_of(letter.message)) == []
            assert [found(NAMES, parts_of(letter)) for letter in to(box, DESK)] == [[]] * len(to(box, DESK))
            visitors = [parts_of(letter) for letter in to(box, EMAIL)]
    assert [found(NAMES, without_attendee(text)) for text in visitors] == [[]] * len(visitors)
    for request in thin.requests:
        assert found(NAMES + WORDS, f"{request.line} {request.headers} {request.body.decode()}") == []
    assert [found(NAMES + WORDS, form["Body"]) for form in twilio.messages] == [[]] * len(twilio.messages)
    assert found(NAMES + WORDS, capsys.readouterr().err) == []
    for row in at_work.messages():
        columns = {name: value for name, value in vars(row).items() if name not in ("recipient", "facts")}
        facts = at_work.premises.keyring.open(row.facts, "outbox_message.facts", row.dedupe_key.hex())
        assert found(NAMES + WORDS, f"{columns} {row.facts!r} {facts}") == []
    told = " ".join(request.body.decode() for request in whole.requests)
    assert found(WORDS, told) == []
    assert found(NAMES, told) == NAMES, "the twin: what is looked for is found where it was wanted"
    belongs = [word for word in WORDS if word != "bulimia"]  # of which we know no wording
    assert found(WORDS, what_is_kept(at_work)) == belongs, "the twin: and where it belongs"


def what_is_kept(at_work: Office) -> str:
    """Their enquiry and their reason for cancelling, unsealed."""
    lead, visit, ring = at_work.lead(EMAIL), at_work.visit(EMAIL).row, at_work.premises.keyring
    assert visit.reason is not None
    sealed = ring.open(lead.content, CONTENT, lead.id), ring.open(visit.reason, REASON, visit.id)
    return f"{vars(lead)} {sealed}"


def without_attendee(text: str) -> str:
    """A letter's text but for the line of its invitation that names the address it was sent to."""
    return re.sub(r"ATTENDEE;[^:]*:mailto:\S+(\r\n \S+)*", "", text)


def everything_was_told(at_work: Office) -> None:
    """Proof that it all went out: each event to each who should hear of it."""
    sent = {(each.event, each.channel, each.audience) for each in at_work.messages(state="sent")}
    visits = ("appointment_moved", "appointment_cancelled")
    assert sent >= {
        *((event, "mail", "visitor") for event in ("lead_captured", *visits, "reminder_day", "reminder_hours")),
        *((event, "sms", "visitor") for event in ("lead_captured", *visits, "reminder_day", "reminder_hours")),
        *((event, "mail", "desk") for event in ("lead_captured", "lead_urgent", *visits, "digest")),
        *((event, "webhook", "program") for event in ("lead_captured", "appointment_booked", *visits)),
    }
    assert {each.state for each in at_work.messages()} <= {"sent", "withdrawn"}
