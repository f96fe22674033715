"""The visitor's own appointment: seen with GET, changed by POST alone, and silent to whoever only guesses."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import icalendar
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from booking.domain.catalog import Catalog
from booking.models import Appointment, Claim
from booking.models.appointment import REASON
from booking.runtime import Runtime
from tests.web.visitor import ADA, AS_JSON, BEN, BROWSER, MASSAGE, book, free, later, path_of, post, wish

SITE = "https://www.example.com"


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """With one web site on the allow-list."""
    environ["BOOKING_ALLOWED_ORIGINS"] = SITE
    return environ


@pytest.fixture
def link(client: FlaskClient, catalog: Catalog) -> str:
    """The path of Ada's appointment."""
    return path_of(book(client)["manage_url"])


def see(client: FlaskClient, link: str) -> TestResponse:
    return client.get(link, headers=AS_JSON)


def cancel(client: FlaskClient, link: str, **fields: Any) -> TestResponse:
    return client.post(f"{link}/cancellation", json=fields)


def move(client: FlaskClient, link: str, **fields: Any) -> TestResponse:
    return client.post(f"{link}/rescheduling", json=fields)


def rows(runtime: Runtime) -> list[Appointment]:
    with runtime.database.reading() as db:
        return list(db.scalars(select(Appointment).order_by(Appointment.id)))


def claimed(runtime: Runtime) -> list[tuple[int, datetime]]:
    with runtime.database.reading() as db:
        return [(row.calendar_id, row.starts_at) for row in db.scalars(select(Claim).order_by(Claim.id))]


def set_back(runtime: Runtime, by: timedelta) -> None:
    """Let time pass for every appointment."""
    with runtime.database.transaction() as db:
        for row in db.scalars(select(Appointment)):
            row.starts_at, row.ends_at = row.starts_at - by, row.ends_at - by
            row.wall_start = "2000-01-01T00:00"


def until(starts_at: str) -> timedelta:
    return datetime.fromisoformat(starts_at) - datetime.now(UTC)


# ---------------------------------------------------------------- seen


def test_its_owner_sees_when_where_with_whom_and_whether_it_can_be_changed(
    client: FlaskClient, catalog: Catalog
) -> None:
    booked = book(client)
    answer = see(client, path_of(booked["manage_url"]))
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.get_json() == {
        "status": "booked",
        "appointment": booked | {"status": "booked"},
        "can_change": True,
        "confirmed": False,
    }


def test_looking_changes_nothing_whoever_looks(client: FlaskClient, link: str, runtime: Runtime) -> None:
    before, claims = [vars(row) for row in rows(runtime)], claimed(runtime)
    for path in ("", "/calendar.ics", "/cancellation", "/rescheduling"):
        for method in ("GET", "HEAD", "OPTIONS"):
            for headers in (AS_JSON, {"User-Agent": "mail scanner", "X-HTTP-Method-Override": "POST"}):
                answer = client.open(link + path, method=method, headers=headers, query_string={"reason": "x"})
                assert answer.status_code == (405 if path.endswith(("ion", "ing")) and method != "OPTIONS" else 200)
    kept = [vars(row) for row in rows(runtime)]
    assert [{k: v for k, v in row.items() if k[0] != "_"} for row in kept] == [
        {k: v for k, v in row.items() if k[0] != "_"} for row in before
    ]
    assert claimed(runtime) == claims


# ---------------------------------------------------------------- cancelled


def test_a_cancelled_visit_is_kept_with_its_reason_sealed_and_its_time_is_free(
    client: FlaskClient, link: str, runtime: Runtime
) -> None:
    slot = see(client, link).get_json()["appointment"]["starts_at"]
    answer = cancel(client, link, reason="  My child is ill.\n")
    assert (answer.status_code, answer.get_json()["status"], answer.get_json()["can_change"]) == (
        200,
        "cancelled",
        False,
    )
    (row,) = rows(runtime)
    assert (row.status, row.cancelled_by, claimed(runtime)) == ("cancelled", "visitor", [])
    assert row.reason is not None
    assert b"child" not in row.reason
    assert runtime.keyring.open(row.reason, REASON, row.id) == "My child is ill."
    assert slot in [each["starts_at"] for each in free(client)]
    assert see(client, link).get_json() == answer.get_json()


def test_cancelling_twice_is_cancelling_once(client: FlaskClient, link: str, runtime: Runtime) -> None:
    first = cancel(client, link, reason="ill")
    taken = free(client)[0]
    assert post(client, BEN | wish(taken)).status_code == 201
    second = cancel(client, link, reason="another reason")
    assert (second.status_code, second.get_json()) == (200, first.get_json())
    assert [row.status for row in rows(runtime)] == ["cancelled", "booked"]
    assert rows(runtime)[0].sequence == 1


def test_a_browser_comes_back_to_the_same_page(client: FlaskClient, link: str) -> None:
    answer = client.post(f"{link}/cancellation", data={"reason": "ill"}, headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, link)
    assert answer.headers["Referrer-Policy"] == "no-referrer"


# ---------------------------------------------------------------- moved


def test_a_moved_visit_has_its_new_time_alone_and_a_new_link(client: FlaskClient, link: str, runtime: Runtime) -> None:
    before, other = see(client, link).get_json()["appointment"], free(client)[-1]
    answer = move(client, link, starts_at=other["starts_at"], practitioner=other["practitioner"])
    after = answer.get_json()["appointment"]
    assert (answer.status_code, answer.get_json()["status"], answer.get_json()["can_change"]) == (200, "booked", True)
    assert (after["starts_at"], after["practitioner"]) == (other["starts_at"], other["practitioner"])
    assert after["reference"] == before["reference"]
    assert after["manage_url"] != before["manage_url"]
    assert see(client, link).status_code == 404
    assert see(client, path_of(after["manage_url"])).get_json()["appointment"] == after
    found = [slot["starts_at"] for slot in free(client)]
    assert before["starts_at"] in found
    (row,) = rows(runtime)
    assert {starts_at for _, starts_at in claimed(runtime)} == {row.starts_at}


def test_without_another_name_it_stays_with_the_same_practitioner(client: FlaskClient, catalog: Catalog) -> None:
    found = free(client, practitioner="dr-juniper-tidewell")
    booked = post(client, ADA | wish(found[0])).get_json()["appointment"]
    answer = move(client, path_of(booked["manage_url"]), starts_at=found[-1]["starts_at"])
    assert answer.get_json()["appointment"]["practitioner"] == "dr-juniper-tidewell"


def test_a_visit_may_be_moved_onto_a_part_of_its_own_time(client: FlaskClient, link: str) -> None:
    mine = see(client, link).get_json()["appointment"]
    later = datetime.fromisoformat(mine["starts_at"]) + timedelta(minutes=15)
    answer = move(client, link, starts_at=later.isoformat())
    assert answer.get_json()["appointment"]["starts_at"] == later.isoformat()


def test_a_browser_is_led_to_the_new_link(client: FlaskClient, link: str) -> None:
    answer = client.post(f"{link}/rescheduling", data=free(client)[-1], headers=BROWSER)
    assert answer.status_code == 303
    place = re.fullmatch(r"(/appointments/[\w-]+)\?moved=yes", answer.headers["Location"])
    assert place
    assert see(client, place[1]).status_code == 200
    assert place[1] != link


def test_when_somebody_was_faster_the_visit_stays_where_it_was(client: FlaskClient, link: str) -> None:
    before, other = see(client, link).get_json(), free(client, practitioner="dr-juniper-tidewell")[-1]
    post(client, BEN | wish(other))
    answer = move(client, link, starts_at=other["starts_at"], practitioner=other["practitioner"])
    body = answer.get_json()
    assert (answer.status_code, answer.mimetype, set(body["errors"])) == (
        409,
        "application/problem+json",
        {"starts_at"},
    )
    assert body["alternatives"]
    assert see(client, link).get_json() == before


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("starts_at", {}),
    "words": ("starts_at", {"starts_at": "tomorrow"}),
    "no zone": ("starts_at", {"starts_at": "2026-12-01T10:00:00"}),
    "the past": ("starts_at", {"starts_at": "2020-01-01T10:00:00Z"}),
    "too far ahead": ("starts_at", {"starts_at": "9999-12-31T23:59:59-23:59"}),
    "before all time": ("starts_at", {"starts_at": "0001-01-01T00:00:00+23:59"}),
    "a list": ("starts_at", {"starts_at": ["2026-12-01T10:00:00Z"]}),
    "NUL": ("starts_at", {"starts_at": "2026-12-01T10:00:00Z\0"}),
    "somebody else's service": ("practitioner", {"practitioner": "wren-palmetto"}),
    "nobody": ("practitioner", {"practitioner": "x" * 10_000}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_move_to_what_is_not_offered_is_refused_with_the_field_named(
    client: FlaskClient, link: str, wrong: str
) -> None:
    before = see(client, link).get_json()
    field, values = WRONG[wrong]
    rest = {} if field == "starts_at" else {"starts_at": later(client, link)}
    for answer in (
        move(client, link, **rest, **values),
        client.post(f"{link}/rescheduling", data=rest | values, headers=AS_JSON),
    ):
        assert (answer.status_code, set(answer.get_json()["errors"])) == (422, {field})
    assert see(client, link).get_json() == before


# ---------------------------------------------------------------- too late


@pytest.mark.parametrize("minutes", [59, 1, -10])
def test_after_the_cut_off_it_is_seen_and_no_longer_changed(
    client: FlaskClient, link: str, runtime: Runtime, minutes: int
) -> None:
    other = later(client, link)
    starts_at = see(client, link).get_json()["appointment"]["starts_at"]
    set_back(runtime, until(starts_at) - timedelta(minutes=minutes))
    assert see(client, link).get_json()["can_change"] is False
    answers = [cancel(client, link), move(client, link, starts_at=other)]
    assert [(answer.status_code, answer.mimetype) for answer in answers] == [(409, "application/problem+json")] * 2
    assert rows(runtime)[0].status == "booked"


def test_an_hour_before_is_early_enough(client: FlaskClient, link: str, runtime: Runtime) -> None:
    starts_at = see(client, link).get_json()["appointment"]["starts_at"]
    set_back(runtime, until(starts_at) - timedelta(minutes=62))
    assert see(client, link).get_json()["can_change"] is True
    assert cancel(client, link).status_code == 200


def test_what_is_cancelled_cannot_be_moved(client: FlaskClient, link: str) -> None:
    cancel(client, link)
    assert move(client, link, starts_at=later(client, link)).status_code == 409


# ---------------------------------------------------------------- the calendar's file


def event_of(answer: TestResponse) -> tuple[str, Any]:
    calendar = icalendar.Calendar.from_ical(answer.data)
    (event,) = calendar.walk("VEVENT")
    return str(calendar["METHOD"]), event


def test_the_file_says_when_and_where_and_nothing_of_health(client: FlaskClient, catalog: Catalog) -> None:
    slot = free(client, MASSAGE)[0]
    booked = post(client, ADA | {"symptoms": ["night-pain"]} | wish(slot, MASSAGE)).get_json()["appointment"]
    answer = client.get(path_of(booked["calendar_url"]))
    assert (answer.status_code, answer.mimetype, answer.mimetype_params["method"]) == (200, "text/calendar", "REQUEST")
    assert "attachment" in answer.headers["Content-Disposition"]
    method, event = event_of(answer)
    assert (method, str(event["SUMMARY"])) == ("REQUEST", "Appointment, Serenoa")
    assert event["DTSTART"].dt == datetime.fromisoformat(slot["starts_at"])
    assert event["DTEND"].dt == datetime.fromisoformat(slot["ends_at"])
    assert "12 Example Lane" in str(event["LOCATION"])
    for secret in ("Ada", "ada@", "assage", "back", "May", "pain", booked["manage_url"].rpartition("/")[2]):
        assert secret not in answer.text


def test_one_uid_for_life_a_rising_sequence_and_at_last_a_cancellation(client: FlaskClient, link: str) -> None:
    events = [event_of(client.get(f"{link}/calendar.ics"))]
    moved = move(client, link, starts_at=later(client, link)).get_json()["appointment"]
    link = path_of(moved["manage_url"])
    events.append(event_of(client.get(f"{link}/calendar.ics")))
    cancel(client, link)
    events.append(event_of(client.get(f"{link}/calendar.ics")))
    assert [method for method, _ in events] == ["REQUEST", "REQUEST", "CANCEL"]
    assert len({str(event["UID"]) for _, event in events}) == 1
    assert [event["SEQUENCE"] for _, event in events] == [0, 1, 2]
    assert str(events[-1][1]["STATUS"]) == "CANCELLED"


# ---------------------------------------------------------------- links that open nothing


STRANGE_TOKENS = (
    "x", "%20", "-" * 43, "x" * 10_000, "é", "%F0%9F%98%80", "%FF%FE", "%00", "a%0Ab", "%2e%2e", "'%20or%201=1--",
    "null", "undefined", "<script>",
)  # fmt: skip
WAYS: dict[str, Callable[[FlaskClient, str], TestResponse]] = {
    "GET": lambda client, path: client.get(path, headers=AS_JSON),
    "GET as a page": lambda client, path: client.get(path, headers=BROWSER),
    "HEAD": lambda client, path: client.head(path, headers=AS_JSON),
    "calendar": lambda client, path: client.get(f"{path}/calendar.ics", headers=AS_JSON),
    "cancellation": lambda client, path: client.post(f"{path}/cancellation", json={"reason": "x"}),
    "rescheduling": lambda client, path: client.post(
        f"{path}/rescheduling", json={"starts_at": "2026-12-01T10:00:00Z"}
    ),
    "rescheduling without words": lambda client, path: client.post(f"{path}/rescheduling", json={}),
}


def looks(answer: TestResponse) -> tuple[Any, ...]:
    """All of an answer but what is made by chance: its number and its nonce."""
    headers = {
        name: re.sub(r"nonce-[\w-]+", "nonce", value) for name, value in answer.headers if name != "X-Request-Id"
    }
    return answer.status_code, headers, re.sub(r'nonce="[^"]+"', "", answer.text)


@pytest.mark.parametrize("way", WAYS)
def test_unknown_replaced_and_expired_links_look_exactly_alike(
    client: FlaskClient, link: str, runtime: Runtime, way: str
) -> None:
    new = path_of(move(client, link, starts_at=later(client, link)).get_json()["appointment"]["manage_url"])
    over = path_of(book(client, BEN)["manage_url"])
    with runtime.database.transaction() as db:
        long_ago = datetime.now(UTC) - timedelta(days=2)
        theirs = Appointment.reference == see(client, over).get_json()["appointment"]["reference"]
        db.execute(update(Appointment).where(theirs).values(starts_at=long_ago, ends_at=long_ago + timedelta(hours=1)))
    unknown = "/appointments/" + "A" * len(link.rpartition("/")[2])
    answers = [
        looks(WAYS[way](client, path)) for path in (link, over, unknown, new[:-1], new[:14] + new[14:].swapcase())
    ]
    assert answers == answers[:1] * 5
    assert answers[0][0] == 404
    assert WAYS[way](client, new).status_code != 404


def test_a_visit_is_seen_until_a_day_after_its_end(client: FlaskClient, link: str, runtime: Runtime) -> None:
    ends_at = see(client, link).get_json()["appointment"]["ends_at"]
    set_back(runtime, until(ends_at) + timedelta(hours=23, minutes=59))
    assert see(client, link).status_code == 200
    set_back(runtime, timedelta(minutes=2))
    assert see(client, link).status_code == 404


@pytest.mark.parametrize("way", WAYS)
def test_no_token_of_nonsense_breaks_anything(client: FlaskClient, catalog: Catalog, way: str) -> None:
    for token in STRANGE_TOKENS:
        assert WAYS[way](client, f"/appointments/{token}").status_code == 404, token
    for token in ("a%2Fb", "%2F", "..%2F..%2Fetc"):  # to the router these are other addresses
        assert WAYS[way](client, f"/appointments/{token}").status_code in {308, 404, 405}, token


GARBAGE: tuple[tuple[bytes, str], ...] = (
    (b"{", "application/json"), (b"[1]", "application/json"), (b'{"reason": NaN}', "application/json"),
    (b"[" * 5000, "application/json"), (b"", "application/json"), (b'{"reason": 5}', "application/json"),
    (b'{"reason": ["x"]}', "application/json"), (b"\xff\xfe\x00", "application/octet-stream"),
    (b"reason=%00", "application/x-www-form-urlencoded"), (b"--x\r\n", "multipart/form-data; boundary=x"),
    (b"x" * 70_000, "text/plain"), (b"starts_at=%00&practitioner=%00", "application/x-www-form-urlencoded"),
)  # fmt: skip


@pytest.mark.parametrize("door", ["cancellation", "rescheduling"])
def test_a_body_of_garbage_changes_nothing_that_was_not_said_and_breaks_nothing(
    client: FlaskClient, catalog: Catalog, door: str
) -> None:
    link = path_of(book(client)["manage_url"])
    for body, kind in GARBAGE:
        before = see(client, link).get_json()
        answer = client.post(f"{link}/{door}", data=body, content_type=kind, headers=AS_JSON)
        assert answer.status_code in {200, 400, 413, 422}, body[:40]
        if answer.status_code != 200:
            assert see(client, link).get_json() == before


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("whose", ["mine", "nobody's"])
def test_no_cache_and_no_other_site_learns_of_the_link_and_no_cookie_is_set(
    client: FlaskClient, link: str, way: str, whose: str
) -> None:
    client.environ_base["HTTP_ORIGIN"] = SITE
    answer = WAYS[way](client, link if whose == "mine" else "/appointments/x")
    assert (answer.status_code == 404) == (whose != "mine")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Origin" in answer.headers["Vary"]
    assert "Set-Cookie" not in answer.headers


def test_the_link_is_in_no_log(client: FlaskClient, link: str, capfd: pytest.CaptureFixture[str]) -> None:
    for way in WAYS.values():
        way(client, link)
        way(client, f"{link}%2Fx")
    written = "".join(capfd.readouterr())
    assert "/appointments/<token>" in written
    assert link.rpartition("/")[2] not in written
