"""The commands that bring the clinic's file into the database, and show what is there."""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from booking import clinic
from booking.cli.doorway import Doorway, Exit, now, pass_doorway, say
from booking.clinic.weekly import DAYS, clock
from booking.config import Settings
from booking.domain.catalog import Catalog, Practitioner
from booking.operations import audit, catalog, catalog_loading
from booking.operations.catalog_loading import Loaded
from booking.runtime import Runtime

ACTOR = "command line"


@click.group("catalog")
def catalog_commands() -> None:
    """What can be booked: load it from the clinic's file, show what is loaded."""


@catalog_commands.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the file and say what would change, but change nothing.")
@pass_doorway
def load(doorway: Doorway, file: Path, dry_run: bool) -> None:
    """Make the catalogue that of FILE: locations, services, practitioners, resources, hours and closures.

    A file with mistakes is refused as a whole, each mistake with its line (exit code 2). What is no longer in it is
    no longer offered, and nothing is deleted. Visits ahead that do not fit the new catalogue stay booked: they are
    listed on standard output, for the desk to look at, and the exit code is 1 although the file was loaded.
    """
    with doorway.premises() as premises:
        loaded = load_file(premises, file, now(), dry_run=dry_run)
        list_misfits(premises, loaded)
    if loaded.misfits:
        sys.exit(Exit.FOUND_SOMETHING)


@catalog_commands.command("show")
@pass_doorway
def show(doorway: Doorway) -> None:
    """Print the catalogue that is in the database, as it can be booked today."""
    with doorway.premises() as premises, premises.database.reading() as db:
        current = catalog.read(db, now().date())
    click.echo(f"Version {current.version}")
    for line in _lines(current):
        click.echo(line)


def seed_catalogue(premises: Runtime, settings: Settings, now: datetime) -> Loaded:
    """Load the clinic's own file, as often as one likes; raises ClinicFileWrong, DatabaseAway."""
    return load_file(premises, settings.clinic_file or clinic.DEFAULT_PATH, now)


def load_file(premises: Runtime, file: Path, now: datetime, *, dry_run: bool = False) -> Loaded:
    """Load a file, put that on record, and say what changed."""
    wanted = clinic.load(file, check_holidays=True).catalog
    with premises.database.transaction() as db:
        loaded = catalog_loading.load(db, wanted, now=now)
        if dry_run:
            db.rollback()
        elif loaded.changes:
            details = {"version": loaded.version, "changes": list(loaded.changes), "misfits": len(loaded.misfits)}
            audit.record(db, actor=ACTOR, action="catalog_loaded", details=details, now=now)
    _say_outcome(loaded, file, dry_run=dry_run)
    return loaded


def list_misfits(premises: Runtime, loaded: Loaded) -> None:
    """Print each visit ahead that does not fit: its reference, when it is, and why."""
    zone = ZoneInfo(premises.clinic.timezone)
    for misfit in loaded.misfits:
        click.echo(f"{misfit.reference}\t{misfit.starts_at.astimezone(zone):%Y-%m-%d %H:%M %Z}\t{misfit.reason}")


def _say_outcome(loaded: Loaded, file: Path, *, dry_run: bool) -> None:
    for change in loaded.changes:
        say(change)
    if not loaded.changes:
        say(f"The catalogue is that of {file.name} already (version {loaded.version}).")
    elif dry_run:
        say(f"{file.name} can be loaded. Nothing was changed.")
    else:
        say(f"{file.name} is loaded (version {loaded.version} of the catalogue).")
    if loaded.misfits:
        stay = "would stay" if dry_run else "stay"
        say(f"Visits ahead that do not fit the catalogue: {len(loaded.misfits)}. They {stay} booked; look at each.")


def _lines(current: Catalog) -> Iterator[str]:
    places = {location.id: location.slug for location in current.locations}
    offered = {service.id: service.slug for service in current.services}
    for location in current.locations:
        yield f"location {location.slug}: {location.name}, {location.address}, {location.phone}, {location.timezone}"
    for service in current.services:
        needs = f", needs {' and '.join(service.needs)}" if service.needs else ""
        yield f"service {service.slug}: {service.name}, {service.duration_minutes} minutes, {service.bookable}{needs}"
    for resource in current.resources:
        yield f"resource {resource.slug}: {resource.name}, {resource.kind} at {places[resource.location_id]}"
    for practitioner in current.practitioners:
        yield f"practitioner {practitioner.slug}: {practitioner.name}, {practitioner.title}"
        for service_id, location_id in sorted(practitioner.offers):
            yield f"  offers {offered[service_id]} at {places[location_id]}"
        yield from _hours(current, practitioner)
    for closure in current.closures:
        where = "everywhere" if closure.location_id is None else f"at {places[closure.location_id]}"
        yield f"closed {closure.starts_on} to {closure.ends_on} {where}: {closure.reason}"


def _hours(current: Catalog, practitioner: Practitioner) -> Iterator[str]:
    for weekly in (each for each in current.working_hours if each.practitioner_id == practitioner.id):
        bounds = ((word, on) for word, on in (("from", weekly.valid_from), ("until", weekly.valid_until)) if on)
        during = "".join(f" {word} {on}" for word, on in bounds)
        yield f"  {DAYS[weekly.weekday][:3]} {clock(weekly.opens)}-{clock(weekly.closes)}{during}"
    for extra in (each for each in current.extra_hours if each.practitioner_id == practitioner.id):
        yield f"  {extra.on} {clock(extra.opens)}-{clock(extra.closes)}"
