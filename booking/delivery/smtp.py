"""SMTP: one connection to a mail server, on which no wait outlasts its deadline and every failure has plain words."""

import ipaddress
import re
import smtplib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from booking.delivery import patience
from booking.delivery.failures import Refused, TryLater, Undelivered

SECONDS_FOR_A_GOODBYE = 1.0
PORTS = {"smtp": 25, "smtps": 465}
STATUS = re.compile(rb"[45]\.(\d{1,3}\.\d{1,3})(?!\S)")
NO_LOG_IN = frozenset({530, 534, 535, 538})
# Words of a 5xx about us, not about the letter; 503 as well, with which some servers ask for AUTH at MAIL or RCPT.
ABOUT_US = NO_LOG_IN | {503}


class Step(Enum):
    """How far a connection, and a letter on it, has come."""

    CONNECT = auto()
    TLS = auto()
    BANNER = auto()
    EHLO = auto()
    STARTTLS = auto()
    AUTH = auto()
    RSET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    LETTER = auto()  # from its first byte on: a failure now does not say that it has not arrived


NOT_FROM_US, NOT_THE_SENDER = "the mail server takes no mail from us", "the mail server refused our own address"
NOT_THE_ADDRESS, NOT_THE_LETTER = "the mail server refused the address", "the mail server refused the letter"
LOG_IN_FAILED = "the mail server did not accept our user name and password"
BY_STEP = {
    Step.STARTTLS: "the mail server could not begin encryption",
    Step.AUTH: LOG_IN_FAILED,
    Step.MAIL: NOT_THE_SENDER,
    Step.RCPT: NOT_THE_ADDRESS,
    Step.DATA: NOT_THE_LETTER,
    Step.LETTER: NOT_THE_LETTER,
}
ABOUT_THE_LETTER = {Step.MAIL, Step.RCPT, Step.DATA, Step.LETTER}
BY_STATUS = {  # RFC 3463; the longer beginning goes first
    "1.7": NOT_THE_SENDER,
    "1.8": NOT_THE_SENDER,
    "1.": NOT_THE_ADDRESS,
    "2.1": "the mailbox is closed",
    "2.2": "the mailbox is full",
    "2.3": "the letter is too large",
    "3.4": "the letter is too large",
    "7.": "the mail server's rules forbid the letter",
}


@dataclass(frozen=True)
class Server:
    """Where the mail server is and how to speak with it; `tls` is "offered" (use it then), "required" or "off"."""

    host: str
    port: int
    context: ssl.SSLContext
    user: str = ""
    password: str = field(default="", repr=False)
    encrypted_at_once: bool = False
    tls: str = "offered"

    @property
    def may_read_along(self) -> bool:
        """Whether somebody on the way can read letters where the server offers no encryption."""
        return self.tls == "offered" and not self.encrypted_at_once and not self.user and not _is_here(self.host)


def server_at(url: str) -> Server:
    """The server that a URL names; raises ValueError, which repeats nothing of the URL: there is a password in it.

    `smtp://user:password@host:587` encrypts if the server can, `smtps://` at once; user and password are
    percent-encoded. Options: `?tls=required` takes no server that cannot, `?tls=off` is for this very machine,
    `?ca=/path.pem` trusts one more authority.
    """
    parts = _parts(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls, authority, host = options.pop("tls", "offered"), options.pop("ca", None), parts.hostname or ""
    if options or tls not in {"offered", "required", "off"}:
        raise ValueError("the options of the mail URL are tls=required, tls=off and ca=/path.pem")
    if tls == "off" and (parts.scheme == "smtps" or not _is_here(host)):
        raise ValueError("tls=off is for smtp:// to this very machine")
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except OSError:
            raise ValueError("the file that ca= names has no certificates to read") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Server(host, parts.port or PORTS[parts.scheme], context, user, password, parts.scheme == "smtps", tls)


class Line:
    """One connection. What is called with `until`, an instant of `time.monotonic`, has ended by then.

    Everything raises TryLater, and `hand_over` Refused too; of what the server says only its numbers are repeated,
    as servers repeat addresses. After a TryLater the line can only be cut.
    """

    def __init__(self, server: Server) -> None:
        self.step = Step.CONNECT
        self._server, self._patience = server, patience.Patience()
        self._smtp = smtplib.SMTP(local_hostname="localhost")  # else smtplib asks the DNS, however long that takes

    def open(self, until: float) -> None:
        """Connect, encrypt and log in, as far as the server's entry asks for it."""
        with self._deadline(until):
            self._smtp.sock = patience.connect(self._server.host, self._server.port, self._patience)
            self._smtp.local_hostname = _literal(self._smtp.sock)
            if self._server.encrypted_at_once:
                self._encrypt()
            self.step = Step.BANNER
            self._answer()
            self._greet()
            if self.offers("starttls") and not self._server.encrypted_at_once and self._server.tls != "off":
                self._ask(Step.STARTTLS, b"STARTTLS")
                self._encrypt()
                self._greet()
            self._insist_on_encryption()
            if self._server.user:
                self._log_in()

    def offers(self, extension: str) -> bool:
        """Whether the server knows an extension of SMTP, named in lower case."""
        return self._smtp.has_extn(extension)

    def begin_again(self, until: float) -> None:
        """Make the line ready for one more letter, and find out whether it still stands."""
        with self._deadline(until):
            self._ask(Step.RSET, b"RSET")

    def hand_over(self, sender: str, recipient: str, letter: bytes, until: float, *, utf8: bool = False) -> None:
        """Send one letter, its lines ended by CRLF; `utf8` if an address or a header is not in ASCII."""
        options = f" SIZE={len(letter)}" if self.offers("size") else ""
        options += " BODY=8BITMIME SMTPUTF8" if utf8 else ""
        with self._deadline(until):
            self._ask(Step.MAIL, f"MAIL FROM:<{sender}>{options}".encode())
            self._ask(Step.RCPT, f"RCPT TO:<{recipient}>".encode())
            self._ask(Step.DATA, b"DATA", wanted=3)
            self._ask(Step.LETTER, re.sub(rb"(?m)^\.", b"..", letter) + b".")

    def hang_up(self) -> None:
        """Take leave, and close the connection."""
        with suppress(TryLater), self._deadline(time.monotonic() + SECONDS_FOR_A_GOODBYE):
            self._smtp.send(b"QUIT\r\n")
            self._smtp.getreply()
        self.cut()

    def cut(self) -> None:
        """Close the connection without a word."""
        self._smtp.close()

    @contextmanager
    def _deadline(self, until: float) -> Iterator[None]:
        self._patience.begin(until)
        try:
            yield
        except OSError as wrong:
            raise TryLater(_in_words(wrong, self.step, late=time.monotonic() >= until)) from None

    def _ask(self, step: Step, command: bytes, wanted: int = 2) -> None:
        self.step = step
        self._smtp.send(command + b"\r\n")
        self._answer(wanted)

    def _answer(self, wanted: int = 2) -> None:
        code, text = self._smtp.getreply()
        if code // 100 != wanted:
            raise _failure(self.step, code, text)

    def _greet(self) -> None:
        self.step = Step.EHLO
        code, text = self._smtp.ehlo()
        if code != 250:
            raise _failure(self.step, code, text)

    def _encrypt(self) -> None:
        self.step = Step.TLS
        assert self._smtp.sock is not None  # noqa: S101  open() has just connected it
        tls = patience.encrypt(self._smtp.sock, self._server.context, self._server.host, self._patience)
        # What was said in the clear is forgotten, also what a stranger may have put behind the answer to STARTTLS.
        self._smtp.sock, self._smtp.file = tls, None

    def _insist_on_encryption(self) -> None:
        if isinstance(self._smtp.sock, ssl.SSLSocket):
            return
        if self._server.tls == "required":
            raise TryLater("the mail server offers no encryption, which our settings require")
        if self._server.user and not _is_here(self._server.host):
            raise TryLater("the mail server offers no encryption, and our password is not sent without")

    def _log_in(self) -> None:
        """Log in by PLAIN, or by LOGIN where there is only that; smtplib itself cannot send a password beyond ASCII."""
        user, password = self._server.user.encode(), self._server.password.encode()
        known = self._smtp.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in known:
            self._ask(Step.AUTH, b"AUTH PLAIN " + b64encode(b"\0" + user + b"\0" + password))
        elif "LOGIN" in known:
            self._ask(Step.AUTH, b"AUTH LOGIN", wanted=3)
            self._ask(Step.AUTH, b64encode(user), wanted=3)
            self._ask(Step.AUTH, b64encode(password))
        else:
            raise TryLater("the mail server offers no way to log in with a password")


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.fragment
        # Half of the credentials, or a part that is none: most likely a password that is not percent-encoded.
        if wrong or parts.port == 0 or bool(parts.username) != bool(parts.password):
            raise ValueError
    except ValueError:
        raise ValueError("the mail URL is smtp://user:password@host:port, each part percent-encoded") from None
    return parts


def _is_here(host: str) -> bool:
    """Whether what is sent to this host leaves the machine at no point."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _literal(connection: socket.socket) -> str:
    """Our own name to the server: the address we come from, as RFC 5321 has it for who has no name."""
    own = str(connection.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{own}]" if connection.family == socket.AF_INET6 else f"[{own}]"


def _failure(step: Step, code: int, text: bytes) -> Undelivered:
    """What an answer other than the one hoped for means, in our own words."""
    if not 400 <= code < 600:
        return TryLater("the mail server's answer makes no sense")
    found = STATUS.match(text)
    words = _meaning(step, code, found[1].decode() if found else "")
    reason = f"{code}{f' {found[0].decode()}' if found else ''}: {words}"
    if code < 500:
        return TryLater(f"{reason} for now")
    return Refused(reason) if step in ABOUT_THE_LETTER and code not in ABOUT_US else TryLater(reason)


def _meaning(step: Step, code: int, status: str) -> str:
    if code in NO_LOG_IN:
        return LOG_IN_FAILED
    if code in ABOUT_US | {421} or step not in ABOUT_THE_LETTER:
        return BY_STEP[step] if step in {Step.STARTTLS, Step.AUTH} else NOT_FROM_US
    by_status = (words for beginning, words in BY_STATUS.items() if status.startswith(beginning))
    return next(by_status, BY_STEP[step])


def _in_words(wrong: OSError, step: Step, *, late: bool) -> str:
    """What is to be read of a connection that failed."""
    if isinstance(wrong, socket.gaierror):
        return "the mail server's name was not found"
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"the mail server's certificate is not to be trusted: {wrong.verify_message}"
    perhaps = ", and may have the letter" if step is Step.LETTER else ""
    if late or isinstance(wrong, TimeoutError):
        return f"the mail server did not answer in time{perhaps}"
    if step is Step.TLS:
        return "the mail server and we found no encryption in common"
    if step is Step.CONNECT and not isinstance(wrong, ConnectionResetError):
        return "the mail server cannot be reached"
    return f"the mail server cut the connection{perhaps}"
