"""The table of leads: what is written can be read again, and no cell is taken for a formula."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from booking.domain import tabular
from booking.domain.errors import CannotRead, ColumnUnknown

FLORIDA = ZoneInfo("America/New_York")
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
HOSTILE = st.text(st.sampled_from("'=+-@\t\r\n\ufeff\u200b =+-@,;\"a1\U0001f600"), max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12) | HOSTILE
SECONDS = st.integers(0, 2**31)
TIME = SECONDS.map(lambda seconds: datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=seconds % 10**6))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
VALUES = {
    name: TIME if name in tabular.TIMES else st.booleans() if name in tabular.FLAGS else TEXT
    for name in tabular.COLUMNS
} | {
    "new_patient": st.none() | st.booleans(),
    "phone": st.sampled_from(["", "+19045550134", "+442079460958", "+390612345678", "+493012345"]),
    "held_reasons": st.lists(TEXT, max_size=3),
    "extras": st.dictionaries(TEXT, JSON, max_size=3),
}
LEAD = st.fixed_dictionaries(VALUES)


def written(leads: list[dict[str, Any]], profile: str, columns: tuple[str, ...] = tabular.COLUMNS) -> bytes:
    layout = tabular.layout(profile, columns, FLORIDA, "US")
    return layout.head + layout.block({name: [lead[name] for lead in leads] for name in columns})


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def read_again(data: bytes) -> list[dict[str, Any]]:
    header, *rows = rows_of(data)
    heading = tabular.recognise(header, marked=data.startswith(b"\xef\xbb\xbf"))
    assert heading is not None
    return [tabular.read_row(dict(zip(heading.columns, row, strict=True)), heading, "US") for row in rows]


@given(TEXT)
@example("=1+1")
@example("'=1+1")
@example("''@x")
@example("'plain")
@example("'")
@example("")
@example(" \ufeff\u200b\uff1dcmd")
def test_taking_one_apostrophe_away_gives_the_text_back(text: str) -> None:
    assert tabular.unguard(tabular.guard(text)) == text


@given(TEXT)
def test_a_guarded_text_never_begins_like_a_formula(text: str) -> None:
    visible = re.sub(r"^[ \ufeff\u200b\u2060]*", "", tabular.guard(text))
    assert not visible.startswith(FORMULA)


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "\tx", "\rx", "\nx", " =1", "\ufeff=1", "\u200b+1", "\uff1d1", "'=1"]
)
def test_what_a_spreadsheet_would_compute_gets_an_apostrophe(text: str) -> None:
    assert tabular.guard(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a=1", "1+1", "'quoted'", "'", "(904) 555-0134", "", "Ada", "12345678901234567890"])
def test_what_no_spreadsheet_computes_stays_as_it_is(text: str) -> None:
    assert tabular.guard(text) == text


@given(st.lists(LEAD, max_size=2))
@settings(max_examples=50)
def test_the_raw_profile_gives_back_every_value(leads: list[dict[str, Any]]) -> None:
    assert read_again(written(leads, "raw")) == leads


@given(st.lists(LEAD, max_size=2))
@settings(max_examples=50)
def test_json_lines_give_back_every_value(leads: list[dict[str, Any]]) -> None:
    lines = [json.loads(line) for line in written(leads, "jsonl").decode().split("\n")[:-1]]
    raw = tabular.Heading(tabular.COLUMNS, spreadsheet=False, zone=UTC)
    assert [tabular.read_row(tabular.cells_of(line), raw, "US") for line in lines] == leads


@given(st.lists(LEAD, max_size=2))
@settings(max_examples=50)
def test_a_spreadsheet_read_and_written_again_is_the_same_file(leads: list[dict[str, Any]]) -> None:
    file = written(leads, "spreadsheet")
    assert written(read_again(file), "spreadsheet") == file


@given(LEAD)
def test_no_cell_of_a_spreadsheet_begins_like_a_formula(lead: dict[str, Any]) -> None:
    for cell in rows_of(written([lead], "spreadsheet"))[1]:
        assert not cell.lstrip(" \ufeff\u200b").startswith(FORMULA)


def test_a_spreadsheet_is_what_people_can_open() -> None:
    lead: dict[str, Any] = dict.fromkeys(tabular.COLUMNS, "")
    at = datetime(2026, 7, 4, 16, 5, 9, 123456, UTC)
    lead |= {"received_at": at, "updated_at": at, "held": True, "phone": "+19045550134", "name": 'Ada "A" O\'Neil'}
    lead |= {
        "urgent": False,
        "new_patient": None,
        "consent_reply": True,
        "consent_marketing": False,
        "incomplete": False,
    }
    lead |= {"held_reasons": ["One.", "Two."], "extras": {}}
    file = written(
        [lead], "spreadsheet", ("received_at", "held", "new_patient", "phone", "name", "held_reasons", "extras")
    )
    assert file.decode() == (
        '\ufeff"received_at (America/New_York)","held","new_patient","phone","name","held_reasons","extras"\r\n'
        '"2026-07-04 12:05:09","yes","","(904) 555-0134","Ada ""A"" O\'Neil","One.\nTwo.",""\r\n'
    )


def test_the_raw_profile_is_plain_and_exact() -> None:
    at = datetime(2026, 7, 4, 16, 5, 9, 123456, UTC)
    lead = {
        "received_at": at,
        "held": False,
        "new_patient": None,
        "phone": "+19045550134",
        "extras": {"Größe": [1, "2"]},
    }
    assert written([lead | {"name": "=1+1"}], "raw", (*lead, "name")).decode() == (
        "received_at,held,new_patient,phone,extras,name\r\n"
        '2026-07-04T16:05:09.123456Z,false,,+19045550134,"{""Größe"": [1, ""2""]}",=1+1\r\n'
    )


@given(st.integers(0, 10**10 - 1))
@example(0)
@example(118200000)
@example(1234567890)
def test_every_number_of_the_home_country_is_shown_as_dialled_and_read_back(number: int) -> None:
    e164 = f"+1{number:010}"
    [row] = rows_of(written([{"phone": e164}], "spreadsheet", ("phone",)))[1:]
    assert row == [f"({e164[2:5]}) {e164[5:8]}-{e164[8:]}"]
    assert (
        read_again(written([{"phone": e164, "reference": "R"}], "spreadsheet", ("reference", "phone")))[0]["phone"]
        == e164
    )


@pytest.mark.parametrize("profile", ["raw", "spreadsheet", "jsonl"])
def test_text_that_no_file_can_hold_does_not_end_the_file(profile: str) -> None:
    assert b"\\ud800" in written([{"name": "a\ud800b"}], profile, ("name",))


def test_the_hour_that_autumn_repeats_is_told_apart_by_the_order_of_the_file() -> None:
    first = datetime(2026, 11, 1, 5, 40, tzinfo=UTC)  # 01:40 in summer time
    times = [first, first + timedelta(minutes=30), first + timedelta(hours=1)]  # 01:40, 01:10, 01:40 again
    shown = [time.astimezone(FLORIDA).strftime("%Y-%m-%d %H:%M:%S") for time in times]
    assert shown == ["2026-11-01 01:40:00", "2026-11-01 01:10:00", "2026-11-01 01:40:00"]
    read, before = [], None
    for text in shown:
        before = tabular.read_time(text, FLORIDA, before)
        read.append(before)
    assert read[:2] == times[:2]


@given(TIME)
def test_a_local_time_is_read_as_an_instant_that_shows_the_same_time(time: datetime) -> None:
    shown = time.astimezone(FLORIDA).strftime("%Y-%m-%d %H:%M:%S")
    assert tabular.read_time(shown, FLORIDA).astimezone(FLORIDA).strftime("%Y-%m-%d %H:%M:%S") == shown


@pytest.mark.parametrize(
    "text", ["11/24/2026 10:30 AM", "Nov 24, 2026 10:30 AM", "2026-11-24T15:30:00Z", "2026-11-24 10:30"]
)
def test_a_time_is_read_as_programs_and_spreadsheets_write_it(text: str) -> None:
    assert tabular.read_time(text, FLORIDA) == datetime(2026, 11, 24, 15, 30, tzinfo=UTC)


def test_columns_are_chosen_by_name_and_all_of_them_without_a_choice() -> None:
    assert tabular.choose("") == tabular.COLUMNS
    assert tabular.choose(" name,reference, name ") == ("name", "reference")
    with pytest.raises(ColumnUnknown, match="nmae"):
        tabular.choose("nmae")


def test_the_columns_are_the_same_for_ever() -> None:
    assert tabular.COLUMNS[:34] == (
        "reference", "received_at", "status", "urgent", "held", "held_reasons", "name", "email", "phone", "message",
        "service", "practitioner", "location", "preferred_times", "contact_preference", "new_patient", "consent_reply",
        "consent_marketing", "page_url", "referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term",
        "utm_content", "utm_id", "gclid", "fbclid", "msclkid", "extras", "door", "incomplete", "phone_typed",
        "updated_at",
    )  # fmt: skip


@pytest.mark.parametrize("reason", ["[", "[]", '["x"]', "=1", "two\nlines"])
def test_a_reason_that_looks_like_something_else_is_written_the_same_again(reason: str) -> None:
    lead = {"reference": "R", "held_reasons": [reason]}
    file = written([lead], "spreadsheet", ("reference", "held_reasons"))
    assert written(read_again(file), "spreadsheet", ("reference", "held_reasons")) == file


@pytest.mark.parametrize(
    ("column", "cell"), [("received_at", "soon"), ("phone", "call me"), ("extras", "[1]"), ("extras", "{")]
)
def test_a_cell_that_cannot_be_read_names_its_column(column: str, cell: str) -> None:
    heading = tabular.Heading(tabular.COLUMNS, spreadsheet=True, zone=FLORIDA)
    with pytest.raises(CannotRead, match=column):
        tabular.read_row({column: cell}, heading, "US")


def test_a_header_of_somebody_elses_is_not_ours() -> None:
    assert tabular.recognise(["Name", "Email"], marked=False) is None
    assert tabular.recognise(["reference", "shoe size"], marked=False) is None
    with pytest.raises(CannotRead, match="time zone"):
        tabular.recognise(["reference", "received_at (Mars/Olympus)"], marked=True)


def test_a_column_somebody_added_becomes_an_extra() -> None:
    heading = tabular.recognise(["reference", "received_at", "Called by"], marked=False)
    assert heading is not None
    row = tabular.read_row({"reference": "R", "received_at": "2026-07-04T16:05:09Z", "Called by": "Bo"}, heading, "US")
    assert row["extras"] == {"Called by": "Bo"}
