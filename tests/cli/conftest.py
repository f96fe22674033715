"""The command line as its users meet it: in a process of its own, or, where that is enough, called in this one."""

import base64
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from booking import config
from booking.app import create_app, open_runtime
from booking.cli import Doorway, booking
from booking.runtime import Runtime
from tests.postgres import PostgresServer
from tests.service import COMMAND, surroundings

ANSWER_SECONDS = 60
OTHER_KEY = f"2:{base64.b64encode(bytes(range(100, 132))).decode()}"


@dataclass(frozen=True)
class Terminal:
    """Somebody at a terminal, with these BOOKING_ settings, in a folder without an `.env`."""

    environ: Mapping[str, str]
    folder: Path

    def told(self, **more: str) -> "Terminal":
        """The same terminal with some settings changed: `told(DATA_DIR="elsewhere")`."""
        return replace(self, environ={**self.environ, **{f"BOOKING_{name}": text for name, text in more.items()}})

    def start(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the real command and do not wait for it."""
        return subprocess.Popen(
            [COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=surroundings() | dict(self.environ),
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run the real command to its end."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=ANSWER_SECONDS)
            finally:
                process.kill()
        assert b"Traceback" not in err, err.decode()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def call(self, *words: str) -> Result:
        """Call the command in this process, which costs no start-up."""
        doorway = Doorway(lambda: config.load(self.environ, None), create_app, open_runtime)
        result = CliRunner().invoke(booking, words, obj=doorway)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def export(self, *words: str) -> bytes:
        """The file that `booking export` writes."""
        path = self.folder / "export"
        result = self.call("export", "--output", str(path), *words)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == ""
        return path.read_bytes()


@pytest.fixture
def terminal(environ: dict[str, str], tmp_path: Path) -> Terminal:
    """A terminal in front of the migrated database of this test."""
    return Terminal(environ, tmp_path)


@pytest.fixture
def premises(terminal: Terminal) -> Iterator[Runtime]:
    """What the commands work with, opened apart from them: to arrange, and to see what is there."""
    opened = open_runtime(config.load(terminal.environ, None))
    yield opened
    opened.database.close()


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Found another practice, with keys and secrets of its own: `fresh("sqlite")`, or `migrated=False` for one."""
    with ExitStack() as founded:

        def found(engine: str, *, migrated: bool = True) -> Terminal:
            folder = tmp_path / f"fresh-{engine}"
            folder.mkdir()
            return Terminal(
                {
                    "BOOKING_DATA_DIR": str(folder / "data"),
                    "BOOKING_DATABASE_URL": _database(request, founded, engine, folder, migrated=migrated),
                    "BOOKING_SECRET_KEY": "another practice's secret: 9876543210zyxwvu",
                    "BOOKING_ENCRYPTION_KEYS": OTHER_KEY,
                },
                folder,
            )

        yield found


def _database(request: pytest.FixtureRequest, founded: ExitStack, engine: str, folder: Path, *, migrated: bool) -> str:
    if engine == "sqlite":
        path = folder / "booking.db"
        if migrated:
            shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database(request.getfixturevalue("migrated_postgresql") if migrated else None)
    founded.callback(server.drop_database, url)
    return url


@pytest.fixture
def away(database_url: str, terminal: Terminal) -> Terminal:
    """The same terminal when its database cannot be reached."""
    absent = terminal.folder / "absent"
    absent.mkdir()  # SQLite cannot open a folder; PostgreSQL finds no socket in it
    if database_url.startswith("sqlite"):
        return terminal.told(DATABASE_URL=f"sqlite:///{absent}")
    return terminal.told(DATABASE_URL=f"postgresql+psycopg://nobody@/nothing?host={absent}")
