"""Tokens: told once, good for their scopes until they end, and never kept as they are."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from booking.database import Database
from booking.domain.errors import ScopeMissing, TokenUnknown
from booking.operations import tokens
from booking.operations.tokens import Bearer, ScopeUnknown


def create(database: Database, now: datetime, *scopes: str) -> str:
    with database.transaction() as db:
        return tokens.create(db, name="desk", scopes=scopes or ("leads:export",), now=now, days=30)


def authenticate(database: Database, secret: str, now: datetime, scope: str = "leads:export") -> Bearer:
    with database.reading() as db:
        return tokens.authenticate(db, secret, scope, now)


def test_a_token_lets_its_bearer_in_for_its_scope(database: Database, now: datetime) -> None:
    bearer = authenticate(database, create(database, now, "leads:read", "leads:export"), now)
    assert (bearer.name, bearer.scopes) == ("desk", ("leads:export", "leads:read"))
    assert bearer.actor == f"token {bearer.id} (desk)"


def test_a_secret_is_long_and_never_the_same(database: Database, now: datetime) -> None:
    secrets = {create(database, now) for _ in range(5)}
    assert len(secrets) == 5
    assert all(secret.startswith("bk_") and len(secret) == 46 for secret in secrets)


def test_the_database_does_not_hold_the_secret(database: Database, now: datetime) -> None:
    secret = create(database, now)
    with database.reading() as db:
        kept = str(db.execute(text("select * from api_token")).all())
        [token] = tokens.list_all(db)
        assert token.hint == secret[-4:]
    assert secret not in kept
    assert secret.removeprefix("bk_")[:20] not in kept


@pytest.mark.parametrize("wrong", ["", "bk_", "bk_wrong", "ä", "\ud800", "x" * 10_000])
def test_a_wrong_secret_is_unknown(database: Database, now: datetime, wrong: str) -> None:
    create(database, now)
    with pytest.raises(TokenUnknown):
        authenticate(database, wrong, now)


def test_a_secret_in_other_letters_is_unknown(database: Database, now: datetime) -> None:
    with pytest.raises(TokenUnknown):
        authenticate(database, create(database, now).swapcase(), now)


def test_a_token_ends_with_its_last_day(database: Database, now: datetime) -> None:
    secret = create(database, now)
    assert authenticate(database, secret, now + timedelta(days=30, microseconds=-1))
    with pytest.raises(TokenUnknown):
        authenticate(database, secret, now + timedelta(days=30))


def test_a_revoked_token_is_unknown(database: Database, now: datetime) -> None:
    secret = create(database, now)
    number = authenticate(database, secret, now).id
    with database.transaction() as db:
        assert tokens.revoke(db, number, now)
        assert not tokens.revoke(db, number, now)
        assert not tokens.revoke(db, number + 1, now)
    with pytest.raises(TokenUnknown):
        authenticate(database, secret, now)


def test_a_good_token_without_the_scope_is_told_so(database: Database, now: datetime) -> None:
    secret = create(database, now, "leads:export")
    with pytest.raises(ScopeMissing):
        authenticate(database, secret, now, "leads:export:raw")
    with pytest.raises(ScopeMissing):
        authenticate(database, secret, now).require("leads:read")


@pytest.mark.parametrize("scopes", [["leads:exprot"], ["leads:export", "*"], []])
def test_a_scope_that_does_not_exist_is_refused(database: Database, now: datetime, scopes: list[str]) -> None:
    with pytest.raises(ScopeUnknown, match="leads:export:raw"), database.transaction() as db:
        tokens.create(db, name="desk", scopes=scopes, now=now, days=30)


def test_the_last_use_is_remembered(database: Database, now: datetime) -> None:
    number = authenticate(database, create(database, now), now).id
    with database.transaction() as db:
        assert tokens.list_all(db)[0].last_used_at is None
        tokens.note_use(db, number, now)
    with database.reading() as db:
        assert tokens.list_all(db)[0].last_used_at == now
