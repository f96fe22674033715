"""What every command gets: the settings, the opened parts, and clear words when they cannot be had."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, TypeVar, cast

import click
from flask import Flask

from booking.clinic import ClinicFileWrong
from booking.config import Settings, SettingsWrong
from booking.database import DatabaseAway
from booking.database.revision import RevisionUnknown
from booking.keyring import Unreadable
from booking.runtime import Runtime

Item = TypeVar("Item")


class Exit:
    """The exit codes: what a script can tell from a command that did not succeed."""

    FOUND_SOMETHING = 1  # a check found a difference or a fault
    MISUSED = 2  # settings or arguments are wrong
    AWAY = 3  # the database did not answer; try again


@dataclass(frozen=True)
class Doorway:
    """How a command reaches the rest; handed in from the room that knows every floor."""

    read_settings: Callable[[], Settings]
    create_app: Callable[[Settings], Flask]
    open_runtime: Callable[[Settings], Runtime]

    def settings(self) -> Settings:
        """The settings, or an end with every problem named."""
        try:
            return self.read_settings()
        except SettingsWrong as wrong:
            _refuse(wrong)

    @contextmanager
    def premises(self) -> Iterator[Runtime]:
        """The opened parts for one command; a database that is away ends it with its own exit code."""
        with in_plain_words():
            premises = self.open_runtime(self.settings())
            try:
                yield premises
            finally:
                premises.database.close()


pass_doorway = click.make_pass_decorator(Doorway)


@contextmanager
def in_plain_words() -> Iterator[None]:
    """End with a sentence and an exit code where a fault is none of the program's own."""
    try:
        yield
    except DatabaseAway as away:
        fail(f"The database does not answer ({away}). Has `booking migrate` been run?", Exit.AWAY)
    except Unreadable as wrong:
        fail(str(wrong), Exit.FOUND_SOMETHING)
    except SettingsWrong as wrong:
        _refuse(wrong)
    except (ClinicFileWrong, RevisionUnknown) as wrong:
        fail(str(wrong), Exit.MISUSED)
    except BrokenPipeError:
        raise  # click ends quietly for a reader that has left
    except OSError as failure:
        fail(f"{failure.filename or 'A file'}: {failure.strerror}", Exit.MISUSED)


def _refuse(wrong: SettingsWrong) -> NoReturn:
    fail("The settings cannot be used:\n" + "\n".join(f"  {line}" for line in wrong.problems), Exit.MISUSED)


def now() -> datetime:
    """The command line's clock."""
    return datetime.now(UTC)


def say(text: str) -> None:
    """A word to the person at the terminal; standard output is for data alone."""
    click.echo(text, err=True)


def fail(text: str, code: int) -> NoReturn:
    """End with a word and an exit code."""
    say(text)
    sys.exit(code)


def progress(items: Iterable[Item], label: str, length: int | None = None) -> AbstractContextManager[Iterator[Item]]:
    """The same items, with a bar on standard error that is silent where nobody looks."""
    bar = click.progressbar(items, length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
    return cast(AbstractContextManager[Iterator[Item]], bar)
