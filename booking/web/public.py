"""The public pages: what the clinic offers and the form, a post of the form, and its success state."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from booking import reception
from booking.database import DatabaseAway
from booking.domain import reference as references
from booking.domain import spoken
from booking.domain.errors import AppointmentUnknown, CannotRead
from booking.domain.fields import Fields, sort
from booking.domain.status import AppointmentStatus
from booking.operations import appointments
from booking.reception import Receipt
from booking.spool import SpoolFull
from booking.web import headers, representations, times
from booking.web import page as form
from booking.web.intake import Intake, is_allowed_target, read_get, read_post, take, utc_now
from booking.web.parsing import printable, read_body
from booking.web.premises import premises

RETRY_SECONDS = "30"
NO_TIMES = "We cannot show you times yet."  # nothing was sent, so nothing has failed

public = Blueprint("public", __name__)


@public.get("/")
def page() -> Response:
    """The hosted page; with a `service` in the address, with its next free times."""
    if not request.args.get("service"):
        return form.fresh()
    known = {name: [request.args[name]] for name in ("service", "practitioner", "location") if name in request.args}
    week = {form.WEEK_FIELD: request.args[form.WEEK_FIELD]} if form.WEEK_FIELD in request.args else {}
    return _with_times(Fields(known, dict(week)))


@public.post("/times")
def post_times() -> Response:
    """The page again with everything typed, and times to choose from: the way without a script. Stores nothing."""
    body = request.get_data(cache=False)
    try:
        fields = sort(read_body(body, request.mimetype, dict(request.mimetype_params)))
    except CannotRead as refusal:
        if not refusal.pairs:
            raise
        return form.again(sort(printable(refusal.pairs)), 422, errors=refusal.errors, failure=NO_TIMES)
    if with_whom := request.args.get("practitioner"):  # a button can name one field alone, and it names the time
        fields.canonical["practitioner"] = [with_whom]
    return _with_times(fields)


@public.post("/leads")
def post_lead() -> WerkzeugResponse:
    """A post of the form, from our page or from any web site."""
    try:
        intake = read_post(request, "form", utc_now())
    except CannotRead as refusal:
        return _not_readable(refusal)
    return _answer(intake)


@public.get("/leads")
def get_lead() -> WerkzeugResponse:
    """A form left on method=get: stored and flagged like a post; the visitor leaves for a clean address."""
    if not request.query_string or request.method == "HEAD":
        return redirect(url_for("public.page"), 303)
    try:
        intake = read_get(request, utc_now())
    except CannotRead as refusal:
        return _not_readable(refusal)
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
        visit=_visit(request.args.get("visit", "")),
        advice=request.args.get("advice", ""),
        waits=request.args.get("time") == "open",
        kept=representations.KEPT if request.args.get("time") == "kept" else "",
        check_email=request.args.get("check") == "email",
        back=back if is_allowed_target(back := request.args.get("back", "")) else "",
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
    if receipt.refusal or receipt.taken:
        return _unbooked(intake, receipt)
    if representations.wants_json(request):
        return representations.received(receipt, intake.submission)
    return representations.marked(_see_other(intake, receipt), receipt)


def _not_readable(refusal: CannotRead) -> Response:
    """The form with what could be read of it; raises the refusal again where nothing could, or for a program."""
    if not refusal.pairs or representations.wants_json(request):
        raise refusal
    return form.again(sort(printable(refusal.pairs)), 422, errors=refusal.errors, failure=representations.FAILED)


def _see_other(intake: Intake, receipt: Receipt) -> Any:
    return_to = intake.fields.text("return_to")
    said = representations.said_after(receipt, intake.submission)
    if return_to and is_allowed_target(return_to):
        if not said:
            return redirect(return_to, 303)
        said["back"] = return_to  # its thanks are the same for everybody: what this visitor must know, we say
    target = url_for("public.received", reference=receipt.reference)
    return redirect(f"{target}?{urlencode(said)}" if said else target, 303)


def _unbooked(intake: Intake, receipt: Receipt) -> Response:
    """The lead is safe, its time is not: the same page, everything typed, and the nearest times to choose from."""
    if representations.wants_json(request):
        return representations.unbooked(receipt)
    if receipt.refusal is not None:
        errors, status = {receipt.refusal.field: [str(receipt.refusal)]}, 422
    else:
        errors, status = {"starts_at": [representations.TAKEN]}, 409
    week, _ = form.times_for(intake.fields)
    return form.again(
        intake.fields,
        status,
        time_lost=not {"starts_at", "hold"}.isdisjoint(errors),
        errors=errors,
        failure=representations.FAILED,
        reference=receipt.reference,
        times=week,
        alternatives=times.once_each(receipt.alternatives),
    )


def _with_times(fields: Fields) -> Response:
    week, errors = form.times_for(fields)
    return form.again(fields, 422 if errors else 200, errors=errors, failure=NO_TIMES if errors else None, times=week)


def _visit(token: str) -> dict[str, Any] | None:
    """What the success page says of a visit whose link is in the address."""
    if not token:
        return None
    with suppress(DatabaseAway, AppointmentUnknown), premises().database.reading() as db:
        now = utc_now()
        found = appointments.by_token(db, premises().catalogs.current(db, now.date()), token, now)
        zone = ZoneInfo(found.row.timezone)
        return {
            "when": spoken.long_time(found.row.starts_at.astimezone(zone)),
            "starts_at": found.row.starts_at,
            "service": found.service,
            "practitioner": found.practitioner,
            "location": found.location,
            "cancelled": found.row.status == AppointmentStatus.CANCELLED,
            "token": token,
        }
    return None


def _refused(intake: Intake, receipt: Receipt) -> Response:
    errors = {name: [text] for name, text in intake.submission.problems.items()}
    detail = "Nothing you typed is lost. Please look at the fields that are marked and send it again."
    if representations.wants_json(request):
        return representations.problem(422, detail, errors, receipt.reference)
    week = form.times_for(intake.fields)[0] if intake.fields.text("service") else None
    return form.again(
        intake.fields, 422, errors=errors, failure=representations.FAILED, reference=receipt.reference, times=week
    )


def _away(intake: Intake) -> Response:
    phone = premises().clinic.phone
    detail = f"We could not store your enquiry just now. Please call {phone}, or try again in a minute."
    if representations.wants_json(request):
        return representations.problem(503, detail, Retry_After=RETRY_SECONDS)
    response = form.again(intake.fields, 503, away=True, failure=representations.FAILED)
    response.headers["Retry-After"] = RETRY_SECONDS
    return response
