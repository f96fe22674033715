"""Reception: a submission is taken in whatever the weather, by the database or else by the spool, and drained later."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from booking.database import DatabaseAway
from booking.domain import reference as references
from booking.domain.errors import KeyReused, NotOffered
from booking.domain.offers import Wish
from booking.domain.slots import Slot
from booking.domain.submission import Submission
from booking.models.lead import WATCH
from booking.operations import enquiries, idempotency, leads, slots
from booking.operations.enquiries import Outcome
from booking.runtime import Runtime
from booking.spool import SpoolFileBad, Waiting

RECONCILED_AT_ONCE = 500
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Receipt:
    """What may be said to the visitor: the reference, whether it was here before, where it lies, what was booked.

    `visit` is described in `operations.enquiries.facts`; `kept` says that it is an earlier one, and not what was asked
    for now, `cancelled` that it was given up since; `refusal` says why a time was not booked; `taken` and its
    `alternatives` that somebody else has it.
    """

    reference: str
    received_at: datetime
    replayed: bool = False
    incomplete: bool = False
    spooled: bool = False
    visit: dict[str, Any] | None = None
    kept: bool = False
    cancelled: bool = False
    refusal: NotOffered | None = None
    taken: Wish | None = None
    alternatives: tuple[Slot, ...] = ()


def receive(premises: Runtime, submission: Submission, now: datetime) -> Receipt:
    """Store a submission durably before anybody says thank you; raises KeyReused, or SpoolFull if nothing takes it.

    The reference is made first and used wherever the submission ends up, so that an unknown outcome (the commit
    was sent, the answer never came) is the same lead when the spool is drained.
    """
    if submission.says_nothing:
        return Receipt("", now, incomplete=True)
    reference = references.make(premises.clinic.reference_prefix)
    try:
        with premises.database.transaction() as db:
            outcome = enquiries.take_in(db, submission, premises.desk, reference=reference, received_at=now, now=now)
    except KeyReused:
        raise
    except DatabaseAway as away:
        log.warning("database_away", reason=str(away))
        receipt = _spool(premises, submission, reference, now)
    except Exception:
        log.exception("capture_broke")
        receipt = _spool(premises, submission, reference, now)
    else:
        receipt = _receipt(premises, outcome, now)
    is_test = submission.circumstances.door == WATCH  # forgotten after a day: it must not seem to be lost
    if not receipt.incomplete and not is_test and not premises.receipts.note(receipt.reference, _state(receipt), now):
        log.error("receipt_not_noted", reference=receipt.reference)
    return receipt


def alternatives(premises: Runtime, wish: Wish, now: datetime) -> tuple[Slot, ...]:
    """The nearest free times; looked for after the commit, where a fault can cost no lead."""
    try:
        with premises.database.reading() as db:
            return tuple(slots.nearest(db, premises.catalogs.current(db, now.date()), wish, now))
    except Exception:
        log.exception("no_alternatives_found")
        return ()


def drain(premises: Runtime, clock: Callable[[], datetime]) -> Iterator[tuple[Waiting, str]]:
    """Bring what waits in the spool into the database, oldest first; yields each file and its fate.

    Fates are `stored`, `bad` (unreadable, set aside) and `waiting` (not now; a database that is away ends the drain).
    """
    for waiting in list(premises.spool.waiting()):
        try:
            fate = _store(premises, waiting, clock())
        except FileNotFoundError:
            continue  # another process drained it first
        except DatabaseAway:
            yield waiting, "waiting"
            if not premises.database.answers():
                return
            continue  # it refused this one alone, which must not hold up the leads behind it
        except SpoolFileBad:  # one bad file must not hold up the leads behind it
            premises.spool.set_aside(waiting)
            log.exception("spool_file_set_aside", reference=waiting.reference)
            fate = "bad"
        except Exception:  # a fault of ours: the file is good, and waits until the fault is mended
            log.exception("spool_file_not_stored", reference=waiting.reference)
            fate = "waiting"
        yield waiting, fate


def reconcile(premises: Runtime) -> tuple[int, list[str]]:
    """How many references were handed out, and those that neither the database nor the spool has; raises DatabaseAway.

    The spool is read before the database: a lead that is drained meanwhile is then found in one of them.
    """
    handed_out = list(dict.fromkeys(premises.receipts.references()))
    waiting = {file.reference for file in premises.spool.waiting()}
    lost: list[str] = []
    with premises.database.reading() as db:
        for start in range(0, len(handed_out), RECONCILED_AT_ONCE):
            lost += leads.missing(db, handed_out[start : start + RECONCILED_AT_ONCE])
    return len(handed_out), [reference for reference in lost if reference not in waiting]


def is_known(premises: Runtime, reference: str) -> bool:
    """Whether a lead was received under a reference, as far as can be told: True also when nobody can be asked."""
    if any(waiting.reference == reference for waiting in premises.spool.waiting()):
        return True
    try:
        with premises.database.reading() as db:
            return leads.knows(db, reference, complete=True)
    except DatabaseAway:
        return True


def _receipt(premises: Runtime, outcome: Outcome, now: datetime) -> Receipt:
    captured = outcome.captured
    return Receipt(
        captured.reference,
        captured.received_at,
        replayed=outcome.replayed,
        incomplete=captured.incomplete,
        visit=outcome.visit,
        kept=outcome.kept,
        cancelled=outcome.cancelled,
        refusal=outcome.refusal,
        taken=outcome.taken,
        alternatives=alternatives(premises, outcome.taken, now) if outcome.taken else (),
    )


def _store(premises: Runtime, waiting: Waiting, now: datetime) -> str:
    payload = premises.spool.read(waiting)
    try:
        submission = Submission.from_json(payload["submission"])
        received_at = datetime.fromisoformat(payload["received_at"])
    except (AttributeError, KeyError, TypeError, ValueError) as wrong:
        raise SpoolFileBad(type(wrong).__name__) from wrong
    with premises.database.transaction() as db:
        enquiries.recover(db, submission, premises.desk, reference=waiting.reference, received_at=received_at, now=now)
    premises.spool.remove(waiting)
    return "stored"


def _spool(premises: Runtime, submission: Submission, reference: str, now: datetime) -> Receipt:
    mark = idempotency.mark_of(submission, premises.keyring)
    earlier = premises.spool.find(mark)
    incomplete = not submission.acceptable
    if earlier is not None:
        received_at = datetime.fromtimestamp(earlier.millis / 1000, UTC)
        return Receipt(earlier.reference, received_at, replayed=True, incomplete=incomplete, spooled=True)
    payload = {"submission": submission.as_json(), "received_at": now.astimezone(UTC).isoformat()}
    premises.spool.put(reference, mark, int(now.timestamp() * 1000), payload)
    return Receipt(reference, now, incomplete=incomplete, spooled=True)


def _state(receipt: Receipt) -> str:
    return "spooled" if receipt.spooled else "replayed" if receipt.replayed else "stored"
