"""Options that are more than a word: the filters of an export, and names."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import click

from booking.domain import criteria
from booking.domain.contact import LONGEST_NAME, clean_line
from booking.domain.status import LeadStatus

Command = TypeVar("Command", bound=Callable[..., Any])
Read = TypeVar("Read")


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


_TEXT, _DAY, _INSTANT = Checked("text", criteria.text), Checked("day", criteria.day), Checked("time", criteria.instant)
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
