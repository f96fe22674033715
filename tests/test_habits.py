"""The habits of this repository, held by tests: what CONTRIBUTING asks for, and what the README says."""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from booking import cli, config

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "booking").rglob("*.py"))
EVERYTHING = [
    *PACKAGE,
    *sorted(ROOT.glob("*.py")),
    *sorted(path for folder in ("bench", "migrations", "tests") for path in (ROOT / folder).rglob("*.py")),
]
LOCKS = (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock")
JUNK_DRAWERS = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc", "stuff"}
PURE = {*sys.stdlib_module_names, "booking", "email_validator", "phonenumbers"} - {
    *("socket", "sqlite3", "subprocess", "threading", "smtplib", "urllib3", "http", "os", "time", "logging"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
every_file = pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))


# ---------------------------------------------------------------- code


@every_file
def test_a_file_opens_with_what_it_is_for(path: Path) -> None:
    opening = ast.get_docstring(parsed(path))
    assert opening, "no docstring"
    first = opening.splitlines()[0]
    assert first.endswith((".", "?", ":", ";")) or len(opening.splitlines()) > 1, f"not a sentence: {first}"


@every_file
def test_a_file_is_short_enough_to_hold_in_mind(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= (400 if "tests" in path.parts else 300)


@every_file
def test_a_function_fits_on_a_screen(path: Path) -> None:
    assert [f"{f.name}: {length(f)} lines" for f in functions(path) if length(f) > 50] == []


def test_most_functions_are_very_short() -> None:
    assert statistics.median(length(f) for path in PACKAGE for f in functions(path)) <= 10


@every_file
def test_nothing_is_imported_inside_a_function_or_for_the_type_checker_alone(path: Path) -> None:
    hidden = [
        f"line {statement.lineno}"
        for place in ast.walk(parsed(path))
        if isinstance(place, Function) or (isinstance(place, ast.If) and "TYPE_CHECKING" in ast.unparse(place.test))
        for statement in ast.walk(place)
        if isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


@every_file
def test_no_room_is_a_junk_drawer_and_no_class_manages_or_handles(path: Path) -> None:
    assert not JUNK_DRAWERS & {path.stem, *path.relative_to(ROOT).parts}
    classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if re.search(r"Manager|Handler|Helper|Util", name)] == []


@every_file
def test_every_exception_to_a_rule_has_its_code_and_its_reason_beside_it(path: Path) -> None:
    excuse = re.compile(r"#\s*(?:noqa\b|type:\s*ignore\b|pragma:)(?P<rest>.*)")
    reasoned = re.compile(r"(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\])\W+\w.*")
    unreasoned = [
        line.strip()
        for line in path.read_text().splitlines()
        if (found := excuse.search(line)) and path != Path(__file__) and not reasoned.fullmatch(found["rest"])
    ]
    assert unreasoned == []


def test_the_domain_knows_only_pure_things() -> None:
    strangers = {
        f"{path.name}: {name}"
        for path in (ROOT / "booking" / "domain").rglob("*.py")
        for name in imported(path)
        if name.split(".")[0] not in PURE or (name.startswith("booking") and not name.startswith("booking.domain"))
    }
    assert strangers == set()


# ---------------------------------------------------------------- locks


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_names_no_host_and_hashes_everything(lock: Path) -> None:
    assert "://" not in lock.read_text()
    pins = re.findall(r"^(\S+==\S+)(.*?\\\n    --hash)?", lock.read_text(), re.MULTILINE)
    assert pins
    assert [pin for pin, hashed in pins if not hashed] == []


def test_the_tests_run_with_exactly_what_is_shipped() -> None:
    shipped, tested = (set(re.findall(r"^\S+==\S+", lock.read_text(), re.MULTILINE)) for lock in LOCKS)
    assert shipped <= tested


# ---------------------------------------------------------------- words


def test_the_example_settings_are_those_of_the_code() -> None:
    assert (ROOT / ".env.example").read_text() == config.example()


@pytest.mark.parametrize("name", [f"BOOKING_{setting.name}" for setting in config.SETTINGS])
def test_the_readme_explains_every_setting(name: str) -> None:
    assert f"`{name}`" in readme()


def test_the_readme_speaks_of_no_setting_that_does_not_exist() -> None:
    known = {f"BOOKING_{setting.name}" for setting in config.SETTINGS} | {"BOOKING_TEST_DATABASE_URL"}
    assert set(re.findall(r"\bBOOKING_[A-Z_]*[A-Z]\b", readme())) <= known


def test_the_readme_names_every_command() -> None:
    assert [command for command in commands() if not is_named(command)] == []


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    called = set(re.findall(r"(?:^|[\s`/])booking ([a-z-]+(?: [a-z-]+)?)", "\n".join(code_of_the_readme())))
    known = set(commands())
    assert [words for words in called if words not in known and words.split()[0] not in known] == []


def test_the_readme_names_no_make_target_that_does_not_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(code_of_the_readme())))
    assert {"run", "test"} <= called <= targets


# ---------------------------------------------------------------- how they look


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def commands(group: click.Group = cli.booking, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def is_named(command: str) -> bool:
    """Whether the README has `booking token list` in full, or `list` on the line of `booking token`."""
    group, _, word = command.rpartition(" ")
    return f"booking {command}" in readme() or any(
        group and f"booking {group}" in line and f"`{word}`" in line for line in readme().splitlines()
    )


def readme() -> str:
    return (ROOT / "README.md").read_text()


def code_of_the_readme() -> list[str]:
    """What stands in fences and between back-quotes."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)
    return fenced + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", readme(), flags=re.MULTILINE | re.DOTALL))
