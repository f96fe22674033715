"""Commands that take leads out and in, and hand out tokens for programs."""

import math
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import click

from booking.cli import options
from booking.cli.doorway import Doorway, Exit, fail, now, pass_doorway, progress, say
from booking.domain import tabular
from booking.domain.errors import CannotRead, ColumnUnknown
from booking.operations import audit, exports, imports, tokens
from booking.operations.exports import Filters
from booking.operations.imports import Outcome
from booking.runtime import Runtime

ACTOR = "command line"
LARGEST_NUMBER = 2**63 - 1  # that a database holds


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; by default standard output.")
@click.option("--profile", type=click.Choice(tabular.PROFILES), default="spreadsheet", show_default=True)
@click.option("--columns", default="", help="Names with commas between them; by default all.")
@options.filters
@pass_doorway
def export(doorway: Doorway, /, output: Path | None, profile: str, columns: str, **chosen: Any) -> None:
    """Write the leads as CSV or JSON lines: the same bytes as /staff/leads.csv gives."""
    try:
        names = tabular.choose(columns)
    except ColumnUnknown as unknown:
        fail(str(unknown), Exit.MISUSED)
    filters = Filters(**chosen)
    chosen_columns = list(names) if names != tabular.COLUMNS else "all"
    wish: dict[str, object] = {"filters": filters.as_json(), "columns": chosen_columns, "profile": profile}
    with doorway.premises() as premises, _on_record(premises, wish) as facts:
        rows = _write(premises, filters, names, profile, output, facts)
        facts["complete"] = facts["rows"] == rows
    say(f"{facts['rows']} leads" + (f", {facts['unreadable']} of them unreadable" if facts["unreadable"] else ""))
    if facts["unreadable"]:
        sys.exit(Exit.FOUND_SOMETHING)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_doorway
def import_leads(doorway: Doorway, file: Path) -> None:
    """Take leads in from a file: our own CSV or JSON lines, or Webflow's list of submissions."""
    results = Counter[str]()
    with doorway.premises() as premises, file.open("rb") as content:
        try:
            with progress(_taken(premises, content), "Importing") as outcomes:
                for outcome in outcomes:
                    results[outcome.result] += 1
                    if outcome.problem:
                        say(f"Line {outcome.number}: {outcome.problem}")
        except CannotRead as wrong:
            fail(str(wrong), Exit.MISUSED)
        finally:  # what was stored before a bad line stays stored, and is on record
            _record(premises, "imported", {"file": file.name, **results})
    click.echo(", ".join(f"{results[name]} {name}" for name in ("added", "incomplete", "known", "refused")))
    if results["refused"]:
        sys.exit(Exit.FOUND_SOMETHING)


@click.group()
def token() -> None:
    """Tokens for programs that take leads out."""


@token.command("create")
@click.option("--name", required=True, type=options.Checked("name", options.name), help="Who will use it.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(tokens.SCOPES))
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650), help="How long it lives.")
@pass_doorway
def create_token(doorway: Doorway, name: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token; it is shown this once, alone on standard output."""
    with doorway.premises() as premises, premises.database.transaction() as db:
        secret = tokens.create(db, name=name, scopes=scopes, now=now(), days=days)
        details = {"name": name, "scopes": list(scopes), "days": days}
        audit.record(db, actor=ACTOR, action="token_created", details=details, now=now())
    click.echo(secret)


@token.command("list")
@pass_doorway
def list_tokens(doorway: Doorway) -> None:
    """All tokens: number, name, last letters, scopes, expiry, last use."""
    with doorway.premises() as premises, premises.database.reading() as db:
        for one in tokens.list_all(db):
            state = "revoked" if one.revoked_at else f"until {one.expires_at:%Y-%m-%d}"
            used = f"{one.last_used_at:%Y-%m-%d %H:%M} UTC" if one.last_used_at else "never used"
            click.echo(f"{one.id}\t{one.name}\t…{one.hint}\t{','.join(one.scopes)}\t{state}\t{used}")


@token.command("revoke")
@click.argument("number", type=click.IntRange(1, LARGEST_NUMBER))
@pass_doorway
def revoke_token(doorway: Doorway, number: int) -> None:
    """End a token now."""
    with doorway.premises() as premises, premises.database.transaction() as db:
        ended = tokens.revoke(db, number, now())
        if ended:
            audit.record(db, actor=ACTOR, action="token_revoked", details={"id": number}, now=now())
    if not ended:
        fail(f"There is no live token {number}.", Exit.MISUSED)
    say(f"Token {number} is revoked.")


@contextmanager
def _on_record(premises: Runtime, wish: dict[str, object]) -> Iterator[dict[str, object]]:
    """Record that an export begins, and how far it came, also when its reader leaves or the disk is full."""
    facts: dict[str, object] = {"rows": 0, "complete": False}
    _record(premises, "export_started", wish)
    try:
        yield facts
    finally:
        _record(premises, "export_ended", wish | facts)


def _write(
    premises: Runtime,
    filters: Filters,
    columns: tuple[str, ...],
    profile: str,
    output: Path | None,
    facts: dict[str, object],
) -> int:
    zone = ZoneInfo(premises.clinic.timezone)
    with premises.database.reading() as db, _opened(output) as file:
        rows = exports.count(db, filters, zone=zone)
        export = exports.stream(
            db,
            filters,
            columns=columns,
            profile=profile,
            zone=zone,
            region=premises.clinic.region,
            keyring=premises.keyring,
        )
        try:
            with progress(export, "Exporting", 1 + math.ceil(rows / exports.BLOCK)) as chunks:
                for chunk in chunks:
                    file.write(chunk)
        finally:
            facts.update(rows=export.rows, sha256=export.sha256, unreadable=export.unreadable)
    return rows


def _taken(premises: Runtime, content: IO[bytes]) -> Iterator[Outcome]:
    zone = ZoneInfo(premises.clinic.timezone)
    sheet = imports.read(content, zone=zone, region=premises.clinic.region)
    for block in sheet.blocks():
        with premises.database.transaction() as db:
            outcomes = imports.take(db, block, premises.desk, now=now())
        yield from outcomes


def _opened(output: Path | None) -> IO[bytes]:
    if output is None:
        return open(sys.stdout.fileno(), "wb", closefd=False)
    return output.open("wb")


def _record(premises: Runtime, action: str, details: dict[str, object]) -> None:
    with premises.database.transaction() as db:
        audit.record(db, actor=ACTOR, action=action, details=details, now=now())
