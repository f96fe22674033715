"""What leads and refusals look like from outside: the bodies of our answers."""

import json
from typing import Any

from flask import Request, Response

from booking.clinic import Clinic
from booking.domain.submission import Submission
from booking.operations import urgency
from booking.reception import Receipt
from booking.web import visits
from booking.web.premises import premises

RECEIVED = Clinic.received_sentence
FAILED = Clinic.failed_sentence
PROBLEM = "application/problem+json"
TAKEN = "Somebody has just taken this time. Your enquiry is safe with us: please choose another time."
KEPT = (
    "You have this appointment already, and what you chose now was not booked. You can move the appointment by "
    "its link; for somebody else, please send the form once more with their name."
)
CANCELLED = "This appointment has been cancelled since. To come all the same, please choose a time again."
NOT_BOOKED = "Your enquiry is safe with us, but this time could not be booked."


def received(receipt: Receipt, submission: Submission) -> Response:
    """The success body; `code` and `msg` keep snippets written for Webflow working."""
    body: dict[str, Any] = {
        "status": "received",
        "message": RECEIVED,
        "reference": receipt.reference,
        "received_at": receipt.received_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "appointment": visits.booked(receipt.visit) if receipt.visit else None,
        "code": 200,
        "msg": "ok",
    }
    if submission.suggestions:
        body["suggestions"] = submission.suggestions
    clinic = premises().clinic
    if advice := urgency.advice(urgency.assess(submission, clinic), clinic):
        body["advice"] = advice
    if note := KEPT if receipt.kept else CANCELLED if receipt.cancelled else "":
        body["note"] = note
    response = Response(json.dumps(body), 202 if receipt.spooled else 201, mimetype="application/json")
    return marked(response, receipt)


def said_after(receipt: Receipt, submission: Submission) -> dict[str, str]:
    """What the success page is told in its address, because it may remember nothing of a person."""
    told = {"check": "email"} if submission.suggestions.get("email") else {}
    if receipt.visit:
        told["visit"] = visits.token_of(receipt.visit)
        if receipt.kept:
            told["time"] = "kept"
    elif submission.asks_for_a_time:  # it waits in the spool: nobody can say yet whether the time is free
        told["time"] = "open"
    assessed = urgency.assess(submission, premises().clinic)
    if assessed.urgent:
        told["advice"] = "emergency" if assessed.emergency else "urgent"
    return told


def marked(response: Response, receipt: Receipt) -> Response:
    """The answer, marked as a replay where it is one; never kept by a cache."""
    if receipt.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    response.headers["Cache-Control"] = "no-store"
    return response


def problem(
    status: int,
    detail: str,
    errors: dict[str, list[str]] | None = None,
    reference: str = "",
    alternatives: list[dict[str, str]] | None = None,
    **headers: str,
) -> Response:
    """A refusal as problem+json (RFC 9457), under the page's own sentence."""
    body: dict[str, Any] = {"type": "about:blank", "title": FAILED, "status": status, "detail": detail}
    body["errors"] = errors or {}
    if reference:
        body["reference"] = reference
    if alternatives is not None:
        body["alternatives"] = alternatives
    body |= {"code": status, "msg": detail}
    response = Response(json.dumps(body), status, mimetype=PROBLEM)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def unbooked(receipt: Receipt) -> Response:
    """A lead that is safe, with a time that could not be booked: taken by somebody, or not on offer at all."""
    if receipt.refusal is not None:
        return problem(422, NOT_BOOKED, {receipt.refusal.field: [str(receipt.refusal)]}, receipt.reference)
    found = visits.slots(receipt.alternatives)
    return problem(409, TAKEN, {"starts_at": [TAKEN]}, receipt.reference, alternatives=found)


def wants_json(request: Request) -> bool:
    """Whether an answer should be JSON: by path, by what is accepted, and else by what was sent."""
    if request.path.startswith(("/api/", "/staff/")):
        return True
    accepted = request.accept_mimetypes
    if accepted and not accepted.accept_html:
        return accepted["application/json"] > 0 or accepted[PROBLEM] > 0
    if "text/html" in accepted.values():
        return accepted["application/json"] > accepted["text/html"]
    if request.headers.get("X-Requested-With") == "XMLHttpRequest":
        return True
    return request.mimetype == "application/json" or request.mimetype.endswith("+json")
