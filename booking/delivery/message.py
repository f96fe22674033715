"""Message: a letter becomes the bytes that mail programs read, with our headers and none that anybody smuggled in."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

MESSAGE_ID = re.compile(r"[\w.+-]{1,120}@[\w.-]{1,120}", re.ASCII)
ADDRESS = re.compile(r'[^\s"(),:;<>@\[\\\]]{1,64}@[^\s"(),:;<>@\[\\\]]{1,255}')
METHODS = {"REQUEST", "CANCEL"}
LINE_BREAKING = {"Cc", "Cs", "Zl", "Zp"}  # controls, and what else ends a line for str.splitlines or cannot be encoded
LONGEST_WORD = 60
QUOTED = re.compile(r'"([^"\\]|\\.)*"')


@dataclass(frozen=True)
class Letter:
    """What is sent. The subject is ours, without a visitor's words; both addresses are checked, and bare.

    `message_id` has no angle brackets and stays the same however often the letter is sent. `calendar` is an iCalendar
    file, and `calendar_method` the REQUEST or CANCEL in it. An `automatic` letter asks machines not to answer.
    """

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str
    reply_to: str = ""
    calendar: bytes = b""
    calendar_method: str = ""
    automatic: bool = True


def compose(letter: Letter, sender: str, at: datetime) -> EmailMessage:
    """The letter as mail programs read it best, each line under 998 bytes; raises ValueError, quoting nothing.

    The calendar file is there twice: Gmail and Outlook want it beside the text, Apple's and others as an attachment.
    All but the addresses beyond ASCII is 7-bit, and no server need be asked what it can carry.
    """
    message = EmailMessage(WRITTEN.clone(utf8=is_wide(letter)))
    for name, value in _headers(letter, sender, at):
        message[name] = value
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    if letter.calendar:
        if letter.calendar_method not in METHODS:
            raise ValueError("a calendar file needs its method")
        kind = {"method": letter.calendar_method, "charset": "utf-8"}
        message.add_alternative(letter.calendar, "text", "calendar", params=kind)
        # Under another type, as two of text/calendar make Outlook show two invitations.
        message.add_attachment(letter.calendar, "application", "ics", filename="invite.ics")
    return message


def named(sender: str) -> tuple[str, str]:
    """Take "Name <address>" apart; the name may be missing, and quoted or not."""
    name, _, address = sender.rpartition("<")
    own = bare(address.strip().removesuffix(">"))
    if not own.isascii():
        raise ValueError("our own address must be in ASCII")
    name = _one_line(name).strip()
    return (re.sub(r"\\(.)", r"\1", name[1:-1]) if QUOTED.fullmatch(name) else name), own


def bare(address: str) -> str:
    """An address as it goes over the wire; not quoted in the ValueError that it may raise."""
    if not ADDRESS.fullmatch(_one_line(address)):
        raise ValueError("not an address")
    local, _, domain = address.rpartition("@")
    # Not the "idna" codec, which is that of 2003: it sends what is for straße.de to strasse.de.
    labels = (label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in domain.split("."))
    return f"{local}@{'.'.join(labels)}"


def is_wide(letter: Letter) -> bool:
    """Whether an address has letters before its @ that only SMTPUTF8 can carry."""
    return not (letter.recipient.rpartition("@")[0] + letter.reply_to.rpartition("@")[0]).isascii()


def _headers(letter: Letter, sender: str, at: datetime) -> Iterator[tuple[str, str]]:
    name, own = named(sender)
    yield "From", f"{_phrase(name)} <{own}>" if name else own
    yield "To", bare(letter.recipient)
    yield "Subject", _encoded("Subject", letter.subject)
    yield "Date", format_datetime(at)
    if not MESSAGE_ID.fullmatch(letter.message_id):
        raise ValueError("not a message id")
    yield "Message-ID", f"<{letter.message_id}>"
    if letter.reply_to:
        yield "Reply-To", bare(letter.reply_to)
    if letter.automatic:
        yield "Auto-Submitted", "auto-generated"
        yield "X-Auto-Response-Suppress", "All"


def _phrase(name: str) -> str:
    """A display name that ends at its own end, whatever is in it."""
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{escaped}"' if name.isascii() and len(name) < LONGEST_WORD else _encoded("From", name, "utf-8")


def _encoded(header: str, text: str, charset: str = "") -> str:
    words = _one_line(text).split()
    plain = text.isascii() and all(len(word) < LONGEST_WORD for word in words)
    charset = charset or ("us-ascii" if plain else "utf-8")
    return Header(" ".join(words), charset, 76, header).encode(linesep="\r\n")


def _one_line(value: str) -> str:
    """The value, unless it could end its line, or begin what a reader of mail takes for an encoded word."""
    if "=?" in value or any(unicodedata.category(character) in LINE_BREAKING for character in value):
        raise ValueError("a header must be one line of plain text")
    return value


class _AsWritten(EmailPolicy):
    """Headers go out as `_headers` wrote them, and are parsed only to be looked at.

    Python's own way, up to 3.11.9 at least, parses each value and writes it anew: encoded words in an address then
    become headers of their own, a display name loses the quotes around its comma, and a long subject some spaces.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return name, value


class _ReadOnce(HeaderRegistry):
    """Python's own reader of headers, with a memory.

    Writing a letter asks for its content type ten times, and that took half of all the time a letter took.
    """

    def __init__(self) -> None:
        super().__init__()
        self._remembered = lru_cache(256)(super().__call__)

    def __call__(self, name: str, value: Any) -> Any:
        return self._remembered(name, value)


WRITTEN = _AsWritten(linesep="\r\n", refold_source="none", max_line_length=76, header_factory=_ReadOnce())
