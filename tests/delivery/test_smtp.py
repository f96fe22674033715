"""SMTP: whatever a mail server says or does, a letter ends in time, in our own words, and no password is overheard."""

import smtplib
import socket
import threading
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from booking.delivery.failures import Refused, TryLater, Undelivered
from booking.delivery.mail import SmtpMailer
from booking.delivery.smtp import server_at
from tests.delivery.mailbox import (
    AT,
    BRIEF,
    GREETING,
    PASSWORD,
    SENDER,
    Action,
    Certificate,
    awkward,
    cut,
    deaf,
    dribble,
    failure,
    fine_and_cut,
    flood,
    hang,
    mailbox,
    mailer,
    reset,
)  # fmt: skip

SOON = 0.5  # seconds of patience where a server has to be waited for in vain


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.made(tmp_path_factory.mktemp("tls"), "ours")


# ---------------------------------------------------------------- one connection for many


def test_two_hundred_letters_go_over_one_connection() -> None:
    with mailbox() as box, mailer(box.port) as to_box:
        for number in range(200):
            to_box.send(replace(BRIEF, message_id=f"{number}@booking.example.com"), AT)
        assert box.connections == 1
    assert [one.message["Message-ID"] for one in box.letters] == [f"<{n}@booking.example.com>" for n in range(200)]


def test_a_connection_that_was_idle_too_long_is_opened_anew() -> None:
    with mailbox() as box, mailer(box.port, keep=0) as to_box:
        to_box.send(BRIEF, AT)
        to_box.send(BRIEF, AT)
    assert (box.connections, len(box.letters)) == (2, 2)


@pytest.mark.parametrize(
    ("step", "action"),
    [
        ("RSET", cut), ("RSET", reset), ("RSET", "421 4.4.2 idle"), ("RSET", "502 what?"), ("RSET", "nonsense"),
        ("MAIL", ["250 fine", cut]), ("RCPT", ["250 fine", "452 4.5.3 enough for one connection"]),
        ("DATA", ["354 go", cut]), ("letter", fine_and_cut),
    ],
)  # fmt: skip
def test_what_fails_on_a_kept_connection_before_the_letter_is_sent_is_tried_once_more_on_a_fresh_one(
    step: str, action: Action
) -> None:
    with awkward({step: action}, {}) as server, mailer(server.port) as to_server:
        to_server.send(BRIEF, AT)
        to_server.send(BRIEF, AT)
        assert (server.connections, len(server.letters)) == (2, 2)
        assert step in server.fired


def test_what_fails_on_a_kept_connection_after_the_letter_was_sent_is_not_sent_twice() -> None:
    with awkward({"letter": ["250 fine", cut]}, {}) as server, mailer(server.port) as to_server:
        to_server.send(BRIEF, AT)
        assert failure(to_server, TryLater) == "the mail server cut the connection, and may have the letter"
        assert (server.connections, len(server.letters)) == (1, 2)
        to_server.send(BRIEF, AT)
        assert server.connections == 2


def test_a_letter_that_is_refused_does_not_spoil_the_connection_for_the_next() -> None:
    with awkward({"RCPT": ["550 5.1.1 canary"]}) as server, mailer(server.port) as to_server:
        failure(to_server, Refused)
        to_server.send(BRIEF, AT)
        assert (server.connections, len(server.letters)) == (1, 1)


# ---------------------------------------------------------------- how it can end

NO, LATER, CUT = Refused, TryLater, "the mail server cut the connection"
US, ADDRESS, CONTENT = "takes no mail from us", "refused the address", "refused the letter"


@pytest.mark.parametrize(
    ("step", "said", "kind", "reason"),
    [
        ("banner", "421 4.3.2 canary", LATER, f"421 4.3.2: the mail server {US} for now"),
        ("banner", "554 5.7.1 canary", LATER, f"554 5.7.1: the mail server {US}"),
        ("EHLO", "502 canary", LATER, f"502: the mail server {US}"),
        ("EHLO", "550 5.7.1 canary", LATER, f"550 5.7.1: the mail server {US}"),
        ("MAIL", "451 4.3.0 canary", LATER, "451 4.3.0: the mail server refused our own address for now"),
        ("MAIL", "530 5.7.0 canary", LATER, "530 5.7.0: the mail server did not accept our user name and password"),
        ("MAIL", "503 AUTH first, canary", LATER, f"503: the mail server {US}"),
        ("MAIL", "550 5.1.8 canary", NO, "550 5.1.8: the mail server refused our own address"),
        ("RCPT", "421 4.7.0 canary", LATER, f"421 4.7.0: the mail server {US} for now"),
        ("RCPT", "451 4.7.1 ana@example.com", LATER, "451 4.7.1: the mail server's rules forbid the letter for now"),
        ("RCPT", "550 5.1.1 ana@example.com", NO, f"550 5.1.1: the mail server {ADDRESS}"),
        ("RCPT", "550-5.1.1 <ana@example.com>\r\n550 5.1.1 canary", NO, f"550 5.1.1: the mail server {ADDRESS}"),
        ("RCPT", "550 ana@example.com 5.1.1", NO, f"550: the mail server {ADDRESS}"),
        ("RCPT", "552 5.2.2 canary", NO, "552 5.2.2: the mailbox is full"),
        ("RCPT", "452 4.2.2 canary", LATER, "452 4.2.2: the mailbox is full for now"),
        ("DATA", "554 5.5.1 canary", NO, f"554 5.5.1: the mail server {CONTENT}"),
        ("DATA", "250 canary", LATER, "the mail server's answer makes no sense"),
        ("letter", "451 4.3.0 canary", LATER, f"451 4.3.0: the mail server {CONTENT} for now"),
        ("letter", "554 5.7.1 canary", NO, "554 5.7.1: the mail server's rules forbid the letter"),
        ("letter", "552 5.3.4 canary", NO, "552 5.3.4: the letter is too large"),
        ("RCPT", "canary", LATER, "the mail server's answer makes no sense"),
        ("banner", cut, LATER, CUT),
        ("banner", reset, LATER, CUT),
        ("banner", flood, LATER, CUT),
        ("RCPT", "250-" + "x" * 10_000, LATER, CUT),
        ("MAIL", cut, LATER, CUT),
        ("DATA", reset, LATER, CUT),
        ("letter", cut, LATER, f"{CUT}, and may have the letter"),
        ("letter", reset, LATER, f"{CUT}, and may have the letter"),
    ],
)
def test_what_a_server_says_becomes_a_reason_in_our_words(
    step: str, said: Action, kind: type[Undelivered], reason: str
) -> None:
    with awkward({step: said}) as server, mailer(server.port) as to_server:
        assert failure(to_server, kind) == reason
        assert server.fired == [step]
        assert len(server.letters) == (step == "letter")


@pytest.mark.parametrize("step", ["banner", "EHLO", "MAIL", "RCPT", "DATA", "letter"])
def test_a_server_that_hangs_is_tried_later(step: str) -> None:
    with awkward({step: hang}) as server, mailer(server.port, seconds=SOON) as to_server:
        perhaps = ", and may have the letter" if step == "letter" else ""
        assert failure(to_server, TryLater) == f"the mail server did not answer in time{perhaps}"
        assert server.fired == [step]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_dribbles_its_greeting_does_not_hold_us_up(scheme: str, ours: Certificate) -> None:
    context, options = (ours.context, f"?ca={ours.path}") if scheme == "smtps" else (None, "")
    with (
        awkward({"banner": dribble}, context=context) as server,
        mailer(server.port, scheme=scheme, options=options, seconds=SOON) as to_server,
    ):
        assert failure(to_server, TryLater) == "the mail server did not answer in time"
    assert 3 < len(server.heard) < len(GREETING)  # some bytes were taken, and not the whole greeting


def test_twin_a_time_out_of_the_socket_alone_is_held_up_to_the_end() -> None:
    with awkward({"banner": dribble}) as server:
        smtplib.SMTP("127.0.0.1", server.port, "localhost", timeout=SOON).close()
    assert len(server.heard) == len(GREETING)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_stops_reading_does_not_hold_us_up(scheme: str, ours: Certificate) -> None:
    context, options = (ours.context, f"?ca={ours.path}") if scheme == "smtps" else (None, "")
    with (
        awkward({"DATA": deaf}, context=context) as server,
        mailer(server.port, scheme=scheme, options=options, seconds=6 * SOON) as to_server,
    ):
        long = replace(BRIEF, calendar=bytes(2_000_000), calendar_method="REQUEST")
        assert failure(to_server, TryLater, long) == "the mail server did not answer in time, and may have the letter"
        assert server.fired == ["DATA"]


def test_a_server_that_asks_for_patience_once_gets_the_letter_on_the_next_try() -> None:
    with awkward({"RCPT": "451 4.7.1 greylisted"}, {}) as server, mailer(server.port) as to_server:
        assert failure(to_server, TryLater).startswith("451 4.7.1")
        to_server.send(BRIEF, AT)
        assert (server.fired, len(server.letters)) == (["RCPT"], 1)


def test_a_server_that_goes_after_its_yes_has_the_letter() -> None:
    with awkward({"letter": fine_and_cut}) as server, mailer(server.port) as to_server:
        to_server.send(BRIEF, AT)
        assert (server.fired, len(server.letters)) == (["letter"], 1)


def test_a_port_that_nobody_listens_on_is_tried_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with mailer(port) as to_nobody:
        assert failure(to_nobody, TryLater) == "the mail server cannot be reached"


@pytest.mark.parametrize("host", ["nobody.invalid", f"{'x' * 70}.example"])
def test_a_host_that_is_not_there_is_tried_later(host: str) -> None:
    with mailer(25, host=host) as to_nobody:
        assert failure(to_nobody, TryLater) == "the mail server's name was not found"


def test_a_name_server_that_hangs_does_not_hold_us_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = threading.Event(), threading.Event()

    def hung(*asked_for: object, **how: object) -> list[object]:
        asked.set()
        over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hung)
    with mailer(25, seconds=SOON) as to_nobody:
        assert failure(to_nobody, TryLater) == "the mail server did not answer in time"
    assert asked.is_set()
    over.set()


# ---------------------------------------------------------------- encryption and the password

USER = f"user:{quote(PASSWORD, safe='')}@"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_with_an_authority_it_trusts_a_letter_goes_encrypted_and_logged_in_over_one_connection(
    scheme: str, ours: Certificate
) -> None:
    tls = {"starttls" if scheme == "smtp" else "at_once": ours.context}
    user = USER if scheme == "smtp" else ""  # aiosmtpd offers AUTH only after STARTTLS
    with mailbox(**tls) as box, mailer(box.port, scheme=scheme, user=user, options=f"?ca={ours.path}") as to_box:  # type: ignore[arg-type]  # both are contexts
        for _ in range(3):
            to_box.send(BRIEF, AT)
        assert box.connections == 1
    assert [(one.encrypted, one.logged_in) for one in box.letters] == [(True, bool(user))] * 3


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_with_a_certificate_of_its_own_gets_nothing(scheme: str, ours: Certificate) -> None:
    tls = {"starttls" if scheme == "smtp" else "at_once": ours.context}
    with mailbox(**tls) as box, mailer(box.port, scheme=scheme, user=USER) as to_box:  # type: ignore[arg-type]  # as above
        assert (
            failure(to_box, TryLater) == "the mail server's certificate is not to be trusted: self-signed certificate"
        )
    assert box.letters == []
    assert box.heard == (["EHLO"] if scheme == "smtp" else [])


def test_a_server_with_the_certificate_of_another_host_gets_nothing(tmp_path: Path) -> None:
    other = Certificate.made(tmp_path, "other", "192.0.2.1")
    with mailbox(starttls=other.context) as box, mailer(box.port, options=f"?ca={other.path}") as to_box:
        assert "IP address mismatch" in failure(to_box, TryLater)
    assert (box.letters, box.heard) == ([], ["EHLO"])


def test_a_server_that_cannot_begin_encryption_after_all_hears_neither_password_nor_letter() -> None:
    offer = "250-mail.test\r\n250-AUTH PLAIN\r\n250 STARTTLS"
    with (
        awkward({"EHLO": offer, "STARTTLS": "454 4.7.0 no"}) as server,
        mailer(server.port, user=USER) as to_server,
    ):
        assert failure(to_server, TryLater) == "454 4.7.0: the mail server could not begin encryption for now"
        assert server.verbs() == ["EHLO", "STARTTLS"]


ELSEWHERE = "127.1"  # leads here, but says so only to who resolves it


@pytest.mark.parametrize("offer", ["PLAIN", "LOGIN"])
def test_no_password_is_sent_in_the_clear_to_another_machine(offer: str) -> None:
    with (
        awkward({"EHLO": f"250-mail.test\r\n250 AUTH {offer}"}) as server,
        mailer(server.port, user=USER, host=ELSEWHERE) as to_server,
    ):
        assert failure(to_server, TryLater).endswith("offers no encryption, and our password is not sent without")
        assert server.verbs() == ["EHLO"]


def test_twin_to_this_very_machine_the_password_is_sent_in_the_clear() -> None:
    with (
        awkward({"EHLO": "250-mail.test\r\n250 AUTH PLAIN"}) as server,
        mailer(server.port, user=USER) as to_server,
    ):
        to_server.send(BRIEF, AT)
        assert [line for line in server.heard if line.startswith(b"AUTH PLAIN ")]


def test_where_there_is_only_login_that_is_used() -> None:
    answers: dict[str, Action | list[Action]] = {
        "EHLO": "250-mail.test\r\n250 AUTH LOGIN", "AUTH": "334 VXNlcg==",
    }  # fmt: skip
    user, password = b64encode(b"user"), b64encode(PASSWORD.encode())
    answers |= {user.decode().upper(): "334 UGFzcw==", password.decode().upper(): "235 2.7.0 welcome"}
    with awkward(answers) as server, mailer(server.port, user=USER) as to_server:
        to_server.send(BRIEF, AT)
        assert server.heard[1:4] == [b"AUTH LOGIN", user, password]


def test_a_server_without_a_way_to_log_in_is_tried_later() -> None:
    with awkward({}) as server, mailer(server.port, user=USER) as to_server:
        assert failure(to_server, TryLater) == "the mail server offers no way to log in with a password"


def test_a_wrong_password_is_tried_later_as_it_is_ours_to_put_right(ours: Certificate) -> None:
    with (
        mailbox(starttls=ours.context) as box,
        mailer(box.port, user="user:canary@", options=f"?ca={ours.path}") as to_box,
    ):
        reason = "535 5.7.8: the mail server did not accept our user name and password"
        assert failure(to_box, TryLater) == reason
    assert (box.letters, box.heard) == ([], ["EHLO", "EHLO encrypted"])


def test_where_encryption_is_required_a_server_without_it_gets_nothing() -> None:
    with awkward({}) as server, mailer(server.port, options="?tls=required") as to_server:
        assert failure(to_server, TryLater).endswith("offers no encryption, which our settings require")
        assert server.verbs() == ["EHLO"]


def test_on_this_very_machine_encryption_can_be_turned_off(ours: Certificate) -> None:
    with mailbox(starttls=ours.context) as box, mailer(box.port, options="?tls=off") as to_box:
        to_box.send(BRIEF, AT)
    assert [one.encrypted for one in box.letters] == [False]


@pytest.mark.parametrize(
    "url",
    [
        "smtp://user:canary@mail.example?tls=off", "smtps://user:canary@localhost?tls=off", "smtp://canary@mail.example",
        "smtp://user:can/ary@mail.example", "smtp://user:can?ary@mail.example", "smtp://user:can#ary@mail.example",
        "smtp://user:canary@", "smtp://user:canary@mail.example:0", "smtp://user:canary@mail.example:mail",
        "smtp://user:canary@mail.example/inbox", "smtp://user:canary@mail.example?tls=maybe", "imap://user:canary@h",
        "smtp://user:canary@mail.example?ca=/not/there", "smtp://user:canary@mail.example?canary=1", "smtp://[canary",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"mail URL|tls=off|ca= names") as refused:
        SmtpMailer(url, SENDER)
    assert "can" not in str(refused.value).replace("cannot", "")
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(("url", "port"), [("smtp://mail.example", 25), ("smtps://mail.example", 465)])
def test_each_scheme_has_its_port(url: str, port: int) -> None:
    server = server_at(url.replace("//", "//user:canary@"))
    assert (server.host, server.port, server.user, server.password) == ("mail.example", port, "user", "canary")
    assert "canary" not in repr(server)
