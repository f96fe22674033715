"""Headers of every answer, good or bad: what a browser may do with it, which web sites may read it, who it is for."""

import re
import secrets
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from booking import config
from booking.app import create_app
from booking.models.lead import Lead

# Nothing here depends on the database: one engine is enough.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SITE, OTHER_SITE = "https://www.example.com", "https://shop.example.org:8443"
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
ADA = {"name": "Ada", "email": "ada@example.com"}
PUBLIC = [
    "/", "/leads", "/api/v1/leads", "/received/SV-2222-22", "/healthz", "/readyz", "/openapi.json",
    "/api/v1/services", "/api/v1/practitioners", "/api/v1/locations", "/api/v1/slots", "/api/v1/holds",
    "/api/v1/holds/x", "/appointments/x", "/appointments/x/calendar.ics", "/appointments/x/cancellation",
]  # fmt: skip

Ask = Callable[[FlaskClient], TestResponse]


def ask_for_a_hold(client: FlaskClient, address: str) -> TestResponse:
    """Ask from an address for more of a hold that is not there."""
    return client.post("/api/v1/holds", json={"hold": "x"}, environ_overrides={"REMOTE_ADDR": address})


ANSWERS: dict[str, tuple[int, Ask]] = {
    "200 page": (200, lambda client: client.get("/")),
    "200 JSON": (200, lambda client: client.get("/healthz")),
    "200 style sheet": (200, lambda client: client.get("/static/site.css")),
    "201": (201, lambda client: client.post("/leads", json=ADA)),
    "303": (303, lambda client: client.post("/leads", data=ADA, headers=BROWSER)),
    "400": (400, lambda client: client.post("/leads", data=b"{", content_type="application/json")),
    "404 page": (404, lambda client: client.get("/nowhere", headers=BROWSER)),
    "404 JSON": (404, lambda client: client.get("/api/v1/nowhere")),
    "405": (405, lambda client: client.put("/leads", headers=BROWSER)),
    "413": (413, lambda client: client.post("/leads", data=b"x" * 70_000, headers=BROWSER)),
    "422 page": (422, lambda client: client.post("/leads", data={"name": "Ada"}, headers=BROWSER)),
    "422 JSON": (422, lambda client: client.post("/leads", json={"name": "Ada"})),
    "200 list": (200, lambda client: client.get("/api/v1/services")),
    "204": (204, lambda client: client.delete("/api/v1/holds/x")),
    "401": (401, lambda client: client.get("/api/v1/slots?service=x&explain=1")),
    "405 JSON": (405, lambda client: client.put("/api/v1/holds")),
    "409": (409, lambda client: ask_for_a_hold(client, f"192.0.2.{secrets.randbelow(256)}")),
    "422 question": (422, lambda client: client.get("/api/v1/slots?service=x")),
    "422 time": (422, lambda client: client.post("/leads", json=ADA | {"starts_at": "soon"})),
    "429": (429, lambda client: [ask_for_a_hold(client, "198.51.100.1") for _ in range(21)][-1]),
    "500 page": (500, lambda client: client.get("/broken", headers=BROWSER)),
    "500 JSON": (500, lambda client: client.get("/broken", headers={"Accept": "application/json"})),
}
every_answer = pytest.mark.parametrize("kind", ANSWERS)


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """With two web sites on the allow-list."""
    environ["BOOKING_ALLOWED_ORIGINS"] = f"{SITE},{OTHER_SITE}"
    return environ


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Callable[..., FlaskClient]]:
    """Start the service with more settings: `start(TRUSTED_PROXIES="1")`."""
    started: list[Flask] = []

    def with_settings(**more: str) -> FlaskClient:
        app = create_app(config.load(environ | {f"BOOKING_{name}": value for name, value in more.items()}))
        app.add_url_rule("/broken", view_func=broken)
        started.append(app)
        return app.test_client()

    yield with_settings
    for app in started:
        app.extensions["booking"].database.close()


@pytest.fixture
def client(start: Callable[..., FlaskClient]) -> FlaskClient:
    """A visitor of the service as it stands."""
    return start()


def broken() -> NoReturn:
    raise RuntimeError("broken on purpose")


def answer_of(client: FlaskClient, kind: str) -> TestResponse:
    status, ask = ANSWERS[kind]
    answer = ask(client)
    assert answer.status_code == status
    answer.get_data()
    answer.close()
    return answer


def policy_of(answer: TestResponse) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


# ---------------------------------------------------------------- what a browser may do with it


@every_answer
def test_every_answer_carries_the_security_headers(client: FlaskClient, kind: str) -> None:
    headers = answer_of(client, kind).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    for name in ("camera", "geolocation", "microphone", "payment"):
        assert f"{name}=()" in headers["Permissions-Policy"]
    assert "Cache-Control" in headers
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-Id"])
    assert "Strict-Transport-Security" not in headers
    assert "Server" not in headers


@every_answer
def test_every_answer_forbids_all_but_its_own_script_and_style(client: FlaskClient, kind: str) -> None:
    answer = answer_of(client, kind)
    policy = policy_of(answer)
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "*" not in answer.headers["Content-Security-Policy"]
    if answer.mimetype == "text/html" and kind != "303":
        (nonce,) = set(re.findall(r'nonce="([^"]+)"', answer.text))
        assert f"'nonce-{nonce}'" in policy["script-src"]
        assert f"'nonce-{nonce}'" in policy["style-src"]
        assert policy["frame-ancestors"].split() == ["'self'", SITE, OTHER_SITE]
        assert len(re.findall(r"<(?:script|style)\b", answer.text)) == len(
            re.findall(r"<(?:script|style)\b[^>]* nonce=", answer.text)
        )
        assert not re.search(r"<[^>]+ (?:style|on\w+)=", answer.text)
    elif kind != "303":
        assert policy["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("kind", ["200 page", "404 page", "422 page"])
def test_no_two_answers_share_a_nonce(client: FlaskClient, kind: str) -> None:
    nonces = {policy_of(answer_of(client, kind))["script-src"] for _ in range(5)}
    assert len(nonces) == 5


def test_a_form_may_end_on_a_web_site_of_the_list(client: FlaskClient) -> None:
    # Chromium asks the policy again at a redirect: without this, `return_to` leaves the visitor on a dead page.
    allowed = policy_of(client.get("/"))["form-action"].split()
    assert {"'self'", SITE, OTHER_SITE} <= set(allowed)


@every_answer
def test_production_insists_on_https(start: Callable[..., FlaskClient], kind: str) -> None:
    client = start(ENV="production", BASE_URL="https://booking.example.com", TRUSTED_HOSTS="localhost")
    policy = answer_of(client, kind).headers["Strict-Transport-Security"]
    assert int(re.findall(r"max-age=(\d+)", policy)[0]) >= 31_536_000


@pytest.mark.parametrize("kind", ["200 page", "201", "303", "422 page", "422 JSON", "404 page", "500 page"])
def test_nothing_about_a_person_is_kept_by_a_cache_between(client: FlaskClient, kind: str) -> None:
    assert re.search("no-store|private", answer_of(client, kind).headers["Cache-Control"])


# ---------------------------------------------------------------- which web sites may read it


@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if kind != "200 style sheet"])
def test_a_web_site_of_the_list_may_read_every_answer(client: FlaskClient, kind: str) -> None:
    for origin in (SITE, OTHER_SITE):
        client.environ_base["HTTP_ORIGIN"] = origin
        headers = answer_of(client, kind).headers
        assert headers.get("Access-Control-Allow-Origin") == origin
        assert "Access-Control-Allow-Credentials" not in headers
        assert {"ETag", "Idempotency-Replayed", "Retry-After"} <= set(
            headers["Access-Control-Expose-Headers"].split(", ")
        )


STRANGERS = (
    "null",
    "",
    "https://www.example.com.evil.test",
    "https://evil.test/https://www.example.com",
    "https://www.example.com:443",
    "https://www.example.com/",
    "https://WWW.example.com",
    "http://www.example.com",
    "https://example.com",
    "https://shop.example.org",
    f"{SITE},{OTHER_SITE}",
    f"{SITE} {OTHER_SITE}",
    "*",
)


def test_no_other_web_site_may(client: FlaskClient) -> None:
    for origin in STRANGERS:
        client.environ_base["HTTP_ORIGIN"] = origin
        for kind in ANSWERS:
            assert "Access-Control-Allow-Origin" not in answer_of(client, kind).headers, (origin, kind)


def test_without_an_origin_nobody_is_named(client: FlaskClient) -> None:
    for kind in ANSWERS:
        assert "Access-Control-Allow-Origin" not in answer_of(client, kind).headers, kind


@pytest.mark.parametrize("path", PUBLIC)
def test_a_cache_between_is_always_told_that_the_origin_matters(client: FlaskClient, path: str) -> None:
    for origin in ({}, {"Origin": "null"}, {"Origin": SITE}, {"Origin": "https://evil.test"}):
        assert "Origin" in client.get(path, headers=origin).headers.get("Vary", "").split(", ")


def preflight(client: FlaskClient, path: str, origin: str) -> TestResponse:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,idempotency-key"}
    return client.options(path, headers={"Origin": origin} | asked)


@pytest.mark.parametrize("path", ["/leads", "/api/v1/leads"])
def test_a_preflight_says_what_may_be_sent(client: FlaskClient, path: str) -> None:
    answer = preflight(client, path, SITE)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"content-type", "idempotency-key"} <= set(allowed)
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/api/v1/holds/x", "/api/v1/slots", "/appointments/x/cancellation"])
def test_a_preflight_allows_to_give_a_hold_back_and_to_ask_again(client: FlaskClient, path: str) -> None:
    answer = preflight(client, path, SITE)
    assert answer.status_code == 204
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert "if-none-match" in answer.headers["Access-Control-Allow-Headers"].lower().split(", ")


@pytest.mark.parametrize("origin", ["https://www.example.com.evil.test", "null"])
def test_a_preflight_of_a_stranger_allows_nothing(client: FlaskClient, origin: str) -> None:
    answer = preflight(client, "/api/v1/leads", origin)
    assert not [name for name in answer.headers.keys() if name.startswith("Access-Control-Allow")]  # noqa: SIM118  Headers iterate as pairs


def test_what_is_for_the_desk_is_shared_with_no_web_site(client: FlaskClient) -> None:
    answer = client.get("/staff/leads.csv", headers={"Origin": SITE})
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert preflight(client, "/staff/leads.csv", SITE).headers.get("Access-Control-Allow-Origin") is None


# ---------------------------------------------------------------- proxies and host names


def clients_seen(client: FlaskClient, *chains: str) -> list[bytes | None]:
    """What the service takes for the address of the visitor behind some X-Forwarded-For headers."""
    for number, chain in enumerate(chains):
        forwarded = {"X-Forwarded-For": chain} if chain else {}
        client.post("/leads", json=ADA | {"message": f"message {number}"}, headers=forwarded)
    with client.application.extensions["booking"].database.reading() as db:
        return list(db.scalars(select(Lead.client).order_by(Lead.id)))


def test_without_a_trusted_proxy_nobody_can_claim_an_address(start: Callable[..., FlaskClient]) -> None:
    assert len(set(clients_seen(start(), "", "192.0.2.1", "192.0.2.2, 10.0.0.1"))) == 1


def test_behind_one_proxy_the_last_address_is_the_visitors(start: Callable[..., FlaskClient]) -> None:
    seen = clients_seen(start(TRUSTED_PROXIES="1"), "192.0.2.1", "6.6.6.6, 192.0.2.1", "192.0.2.1, 192.0.2.2")
    assert seen[0] == seen[1] != seen[2]


def test_behind_two_proxies_it_is_the_last_but_one(start: Callable[..., FlaskClient]) -> None:
    seen = clients_seen(
        start(TRUSTED_PROXIES="2"),
        "192.0.2.1, 10.0.0.1",
        "6.6.6.6, 192.0.2.1, 10.0.0.2",
        "192.0.2.1, 192.0.2.2, 10.0.0.1",
    )
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_another_host_name_is_refused_with_all_headers(start: Callable[..., FlaskClient], accept: str) -> None:
    client = start(TRUSTED_HOSTS="booking.example.com")
    for path in ("/", "/leads", "/api/v1/leads", "/nowhere", "/static/site.css", "/healthz"):
        answer = client.get(path, headers={"Host": "evil.test", "Accept": accept})
        assert (answer.status_code, "evil.test" in answer.text) == (400, False)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert policy_of(answer)["default-src"] == "'none'"


@pytest.mark.parametrize("host", ["booking.example.com", "booking.example.com:8000"])
def test_its_own_host_name_is_answered(start: Callable[..., FlaskClient], host: str) -> None:
    assert start(TRUSTED_HOSTS="booking.example.com").get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["", "[", "a b", "evil.test/", "x" * 300, "é.example.com", "a:b:c", "127.0.0.1:99999"])
def test_a_host_name_of_nonsense_breaks_nothing(client: FlaskClient, host: str) -> None:
    for path in ("/", "/leads", "/nowhere"):
        assert client.get(path, headers={"Host": host, "Origin": SITE}).status_code < 500
    answer = client.post("/leads", data=ADA, headers={"Host": host, "Origin": SITE} | BROWSER)
    assert answer.status_code in {303, 400}
