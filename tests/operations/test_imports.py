"""Imports: our own files come back as they went out, a Webflow export becomes leads, and twice is once."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select

from booking import clinic
from booking.database import Database
from booking.domain import tabular
from booking.domain.errors import CannotRead
from booking.keyring import Keyring
from booking.models.lead import Consent, Lead, LeadAlias, new_id
from booking.operations import exports, imports
from booking.operations.catalog import CatalogCache
from booking.operations.exports import Filters
from booking.operations.imports import Line, Outcome
from booking.operations.leads import Desk

FLORIDA = ZoneInfo("America/New_York")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=9) | st.text(
    st.sampled_from("'=+-@\t\r\n\ufeff\u200b ,;\"a"), max_size=6
)
# Around the autumn change of 2026, when local times come twice, with many leads in the same second.
MOMENTS = st.integers(0, 4 * 3600 * 4).map(
    lambda quarters: datetime(2026, 11, 1, 4, tzinfo=UTC) + timedelta(seconds=quarters / 4)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(tabular.COLUMNS, TEXT),
    **dict.fromkeys(tabular.FLAGS, st.booleans()),
    **dict.fromkeys(tabular.TIMES, MOMENTS),
    "status": st.sampled_from(["new", "contacted", "qualified", "converted", "lost"]),
    "phone": st.sampled_from(["", "+19045550134", "+10115550134", "+442079460958", "+390612345678"]),
    "new_patient": st.none() | st.booleans(),
    "held_reasons": st.lists(TEXT, max_size=2),
    "extras": st.dictionaries(TEXT, TEXT | st.lists(st.integers() | st.none(), max_size=2), max_size=2),
    "door": st.sampled_from(["form", "api", "import"]),
}
LEADS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=6)


class Desks:
    """A database and what is needed to fill it from files and to take files from it."""

    def __init__(self, database: Database, keyring: Keyring, now: datetime) -> None:
        self.database, self.desk, self.now = database, Desk(clinic.load(), keyring, CatalogCache()), now

    def empty(self) -> None:
        with self.database.transaction() as db:
            db.execute(delete(Lead))

    def put(self, leads: list[dict[str, Any]]) -> None:
        lines = [
            Line(number, values=lead | {"reference": f"SV-{number}"}, received_at=lead["received_at"], lead_id=number)
            for number, lead in enumerate(leads, 1)
        ]
        with self.database.transaction() as db:
            imports.take(db, lines, self.desk, now=self.now)

    def take(self, file: bytes) -> list[Outcome]:
        outcomes = []
        sheet = imports.read(io.BytesIO(file), zone=FLORIDA, region="US")
        for number, block in enumerate(sheet.blocks()):
            with self.database.transaction() as db:
                outcomes += imports.take(db, block, self.desk, now=self.now + timedelta(milliseconds=number))
        return outcomes

    def export(self, profile: str, columns: str = "") -> bytes:
        with self.database.reading() as db:
            return b"".join(
                exports.stream(
                    db,
                    Filters(incomplete=True),
                    columns=tabular.choose(columns),
                    profile=profile,
                    zone=FLORIDA,
                    region="US",
                    keyring=self.desk.keyring,
                )
            )

    def leads(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.export("jsonl").decode().split("\n")[:-1]]


@pytest.fixture
def desks(database: Database, keyring: Keyring, now: datetime) -> Desks:
    return Desks(database, keyring, now)


def results(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(outcome.result for outcome in outcomes)


# ---------------------------------------------------------------- our own files


@given(leads=LEADS)
@settings(max_examples=25)
@pytest.mark.parametrize("profile", tabular.PROFILES)
def test_an_export_taken_into_an_empty_database_is_exported_again_to_the_byte(
    desks: Desks, leads: list[dict[str, Any]], profile: str
) -> None:
    desks.empty()
    desks.put(leads)
    file = desks.export(profile)
    desks.empty()
    assert results(desks.take(file)).total() == len(leads)
    assert desks.export(profile) == file


@pytest.mark.parametrize("profile", tabular.PROFILES)
def test_the_same_file_twice_adds_nothing(desks: Desks, now: datetime, profile: str) -> None:
    desks.put([{"received_at": now, "email": f"{number}@example.com"} for number in range(imports.BLOCK + 1)])
    file = desks.export(profile)
    desks.empty()
    assert results(desks.take(file)) == {"added": imports.BLOCK + 1}
    assert results(desks.take(file)) == {"known": imports.BLOCK + 1}
    assert desks.export(profile) == file


def test_a_reference_twice_in_one_file_is_taken_once(desks: Desks) -> None:
    outcomes = desks.take(b"reference,email\r\nR-1,a@example.com\r\nR-1,b@example.com\r\n")
    assert [outcome.result for outcome in outcomes] == ["added", "known"]


def test_a_reference_that_is_another_name_of_a_lead_is_known(desks: Desks) -> None:
    desks.take(b"reference,email\r\nR-1,a@example.com\r\n")
    with desks.database.transaction() as db:
        db.execute(insert(LeadAlias), [{"reference": "R-2", "lead_id": db.scalar(select(Lead.id))}])
    assert results(desks.take(b"reference,email\r\nR-2,a@example.com\r\n")) == {"known": 1}


def test_missing_columns_are_filled_with_what_is_true_then(desks: Desks, now: datetime) -> None:
    assert desks.take(b"reference,email\r\nR-1,a@example.com\r\n") == [Outcome(2, "added", "R-1")]
    [lead] = desks.leads()
    assert (lead["status"], lead["door"], lead["held"], lead["new_patient"]) == ("new", "import", False, None)
    assert lead["received_at"] == lead["updated_at"] == now.isoformat(timespec="microseconds")[:26] + "Z"


def test_leads_without_a_time_are_of_now_and_keep_the_order_of_the_file(desks: Desks) -> None:
    rows = [f"R-{number}" for number in range(imports.BLOCK)]
    desks.take("\n".join(["reference,email", *(f"{row},a@example.com" for row in rows), ""]).encode())
    assert [lead["reference"] for lead in desks.leads()] == rows


def test_a_lead_without_a_way_to_answer_is_taken_as_incomplete(desks: Desks) -> None:
    assert results(desks.take(b"reference,name\r\nR-1,Ada\r\n")) == {"incomplete": 1}


def test_consents_come_back_without_a_wording(desks: Desks, now: datetime) -> None:
    desks.take(b"reference,email,consent_reply,consent_marketing\r\nR-1,a@example.com,yes,no\r\n")
    with desks.database.reading() as db:
        [consent] = db.scalars(select(Consent))
        assert (consent.purpose, consent.given_at, consent.wording, consent.version) == ("reply", now, "", "")


@pytest.mark.parametrize("dialect", ["excel-semicolon", "excel-tab"])
def test_a_file_saved_again_by_a_spreadsheet_is_read(desks: Desks, now: datetime, dialect: str) -> None:
    desks.put([{"received_at": now, "name": "=1", "phone": "+19045550134", "message": "a; b\tc"}])
    rows = csv.reader(io.StringIO(desks.export("spreadsheet").decode("utf-8-sig"), newline=""))
    saved = io.StringIO(newline="")
    csv.writer(saved, delimiter=";" if dialect == "excel-semicolon" else "\t", lineterminator="\n").writerows(rows)
    before = desks.leads()
    desks.empty()
    assert results(desks.take(saved.getvalue().encode())) == {"added": 1}
    assert desks.leads() == before


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",a@example.com,,,", "reference"),
        ("R-1,a@example.com,waiting,,", "status"),
        ("R-1,a@example.com,,tomorrow,", "received_at"),
        ("R-1,a@example.com,,2500-01-01T00:00:00Z,", "received_at"),
        ("R-1,a@example.com,,,904 555", "phone"),
        (f"R-1{'x' * 20},a@example.com,,,", "reference"),
        ("R-1,a\0@example.com,,,", "characters"),
        ("R-1,a@example.com,,,,surplus", "more cells"),
    ],
)
def test_a_line_that_no_lead_can_hold_is_refused_by_its_number_and_the_others_are_taken(
    desks: Desks, row: str, problem: str
) -> None:
    file = f"reference,email,status,received_at,phone\r\nR-0,z@example.com,,,\r\n{row}\r\nR-9,y@example.com,,,\r\n"
    taken, refused, last = desks.take(file.encode())
    assert (taken.result, refused.result, last.result) == ("added", "refused", "added")
    assert refused.number == 3
    assert problem in refused.problem


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"", "no column"),
        (b"shoe size,colour\r\n12,blue\r\n", "no column"),
        ("reference,name\r\nR-1,Zoë\r\n".encode("cp1252"), "UTF-8"),
        (b'{"reference": "R-1"}\nnot json\n', "Line 2"),
        (b'{"reference": "R-1"}\n[1]\n', "Line 2"),
    ],
)
def test_a_file_that_is_no_list_of_leads_is_refused_with_the_reason(desks: Desks, file: bytes, problem: str) -> None:
    with pytest.raises(CannotRead, match=problem):
        desks.take(file)


# ---------------------------------------------------------------- Webflow's list of submissions

WEBFLOW = """\
Your Name,E-mail,Phone Number,How can we help?,Page,Form Name,Submission Date,Favourite colour
Ada Lovelace,ada@example.com,(904) 555-0134,"My knee hurts,
since June.",https://www.example.com/contact,Contact,2026-06-01T14:03:09.120Z,green
Bo,,,call me,https://www.example.com/contact,Contact,"Jun 2, 2026 9:05 AM",
,,,,,,,
Ada Lovelace,ada@example.com,(904) 555-0134,"My knee hurts,
since June.",https://www.example.com/contact,Contact,2026-06-01T14:03:09.120Z,green
"""


def test_a_webflow_export_becomes_leads(desks: Desks) -> None:
    outcomes = desks.take(WEBFLOW.encode("utf-8-sig"))
    assert [(outcome.number, outcome.result) for outcome in outcomes] == [(3, "added"), (4, "incomplete"), (7, "known")]
    ada, bo = desks.leads()
    assert (ada["name"], ada["email"], ada["phone"]) == ("Ada Lovelace", "ada@example.com", "+19045550134")
    assert ada["message"] == "My knee hurts,\nsince June."
    assert ada["page_url"] == "https://www.example.com/contact"
    assert ada["extras"] == {"Form Name": "Contact", "Favourite colour": "green"}
    assert (ada["door"], ada["received_at"]) == ("import", "2026-06-01T14:03:09.120000Z")
    assert (bo["name"], bo["incomplete"], bo["received_at"]) == ("Bo", True, "2026-06-02T13:05:00.000000Z")


def test_the_same_webflow_export_twice_adds_nothing(desks: Desks) -> None:
    first = desks.take(WEBFLOW.encode())
    before = desks.export("raw")
    again = desks.take(WEBFLOW.encode())
    assert results(again) == {"known": 3}
    assert [outcome.reference for outcome in again] == [outcome.reference for outcome in first]
    assert desks.export("raw") == before


def test_two_lines_that_differ_are_two_leads(desks: Desks) -> None:
    lines = (
        "Email,Message,Submitted\na@example.com,hello,2026-06-01T10:00:00Z\na@example.com,hello,2026-06-01T10:00:01Z\n"
    )
    assert results(desks.take(lines.encode())) == {"added": 2}


def test_a_date_that_cannot_be_read_is_kept_and_the_lead_is_of_today(desks: Desks, now: datetime) -> None:
    desks.take(b"Email,Submission Date\na@example.com,a while ago\n")
    [lead] = desks.leads()
    assert lead["extras"] == {"Submission Date": "a while ago"}
    assert lead["received_at"].startswith(f"{now:%Y-%m-%d}")


def test_a_submission_id_of_webflow_is_kept(desks: Desks) -> None:
    desks.take(b"Email,Submission ID\na@example.com,665f\n")
    assert desks.leads()[0]["extras"] == {"submission_key": "665f"}


@pytest.mark.parametrize("kind", ["ours", "webflow"])
def test_a_file_of_any_length_is_read_piece_by_piece(desks: Desks, kind: str) -> None:
    label = "reference" if kind == "ours" else "E-mail address"
    endless: Any = Endless(f"{label},message\n".encode(), lambda number: f"{number}@x.com,m\n".encode())
    sheet = imports.read(endless, zone=FLORIDA, region="US")
    assert sheet.kind == kind
    block = next(sheet.blocks())
    assert len(block) == imports.BLOCK


class Endless(io.RawIOBase):
    """A file that never ends."""

    def __init__(self, head: bytes, line: Callable[[int], bytes]) -> None:
        self._parts = self._make(head, line)

    @staticmethod
    def _make(head: bytes, line: Callable[[int], bytes]) -> Iterator[bytes]:
        yield head
        for number in range(10**9):
            yield line(number)

    def readable(self) -> bool:
        return True

    def read(self, _size: int = -1) -> bytes:
        return next(self._parts)

    read1 = read


def test_a_long_file_adds_every_lead_once(desks: Desks) -> None:
    rows = "".join(f"{number}@example.com,text {number % 7}\n" for number in range(2 * imports.BLOCK + 1))
    assert results(desks.take(f"Email,Message\n{rows}".encode())) == {"added": 2 * imports.BLOCK + 1}
    with desks.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(Lead)) == 2 * imports.BLOCK + 1


def test_of_many_leads_of_one_instant_no_two_get_the_same_id() -> None:
    """Ids made anew for 12,000 leads of a millisecond are the same twice but for once in 10^14."""
    rows = "".join(f"{number}@example.com,2026-03-05\n" for number in range(12_000))
    sheet = imports.read(io.BytesIO(f"Email,Submission Date\n{rows}".encode()), zone=FLORIDA, region="US")
    ids = [line.lead_id for line in sheet.lines]
    assert 0 not in ids
    assert ids == sorted(set(ids))
    moment = datetime(2026, 3, 5, tzinfo=FLORIDA)
    anew = {new_id(moment) for _ in ids}
    assert len(anew) < len(ids)
