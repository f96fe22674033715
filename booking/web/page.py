"""The form's page: shown fresh, or again with everything that was typed, and with times to choose from."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from flask import Response, current_app, render_template, url_for

from booking.database import DatabaseAway
from booking.domain.catalog import Catalog
from booking.domain.contact import EMAIL_DOMAINS, REAL_NEIGHBOURS
from booking.domain.errors import NotOffered
from booking.domain.fields import HONEYPOT, Fields
from booking.domain.submission import yes_or_no
from booking.operations.slots import Question
from booking.web import catalog, headers, times
from booking.web.intake import fresh_key, utc_now
from booking.web.premises import premises

NONCE_HERE, KEY_HERE, STARTED_HERE = "nonce-goes-here", "key-goes-here", "started-goes-here"
WEEK_FIELD = "times_from"  # of the buttons that turn the weeks where there is no script

SHOWN = {
    "name", "email", "phone", "service", "practitioner", "location", "starts_at", "message", "preferred_times",
    "contact_preference", "new_patient", "consent_reply", "consent_marketing",
}  # fmt: skip
TICKED = ("new_patient", "consent_reply", "consent_marketing")
CHOICES = {
    "contact_preference": {"", "phone", "text", "email"},
    "new_patient": {"", "true", "false"},
    "consent_reply": {"", "true", "false"},
    "consent_marketing": {"", "true", "false"},
}
# The page sets these anew, has made a name of them, or shows them in a way of their own.
UNSHOWN = {"first_name", "last_name", "submission_key", "started_at", "consent_version", "symptoms", HONEYPOT}


def fresh() -> Response:
    """The page as everybody sees it first; rendered once per catalogue, only the fresh bits are filled in."""
    known = offered()
    kept: tuple[int, str] | None = current_app.extensions.get("booking page")
    version = known.version if known else -1
    if kept is None or kept[0] != version:
        kept = version, _render({}, (), nonce=NONCE_HERE, key=KEY_HERE, started=STARTED_HERE, catalog=known)
        current_app.extensions["booking page"] = kept
    body = kept[1].replace(NONCE_HERE, headers.nonce()).replace(KEY_HERE, fresh_key()).replace(STARTED_HERE, _started())
    response = Response(body, mimetype="text/html")
    # Not no-store: a browser's back button should find what was typed.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def again(fields: Fields, status: int, **context: Any) -> Response:
    """The page with every keystroke kept; `context` says what went wrong, and what may be chosen instead."""
    values, others = _typed(fields)
    key = fields.text("submission_key") or fresh_key()
    started = fields.text("started_at") or _started()
    context.setdefault("symptoms", [str(each) for each in fields.canonical.get("symptoms", ())])
    body = _render(
        values, others, nonce=headers.nonce(), key=key, started=started, catalog=offered(), **context
    )  # fmt: skip
    response = Response(body, status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


def offered() -> Catalog | None:
    """The catalogue; None while the database is away and it was never read: the form works all the same."""
    if (known := premises().catalogs.latest) is not None:
        return known
    try:
        return catalog.current()
    except DatabaseAway:
        return None


def times_for(fields: Fields) -> tuple[times.Times | None, dict[str, list[str]]]:
    """The week of times that fits what was chosen so far, and by field what keeps it from being shown."""
    first = _date(str(fields.extras.get(WEEK_FIELD, "")))
    service, practitioner, location = (fields.text(name).strip() for name in ("service", "practitioner", "location"))
    new_patient = yes_or_no(fields.text("new_patient"))
    question = Question(service, practitioner, location, first, times.DAYS_SHOWN, new_patient)
    try:
        return times.week(catalog.current(), question), {}
    except NotOffered as refusal:
        return None, {refusal.field: [str(refusal)]}
    except DatabaseAway:
        return None, {"starts_at": ["We cannot look up our times just now. Send your request, and we call you."]}


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    today = utc_now().date()
    return found if abs((found - today).days) < 3 * 366 else None


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
    extras = {name: found for name, found in fields.extras.items() if name != WEEK_FIELD}
    others = [*carried.items(), *extras.items()]
    return values, [(name, text) for name, found in others for text in _texts(found)]


def _texts(found: Any) -> list[str]:
    values = found if isinstance(found, list) else [found]
    return [value if isinstance(value, str) else json.dumps(value) for value in values if value not in ("", None)]


def _render(
    values: dict[str, str], others: Sequence[tuple[str, str]], *, nonce: str, key: str, started: str, **context: Any
) -> str:
    empty: dict[str, Any] = {
        "errors": {},
        "failure": None,
        "away": False,
        "reference": None,
        "times": None,
        "alternatives": (),
        "symptoms": [],
    }
    return render_template(
        "public/page.html",
        clinic=premises().clinic,
        values=values,
        others=others,
        submission_key=key,
        started_at=started,
        csp_nonce=nonce,
        action=url_for("public.post_lead"),
        times_action=url_for("public.post_times"),
        week_field=WEEK_FIELD,
        suggest_domains=EMAIL_DOMAINS + REAL_NEIGHBOURS,
        **(empty | context),
    )


def _started() -> str:
    return str(int(utc_now().timestamp()))
