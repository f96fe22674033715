"""Criteria: what leads are chosen by, read from the words of an address or of a command line.

Every reader raises ValueError with a sentence for whoever wrote the words.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import TypeVar

from booking.domain.status import LeadStatus
from booking.domain.submission import yes_or_no

EARLIEST_YEAR, LATEST_YEAR = 1900, 2999
LONGEST_TEXT = 500
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")  # no database takes these; bytes that are not UTF-8 arrive as surrogates

_Moment = TypeVar("_Moment", date, datetime)


def states(text: str) -> tuple[str, ...]:
    """One or more states of a lead, with commas between them."""
    found = tuple(dict.fromkeys(state.strip() for state in text.split(",") if state.strip()))
    known = [status.value for status in LeadStatus]
    if set(found) - set(known):
        raise ValueError(f"Must be one or more of {', '.join(known)}, with commas between them.")
    return found


def text(text: str) -> str:
    """A text to look for."""
    if len(text) > LONGEST_TEXT or UNWRITABLE.search(text):
        raise ValueError(f"Must be a text of at most {LONGEST_TEXT} characters.")
    return text.strip()


def flag(text: str) -> bool:
    """Yes or no."""
    answer = yes_or_no(text)
    if answer is None:
        raise ValueError("Must be yes or no.")
    return answer


def day(text: str) -> date:
    """A day of the clinic."""
    wanted = "Must be a day such as 2026-11-24."
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip(), re.ASCII):
        raise ValueError(wanted)
    return _within_years(_parsed(date.fromisoformat, text, wanted))


def instant(text: str) -> datetime:
    """A time with its zone."""
    wanted = "Must be a time with its zone, such as 2026-11-24T15:30:00Z."
    # In a query a plus sign that was not encoded arrives as a space.
    mended = re.sub(r"(T\S+) (\d\d:?\d\d)$", r"\1+\2", text.strip())
    moment = _within_years(_parsed(datetime.fromisoformat, mended, wanted))
    if moment.tzinfo is None:
        raise ValueError(wanted)
    return moment


def _parsed(parse: Callable[[str], _Moment], text: str, wanted: str) -> _Moment:
    try:
        return parse(text.strip())
    except ValueError:
        raise ValueError(wanted) from None


def _within_years(moment: _Moment) -> _Moment:
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise ValueError(f"Must lie between the years {EARLIEST_YEAR} and {LATEST_YEAR}.")
    return moment
