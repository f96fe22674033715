"""What `booking messages`, `webhook`, `work --drain` and the doctor say of messages, and what they do about them."""

import base64
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text

from booking.models.outbox import OutboxMessage
from booking.operations import vitals, webhooks
from booking.runtime import Runtime
from tests.cli.conftest import Terminal
from tests.delivery.mailbox import Talk, awkward
from tests.delivery.receiver import Receiver, answering
from tests.faults.crowd import eventually

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PROGRAM, OTHER = "https://crm.example.com/hook", "https://other.example.com/hook"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=\n")
MINUTE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
LIST, DRAIN = ("messages", "list"), ("work", "--drain")
WRONG_NUMBER = "There is no held or dead message with the number"


@pytest.fixture
def ada(client: FlaskClient) -> str:
    """Somebody who has posted just now; the reference she was told."""
    posted = {"name": "Ada Reed", "email": "ada@example.com", "message": "My sciatica is back"}
    answer = client.post("/leads", json=posted, headers={"Accept": "application/json"})
    reference: str = answer.get_json()["reference"]
    return reference


def letters(terminal: Terminal) -> dict[str, Message]:
    """The letters in the folder, by whom they are for."""
    folder = Path(terminal.environ["BOOKING_DATA_DIR"]) / "mail"
    found = [message_from_bytes(path.read_bytes()) for path in folder.glob("*.eml")]
    return {letter["To"]: letter for letter in found}


def rows(terminal: Terminal, *words: str) -> list[list[str]]:
    """What a command lists, as fields."""
    result = terminal.call(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    return [line.split("\t") for line in result.stdout.splitlines()]


def refused_by_the_mail_server(terminal: Terminal) -> None:
    """Let what is due meet a mail server that refuses the first address."""
    with awkward({"RCPT": ["550 5.1.1 no"]}) as server:
        result = terminal.told(MAIL_URL=f"smtp://127.0.0.1:{server.port}").call(*DRAIN)
        assert (result.exit_code, server.fired) == (0, ["RCPT"])


def misused(terminal: Terminal, *words: str) -> str:
    """What a command says that cannot do what it is told."""
    result = terminal.call(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.strip()


# ---------------------------------------------------------------- work --drain


def test_drain_delivers_what_is_due_and_ends_well_without_a_word(terminal: Terminal, ada: str) -> None:
    result = terminal.run(*DRAIN)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    found = letters(terminal)
    assert set(found) == {"ada@example.com", "hello@example.com"}
    assert all(ada in letter["Subject"] for letter in found.values())
    assert [row[1] for row in rows(terminal, *LIST, "--state", "sent")] == ["sent", "sent"]


def test_drain_twice_delivers_nothing_twice_and_with_nothing_to_do_ends_at_once(terminal: Terminal, ada: str) -> None:
    terminal.call(*DRAIN)
    (Path(terminal.environ["BOOKING_DATA_DIR"]) / "mail").rename(terminal.folder / "taken away")
    assert terminal.call(*DRAIN).exit_code == 0
    assert letters(terminal) == {}


def test_drain_without_its_database_says_so_and_ends_with_3(away: Terminal) -> None:
    result = away.call(*DRAIN)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("The database does not answer")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_drain_that_is_told_to_end_finishes_the_letter_at_hand_and_begins_no_other(
    how: signal.Signals, terminal: Terminal, ada: str
) -> None:
    def tell(talk: Talk) -> None:
        process.send_signal(how)
        eventually(lambda: not signals_on_their_way(process.pid))
        talk.say("250 2.0.0 fine")

    with awkward({"letter": tell}, {}) as server:
        process = terminal.told(MAIL_URL=f"smtp://127.0.0.1:{server.port}").start(*DRAIN)
        with process:
            _, err = process.communicate(timeout=60)
    assert (process.returncode, err, server.fired) == (0, b"", ["letter"])
    states = [row[1] for row in rows(terminal, *LIST, "--state", "sent", "--state", "waiting")]
    assert states == ["waiting", "sent"]


def signals_on_their_way(pid: int) -> bool:
    """Whether a process has yet to hear of a signal that it was sent."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(int(mask, 16) for mask in re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)", status, re.MULTILINE))


@ON_SQLITE
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAIL_URL", "smtp://user:pa#ss@localhost:25"),
        ("MAIL_URL", "smtp://localhost:25?tls=requried"),
        ("SMS_URL", "twilio://AC1@nowhere"),
    ],
)
@pytest.mark.parametrize("words", [DRAIN, ("doctor",), ("serve",)], ids=" ".join)
def test_a_way_outside_that_is_written_wrong_is_said_at_once_and_without_its_password(
    words: tuple[str, ...], name: str, text: str, terminal: Terminal
) -> None:
    said = misused(terminal.told(**{name: text}), *words)
    assert said.startswith(f"The settings cannot be used:\n  BOOKING_{name}: ")
    assert "pa#ss" not in said


# ---------------------------------------------------------------- messages


def test_list_shows_first_what_somebody_should_look_at(terminal: Terminal, ada: str) -> None:
    assert rows(terminal, *LIST) == []
    refused_by_the_mail_server(terminal)
    ((number, state, event, audience, channel, reference, at, why),) = rows(terminal, *LIST)
    assert (state, event, audience, channel, reference) == ("dead", "lead_captured", "visitor", "mail", ada)
    assert why == "550 5.1.1: the mail server refused the address"
    assert int(number) > 0
    assert MINUTE.fullmatch(at)
    everything = rows(terminal, *LIST, "--state", "sent", "--state", "dead")
    assert [row[3] for row in everything] == ["desk", "visitor"], "the newest first"
    assert rows(terminal, *LIST, "--state", "sent", "--state", "dead", "--limit", "1") == everything[:1]


def test_the_list_names_nobody(terminal: Terminal, ada: str) -> None:
    refused_by_the_mail_server(terminal)
    shown = terminal.call(*LIST, "--state", "sent", "--state", "dead").stdout.lower()
    assert [word for word in ("ada@", "reed", "sciatica", "@") if word in shown] == []


@ON_SQLITE
def test_a_state_that_does_not_exist_is_a_misuse(terminal: Terminal) -> None:
    assert "'lost' is not one of" in misused(terminal, *LIST, "--state", "lost")


def test_a_dead_message_is_sent_after_all_under_its_own_id(terminal: Terminal, premises: Runtime, ada: str) -> None:
    refused_by_the_mail_server(terminal)
    ((number, *_),) = rows(terminal, *LIST)
    released = terminal.call("messages", "send", number)
    assert (released.exit_code, released.stdout, released.stderr) == (0, "", "It will be sent.\n")
    assert rows(terminal, *LIST) == []
    assert terminal.call(*DRAIN).exit_code == 0
    with premises.database.reading() as db:
        row = db.get_one(OutboxMessage, int(number))
    assert row.state == "sent"
    assert letters(terminal)["ada@example.com"]["Message-ID"] == f"<{row.dedupe_key.hex()}@example.com>"
    assert misused(terminal, "messages", "send", number) == f"{WRONG_NUMBER} {number}."


@pytest.mark.parametrize("number", ["0", "4711"])
def test_a_number_that_no_message_has_is_a_misuse(number: str, terminal: Terminal) -> None:
    assert misused(terminal, "messages", "send", number) == f"{WRONG_NUMBER} {number}."


def test_what_waits_or_was_sent_is_not_sent_once_more(terminal: Terminal, ada: str) -> None:
    for state in ("waiting", "sent"):
        found = rows(terminal, *LIST, "--state", state)
        assert len(found) == 2
        for number, *_ in found:
            assert misused(terminal, "messages", "send", number) == f"{WRONG_NUMBER} {number}."
        terminal.call(*DRAIN)


# ---------------------------------------------------------------- webhook


def test_a_webhook_is_added_and_its_secret_shown_once_and_alone(terminal: Terminal, premises: Runtime) -> None:
    added = terminal.call("webhook", "add", PROGRAM)
    assert added.exit_code == 0
    assert SECRET.fullmatch(added.stdout)
    assert len(base64.b64decode(added.stdout.strip().removeprefix("whsec_"))) == 32
    assert added.stderr.startswith("Webhook 1. This is its secret")
    terminal.call("webhook", "add", OTHER, "--whole")
    shown = rows(terminal, "webhook", "list")
    assert [(number, told, state, url) for number, _, told, state, url in shown] == [
        ("1", "thin", "active", PROGRAM),
        ("2", "whole", "active", OTHER),
    ]
    assert all(MINUTE.fullmatch(since) for _, since, *_ in shown)
    assert "whsec" not in str(shown)
    with premises.database.reading() as db:
        assert webhooks.receiver(db, premises.keyring, "1") == webhooks.Receiver(
            1, PROGRAM, (added.stdout.strip(),), whole=False
        )
        sealed = db.scalar(text("select secrets from webhook where id = 1"))
    assert added.stdout.strip().encode() not in bytes(sealed)


def test_a_program_is_added_once(terminal: Terminal) -> None:
    terminal.call("webhook", "add", PROGRAM)
    assert misused(terminal, "webhook", "add", PROGRAM) == "The program at this address is told of events already."
    assert len(rows(terminal, "webhook", "list")) == 1


@ON_SQLITE
def test_an_address_that_would_never_be_called_is_refused_when_it_is_added(terminal: Terminal) -> None:
    for address in ("ftp://crm.example.com", "https://user:secret@crm.example.com/", "https://crm.example.com/#part"):
        said = misused(terminal, "webhook", "add", address)
        assert "secret@" not in said
        assert len(said.splitlines()) == 1
    production = terminal.told(ENV="production", BASE_URL="https://booking.example.com")
    for address in ("http://crm.example.com/", "https://127.0.0.1/hook", "https://localhost/", "https://10.0.0.8/"):
        assert misused(production, "webhook", "add", address).startswith("the URL ")
    assert rows(terminal, "webhook", "list") == []


@ON_SQLITE
def test_twenty_programs_are_enough_and_a_removed_one_makes_room(terminal: Terminal) -> None:
    for number in range(webhooks.MOST):
        assert terminal.call("webhook", "add", f"{PROGRAM}/{number}").exit_code == 0
    full = "At most 20 programs can be told of events."
    assert misused(terminal, "webhook", "add", OTHER) == full
    terminal.call("webhook", "remove", "1")
    assert terminal.call("webhook", "add", OTHER).exit_code == 0
    assert misused(terminal, "webhook", "enable", "1") == full


def test_a_new_secret_signs_beside_the_one_before_it_until_the_next_rotation(
    terminal: Terminal, premises: Runtime
) -> None:
    first = terminal.call("webhook", "add", PROGRAM).stdout.strip()
    second, third = (terminal.call("webhook", "rotate", "1") for _ in range(2))
    assert (second.exit_code, second.stderr) == (0, "")
    assert SECRET.fullmatch(second.stdout)
    with premises.database.reading() as db:
        found = webhooks.receiver(db, premises.keyring, "1")
    assert found is not None
    assert found.secrets == (third.stdout.strip(), second.stdout.strip())
    assert first not in found.secrets


def test_a_removed_webhook_is_told_no_more_and_enabled_or_added_it_is_told_again(
    terminal: Terminal, post: Callable[[str], None]
) -> None:
    with Receiver(answering(204)) as program:
        terminal.call("webhook", "add", program.url)

        def told(message: str) -> int:
            post(message)
            assert terminal.call(*DRAIN).exit_code == 0
            return len(program.requests)

        assert told("one") == 1
        assert terminal.call("webhook", "remove", "1").exit_code == 0
        ((_, _, _, state, _),) = rows(terminal, "webhook", "list")
        assert re.fullmatch(r"disabled \d{4}-\d\d-\d\d \d\d:\d\d: removed", state)
        assert told("two") == 1
        assert terminal.call("webhook", "enable", "1").exit_code == 0
        assert told("three") == 2
        terminal.call("webhook", "remove", "1")
        assert SECRET.fullmatch(terminal.call("webhook", "add", program.url).stdout)
        assert rows(terminal, "webhook", "list")[0][0] == "1", "it keeps its number"
        assert told("four") == 3


@pytest.fixture
def post(client: FlaskClient) -> Callable[[str], None]:
    """Let somebody new send a message."""

    def send(message: str) -> None:
        posted = {"name": "Ben", "email": f"{message}@example.com", "message": message}
        assert client.post("/leads", json=posted).status_code == 201

    return send


@ON_SQLITE
@pytest.mark.parametrize("command", ["rotate", "enable", "remove"])
def test_a_webhook_that_does_not_exist_is_a_misuse(command: str, terminal: Terminal) -> None:
    assert misused(terminal, "webhook", command, "7") == "There is no webhook 7."


# ---------------------------------------------------------------- the doctor


def doctor(terminal: Terminal) -> list[str]:
    result = terminal.call("doctor")
    assert result.exit_code == (0 if result.stdout == "All is well.\n" else 1)
    return result.stdout.splitlines()


def earlier(premises: Runtime, by: timedelta) -> None:
    """Let all that waits have waited for so long already."""
    with premises.database.transaction() as db:
        for row in db.scalars(select(OutboxMessage).where(OutboxMessage.state == "waiting")):
            row.due_at -= by


def beat(premises: Runtime, ago: timedelta) -> None:
    with premises.database.transaction() as db:
        vitals.beat(db, vitals.WORKER, datetime.now(UTC) - ago)


def test_the_doctor_names_a_worker_that_is_missing_once_something_waits_for_it(
    terminal: Terminal, premises: Runtime, ada: str
) -> None:
    terminal.call("seed")
    assert doctor(terminal) == ["All is well."], "it may just be starting"
    earlier(premises, vitals.BEAT_WITHIN)
    assert doctor(terminal) == ["No worker has been running yet: run `booking serve` or `booking work`."]
    beat(premises, timedelta(hours=1))
    (complaint,) = doctor(terminal)
    assert re.match(r"No worker has been running since \d{4}-\d\d-\d\d \d\d:\d\d: run", complaint)
    beat(premises, timedelta())
    assert doctor(terminal) == ["All is well."]


def test_the_doctor_names_a_message_that_is_late(terminal: Terminal, premises: Runtime, ada: str) -> None:
    terminal.call("seed")
    earlier(premises, vitals.LATE_AFTER)
    beat(premises, timedelta())
    (complaint,) = doctor(terminal)
    assert re.fullmatch(r"A message should have been sent at \d{4}-\d\d-\d\d \d\d:\d\d and was not\.", complaint)
    terminal.call(*DRAIN)
    assert doctor(terminal) == ["All is well."]


def test_the_doctor_names_what_did_not_arrive_until_somebody_has_seen_to_it(terminal: Terminal, ada: str) -> None:
    terminal.call("seed")
    refused_by_the_mail_server(terminal)
    assert doctor(terminal) == ["1 messages within a day did not arrive: see `booking messages list`."]
    ((number, *_),) = rows(terminal, *LIST)
    terminal.call("messages", "send", number)
    terminal.call(*DRAIN)
    assert doctor(terminal) == ["All is well."]


def test_the_doctor_names_a_form_that_does_not_work(terminal: Terminal, premises: Runtime) -> None:
    terminal.call("seed")
    with premises.database.transaction() as db:
        vitals.beat(db, vitals.WATCHED, datetime.now(UTC), {"failed": "it answered 500"})
    (complaint,) = doctor(terminal)
    assert re.fullmatch(r"The form was tested at .{16} and does not work: it answered 500\.", complaint)


@ON_SQLITE
def test_the_doctor_says_that_production_sends_its_letters_to_nobody(terminal: Terminal) -> None:
    terminal.call("seed")
    production = terminal.told(ENV="production", BASE_URL="https://booking.example.com")
    nobody = "BOOKING_MAIL_URL is file: letters are laid into a folder, and nobody gets them."
    assert nobody in doctor(production)
    assert nobody not in doctor(production.told(MAIL_URL="smtp://mail.example.com"))
    assert nobody not in doctor(terminal)


@ON_SQLITE
def test_the_doctor_says_that_letters_of_production_may_go_unencrypted(terminal: Terminal) -> None:
    terminal.call("seed")
    production = terminal.told(ENV="production", BASE_URL="https://booking.example.com")
    for url, said in (
        ("smtp://mail.example.com", True),
        ("smtp://mail.example.com?tls=required", False),
        ("smtp://user:password@mail.example.com", False),
        ("smtps://mail.example.com", False),
        ("smtp://localhost", False),
    ):
        assert any("?tls=required" in line for line in doctor(production.told(MAIL_URL=url))) is said, url
