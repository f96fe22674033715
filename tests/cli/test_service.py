"""What `booking serve` and the commands that look after it say, print and end with."""

import http.client
import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import text

from booking.cli import booking
from booking.database import revision
from booking.domain.submission import Submission
from booking.runtime import Runtime
from tests.cli.conftest import OTHER_KEY, Terminal
from tests.service import Serving, free_port

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
LEAD = {"name": "Ana", "email": "ana@example.com", "message": "canary of a health text"}
README = Path(__file__).parents[2] / "README.md"


def commands(group: click.Group = booking, *before: str) -> Iterator[tuple[str, ...]]:
    """The words of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield *before, name


def ask(
    port: int, method: str = "GET", path: str = "/", body: Any = None, host: str = ""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request to a server on the loopback: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"} | ({"Host": host} if host else {})
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@contextmanager
def started(terminal: Terminal, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on until it is told to end, once it has said that it is there."""
    with terminal.start(*words) as process:
        try:
            assert process.stderr is not None
            said = b""
            while not re.match(rb"Serving|Working", line := process.stderr.readline()):
                said += line
                assert line, said.decode()
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> tuple[int, bytes]:
    """The exit code after a signal, and all that came to standard output."""
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    return process.returncode, out


# ---------------------------------------------------------------- every command


def test_every_command_has_help_that_needs_no_settings() -> None:
    for words in [(), ("token",), ("catalog",), *commands()]:
        result = CliRunner().invoke(booking, [*words, "--help"])
        assert result.exit_code == 0, words
        assert result.stdout.startswith(f"Usage: booking {' '.join(words)}".rstrip())
        assert re.search(r"\n\n  [A-Z][^\n]{10,}", result.stdout), f"{words} does not say what it does"


def test_the_readme_names_every_command_and_no_other() -> None:
    told = re.findall(r"^\| `booking .*?\|", README.read_text(), re.MULTILINE)
    names = {name.removeprefix("booking ") for row in told for name in re.findall(r"`([^`]+)`", row)}
    assert {name.split()[-1] for name in names} == {words[-1] for words in commands()}


@ON_SQLITE
def test_the_real_command_has_help_even_with_settings_that_cannot_be_used(terminal: Terminal) -> None:
    result = terminal.told(THREADS="many").run("--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"rotate-keys" in result.stdout


NEEDING_THE_DATABASE = [
    "migrate", "migrate --to base", "doctor", "reconcile", "rotate-keys", "export", "import {file}",
    "seed", "catalog show", "token create --name desk --scope leads:export", "token list", "token revoke 1",
]  # fmt: skip


@pytest.mark.parametrize("command", NEEDING_THE_DATABASE)
def test_without_its_database_a_command_says_so_and_ends_with_3(away: Terminal, command: str) -> None:
    file = away.folder / "leads.csv"
    file.write_text("reference,email\nSV-1,a@example.com\n")
    result = away.call(*command.format(file=file).split())
    assert (result.exit_code, result.stdout) == (3, "")
    assert re.fullmatch(r"The database does not answer[^\n]+\n", result.stderr)


def test_serve_prepare_without_its_database_says_so_and_ends_with_3(away: Terminal) -> None:
    result = away.run("serve", "--prepare")
    assert (result.returncode, result.stdout) == (3, b"")
    assert re.fullmatch(rb"The database does not answer[^\n]+\n", result.stderr)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_before_migrate_commands_say_what_to_do(fresh: Callable[..., Terminal], engine: str) -> None:
    terminal = fresh(engine, migrated=False)
    doctor, export = terminal.call("doctor"), terminal.call("export")
    assert (doctor.exit_code, doctor.stdout) == (1, "The schema is behind: run `booking migrate`.\n")
    assert (export.exit_code, export.stdout) == (3, "")
    assert "booking migrate" in export.stderr


# ---------------------------------------------------------------- serve


def test_production_without_its_settings_names_all_of_them_and_the_misspelt_one_at_once(tmp_path: Path) -> None:
    terminal = Terminal({"BOOKING_ENV": "production", "BOOKING_SECRT_KEY": "x" * 40}, tmp_path)
    result = terminal.run("serve")
    assert (result.returncode, result.stdout) == (2, b"")
    said = result.stderr.decode()
    for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "BASE_URL", "DATABASE_URL"):
        assert f"BOOKING_{name}: missing" in said
    assert "BOOKING_SECRT_KEY: there is no such setting; did you mean BOOKING_SECRET_KEY?" in said
    assert len(said.splitlines()) == 6
    assert list(tmp_path.iterdir()) == []


@ON_SQLITE
def test_production_refuses_weak_settings_all_at_once_without_repeating_them(terminal: Terminal) -> None:
    weak = terminal.told(
        ENV="production",
        SECRET_KEY="hunter2hunter2hunter2hunter2hunter2",
        ENCRYPTION_KEYS="1:aGVsbG8=",
        BASE_URL="http://booking.example.com",
        DATABASE_URL="mysql://root@db/booking",
        ALLOWED_ORIGINS="*",
        BIND="everywhere",
    )
    result = weak.run("serve")
    assert (result.returncode, result.stdout) == (2, b"")
    lines = result.stderr.decode().splitlines()
    named = {line.partition(":")[0].strip().removeprefix("BOOKING_") for line in lines[1:]}
    assert named == {"SECRET_KEY", "ENCRYPTION_KEYS", "BASE_URL", "DATABASE_URL", "ALLOWED_ORIGINS", "BIND"}
    assert "https://" in result.stderr.decode()
    assert not re.search(rb"hunter2|aGVsbG8|root@db", result.stderr)


@ON_POSTGRESQL
def test_a_good_production_start_insists_on_https_and_refuses_a_foreign_host(terminal: Terminal) -> None:
    port = free_port()
    production = terminal.told(ENV="production", BASE_URL="https://booking.example.com", BIND=f"127.0.0.1:{port}")
    with started(production, "serve") as process:
        ours, headers, page = ask(port, host="booking.example.com")
        assert (ours, b"<form" in page) == (200, True)
        assert headers["Strict-Transport-Security"].startswith("max-age=")
        foreign, refusal, _ = ask(port, host="evil.example.com")
        assert foreign == 400
        for name in ("Content-Security-Policy", "X-Content-Type-Options", "Strict-Transport-Security"):
            assert refusal[name], name
        assert ask(port, "POST", "/leads", LEAD, host="booking.example.com")[0] == 201
        assert ended(process) == (0, b"")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_serve_prepare_makes_the_schema_serves_and_ends_well_on_sigterm(
    fresh: Callable[..., Terminal], engine: str
) -> None:
    port = free_port()
    terminal = fresh(engine, migrated=False).told(BIND=f"127.0.0.1:{port}")
    with started(terminal, "serve", "--prepare") as process:
        assert ask(port, "POST", "/leads", LEAD)[0] == 201
        assert ended(process) == (0, b"")
    assert terminal.call("export", "--output", str(terminal.folder / "out")).stderr == "1 leads\n"


def test_serve_prepare_migrates_only_what_is_behind(terminal: Terminal) -> None:
    terminal.call("migrate", "--to", "base")
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that each ends by itself
        busy = terminal.told(BIND=f"127.0.0.1:{taken.getsockname()[1]}")
        first, second = (busy.run("serve", "--prepare").stderr.decode().splitlines() for _ in range(2))
    assert first[0] == f"The schema stands at {revision.head()}."
    assert not any("schema" in line for line in second)
    assert terminal.call("doctor").exit_code == 0


@ON_SQLITE
def test_a_port_that_is_taken_is_told_in_one_plain_line(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = terminal.told(BIND=f"127.0.0.1:{port}").run("serve")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"Cannot serve on 127.0.0.1:%d: Address already in use\n" % port


@ON_SQLITE
def test_a_data_folder_that_cannot_be_made_is_told_in_a_plain_line(terminal: Terminal) -> None:
    blocked = terminal.folder / "blocked"
    blocked.write_text("a file where the folder should be")
    told = terminal.told(ENV="production", BASE_URL="https://booking.example.com", DATA_DIR=str(blocked / "data"))
    result = told.call("doctor")
    assert result.exit_code == 2
    assert str(blocked) in result.stderr


def test_serve_starts_without_its_database_and_what_it_accepts_is_replayed_later(
    terminal: Terminal, away: Terminal, serving: Callable[..., Serving]
) -> None:
    terminal.call("seed")
    server = serving({"BOOKING_DATABASE_URL": away.environ["BOOKING_DATABASE_URL"]})
    status, _, body = ask(server.port, "POST", "/leads", LEAD)
    assert status == 202
    assert ask(server.port, path="/readyz")[0] == 503
    assert server.stop() == 0
    assert LEAD["message"] not in server.output

    waiting = away.call("replay")
    assert (waiting.exit_code, waiting.stdout) == (3, "0 stored, 0 set aside, 1 still waiting\n")
    assert terminal.call("doctor").stdout == "1 leads wait in the spool.\n"
    replay = terminal.run("replay")
    assert (replay.returncode, replay.stdout) == (0, b"1 stored, 0 set aside, 0 still waiting\n")
    assert terminal.call("replay").stdout == "0 stored, 0 set aside, 0 still waiting\n"
    assert json.loads(body)["reference"].encode() in terminal.export()
    assert terminal.call("reconcile").stdout == "handed out: 1, difference: 0\n"


@ON_SQLITE
def test_work_drains_the_spool_and_ends_well_on_sigterm(
    terminal: Terminal, premises: Runtime, client: FlaskClient
) -> None:
    with started(terminal, "work") as process:
        wait_in_the_spool(premises)
        while premises.spool.depth():
            assert process.poll() is None
        assert ended(process) == (0, b"")
    assert terminal.export("--columns", "name", "--profile", "raw") == b"name\r\nAna\r\n"


def wait_in_the_spool(premises: Runtime, reference: str = "SV-WAIT-ED") -> None:
    """Put a lead where those wait that came while the database was away."""
    submission = Submission(name="Ana", email="ana@example.com", message="hello", key="one")
    payload = {"submission": submission.as_json(), "received_at": "2026-11-24T15:30:00+00:00"}
    premises.spool.put(reference, "", 1_796_000_000_000, payload)


# ---------------------------------------------------------------- looking after it


def test_migrate_goes_to_base_and_back(terminal: Terminal) -> None:
    down = terminal.call("migrate", "--to", "base")
    assert (down.exit_code, down.stdout) == (0, "")
    assert terminal.call("doctor").exit_code == 1
    up = terminal.run("migrate")
    assert (up.returncode, up.stdout) == (0, b"")
    assert terminal.call("seed").exit_code == 0
    assert terminal.call("doctor").stdout == "All is well.\n"
    assert terminal.call("migrate").exit_code == 0


def test_migrate_goes_up_to_a_revision_by_its_name(terminal: Terminal) -> None:
    terminal.call("migrate", "--to", "base")
    assert terminal.call("migrate", "--to", "0001").exit_code == 0
    out = str(terminal.folder / "out")
    assert terminal.call("export", "--output", out, "--columns", "reference,name").exit_code == 0


@ON_SQLITE
def test_migrate_to_a_revision_that_does_not_exist_is_a_misuse(terminal: Terminal) -> None:
    result = terminal.call("migrate", "--to", "nonsense")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


@ON_SQLITE
def test_seed_names_the_clinic_and_a_clinics_file_that_cannot_be_used_is_a_misuse(terminal: Terminal) -> None:
    assert "services, from clinic.toml." in terminal.call("seed").stderr
    broken = terminal.folder / "broken.toml"
    broken.write_text("name = ")
    result = terminal.told(CLINIC_FILE=str(broken)).call("seed")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "broken.toml" in result.stderr


def test_reconcile_prints_a_reference_that_was_handed_out_and_is_nowhere(
    terminal: Terminal, client: FlaskClient
) -> None:
    assert client.post("/leads", json=LEAD).status_code == 201
    assert terminal.call("reconcile").exit_code == 0
    with (Path(terminal.environ["BOOKING_DATA_DIR"]) / "receipts.log").open("a") as receipts:
        receipts.write("2026-11-24T15:30:00.000+00:00 SV-LOST-00 stored\n")
    result = terminal.run("reconcile")
    assert (result.returncode, result.stdout) == (1, b"SV-LOST-00\nhanded out: 2, difference: 1\n")


def test_doctor_finds_all_is_well_and_then_each_thing_that_is_not(
    terminal: Terminal, premises: Runtime, client: FlaskClient
) -> None:
    terminal.call("token", "create", "--name", "desk", "--scope", "leads:export")
    assert terminal.call("doctor").stdout == "No catalogue is loaded: run `booking seed`.\n"
    terminal.call("seed")
    well = terminal.run("doctor")
    assert (well.returncode, well.stdout, well.stderr) == (0, b"All is well.\n", b"")

    wait_in_the_spool(premises, "SV-BAD1-ED")
    wait_in_the_spool(premises)
    premises.spool.set_aside(next(premises.spool.waiting()))
    with premises.database.transaction() as db:
        db.execute(text("update audit_entry set actor = 'nobody' where id = 1"))
    ill = terminal.call("doctor")
    assert ill.exit_code == 1
    assert ill.stdout.splitlines() == [
        "The audit chain is broken at entry 1.",
        "1 leads wait in the spool.",
        f"1 unreadable files were set aside in {premises.spool.aside}.",
    ]


def test_a_key_can_be_dropped_after_rotation_and_before_it_everything_says_so(
    terminal: Terminal, client: FlaskClient
) -> None:
    terminal.call("seed")
    assert client.post("/leads", json=LEAD).status_code == 201
    before = terminal.export("--profile", "raw")
    old = terminal.environ["BOOKING_ENCRYPTION_KEYS"]

    too_early = terminal.told(ENCRYPTION_KEYS=OTHER_KEY)
    refused = too_early.call("rotate-keys")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "key 1, which is not on the ring" in refused.stderr
    doctor = too_early.call("doctor")
    assert doctor.exit_code == 1
    assert "key 1" in doctor.stdout

    both = terminal.told(ENCRYPTION_KEYS=f"{OTHER_KEY},{old}")
    assert both.export("--profile", "raw") == before
    rotation = both.run("rotate-keys")
    assert (rotation.returncode, rotation.stdout) == (0, b"3 sealed anew\n")  # the lead and its two messages
    assert both.call("rotate-keys").stdout == "0 sealed anew\n"
    assert too_early.export("--profile", "raw") == before
    assert too_early.call("doctor").exit_code == 0
