"""Bodies: whatever a form or a program sends is read into pairs of label and value, within bounds."""

import json
import re
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser

from booking.domain.errors import CannotRead
from booking.domain.fields import HONEYPOT, REPEATED, canonical

BODY_BYTES = 64 * 1024
MOST_FIELDS = 60
DEEPEST_JSON = 8
MAY_BE_TICKED = {"consent_reply", "consent_marketing", "new_patient", HONEYPOT}
SURROGATE = re.compile("[\ud800-\udfff]")
URLENCODED = "application/x-www-form-urlencoded"

Pairs = list[tuple[str, Any]]


def read_body(body: bytes, content_type: str, options: dict[str, str]) -> Pairs:
    """The pairs of a body; raises CannotRead. A wrong or missing content type is seen through: it costs no lead."""
    kind = _kind(body, content_type)
    if kind == "json":
        pairs = _json(body)
    elif kind == "multipart":
        pairs = _multipart(body, options.get("boundary") or _boundary(body))
    elif kind == "lines":
        pairs = [(label.strip(), value.strip()) for label, _, value in _lines(body)]
    else:
        pairs = _urlencoded(body)
    return bounded(pairs)


def read_query(query: bytes) -> Pairs:
    """The pairs of a query string, under the same bounds."""
    return bounded(_urlencoded(query))


def bounded(pairs: Pairs) -> Pairs:
    """The same pairs, once it is sure that they are not too many and hold nothing that no database keeps."""
    if len(pairs) > MOST_FIELDS:
        raise CannotRead(f"A form has at most {MOST_FIELDS} fields; this has {len(pairs)}.")
    for label, value in pairs:
        for text in _texts([label, value]):
            if "\0" in text or SURROGATE.search(text):
                raise CannotRead("This contains characters that are not text.", canonical(label) or _shown(label))
    return pairs


def _kind(body: bytes, content_type: str) -> str:
    start = body.lstrip()[:1]
    if content_type == "multipart/form-data" or body.startswith(b"--"):
        return "multipart"
    if content_type == "application/json" or content_type.endswith("+json"):
        looks_like_a_form = start not in {b"{", b"[", b'"'} and b"=" in body
        return "form" if looks_like_a_form else "json"
    if start == b"{":
        return "json"
    if content_type == "text/plain" and b"&" not in body and b"=" in body:
        return "lines"
    return "form"


def _urlencoded(body: bytes) -> Pairs:
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        text = _decode(body)
    try:
        return list(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000))
    except UnicodeDecodeError:  # percent-escapes of an old page's own encoding
        return list(parse_qsl(text, keep_blank_values=True, encoding="cp1252", errors="replace"))
    except ValueError:
        raise CannotRead(f"A form has at most {MOST_FIELDS} fields.") from None


def _multipart(body: bytes, boundary: str) -> Pairs:
    parser = FormDataParser(max_form_memory_size=BODY_BYTES, max_form_parts=1000, silent=False)
    try:
        _, form, files = parser.parse(BytesIO(body), "multipart/form-data", len(body), {"boundary": boundary})
    except (ValueError, HTTPException):
        raise CannotRead("This is not a readable multipart form.", malformed=True) from None
    pairs: Pairs = list(form.items(multi=True))
    for label, file in files.items(multi=True):
        if file.filename:
            pairs.append((f"{label} (file, not kept)", file.filename))
    return pairs


def _boundary(body: bytes) -> str:
    return body.split(b"\n", 1)[0].strip()[2:].decode("latin-1")


def _lines(body: bytes) -> list[tuple[str, str, str]]:
    return [line.partition("=") for line in _decode(body).splitlines() if line.strip()]


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _json(body: bytes) -> Pairs:
    try:
        found = json.loads(body, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except CannotRead:
        raise
    except (ValueError, RecursionError):
        raise CannotRead("This is not readable JSON.", malformed=True) from None
    if not isinstance(found, dict):
        raise CannotRead("The body must be a JSON object with the form's fields.")
    if _depth(found) > DEEPEST_JSON:
        raise CannotRead(f"JSON may be nested {DEEPEST_JSON} deep at most.")
    wrapped = found.pop("fields", None)
    if isinstance(wrapped, dict):
        found |= wrapped
    elif wrapped is not None:
        found["fields"] = wrapped
    return [(label, _typed(label, value)) for label, value in found.items()]


def _typed(label: str, value: Any) -> Any:
    """A known field's value if it has a type that field can have; unknown fields may hold anything."""
    name = canonical(label)
    if name is None or value is None or isinstance(value, str):
        return value
    if name in MAY_BE_TICKED and isinstance(value, bool):
        return value
    if name in REPEATED and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if name == "started_at" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CannotRead("This must be a text.", name)


def _no_key_twice(pairs: Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(label for i, (label, _) in enumerate(pairs) if label in dict(pairs[:i]))
        raise CannotRead("This field is given twice.", canonical(twice) or _shown(twice))
    return found


def _no_constant(_name: str) -> Any:
    raise CannotRead("NaN and Infinity are not JSON.", malformed=True)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _texts(values: list[Any]) -> list[str]:
    texts: list[str] = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            texts += _texts(value)
        elif isinstance(value, dict):
            texts += _texts([*value.keys(), *value.values()])
    return texts


def _shown(label: str) -> str:
    return SURROGATE.sub("?", label.replace("\0", ""))[:60]
