"""The webhook: one event is handed to a receiver, signed as Standard Webhooks 1.0 wants it."""

import base64
import hmac
import re
import secrets as chance
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from booking.delivery import outgoing
from booking.delivery.failures import Refused, TryLater

PREFIX = "whsec_"
SECRET_BYTES = 32
LONGEST_PATIENCE = timedelta(days=1)
SECONDS = re.compile(r"[0-9]{1,18}")

# The table of the specification: after the first attempt and after each later one that failed.
RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)


def new_secret() -> str:
    """A secret for one receiver, in the form in which it is shown to it."""
    return PREFIX + base64.b64encode(chance.token_bytes(SECRET_BYTES)).decode()


def check_url(url: str, *, guard: bool) -> None:
    """Raises ValueError, in words for the person who adds a webhook, for a URL that would never be called."""
    outgoing.target(url, guard=guard)


def send(
    url: str,
    event_id: str,
    body: bytes,
    secrets: Sequence[str],
    at: datetime,
    *,
    guard: bool = True,
    seconds: float = 15.0,
    ca: Path | None = None,
) -> None:
    """Hand one event over; returns once it was taken, and else raises TryLater or Refused.

    `event_id` stays the same for each attempt, so that the receiver knows an event that comes twice; `at` is the
    time of this attempt. `secrets` has the newest first, and the one before it while a rotation lasts.
    """
    timestamp = int(at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "Webhook-Id": event_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": signature(secrets, event_id, timestamp, body),
    }
    _judge(outgoing.post(url, body, headers, guard=guard, seconds=seconds, ca=ca), at)


def signature(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> str:
    """The signatures of one attempt, one for each secret in their order; raises ValueError if there is no secret."""
    if not secrets:
        raise ValueError("a webhook is never sent unsigned")
    signed = f"{event_id}.{timestamp}.".encode() + body
    return " ".join(
        f"v1,{base64.b64encode(hmac.digest(_key(secret), signed, 'sha256')).decode()}" for secret in secrets
    )


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def _judge(answer: outgoing.Answer, at: datetime) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    if status == 410:
        raise Refused("the receiver answered 410: it is gone, and wants nothing any more", gone=True)
    if 300 <= status < 400:
        raise TryLater(f"the receiver answered {status}, a redirect, which is not followed")
    after = _patience(answer.headers.get("retry-after", ""), at) if status in (429, 503) else None
    raise TryLater(f"the receiver answered {status}", after)


def _patience(asked: str, at: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, a day at most; None if it asks for nothing that makes sense."""
    if SECONDS.fullmatch(asked):
        wanted = float(asked)
    else:
        try:
            until = parsedate_to_datetime(asked)
        except (ValueError, TypeError, OverflowError):
            return None
        wanted = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - at).total_seconds()
    return min(wanted, LONGEST_PATIENCE.total_seconds()) if wanted > 0 else None
