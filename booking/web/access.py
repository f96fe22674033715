"""Access: who may pass. A program shows a token in its Authorization header; any cookie it sends is ignored."""

from datetime import UTC, datetime

from flask import request

from booking.domain.errors import TokenUnknown
from booking.operations import tokens
from booking.operations.tokens import Bearer
from booking.web.premises import premises


def bearer(scope: str) -> Bearer:
    """Whoever's token came with this request, if it is good for `scope`; raises TokenUnknown or ScopeMissing."""
    shown = request.authorization
    if shown is None or shown.type != "bearer" or not shown.token:
        raise TokenUnknown
    now, database = datetime.now(UTC), premises().database
    with database.reading() as db:
        found = tokens.authenticate(db, shown.token, scope, now)
    with database.transaction() as db:
        tokens.note_use(db, found.id, now)
    return found
