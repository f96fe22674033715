"""On which line a value of a TOML file stands: found for every way in which TOML can say it."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking import clinic
from booking.clinic.lines import Place, line_of, lines_of

EVERY_WAY = '''# a comment with a [table] and a key = 1
top = 1
"quoted key" = "with a # that is no comment"
dotted.inner = 2

[one]
a = """
b = 'in a text'
[not a table]
"""
c = \'\'\'
d = "neither" \'\'\'
e = 2026-12-24 08:00:00
f = [1, 2,
     3, # between
     [4,
      5]]

[one.two]
g = { h = 1, "i" = [ { j = 2 },
                     { j = 3 } ] }

[[many]]
k = "\\"quoted\\" = 1"

[[many]]
k = 'x'
[many.under]
l = 1.5
[[many.deep]]
m = true
[[many.deep]]
m = false
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 2),
        (("quoted key",), 3),
        (("dotted",), 4),
        (("dotted", "inner"), 4),
        (("one",), 6),
        (("one", "a"), 7),
        (("one", "c"), 11),
        (("one", "e"), 13),
        (("one", "f"), 14),
        (("one", "f", 2), 14),
        (("one", "f", 3), 15),
        (("one", "f", 4), 16),
        (("one", "f", 4, 2), 17),
        (("one", "two"), 19),
        (("one", "two", "g", "h"), 20),
        (("one", "two", "g", "i", 1, "j"), 20),
        (("one", "two", "g", "i", 2, "j"), 21),
        (("many",), 23),
        (("many", 1), 23),
        (("many", 1, "k"), 24),
        (("many", 2), 26),
        (("many", 2, "k"), 27),
        (("many", 2, "under", "l"), 29),
        (("many", 2, "deep", 1, "m"), 31),
        (("many", 2, "deep", 2, "m"), 33),
    ],
)
def test_a_value_is_found_on_its_line(place: Place, line: int) -> None:
    assert tomllib.loads(EVERY_WAY)
    assert lines_of(EVERY_WAY)[place] == line


def test_what_only_looks_like_a_key_is_none() -> None:
    known = lines_of(EVERY_WAY)
    assert not {("key",), ("one", "b"), ("one", "d"), ("not a table",)} & known.keys()


def test_every_value_of_the_demonstration_clinic_has_a_line() -> None:
    text = clinic.DEFAULT_PATH.read_text(encoding="utf-8")
    known, lines = lines_of(text), text.splitlines()
    for place in places(tomllib.loads(text)):
        assert place in known, place
        if isinstance(place[-1], str):
            assert place[-1] in lines[known[place] - 1], place


def test_something_that_is_missing_has_the_line_of_what_it_is_missing_in() -> None:
    known = lines_of(EVERY_WAY)
    assert line_of(known, ("many", 2, "nothing", 3)) == 26
    assert line_of(known, ("one", "f", 9)) == 14
    assert line_of(known, ("nowhere",)) is None


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "a = 1"])
def test_a_small_file_has_lines_too(text: str) -> None:
    assert lines_of(text) == ({("a",): 1} if text == "a = 1" else {})


def test_line_ends_of_windows_count_as_one_line() -> None:
    assert lines_of("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


@given(st.text("[]{}=,.\"'#\\\n ab1"))
def test_no_text_is_too_much(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in lines_of(text).values())


def places(value: object, place: Place = ()) -> Iterator[Place]:
    """Every place of a document, list entries counted from one."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value, 1):
            yield (*place, key)
            yield from places(inner, (*place, key))
