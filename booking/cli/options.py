"""Options that are more than a word: the filters of an export, with the rules of /staff/leads.csv, and names."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Generic, TypeVar

import click

from booking.domain.contact import LONGEST_NAME, clean_line
from booking.domain.status import LeadStatus

EARLIEST_YEAR, LATEST_YEAR = 1900, 2999
LONGEST_TEXT = 500
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")  # no database takes these; bytes that are not UTF-8 arrive as surrogates

Command = TypeVar("Command", bound=Callable[..., Any])
Read = TypeVar("Read")
Moment = TypeVar("Moment", date, datetime)


def filters(command: Command) -> Command:
    """Give a command the options that choose leads; they arrive under the names that Filters has for them."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def name(text: str) -> str:
    """A name on one line, white space collapsed; raises ValueError."""
    cleaned = clean_line(text)
    if not cleaned.isprintable() or not 1 <= len(cleaned) <= LONGEST_NAME:
        raise ValueError(f"Must be a name of 1 to {LONGEST_NAME} printable characters.")
    return cleaned


class Checked(click.ParamType[Read, str], Generic[Read]):
    """An option's text read by a function, whose ValueError is what the user is told."""

    def __init__(self, name: str, read: Callable[[str], Read]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Read:
        """Read the text, or end with what is wrong with it."""
        try:
            return self._read(value)
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT or UNWRITABLE.search(text):
        raise ValueError(f"Must be a text of at most {LONGEST_TEXT} characters.")
    return text.strip()


def _day(text: str) -> date:
    wanted = "Must be a day such as 2026-11-24."
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip(), re.ASCII):
        raise ValueError(wanted)
    return _within_years(_parsed(date.fromisoformat, text, wanted))


def _instant(text: str) -> datetime:
    wanted = "Must be a time with its zone, such as 2026-11-24T15:30:00Z."
    instant = _within_years(_parsed(datetime.fromisoformat, text, wanted))
    if instant.tzinfo is None:
        raise ValueError(wanted)
    return instant


def _parsed(parse: Callable[[str], Moment], text: str, wanted: str) -> Moment:
    try:
        return parse(text.strip())
    except ValueError:
        raise ValueError(wanted) from None


def _within_years(moment: Moment) -> Moment:
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise ValueError(f"Must lie between the years {EARLIEST_YEAR} and {LATEST_YEAR}.")
    return moment


_TEXT, _DAY, _INSTANT = Checked("text", _text), Checked("day", _day), Checked("time", _instant)
_STATES = click.Choice([status.value for status in LeadStatus])
_FILTERS = (
    click.option("--status", multiple=True, type=_STATES, help="May be given more than once."),
    click.option("--service", default="", type=_TEXT),
    click.option("--from", "from_on", type=_DAY, help="First day, in the clinic's time."),
    click.option("--to", "to_on", type=_DAY, help="Last day, in the clinic's time."),
    click.option("--q", default="", type=_TEXT, help="Looked for in name, e-mail, phone and reference."),
    click.option("--held/--not-held", default=None, help="Only held leads, or only the others."),
    click.option("--urgent/--not-urgent", default=None, help="Only urgent leads, or only the others."),
    click.option("--incomplete", is_flag=True, help="The attempts that could not be answered, too."),
    click.option("--since", type=_INSTANT, help="Changed at or after a time such as 2026-11-24T15:30:00Z."),
)
