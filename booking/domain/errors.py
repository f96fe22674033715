"""Every way in which the business says no, named after the fact."""

from collections.abc import Sequence
from typing import Any


class KeyReused(Exception):
    """One idempotency key came with two different contents."""


class CannotRead(ValueError):
    """A body is not readable as the fields of a form: `errors` says why in plain words, by field ("" for the whole).

    `pairs` holds what could be read all the same, so that nobody has to type it again.
    """

    def __init__(
        self, reason: str, field: str = "", *, malformed: bool = False, pairs: Sequence[tuple[str, Any]] = ()
    ) -> None:
        self.errors = {field: [reason]}
        self.pairs = pairs
        self.malformed = malformed  # not even the grammar holds: 400 rather than 422
        super().__init__(reason)


class ScopeMissing(Exception):
    """A token is good, but not for this."""


class TokenUnknown(Exception):
    """A token is missing, wrong, expired or revoked; which of these is not said."""


class ColumnUnknown(ValueError):
    """A list of columns names one that does not exist."""


class ParametersWrong(ValueError):
    """A query has parameters that cannot be used; `errors` are texts by parameter."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))


class NotOffered(ValueError):
    """A wished-for visit is none that is offered: `field` says what is wrong, the text says why, for the visitor."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(reason)


class SlotTaken(Exception):
    """Somebody else has the time, or a part of it."""


class TooLate(Exception):
    """The visit can no longer be changed by the visitor: its cut-off has passed, or it is over."""


class AppointmentUnknown(Exception):
    """No visit has this token; whether it never was, has been replaced or has run out is not said."""


class HoldUnknown(Exception):
    """No hold has this token, or it has run out."""


class TooManyHolds(Exception):
    """A visitor holds as many times as one may, or asks too often."""


class AlreadyExtended(Exception):
    """A hold can be extended once."""


class TimeIsBooked(Exception):
    """Time off would lie over visits: `references` names them, so that they are moved first."""

    def __init__(self, references: Sequence[str]) -> None:
        self.references = tuple(references)
        super().__init__(", ".join(references))


class WebhookKnown(Exception):
    """The program at this address is told of events already."""


class WebhookUnknown(Exception):
    """There is no webhook with this number."""


class WebhooksTooMany(Exception):
    """As many programs are told of events as may be."""
