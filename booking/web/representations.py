"""What leads and refusals look like from outside: the bodies of our answers."""

import json
from typing import Any

from flask import Request, Response

from booking.clinic import Clinic
from booking.reception import Receipt

RECEIVED = Clinic.received_sentence
FAILED = Clinic.failed_sentence
PROBLEM = "application/problem+json"


def received(receipt: Receipt, suggestions: dict[str, str]) -> Response:
    """The success body; `code` and `msg` keep snippets written for Webflow working."""
    body: dict[str, Any] = {
        "status": "received",
        "message": RECEIVED,
        "reference": receipt.reference,
        "received_at": receipt.received_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "appointment": None,
        "code": 200,
        "msg": "ok",
    }
    if suggestions:
        body["suggestions"] = suggestions
    response = Response(json.dumps(body), 202 if receipt.spooled else 201, mimetype="application/json")
    return marked(response, receipt)


def marked(response: Response, receipt: Receipt) -> Response:
    """The answer, marked as a replay where it is one; never kept by a cache."""
    if receipt.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    response.headers["Cache-Control"] = "no-store"
    return response


def problem(
    status: int, detail: str, errors: dict[str, list[str]] | None = None, reference: str = "", **headers: str
) -> Response:
    """A refusal as problem+json (RFC 9457), under the page's own sentence."""
    body: dict[str, Any] = {"type": "about:blank", "title": FAILED, "status": status, "detail": detail}
    body["errors"] = errors or {}
    if reference:
        body["reference"] = reference
    body |= {"code": status, "msg": detail}
    response = Response(json.dumps(body), status, mimetype=PROBLEM)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


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
