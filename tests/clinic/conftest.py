"""A clinic's file that is the demonstration's but for a few passages, and what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from booking import clinic

DEMO = clinic.DEFAULT_PATH.read_text(encoding="utf-8")

Write = Callable[..., Path]
"""Writes the demonstration clinic with some passages replaced."""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def changed(*replacements: tuple[str, str]) -> Path:
        text = DEMO
        for old, new in replacements:
            assert old in text, f"the demonstration clinic no longer contains {old!r}"
            text = text.replace(old, new, 1)
        path = tmp_path / "clinic.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return changed


def problems_of(path: Path) -> tuple[str, ...]:
    """What is wrong with a file, each with its line."""
    with pytest.raises(clinic.ClinicFileWrong) as refusal:
        clinic.load(path, check_holidays=True)
    return refusal.value.problems


def without_lines(problems: tuple[str, ...]) -> list[str]:
    """The same without the name of the file and the number of the line."""
    return [problem.partition(": ")[2] for problem in problems]


def line_with(path: Path, passage: str, after: str = "") -> int:
    """The number of the first line of a file that contains a passage, looked for after another one."""
    text = path.read_text(encoding="utf-8")
    return text.count("\n", 0, text.index(passage, text.index(after))) + 1
