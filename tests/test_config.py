"""The settings: every mistake is named at once, production is strict, and secrets are made once and stay secret."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from booking import config
from booking.config import Settings, SettingsWrong

KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = "a secret for tests only: 0123456789abcdef"
PRODUCTION = {
    "BOOKING_ENV": "production",
    "BOOKING_DATABASE_URL": "postgresql+psycopg://booking@db.example.com/booking",
    "BOOKING_SECRET_KEY": SECRET,
    "BOOKING_ENCRYPTION_KEYS": f"1:{KEY}",
    "BOOKING_BASE_URL": "https://booking.example.com",
}


def problems(environ: dict[str, str], folder: Path) -> list[str]:
    with pytest.raises(SettingsWrong) as wrong:
        config.load({"BOOKING_DATA_DIR": str(folder / "var")} | environ)
    return wrong.value.problems


def load(folder: Path, **environ: str) -> Settings:
    return config.load({"BOOKING_DATA_DIR": str(folder / "var")} | {f"BOOKING_{k}": v for k, v in environ.items()})


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    found = problems(
        {
            "BOOKING_ENV": "staging",
            "BOOKING_BIND": "8000",
            "BOOKING_DATABASE_URL": "mysql://db",
            "BOOKING_SECRET_KEY": "short",
            "BOOKING_ENCRYPTION_KEYS": "1:abc",
            "BOOKING_BASE_URL": "booking.example.com",
            "BOOKING_ALLOWED_ORIGINS": "https://www.example.com/path",
            "BOOKING_TRUSTED_PROXIES": "-1",
            "BOOKING_MAIL_URL": "pigeon:",
            "BOOKING_CLINIC_FILE": "/nowhere/clinic.toml",
            "BOOKING_THREADS": "0",
            "BOOKING_SPOOL_LIMIT_MB": "lots",
            "BOOKING_LOG_LEVEL": "loud",
            "BOOKING_TRUSTED_PROXY": "1",
        },
        tmp_path,
    )
    named = {problem.split(":")[0] for problem in found}
    assert len(found) == len(named) == 14
    assert "BOOKING_TRUSTED_PROXY" in named


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("BOOKING_DATABSE_URL", "BOOKING_DATABASE_URL"),
        ("BOOKING_SECRETKEY", "BOOKING_SECRET_KEY"),
        ("BOOKING_ENCRYPTION_KEY", "BOOKING_ENCRYPTION_KEYS"),
        ("BOOKING_ALLOW_ORIGINS", "BOOKING_ALLOWED_ORIGINS"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(misspelt: str, meant: str, tmp_path: Path) -> None:
    (problem,) = problems({misspelt: "x"}, tmp_path)
    assert problem.startswith(f"{misspelt}: ")
    assert f"did you mean {meant}?" in problem


def test_a_name_like_no_other_is_refused_without_a_guess(tmp_path: Path) -> None:
    assert problems({"BOOKING_QQQQQQQQ": "x"}, tmp_path) == ["BOOKING_QQQQQQQQ: there is no such setting"]


def test_other_programs_variables_and_those_of_the_tests_are_not_looked_at(tmp_path: Path) -> None:
    environ = {"HOME": "/root", "BOOKING_TEST_DATABASE_URL": "x", "BOOKING_DATA_DIR": str(tmp_path)}
    assert config.load(environ).env == "development"


def test_production_names_everything_it_lacks_at_once(tmp_path: Path) -> None:
    found = problems({"BOOKING_ENV": "production"}, tmp_path)
    assert {problem.split(":")[0] for problem in found} == {
        *("BOOKING_DATABASE_URL", "BOOKING_SECRET_KEY", "BOOKING_ENCRYPTION_KEYS", "BOOKING_BASE_URL"),
    }
    assert not (tmp_path / "var").exists(), "production makes no secrets by itself"


def test_production_names_what_is_missing_weak_and_misspelt_together(tmp_path: Path) -> None:
    found = problems(
        PRODUCTION
        | {"BOOKING_SECRET_KEY": "a" * 40, "BOOKING_BASE_URL": "http://booking.example.com", "BOOKING_DATABASE_URL": ""}
        | {"BOOKING_MAILFROM": "x"},
        tmp_path,
    )
    assert {problem.split(":")[0] for problem in found} == {
        *("BOOKING_SECRET_KEY", "BOOKING_BASE_URL", "BOOKING_DATABASE_URL", "BOOKING_MAILFROM"),
    }


def test_production_with_all_it_needs_starts_and_answers_only_to_its_own_name() -> None:
    settings = config.load(PRODUCTION)
    assert settings.production
    assert settings.trusted_hosts == ("booking.example.com",)


@pytest.mark.parametrize(
    "weak",
    [
        "1:" + base64.b64encode(bytes(32)).decode(),
        "1:" + base64.b64encode(b"short").decode(),
        f"0:{KEY}",
        f"256:{KEY}",
        f"x:{KEY}",
        KEY,
        f"1:{KEY},1:{KEY}",
        "1:not base64!",
    ],
)
def test_a_weak_or_garbled_key_is_refused_and_not_repeated(weak: str, tmp_path: Path) -> None:
    (problem,) = problems({"BOOKING_ENCRYPTION_KEYS": weak}, tmp_path)
    assert problem.startswith("BOOKING_ENCRYPTION_KEYS: ")
    assert KEY not in problem


def test_the_newest_key_stands_first_and_the_older_ones_stay(tmp_path: Path) -> None:
    newer = base64.b64encode(bytes(range(32, 64))).decode()
    keys = load(tmp_path, ENCRYPTION_KEYS=f"2:{newer}, 1:{KEY}").encryption_keys
    assert keys == ((2, bytes(range(32, 64))), (1, bytes(range(32))))


def test_a_weak_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    for weak in ("hunter2hunter2", "0123401234012340123401234012340123401234"):
        (problem,) = problems({"BOOKING_SECRET_KEY": weak}, tmp_path)
        assert weak not in problem


def test_missing_secrets_are_made_once_for_this_user_alone_and_kept(tmp_path: Path) -> None:
    first, second = load(tmp_path), load(tmp_path)
    assert first.secret_key == second.secret_key
    assert first.encryption_keys == second.encryption_keys
    assert len(first.secret_key) >= config.parsers.SHORTEST_SECRET
    for name in ("secret_key", "encryption_keys"):
        assert stat.S_IMODE((tmp_path / "var" / name).stat().st_mode) == 0o600


def test_another_folder_has_other_secrets(tmp_path: Path) -> None:
    assert load(tmp_path / "a").secret_key != load(tmp_path / "b").secret_key


def test_starts_side_by_side_agree_on_their_secrets(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as starts:
        found = list(starts.map(lambda n: load(tmp_path / str(n % 20)), range(400)))
    assert len({(settings.secret_key, settings.encryption_keys) for settings in found}) == 20


@pytest.mark.parametrize("name", ["secret_key", "encryption_keys"])
def test_a_secret_that_was_left_half_made_is_never_used(name: str, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / name).touch(0o600)
    with suppress(SettingsWrong):  # to refuse is as good as to make a new one
        settings = load(tmp_path)
        assert len(settings.secret_key) >= config.parsers.SHORTEST_SECRET
        assert settings.encryption_keys


def test_secrets_stay_out_of_what_is_printed(tmp_path: Path) -> None:
    settings = load(tmp_path, DATABASE_URL="postgresql+psycopg://booking:hunter2@db/booking")
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert settings.secret_key not in shown
        assert "hunter2" not in shown
        assert repr(settings.encryption_keys[0][1]) not in shown


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        f'# ours\nBOOKING_THREADS=3\nBOOKING_LOG_LEVEL="warning"\nBOOKING_DATA_DIR={tmp_path}/var\nOTHER=x\n'
    )
    settings = config.load({"BOOKING_THREADS": "5"}, file)
    assert (settings.threads, settings.log_level) == (5, "warning")


def test_a_misspelt_name_in_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"BOOKING_TREADS=3\nBOOKING_DATA_DIR={tmp_path}/var\n")
    with pytest.raises(SettingsWrong, match="did you mean BOOKING_THREADS"):
        config.load({}, tmp_path / ".env")


def test_a_dollar_in_the_file_is_a_dollar(tmp_path: Path) -> None:
    secret = "pa$$word-${HOME}-0123456789-abcdefgh"
    (tmp_path / ".env").write_text(f"BOOKING_SECRET_KEY='{secret}'\nBOOKING_DATA_DIR={tmp_path}/var\n")
    assert config.load({}, tmp_path / ".env").secret_key == secret


def test_a_file_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    assert config.load({"BOOKING_DATA_DIR": str(tmp_path)}, tmp_path / ".env").threads == 8


def test_an_empty_setting_is_one_that_was_not_given(tmp_path: Path) -> None:
    assert load(tmp_path, THREADS="", BIND=" ").bind == ("127.0.0.1", 8000)


def test_defaults_are_those_of_a_development_machine(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/var/booking.db"
    assert settings.base_url == "http://127.0.0.1:8000"
    assert (settings.trusted_proxies, settings.allowed_origins, settings.production) == (0, (), False)


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:8000", "::1", 8000), ("localhost:1", "localhost", 1)],  # noqa: S104  parsed, not bound
)
def test_an_address_to_serve_on_may_be_of_either_kind(bind: str, host: str, port: int, tmp_path: Path) -> None:
    assert load(tmp_path, BIND=bind).bind == (host, port)


@pytest.mark.parametrize(
    "origins",
    ["*", "https://*.example.com", "https://www.example.com/", "www.example.com", "null", "https://", "https://a b"],
)
def test_what_is_no_exact_origin_is_refused(origins: str, tmp_path: Path) -> None:
    (problem,) = problems({"BOOKING_ALLOWED_ORIGINS": origins}, tmp_path)
    assert problem.startswith("BOOKING_ALLOWED_ORIGINS: ")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="only where files have owners")
def test_a_folder_that_cannot_be_made_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((SettingsWrong, OSError)):
        config.load({"BOOKING_DATA_DIR": str(tmp_path / "file" / "var")})
