"""The form's page: shown fresh, or again with everything that was typed, and with times to choose from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, render_template, url_for

from booking.database import DatabaseAway
from booking.domain.catalog import Catalog
from booking.domain.contact import EMAIL_DOMAINS, REAL_NEIGHBOURS
from booking.domain.errors import NotOffered
from booking.domain.fields import HONEYPOT, Fields
from booking.domain.status import Bookable
from booking.domain.submission import yes_or_no
from booking.operations.slots import Question
from booking.web import catalog, headers, menu, times
from booking.web.intake import fresh_key, utc_now
from booking.web.menu import Menu
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
TIME = ("starts_at", "hold")  # where it is lost, it must not be asked for again by itself
# The page sets these anew, has made a name of them, or shows them in a way of their own.
UNSHOWN = {"first_name", "last_name", "submission_key", "started_at", "consent_version", "symptoms", HONEYPOT}

FIRST_AVAILABLE = "with the first available of us"


@dataclass(frozen=True)
class Chosen:
    """The time that was chosen: its value, and how it is read."""

    value: str
    when: str
    who: str


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


def again(fields: Fields, status: int, *, time_lost: bool = False, **context: Any) -> Response:
    """The page with every keystroke kept; `context` says what went wrong, and what may be chosen instead.

    A time that is lost is named, but no longer chosen.
    """
    values, others = _typed(fields)
    if time_lost:
        context["lost"] = values["starts_at"]
        values, others = values | {"starts_at": ""}, [(name, text) for name, text in others if name not in TIME]
    key = fields.text("submission_key") or fresh_key()
    started = fields.text("started_at") or _started()
    context.setdefault("symptoms", [str(each) for each in fields.canonical.get("symptoms", ())])
    known = offered()
    body = _render(values, others, nonce=headers.nonce(), key=key, started=started, catalog=known, **context)
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
    """The week of times that fits what was chosen so far, and by field what keeps it from being shown.

    Neither for a service whose times are agreed on by phone: that is no mistake of whoever chose it.
    """
    first = times.day_named(str(fields.extras.get(WEEK_FIELD, "")))
    service, practitioner, location = (fields.text(name).strip() for name in ("service", "practitioner", "location"))
    new_patient = yes_or_no(fields.text("new_patient"))
    question = Question(service, practitioner, location, first, times.DAYS_SHOWN, new_patient)
    try:
        known = catalog.current()
        if (named := known.service(service)) and named.bookable == Bookable.CALL:
            return None, {}
        return times.week_with(known, question, "" if first else fields.text("starts_at")), {}
    except NotOffered as refusal:
        return None, {refusal.field: [str(refusal)]}
    except DatabaseAway:
        return None, {"starts_at": ["We cannot look up our times just now. Send your request, and we call you."]}


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
    values: dict[str, str],
    others: Sequence[tuple[str, str]],
    *,
    nonce: str,
    key: str,
    started: str,
    catalog: Catalog | None,
    **context: Any,
) -> str:
    clinic = premises().clinic
    offered = menu.of(catalog, clinic)
    values = offered.slugs_for(values)
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
        clinic=clinic,
        menu=offered,
        values=values,
        others=others,
        service=offered.service(values.get("service", "")),
        chosen=_chosen(values, offered, catalog),
        submission_key=key,
        started_at=started,
        csp_nonce=nonce,
        action=url_for("public.post_lead"),
        times_action=url_for("public.post_times"),
        week_field=WEEK_FIELD,
        suggest_domains=EMAIL_DOMAINS + REAL_NEIGHBOURS,
        **(empty | context | {"lost": _when(context.get("lost", ""), values, catalog)}),
    )


def _chosen(values: dict[str, str], offered: Menu, catalog: Catalog | None) -> Chosen | None:
    if not (value := values.get("starts_at", "").strip()):
        return None
    named = [person for person in offered.people if person.slug == values.get("practitioner")]
    able = named or offered.giving(values.get("service", ""))
    who = f"with {able[0].name}" if len(able) == 1 else FIRST_AVAILABLE
    return Chosen(value, _when(value, values, catalog), who)


def _when(value: str, values: dict[str, str], catalog: Catalog | None) -> str:
    """How a chosen time is read; one that is no time stands as it was sent."""
    where = catalog.location(values.get("location", "")) if catalog else None
    local = times.local_time(value, where.timezone if where else premises().clinic.timezone)
    return times.day_and_time(local) if local else value


def _started() -> str:
    return str(int(utc_now().timestamp()))
