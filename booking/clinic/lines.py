"""On which line of a TOML file each of its tables, keys and list entries stands: `tomllib` does not say."""

import re
from collections.abc import Mapping

Place = tuple[str | int, ...]
"""The way to a value, list entries counted from one: `("services", 3, "needs", 1)`."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|\n"
    r"|[\[\]{}=,.]"
    r"|[^\s\[\]{}=,.\"'#]+",
    re.DOTALL,
)


def lines_of(text: str) -> dict[Place, int]:
    """The line of everything in a text that is known to be TOML."""
    return _Walk(text).statements()


def line_of(lines: Mapping[Place, int], place: Place) -> int | None:
    """The line of a place, or of the nearest thing around it; None for what is missing at the top."""
    return next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)


class _Walk:
    """One walk over the tokens of a text, from the first to the last."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            (found[0], text.count("\n", 0, found.start()) + 1)
            for found in _TOKEN.finditer(text)
            if not found[0].startswith("#")
        ]
        self._at = 0
        self._lines: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}

    def statements(self) -> dict[Place, int]:
        table: Place = ()
        while token := self._peek():
            if token == "\n":  # noqa: S105  # a token of the text, no password
                self._next()
            elif token == "[":  # noqa: S105  # as above
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> Place:
        line = self._line()
        self._next()
        is_list = self._peek() == "["
        if is_list:
            self._next()
        place = self._inside_lists(self._key("]"), is_list)
        while self._peek() == "]":
            self._next()
        self._stands(place, line)
        return place

    def _stands(self, place: Place, line: int) -> None:
        # What has no line of its own, as `one` in [one.two], stands where it is first named.
        for end in range(1, len(place) + 1):
            self._lines.setdefault(place[:end], line)

    def _inside_lists(self, keys: Place, is_list: bool) -> Place:
        """The place of a header, which names a list without saying which of its entries is meant: the newest."""
        place: Place = ()
        for at, key in enumerate(keys, 1):
            place = (*place, key)
            if is_list and at == len(keys):
                self._counts[place] = self._counts.get(place, 0) + 1
            if place in self._counts:
                place = (*place, self._counts[place])
        return place

    def _pair(self, table: Place) -> None:
        line = self._line()
        place = table + self._key("=")
        self._next()
        self._stands(place, line)
        self._value(place)

    def _key(self, end: str) -> Place:
        keys: list[str | int] = []
        while self._peek() not in {end, ""}:
            token = self._next()
            if token != ".":  # noqa: S105  # a token of the text, no password
                keys.append(token.strip("\"'"))
        return tuple(keys)

    def _value(self, place: Place) -> None:
        opening = self._next()
        if opening == "[":
            self._list(place)
        elif opening == "{":
            self._inline_table(place)
        else:
            while self._peek() not in {",", "]", "}", "\n", ""}:
                self._next()

    def _list(self, place: Place) -> None:
        count = 0
        while self._peek() not in {"]", ""}:
            if self._peek() in {",", "\n"}:
                self._next()
                continue
            count += 1
            self._lines[*place, count] = self._line()
            self._value((*place, count))
        self._next()

    def _inline_table(self, place: Place) -> None:
        while self._peek() not in {"}", ""}:
            if self._peek() in {",", "\n"}:
                self._next()
            else:
                self._pair(place)
        self._next()

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _line(self) -> int:
        return self._tokens[self._at][1]

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token
