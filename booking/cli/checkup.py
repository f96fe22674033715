"""Checkup: everything that can be checked about a service, each fault in a sentence."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from booking.config import Settings
from booking.database import revision, sqlite
from booking.delivery import smtp
from booking.operations import audit, catalog, keys, vitals, wall_times
from booking.runtime import Runtime

SQLITE_WITHOUT_RESET_BUG = (3, 51, 3)
HOLIDAYS_KNOWN_FOR = timedelta(days=730)
KEPT_LATELY = timedelta(days=30)


def complaints(settings: Settings, premises: Runtime, now: datetime) -> Iterator[str]:
    """What is wrong; nothing if all is well. Raises DatabaseAway."""
    yield from _of_the_database(premises, now)
    if depth := premises.spool.depth():
        yield f"{depth} leads wait in the spool."
    if bad := premises.spool.set_aside_count():
        yield f"{bad} unreadable files were set aside in {premises.spool.aside}."
    if premises.database.dialect == "sqlite" and sqlite.driver().sqlite_version_info < SQLITE_WITHOUT_RESET_BUG:
        yield f"SQLite {sqlite.driver().sqlite_version} has the WAL-reset bug (fixed in 3.51.3)."
    if settings.production and not settings.allowed_origins:
        yield "BOOKING_ALLOWED_ORIGINS is empty: posts from the web site are flagged."
    if settings.production and settings.mail_url.startswith("file:"):
        yield "BOOKING_MAIL_URL is file: letters are laid into a folder, and nobody gets them."
    elif settings.production and smtp.server_at(settings.mail_url).may_read_along:
        yield "BOOKING_MAIL_URL lets letters go unencrypted if the mail server offers nothing else: add ?tls=required."


def _of_the_database(premises: Runtime, now: datetime) -> Iterator[str]:
    with premises.database.reading() as db:
        if not revision.is_at_head(db):
            yield "The schema is behind: run `booking migrate`."
            return
        for fault in keys.faults(db, premises.keyring):
            yield f"A sealed text cannot be read: {fault}."
        if (broken := audit.verify(db)) is not None:
            yield f"The audit chain is broken at entry {broken}."
        if catalog.version(db) == 0:
            yield "No catalogue is loaded: run `booking seed`."
        if (end := catalog.holidays_end(db)) and end < now.date() + HOLIDAYS_KNOWN_FOR:
            yield f"Public holidays are known until {end} only: run `booking catalog load` again."
        for _, fault in vitals.faults(vitals.read(db, premises.zone, now), premises.zone, now):
            yield fault
        for drift in wall_times.drifted(db, now):
            yield f"{drift}. The law of the zone has changed: the service keeps the wall time when it starts next."
        for kept in wall_times.kept_since(db, now - KEPT_LATELY):
            yield f"The law of {kept['timezone']} has changed: {kept['reference']} stays at {kept['wall_start']}."
