"""One table of the clinic's file: hands out checked values, and notes what is wrong instead of stopping."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import fields
from datetime import date, datetime

from booking.clinic.lines import Place, line_of, lines_of

SLUG = "(?=.{1,60}$)[a-z0-9]+(-[a-z0-9]+)*"
SLUG_WANTED = "small letters, digits and single hyphens, at most 60 of them"


class Problems:
    """What is wrong with a file, each with the line it stands on."""

    def __init__(self, text: str) -> None:
        self._lines = lines_of(text)
        self._found: list[tuple[int, Place, str]] = []

    def note(self, place: Place, problem: str) -> None:
        self._found.append((line_of(self._lines, place) or 0, place, problem))

    def has(self, place: Place) -> bool:
        """Whether anything at or under a place is wrong."""
        return any(found[: len(place)] == place for _, found, _ in self._found)

    def said(self, name: str) -> list[str]:
        """Every problem as a sentence, in the order of the file `name`."""
        ordered = sorted(self._found, key=lambda found: found[0])
        return [
            f"{name}{f' line {line}' if line else ''}: {written(place)}: {problem}" for line, place, problem in ordered
        ]


class Table:
    """One table of the file. A value that is missing or wrong is noted, and something harmless handed out for it."""

    def __init__(self, values: dict[str, object], place: Place, problems: Problems | None) -> None:
        self._values = values
        self._place = place
        self._problems = problems
        self._known: dict[str, list[Table]] = {}

    def note(self, key: str | Place, problem: str) -> None:
        """Note what is wrong with a key, or with something under it: `note(("needs", 2), …)`."""
        if self._problems is not None:
            self._problems.note((*self._place, *((key,) if isinstance(key, str) else key)), problem)

    def is_faulty(self, key: str) -> bool:
        """Whether something under a key was noted as wrong."""
        return self._problems is not None and self._problems.has((*self._place, key))

    def has(self, key: str) -> bool:
        """Whether a key that may be left out is there."""
        self._known.setdefault(key, [])
        return key in self._values

    def text(self, key: str, pattern: str = ".+", wanted: str = "") -> str:
        """A text as one line; the line ends of a long one become single spaces."""
        return self._line((key,), self._value(key), pattern, wanted)

    def texts(self, shape: type, pattern: str = ".+", wanted: str = "", but: str = "") -> dict[str, str]:
        """A text for each field of a dataclass."""
        return {field.name: self.text(field.name, pattern, wanted) for field in fields(shape) if field.name != but}

    def slug(self, key: str) -> str:
        return self.text(key, SLUG, SLUG_WANTED)

    def word(self, key: str, words: Collection[str], default: str = "") -> str:
        """One of a few words."""
        if default and not self.has(key):
            return default
        *others, last = (f'"{word}"' for word in words)
        return self.text(key, "|".join(words), f"{', '.join(others)} or {last}")

    def lines(self, key: str) -> tuple[str, ...]:
        """A list of at least one text."""
        return tuple(self._line((key, at), value) for at, value in enumerate(self._list(key), 1))

    def entries(
        self, key: str, pattern: str = ".+", wanted: str = "", *, optional: bool = False
    ) -> list[tuple[int, str]]:
        """A list of texts, none of them twice, each with its number; an optional one may be empty or left out."""
        found: dict[str, int] = {}
        for at, value in enumerate(self._list(key, optional), 1):
            line = self._line((key, at), value, pattern, wanted)
            if line in found and line:
                self.note((key, at), f"{line} is there twice")
            found.setdefault(line, at)
        return [(at, line) for line, at in found.items()]

    def integer(self, key: str, lowest: int, highest: int, default: int | None = None) -> int:
        if default is not None and not self.has(key):
            return default
        value = self._value(key)
        if type(value) is int and lowest <= value <= highest:
            return value
        if value is not None:
            self.note(key, f"must be a whole number from {lowest} to {highest}")
        return lowest

    def date(self, key: str) -> date:
        value = self._value(key)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if value is not None:
            self.note(key, "must be a date such as 2026-12-24, without quotes")
        return date.min

    def table(self, key: str) -> "Table":
        return self._child((key,), self._value(key))

    def tables(self, key: str, *, optional: bool = False) -> "list[Table]":
        """A list of tables; an optional one may be empty or left out."""
        return [self._child((key, at), value) for at, value in enumerate(self._list(key, optional), 1)]

    def note_unknown_keys(self) -> None:
        for key in sorted(self._values.keys() - self._known.keys()):
            self.note(key, "is not a known key" + near(key, self._known.keys() - self._values.keys()))
        for child in (child for children in self._known.values() for child in children):
            child.note_unknown_keys()

    def _value(self, key: str) -> object:
        if not self.has(key):
            self.note(key, "is missing")
        return self._values.get(key)

    def _line(self, place: Place, value: object, pattern: str = ".+", wanted: str = "") -> str:
        line = " ".join(value.split()) if isinstance(value, str) else ""
        # A control character would one day stand in the header of a letter.
        if value is not None and (not line or re.search(r"[\x00-\x1f\x7f-\x9f]", line)):
            self.note(place, "must be a text, not empty and without control characters")
        elif line and not re.fullmatch(pattern, line):
            self.note(place, f"must be {wanted}")
        return line

    def _list(self, key: str, optional: bool = False) -> list[object]:
        value = [] if optional and not self.has(key) else self._value(key)
        if isinstance(value, list) and (value or optional):
            return value
        if value is not None:
            self.note(key, "must be a list" if optional else "must be a list with at least one entry")
        return []

    def _child(self, place: Place, values: object) -> "Table":
        if isinstance(values, dict):
            child = Table(values, (*self._place, *place), self._problems)
            self._known[str(place[0])].append(child)
            return child
        if values is not None:
            self.note(place, "must be a table")
        # One note is enough: that each key of this table is missing too would only be noise.
        return Table({}, (), None)


def near(word: str, words: Iterable[str], likeness: float = 0.6) -> str:
    """What may have been meant, to be said after what is wrong."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=likeness)
    return f"; did you mean {found[0]}?" if found else ""


def written(place: Place) -> str:
    """A place as people write it: `services[3].needs[1]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")
