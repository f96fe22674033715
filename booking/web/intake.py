"""Intake: from a request to a stored submission; what the form's door and the program's door have in common."""

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Request

from booking import reception
from booking.domain.fields import ATTRIBUTION, HONEYPOT, Fields, sort
from booking.domain.submission import Circumstances, Submission, seconds_to_fill
from booking.models.lead import WATCH
from booking.reception import Receipt
from booking.web.forms import LeadForm
from booking.web.parsing import Pairs, read_body, read_query
from booking.web.premises import premises

WATCH_HEADER = "X-Booking-Watch"  # by which the worker makes itself known when it tests the form


@dataclass(frozen=True)
class Intake:
    """A post as it came, and what was read from it."""

    fields: Fields
    submission: Submission


def read_post(request: Request, door: str, now: datetime) -> Intake:
    """Read a posted body; raises CannotRead."""
    body = request.get_data(cache=False)
    pairs = read_body(body, request.mimetype, dict(request.mimetype_params))
    return _read(request, pairs, Circumstances(door=WATCH if _is_our_own_test(request) else door), now)


def read_get(request: Request, now: datetime) -> Intake:
    """Read the answers of a form left on method=get from the address; raises CannotRead."""
    return _read(request, read_query(request.query_string), Circumstances(door="form", by_get=True), now)


def take(intake: Intake, now: datetime) -> Receipt:
    """Store what was read; raises KeyReused or SpoolFull."""
    return reception.receive(premises(), intake.submission, now)


def is_allowed_target(url: str) -> bool:
    """Whether a visitor may be sent on to `url`: a page of ours or of a web site on the allow-list."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    origin = f"{parts.scheme}://{parts.netloc}"
    ours = urlsplit(premises().base_url)
    # A backslash or a control character is read by browsers in ways that no parser here would.
    plain = url.isprintable() and "\\" not in url
    return plain and origin in {*premises().allowed_origins, f"{ours.scheme}://{ours.netloc}"}


def client_digest(request: Request) -> bytes:
    """A digest of the client's address: it tells clients apart and says nothing of them."""
    return premises().keyring.digest("client", request.remote_addr or "")


def utc_now() -> datetime:
    """The doors' clock."""
    return datetime.now(UTC)


def fresh_key() -> str:
    """A submission key for one showing of the form."""
    return secrets.token_urlsafe(16)


def _read(request: Request, pairs: Pairs, circumstances: Circumstances, now: datetime) -> Intake:
    fields = sort(pairs)
    key = request.headers.get("Idempotency-Key", "").strip()
    if key:
        fields.canonical["submission_key"] = [key]
    if not fields.text("page_url") and request.referrer:
        fields.canonical["page_url"] = [_page(request.referrer)]
    circumstances = replace(
        circumstances,
        origin=_origin(request),
        client=client_digest(request).hex(),
        seconds=seconds_to_fill(fields.text("started_at"), now),
        honeypot=bool(fields.text(HONEYPOT)),
    )
    return Intake(fields, LeadForm(fields).read(region=premises().clinic.region, circumstances=circumstances))


def _is_our_own_test(request: Request) -> bool:
    shown = request.headers.get(WATCH_HEADER, "")
    return bool(shown) and secrets.compare_digest(shown.encode(), premises().keyring.token(WATCH).encode())


def _page(referrer: str) -> str:
    """The page somebody came from, without what they typed: a form on method=get puts that into its address."""
    try:
        parts = urlsplit(referrer)
    except ValueError:
        return ""
    told = [(name, value) for name, value in parse_qsl(parts.query) if name in ATTRIBUTION]
    return parts._replace(query=urlencode(told), fragment="").geturl()


def _origin(request: Request) -> str:
    origin = request.headers.get("Origin", "")
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return "same"
    if origin in {"", "null"}:
        return "none"
    if origin in premises().allowed_origins:
        return "known"
    return "same" if origin in {premises().base_url, request.host_url.rstrip("/")} else "unknown"
