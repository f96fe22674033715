"""Mail: one letter is handed to a mail server, or laid into a folder where there is none to hand it to."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from booking.delivery.failures import Refused, TryLater
from booking.delivery.message import WRITTEN, Letter, bare, compose, is_wide, named
from booking.delivery.smtp import Line, Step, server_at

SECONDS_FOR_A_LETTER = 30.0
SECONDS_A_LINE_IS_KEPT = 20.0


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
        named(sender)
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
        self._server, self._sender, self._own = server_at(url), sender, named(sender)[1]
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
        recipient, utf8 = bare(letter.recipient), is_wide(letter)
        if utf8 and not line.offers("smtputf8"):
            if not recipient.isascii():
                raise Refused("the mail server cannot write to an address with such letters")
            del message["Reply-To"]  # better a letter that is answered by hand than none
            utf8 = False
        line.hand_over(self._own, recipient, message.as_bytes(policy=WRITTEN.clone(utf8=utf8)), until, utf8=utf8)


def _composed(letter: Letter, sender: str, at: datetime) -> EmailMessage:
    try:
        return compose(letter, sender, at)
    except ValueError:
        raise Refused("the letter cannot be written: an address or a header is not as it should be") from None


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
