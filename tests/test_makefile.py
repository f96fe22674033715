"""`make run` and `make test` on a machine that has only make and a Python: what they install, and when they do not."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A Python that makes environments of itself, installs nothing, and writes down what it was asked for.
PYTHON = """#!/bin/sh
case "$*" in
    '-m venv '*) mkdir -p .venv/bin
        cp "$0" .venv/bin/python && cp "$0" .venv/bin/booking && echo "$PWD/.venv" > .venv/bin/activate ;;
    *'pip '*' install '*) echo "$@" >> asked; exit "${PIP_EXIT:-0}" ;;
    '-c '*|*--version|*compileall*) ;;
    *) echo "$(basename "$0") $*" >> asked ;;
esac
"""


class Machine:
    """A folder with a fresh clone's Makefile, and a PATH with as little on it as can be."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        self.programs = folder / "bin"
        (self.clone / "tests").mkdir(parents=True)
        self.programs.mkdir()
        for name in ("Makefile", "pyproject.toml", "requirements.lock", "tests/requirements.lock"):
            shutil.copyfile(ROOT / name, self.clone / name)
        for name in ("basename", "cp", "echo", "grep", "id", "make", "mkdir", "rm", "sed", "awk", "test", "touch"):
            (self.programs / name).symlink_to(str(shutil.which(name)))

    def add_program(self, name: str, text: str) -> None:
        (self.programs / name).unlink(missing_ok=True)  # it may be a link to the machine's own
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def make(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "make", *words],
            cwd=self.clone,
            env={"PATH": str(self.programs)} | environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def asked(self) -> list[str]:
        """What Python was asked for since the last look, one word or two each."""
        noted = self.clone / "asked"
        lines = noted.read_text().splitlines() if noted.exists() else []
        noted.unlink(missing_ok=True)
        return [line.partition(" install ")[2].removeprefix("--quiet ") or line for line in lines]


SHIPPED = ["--require-hashes -r requirements.lock", "--no-deps --no-build-isolation --editable ."]
TESTED = ["--require-hashes -r tests/requirements.lock"]
STARTED = ["booking serve --prepare"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    machine.add_program("python3", PYTHON)
    return machine


def test_the_first_run_installs_from_the_lock_and_serves(ready: Machine) -> None:
    assert ready.make("run").returncode == 0
    assert ready.asked() == SHIPPED + STARTED


def test_the_second_run_installs_nothing(ready: Machine) -> None:
    ready.make("run")
    ready.asked()
    ready.make("run")
    assert ready.asked() == STARTED


def test_a_changed_lock_is_installed(ready: Machine) -> None:
    ready.make("run")
    ready.asked()
    (ready.clone / "requirements.lock").touch()
    ready.make("run")
    assert ready.asked() == SHIPPED + STARTED


def test_a_failed_installation_starts_nothing_and_is_tried_again(ready: Machine) -> None:
    assert ready.make("run", PIP_EXIT="1").returncode != 0
    assert ready.asked() == SHIPPED[:1]
    assert ready.make("run").returncode == 0
    assert ready.asked() == SHIPPED + STARTED


def test_a_clone_that_was_moved_is_installed_anew(ready: Machine) -> None:
    ready.make("run")
    ready.asked()
    ready.clone = ready.clone.rename(ready.clone.with_name("moved"))
    ready.make("run")
    assert ready.asked() == SHIPPED + STARTED


def test_the_tests_alone_install_what_they_need(ready: Machine) -> None:
    ready.make("test", "ARGS=-k phone")
    assert ready.asked() == [*SHIPPED, *TESTED, "python -m pytest -n 3 -k phone"]


def test_a_program_that_no_wheel_carries_is_named_in_one_line_where_it_cannot_be_installed(ready: Machine) -> None:
    ready.add_program("id", "#!/bin/sh\necho 1000\n")
    said = ready.make("browser").stderr.splitlines()
    assert len(said) == 1
    assert "chromium" in said[0]


def test_a_machine_without_python_is_told_so_in_one_line(machine: Machine) -> None:
    machine.add_program("python3.11", "#!/bin/sh\nexit 127\n")  # a shim of a version manager, with nothing behind
    said = machine.make("run").stderr.splitlines()
    assert said[0].startswith("No Python of version 3.11 or newer was found")
    assert len(said) == 2  # the other is make's own


def test_a_python_without_venv_is_told_what_to_install(machine: Machine) -> None:
    machine.add_program("python3", '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n')
    said = machine.make("run").stderr.splitlines()
    assert "apt-get install python3-venv" in said[0]
    assert len(said) == 2


def test_help_names_every_target_that_a_person_may_want(machine: Machine) -> None:
    said = machine.make("help").stdout
    assert [word for word in ("run", "test", "lint", "format", "lock", "clean") if f"make {word}" not in said] == []
