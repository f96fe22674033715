"""Imports: a file of leads read again, our own in any profile or Webflow's list of submissions."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from itertools import chain, count, islice
from typing import IO, Any

from sqlalchemy import insert, select, union_all
from sqlalchemy.orm import Session

from booking.domain import fields, tabular
from booking.domain import reference as references
from booking.domain.errors import CannotRead
from booking.domain.fields import ATTRIBUTION, PURPOSES
from booking.domain.status import LeadStatus
from booking.domain.submission import Circumstances, Submission, compose
from booking.domain.tabular import BOM, Heading
from booking.keyring import Keyring
from booking.models.lead import CONTENT, Consent, Lead, LeadAlias, new_id
from booking.operations import leads
from booking.operations.leads import Desk

BLOCK = 200
DOOR = "import"
LONGEST_CELL = 8 * 1024 * 1024
LONGEST = {"reference": Lead.reference.type.length, "door": Lead.door.type.length, "phone": Lead.phone.type.length}
YEARS = range(1970, 2039)  # which the ids of leads can hold
TEXTS = (
    "reference", "name", "email", "phone", "phone_typed", "service", "practitioner", "location",
    "contact_preference", "page_url", "referrer", "undelivered",
)  # fmt: skip
ESSENTIAL = {"name", "first_name", "email", "phone", "message"}
# Webflow's own column, by any of its names: when the form was sent, which is no answer of the person.
SUBMITTED = {"submissiondate", "datesubmitted", "submitted", "submittedat", "submittedon", "createdat", "createdon"}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Line:
    """One record of a file; `number` is the line it ends on. Of ours it has `values`, of Webflow's a `submission`.

    `lead_id` is 0 where the file does not say when the lead came.
    """

    number: int
    problem: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    submission: Submission | None = None
    received_at: datetime | None = None
    lead_id: int = 0


@dataclass(frozen=True)
class Sheet:
    """A file that was recognised: its kind, `ours` or `webflow`, and its lines, to be read once."""

    kind: str
    lines: Iterator[Line]

    def blocks(self) -> Iterator[list[Line]]:
        """The lines in portions, one for each transaction: a long import must not keep visitors waiting."""
        while block := list(islice(self.lines, BLOCK)):
            yield block


class Ids:
    """Ids in the order of a file; of the many leads that one instant can have there, no two by chance get the same."""

    def __init__(self) -> None:
        self._before: datetime | None = None
        self._last = 0

    def make(self, at: datetime | None) -> int:
        """The id for the next lead, which came then; 0 if that is not known."""
        if at is None:
            return 0
        self._last, self._before = (self._last + 1 if at == self._before else new_id(at)), at
        return self._last


@dataclass(frozen=True)
class Outcome:
    """What became of a line: `added`, `incomplete` (added too), `known` from before, or `refused` for a `problem`."""

    number: int
    result: str
    reference: str = ""
    problem: str = ""


def read(file: IO[bytes], *, zone: tzinfo, region: str) -> Sheet:
    """Recognise a file by its first line; raises CannotRead if nothing in it looks like leads.

    `zone` is for local times in a file that does not name its own. Nothing is read ahead of need.
    """
    csv.field_size_limit(LONGEST_CELL)
    text = _decoded(file)
    first = next(text, "")
    marked, first = first.startswith(BOM), first.removeprefix(BOM)
    if first.lstrip().startswith("{"):
        return Sheet("ours", _ours(_json_lines(chain([first], text)), region))
    delimiter = max(",;\t", key=first.count)
    rows = _records(csv.reader(chain([first], text), delimiter=delimiter))
    _, header = next(rows, (0, []))
    heading = tabular.recognise(header, marked=marked)
    if heading is not None:
        return Sheet("ours", _ours(((number, heading, row) for number, row in rows), region))
    if not ESSENTIAL & {fields.canonical(label) for label in header}:
        raise CannotRead("The first line names no column that could be a name, an e-mail address or a phone number.")
    return Sheet("webflow", _webflow(rows, header, zone, region))


def take(db: Session, block: Sequence[Line], desk: Desk, *, now: datetime) -> list[Outcome]:
    """Store the lines of a block that are not there yet, and tell what became of each. Doing it twice does no harm."""
    known = _known(db, [line.values["reference"] for line in block if line.values.get("reference")])
    outcomes, rows, consents = [], [], []
    fresh = count(new_id(now))  # for leads of which the file does not say when they came
    for line in block:
        if line.problem:
            outcomes.append(Outcome(line.number, "refused", problem=line.problem))
        elif line.submission is not None:
            outcomes.append(_captured(db, line, line.submission, desk, line.lead_id or next(fresh), now))
        elif line.values["reference"] in known:
            outcomes.append(Outcome(line.number, "known", line.values["reference"]))
        else:
            row = _row(line, line.lead_id or next(fresh), desk.keyring, now)
            known.add(row["reference"])
            rows.append(row)
            consents += _consents(row, line.values)
            outcomes.append(Outcome(line.number, "incomplete" if row["incomplete"] else "added", row["reference"]))
    for table, new in ((Lead, rows), (Consent, consents)):
        if new:
            db.connection().execute(insert(table), new)
    return outcomes


def _decoded(file: IO[bytes]) -> Iterator[str]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    try:
        yield from text
    except UnicodeDecodeError:
        raise CannotRead("The file is not UTF-8; save it as CSV UTF-8.") from None
    finally:
        if not text.closed:
            text.detach()  # the file is the caller's to close


def _records(rows: Any) -> Iterator[tuple[int, list[str]]]:
    """The records that are not empty, each with the number of its last line."""
    try:
        yield from ((rows.line_num, row) for row in rows if any(row))
    except csv.Error as failure:
        raise CannotRead(f"Line {rows.line_num} is not CSV: {failure}.") from None


def _json_lines(text: Iterable[str]) -> Iterator[tuple[int, Heading, list[str]]]:
    for number, line in enumerate(text, 1):
        if line.strip():
            try:
                cells = tabular.cells_of(json.loads(line))
            except (ValueError, AttributeError, RecursionError):
                raise CannotRead(f"Line {number} is not a JSON object.") from None
            yield number, Heading(tuple(cells), spreadsheet=False, zone=UTC), list(cells.values())


def _ours(records: Iterable[tuple[int, Heading, list[str]]], region: str) -> Iterator[Line]:
    """Lines of our own file as typed values; ids follow the order of the file, as the next export's order does."""
    ids, before = Ids(), None
    for number, heading, row in records:
        try:
            values = tabular.read_row(_paired(heading.columns, row), heading, region, before)
            _check(values)
        except CannotRead as refusal:
            yield Line(number, problem=str(refusal))
            continue
        at = values.get("received_at")
        before = at or before
        yield Line(number, values=values, received_at=at, lead_id=ids.make(at))


def _paired(columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    if any(row[len(columns) :]):
        raise CannotRead("This line has more cells than the first line has names.")
    return dict(zip(columns, row, strict=False))


def _check(values: Mapping[str, Any]) -> None:
    """Refuse what no lead can hold; the database would, and the whole block with it."""
    if not values.get("reference"):
        raise CannotRead("The column reference is empty.", "reference")
    if values.get("status") and values["status"] not in set(LeadStatus):
        raise CannotRead("The column status names no status.", "status")
    if values.get("phone") and not re.fullmatch(r"\+\d+", values["phone"], re.ASCII):
        raise CannotRead("The column phone is not a number such as +19045550134.", "phone")
    if "received_at" in values and values["received_at"].year not in YEARS:
        raise CannotRead("The column received_at lies in no year that a lead can be from.", "received_at")
    for name in LONGEST.keys() & values.keys():
        if len(values[name]) > LONGEST[name]:
            raise CannotRead(f"The column {name} is longer than {LONGEST[name]} characters.", name)
    for text in (text for value in values.values() for text in (value if isinstance(value, list) else [value])):
        if isinstance(text, str) and UNSTORABLE.search(text):
            raise CannotRead("This line contains characters that no text may contain.")


def _webflow(rows: Iterable[tuple[int, list[str]]], header: Sequence[str], zone: tzinfo, region: str) -> Iterator[Line]:
    """Lines of a Webflow export as submissions, each with its digest as key: the same line is the same post."""
    ids = Ids()
    for number, row in rows:
        pairs = [(label, cell) for label, cell in zip(header, row, strict=False) if cell.strip()]
        digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
        at, answers = _split(pairs, zone)
        submission = compose(fields.sort(answers), region=region, circumstances=Circumstances(door=DOOR))
        given = {"submission_key": submission.key} if submission.key else {}
        submission = replace(submission, key=digest, extras=submission.extras | given)
        problem = "This line contains characters that no text may contain." if UNSTORABLE.search("".join(row)) else ""
        yield Line(number, problem=problem, submission=submission, received_at=at, lead_id=ids.make(at))


def _split(pairs: Pairs, zone: tzinfo) -> tuple[datetime | None, Pairs]:
    """When the form was sent, if that can be read, and the person's answers."""
    for at, (label, cell) in enumerate(pairs):
        if "".join(letter for letter in label.casefold() if letter.isalnum()) in SUBMITTED:
            with suppress(ValueError, OverflowError):
                instant = tabular.read_time(cell, zone)
                if instant.year in YEARS:
                    return instant, pairs[:at] + pairs[at + 1 :]
    return None, pairs


def _captured(db: Session, line: Line, submission: Submission, desk: Desk, lead_id: int, now: datetime) -> Outcome:
    attempt = desk.keyring.digest("attempt", DOOR, submission.key)
    reference = db.scalar(select(Lead.reference).where(Lead.key_digest == attempt))
    if reference is not None:
        return Outcome(line.number, "known", reference)
    fresh = references.make(desk.clinic.reference_prefix)
    at = line.received_at or now
    captured = leads.capture(db, submission, desk, reference=fresh, received_at=at, now=now, lead_id=lead_id)
    result = "known" if captured.replayed else "incomplete" if captured.incomplete else "added"
    return Outcome(line.number, result, captured.reference)


def _known(db: Session, given: Sequence[str]) -> set[str]:
    if not given:
        return set()
    own = select(Lead.reference).where(Lead.reference.in_(given))
    others = select(LeadAlias.reference).where(LeadAlias.reference.in_(given))
    return set(db.scalars(union_all(own, others)))


def _row(line: Line, lead_id: int, keyring: Keyring, now: datetime) -> dict[str, Any]:
    v = line.values
    private = {"message": v.get("message", ""), "preferred_times": v.get("preferred_times", "")}
    private["extras"] = v.get("extras", {})
    return {
        "id": lead_id,
        "received_at": line.received_at or now,
        "updated_at": v.get("updated_at", now),
        "status": v.get("status") or LeadStatus.NEW.value,
        "urgent": bool(v.get("urgent")),
        "held": bool(v.get("held")),
        "held_reasons": v.get("held_reasons", []),
        "signals": {},
        "incomplete": bool(v.get("incomplete")) or not (v.get("email") or v.get("phone")),
        "door": v.get("door") or DOOR,
        "new_patient": v.get("new_patient"),
        "content": keyring.seal(json.dumps(private, ensure_ascii=False), CONTENT, lead_id),
        "attribution": {name: v[name] for name in ATTRIBUTION if v.get(name)},
    } | {name: v.get(name, "") for name in TEXTS}


def _consents(row: Mapping[str, Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the file knows of the consents: that they were given, not in which words."""
    evidence = {"lead_id": row["id"], "given_at": row["received_at"], "page_url": row["page_url"]}
    unknown = {"version": "", "wording": "", "wording_sha256": ""}
    given = [purpose for purpose in PURPOSES if values.get(f"consent_{purpose}")]
    return [evidence | unknown | {"purpose": purpose} for purpose in given]
