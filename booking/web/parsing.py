"""Bodies: whatever a form or a program sends is read into pairs of label and value, within bounds."""

import json
import re
from collections.abc import Sequence
from io import BytesIO
from math import isfinite
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
# What names a time may be anything: it is the time that is refused, and the enquiry is kept.
NAMES_A_TIME = {"starts_at", "hold"}
SURROGATE, NOT_TEXT = re.compile("[\ud800-\udfff]"), re.compile("[\0\ud800-\udfff]")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Pairs = list[tuple[str, Any]]


def read_body(body: bytes, content_type: str, options: dict[str, str]) -> Pairs:
    """The pairs of a body; raises CannotRead. A wrong or missing content type is seen through: it costs no lead."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    kind = _kind(body, content_type)
    if kind == "json":
        pairs = _json(body)
    elif kind == "multipart":
        pairs = _multipart(body, options.get("boundary", ""))
    elif kind == "lines":
        pairs = _lines(body)
    else:
        pairs = _urlencoded(body)
    return bounded(pairs)


def read_query(query: bytes) -> Pairs:
    """The pairs of a query string, under the same bounds."""
    return bounded(_urlencoded(query))


def bounded(pairs: Pairs) -> Pairs:
    """The same pairs, once it is sure that they are not too many and hold nothing that no database keeps."""
    if len(pairs) > MOST_FIELDS:
        reason = f"A form has at most {MOST_FIELDS} fields; this has {len(pairs)}."
        raise CannotRead(reason, pairs=pairs[:MOST_FIELDS])
    for place, (label, value) in enumerate(pairs):
        if all(map(_is_text, _texts([label, value]))):
            continue
        name = canonical(label)
        if name not in NAMES_A_TIME:
            raise CannotRead("This contains characters that are not text.", name or _shown(label), pairs=pairs)
        pairs[place] = name, NOT_TEXT.sub("\ufffd", value or "")  # which no time and no hold has
    return pairs


def printable(pairs: Sequence[tuple[str, Any]]) -> Pairs:
    """The pairs without what is not text, to be shown again."""
    return [(_shown(label), _stripped(value) if isinstance(value, str) else value) for label, value in pairs]


def _kind(body: bytes, content_type: str) -> str:
    start = body.lstrip()[:1]
    if body.lstrip().startswith(b"--") and b"form-data" in body:
        return "multipart"
    if start == b"{":
        return "json"
    if content_type == "application/json" or content_type.endswith("+json"):
        return "form" if start not in {b"[", b'"'} and b"=" in body else "json"
    if content_type == "text/plain" and b"\n" in body.strip() and b"=" in body:
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
    body = body.lstrip()
    if not boundary or not body.startswith(b"--" + boundary.encode("latin-1", "replace")):
        boundary = body.split(b"\n", 1)[0].strip()[2:].decode("latin-1")
    if b"filename=" not in body:  # a photo is in no encoding, and must not decide that of the names
        body = _decode(body).encode()
    parser = FormDataParser(max_form_memory_size=2 * BODY_BYTES, max_form_parts=1000, silent=False)
    try:
        _, form, files = parser.parse(BytesIO(body), "multipart/form-data", len(body), {"boundary": boundary})
    except (ValueError, HTTPException):
        raise CannotRead("This is not a readable multipart form.", malformed=True) from None
    pairs: Pairs = list(form.items(multi=True))
    for label, file in files.items(multi=True):
        file.close()
        if file.filename:
            pairs.append((f"{label} (file, not kept)", file.filename))
    return pairs


def _lines(body: bytes) -> Pairs:
    """A form of the kind text/plain: `label=value` lines; what has no label goes on with the value before."""
    pairs: list[tuple[str, str]] = []
    for line in _decode(body).splitlines():
        label, equals, value = line.partition("=")
        if equals:
            pairs.append((label.strip(), value))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}\n{line}")
    return [(label, value.strip()) for label, value in pairs]


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _json(body: bytes) -> Pairs:
    try:
        found = json.loads(
            body, object_pairs_hook=_no_key_twice, parse_constant=_no_constant, parse_float=_finite_number
        )
    except CannotRead:
        raise
    except (ValueError, RecursionError):
        raise CannotRead("This is not readable JSON.", malformed=True) from None
    if not isinstance(found, dict):
        raise CannotRead("The body must be a JSON object with the form's fields.")
    if _is_deeper(found, DEEPEST_JSON):
        raise CannotRead(f"JSON may be nested {DEEPEST_JSON} deep at most.")
    wrapped = found.pop("fields") if isinstance(found.get("fields"), dict) else {}
    return [(label, _typed(label, value)) for label, value in [*found.items(), *wrapped.items()]]


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
    if name in NAMES_A_TIME:
        return json.dumps(value)
    raise CannotRead("This must be a text.", name)


def _no_key_twice(pairs: Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(label for i, (label, _) in enumerate(pairs) if label in dict(pairs[:i]))
        raise CannotRead("This field is given twice.", canonical(twice) or _shown(twice))
    return found


def _no_constant(_name: str) -> Any:
    raise CannotRead("NaN and Infinity are not JSON.", malformed=True)


def _finite_number(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_constant(text)


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(each, depth - 1) for each in inner)


def _is_text(text: str) -> bool:
    return "\0" not in text and (text.isascii() or SURROGATE.search(text) is None)


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
    return _stripped(label)[:60]


def _stripped(text: str) -> str:
    return SURROGATE.sub("?", text.replace("\0", ""))
