"""The public pages: what the clinic offers and the form, a post of the form, and its success state."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from booking import reception
from booking.domain import reference as references
from booking.domain.contact import EMAIL_DOMAINS, REAL_NEIGHBOURS
from booking.domain.errors import CannotRead
from booking.domain.fields import HONEYPOT, Fields, sort
from booking.domain.submission import yes_or_no
from booking.reception import Receipt
from booking.spool import SpoolFull
from booking.web import headers, representations
from booking.web.intake import Intake, fresh_key, is_allowed_target, read_get, read_post, take, utc_now
from booking.web.parsing import printable
from booking.web.premises import premises

RETRY_SECONDS = "30"
NONCE_HERE, KEY_HERE, STARTED_HERE = "nonce-goes-here", "key-goes-here", "started-goes-here"

SHOWN = {
    "name", "email", "phone", "service", "message", "preferred_times", "contact_preference", "new_patient",
    "consent_reply", "consent_marketing",
}  # fmt: skip
TICKED = ("new_patient", "consent_reply", "consent_marketing")
CHOICES = {
    "contact_preference": {"", "phone", "text", "email"},
    "new_patient": {"", "true", "false"},
    "consent_reply": {"", "true", "false"},
    "consent_marketing": {"", "true", "false"},
}
# The page sets these anew, or has made a name of them.
UNSHOWN = {"first_name", "last_name", "submission_key", "started_at", "consent_version", HONEYPOT}

public = Blueprint("public", __name__)


@public.get("/")
def page() -> Response:
    """The hosted page; rendered once per process, only the fresh bits are filled in."""
    kept = current_app.extensions.get("booking page")
    if kept is None:
        kept = _render({}, (), nonce=NONCE_HERE, key=KEY_HERE, started=STARTED_HERE)
        current_app.extensions["booking page"] = kept
    body = kept.replace(NONCE_HERE, headers.nonce()).replace(KEY_HERE, fresh_key()).replace(STARTED_HERE, _started())
    response = Response(body, mimetype="text/html")
    # Not no-store: a browser's back button should find what was typed.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@public.post("/leads")
def post_lead() -> WerkzeugResponse:
    """A post of the form, from our page or from any web site."""
    try:
        intake = read_post(request, "form", utc_now())
    except CannotRead as refusal:
        if not refusal.pairs or representations.wants_json(request):
            raise
        return _page_again(sort(printable(refusal.pairs)), 422, errors=refusal.errors)
    return _answer(intake)


@public.get("/leads")
def get_lead() -> WerkzeugResponse:
    """A form left on method=get: stored and flagged like a post; the visitor leaves for a clean address."""
    if not request.query_string or request.method == "HEAD":
        return redirect(url_for("public.page"), 303)
    intake = read_get(request, utc_now())
    if intake.submission.says_nothing:  # a link with nothing but where somebody came from
        return redirect(url_for("public.page"), 303)
    return _answer(intake)


@public.get("/received/<reference>")
def received(reference: str) -> Response:
    """The success state; it says nothing about a person, and nothing at all for a reference we did not give."""
    clinic = premises().clinic
    ours = references.is_wellformed(reference, clinic.reference_prefix) and reception.is_known(premises(), reference)
    if not ours:
        abort(404)
    body = render_template(
        "public/received.html",
        clinic=clinic,
        reference=reference,
        check_email=request.args.get("check") == "email",
        csp_nonce=headers.nonce(),
    )
    response = Response(body, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


def _answer(intake: Intake) -> WerkzeugResponse:
    try:
        receipt = take(intake, utc_now())
    except SpoolFull:
        return _away(intake)
    if receipt.incomplete:
        return _refused(intake, receipt)
    if representations.wants_json(request):
        return representations.received(receipt, intake.submission.suggestions)
    return representations.marked(_see_other(intake, receipt), receipt)


def _see_other(intake: Intake, receipt: Receipt) -> Any:
    return_to = intake.fields.text("return_to")
    if return_to and is_allowed_target(return_to):
        return redirect(return_to, 303)
    target = url_for("public.received", reference=receipt.reference)
    check = f"?{urlencode({'check': 'email'})}" if intake.submission.suggestions.get("email") else ""
    return redirect(target + check, 303)


def _refused(intake: Intake, receipt: Receipt) -> Response:
    errors = {name: [text] for name, text in intake.submission.problems.items()}
    detail = "Nothing you typed is lost. Please look at the fields that are marked and send it again."
    if representations.wants_json(request):
        return representations.problem(422, detail, errors, receipt.reference)
    return _page_again(intake.fields, 422, errors=errors, reference=receipt.reference)


def _away(intake: Intake) -> Response:
    phone = premises().clinic.phone
    detail = f"We could not store your enquiry just now. Please call {phone}, or try again in a minute."
    if representations.wants_json(request):
        return representations.problem(503, detail, Retry_After=RETRY_SECONDS)
    response = _page_again(intake.fields, 503, away=True)
    response.headers["Retry-After"] = RETRY_SECONDS
    return response


def _page_again(fields: Fields, status: int, **context: Any) -> Response:
    values, others = _typed(fields)
    key = fields.text("submission_key") or fresh_key()
    started = fields.text("started_at") or _started()
    body = _render(
        values, others, nonce=headers.nonce(), key=key, started=started, failure=representations.FAILED, **context
    )
    response = Response(body, status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


def _typed(fields: Fields) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Every keystroke: what the page's own controls show, and what it carries along unseen."""
    values = {name: fields.text(name) for name in SHOWN}
    values["name"] = values["name"] or f"{fields.text('first_name')} {fields.text('last_name')}".strip()
    for name in TICKED:
        answer = yes_or_no(values[name])
        if answer is not None:
            values[name] = "true" if answer else "false"
    carried = {name: found for name, found in fields.canonical.items() if name not in SHOWN | UNSHOWN}
    carried |= {name: [values[name]] for name, known in CHOICES.items() if values[name] not in known}
    others = [*carried.items(), *fields.extras.items()]
    return values, [(name, text) for name, found in others for text in _texts(found)]


def _texts(found: Any) -> list[str]:
    values = found if isinstance(found, list) else [found]
    return [value if isinstance(value, str) else json.dumps(value) for value in values if value not in ("", None)]


def _render(
    values: dict[str, str], others: Sequence[tuple[str, str]], *, nonce: str, key: str, started: str, **context: Any
) -> str:
    empty: dict[str, Any] = {"errors": {}, "failure": None, "away": False, "reference": None}
    return render_template(
        "public/page.html",
        clinic=premises().clinic,
        values=values,
        others=others,
        submission_key=key,
        started_at=started,
        csp_nonce=nonce,
        action=url_for("public.post_lead"),
        suggest_domains=EMAIL_DOMAINS + REAL_NEIGHBOURS,
        **(empty | context),
    )


def _started() -> str:
    return str(int(utc_now().timestamp()))
