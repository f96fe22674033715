"""What `booking catalog` says, prints and ends with, and that the clinic's own file can be seeded again and again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from booking import clinic, config
from booking.app import create_app, open_runtime
from booking.cli import Doorway
from booking.cli.catalog import catalog_commands, seed_catalogue
from booking.clinic import ClinicFileWrong
from booking.models import AuditEntry
from booking.operations import catalog
from booking.runtime import Runtime
from tests.cli.conftest import Terminal
from tests.planted import plant

DEMO = clinic.DEFAULT_PATH.read_text(encoding="utf-8")
HOME = "12 Example Lane, St. Augustine, FL 32084, 904-555-0134, America/New_York"
FIRST = [
    "locations: 1 new", "services: 7 new", "resources: 3 new", "practitioners: 3 new", "offers: 11 new",
    "working hours: 22 new", "extra hours: 1 new",
]  # fmt: skip


def call(terminal: Terminal, *words: str) -> Result:
    """`booking catalog …`, in this process."""
    doorway = Doorway(lambda: config.load(terminal.environ, None), create_app, open_runtime)
    result = CliRunner().invoke(catalog_commands, words, obj=doorway)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def written(terminal: Terminal, *replacements: tuple[str, str]) -> str:
    """The path of the demonstration clinic's file with some passages replaced."""
    text = DEMO
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path = terminal.folder / "clinic.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def version(premises: Runtime) -> int:
    with premises.database.reading() as db:
        return catalog.version(db)


def loadings_on_record(premises: Runtime) -> list[AuditEntry]:
    with premises.database.reading() as db:
        return list(db.scalars(select(AuditEntry).where(AuditEntry.action == "catalog_loaded")))


def book_a_massage(premises: Runtime) -> datetime:
    """A massage next week that has no room, which the demonstration clinic would not let anybody book."""
    at = (datetime.now(UTC) + timedelta(days=7)).replace(microsecond=0)
    with premises.database.transaction() as db:
        plant(db, "SV-2222-22", "massage-therapy", "wren-palmetto", at)
    return at


# ---------------------------------------------------------------- load


def test_a_file_is_loaded_and_what_changed_is_said(terminal: Terminal, premises: Runtime) -> None:
    result = call(terminal, "load", written(terminal))
    assert (result.exit_code, result.stdout) == (0, "")
    *changes, closures, last = result.stderr.splitlines()
    assert changes == FIRST
    assert closures.startswith("closures: ")
    assert last == "clinic.toml is loaded (version 1 of the catalogue)."
    assert version(premises) == 1


def test_loading_the_same_file_again_says_that_nothing_changed(terminal: Terminal, premises: Runtime) -> None:
    file = written(terminal)
    call(terminal, "load", file)
    again = call(terminal, "load", file)
    assert (again.exit_code, again.stdout) == (0, "")
    assert again.stderr == "The catalogue is that of clinic.toml already (version 1).\n"
    assert version(premises) == 1
    assert len(loadings_on_record(premises)) == 1


def test_every_loading_that_changed_something_is_on_record(terminal: Terminal, premises: Runtime) -> None:
    call(terminal, "load", written(terminal))
    call(terminal, "load", written(terminal, ("daily_cap = 6", "daily_cap = 5")))
    entry = loadings_on_record(premises)[-1]
    assert entry.actor == "command line"
    assert entry.details == {"version": 2, "changes": ["services: 1 changed"], "misfits": 0}


def test_a_dry_run_says_all_of_it_and_changes_nothing(terminal: Terminal, premises: Runtime) -> None:
    result = call(terminal, "load", "--dry-run", written(terminal))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[: len(FIRST)] == FIRST
    assert result.stderr.endswith("clinic.toml can be loaded. Nothing was changed.\n")
    assert version(premises) == 0
    assert loadings_on_record(premises) == []


def test_a_file_with_mistakes_is_refused_as_a_whole_each_with_its_line(terminal: Terminal, premises: Runtime) -> None:
    file = written(terminal, ("step_minutes = 30", "step_minutes = 3"), ('"Memorial Day"', '"Memory Day"'))
    result = call(terminal, "load", file)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    holiday, step = (
        1 + next(at for at, line in enumerate(lines) if word in line) for word in ("Memory", "step_minutes = 3")
    )
    meant = "locations[1].holidays[2]: Memory Day is no public holiday of US-FL; did you mean Memorial Day?"
    assert result.stderr.splitlines() == [
        f"{file} cannot be used:",
        f"  clinic.toml line {holiday}: {meant}",
        f"  clinic.toml line {step}: services[1].step_minutes: must be a whole number from 5 to 240",
    ]
    assert version(premises) == 0


def test_a_file_that_is_not_there_is_refused(terminal: Terminal) -> None:
    result = call(terminal, "load", "nowhere.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nowhere.toml" in result.stderr


def test_visits_that_do_not_fit_any_more_are_listed_and_the_file_is_loaded(
    terminal: Terminal, premises: Runtime
) -> None:
    call(terminal, "load", written(terminal))
    at = book_a_massage(premises)
    file = written(terminal, ('title = "Massage', 'title = "Kind massage'))
    result = call(terminal, "load", file)
    assert result.exit_code == 1
    [line] = result.stdout.splitlines()
    reference, when, reason = line.split("\t")
    assert (reference, reason) == ("SV-2222-22", "it has no quiet-room")
    assert when == f"{at.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M %Z}"
    assert "do not fit the catalogue: 1. They stay booked" in result.stderr
    assert version(premises) == 2


def test_a_dry_run_lists_the_visits_that_would_not_fit(terminal: Terminal, premises: Runtime) -> None:
    call(terminal, "load", written(terminal))
    book_a_massage(premises)
    result = call(terminal, "load", "--dry-run", written(terminal, ("daily_cap = 6", "daily_cap = 5")))
    assert result.exit_code == 1
    assert result.stdout.startswith("SV-2222-22\t")
    assert "They would stay booked" in result.stderr
    assert version(premises) == 1


def test_the_help_says_what_the_exit_code_means() -> None:
    text = " ".join(CliRunner().invoke(catalog_commands, ["load", "--help"]).stdout.split())
    assert "the exit code is 1 although the file was loaded" in text
    assert "refused as a whole, each mistake with its line (exit code 2)" in text


@pytest.mark.parametrize("words", [("load", str(clinic.DEFAULT_PATH)), ("show",)])
def test_without_its_database_the_command_says_so_and_ends_with_3(away: Terminal, words: tuple[str, ...]) -> None:
    result = call(away, *words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("The database does not answer")


# ---------------------------------------------------------------- show


def test_what_is_loaded_can_be_shown(terminal: Terminal) -> None:
    call(terminal, "load", written(terminal))
    result = call(terminal, "show")
    assert (result.exit_code, result.stderr) == (0, "")
    shown = result.stdout.splitlines()
    for line in (
        "Version 1",
        f"location st-augustine: St. Augustine, {HOME}",
        "service massage-therapy: Massage Therapy, 60 minutes, online, needs quiet-room",
        "resource room-1: Room 1, treatment-room at st-augustine",
        "practitioner wren-palmetto: Wren Palmetto, Massage therapist and aesthetician",
        "  offers massage-therapy at st-augustine",
        "  Sat 09:00-12:00",
        "  2026-12-21 09:00-13:00",
        "closed 2026-12-24 to 2026-12-26 everywhere: Christmas",
    ):
        assert line in shown


def test_hours_that_hold_for_a_while_are_shown_with_their_bounds(terminal: Terminal) -> None:
    bounded = '"Sat 09:00-12:00 from 2026-12-05 until 2027-02-27"'
    call(terminal, "load", written(terminal, ('"Sat 09:00-12:00"', bounded)))
    assert "  Sat 09:00-12:00 from 2026-12-05 until 2027-02-27\n" in call(terminal, "show").stdout


def test_an_empty_catalogue_can_be_shown_too(terminal: Terminal) -> None:
    assert call(terminal, "show").stdout == "Version 0\n"


# ---------------------------------------------------------------- seed


def test_seeding_again_and_again_is_seeding_once(settings: config.Settings, premises: Runtime, now: datetime) -> None:
    first, second = (seed_catalogue(premises, settings, now) for _ in range(2))
    assert (first.version, second.version) == (1, 1)
    assert second.changes == ()


def test_the_file_of_the_settings_is_the_one_that_is_seeded(
    terminal: Terminal, settings: config.Settings, premises: Runtime, now: datetime
) -> None:
    own = replace(settings, clinic_file=Path(written(terminal, ('name = "Wren Palmetto"', 'name = "Ivy Palmetto"'))))
    seed_catalogue(premises, own, now)
    with premises.database.reading() as db:
        assert catalog.read(db, now.date()).practitioners[2].name == "Ivy Palmetto"


def test_a_file_with_a_mistake_is_not_seeded(
    terminal: Terminal, settings: config.Settings, premises: Runtime, now: datetime
) -> None:
    own = replace(settings, clinic_file=Path(written(terminal, ("daily_cap = 6", "daily_cap = 0"))))
    with pytest.raises(ClinicFileWrong, match="daily_cap"):
        seed_catalogue(premises, own, now)
    assert version(premises) == 0
