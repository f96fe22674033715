"""A letter arrives whole, at a server or in a folder, and nothing that is in it becomes a header of its own."""

import re
from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import parseaddr
from pathlib import Path

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from booking.delivery.failures import Refused, TryLater
from booking.delivery.mail import FolderMailer, open_mailer
from booking.delivery.message import Letter, compose
from tests.delivery.mailbox import AT, BRIEF, SENDER, failure, mailbox, mailer, parsed
from tests.faults.weather import no_file_longer_than

CALENDAR = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@serenoa.example\r\n"
    b"DTSTAMP:20261124T153000Z\r\nDTSTART:20261201T090000Z\r\nSUMMARY:Cita\xc3\xad\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
LETTER = Letter(
    message_id="5f0c2e@booking.example.com",
    recipient="ana@example.com",
    subject="Tu cita está confirmada — martes 1 de diciembre a las 9.00, Serenoa, y una línea que no cabe en una sola",
    text="Hola Ana:\n\n.una línea que empieza por un punto\n.\n" + "larga " * 400 + "\n",
    html="<p>Hola Ana:</p>\n" + "<b>más</b>" * 400 + "\n",
    reply_to="desk@serenoa.example",
    calendar=CALENDAR,
    calendar_method="REQUEST",
)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Auto-Submitted", "X-Auto-Response-Suppress"]
MIME = ["MIME-Version", "Content-Type"]


# ---------------------------------------------------------------- what arrives


def test_a_letter_arrives_whole() -> None:
    with mailbox() as box, mailer(box.port) as to_box:
        to_box.send(LETTER, AT)
    (received,) = box.letters
    assert (received.sender, received.recipient) == ("desk@serenoa.example", "ana@example.com")
    message = received.message
    assert message.keys() == [*HEADERS, *MIME]
    assert message["From"].addresses[0].display_name == "Serenoa, Skin & Laser"
    assert message["Subject"] == LETTER.subject
    assert message["Message-ID"] == "<5f0c2e@booking.example.com>"
    assert message["Date"].datetime == AT
    text, html, calendar, attached = [part for part in message.walk() if not part.is_multipart()]
    assert text.get_content().replace("\r\n", "\n") == LETTER.text
    assert html.get_content().replace("\r\n", "\n") == LETTER.html
    assert calendar["Content-Type"].params == {"method": "REQUEST", "charset": "utf-8"}
    assert attached.get_filename() == "invite.ics"
    for file in (calendar, attached):
        assert file.get_payload(decode=True) == CALENDAR
    assert str(Calendar.from_ical(CALENDAR).walk("VEVENT")[0]["SUMMARY"]) == "Citaí"


def test_a_letter_has_its_alternatives_in_the_order_that_mail_programs_prefer_and_short_lines_of_ascii() -> None:
    message = compose(LETTER, SENDER, AT)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar", "application/ics",
    ]  # fmt: skip
    assert max(map(len, message.as_bytes().split(b"\r\n"))) <= 100
    assert message.as_bytes().isascii()
    assert message.as_bytes().count(b"\n") == message.as_bytes().count(b"\r\n")


def test_a_letter_by_a_person_and_without_extras_has_none_of_their_headers() -> None:
    message = compose(replace(BRIEF, automatic=False), "desk@serenoa.example", AT)
    assert message.keys() == ["From", "To", "Subject", "Date", "Message-ID", *MIME]
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]


# ---------------------------------------------------------------- nothing becomes a header

WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300)
BREAKS = st.sampled_from(["\r", "\n", "\r\n", "\r\nBcc: x@y.example", "\n\nbody", "\x00", "\x85", "\u2028"])
FIELDS = st.sampled_from(["subject", "recipient", "reply_to", "message_id", "calendar_method"])


@given(FIELDS, WORDS, BREAKS, WORDS)
def test_a_field_with_more_than_one_line_is_no_letter(field: str, before: str, line_break: str, after: str) -> None:
    with pytest.raises(ValueError, match=r"must be|not a|needs"):
        compose(replace(LETTER, **{field: before + line_break + after}), SENDER, AT)  # type: ignore[arg-type]  # its name is a text field's


@given(st.sampled_from(["subject", "recipient", "reply_to"]))
def test_an_encoded_word_cannot_smuggle_a_header(field: str) -> None:
    hidden = "=?utf-8?q?a=0D=0ABcc:_x?=" + ("@y.example" if field != "subject" else "")
    with pytest.raises(ValueError, match="one line of plain text"):
        compose(replace(LETTER, **{field: hidden}), SENDER, AT)  # type: ignore[arg-type]  # as above


@given(
    subject=WORDS,
    name=WORDS,
    local=st.from_regex(r"[a-z0-9!#$%&'*+/=^_`{|}~-]{1,31}(\.[a-zé]{1,31})?", fullmatch=True),
    domain=st.from_regex(r"([a-z0-9]{1,40}\.){1,4}example", fullmatch=True),
)
def test_what_is_written_is_read_back_and_nothing_else(subject: str, name: str, local: str, domain: str) -> None:
    address, name = f"{local}@{domain}", name.strip().strip('"').replace("\\", "")
    letter = replace(LETTER, subject=subject, recipient=address, reply_to=address)
    if any("=?" in value for value in (subject, name, address)):
        return
    content = compose(letter, f"{name} <desk@serenoa.example>", AT).as_bytes()
    assert message_from_bytes(content).keys() == [*HEADERS, *MIME]
    message = parsed(content)
    assert message.keys() == [*HEADERS, *MIME]
    assert message["Subject"] == " ".join(subject.split())
    assert [str(message[name]) for name in ("To", "Reply-To")] == [address, address]
    assert [one.addr_spec for one in message["From"].addresses] == ["desk@serenoa.example"]
    # The registry of 3.11 puts a space between two encoded words of a display name, where RFC 2047 has none.
    shown, _ = parseaddr(str(message_from_bytes(content)["From"]))
    assert str(make_header(decode_header(shown))).split() == name.split()
    assert max(map(len, content.split(b"\r\n"))) < 998


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000))
def test_a_text_is_read_back_whatever_is_in_it(text: str) -> None:
    content = compose(replace(BRIEF, text=text), SENDER, AT).as_bytes()
    part = parsed(content).get_body(["plain"])
    assert part is not None
    # As mail ends lines; a letter's own end may be one more of them.
    assert re.split(r"\r\n|\r|\n", part.get_content().rstrip("\r\n")) == re.split(r"\r\n|\r|\n", text.rstrip("\r\n"))
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 100


def test_a_domain_beyond_ascii_is_written_as_the_dns_knows_it() -> None:
    checked = validate_email("ana@straße.de", check_deliverability=False)
    assert compose(replace(BRIEF, recipient=checked.normalized), SENDER, AT)["To"] == checked.ascii_email


@pytest.mark.parametrize(
    "address", ["", "ana", "ana@", "a@b@c", "a b@c.example", "a@b.example, c@d.example", "<a@b.c>"]
)
def test_what_is_not_one_bare_address_is_refused_and_not_repeated(address: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^the letter cannot be written: an address or a header is not as it should be$"):
        FolderMailer(tmp_path, SENDER).send(replace(BRIEF, recipient=address), AT)
    with pytest.raises(ValueError, match="not an address"):
        open_mailer("file:", f"Serenoa <{address}>" if "<" not in address else f"Serenoa {address}>", tmp_path)


def test_an_address_beyond_ascii_goes_to_a_server_that_can_carry_it() -> None:
    with mailbox() as box, mailer(box.port) as to_box:
        to_box.send(replace(LETTER, recipient="josé@example.com"), AT)
    assert box.letters[0].utf8
    assert (box.letters[0].recipient, box.letters[0].message["To"]) == ("josé@example.com", "josé@example.com")


def test_an_address_beyond_ascii_is_refused_where_the_server_cannot_carry_it_but_left_out_as_reply_to() -> None:
    with mailbox(utf8=False) as box, mailer(box.port) as to_box:
        assert "such letters" in failure(to_box, Refused, replace(LETTER, recipient="josé@example.com"))
        to_box.send(replace(LETTER, reply_to="josé@example.com"), AT)
    assert box.letters[0].message["Reply-To"] is None
    assert box.connections == 1


# ---------------------------------------------------------------- into a folder


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_letter_lies_in_the_folder_readable_by_its_owner_alone_and_once_however_often_it_is_sent(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "var" / "mail"
    to_folder = FolderMailer(folder, SENDER)
    for hour in (1, 2):
        to_folder.send(LETTER, AT.replace(hour=hour))
    (file,) = folder.iterdir()
    assert file.name == "5f0c2e@booking.example.com.eml"
    assert file.stat().st_mode & 0o777 == 0o600
    message = parsed(file.read_bytes())
    assert (message["Subject"], message["Date"].datetime.hour) == (LETTER.subject, 2)
    assert message.keys() == [*HEADERS, *MIME]


def test_what_a_kill_left_half_written_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".brief@booking.example.com.eml.part").write_bytes(b"half " * 10_000)
    FolderMailer(tmp_path, SENDER).send(BRIEF, AT)
    assert files(tmp_path) == ["brief@booking.example.com.eml"]
    assert parsed(next(tmp_path.iterdir()).read_bytes())["Subject"] == BRIEF.subject


def test_a_disk_that_fills_up_halfway_leaves_no_half_letter_and_is_tried_later(tmp_path: Path) -> None:
    to_folder = FolderMailer(tmp_path, SENDER)
    with no_file_longer_than(40):
        assert failure(to_folder, TryLater) == "the mail folder does not take it: File too large"
    assert files(tmp_path) == []
    to_folder.send(BRIEF, AT)
    assert len(files(tmp_path)) == 1


def test_a_folder_that_cannot_be_written_to_is_tried_later(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file where the folder should be")
    assert "does not take it" in failure(FolderMailer(tmp_path / "mail", SENDER), TryLater)


@pytest.mark.parametrize(
    ("url", "place"), [("file:", "default"), ("file:some/pl%20ace", "some/pl ace"), ("file://{}/abs", "{}/abs")]
)
def test_a_file_url_names_a_folder_or_the_default_one(
    url: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mailer = open_mailer(url.format(tmp_path), SENDER, Path("default"))
    mailer.send(BRIEF, AT)
    mailer.close()
    assert files(Path(place.format(tmp_path))) == ["brief@booking.example.com.eml"]


@pytest.mark.parametrize("url", ["file://host/path", "file:a?b", "file:a#b"])
def test_a_file_url_that_cannot_be_meant_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the mail URL is file:"):
        open_mailer(url, SENDER, tmp_path)
