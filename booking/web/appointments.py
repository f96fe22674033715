"""The visitor's own appointment, behind an unguessable link: seen with GET, changed only by POST."""

from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from booking import calendar_file, reception
from booking.domain import clock, offers, spoken
from booking.domain.catalog import Catalog
from booking.domain.clock import NoInstant
from booking.domain.contact import clean_text
from booking.domain.errors import AppointmentUnknown, CannotRead, NotOffered, SlotTaken, TooLate
from booking.domain.fields import Fields, sort
from booking.domain.offers import Wish
from booking.domain.status import AppointmentStatus
from booking.operations import appointments as operations
from booking.operations import invitations, repeats
from booking.operations.appointments import Diary, Visit
from booking.operations.slots import Question
from booking.web import headers, representations, times, visits
from booking.web.catalog import current
from booking.web.intake import utc_now
from booking.web.parsing import read_body
from booking.web.premises import premises

LONGEST_REASON = 2000
TAKEN = "Somebody has just taken this time. Your appointment is unchanged: please choose another time."
LATE = "It is too late to change this appointment here: please call us."

appointments = Blueprint("appointments", __name__, url_prefix="/appointments/<token>")


@appointments.get("")
def show(token: str) -> Response:
    """The appointment, and what can still be done with it; looking changes nothing."""
    visit = _visit(token)
    return _as_json(visit) if representations.wants_json(request) else _page(visit)


@appointments.post("/cancellation")
def cancel(token: str) -> WerkzeugResponse:
    """Cancel it (`reason` is optional)."""
    reason = _reason(_posted())
    visit, now = _visit(token), utc_now()
    try:
        with premises().database.transaction() as db:
            visit = operations.cancel(db, _diary(current()), visit, reason=reason, by="visitor", now=now)
    except TooLate:
        return _refused(visit, 409, LATE)
    if representations.wants_json(request):
        return _as_json(visit)
    return redirect(url_for("appointments.show", token=token), 303)


@appointments.post("/confirmation")
def confirm(token: str) -> WerkzeugResponse:
    """Note that the visitor will come."""
    visit, now = _visit(token), utc_now()
    try:
        with premises().database.transaction() as db:
            visit = operations.confirm(db, _diary(current()), visit, now)
    except TooLate:
        return _refused(visit, 409, LATE)
    if representations.wants_json(request):
        return _as_json(visit)
    return redirect(url_for("appointments.show", token=token), 303)


@appointments.post("/rescheduling")
def reschedule(token: str) -> WerkzeugResponse:
    """Move it to `starts_at`, perhaps with another `practitioner`; the link is replaced by a new one."""
    asked, now = _posted(), utc_now()
    try:
        visit = _visit(token)
    except AppointmentUnknown:
        moved = _moved_already(token, asked.text("starts_at").strip(), now)
        return _as_json(moved) if representations.wants_json(request) else _to_new_link(moved)
    practitioner = asked.text("practitioner").strip()
    try:
        starts_at = _instant(asked.text("starts_at").strip(), visit.location.zone)
        with premises().database.transaction() as db:
            catalog = premises().catalogs.current(db, now.date(), hold_still=True)
            moved = operations.reschedule(
                db, _diary(catalog), visit, starts_at, practitioner=practitioner, now=now
            )  # fmt: skip
    except TooLate:
        return _refused(visit, 409, LATE)
    except NotOffered as refusal:
        return _refused(visit, 422, str(refusal), field=refusal.field)
    except SlotTaken:
        wish = Wish(visit.service.slug, starts_at, practitioner or visit.practitioner.slug, visit.location.slug)
        return _refused(visit, 409, TAKEN, field="starts_at", taken=wish)
    if representations.wants_json(request):
        return _as_json(moved)
    return _to_new_link(moved)


@appointments.get("/calendar.ics")
def calendar(token: str) -> Response:
    """The appointment as a file for calendars; it says when and where, and nothing about health."""
    file = invitations.of(premises().clinic, _visit(token))
    response = Response(calendar_file.write(file), content_type=file.media_type)
    response.headers["Content-Disposition"] = "attachment; filename=appointment.ics"
    response.headers["Cache-Control"] = "no-store"
    return response


def _visit(token: str) -> Visit:
    now = utc_now()
    with premises().database.reading() as db:
        catalog = premises().catalogs.current(db, now.date())
        return operations.by_token(db, catalog, token, now)


def _moved_already(token: str, starts_at: str, now: datetime) -> Visit:
    """The visit that the same post has moved a moment ago: whoever pressed twice must not lose the new link."""
    zone = ZoneInfo(premises().clinic.timezone)
    with suppress(NoInstant), premises().database.reading() as db:
        catalog = premises().catalogs.current(db, now.date())
        diary, instant = _diary(catalog), clock.read_instant(starts_at, zone)
        return repeats.moved_by(db, diary, token, instant, now)
    raise AppointmentUnknown


def _to_new_link(moved: Visit) -> WerkzeugResponse:
    return redirect(url_for("appointments.show", token=moved.token, moved="yes"), 303)


def _diary(catalog: Catalog) -> Diary:
    parts = premises()
    return Diary(catalog, parts.keyring, parts.clinic.reference_prefix, parts.telling)


def _posted() -> Fields:
    return sort(read_body(request.get_data(cache=False), request.mimetype, dict(request.mimetype_params)))


def _reason(asked: Fields) -> str:
    found = asked.extras.get("reason") or ""
    if not isinstance(found, str):
        raise CannotRead("This must be a text.", "reason")
    return clean_text(found)[:LONGEST_REASON]


def _instant(text: str, zone: ZoneInfo) -> datetime:
    try:
        return clock.read_instant(text, zone)
    except NoInstant as refusal:
        raise NotOffered("starts_at", str(refusal) if text else "Please choose a time.") from refusal


def _as_json(visit: Visit) -> Response:
    response = jsonify(status=visit.row.status, appointment=visits.of(visit), can_change=_can_change(visit),
                       confirmed=visit.row.confirmed_at is not None)  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return response


def _refused(visit: Visit, status: int, detail: str, *, field: str = "", taken: Wish | None = None) -> Response:
    found = reception.alternatives(premises(), taken, utc_now()) if taken else ()
    if representations.wants_json(request):
        errors = {field: [detail]} if field else {}
        return representations.problem(
            status, detail, errors, alternatives=visits.slots(found) if taken else None
        )  # fmt: skip
    return _page(visit, status, problem=detail, alternatives=times.once_each(found))


def _page(visit: Visit, status: int = 200, **context: Any) -> Response:
    row, can_change = visit.row, _can_change(visit)
    body = render_template(
        "public/appointment.html",
        clinic=premises().clinic,
        visit=visit,
        when=spoken.long_time(row.starts_at.astimezone(ZoneInfo(row.timezone))),
        cancelled=row.status == AppointmentStatus.CANCELLED,
        over=row.ends_at <= utc_now(),
        can_change=can_change,
        confirmed=row.confirmed_at is not None,
        can_confirm=row.status == AppointmentStatus.BOOKED and row.starts_at > utc_now(),
        times=_other_times(visit) if can_change else None,
        until=times.day_and_time(_last_change(visit)),
        moved=request.args.get("moved") == "yes",
        moving="from" in request.args or "problem" in context,
        csp_nonce=headers.nonce(),
        **({"problem": "", "alternatives": ()} | context),
    )
    response = Response(body, status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


def _last_change(visit: Visit) -> datetime:
    zone = visit.location.zone
    return offers.last_change(visit.service, visit.row.starts_at, zone).astimezone(zone)


def _can_change(visit: Visit) -> bool:
    return AppointmentStatus(visit.row.status).is_ahead and utc_now() <= _last_change(visit)


def _other_times(visit: Visit) -> times.Times | None:
    first = times.day_named(request.args.get("from", ""))
    question = Question(visit.service.slug, visit.practitioner.slug, visit.location.slug, first, times.DAYS_SHOWN)
    try:
        return times.week(current(), question)
    except NotOffered:  # the service is no longer given like this: the desk can still move it
        return None
