"""Free slots for programs and for the page's script; what was answered once is kept until something changes."""

import hashlib
import json
import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import date, datetime
from threading import Lock
from typing import Any

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from booking.domain.errors import ParametersWrong
from booking.domain.submission import yes_or_no
from booking.operations import holds, slots
from booking.operations.slots import Question
from booking.runtime import Runtime
from booking.web import access, visits
from booking.web.intake import utc_now
from booking.web.premises import premises

JSON = "application/json"
KEPT_BYTES = 16_000_000
KEPT_HERE = "booking slots"
EXPLAINING = "slots:explain"
KNOWN = {"service", "practitioner", "location", "from", "days", "new_patient", "hold", "explain"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
EARLIEST, LATEST = date(1970, 1, 2), date(9998, 1, 1)  # an offset or a month more, and a clock still has them

slot_routes = Blueprint("slots", __name__, url_prefix="/api/v1")


@dataclass(frozen=True)
class Answer:
    """An answer, and what it holds for: a state of the database, until an instant."""

    state: tuple[int, int]
    valid_until: datetime
    body: bytes
    etag: str


class Answers:
    """The answers this process gave lately, up to some bytes of them; the longest unasked go first."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most, self._size = most_bytes, 0
        self._kept: OrderedDict[Question, Answer] = OrderedDict()
        self._lock = Lock()

    def get(self, question: Question, state: tuple[int, int], now: datetime) -> Answer | None:
        """The answer to a question, if it still holds."""
        with self._lock:
            kept = self._kept.get(question)
            if kept is None or kept.state != state or now >= kept.valid_until:
                return None
            self._kept.move_to_end(question)
            return kept

    def keep(self, question: Question, answer: Answer) -> None:
        """Keep an answer in the place of an older one."""
        with self._lock:
            if (older := self._kept.pop(question, None)) is not None:
                self._size -= len(older.body)
            self._kept[question] = answer
            self._size += len(answer.body)
            while self._size > self._most:
                _, forgotten = self._kept.popitem(last=False)
                self._size -= len(forgotten.body)


@slot_routes.record
def open_answers(setup: BlueprintSetupState) -> None:
    """Give each application answers of its own: what is kept belongs to one database."""
    setup.app.extensions[KEPT_HERE] = Answers()


@slot_routes.get("/slots")
def find() -> Response:
    """The free slots of some days: `service`, and if wanted `practitioner`, `location`, `from`, `days`."""
    now = utc_now()
    if _flag("explain"):
        access.bearer(EXPLAINING)  # before the question is looked at: a wrong token hears nothing of it
        return Response(_explained(read_question(), now), mimetype=JSON)
    answers: Answers = current_app.extensions[KEPT_HERE]
    answer = ask(premises(), answers, read_question(), request.args.get("hold", ""), now)
    response = Response(answer.body, mimetype=JSON)
    response.set_etag(answer.etag)
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def ask(runtime: Runtime, answers: Answers, question: Question, hold: str, now: datetime) -> Answer:
    """The answer at `now`: one that is kept if nothing has changed since, which one query tells; raises NotOffered."""
    with runtime.database.reading() as db:
        state = slots.state(db)
        held = holds.find(db, hold, now) if hold else None
        if held is not None:  # to its owner, what is held is free
            question = replace(question, hold_id=held.id)
        answer = answers.get(question, state, now)
        if answer is None:
            catalog = runtime.catalogs.at(db, state[0], now.date())
            found = slots.find(db, catalog, question, now)
            later = None if found.slots else slots.find_first(db, catalog, question, now)
            valid_until = min(found.valid_until, later.valid_until) if later else found.valid_until
            rest = {
                "timezone": found.timezone,
                "from": found.first.isoformat(),
                "days": question.days,
                # Of the days after, where these have nothing.
                "next": visits.slot(later.slots[0]) if later and later.slots else None,
            }
            answer = _answer(visits.slots_as_json(found.slots), rest, state, valid_until)
            answers.keep(question, answer)
    return answer


def read_question() -> Question:
    """The question in the address; raises ParametersWrong."""
    asked = request.args
    errors: dict[str, list[str]] = {name: ["There is no such parameter."] for name in asked if name not in KNOWN}
    errors |= {name: ["This is given twice."] for name, texts in asked.lists() if len(texts) > 1}
    if not asked.get("service"):
        errors["service"] = ["Please say which service."]
    if (days := _days(asked.get("days", ""))) is None:
        errors["days"] = [f"This must be a number from 1 to {slots.MOST_DAYS}."]
    first = _day(asked.get("from", ""))
    if asked.get("from") and first is None:
        errors["from"] = ["This must be a day such as 2026-12-01."]
    elif first and not EARLIEST <= first <= LATEST:
        errors["from"] = ["This day is too far away."]
    for name in ("new_patient", "explain"):
        if asked.get(name) and yes_or_no(asked[name]) is None:
            errors[name] = ["This must be true or false."]
    if errors or days is None:
        raise ParametersWrong(errors)
    service, practitioner, location = (asked.get(name, "") for name in ("service", "practitioner", "location"))
    return Question(service, practitioner, location, first, days, yes_or_no(asked.get("new_patient", "")))


def _flag(name: str) -> bool:
    return yes_or_no(request.args.get(name, "")) is True


def _days(text: str) -> int | None:
    if not text:
        return 7
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    return days if 1 <= days <= slots.MOST_DAYS else None


def _day(text: str) -> date | None:
    if not DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _answer(found: str, rest: dict[str, Any], state: tuple[int, int], valid_until: datetime) -> Answer:
    raw = f'{{"slots":{found},{json.dumps(rest, separators=(",", ":"))[1:]}'.encode()
    return Answer(state, valid_until, raw, hashlib.blake2b(raw, digest_size=12).hexdigest())


def _explained(question: Question, now: datetime) -> str:
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
    return json.dumps({"slots": visits.slots(found.slots), "timezone": found.timezone, "not_offered": refused})
