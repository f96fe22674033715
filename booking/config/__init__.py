"""Every setting of the service: its name, default and meaning, read from the environment or `.env`."""

import base64
import difflib
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from booking.config import parsers

PREFIX = "BOOKING_"


class SettingsWrong(ValueError):
    """The settings cannot be used; the text has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Setting:
    """One row of the table below: `name` without prefix, `default` as one would write it, `help` for people."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any]


@dataclass(frozen=True)
class Settings:
    """The settings of one process, checked; secrets stay out of its `repr`."""

    env: str
    bind: tuple[str, int]
    data_dir: Path
    database_url: str
    secret_key: str
    encryption_keys: tuple[tuple[int, bytes], ...]
    base_url: str
    allowed_origins: tuple[str, ...]
    trusted_proxies: int
    trusted_hosts: tuple[str, ...]
    mail_url: str
    mail_from: str
    staff_emails: tuple[str, ...]
    sms_url: str
    alarm_url: str
    watch_minutes: int
    webflow_secret: str
    webflow_signing_key: str
    clinic_file: Path | None
    threads: int
    spool_limit_mb: int
    log_level: str

    @property
    def production(self) -> bool:
        """Whether this process serves real patients."""
        return self.env == "production"

    def __repr__(self) -> str:
        return f"Settings(env={self.env!r}, bind={self.bind!r}, data_dir={str(self.data_dir)!r})"


def load(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Read and check all settings; the environment wins over `env_file`.

    Raises SettingsWrong naming every problem at once. In development missing secrets are made and kept
    in the data folder, so that a restart can still read what was encrypted.
    """
    given = _given(environ, env_file)
    problems = _unknown_names(given)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = given.get(PREFIX + setting.name, "").strip() or setting.default
        try:
            values[setting.name.lower()] = setting.parse(text)
        except ValueError as wrong:
            problems.append(f"{PREFIX}{setting.name}: {wrong}")
    if not problems or "data_dir" in values:
        problems += _complete(values)
    if problems:
        raise SettingsWrong(problems)
    return Settings(**values)


def example() -> str:
    """The text of `.env.example`: every setting with its meaning and default, commented out."""
    head = "# Settings of the booking service. Copy to .env and change what you need; the environment wins.\n"
    return head + "".join(f"\n# {s.help}\n# {PREFIX}{s.name}={s.default}\n" for s in SETTINGS)


def _given(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    from_file: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        from_file = {k: v or "" for k, v in dotenv_values(env_file, interpolate=False).items() if k.startswith(PREFIX)}
    return from_file | {k: v for k, v in environ.items() if k.startswith(PREFIX)}


def _unknown_names(given: Mapping[str, str]) -> list[str]:
    # BOOKING_TEST_… belongs to the test suite, which runs in the same environment.
    known = {PREFIX + setting.name for setting in SETTINGS}
    problems = []
    for name in sorted(given):
        if name not in known and not name.startswith(f"{PREFIX}TEST_"):
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name}: there is no such setting" + (f"; did you mean {near[0]}?" if near else ""))
    return problems


def _complete(values: dict[str, Any]) -> list[str]:
    if values.get("env") == "production":
        return _missing_in_production(values)
    data_dir: Path = values["data_dir"]
    if not values.get("database_url"):
        values["database_url"] = f"sqlite:///{data_dir / 'booking.db'}"
    problems = []
    for name, make, parse in _MADE:
        if not values.get(name):
            values[name] = parse(_kept(data_dir / name, make))
        if not values[name]:
            problems.append(f"{PREFIX}{name.upper()}: the file {data_dir / name} is empty; remove it to get a new one")
    if not values.get("base_url") and "bind" in values:
        host, port = values["bind"]
        values["base_url"] = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return problems


def _missing_in_production(values: dict[str, Any]) -> list[str]:
    problems = []
    needs = {
        "database_url": "which database keeps the leads, e.g. postgresql+psycopg://user@host/booking",
        "secret_key": f"at least {parsers.SHORTEST_SECRET} random characters",
        "encryption_keys": "at least one key, as 1:<32 random bytes in base64>",
        "base_url": "the https:// address under which this service is reached",
    }
    for name, need in needs.items():
        if name in values and not values[name]:
            problems.append(f"{PREFIX}{name.upper()}: missing; production needs {need}")
    if values.get("base_url") and not values["base_url"].startswith("https://"):
        problems.append(f"{PREFIX}BASE_URL: production needs an https:// address")
    if values.get("base_url") and not values.get("trusted_hosts"):
        values["trusted_hosts"] = (urlsplit(values["base_url"]).hostname or "",)
    return problems


def _kept(path: Path, make: Callable[[], str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written whole before it gets its name, and only if no process beside this one was quicker.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text().strip()


def _fresh_key() -> str:
    return f"1:{base64.b64encode(secrets.token_bytes(parsers.KEY_BYTES)).decode()}"


_MADE: tuple[tuple[str, Callable[[], str], Callable[[str], Any]], ...] = (
    ("secret_key", lambda: secrets.token_urlsafe(48), parsers.secret),
    ("encryption_keys", _fresh_key, parsers.keys),
)

# fmt: off
SETTINGS: tuple[Setting, ...] = (
    Setting("ENV", "development", "development or production; production refuses to start without its secrets.",
            parsers.one_of("development", "production")),
    Setting("BIND", "127.0.0.1:8000", "The address and port to serve on.", parsers.address),
    Setting("DATA_DIR", "var", "Folder for the SQLite database, the spool of waiting leads and the log of references.",
            Path),
    Setting("DATABASE_URL", "",
            "postgresql+psycopg://user@host/name, or sqlite:///path; by default SQLite in the data folder.",
            parsers.database),
    Setting("SECRET_KEY", "",
            "At least 32 random characters; blind indexes and digests are made with it, so keep it.", parsers.secret),
    Setting("ENCRYPTION_KEYS", "",
            "Keys for health text at rest: number:base64, newest first, e.g. 2:...,1:... while rotating.",
            parsers.keys),
    Setting("BASE_URL", "", "The address visitors reach this service under, e.g. https://booking.example.com.",
            parsers.url),
    Setting("ALLOWED_ORIGINS", "",
            "Web sites whose forms may post here, comma-separated, e.g. https://www.example.com.", parsers.origins),
    Setting("TRUSTED_PROXIES", "0", "How many proxies of yours stand in front; 0 believes no X-Forwarded-* header.",
            parsers.number(0, 10)),
    Setting("TRUSTED_HOSTS", "",
            "Host names answered to, comma-separated; in production by default the one of BASE_URL.", parsers.words),
    Setting("MAIL_URL", "file:",
            "Where letters go: file: for .eml files in the data folder, or smtp://user:password@host:port, or smtps://...",
            parsers.mail),
    Setting("MAIL_FROM", "",
            "The sender of letters, e.g. Front desk <desk@example.com>; by default the clinic's own address.",
            parsers.sender),
    Setting("STAFF_EMAILS", "",
            "Who at the desk hears of enquiries, comma-separated; by default the clinic's own address.",
            parsers.mail_addresses),
    Setting("SMS_URL", "", "Who carries texts, e.g. twilio://ACCOUNT:TOKEN@+19045550100; by default none are sent.",
            parsers.sms),
    Setting("ALARM_URL", "",
            "A second way to be told when something fails: an https:// address that takes a POST, e.g. an ntfy topic.",
            parsers.url),
    Setting("WATCH_MINUTES", "15", "How often the service tests its own form, as a visitor would; 0 is never.",
            parsers.number(0, 1440)),
    Setting("WEBFLOW_SECRET", "",
            "The end of the address that Webflow's form_submission webhook calls, as a second witness; empty: none.",
            parsers.secret),
    Setting("WEBFLOW_SIGNING_KEY", "", "The key with which Webflow signs what it sends there, if it does.", str),
    Setting("CLINIC_FILE", "", "The clinic's own clinic.toml; by default the demonstration clinic.", parsers.file),
    Setting("THREADS", "8", "How many requests are worked on at once.", parsers.number(1, 64)),
    Setting("SPOOL_LIMIT_MB", "200", "How much may wait on disk while the database is away, in megabytes.",
            parsers.number(1, 100_000)),
    Setting("LOG_LEVEL", "info", "debug, info, warning or error.", parsers.one_of("debug", "info", "warning", "error")),
)
# fmt: on
