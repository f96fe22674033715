"""Commands that run the service and look after it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import click

from booking import clinic, reception, server
from booking.cli import checkup
from booking.cli.catalog import list_misfits, seed_catalogue
from booking.cli.doorway import Doorway, Exit, fail, in_plain_words, now, pass_doorway, progress, say
from booking.config import Settings
from booking.database import revision
from booking.operations import keys
from booking.runtime import Runtime
from booking.worker import Worker

# On the few answers that the server gives by itself, before the application sees a request.
SERVER_HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)


@click.command()
@click.option("--prepare", is_flag=True, help="Do what `migrate` and `seed` do first.")
@click.option("--worker/--no-worker", default=True, help="Without one, `booking work` must run beside it.")
@pass_doorway
def serve(doorway: Doorway, prepare: bool, worker: bool) -> None:
    """Serve the form, with the worker beside it, until SIGTERM or Ctrl-C."""
    settings = doorway.settings()
    with in_plain_words():
        app = doorway.create_app(settings)
        premises: Runtime = app.extensions["booking"]
        if prepare:
            _prepare(settings, premises)
    beside = Worker(premises, now) if worker else None
    if beside:
        beside.start()
    host, port = settings.bind
    try:
        server.serve(
            app, host=host, port=port, threads=settings.threads, ready=_say_where, error_headers=SERVER_HEADERS
        )
    except OSError as failure:
        fail(f"Cannot serve on {host}:{port}: {failure.strerror}", Exit.MISUSED)
    finally:
        if beside:
            beside.stop()


@click.command()
@click.option("--drain", is_flag=True, help="Do what is due now, and end.")
@pass_doorway
def work(doorway: Doorway, drain: bool) -> None:
    """Run the worker alone, until SIGTERM or Ctrl-C (`serve` has one inside): it delivers messages and keeps house."""
    with _told_to_end() as stop, doorway.premises() as premises:
        worker = Worker(premises, now, stop)
        if drain:
            worker.drain()
            return
        worker.start()
        say("Working.")
        stop.wait()
        worker.stop()


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """What SIGTERM or Ctrl-C sets, in a thread that waits for nothing else.

    A handler would not do: it runs in the main thread, which it can meet just before that falls asleep, or with the
    event's own lock in its hands.
    """
    numbers = {signal.SIGTERM, signal.SIGINT}
    told, over, woken = threading.Event(), threading.Event(), threading.Event()

    def listen() -> None:
        while not over.is_set():
            signal.sigwait(numbers)
            told.set()
        woken.wait()  # a thread that has ended must not be sent a signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # the threads that begin from here on inherit it
    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    try:
        yield told
    finally:
        over.set()
        signal.pthread_kill(cast(int, listener.ident), signal.SIGTERM)
        woken.set()
        listener.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@click.command()
@pass_doorway
def seed(doorway: Doorway) -> None:
    """Load the clinic's own file: what can be booked goes into the database, as often as one likes."""
    settings = doorway.settings()
    with doorway.premises() as premises:
        loaded = seed_catalogue(premises, settings, now())
        list_misfits(premises, loaded)
        _say_clinic(settings, premises)
    if loaded.misfits:
        sys.exit(Exit.FOUND_SOMETHING)


@click.command()
@pass_doorway
def doctor(doorway: Doorway) -> None:
    """Check everything that can be checked, and say what is wrong."""
    settings = doorway.settings()
    with doorway.premises() as premises:
        complaints = list(checkup.complaints(settings, premises, now()))
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


def _prepare(settings: Settings, premises: Runtime) -> None:
    with premises.database.reading() as db:
        migrated = revision.is_at_head(db)
    if not migrated:
        context = click.get_current_context()
        commands = cast(click.Group, context.find_root().command)
        context.invoke(cast(click.Command, commands.get_command(context, "migrate")))
    seed_catalogue(premises, settings, now())
    _say_clinic(settings, premises)


def _say_where(host: str, port: int) -> None:
    say(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}")


def _say_clinic(settings: Settings, premises: Runtime) -> None:
    path = settings.clinic_file or clinic.DEFAULT_PATH
    say(f"{premises.clinic.name}: {len(premises.clinic.services)} services, from {path.name}.")


def _resealed(premises: Runtime) -> Iterator[int]:
    for place in keys.SEALED:
        after: int | str | None = 0
        while after is not None:
            with premises.database.transaction() as db:
                after, changed = keys.reseal(db, premises.keyring, after=after, place=place)
            yield changed
