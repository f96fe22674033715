"""Mail servers for tests: a real one that keeps what it gets, and one that misbehaves at the step it is told to."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from booking.delivery.failures import Undelivered
from booking.delivery.mail import Mailer, SmtpMailer
from booking.delivery.message import Letter

PASSWORD = "grün & geheim"
SENDER = "Serenoa, Skin & Laser <desk@serenoa.example>"
AT = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
BRIEF = Letter("brief@booking.example.com", "ana@example.com", "Your appointment", "Hello", "<p>Hello</p>")


@dataclass(frozen=True)
class Received:
    """A letter as it came."""

    sender: str
    recipient: str
    content: bytes
    encrypted: bool
    logged_in: bool
    utf8: bool

    @property
    def message(self) -> EmailMessage:
        return parsed(self.content)


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


@dataclass
class Mailbox:
    """A real server; aiosmtpd calls the hooks, whose names it dictates."""

    port: int = 0
    connections: int = 0
    heard: list[str] = field(default_factory=list)
    letters: list[Received] = field(default_factory=list)

    async def handle_EHLO(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.heard.append("EHLO encrypted" if session.ssl else "EHLO")
        session.host_name = hostname
        return responses

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  the same
        assert isinstance(envelope.content, bytes)
        sender, (recipient,), logged_in = envelope.mail_from or "", envelope.rcpt_tos, bool(session.authenticated)
        encrypted, utf8 = bool(server.transport and server.transport.get_extra_info("sslcontext")), envelope.smtp_utf8
        self.letters.append(Received(sender, recipient, envelope.content, encrypted, logged_in, utf8))
        return "250 2.0.0 taken"


def right_password(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
    assert isinstance(given, LoginPassword)
    return AuthResult(success=given == LoginPassword(b"user", PASSWORD.encode()), handled=False)


@contextmanager
def mailbox(
    *, starttls: ssl.SSLContext | None = None, at_once: ssl.SSLContext | None = None, utf8: bool = True
) -> Iterator[Mailbox]:
    """Serve on a free port of 127.0.0.1 for the length of the block."""
    box, loop = Mailbox(), asyncio.new_event_loop()

    def connected() -> SMTP:
        box.connections += 1
        name, verdict = "mail.test", right_password
        return SMTP(
            box, hostname=name, enable_SMTPUTF8=utf8, tls_context=starttls, authenticator=verdict, loop=loop
        )  # fmt: skip

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    # In that thread, as a browser of an earlier test may have a loop of its own in this one.
    opening = loop.create_server(connected, "127.0.0.1", 0, ssl=at_once)
    server = asyncio.run_coroutine_threadsafe(opening, loop).result(30)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


# ---------------------------------------------------------------- how it is written to


@contextmanager
def mailer(port: int, *, user: str = "", host: str = "127.0.0.1", scheme: str = "smtp", options: str = "",
           seconds: float = 30, keep: float = 20) -> Iterator[SmtpMailer]:  # fmt: skip
    url = f"{scheme}://{user}{host}:{port}{options}"
    opened = SmtpMailer(url, SENDER, seconds=seconds, keep=keep)
    try:
        yield opened
    finally:
        opened.close()


def failure(mailer: Mailer, kind: type[Undelivered], letter: Letter = BRIEF) -> str:
    """Send a letter that must fail, in good time and without a word about who it is for; return the reason."""
    began = time.monotonic()
    with pytest.raises(kind) as failed:
        mailer.send(letter, AT)
    assert time.monotonic() - began < 20
    assert letter.recipient not in str(failed.value)
    assert "canary" not in str(failed.value)
    return str(failed.value)


# ---------------------------------------------------------------- one that misbehaves


class Awkward:
    """A server that is polite but where it has a plan: what to say or do at a step, each time it comes to it.

    The steps are "banner", the verbs of SMTP, and "letter", after the dot that ends one. `fired` has those of the plan
    that were come to, `heard` every line, `letters` what came between DATA and the dot.
    """

    def __init__(self, plans: Sequence["Plan"], context: ssl.SSLContext | None) -> None:
        self.fired: list[str] = []
        self.heard: list[bytes] = []
        self.letters: list[bytes] = []
        self.connections, self.over = 0, threading.Event()
        self._plans, self._context, self._talks = plans, context, list[threading.Thread]()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # what nobody reads is soon too much
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def verbs(self) -> list[str]:
        """What it was asked to do."""
        return [line.split()[0].decode().upper() for line in self.heard]

    def end(self) -> None:
        self.over.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join()
        self._listening.close()
        for talk in self._talks:
            talk.join()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self.over.is_set():
                connection.close()
                return
            self._talks.append(threading.Thread(target=self._talk, args=[connection, self.connections]))
            self.connections += 1
            self._talks[-1].start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError, _Over):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                Talk(self, connection, self._plans[min(number, len(self._plans) - 1)]).hold()


GREETING = b"220-" + b"x" * 30 + b"\r\n220 mail.test\r\n"
POLITE = {
    "banner": "220 mail.test",
    "EHLO": "250-mail.test\r\n250 SIZE 1000000",
    "DATA": "354 go on",
    "QUIT": "221 bye",
}


class Talk:
    """One connection to an awkward server."""

    def __init__(self, server: Awkward, connection: socket.socket, plan: "Plan") -> None:
        self.server, self.connection = server, connection
        self.plan = {step: list(what) if isinstance(what, list) else [what] for step, what in plan.items()}

    def hold(self) -> None:
        with self.connection.makefile("rb") as self.lines:
            self.come_to("banner")
            while line := self.lines.readline():
                self.server.heard.append(line.strip())
                self.come_to(line.split()[0].decode().upper())

    def come_to(self, step: str) -> None:
        planned = self.plan.get(step)
        if planned:
            self.server.fired.append(step)
            action = planned.pop(0)
        else:
            action = POLITE.get(step, "250 2.0.0 fine")
        if callable(action):
            action(self)
            raise _Over
        self.say(action)
        if action.startswith("354"):
            self.server.letters.append(b"".join(iter(self.lines.readline, b".\r\n")))
            self.come_to("letter")

    def say(self, words: str) -> None:
        self.connection.sendall(words.encode() + b"\r\n")

    def wait_until_left(self) -> None:
        while self.lines.readline():
            pass


Action = str | Callable[[Talk], None]
Plan = Mapping[str, Action | list[Action]]


class _Over(Exception):
    """The talk has ended."""


@contextmanager
def awkward(*plans: Plan, context: ssl.SSLContext | None = None) -> Iterator[Awkward]:
    """Serve, the first connection by the first plan, and those that have none by the last one; under TLS if told to."""
    server = Awkward(plans, context)
    try:
        yield server
    finally:
        server.end()


def hang(talk: Talk) -> None:
    """Say nothing, until the other side has gone."""
    talk.wait_until_left()


def cut(talk: Talk) -> None:
    """Go, without a word."""


def reset(talk: Talk) -> None:
    """Go with a reset, as a machine does that has just been started again."""
    talk.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def fine_and_cut(talk: Talk) -> None:
    """Say yes, and go."""
    talk.say("250 2.0.0 fine")


def dribble(talk: Talk) -> None:
    """Say a greeting of a few seconds, one byte at a time."""
    for letter in GREETING:
        talk.connection.sendall(bytes([letter]))
        talk.server.heard.append(b"a byte was taken")
        with suppress(TimeoutError):
            talk.connection.settimeout(0.05)
            if not talk.connection.recv(1):
                return
    talk.connection.settimeout(30)
    talk.wait_until_left()


def deaf(talk: Talk) -> None:
    """Ask for the letter, and take no more of it than the connection holds."""
    talk.say("354 go on")
    talk.server.over.wait(60)


def flood(talk: Talk) -> None:
    """Say more and more, until the other side has gone."""
    while True:
        talk.connection.sendall(b"220-and another thing\r\n" * 1000)


# ---------------------------------------------------------------- certificates


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, as a file and as a server uses it."""

    path: Path
    context: ssl.SSLContext

    @classmethod
    def made(cls, folder: Path, name: str, address: str = "127.0.0.1") -> "Certificate":
        key, path = ec.generate_private_key(ec.SECP256R1()), folder / f"{name}.pem"
        secret = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
        path.write_bytes(pem + _signed(key, name, address).public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return cls(path, context)


def _signed(key: ec.EllipticCurvePrivateKey, name: str, address: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now, key_id = datetime.now(UTC), x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_id, critical=False)
        .sign(key, hashes.SHA256())
    )
