"""What every test may ask for: a fresh migrated database on either engine, the service on it, a browser."""

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from zlib import crc32

import hypothesis
import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page

from booking import clinic, config
from booking.app import create_app
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.keyring import Keyring
from booking.operations import catalog as operations_catalog
from booking.operations import catalog_loading
from booking.runtime import Runtime
from tests.browser import BrowserMissing, chromium
from tests.postgres import GIVEN_SERVER, PostgresMissing, PostgresServer, any_server
from tests.service import Serving, serve

ROOT = Path(__file__).parent.parent
DEMONSTRATION = clinic.load()
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")  # where servers stand

hypothesis.settings.register_profile(
    "booking",
    deadline=None,  # no verdict of ours hangs on a wall clock
    print_blob=True,  # what failed in CI can be repeated anywhere
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("booking"), max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "booking"))


@pytest.fixture(scope="module", autouse=True)
def time_zone_of_the_machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let each file, and what it starts, run as on a machine elsewhere: always the same place, by the file's name.

    `TEST_TIME_ZONE` names one place for all of them.
    """
    by_name = ZONES[crc32(request.path.name.encode()) % len(ZONES)]
    zone = os.environ.get("TEST_TIME_ZONE", by_name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


def absent(reason: str) -> NoReturn:
    """Skip what this machine cannot test; in CI that is a failure, for there nothing may go untested."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


# ---------------------------------------------------------------- databases


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start one PostgreSQL for all workers of this run, in their parent; they find it in the environment."""
    running = ExitStack()
    config.add_cleanup(running.close)
    try:
        os.environ[GIVEN_SERVER] = running.enter_context(any_server()).url
    except PostgresMissing:
        return  # the first test that needs it says so


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of this run; a test that wants to hurt one starts its own TemporaryPostgres."""
    try:
        with any_server() as server:
            yield server
    except PostgresMissing as missing:
        absent(str(missing))


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest migration, to be copied, never written."""
    path = tmp_path_factory.mktemp("template") / "booking.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a PostgreSQL database at the newest migration, to be copied, never connected to."""
    url = postgres.create_database()
    migrate(url)
    yield url
    postgres.drop_database(url)


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest migration."""
    settings = Config(toml_file=ROOT / "pyproject.toml")
    settings.attributes["url"] = url
    command.upgrade(settings, "head")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh migrated database for this test alone, on each engine in turn."""
    if request.param == "sqlite":
        copy = tmp_path / "booking.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), copy)
        yield f"sqlite:///{copy}"
    else:
        template: str = request.getfixturevalue("migrated_postgresql")
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database(template)
        yield url
        server.drop_database(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database of this test, opened apart from the service: to arrange, and to see what is there."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def catalog(database: Database, now: datetime) -> Catalog:
    """The demonstration clinic's catalogue, loaded into the database of this test."""
    with database.transaction() as db:
        catalog_loading.load(db, DEMONSTRATION.catalog, now=now)
        return operations_catalog.read(db, now.date())


# ---------------------------------------------------------------- the service


@pytest.fixture
def now() -> datetime:
    """A Tuesday morning in Florida."""
    return datetime(2026, 11, 24, 15, 30, tzinfo=UTC)


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The BOOKING_ variables of this test: change them before asking for `settings`, `app` or `serving`."""
    return {
        "BOOKING_ENV": "development",
        "BOOKING_DATA_DIR": str(tmp_path / "data"),
        "BOOKING_DATABASE_URL": database_url,
        "BOOKING_SECRET_KEY": "a secret for tests only: 0123456789abcdef",
        "BOOKING_ENCRYPTION_KEYS": f"1:{base64.b64encode(bytes(range(32))).decode()}",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> config.Settings:
    """The checked settings of this test."""
    return config.load(environ, None)


@pytest.fixture
def keyring(settings: config.Settings) -> Keyring:
    """The keys of this test."""
    return Keyring(settings.encryption_keys, settings.secret_key)


@pytest.fixture
def app(settings: config.Settings) -> Iterator[Flask]:
    """The web application of this test, in this process."""
    app = create_app(settings)
    yield app
    app.extensions["booking"].database.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A visitor of `app` without a browser."""
    return app.test_client()


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    """What the doors of `app` work with: its database, keys, spool, receipts and clinic."""
    opened: Runtime = app.extensions["booking"]
    return opened


@pytest.fixture
def serving(environ: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Start the real server, as often as called: `serving()`, `serving({"BOOKING_THREADS": "2"}, "--no-worker")`."""
    with ExitStack() as running:

        def start(more: Mapping[str, str] | None = None, *options: str) -> Serving:
            return running.enter_context(serve(environ | dict(more or {}), tmp_path, *options))

        yield start


# ---------------------------------------------------------------- the browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium for the whole run."""
    try:
        with chromium() as browser:
            yield browser
    except BrowserMissing as missing:
        absent(str(missing))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page in a context of its own."""
    with browser.new_context() as context:
        yield context.new_page()
