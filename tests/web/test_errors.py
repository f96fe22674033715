"""Refusals: the same page again with every keystroke, the same texts for programs, and always a way out."""

import html
import json
import re
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from booking.domain.fields import CANONICAL, HONEYPOT
from booking.domain.submission import UNREACHABLE
from booking.models.lead import CONTENT, Lead
from booking.runtime import Runtime

FAILED = "Oops! Something went wrong while submitting the form."
# How a page looks does not depend on the database; what is stored does, and is shown in test_public on both.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PHONE = "904-555-0134"
# What a radio button or a tick box cannot show; their own tests are below.
TICKED = {"new_patient", "consent_reply", "consent_marketing"}
# Not shown as such: the parts of a name become one, a page names its own wording, and the trap is set anew.
UNSEEN = {"first_name", "last_name", "consent_version", HONEYPOT}
UNREACHABLE_FORMS: dict[str, dict[str, str]] = {
    "nothing but a name": {"name": "Ada"},
    "an address that is none": {"name": "Ada", "email": "ada at example"},
    "a number that is none": {"name": "Ada", "phone": "12"},
    "both wrong": {"name": "Ada", "email": "ada", "phone": "12"},
    "a name that is too long": {"name": "A" * 201, "email": "ada@example.com"},
}


def refused(client: FlaskClient, data: Any) -> str:
    answer = client.post("/leads", data=data, headers=BROWSER)
    assert answer.status_code == 422
    assert answer.mimetype == "text/html"
    return answer.text


def value_of(page: str, name: str) -> str:
    """What stands in one control of the page."""
    for pattern in (
        rf'<input[^>]* name="{re.escape(name)}"[^>]* value="([^"]*)"',
        rf'<textarea[^>]* name="{re.escape(name)}"[^>]*>\n?([^<]*)</textarea>',
        rf'<select[^>]* name="{re.escape(name)}".*?<option value="([^"]*)" selected',
    ):
        if found := re.search(pattern, page, re.DOTALL):
            return html.unescape(found[1])
    return ""


# ---------------------------------------------------------------- nobody to answer


@pytest.mark.parametrize("form", UNREACHABLE_FORMS)
def test_the_page_comes_again_with_the_sentence_a_summary_and_the_phone(client: FlaskClient, form: str) -> None:
    page = refused(client, UNREACHABLE_FORMS[form])
    summary = re.search(r'<div class="summary" id="error-summary"[^>]*>.*?</div>', page, re.DOTALL)
    assert summary
    assert FAILED in summary[0]
    assert "autofocus" in summary[0]
    assert 'tabindex="-1"' in summary[0]
    assert "hidden" not in summary[0].split(">")[0]
    assert re.search(r'href="tel:\+19045550134"[^>]*>Call ' + PHONE, summary[0])


@pytest.mark.parametrize("form", UNREACHABLE_FORMS)
def test_page_and_program_hear_the_same_texts_by_field(client: FlaskClient, form: str) -> None:
    page = html.unescape(refused(client, UNREACHABLE_FORMS[form]))
    problem = client.post("/leads", json=UNREACHABLE_FORMS[form])
    errors = problem.get_json()["errors"]
    assert errors
    for name, (text,) in errors.items():
        assert re.search(rf'<p class="error" id="{name}-error">{re.escape(text)}</p>', page), name
        assert re.search(rf'<li><a href="#{name}">[^<]*{re.escape(text)}</a></li>', page), name
        assert re.search(rf'id="{name}"[^>]*aria-describedby="[^"]*{name}-error[^"]*" aria-invalid="true"', page), name
    marked = set(re.findall(r'<p class="error" id="(\w+)-error">', page))
    assert marked == set(errors)


def test_a_program_gets_a_problem_as_the_standard_says(client: FlaskClient, runtime: Runtime) -> None:
    answer = client.post("/leads", json={"name": "Ada"})
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    problem = answer.get_json()
    assert (problem["title"], problem["status"]) == (FAILED, 422)
    assert set(problem["errors"]) == {"email", "phone"}
    assert problem["errors"]["email"] == [UNREACHABLE]
    with runtime.database.reading() as db:
        assert problem["reference"] == db.scalar(select(Lead.reference))


def test_the_attempt_is_kept_as_incomplete_under_the_reference_that_is_shown(
    client: FlaskClient, runtime: Runtime
) -> None:
    page = refused(client, {"name": "Ada", "email": "ada at example", "message": "My back", "pet": "cat"})
    with runtime.database.reading() as db:
        (lead,) = db.scalars(select(Lead)).all()
        content = json.loads(runtime.keyring.open(lead.content, CONTENT, lead.id))
        assert lead.incomplete
        assert lead.reference in page
    assert content["message"] == "My back"
    assert content["extras"] == {"pet": "cat", "email as typed": "ada at example"}


def test_completing_the_page_that_came_again_is_the_same_lead(client: FlaskClient, runtime: Runtime) -> None:
    page = refused(client, {"name": "Ada", "message": "My back", "submission_key": "k1"})
    again = {name: value_of(page, name) for name in ("name", "message", "submission_key")}
    assert client.post("/leads", data=again | {"phone": PHONE}, headers=BROWSER).status_code == 303
    with runtime.database.reading() as db:
        assert [lead.incomplete for lead in db.scalars(select(Lead))] == [False]


def test_an_empty_form_is_the_same_page_again(client: FlaskClient) -> None:
    page = refused(client, {"name": "", "email": "", "phone": "", "message": ""})
    assert UNREACHABLE in html.unescape(page)
    assert 'id="lead-form"' in page


# ---------------------------------------------------------------- every keystroke


def test_whatever_was_typed_stands_in_the_page_that_comes_again(client: FlaskClient) -> None:
    lost = []
    for name in sorted(({*CANONICAL} | {"pet", "form name"}) - TICKED - UNSEEN):
        typed = f"<b>\"{name}\" & 'canary'</b> é \U0001f600"
        if typed not in html.unescape(refused(client, {name: typed, "sort": "of pet"})):
            lost.append(name)
    assert lost == []


def test_what_was_typed_is_text_in_the_page_and_never_markup(client: FlaskClient) -> None:
    names = ("name", "email", "phone", "message", "service", "preferred_times", "pet", "<b>label</b>", 'a" onfocus="b')
    page = refused(client, dict.fromkeys(names, "<script>alert(1)</script>\"'>"))
    assert "<script>alert" not in page
    assert "<b>label" not in page
    assert 'onfocus="b' not in page


def test_a_name_in_two_parts_comes_back_whole(client: FlaskClient) -> None:
    assert value_of(refused(client, {"first_name": "Ada", "last_name": "Lovelace"}), "name") == "Ada Lovelace"


def test_several_values_of_one_field_all_come_back(client: FlaskClient) -> None:
    posted = {"name": ["Ada", "Byron"], "pet": ["cat", "dog"], "symptoms": ["back", "neck"]}
    page = html.unescape(refused(client, posted))
    assert [value for values in posted.values() for value in values if f'value="{value}"' not in page] == []
    assert value_of(page, "name") == "Ada"


@pytest.mark.parametrize("word", ["true", "on", "yes", "1"])
def test_a_tick_stays_a_tick_whatever_word_it_came_with(client: FlaskClient, word: str) -> None:
    page = refused(client, {"name": "Ada", "consent_reply": word})
    assert re.search(r'id="consent_reply"[^>]* checked', page)
    assert not re.search(r'id="consent_marketing"[^>]* checked', page)


@pytest.mark.parametrize(
    ("word", "chosen"), [("yes", "yes"), ("Yes", "yes"), ("true", "yes"), ("No", "no"), ("0", "no")]
)
def test_an_answer_to_yes_or_no_stays_chosen(client: FlaskClient, word: str, chosen: str) -> None:
    page = refused(client, {"name": "Ada", "new_patient": word})
    assert re.findall(r'id="new_patient-(\w+)"[^>]* checked', page) == [chosen]


def test_an_answer_no_button_stands_for_is_kept_all_the_same(client: FlaskClient) -> None:
    page = refused(client, {"name": "Ada", "contact_preference": "by pigeon", "new_patient": "not sure"})
    assert "by pigeon" in page
    assert "not sure" in page


@pytest.mark.parametrize("bad", ["a\0b", "x" * 201])
def test_a_field_that_cannot_be_taken_is_named_and_the_others_come_back(client: FlaskClient, bad: str) -> None:
    page = refused(client, {"name": bad, "email": "ada@example.com", "message": "A long story"})
    assert re.search(r'<p class="error" id="name-error">[^<]+</p>', page)
    assert (value_of(page, "email"), value_of(page, "message")) == ("ada@example.com", "A long story")


# ---------------------------------------------------------------- all other refusals


def answers(client: FlaskClient, path: str, method: str, **options: Any) -> tuple[TestResponse, Any]:
    page = client.open(path, method=method, headers=BROWSER, **options)
    problem = client.open(path, method=method, headers={"Accept": "application/json"}, **options)
    assert (page.mimetype, problem.mimetype) == ("text/html", "application/problem+json")
    assert page.status_code == problem.status_code
    return page, problem.get_json()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nowhere", "GET", 404),
        ("/leads", "PUT", 405),
        ("/healthz", "POST", 405),
        ("/received/SV-2222-22", "GET", 404),
    ],
)
def test_every_refusal_is_a_page_or_a_problem_with_a_way_out(
    client: FlaskClient, path: str, method: str, status: int
) -> None:
    page, problem = answers(client, path, method)
    assert page.status_code == problem["status"] == status
    assert f"Call {PHONE}" in page.text
    assert problem["detail"]
    assert (FAILED in page.text) == (status != 404)


def test_a_wrong_method_is_told_which_are_right(client: FlaskClient) -> None:
    assert {"GET", "POST"} <= set(client.put("/leads").headers["Allow"].split(", "))


def test_one_byte_more_than_sixty_four_kilobytes_is_too_large(client: FlaskClient) -> None:
    body = b"email=ada%40example.com&message="
    fits = body + b"x" * (64 * 1024 - len(body))
    kind = "application/x-www-form-urlencoded"
    assert client.post("/leads", data=fits, content_type=kind, headers=BROWSER).status_code == 303
    page, problem = answers(client, "/leads", "POST", data=fits + b"x", content_type=kind)
    assert page.status_code == problem["status"] == 413
    assert PHONE in page.text


def test_what_breaks_on_our_side_is_said_without_saying_what(app: Flask, client: FlaskClient) -> None:
    def broken() -> NoReturn:
        raise RuntimeError("canary-4711")

    app.add_url_rule("/broken", view_func=broken)
    page, problem = answers(client, "/broken", "GET")
    assert page.status_code == problem["status"] == 500
    assert FAILED in page.text
    assert PHONE in page.text
    assert "canary" not in page.text + json.dumps(problem)
