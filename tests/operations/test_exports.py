"""Exports: the leads that were asked for, in their order, from one snapshot, also when a key is gone."""

import csv
import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update
from structlog.testing import capture_logs

from booking import clinic
from booking.database import Database
from booking.domain import tabular
from booking.keyring import Keyring
from booking.models.lead import Lead, LeadAlias, new_id
from booking.operations import exports, imports
from booking.operations.catalog import CatalogCache
from booking.operations.exports import Export, Filters
from booking.operations.imports import Line
from booking.operations.leads import Desk

FLORIDA = ZoneInfo("America/New_York")
EVERYTHING = Filters()


class Shelf:
    """A database to put leads on, and to take files from."""

    def __init__(self, database: Database, keyring: Keyring, now: datetime) -> None:
        self.database, self.keyring, self.now = database, keyring, now

    def put(self, *leads: dict[str, Any]) -> None:
        """Store leads as given; each is received a minute after the one before unless it says when."""
        desk, lines = Desk(clinic.load(), self.keyring, CatalogCache()), []
        for number, lead in enumerate(leads):
            values = {"reference": f"SV-{number}", "email": f"{number}@example.com"} | lead
            at = lead.get("received_at", self.now + timedelta(minutes=number))
            lines.append(Line(number, values=values, received_at=at, lead_id=new_id(at)))
        with self.database.transaction() as db:
            imports.take(db, lines, desk, now=self.now)

    def export(self, filters: Filters = EVERYTHING, profile: str = "raw", columns: str = "") -> bytes:
        with self.database.reading() as db:
            return b"".join(self.open(db, filters, profile, columns))

    def open(self, db: Any, filters: Filters = EVERYTHING, profile: str = "raw", columns: str = "") -> Export:
        return exports.stream(
            db,
            filters,
            columns=tabular.choose(columns),
            profile=profile,
            zone=FLORIDA,
            region="US",
            keyring=self.keyring,
        )

    def found(self, filters: Filters) -> list[str]:
        """The references that pass, which must be as many as are counted, and the same that `search` finds."""
        *references, _ = self.export(filters, columns="reference").decode().split("\r\n")[1:]
        with self.database.reading() as db:
            assert exports.count(db, filters, zone=FLORIDA) == len(references)
            assert [lead.reference for lead in db.scalars(exports.search(filters, FLORIDA))] == references
        return references


@pytest.fixture
def shelf(database: Database, keyring: Keyring, now: datetime) -> Shelf:
    return Shelf(database, keyring, now)


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_lead_comes_out_with_everything_it_came_with(shelf: Shelf, now: datetime) -> None:
    values = {
        "name": "=cmd|' /C calc'!A0",
        "phone": "+19045550134",
        "message": 'He said: "it hurts",\nthen nothing. Ünï ✓',
        "preferred_times": "mornings\nnot Friday",
        "held": True,
        "held_reasons": ["One reason.", "Another."],
        "new_patient": True,
        "consent_reply": True,
        "utm_source": "news",
        "gclid": "-x",
        "extras": {"Z": 1, "A": ["x", None]},
        "door": "form",
    }
    shelf.put(values)
    [row] = rows_of(shelf.export())
    given = {name: value for name, value in values.items() if isinstance(value, str)}
    assert row | given == row
    assert json.loads(row["extras"]) == values["extras"]
    assert json.loads(row["held_reasons"]) == values["held_reasons"]
    assert (row["held"], row["urgent"], row["new_patient"]) == ("true", "false", "true")
    assert (row["consent_reply"], row["consent_marketing"]) == ("true", "false")
    assert row["received_at"] == "2026-11-24T15:30:00.000000Z"
    assert list(row) == list(tabular.COLUMNS)


def test_people_get_local_times_dialled_phones_and_no_formulas(shelf: Shelf) -> None:
    shelf.put({"name": "=1+1", "phone": "+19045550134", "phone_typed": "+1 904 555 0134"})
    file = shelf.export(profile="spreadsheet")
    [row] = rows_of(file)
    assert file.startswith(b"\xef\xbb\xbf")
    assert row["received_at (America/New_York)"] == "2026-11-24 10:30:00"
    assert (row["name"], row["phone"], row["phone_typed"]) == ("'=1+1", "(904) 555-0134", "'+1 904 555 0134")
    assert all(line.startswith(b'"') for line in file.removeprefix(b"\xef\xbb\xbf").split(b"\r\n")[:-1])


def test_json_lines_hold_values_of_their_own_types(shelf: Shelf) -> None:
    shelf.put({"held": True, "held_reasons": ["Why."], "extras": {"n": {"deep": [1]}}, "name": "=1"})
    [line] = shelf.export(profile="jsonl").splitlines()
    lead = json.loads(line)
    assert list(lead) == list(tabular.COLUMNS)
    assert (lead["held"], lead["urgent"], lead["new_patient"]) == (True, False, None)
    assert (lead["held_reasons"], lead["extras"], lead["name"]) == (["Why."], {"n": {"deep": [1]}}, "=1")
    assert lead["received_at"] == "2026-11-24T15:30:00.000000Z"


@pytest.mark.parametrize("profile", tabular.PROFILES)
def test_no_leads_make_a_file_all_the_same(shelf: Shelf, profile: str) -> None:
    assert shelf.export(profile=profile) == tabular.layout(profile, tabular.COLUMNS, FLORIDA, "US").head


@pytest.mark.parametrize("column", tabular.COLUMNS)
def test_every_column_can_come_alone(shelf: Shelf, column: str) -> None:
    shelf.put({"message": "m", "extras": {"a": 1}, "utm_id": "1"})
    everything = json.loads(shelf.export(profile="jsonl"))
    assert json.loads(shelf.export(profile="jsonl", columns=column)) == {column: everything[column]}


def test_leads_come_in_the_order_they_were_received(shelf: Shelf, now: datetime) -> None:
    shelf.put(*({"received_at": now - timedelta(minutes=number)} for number in range(5)))
    assert shelf.found(Filters()) == ["SV-4", "SV-3", "SV-2", "SV-1", "SV-0"]


def test_more_leads_than_a_block_come_out_once_each(shelf: Shelf) -> None:
    shelf.put(*({"message": f"{number}"} for number in range(2 * exports.BLOCK + 1)))
    rows = rows_of(shelf.export())
    assert [row["message"] for row in rows] == [f"{number}" for number in range(2 * exports.BLOCK + 1)]


def test_an_export_sees_the_moment_it_began(shelf: Shelf) -> None:
    shelf.put(*({} for _ in range(exports.BLOCK + 1)))
    with shelf.database.reading() as db:
        counted = exports.count(db, Filters(), zone=FLORIDA)
        shelf.put({"reference": "SV-late", "received_at": shelf.now + timedelta(days=1)})
        export = shelf.open(db)
        file = next(export) + next(export)
        with shelf.database.transaction() as writing:
            writing.execute(update(Lead).values(name="changed"))
        file += b"".join(export)
    assert len(rows_of(file)) == counted == exports.BLOCK + 1
    assert b"changed" not in file
    assert b"SV-late" not in file


def test_an_export_tells_how_far_it_came(shelf: Shelf) -> None:
    shelf.put({}, {})
    with shelf.database.reading() as db:
        export = shelf.open(db)
        head = next(export)
        assert (export.rows, export.finished, export.sha256) == (0, False, hashlib.sha256(head).hexdigest())
        rest = b"".join(export)
    assert (export.rows, export.finished, export.unreadable) == (2, True, 0)
    assert export.sha256 == hashlib.sha256(head + rest).hexdigest()


@pytest.mark.parametrize("profile", tabular.PROFILES)
def test_a_lead_whose_key_is_gone_says_so_and_the_others_come(shelf: Shelf, profile: str) -> None:
    shelf.put({"message": "first"}, {"message": "second"}, {"message": "third"})
    with shelf.database.transaction() as db:
        db.execute(update(Lead).where(Lead.reference == "SV-1").values(content=b"\x01\x09 another key"))
    with shelf.database.reading() as db, capture_logs() as logs:
        export = shelf.open(db, profile=profile)
        file = b"".join(export).decode()
    assert [file.count(text) for text in ("first", "second", "third", "[cannot be decrypted]")] == [1, 0, 1, 1]
    assert export.unreadable == 1
    assert [(entry["event"], entry["leads"]) for entry in logs] == [("exported_leads_unreadable", 1)]


def test_an_unreadable_lead_matters_only_where_its_text_is_asked_for(shelf: Shelf) -> None:
    shelf.put({})
    with shelf.database.transaction() as db:
        db.execute(update(Lead).values(content=b""))
    with shelf.database.reading() as db:
        export = shelf.open(db, columns="reference,name")
        assert b"SV-0" in b"".join(export)
    assert export.unreadable == 0


def test_incomplete_attempts_come_only_when_asked_for(shelf: Shelf) -> None:
    shelf.put({}, {"email": "", "incomplete": True})
    assert shelf.found(Filters()) == ["SV-0"]
    assert shelf.found(Filters(incomplete=True)) == ["SV-0", "SV-1"]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(), "0123"),
        (Filters(status=("new",)), "03"),
        (Filters(status=("contacted", "lost")), "12"),
        (Filters(service="physical therapy"), "1"),
        (Filters(held=True), "2"),
        (Filters(held=False), "013"),
        (Filters(urgent=True), "3"),
        (Filters(urgent=False, held=False), "01"),
        (Filters(status=("new",), urgent=True), "3"),
    ],
)
def test_filters_choose_leads(shelf: Shelf, filters: Filters, wanted: str) -> None:
    shelf.put(
        {"status": "new"},
        {"status": "contacted", "service": "physical therapy"},
        {"status": "lost", "held": True, "service": "physical"},
        {"urgent": True},
    )
    assert shelf.found(filters) == [f"SV-{number}" for number in wanted]


@pytest.mark.parametrize(
    ("from_on", "to_on", "wanted"),
    [
        (date(2026, 3, 8), None, "123"),
        (None, date(2026, 3, 8), "012"),
        (date(2026, 3, 8), date(2026, 3, 8), "12"),
        (date(2026, 3, 9), date(2026, 3, 8), ""),
    ],
)
def test_days_are_days_of_the_clinic_also_when_the_clock_changes(
    shelf: Shelf, from_on: date | None, to_on: date | None, wanted: str
) -> None:
    edges = ["2026-03-08T04:59:59Z", "2026-03-08T05:00:00Z", "2026-03-09T03:59:59.999999Z", "2026-03-09T04:00:00Z"]
    shelf.put(*({"received_at": datetime.fromisoformat(edge)} for edge in edges))
    assert shelf.found(Filters(from_on=from_on, to_on=to_on)) == [f"SV-{number}" for number in wanted]


def test_since_asks_for_the_last_change(shelf: Shelf, now: datetime) -> None:
    shelf.put(*({"updated_at": now + timedelta(microseconds=number)} for number in range(3)))
    eastern = (now + timedelta(microseconds=1)).astimezone(FLORIDA)
    assert shelf.found(Filters(since=eastern)) == ["SV-1", "SV-2"]


@pytest.mark.parametrize(
    ("q", "wanted"),
    [
        ("ada", "0"),
        ("ADA  l", "0"),
        ("özlem", "1"),
        ("ÖZLEM", "1"),
        ("100%", "2"),
        ("_x", "3"),
        ("%", "2"),
        ("\\", ""),
        ("2@EXAMPLE", "2"),
        ("sv-3", "3"),
        ("(904) 555-01", "0"),
        ("904.555.0134", "0"),
        ("9045550134", "0"),
        ("SV-OTHER", "1"),
        ("'; drop table lead", ""),
        ("  ", "0123"),
    ],
)
def test_q_looks_into_name_email_phone_and_reference(shelf: Shelf, q: str, wanted: str) -> None:
    shelf.put(
        {"name": "Ada Lovelace", "phone": "+19045550134"}, {"name": "Özlem"}, {"name": "100% Bo"}, {"name": "a_x"}
    )
    with shelf.database.transaction() as db:
        lead_id = db.scalar(exports.search(Filters(q="özlem"), FLORIDA).with_only_columns(Lead.id))
        db.execute(insert(LeadAlias), [{"reference": "SV-OTHER", "lead_id": lead_id}])
    assert shelf.found(Filters(q=q)) == [f"SV-{number}" for number in wanted]


def test_filters_are_told_to_the_audit_as_plain_values(now: datetime) -> None:
    filters = Filters(status=("new",), from_on=date(2026, 3, 8), held=False, since=datetime(2026, 1, 1, tzinfo=UTC))
    told = json.loads(json.dumps(filters.as_json()))
    assert told == {
        "status": ["new"],
        "from_on": "2026-03-08",
        "held": False,
        "incomplete": False,
        "since": "2026-01-01 00:00:00+00:00",
    }
