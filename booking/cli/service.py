"""Commands that run the service and look after it."""

import signal
import sys
import threading
from collections.abc import Iterator

import click

from booking import clinic, reception, server
from booking.cli.doorway import Doorway, Exit, fail, in_plain_words, now, pass_doorway, progress, say
from booking.config import Settings
from booking.database import schema, sqlite
from booking.operations import audit, keys
from booking.runtime import Runtime
from booking.worker import Worker

# On the few answers that the server gives by itself, before the application sees a request.
SERVER_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
SQLITE_WITHOUT_RESET_BUG = (3, 51, 3)


@click.command()
@click.option("--prepare", is_flag=True, help="Do what `migrate` and `seed` do first.")
@pass_doorway
def serve(doorway: Doorway, prepare: bool) -> None:
    """Serve the form, with the worker beside it, until SIGTERM or Ctrl-C."""
    settings = doorway.settings()
    with in_plain_words():
        if prepare:
            schema.upgrade(settings.database_url)
        app = doorway.create_app(settings)
    premises: Runtime = app.extensions["booking"]
    if prepare:
        _say_clinic(settings, premises)
    worker = Worker(premises, now)
    worker.start()
    host, port = settings.bind
    try:
        server.serve(
            app, host=host, port=port, threads=settings.threads, ready=_say_where, error_headers=SERVER_HEADERS
        )
    except OSError as failure:
        fail(f"Cannot serve on {host}:{port}: {failure.strerror}", Exit.MISUSED)
    finally:
        worker.stop()


@click.command()
@pass_doorway
def work(doorway: Doorway) -> None:
    """Run the worker alone, until SIGTERM or Ctrl-C (`serve` has one inside)."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with doorway.premises() as premises:
        worker = Worker(premises, now)
        worker.start()
        say("Working.")
        stop.wait()
        worker.stop()


@click.command()
@click.option("--to", "revision", default="head", show_default=True, help="A revision, `head` or `base`.")
@pass_doorway
def migrate(doorway: Doorway, revision: str) -> None:
    """Bring the database to the newest schema, or back to an older one."""
    url = doorway.settings().database_url
    with in_plain_words():
        if revision == "head":
            schema.upgrade(url)
        else:
            schema.move(url, revision)
    say(f"The schema stands at {schema.head() if revision == 'head' else revision}.")


@click.command()
@pass_doorway
def seed(doorway: Doorway) -> None:
    """Check the clinic's file, whose name, services, texts and colours the page shows."""
    with doorway.premises() as premises:
        _say_clinic(doorway.settings(), premises)


@click.command()
@pass_doorway
def doctor(doorway: Doorway) -> None:
    """Check everything that can be checked, and say what is wrong."""
    settings = doorway.settings()
    with doorway.premises() as premises:
        complaints = _complaints(settings, premises)
    for complaint in complaints:
        click.echo(complaint)
    if complaints:
        sys.exit(Exit.FOUND_SOMETHING)
    click.echo("All is well.")


@click.command()
@pass_doorway
def replay(doorway: Doorway) -> None:
    """Bring the leads that wait in the spool into the database now."""
    fates = {"stored": 0, "bad": 0, "waiting": 0}
    with doorway.premises() as premises:
        with progress(reception.drain(premises, now), "Replaying", premises.spool.depth()) as drained:
            for waiting, fate in drained:
                fates[fate] += 1
                if fate == "bad":
                    say(f"Set aside, unreadable: {waiting.path.name}")
        left = premises.spool.depth()
    click.echo(f"{fates['stored']} stored, {fates['bad']} set aside, {left} still waiting")
    if fates["waiting"]:
        sys.exit(Exit.AWAY)
    if fates["bad"]:
        sys.exit(Exit.FOUND_SOMETHING)


@click.command()
@pass_doorway
def reconcile(doorway: Doorway) -> None:
    """Compare the references handed out with leads and spool; the difference should be 0."""
    with doorway.premises() as premises:
        handed_out, lost = reception.reconcile(premises)
    for reference in lost:
        click.echo(reference)
    click.echo(f"handed out: {handed_out}, difference: {len(lost)}")
    if lost:
        sys.exit(Exit.FOUND_SOMETHING)


@click.command("rotate-keys")
@pass_doorway
def rotate_keys(doorway: Doorway) -> None:
    """Seal everything anew with the first of BOOKING_ENCRYPTION_KEYS; older keys may be dropped afterwards."""
    with doorway.premises() as premises:
        with progress(_resealed(premises), "Sealing") as portions:
            changed = sum(portions)
        if premises.spool.depth() or premises.spool.set_aside_count():
            say("Leads wait in the spool: run `booking replay` before an old key is dropped.")
    click.echo(f"{changed} sealed anew")


def _say_where(host: str, port: int) -> None:
    say(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}")


def _say_clinic(settings: Settings, premises: Runtime) -> None:
    path = settings.clinic_file or clinic.DEFAULT_PATH
    say(f"{premises.clinic.name}: {len(premises.clinic.services)} services, from {path.name}.")


def _resealed(premises: Runtime) -> Iterator[int]:
    after: int | None = 0
    while after is not None:
        with premises.database.transaction() as db:
            after, changed = keys.reseal(db, premises.keyring, after=after)
        yield changed


def _complaints(settings: Settings, premises: Runtime) -> list[str]:
    complaints = []
    with premises.database.reading() as db:
        if not schema.is_at_head(db):
            complaints.append("The schema is behind: run `booking migrate`.")
        else:
            complaints += [f"A lead cannot be read: {fault}." for fault in keys.faults(db, premises.keyring)]
            if (broken := audit.verify(db)) is not None:
                complaints.append(f"The audit chain is broken at entry {broken}.")
    if depth := premises.spool.depth():
        complaints.append(f"{depth} leads wait in the spool.")
    if bad := premises.spool.set_aside_count():
        complaints.append(f"{bad} unreadable files were set aside in {premises.spool.aside}.")
    if premises.database.dialect == "sqlite" and sqlite.driver().sqlite_version_info < SQLITE_WITHOUT_RESET_BUG:
        complaints.append(f"SQLite {sqlite.driver().sqlite_version} has the WAL-reset bug (fixed in 3.51.3).")
    if settings.production and not settings.allowed_origins:
        complaints.append("BOOKING_ALLOWED_ORIGINS is empty: posts from the web site are flagged.")
    return complaints
