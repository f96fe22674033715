"""Mail: one letter is handed to a mail server, or laid into a folder where there is none to hand it to."""

import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from booking.delivery.failures import Refused, TryLater
from booking.delivery.smtp import Line, Step, server_at

SECONDS_FOR_A_LETTER = 30.0
SECONDS_A_LINE_IS_KEPT = 20.0

MESSAGE_ID = re.compile(r"[\w.+-]{1,120}@[\w.-]{1,120}", re.ASCII)
ADDRESS = re.compile(r'[^\s"(),:;<>@\[\\\]]{1,64}@[^\s"(),:;<>@\[\\\]]{1,255}')
QUOTED = re.compile(r'"([^"\\]|\\.)*"')
METHODS = {"REQUEST", "CANCEL"}
LINE_BREAKING = {"Cc", "Cs", "Zl", "Zp"}  # controls, and what else ends a line for str.splitlines or cannot be encoded
LONGEST_WORD = 60


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


class Mailer(Protocol):
    """Whatever takes letters. Only one thread at a time may use it."""

    def send(self, letter: Letter, at: datetime) -> None:
        """Hand a letter over, dated `at`; raises TryLater or Refused."""

    def close(self) -> None:
        """Let go of what is kept between letters."""


def open_mailer(url: str, sender: str, default_folder: Path) -> Mailer:
    """The mailer that a URL names, for letters from `sender`, "Name <address>"; raises ValueError.

    `file:` is the default folder, `file:some/path` and `file:///some/path` another one; `smtp://` and `smtps://` are
    explained at `smtp.server_at`.
    """
    if not url.startswith("file:"):
        return SmtpMailer(url, sender)
    parts = urlsplit(url)
    if parts.netloc or parts.query or parts.fragment:
        raise ValueError("the mail URL is file:some/path or file:///some/path")
    return FolderMailer(Path(unquote(parts.path)) if parts.path else default_folder, sender)


class FolderMailer:
    """Lays each letter into a folder as a file of its own, which mail programs open.

    The file is named by the message id alone: a letter that is sent again replaces itself.
    """

    def __init__(self, folder: Path, sender: str) -> None:
        _named(sender)
        self._folder, self._sender = folder, sender

    def send(self, letter: Letter, at: datetime) -> None:
        """Write the letter durably; raises TryLater if the disk does not take it."""
        content = _composed(letter, self._sender, at).as_bytes()
        target = self._folder / f"{letter.message_id}.eml"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(target, content)
        except OSError as failure:
            raise TryLater(f"the mail folder does not take it: {failure.strerror}") from failure

    def close(self) -> None:
        """Nothing is kept."""


class SmtpMailer:
    """Hands letters to a mail server, within `seconds` each, over a connection that is kept for `keep` seconds."""

    def __init__(
        self, url: str, sender: str, *, seconds: float = SECONDS_FOR_A_LETTER, keep: float = SECONDS_A_LINE_IS_KEPT
    ) -> None:
        self._server, self._sender, self._own = server_at(url), sender, _named(sender)[1]
        self._seconds, self._keep = seconds, keep
        self._line: Line | None = None
        self._used = 0.0

    def send(self, letter: Letter, at: datetime) -> None:
        """Hand a letter over; raises TryLater, after which it may have arrived all the same, or Refused."""
        until = time.monotonic() + self._seconds
        message = _composed(letter, self._sender, at)
        if not self._sent_on_the_kept_line(letter, message, until):
            line = Line(self._server)
            self._send_on(line, line.open, letter, message, until)

    def close(self) -> None:
        """Take leave of the server."""
        line, self._line = self._line, None
        if line:
            line.hang_up()

    def _sent_on_the_kept_line(self, letter: Letter, message: EmailMessage, until: float) -> bool:
        if time.monotonic() - self._used >= self._keep:
            self.close()
        line = self._line
        if line is None:
            return False
        try:
            self._send_on(line, line.begin_again, letter, message, until)
        except TryLater:
            if line.step is Step.LETTER:
                raise  # it may have arrived: whether to risk a second one is for the caller to say, and later
            return False
        return True

    def _send_on(
        self, line: Line, begin: Callable[[float], None], letter: Letter, message: EmailMessage, until: float
    ) -> None:
        """Send on a line, which is kept only if it is at rest afterwards."""
        self._line, at_rest = None, False
        try:
            begin(until)
            self._hand_over(line, letter, message, until)
            at_rest = True
        except Refused:
            at_rest = True
            raise
        finally:
            if at_rest:
                self._line, self._used = line, time.monotonic()
            else:
                line.cut()

    def _hand_over(self, line: Line, letter: Letter, message: EmailMessage, until: float) -> None:
        recipient, utf8 = _bare(letter.recipient), _is_wide(letter)
        if utf8 and not line.offers("smtputf8"):
            if not recipient.isascii():
                raise Refused("the mail server cannot write to an address with such letters")
            del message["Reply-To"]  # better a letter that is answered by hand than none
            utf8 = False
        line.hand_over(self._own, recipient, message.as_bytes(policy=WRITTEN.clone(utf8=utf8)), until, utf8=utf8)


def compose(letter: Letter, sender: str, at: datetime) -> EmailMessage:
    """The letter as mail programs read it best, each line under 998 bytes; raises ValueError, quoting nothing.

    The calendar file is there twice: Gmail and Outlook want it beside the text, Apple's and others as an attachment.
    All but the addresses beyond ASCII is 7-bit, and no server need be asked what it can carry.
    """
    message = EmailMessage(WRITTEN.clone(utf8=_is_wide(letter)))
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


class _AsWritten(EmailPolicy):
    """Headers go out as `_headers` wrote them, and are parsed only to be looked at.

    Python's own way, up to 3.11.9 at least, parses each value and writes it anew: encoded words in an address then
    become headers of their own, a display name loses the quotes around its comma, and a long subject some spaces.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return name, value


WRITTEN = _AsWritten(linesep="\r\n", refold_source="none", max_line_length=76)


def _composed(letter: Letter, sender: str, at: datetime) -> EmailMessage:
    try:
        return compose(letter, sender, at)
    except ValueError:
        raise Refused("the letter cannot be written: an address or a header is not as it should be") from None


def _headers(letter: Letter, sender: str, at: datetime) -> Iterator[tuple[str, str]]:
    name, own = _named(sender)
    yield "From", f"{_phrase(name)} <{own}>" if name else own
    yield "To", _bare(letter.recipient)
    yield "Subject", _encoded("Subject", letter.subject)
    yield "Date", format_datetime(at)
    if not MESSAGE_ID.fullmatch(letter.message_id):
        raise ValueError("not a message id")
    yield "Message-ID", f"<{letter.message_id}>"
    if letter.reply_to:
        yield "Reply-To", _bare(letter.reply_to)
    if letter.automatic:
        yield "Auto-Submitted", "auto-generated"
        yield "X-Auto-Response-Suppress", "All"


def _named(sender: str) -> tuple[str, str]:
    """Take "Name <address>" apart; the name may be missing, and quoted or not."""
    name, _, address = sender.rpartition("<")
    own = _bare(address.strip().removesuffix(">"))
    if not own.isascii():
        raise ValueError("our own address must be in ASCII")
    name = _one_line(name).strip()
    return (re.sub(r"\\(.)", r"\1", name[1:-1]) if QUOTED.fullmatch(name) else name), own


def _bare(address: str) -> str:
    """An address as it goes over the wire; not quoted in the ValueError that it may raise."""
    if not ADDRESS.fullmatch(_one_line(address)):
        raise ValueError("not an address")
    local, _, domain = address.rpartition("@")
    # Not the "idna" codec, which is that of 2003: it sends what is for straße.de to strasse.de.
    labels = (label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in domain.split("."))
    return f"{local}@{'.'.join(labels)}"


def _is_wide(letter: Letter) -> bool:
    """Whether an address has letters before its @ that only SMTPUTF8 can carry."""
    return not (letter.recipient.rpartition("@")[0] + letter.reply_to.rpartition("@")[0]).isascii()


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


def _write(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{target.name}.part")  # the same at each try: a kill leaves one, not many
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
