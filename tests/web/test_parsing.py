"""Bodies: whatever encoding and content type a post comes with, its pairs are read, and bounds are kept."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import encode_multipart

from booking.domain.errors import CannotRead
from booking.web.parsing import BODY_BYTES, DEEPEST_JSON, MOST_FIELDS, Pairs, read_body, read_query

URLENCODED, MULTIPART, JSON = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"
FORM = [("name", "Ada"), ("email", "ada@example.com"), ("message", "Back & neck = both\nsince May\u00e9 \U0001f600")]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
# A label of a multipart form stands in a header: quotes, line ends and back-strokes have rules of their own there.
LABEL = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
FORMS = st.lists(st.tuples(LABEL, TEXT), min_size=1, max_size=8)


def multipart(pairs: Pairs) -> bytes:
    values: dict[str, list[str]] = {}
    for label, value in pairs:
        values.setdefault(label, []).append(value)
    return encode_multipart(values, boundary="limit")[1].lstrip()  # as a browser writes it, without a preamble


@given(FORMS)
def test_an_urlencoded_form_is_read_as_it_was_filled_in(pairs: Pairs) -> None:
    assert read_body(urlencode(pairs).encode(), URLENCODED, {}) == pairs


@given(st.dictionaries(LABEL, TEXT, min_size=1, max_size=8))
def test_a_multipart_form_is_read_as_it_was_filled_in(form: dict[str, str]) -> None:
    pairs = [*form.items()]
    assert read_body(multipart(pairs), MULTIPART, {"boundary": "limit"}) == pairs


@given(st.dictionaries(LABEL.map("x{}".format), TEXT | st.booleans() | st.none() | st.integers(), max_size=8))
def test_json_is_read_as_it_was_written(form: dict[str, Any]) -> None:
    assert read_body(json.dumps(form).encode(), JSON, {}) == [*form.items()]
    assert read_body(json.dumps(form, ensure_ascii=False).encode(), JSON, {}) == [*form.items()]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        URLENCODED,
        JSON,
        MULTIPART,
        "text/plain",
        "text/html",
        "application/octet-stream",
        "application/ld+json",
        "x",
    ],
)
@pytest.mark.parametrize("encoding", [URLENCODED, MULTIPART, JSON])
def test_a_wrong_or_missing_content_type_loses_nothing(encoding: str, kind: str) -> None:
    body = {URLENCODED: urlencode(FORM).encode(), MULTIPART: multipart(FORM), JSON: json.dumps(dict(FORM)).encode()}
    read = read_body(body[encoding], kind, {"boundary": "limit"} if encoding == kind == MULTIPART else {})
    assert [(label, value.replace("\r\n", "\n")) for label, value in read] == FORM


def test_a_boundary_that_is_not_the_bodys_loses_nothing() -> None:
    assert read_body(urlencode(FORM).encode(), MULTIPART, {"boundary": "limit"}) == FORM
    assert len(read_body(multipart(FORM), MULTIPART, {"boundary": "another"})) == len(FORM)


@pytest.mark.parametrize(
    "text", ["name=Ada\r\nemail=ada@example.com\r\nmessage=Back\r\n", "name=Ada\nemail=ada@example.com\nmessage=Back"]
)
def test_a_form_sent_as_plain_text_is_read_line_by_line(text: str) -> None:
    assert read_body(text.encode(), "text/plain", {}) == [
        ("name", "Ada"),
        ("email", "ada@example.com"),
        ("message", "Back"),
    ]


def test_an_ampersand_in_a_plain_text_form_is_a_letter_like_any_other() -> None:
    body = b"name=Ada\r\nemail=ada@example.com\r\nmessage=Back & neck\r\n"
    assert dict(read_body(body, "text/plain", {}))["message"] == "Back & neck"


def test_a_message_of_several_lines_in_a_plain_text_form_stays_whole() -> None:
    pairs = read_body(b"email=ada@example.com\r\nmessage=My back.\r\nAnd my neck.\r\n", "text/plain", {})
    assert "".join(dict(pairs)["message"].split()) == "Myback.Andmyneck."


def test_one_escaped_field_sent_as_text_is_unescaped() -> None:
    assert read_body(b"email=ada%40example.com", "text/plain", {}) == [("email", "ada@example.com")]


def test_json_with_a_byte_order_mark_is_json() -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"email": "ada@example.com", "page_url": "https://x.example/?a=b"}).encode()
    assert dict(read_body(body, JSON, {}))["page_url"] == "https://x.example/?a=b"


def test_letters_of_an_old_page_are_read_in_its_encoding() -> None:
    assert read_body("name=Zoë".encode("cp1252"), URLENCODED, {}) == [("name", "Zoë")]
    assert read_body(b"name=Zo%EB", URLENCODED, {}) == [("name", "Zoë")]
    assert read_body(multipart([("name", "Zoe")]).replace(b"Zoe", b"Zo\xeb"), MULTIPART, {}) == [("name", "Zoë")]


@pytest.mark.parametrize("query", [b"name=100%", b"name=%zz", b"name=%", b"name=a%2"])
def test_a_percent_sign_that_escapes_nothing_stands_for_itself(query: bytes) -> None:
    assert read_query(query) == [("name", query.decode().removeprefix("name="))]


def test_fields_may_be_wrapped_in_json_and_none_of_them_hides_another() -> None:
    pairs = read_body(json.dumps({"message": "outer", "fields": {"message": "inner", "pet": "cat"}}).encode(), JSON, {})
    assert sorted(value for _, value in pairs) == ["cat", "inner", "outer"]


def test_of_a_file_its_name_is_kept() -> None:
    body = b'--limit\r\nContent-Disposition: form-data; name="photo"; filename="knee.jpg"\r\n\r\n...\r\n--limit--\r\n'
    assert read_body(body, MULTIPART, {"boundary": "limit"}) == [("photo (file, not kept)", "knee.jpg")]


def test_a_file_beside_them_does_not_change_the_letters_of_the_other_fields() -> None:
    photo = b'--limit\r\nContent-Disposition: form-data; name="photo"; filename="knee.jpg"\r\n\r\n\xff\xd8\xe9\r\n'
    pairs = read_body(photo + multipart([("name", "Zo\u00eb")]), MULTIPART, {"boundary": "limit"})
    assert ("name", "Zo\u00eb") in pairs


# ---------------------------------------------------------------- bounds


@given(st.binary(max_size=200), st.sampled_from(["", URLENCODED, MULTIPART, JSON, "text/plain"]))
@example(b"--", MULTIPART)
@example(b"--\r\n\r\n", "")
@example(b'{"a":1', JSON)
def test_no_bytes_whatever_are_anything_but_pairs_or_a_refusal(body: bytes, kind: str) -> None:
    try:
        pairs = read_body(body, kind, {})
    except CannotRead:
        return
    else:
        assert all(isinstance(label, str) for label, _ in pairs)


@pytest.mark.parametrize("number", [MOST_FIELDS, MOST_FIELDS + 1, 999, 1001, 5000])
@pytest.mark.parametrize("encoding", [URLENCODED, MULTIPART, JSON])
def test_sixty_fields_are_read_and_more_are_refused(encoding: str, number: int) -> None:
    pairs = [(f"field {n}", "x") for n in range(number)]
    body = {URLENCODED: urlencode(pairs).encode(), MULTIPART: multipart(pairs), JSON: json.dumps(dict(pairs)).encode()}
    options = {"boundary": "limit"} if encoding == MULTIPART else {}
    if number <= MOST_FIELDS:
        assert read_body(body[encoding], encoding, options) == pairs
    else:
        with pytest.raises(CannotRead, match=r"60 fields|multipart"):
            read_body(body[encoding], encoding, options)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return b'{"pets": ' + opening.encode() * (depth - 1) + b"1" + closing.encode() * (depth - 1) + b"}"


def test_json_may_be_eight_deep() -> None:
    assert read_body(nested(DEEPEST_JSON), JSON, {})


@pytest.mark.parametrize("depth", [DEEPEST_JSON + 1, 100, 300, 400, 500, 700, 900, 990, 1000, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deeper_json_is_refused_however_deep(depth: int, opening: str, closing: str) -> None:
    with pytest.raises(CannotRead):
        read_body(nested(depth, opening, closing)[: 2 * BODY_BYTES], JSON, {})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
def test_what_is_no_number_of_json_is_refused(number: str) -> None:
    with pytest.raises(CannotRead):
        read_body(b'{"email": "ada@example.com", "pet": ' + number.encode() + b"}", JSON, {})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"text"', b"1", b"null", b"{", b"\xff\xfe", b'{"a": }', b'{"a": "\xff"}']
)
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(CannotRead):
        read_body(body, JSON, {})


@pytest.mark.parametrize(
    "body",
    [
        b'{"email": "a", "email": "b"}',
        b'{"pet": {"name": "a", "name": "b"}}',
        b'{"fields": {"email": "a", "email": "b"}}',
    ],
)
def test_a_key_given_twice_is_refused_and_named(body: bytes) -> None:
    with pytest.raises(CannotRead) as refusal:
        read_body(body, JSON, {})
    assert set(refusal.value.errors) <= {"email", "name"}
    assert set(refusal.value.errors)


@pytest.mark.parametrize("bad", ["\\u0000", "\\ud800", "\\udfff x", "a\\ud83d"])
@pytest.mark.parametrize(
    "where", ['"E-mail": "{}"', '"email": "a", "{}": "x"', '"pets": [{{"cat": "{}"}}]', '"pets": {{"{}": 1}}']
)
def test_what_is_no_text_is_refused_wherever_it_hides(bad: str, where: str) -> None:
    with pytest.raises(CannotRead) as refusal:
        read_body(("{" + where.format(bad) + "}").encode(), JSON, {})
    json.dumps(refusal.value.errors).encode()
    (named,) = refusal.value.errors
    named.encode()


def test_letters_of_four_bytes_are_text() -> None:
    assert read_body(b'{"name": "\\ud83d\\ude00"}', JSON, {}) == [("name", "\U0001f600")]
