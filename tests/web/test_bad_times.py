"""Times that cannot be booked, as form and as JSON, on both engines: one verdict, its reason, and the lead is safe."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from booking.domain.catalog import Catalog
from booking.models import Appointment, Claim, Lead
from booking.runtime import Runtime
from tests.web.visitor import ADA, ADJUSTMENT, AS_JSON, Slot, free, wish

FLORIDA = ZoneInfo("America/New_York")
NO_TIME, NO_SUCH, NO_OFFSET = "This is not a time such as", "There is no such day or time", "must say its offset"
PASSED, TOO_SOON, TOO_FAR = "This time has passed", "This is too soon", "This is too far ahead"
OUTSIDE, OFF_GRID = "outside the hours", "Visits do not begin at this time"

# What is wrong, its reason, and the text; each is sent as it is in a form, and as a JSON text.
MALFORMED: dict[str, tuple[str, str]] = {
    "words": (NO_TIME, "tomorrow at ten"),
    "a day": (NO_TIME, "2026-12-01"),
    "American": (NO_TIME, "12/01/2026 10:00 AM"),
    "UNIX seconds": (NO_TIME, "1796137200"),
    "a sign unescaped in a form": (NO_TIME, "2026-12-01T10:00:00 05:00"),
    "a name of a zone": (NO_TIME, "2026-12-01T10:00:00 EST"),
    "an offset without a colon": (NO_TIME, "2026-12-01T10:00:00-0500"),
    "digits of another script": (NO_TIME, "２０２６-12-01T10:00:00Z"),
    "a month too many": (NO_SUCH, "2026-13-01T10:00:00Z"),
    "a day too many": (NO_SUCH, "2027-02-29T10:00:00Z"),
    "an hour too many": (NO_TIME, "2026-12-01T25:00:00Z"),
    "a minute too many": (NO_SUCH, "2026-12-01T10:60:00Z"),
    "an offset of more than a day": (NO_TIME, "2026-12-01T10:00:00+25:00"),
    "year zero": (NO_SUCH, "0000-12-01T10:00:00Z"),
    "before the first year by its offset": (NO_SUCH, "0001-01-01T00:00:00+01:00"),
    "after the last year by its offset": (NO_SUCH, "9999-12-31T23:59:59-01:00"),
    "the first instant": (NO_SUCH, "0001-01-01T00:00:00Z"),
    "the second day": (PASSED, "0001-01-02T00:00:00Z"),
    "the last instant": (TOO_FAR, "9999-12-31T23:59:59.999999Z"),
    "no zone": (NO_OFFSET, "2026-12-01T10:00:00"),
    "no zone in year one": (NO_OFFSET, "0001-01-01T00:00"),
    "no zone in the last year": (NO_OFFSET, "9999-12-31T23:59:59"),
    "the hour that the clock skips": ("There is no 02:30 on 2027-03-14", "2027-03-14T02:30"),
    "the hour that the clock shows twice": ("The clock shows 01:30 on 2027-11-07 twice", "2027-11-07T01:30:00"),
    "NUL": (NO_TIME, "2026-12-01T10:00:00-05:00\0"),
    "nothing but NUL": (NO_TIME, "\0"),
    "a line end": (NO_TIME, "2026-12-01T10:00:00-05:00\nX"),
    "markup": (NO_TIME, "<script>alert(1)</script>"),
    "SQL": (NO_TIME, "'; drop table lead; --"),
    "right to left": (NO_TIME, "\u202e2026-12-01T10:00:00Z"),
    "ten thousand letters": (NO_TIME, "x" * 10_000),
    "ten thousand digits": (NO_TIME, "9" * 10_000),
    "ten thousand digits of a second": (PASSED, f"2020-12-01T10:00:00.{'1' * 10_000}Z"),
}
OTHER_TYPES = ("5", "-1", "1.5", "1e4", "true", "false", "[]", '["2026-12-01T10:00:00Z"]', "{}",
               '{"time": "10:00"}', "12345678901234567890", '"\\ud800"', '["\\u0000"]')  # fmt: skip


def post_form(client: FlaskClient, fields: dict[str, str], door: str = "/leads") -> TestResponse:
    return client.post(door, data=fields, headers=AS_JSON)


def post_json(client: FlaskClient, fields: dict[str, Any], door: str = "/leads") -> TestResponse:
    return client.post(door, json=fields, headers=AS_JSON)


def kept(runtime: Runtime) -> dict[str, bool]:
    """The references of all leads, and whether they are incomplete."""
    with runtime.database.reading() as db:
        return {row.reference: row.incomplete for row in db.execute(select(Lead.reference, Lead.incomplete))}


def is_kept(runtime: Runtime, answer: TestResponse) -> bool:
    """Whether the lead that an answer names is there, and can be answered."""
    return kept(runtime).get(answer.get_json().get("reference")) is False


def booked(runtime: Runtime) -> int:
    with runtime.database.reading() as db:
        return sum(db.scalar(select(func.count()).select_from(model)) or 0 for model in (Appointment, Claim))


def refused_with(answer: TestResponse, field: str, reason: str) -> bool:
    """Whether a post is refused as a problem that names this one field for this reason."""
    if (answer.status_code, answer.mimetype) != (422, "application/problem+json"):
        return False
    errors = answer.get_json()["errors"]
    return list(errors) == [field] and reason in errors[field][0]


def each_way(client: FlaskClient, who: dict[str, str], fields: dict[str, str]) -> list[TestResponse]:
    """The same as a form and as JSON at the form's door, and at the program's; each an enquiry of its own."""
    return [
        post_form(client, who | fields | {"message": "form"}),
        post_json(client, who | fields | {"message": "JSON"}),
        post_json(client, who | fields | {"message": "program"}, "/api/v1/leads"),
    ]


# ---------------------------------------------------------------- no time at all


def test_a_time_that_cannot_be_read_is_refused_with_its_reason_and_the_lead_is_kept(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    wrong = {}
    for number, (kind, (reason, text)) in enumerate(MALFORMED.items()):
        who = {"email": f"{number}@example.com", "service": ADJUSTMENT}
        for answer in each_way(client, who, {"starts_at": text}):
            if not (refused_with(answer, "starts_at", reason) and is_kept(runtime, answer)):
                wrong[kind] = answer.text
    assert wrong == {}
    assert len(kept(runtime)) == 3 * len(MALFORMED)
    assert booked(runtime) == 0


def test_a_time_of_another_type_is_refused_and_the_lead_is_kept(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    for number, raw in enumerate(OTHER_TYPES):
        for name in ("starts_at", "hold"):
            body = f'{{"email": "{name}{number}@example.com", "service": "{ADJUSTMENT}", "{name}": {raw}}}'
            answer = client.post("/api/v1/leads", data=body, content_type="application/json")
            assert refused_with(answer, name, ""), (raw, answer.text)
            assert kept(runtime)[answer.get_json()["reference"]] is False
    assert booked(runtime) == 0


def test_a_name_that_is_a_time_only_in_part_is_no_time(client: FlaskClient, catalog: Catalog) -> None:
    """What is no text is not left out quietly: the rest could be a time."""
    good = free(client)[0]["starts_at"]
    for spoiled in (f"{good}\0", f"\0{good}", f"{good[:5]}\0{good[5:]}", f"{good}\ud800"):
        body = json.dumps(ADA | {"service": ADJUSTMENT, "starts_at": spoiled})
        answer = client.post("/leads", data=body, content_type="application/json")
        assert refused_with(answer, "starts_at", NO_TIME)


def test_no_time_is_no_wish_for_one(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> None:
    for nothing in ("", " ", "\t\n", "\u3000"):
        answers = each_way(client, ADA | {"service": ADJUSTMENT, "name": f"Ada {nothing!r}"}, {"starts_at": nothing})
        assert [answer.status_code for answer in answers] == [201] * 3
    assert post_json(client, ADA | {"starts_at": None}).status_code == 201
    assert booked(runtime) == 0


# ---------------------------------------------------------------- no time on offer


def offered_nowhere(client: FlaskClient) -> dict[str, tuple[str, str, dict[str, str]]]:
    """What is wrong: the field, the reason, and the fields that say it."""
    slot = free(client, practitioner="dr-juniper-tidewell")[0]
    start, now = datetime.fromisoformat(slot["starts_at"]), datetime.now(UTC).replace(microsecond=0)
    sunday = start + timedelta(days=(6 - start.weekday()) % 7)
    weekday = next(s for s in free(client, practitioner="dr-juniper-tidewell") if s["starts_at"][11:13] == "13")
    lunch = datetime.fromisoformat(weekday["starts_at"]).replace(hour=12, minute=30)
    gap = datetime(2099, 3, 8, 2, 30, tzinfo=FLORIDA)
    base = wish(slot)
    wrong: dict[str, tuple[str, str, dict[str, str]]] = {
        "off the grid": ("starts_at", OFF_GRID, {"starts_at": (start + timedelta(minutes=7)).isoformat()}),
        "a second too late": ("starts_at", OFF_GRID, {"starts_at": (start + timedelta(seconds=1)).isoformat()}),
        "a moment too late": ("starts_at", OFF_GRID, {"starts_at": (start + timedelta(microseconds=1)).isoformat()}),
        "the past": ("starts_at", PASSED, {"starts_at": (now - timedelta(days=1)).isoformat()}),
        "a minute ago": ("starts_at", PASSED, {"starts_at": (now - timedelta(minutes=1)).isoformat()}),
        "inside the notice": ("starts_at", TOO_SOON, {"starts_at": (now + timedelta(minutes=90)).isoformat()}),
        "beyond the horizon": ("starts_at", TOO_FAR, {"starts_at": (start + timedelta(days=62)).isoformat()}),
        "in the night": ("starts_at", OUTSIDE, {"starts_at": start.replace(hour=3, minute=0).isoformat()}),
        "at lunch": ("starts_at", OUTSIDE, {"starts_at": lunch.isoformat()}),
        "ending after closing": ("starts_at", OUTSIDE, {"starts_at": lunch.replace(hour=17, minute=45).isoformat()}),
        "a closed day": ("starts_at", OUTSIDE, {"starts_at": sunday.replace(hour=10, minute=0).isoformat()}),
        "the skipped hour with an offset": ("starts_at", TOO_FAR, {"starts_at": gap.isoformat()}),
        "a practitioner who does not give it": ("practitioner", "does not offer", {"practitioner": "wren-palmetto"}),
        "a practitioner nobody knows": ("practitioner", "nobody of this name", {"practitioner": "x" * 10_000}),
        "a service nobody gives": ("service", "do not offer this", {"service": "brain-surgery"}),
        "a service agreed on by phone": ("service", "by phone", {"service": "aesthetics"}),
        "no service": ("service", "Please choose", {"service": ""}),
        "a place nobody knows": ("location", "no place of this name", {"location": "'; drop table location"}),
        "everything wrong": ("starts_at", NO_TIME, {"starts_at": "x", "service": "x", "practitioner": "x"}),
    }
    return {kind: (field, reason, base | fields) for kind, (field, reason, fields) in wrong.items()}


def test_a_time_that_is_not_offered_is_refused_with_the_field_and_its_reason_and_the_lead_is_kept(
    client: FlaskClient, catalog: Catalog, runtime: Runtime
) -> None:
    wrong = {}
    for number, (kind, (field, reason, fields)) in enumerate(offered_nowhere(client).items()):
        for answer in each_way(client, {"email": f"{number}@example.com"}, fields):
            if not (refused_with(answer, field, reason) and is_kept(runtime, answer)):
                wrong[kind] = answer.text
    assert wrong == {}
    assert booked(runtime) == 0


def test_without_a_way_to_answer_the_attempt_is_kept(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> None:
    texts = ("tomorrow", "\0", "2020-01-01T10:00:00Z", "x" * 10_000, free(client)[0]["starts_at"])
    for number, text in enumerate(texts):
        for answer in each_way(client, {"name": f"Nobody {number}"}, {"starts_at": text, "service": ADJUSTMENT}):
            assert answer.status_code == 422
            assert {"email", "phone"} <= set(answer.get_json()["errors"])
            assert kept(runtime)[answer.get_json()["reference"]] is True
    assert booked(runtime) == 0


def test_a_time_that_is_none_is_kept_as_it_was_typed(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> None:
    answer = post_form(client, ADA | {"service": ADJUSTMENT, "starts_at": "Tuesday, ten-ish"})
    with runtime.database.reading() as db:
        lead = db.scalars(select(Lead).where(Lead.reference == answer.get_json()["reference"])).one()
    assert "Tuesday, ten-ish" in runtime.keyring.open(lead.content, "lead.content", lead.id)


def test_a_clinic_without_a_catalogue_keeps_the_lead_and_says_that_the_time_is_not_booked(
    client: FlaskClient, runtime: Runtime
) -> None:
    slot: Slot = {"starts_at": "2026-12-01T10:00:00-05:00", "practitioner": "", "location": ""}
    for answer in each_way(client, ADA, wish(slot)):
        assert refused_with(answer, "service", "do not offer")
        assert kept(runtime)[answer.get_json()["reference"]] is False


@pytest.mark.parametrize("kind", ["form", "JSON"])
def test_sixty_four_kilobytes_of_time_are_a_time_that_is_none_and_one_byte_more_is_too_large(
    client: FlaskClient, catalog: Catalog, kind: str
) -> None:
    start, end, media = "email=a@example.com&starts_at=", "", "application/x-www-form-urlencoded"
    if kind == "JSON":
        start, end, media = '{"email": "a@example.com", "starts_at": "', '"}', "application/json"
    fits = start + "9" * (64 * 1024 - len(start) - len(end)) + end
    answers = [client.post("/leads", data=body, content_type=media, headers=AS_JSON) for body in (fits, fits + " ")]
    assert [answer.status_code for answer in answers] == [422, 413]
    assert answers[0].get_json()["reference"]
