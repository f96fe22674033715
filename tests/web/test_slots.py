"""Free slots over HTTP: their shape, wrong questions named, reasons for who may hear them, and never a stale answer."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from booking.domain.catalog import Catalog
from booking.operations import tokens
from booking.runtime import Runtime
from tests.web.visitor import ADJUSTMENT, MASSAGE, book, free, hold, queries

FLORIDA = ZoneInfo("America/New_York")
WREN, JUNIPER = "wren-palmetto", "dr-juniper-tidewell"


def ask(client: FlaskClient, **query: Any) -> TestResponse:
    return client.get("/api/v1/slots", query_string={"service": ADJUSTMENT} | query)


# ---------------------------------------------------------------- what is answered


def test_a_slot_says_when_in_clinic_time_with_its_offset_with_whom_and_where(
    client: FlaskClient, catalog: Catalog
) -> None:
    answer = ask(client, days=14)
    body = answer.get_json()
    assert (answer.status_code, answer.mimetype, body["timezone"]) == (200, "application/json", "America/New_York")
    for slot in body["slots"]:
        starts_at, ends_at = (datetime.fromisoformat(slot[name]) for name in ("starts_at", "ends_at"))
        assert ends_at - starts_at == timedelta(minutes=30)
        assert starts_at.utcoffset() == starts_at.astimezone(FLORIDA).utcoffset()
        assert set(slot) == {"starts_at", "ends_at", "practitioner", "location"}
        assert slot["location"] == "st-augustine"
    assert {slot["practitioner"] for slot in body["slots"]} == {JUNIPER, "dr-sol-marshgrove"}
    assert body["slots"] == sorted(body["slots"], key=lambda slot: slot["starts_at"])


def test_without_more_words_it_is_the_week_from_today_on(client: FlaskClient, catalog: Catalog) -> None:
    body = ask(client).get_json()
    today = datetime.now(FLORIDA).date()
    assert (body["from"], body["days"]) == (today.isoformat(), 7)
    days = {datetime.fromisoformat(slot["starts_at"]).date() for slot in body["slots"]}
    assert min(days) >= today
    assert max(days) < today + timedelta(days=7)


def test_the_days_asked_for_are_days_on_the_clinics_clock(client: FlaskClient, catalog: Catalog) -> None:
    everything = free(client)
    for day in {slot["starts_at"][:10] for slot in everything}:
        expected = [slot for slot in everything if slot["starts_at"].startswith(day)]
        assert ask(client, **{"from": day, "days": 1}).get_json()["slots"] == expected


def test_a_question_may_name_practitioner_and_location_by_slug_or_name(client: FlaskClient, catalog: Catalog) -> None:
    found = free(client, practitioner=JUNIPER, location="st-augustine")
    assert {slot["practitioner"] for slot in found} == {JUNIPER}
    assert free(client, practitioner="Dr. Juniper Tidewell", location="St. Augustine") == found
    assert free(client, "Chiropractic Adjustment", practitioner=JUNIPER) == found


def test_days_without_a_free_slot_say_where_there_is_one(client: FlaskClient, catalog: Catalog) -> None:
    first = free(client, MASSAGE)[0]
    day_before = date.fromisoformat(first["starts_at"][:10]) - timedelta(days=400)
    body = ask(client, service=MASSAGE, **{"from": day_before, "days": 1}).get_json()
    assert body["slots"] == []
    assert body["next"] == ask(client, service=MASSAGE, days=62).get_json()["slots"][0]
    too_late = ask(client, **{"from": "2099-01-01"}).get_json()
    assert (too_late["slots"], too_late["next"]) == ([], None)


def test_every_question_takes_the_same_few_queries(client: FlaskClient, catalog: Catalog, runtime: Runtime) -> None:
    counts = set()
    day = ask(client).get_json()["slots"][-1]["starts_at"][:10]  # it reads the catalogue, once; today may be over
    for query in (
        {"from": day, "days": 1},
        {"days": 62},
        {"days": 30, "practitioner": JUNIPER},
        {"days": 61, "new_patient": "no"},
    ):
        with queries(runtime) as statements:
            assert ask(client, **query).get_json()["slots"]
        counts.add(len(statements))
    assert len(counts) == 1
    assert max(counts) <= 3


# ---------------------------------------------------------------- wrong questions


WRONG: dict[str, tuple[str, dict[str, str]]] = {
    "no service": ("service", {"service": ""}),
    "an unknown service": ("service", {"service": "brain-surgery"}),
    "a service agreed on by phone": ("service", {"service": "aesthetics"}),
    "a service for new patients": ("service", {"service": "first-visit", "new_patient": "false"}),
    "an unknown practitioner": ("practitioner", {"practitioner": "dr-who"}),
    "one who does not give it": ("practitioner", {"practitioner": WREN}),
    "an unknown location": ("location", {"location": "mars"}),
    "a day that is none": ("from", {"from": "2026-02-30"}),
    "a day in words": ("from", {"from": "tomorrow"}),
    "a day in digits of another script": ("from", {"from": "２０２６-12-01"}),
    "a day in short": ("from", {"from": "20261201"}),
    "a week": ("from", {"from": "2026-W49-1"}),
    "an instant": ("from", {"from": "2026-12-01T10:00:00Z"}),
    "year one": ("from", {"from": "0001-01-01"}),
    "the last of days": ("from", {"from": "9999-12-31"}),
    "no days": ("days", {"days": "0"}),
    "too many days": ("days", {"days": "63"}),
    "less than no days": ("days", {"days": "-1"}),
    "half a day": ("days", {"days": "1.5"}),
    "days in digits of another script": ("days", {"days": "٣"}),
    "days without end": ("days", {"days": "9" * 5000}),
    "perhaps new": ("new_patient", {"new_patient": "perhaps"}),
    "perhaps a reason": ("explain", {"explain": "perhaps"}),
    "a parameter nobody knows": ("horse", {"horse": "1"}),
    "NUL": ("service", {"service": "chiropractic-adjustment\0"}),
    "a whole novel": ("practitioner", {"practitioner": "x" * 10_000}),
}


def test_a_wrong_question_is_refused_with_the_parameter_named(client: FlaskClient, catalog: Catalog) -> None:
    answers = {kind: ask(client, **query) for kind, (_, query) in WRONG.items()}
    wrong = {
        kind: answer.text
        for kind, answer in answers.items()
        if answer.status_code != 422 or list(answer.get_json()["errors"]) != [WRONG[kind][0]]
    }
    assert wrong == {}
    assert {answer.mimetype for answer in answers.values()} == {"application/problem+json"}


def test_a_parameter_given_twice_is_refused(client: FlaskClient, catalog: Catalog) -> None:
    answer = client.get(f"/api/v1/slots?service={ADJUSTMENT}&days=1&days=2")
    assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["days"])


def test_all_that_is_wrong_is_named_at_once(client: FlaskClient, catalog: Catalog) -> None:
    errors = ask(client, service="", days="x", horse="1", **{"from": "x"}).get_json()["errors"]
    assert set(errors) == {"service", "days", "horse", "from"}


def test_without_a_catalogue_no_service_is_known(client: FlaskClient) -> None:
    answer = ask(client)
    assert (answer.status_code, list(answer.get_json()["errors"])) == (422, ["service"])


# ---------------------------------------------------------------- why a start is not offered


@pytest.fixture
def explained(client: FlaskClient, runtime: Runtime) -> Callable[..., TestResponse]:
    """Ask for reasons with a token of some scopes; without any, with none."""

    def get(*scopes: str, **query: Any) -> TestResponse:
        headers = {}
        if scopes:
            with runtime.database.transaction() as db:
                token = tokens.create(db, name="desk", scopes=scopes, now=datetime.now(UTC), days=1)
            headers["Authorization"] = f"Bearer {token}"
        asked = {"service": ADJUSTMENT, "explain": "1"} | query
        return client.get("/api/v1/slots", query_string=asked, headers=headers)

    return get


def test_reasons_are_for_who_has_a_token_for_them(explained: Callable[..., TestResponse], catalog: Catalog) -> None:
    without_any, with_another = explained(), explained("leads:export")
    assert (without_any.status_code, with_another.status_code) == (401, 403)
    assert "Bearer" in without_any.headers["WWW-Authenticate"]
    assert explained("slots:explain").status_code == 200
    assert explained("slots:explain", explain="true").status_code == 200


def test_a_wrong_token_hears_nothing_of_its_question(explained: Callable[..., TestResponse], catalog: Catalog) -> None:
    assert explained(service="brain-surgery", days="x").status_code == 401
    assert explained("slots:explain", service="brain-surgery").status_code == 422


def test_each_start_that_is_not_offered_has_its_reason(
    client: FlaskClient, explained: Callable[..., TestResponse], catalog: Catalog
) -> None:
    booked, kept = free(client)[0], free(client, MASSAGE)[0]
    book(client)
    body = explained("slots:explain", **{"from": booked["starts_at"][:10], "days": 1}).get_json()
    offered = {(slot["starts_at"], slot["practitioner"]) for slot in body["slots"]}
    reasons = {(each["starts_at"], each["practitioner"]): each["reason"] for each in body["not_offered"]}
    assert reasons[booked["starts_at"], booked["practitioner"]] == "taken"
    assert offered.isdisjoint(reasons)
    assert all(reasons.values())
    today = explained("slots:explain", days=1, **{"from": "2020-06-01"}).get_json()
    assert {each["reason"] for each in today["not_offered"]} == {"This time has passed."}
    hold(client, kept, MASSAGE)
    again = explained("slots:explain", service=MASSAGE, **{"from": kept["starts_at"][:10], "days": 1}).get_json()
    assert kept["starts_at"] in [each["starts_at"] for each in again["not_offered"]]


# ---------------------------------------------------------------- holds and heads


def test_a_held_slot_is_free_to_its_owner_and_to_nobody_else(client: FlaskClient, catalog: Catalog) -> None:
    slot = free(client, practitioner=JUNIPER)[0]
    token = hold(client, slot).get_json()["hold"]
    assert slot not in free(client, practitioner=JUNIPER)
    assert slot in free(client, practitioner=JUNIPER, hold=token)
    for other in ("", "nonsense", "é" * 500, token[:-1], "x\0"):
        assert slot not in free(client, practitioner=JUNIPER, hold=other)


def test_only_the_head_may_be_asked_for(client: FlaskClient, catalog: Catalog) -> None:
    query = f"/api/v1/slots?service={ADJUSTMENT}"
    head, whole = client.head(query), client.get(query)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", whole.headers["ETag"])
    assert client.post(query).status_code == 405
