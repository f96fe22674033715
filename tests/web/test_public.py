"""The public pages as a visitor meets them: what is posted is stored, thanked for truthfully, or shown again whole."""

import html
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from booking.models.lead import CONTENT, Lead
from booking.runtime import Runtime

RECEIVED = "Your submission has been received!"
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "message": "My back & neck,\nsince May. é \U0001f600"}
SITE = "https://www.example.com"
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
PLACE = re.compile(r"/received/SV-[2-9A-Z]{4}-[2-9A-Z]{2}")

ENCODINGS: dict[str, dict[str, Any]] = {
    "urlencoded": {"data": ADA},
    "multipart": {"data": ADA, "content_type": "multipart/form-data"},
    "Webflow's own post": {"data": {"name": "Contact Form"} | {f"fields[{k.title()}]": v for k, v in ADA.items()}},
    "JSON with a browser's wishes": {"json": ADA},
    "labels of another web site": {
        "data": {"Your Name": ADA["name"], "E-mail": ADA["email"], "How can we help you?": ADA["message"]}
    },
    "a name in two parts": {
        "data": {"First Name": "Ada", "Last-Name": "Lovelace", "email": ADA["email"], "message": ADA["message"]}
    },
    "no content type": {"data": urlencode(ADA).encode()},
    "a wrong content type": {"data": urlencode(ADA), "content_type": "application/json"},
    "JSON called a form": {"data": json.dumps(ADA), "content_type": "application/x-www-form-urlencoded"},
    "JSON called text": {"data": json.dumps(ADA), "content_type": "text/plain;charset=UTF-8"},
    "a form called text": {"data": urlencode(ADA), "content_type": "text/plain;charset=UTF-8"},
    "a form called multipart": {"data": urlencode(ADA), "content_type": "multipart/form-data"},
}


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """With one web site on the allow-list."""
    environ["BOOKING_ALLOWED_ORIGINS"] = SITE
    return environ


def post(client: FlaskClient, **options: Any) -> TestResponse:
    return client.post("/leads", headers={"Accept": "text/html,*/*;q=0.8"} | options.pop("headers", {}), **options)


def stored(runtime: Runtime) -> list[Lead]:
    with runtime.database.reading() as db:
        leads = list(db.scalars(select(Lead).order_by(Lead.id)))
        db.expunge_all()
    return leads


def private(runtime: Runtime, lead: Lead) -> Any:
    return json.loads(runtime.keyring.open(lead.content, CONTENT, lead.id))


def text_of(response: TestResponse) -> str:
    return html.unescape(response.text)


# ---------------------------------------------------------------- the page, and a good post


def test_the_page_has_the_form_and_the_sections_of_the_site(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    for words in (
        "What You Get With Us",
        "Get in Touch with Our Team Today!",
        "Book Appointment",
        "Business Information",
    ):
        assert words in page.text
    assert 'action="/leads" method="post"' in page.text
    assert re.search(r"<h\d[^>]*>Business Information", page.text)


def test_every_showing_of_the_page_has_a_key_of_its_own(client: FlaskClient) -> None:
    keys = [re.search(r'name="submission_key" value="([^"]{20,})"', client.get("/").text) for _ in range(3)]
    assert len({key and key[1] for key in keys} - {None}) == 3


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_post_in_any_encoding_is_the_same_lead(client: FlaskClient, runtime: Runtime, encoding: str) -> None:
    answer = post(client, **ENCODINGS[encoding])
    assert (answer.status_code, bool(PLACE.fullmatch(answer.headers["Location"]))) == (303, True)
    (lead,) = stored(runtime)
    assert answer.headers["Location"].endswith(lead.reference)
    assert (lead.name, lead.email, private(runtime, lead)["message"]) == tuple(ADA.values())
    assert not lead.held


def test_the_thank_you_page_says_the_sentence_and_nothing_personal(client: FlaskClient, runtime: Runtime) -> None:
    page = client.get(post(client, data=ADA | {"phone": "904-555-0199"}).headers["Location"])
    assert page.status_code == 200
    assert RECEIVED in page.text
    assert stored(runtime)[0].reference in page.text
    assert not [
        value for value in ("Ada", "Lovelace", "example.com", "back & neck", "555-0199") if value in text_of(page)
    ]


def test_a_reference_nobody_was_given_has_no_page(client: FlaskClient) -> None:
    paths = (
        "/received/SV-2222-22",
        "/received/nonsense",
        "/received/SV-7K4Q-92%00",
        "/received/SV-7K4Q-92%0A",
        "/received/",
    )
    assert [client.get(path).status_code for path in paths] == [404] * len(paths)


def test_a_likely_slip_in_the_address_is_stored_and_hinted_at(client: FlaskClient, runtime: Runtime) -> None:
    answer = post(client, data=ADA | {"email": "ada@gmial.com"})
    assert answer.status_code == 303
    assert "gmial" not in answer.headers["Location"]
    assert "typing slip" in client.get(answer.headers["Location"]).text
    assert stored(runtime)[0].email == "ada@gmial.com"


def test_a_second_click_is_the_same_lead(client: FlaskClient, runtime: Runtime) -> None:
    first, second = (post(client, data=ADA | {"submission_key": "k1"}) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert len(stored(runtime)) == 1


def test_a_cached_page_may_be_used_by_many_people(client: FlaskClient, runtime: Runtime) -> None:
    for form in (ADA, ADA | {"name": "Ben", "email": "ben@example.com"}):
        assert "Idempotency-Replayed" not in post(client, data=form | {"submission_key": "cached"}).headers
    assert [lead.name for lead in stored(runtime)] == ["Ada Lovelace", "Ben"]


# ---------------------------------------------------------------- judged after storing


ODD: dict[str, tuple[dict[str, str], dict[str, str], bool, str]] = {
    "a honeypot filled in by a password manager": ({"contact_me_by_fax": "x"}, {}, True, "do not see"),
    "a link in the name": ({"name": "see http://example.net"}, {}, True, "name contains a link"),
    "a web site that is not ours": ({}, {"Origin": "https://www.example.com.evil.test"}, False, "not ours"),
}


@pytest.mark.parametrize("oddity", ODD)
def test_what_looks_odd_is_stored_with_its_reason_and_gets_the_true_answer(
    client: FlaskClient, runtime: Runtime, oddity: str
) -> None:
    fields, headers, held, words = ODD[oddity]
    answer = post(client, data=ADA | fields, headers=headers)
    assert answer.status_code == 303
    assert client.get(answer.headers["Location"]).status_code == 200
    (lead,) = stored(runtime)
    assert lead.held is held
    assert [reason for reason in lead.held_reasons if words in reason]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "null"}, {"Origin": SITE}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}],
)
def test_no_honest_origin_is_held_against_anybody(
    client: FlaskClient, runtime: Runtime, headers: dict[str, str]
) -> None:
    post(client, data=ADA, headers=headers)
    assert stored(runtime)[0].held_reasons == []


def test_answers_in_the_address_are_stored_flagged_and_taken_out_of_it(client: FlaskClient, runtime: Runtime) -> None:
    answer = client.get("/leads", query_string=ADA)
    assert answer.status_code == 303
    assert PLACE.fullmatch(answer.headers["Location"])
    (lead,) = stored(runtime)
    assert (lead.name, private(runtime, lead)["message"], lead.held) == (ADA["name"], ADA["message"], False)
    assert lead.signals["by_get"] is True
    assert [reason for reason in lead.held_reasons if "address" in reason]


def test_what_was_typed_into_an_address_is_not_kept_as_the_page_somebody_came_from(
    client: FlaskClient, runtime: Runtime
) -> None:
    typed = "https://www.example.com/leads?name=Ada&message=my%20canary&utm_source=news#canary"
    answer = client.post("/leads", data=ADA | {"consent_reply": "yes"}, headers=BROWSER | {"Referer": typed})
    assert answer.status_code == 303
    assert stored(runtime)[0].page_url == "https://www.example.com/leads?utm_source=news"
    with runtime.database.reading() as db:
        assert db.scalars(text("select page_url from consent")).all() == [
            "https://www.example.com/leads?utm_source=news"
        ]


def test_an_address_that_holds_what_is_no_text_gets_the_form_with_all_the_rest(client: FlaskClient) -> None:
    answer = client.get("/leads?name=Ada%00&message=My+back", headers=BROWSER)
    assert answer.status_code == 422
    assert "My back" in answer.text


def test_a_form_of_too_many_fields_is_shown_again_with_what_was_typed(client: FlaskClient) -> None:
    many = ADA | {f"field {number}": "x" for number in range(61)}
    answer = client.post("/leads", data=many, headers=BROWSER)
    assert answer.status_code == 422
    assert ADA["message"] in html.unescape(answer.text)


def test_an_attempt_that_was_refused_was_not_received(client: FlaskClient, runtime: Runtime) -> None:
    client.post("/leads", data={"name": "Ada"}, headers=BROWSER)
    assert client.get(f"/received/{stored(runtime)[0].reference}", headers=BROWSER).status_code == 404


def test_the_bare_address_leads_to_the_page(client: FlaskClient, runtime: Runtime) -> None:
    assert client.get("/leads").headers["Location"] == "/"
    assert stored(runtime) == []


def test_asking_for_the_head_alone_stores_nothing(client: FlaskClient, runtime: Runtime) -> None:
    client.head("/leads", query_string=ADA)
    assert stored(runtime) == []


# ---------------------------------------------------------------- attribution, and where to go next


def test_where_a_visitor_came_from_is_kept(client: FlaskClient, runtime: Runtime) -> None:
    came = {"utm_source": "news", "utm_medium": "mail", "gclid": "Cj0-_", "msclkid": "7"}
    post(client, data=ADA | came | {"page_url": f"{SITE}/a?b=c", "referrer": "https://search.example.net/?q=x"})
    (lead,) = stored(runtime)
    assert (lead.page_url, lead.referrer) == (f"{SITE}/a?b=c", "https://search.example.net/?q=x")
    assert lead.attribution == came


@pytest.mark.parametrize("field", [{}, {"referrer": "https://search.example.net/"}])
def test_a_page_that_names_itself_only_in_the_header_is_kept_too(
    client: FlaskClient, runtime: Runtime, field: dict[str, str]
) -> None:
    post(client, data=ADA | field, headers={"Referer": f"{SITE}/contact"})
    assert stored(runtime)[0].page_url == f"{SITE}/contact"


GOOD_TARGETS = (f"{SITE}/thanks?a=b#c", f"{SITE}/", SITE, "http://127.0.0.1:8000/thanks")
BAD_TARGETS = (
    "https://www.example.com.evil.test/",
    "https://www.example.com@evil.test/",
    "https://evil.test/https://www.example.com",
    "https://evil.test#https://www.example.com",
    "http://www.example.com/",
    "https://www.example.com:444/",
    "https://example.com/",
    "//evil.test/",
    "///evil.test/",
    "/\\evil.test/",
    "https:\\\\evil.test\\",
    "https:/evil.test",
    "https:evil.test",
    f"{SITE}\\@evil.test/",
    f"{SITE}\t.evil.test/",
    f"{SITE}\r\nLocation: https://evil.test/",
    "javascript:alert(1)",
    "data:text/html,x",
    "https://[evil",
    "https://[::1",
    "https://www.example.com\uff0fevil.test",
    "https://www.example.com\u2100evil.test/",
    "https://",
    "x" * 5000,
)


def test_a_visitor_may_be_sent_on_to_a_site_of_the_list(client: FlaskClient) -> None:
    sent = [post(client, data=ADA | {"return_to": target}).headers["Location"] for target in GOOD_TARGETS]
    assert sent == [*GOOD_TARGETS]


def test_no_visitor_is_sent_anywhere_else_and_the_lead_is_stored(client: FlaskClient, runtime: Runtime) -> None:
    wrong = {}
    for number, target in enumerate(BAD_TARGETS):
        answer = post(client, data=ADA | {"return_to": target, "name": f"Ada {number}", "submission_key": f"k{number}"})
        if answer.status_code != 303 or not PLACE.fullmatch(answer.headers["Location"]):
            wrong[target] = (answer.status_code, answer.headers.get("Location"))
    assert wrong == {}
    assert len(stored(runtime)) == len(BAD_TARGETS)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_public_address_ever_sets_a_cookie(client: FlaskClient, method: str) -> None:
    place = post(client, data=ADA).headers["Location"]
    for path in (
        "/",
        "/leads",
        "/leads?name=Ada",
        "/api/v1/leads",
        place,
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/x",
    ):
        answer = client.open(path, method=method, headers={"Cookie": "session=abc"}, data={"name": "Ada"})
        assert "Set-Cookie" not in answer.headers, path
