"""Bad input on every field, as form and as JSON, on both engines: one verdict, no crash, nothing changed silently."""

import json
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from booking.domain.contact import clean_line, clean_text
from booking.domain.fields import ATTRIBUTION, CANONICAL, HONEYPOT
from booking.models.lead import CONTENT, Lead
from booking.runtime import Runtime

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
ANSWERABLE = {"email": "ada@example.com", "phone": "904-555-0134"}
TICKED = {"consent_reply", "consent_marketing", "new_patient", HONEYPOT}
# A field by which the person can still be reached when the one under test is spoiled.
WAY = {name: "phone" if name == "email" else "email" for name in CANONICAL}
REFUSED, TAKEN = {400, 422}, {201, 303}
# The lead is taken, the time is refused; more of that in test_bad_times.
NAMES_A_TIME = {"starts_at", "hold"}


def beside(name: str) -> dict[str, str]:
    way = WAY.get(name, "email")
    return {way: ANSWERABLE[way]}


def send(client: FlaskClient, body: bytes | str, kind: str) -> TestResponse:
    return client.post("/leads", data=body, content_type=kind, headers={"Accept": "application/json"})


def send_form(client: FlaskClient, name: str, raw: str) -> TestResponse:
    """A field whose value is already escaped, with a way to answer."""
    return send(client, f"{urlencode(beside(name))}&{name}={raw}", FORM)


def send_json(client: FlaskClient, name: str, raw: str) -> TestResponse:
    """A field whose value is a piece of JSON, with a way to answer."""
    rest = json.dumps(beside(name))[1:-1]
    return send(client, f'{{{rest}, "{name}": {raw}}}'.encode("utf-8", "surrogateescape"), JSON)


def unexpected(verdicts: dict[str, TestResponse], expected: set[int], *, named: bool = False) -> dict[str, Any]:
    """The fields whose verdict is not one of `expected`, or whose refusal does not name them."""
    return {
        name: (answer.status_code, answer.get_json())
        for name, answer in verdicts.items()
        if answer.status_code not in expected or (named and name not in answer.get_json()["errors"])
    }


# ---------------------------------------------------------------- refused, with the field named


def test_nul_in_a_form_is_refused_and_named(client: FlaskClient) -> None:
    for raw in ("%00", "a%00b", "Ada%20Lovelace%00"):
        verdicts = {name: send_form(client, name, raw) for name in CANONICAL}
        assert unexpected(verdicts, {422}, named=True) == {}


def test_what_is_no_text_in_json_is_refused_and_named(client: FlaskClient) -> None:
    for raw in ('"a\\u0000b"', '"\\ud800"', '"a\\udfffb"', '"\\ud83d x"', '"\\udc00\\ud800"'):
        verdicts = {name: send_json(client, name, raw) for name in CANONICAL}
        assert unexpected(verdicts, {422}, named=True) == {}


@pytest.mark.parametrize(
    "raw", ["1", "1.5", "{}", '{"a": 1}', '[["a"]]', "[1]", "true", '["a"]', "12345678901234567890"]
)
def test_a_wrong_type_in_json_is_refused_and_named(client: FlaskClient, raw: str) -> None:
    right = {"true": TICKED, '["a"]': {"symptoms"}, "1": {"started_at"}, "12345678901234567890": {"started_at"}}
    verdicts = {name: send_json(client, name, raw) for name in CANONICAL}
    fitting = {name: verdicts.pop(name) for name in right.get(raw, set())}
    assert unexpected(verdicts, {422}, named=True) == {}
    assert unexpected(fitting, TAKEN) == {}


def test_what_is_no_number_is_refused(client: FlaskClient) -> None:
    for raw in ("NaN", "Infinity", "-Infinity", "1e999", "[NaN]", '{"a": 1e999}'):
        verdicts = {name: send_json(client, name, raw) for name in (*CANONICAL, "Pet")}
        assert unexpected(verdicts, REFUSED) == {}, raw


def test_a_key_given_twice_in_json_is_refused_and_named(client: FlaskClient) -> None:
    verdicts = {name: send_json(client, name, f'"a", "{name}": "b"') for name in CANONICAL}
    assert unexpected(verdicts, REFUSED, named=True) == {}


def test_json_nested_too_deep_is_refused(client: FlaskClient) -> None:
    for value in ("[" * 8 + "1" + "]" * 8, '{"a":' * 8 + "1" + "}" * 8, "[" * 500 + "]" * 500):
        verdicts = {name: send_json(client, name, value) for name in (*CANONICAL, "Pet")}
        assert unexpected(verdicts, REFUSED) == {}


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"email":['])
def test_a_flood_of_brackets_breaks_nothing(client: FlaskClient, opening: str) -> None:
    for size in (1, 8, 9, 500, 990, 1000, 10_000, 100_000):
        for kind in (JSON, FORM, "multipart/form-data"):
            assert send(client, opening * size, kind).status_code in {400, 413, 422}, (size, kind)


def test_sixty_fields_are_taken_and_one_more_is_refused(client: FlaskClient) -> None:
    for number, status in ((60, 201), (61, 422)):
        fields = ANSWERABLE | {f"field {n}": "x" for n in range(number - len(ANSWERABLE))}
        assert send(client, urlencode(fields), FORM).status_code == status
        assert send(client, json.dumps(fields), JSON).status_code == status


@pytest.mark.parametrize("kind", [FORM, JSON])
def test_one_byte_over_the_bound_is_too_large_on_every_field(client: FlaskClient, kind: str) -> None:
    for name in CANONICAL:
        for size, statuses in ((65_536, {201, 303, 422}), (65_537, {413})):
            start = f'{{"{name}": "' if kind == JSON else f"{name}="
            end = '"}' if kind == JSON else ""
            body = start + "x" * (size - len(start) - len(end)) + end
            assert send(client, body, kind).status_code in statuses, name


@pytest.mark.parametrize("letters", ["a", "é", "\U0001f600", "李"])
def test_a_name_may_have_two_hundred_letters_and_no_more(client: FlaskClient, letters: str) -> None:
    for number, status in ((200, 201), (201, 422)):
        for name in ("name", "first_name", "last_name"):
            raw = json.dumps(letters * number, ensure_ascii=False).encode().decode("utf-8", "surrogateescape")
            answers = [send_form(client, name, quote_plus(letters * number)), send_json(client, name, raw)]
            assert [answer.status_code for answer in answers] == [status, status], name
            if status == 422:
                assert [set(answer.get_json()["errors"]) for answer in answers] == [{"name"}, {"name"}]


# ---------------------------------------------------------------- taken, and kept as it is


STRANGE = {
    "right to left": "\u202eمحمد شلبي\u202c \u200fعبد",
    "emoji": "Zoë \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1fa\U0001f1f8",
    "combining marks": "Z\u0335\u0322a\u0334\u0353l\u0337\u031bg\u0336o A\u030a n\u0303",
    "four bytes": "\U00020000\U0001d518\U0010fffd",
    "not characters": "\ufffe\uffff\ufdd0",
    "controls": "a\x01b\x7fc\x85d",
    "quotes and SQL": "Robert'); DROP TABLE lead;--\"\\ %s {0} ${x} <b>",
    "a formula": '=HYPERLINK("http://x","y")',
    "lines": "one\r\ntwo\rthree\n\n  four  ",
    "byte order mark": "\ufeffAda\u200b",
}
# Where a field's text ends up, and by which rule it is written there.
COLUMNS = ("name", "service", "practitioner", "location", "contact_preference", "page_url", "referrer")
TEXTS = ("message", "preferred_times")


def kept(runtime: Runtime, reference: str, name: str) -> Any:
    with runtime.database.reading() as db:
        lead = db.scalars(select(Lead).where(Lead.reference == reference)).one()
        private = json.loads(runtime.keyring.open(lead.content, CONTENT, lead.id))
        if name in COLUMNS:
            return getattr(lead, name)
        return lead.attribution.get(name) if name in ATTRIBUTION else private.get(name, private["extras"].get(name))


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_text_is_taken_and_comes_back_as_it_was_written(
    client: FlaskClient, runtime: Runtime, kind: str
) -> None:
    text, changed = STRANGE[kind], {}
    for number, name in enumerate([*COLUMNS, *TEXTS, *ATTRIBUTION, "starts_at", "Pet"]):
        expected = text if name == "Pet" else clean_text(text) if name in TEXTS else clean_line(text)
        way = ANSWERABLE | {"submission_key": f"{number}"}
        for answer in (
            send(client, urlencode(way | {name: text, "door": "form"}), FORM),
            send(client, json.dumps(way | {name: text}, ensure_ascii=False).encode(), JSON),
        ):
            expected_verdict = REFUSED if name in NAMES_A_TIME else TAKEN
            reference = answer.get_json().get("reference")
            found = kept(runtime, reference, name) if answer.status_code in expected_verdict else answer.text
            if found != expected:
                changed[name] = found
    assert changed == {}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_way_to_answer_that_is_strange_is_kept_as_it_was_typed(
    client: FlaskClient, runtime: Runtime, kind: str
) -> None:
    typed = clean_line(STRANGE[kind])
    answers = [send(client, json.dumps(ANSWERABLE | {name: STRANGE[kind]}).encode(), JSON) for name in ANSWERABLE]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert kept(runtime, answers[0].get_json()["reference"], "email as typed") == typed
    with runtime.database.reading() as db:
        assert typed in db.scalars(select(Lead.phone_typed)).all()


def test_escapes_that_are_none_break_nothing_on_any_field(client: FlaskClient) -> None:
    for raw in ("%", "%zz", "100%", "%u0041", "a%2", "%C3", "%C3%28", "%FF%FE", "%ED%A0%80", "%F4%90%80%80"):
        verdicts = {name: send_form(client, name, raw) for name in CANONICAL}
        times = {name: verdicts.pop(name) for name in NAMES_A_TIME}
        assert unexpected(verdicts, TAKEN) == {}, raw
        assert unexpected(times, {422}, named=True) == {}, raw


@pytest.mark.parametrize("raw", [b"\xff", b"\xed\xa0\x80", b"Zo\xeb"])
def test_bytes_that_are_no_utf8_break_nothing_on_any_field(client: FlaskClient, raw: bytes) -> None:
    for name in CANONICAL:
        way = urlencode(beside(name)).encode()
        assert send(client, way + f"&{name}=".encode() + raw, FORM).status_code in TAKEN | REFUSED
        as_json = json.dumps(beside(name)).encode()[:-1] + f', "{name}": "'.encode() + raw + b'"}'
        assert send(client, as_json, JSON).status_code in REFUSED
        label = b"Pet" + raw + b"=cat&" + way
        assert send(client, label, FORM).status_code in TAKEN | REFUSED


def test_values_at_the_edge_break_nothing_on_any_field(client: FlaskClient) -> None:
    for text in ("", " ", "\u200b", "x" * 20_000, "9" * 300, "+", "@", "0", "-1", "null"):
        verdicts = {name: send_form(client, name, quote_plus(text)) for name in CANONICAL}
        verdicts |= {f"JSON {name}": send_json(client, name, json.dumps(text)) for name in CANONICAL}
        wrong = {"name", "first_name", "last_name"} if len(text) > 200 else set()
        wrong |= NAMES_A_TIME if text.strip() else set()
        refused = {name for name, answer in verdicts.items() if answer.status_code not in TAKEN}
        assert refused == wrong | {f"JSON {name}" for name in wrong}
