"""Tokens: keys for programs. The secret is told once; only its SHA-256 is kept."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking.domain.errors import ScopeMissing, TokenUnknown
from booking.models.staff import ApiToken

SCOPES = ("leads:export", "leads:export:raw", "leads:read", "slots:explain", "metrics:read")
PREFIX = "bk_"
SECRET_BYTES = 32
HINT_LETTERS = 4


class ScopeUnknown(ValueError):
    """A token was asked for with a scope that does not exist."""


@dataclass(frozen=True)
class Bearer:
    """Whoever came with a good token: its number, name and scopes."""

    id: int
    name: str
    scopes: tuple[str, ...]

    @property
    def actor(self) -> str:
        """How the audit names them."""
        return f"token {self.id} ({self.name})"

    def require(self, scope: str) -> None:
        """Raise ScopeMissing unless the token has the scope."""
        if scope not in self.scopes:
            raise ScopeMissing(scope)


def create(db: Session, *, name: str, scopes: Collection[str], now: datetime, days: int) -> str:
    """Make a token that lives for `days`, and return its secret, which nobody can look up later.

    Raises ScopeUnknown, also when there is no scope at all: such a token would be good for nothing.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        problem = f"There is no scope {', '.join(unknown)}" if unknown else "A token needs a scope"
        raise ScopeUnknown(f"{problem}; the scopes are {', '.join(SCOPES)}.")
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = ApiToken(
        name=name,
        digest=_digest(secret),
        hint=secret[-HINT_LETTERS:],
        scopes=[scope for scope in SCOPES if scope in scopes],
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    db.add(token)
    db.flush()
    return secret


def authenticate(db: Session, secret: str, scope: str, now: datetime) -> Bearer:
    """Who has this secret; raises TokenUnknown, or ScopeMissing when the token is good but not for `scope`.

    It only reads, so that a flood of wrong secrets never takes a writer's turn; `note_use` writes the last use.
    """
    token = db.scalar(select(ApiToken).where(ApiToken.digest == _digest(secret)))
    if token is None or token.revoked_at is not None or token.expires_at <= now:
        raise TokenUnknown
    bearer = Bearer(token.id, token.name, tuple(token.scopes))
    bearer.require(scope)
    return bearer


def note_use(db: Session, token_id: int, now: datetime) -> None:
    """Remember when a token was used last."""
    db.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))


def revoke(db: Session, token_id: int, now: datetime) -> bool:
    """End a token for good; False if there is none with this number or it was ended before."""
    ended = update(ApiToken).where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None)).values(revoked_at=now)
    return db.execute(ended.returning(ApiToken.id)).first() is not None


def list_all(db: Session) -> Sequence[ApiToken]:
    """Every token there ever was, oldest first."""
    return db.scalars(select(ApiToken).order_by(ApiToken.id)).all()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
