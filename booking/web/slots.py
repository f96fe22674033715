"""Free slots for programs and for the page's script; what was answered once is kept until something changes."""

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import date, datetime
from threading import Lock

from flask import Blueprint, Response, request

from booking.domain.errors import ParametersWrong
from booking.domain.slots import Slot
from booking.domain.submission import yes_or_no
from booking.operations import holds, slots
from booking.operations.slots import Found, Question
from booking.web import access, visits
from booking.web.intake import utc_now
from booking.web.premises import premises

JSON = "application/json"
KEPT_ANSWERS = 512
EXPLAINING = "slots:explain"
KNOWN = {"service", "practitioner", "location", "from", "days", "new_patient", "hold", "explain"}

slot_routes = Blueprint("slots", __name__, url_prefix="/api/v1")


@dataclass(frozen=True)
class Kept:
    """An answer, and what it holds for: a state of the database, until an instant."""

    state: tuple[int, int]
    valid_until: datetime
    body: bytes
    etag: str


class Answers:
    """The answers this process gave lately, the oldest forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Question, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, question: Question, state: tuple[int, int], now: datetime) -> Kept | None:
        """The answer to a question, if it still holds."""
        with self._lock:
            kept = self._kept.get(question)
            if kept is None or kept.state != state or now >= kept.valid_until:
                return None
            self._kept.move_to_end(question)
            return kept

    def keep(self, question: Question, answer: Kept) -> None:
        """Keep an answer in the place of an older one."""
        with self._lock:
            self._kept[question] = answer
            self._kept.move_to_end(question)
            if len(self._kept) > KEPT_ANSWERS:
                self._kept.popitem(last=False)


answers = Answers()


@slot_routes.get("/slots")
def find() -> Response:
    """The free slots of some days: `service`, and if wanted `practitioner`, `location`, `from`, `days`."""
    now = utc_now()
    question, hold = read_question(), request.args.get("hold", "")
    if request.args.get("explain", "") not in {"", "0"}:
        return _explained(question, now)
    with premises().database.reading() as db:
        state = slots.state(db)
        held = holds.find(db, hold, now) if hold else None
        if held is not None:  # to its owner, what is held is free
            question = replace(question, hold_id=held.id)
        kept = answers.get(question, state, now)
        if kept is None:
            catalog = premises().catalogs.at(db, state[0], now.date())
            found = slots.find(db, catalog, question, now)
            later = None if found.slots else slots.next_free(db, catalog, question, now)
            kept = _kept(found, later, question, state)
            answers.keep(question, kept)
    response = Response(kept.body, mimetype=JSON)
    response.set_etag(kept.etag)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def read_question() -> Question:
    """The question in the address; raises ParametersWrong."""
    asked = request.args
    errors: dict[str, list[str]] = {name: ["There is no such parameter."] for name in asked if name not in KNOWN}
    first, days = None, 7
    if text := asked.get("from", ""):
        try:
            first = date.fromisoformat(text)
        except ValueError:
            errors["from"] = ["This must be a day such as 2026-12-01."]
    if text := asked.get("days", ""):
        days = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
        if not 1 <= days <= slots.MOST_DAYS:
            errors["days"] = [f"This must be a number from 1 to {slots.MOST_DAYS}."]
    if first and not date(1970, 1, 2) <= first <= date(9998, 1, 1):
        errors["from"] = ["This day is too far away."]
    if not asked.get("service"):
        errors["service"] = ["Please say which service."]
    if errors:
        raise ParametersWrong(errors)
    service, practitioner, location = (asked.get(name, "") for name in ("service", "practitioner", "location"))
    return Question(service, practitioner, location, first, days, yes_or_no(asked.get("new_patient", "")))


def _kept(found: Found, later: Slot | None, question: Question, state: tuple[int, int]) -> Kept:
    body = {
        "slots": visits.slots(found.slots),
        "timezone": found.timezone,
        "from": found.first.isoformat(),
        "days": question.days,
        "next": visits.slot(later) if later else None,  # of the days after, where these have nothing
    }
    raw = json.dumps(body, separators=(",", ":")).encode()
    return Kept(state, found.valid_until, raw, hashlib.blake2b(raw, digest_size=12).hexdigest())


def _explained(question: Question, now: datetime) -> Response:
    access.bearer(EXPLAINING)
    with premises().database.reading() as db:
        catalog = premises().catalogs.current(db, now.date())
        found = slots.find(db, catalog, question, now)
        others = slots.explain(db, catalog, question, now)
    zones = {each.slug: each.zone for each in catalog.locations}
    refused = [
        {
            "starts_at": start.astimezone(zones[location]).isoformat(),
            "practitioner": practitioner,
            "location": location,
            "reason": reason,
        }
        for start, practitioner, location, reason in others
    ]
    body = {"slots": visits.slots(found.slots), "timezone": found.timezone, "not_offered": refused}
    return Response(json.dumps(body), mimetype=JSON)
