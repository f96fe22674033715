"""A refusal as a page or as problem+json, with the failure sentence and the clinic's phone as a way out."""

import structlog
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import BadHost, HTTPException, SecurityError

from booking.database import DatabaseAway
from booking.domain.errors import (
    AlreadyExtended,
    AppointmentUnknown,
    CannotRead,
    HoldUnknown,
    KeyReused,
    NotOffered,
    ParametersWrong,
    ScopeMissing,
    TokenUnknown,
    TooManyHolds,
)
from booking.spool import SpoolFull
from booking.web import headers, representations
from booking.web.pace import TooOften
from booking.web.premises import premises

DETAILS = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This address does not take that.",
    413: "This is larger than any enquiry can be (64 KB). Please shorten it.",
    415: "This kind of content is not taken here.",
    500: "Something broke on our side. Please call us.",
}
AWAY = "We could not reach our own records just now. Please call {phone}, or try again in a minute."

log = structlog.get_logger(__name__)


def register(app: Flask) -> None:
    """Give every refusal of the business, of HTTP and of chance its answer."""
    app.register_error_handler(CannotRead, _cannot_read)
    app.register_error_handler(ParametersWrong, _parameters_wrong)
    app.register_error_handler(KeyReused, _key_reused)
    app.register_error_handler(NotOffered, _not_offered)
    app.register_error_handler(TooManyHolds, _too_many_holds)
    app.register_error_handler(TooOften, _too_often)
    app.register_error_handler(HoldUnknown, _hold_unknown)
    app.register_error_handler(AlreadyExtended, _already_extended)
    app.register_error_handler(AppointmentUnknown, _appointment_unknown)
    app.register_error_handler(TokenUnknown, _token_unknown)
    app.register_error_handler(ScopeMissing, _scope_missing)
    app.register_error_handler(SpoolFull, _away)
    app.register_error_handler(DatabaseAway, _away)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _broken)


def _answer(
    status: int, detail: str, errors: dict[str, list[str]] | None = None, extra: dict[str, str] | None = None
) -> Response:
    if representations.wants_json(request):
        response = representations.problem(status, detail, errors)
    else:
        shown = " ".join([detail, *(text for texts in (errors or {}).values() for text in texts if text != detail)])
        body = render_template(
            "public/problem.html", clinic=premises().clinic, status=status, detail=shown, csp_nonce=headers.nonce()
        )
        response = Response(body, status, mimetype="text/html", headers={"Cache-Control": "no-store"})
    response.headers.update(extra or {})
    return response


def _cannot_read(refusal: CannotRead) -> Response:
    return _answer(400 if refusal.malformed else 422, str(refusal), refusal.errors)


def _parameters_wrong(refusal: ParametersWrong) -> Response:
    return _answer(422, "A parameter is wrong.", refusal.errors)


def _key_reused(_refusal: KeyReused) -> Response:
    text = "This key was used before with another content; a new enquiry needs a new key."
    return _answer(422, text, {"submission_key": [text]})


def _not_offered(refusal: NotOffered) -> Response:
    return _answer(422, str(refusal), {refusal.field: [str(refusal)]})


def _too_many_holds(_refusal: TooManyHolds) -> Response:
    text = "You are keeping as many times as one can. They are free again after ten minutes."
    return _answer(429, text, extra={"Retry-After": "600"})


def _too_often(_refusal: TooOften) -> Response:
    return _answer(429, "This comes too often. Please wait a minute.", extra={"Retry-After": "60"})


def _hold_unknown(_refusal: HoldUnknown) -> Response:
    return _answer(409, "This time is no longer kept for you: please choose one again.")


def _already_extended(_refusal: AlreadyExtended) -> Response:
    return _answer(409, "This time was kept for longer once already. You can still send the form.")


def _appointment_unknown(_refusal: AppointmentUnknown) -> Response:
    return _answer(404, "There is no appointment behind this link, or the link is no longer in use.")


def _token_unknown(_refusal: TokenUnknown) -> Response:
    return _answer(401, "A valid token is needed.", extra={"WWW-Authenticate": 'Bearer realm="booking"'})


def _scope_missing(_refusal: ScopeMissing) -> Response:
    return _answer(
        403,
        "This token is not for that.",
        extra={"WWW-Authenticate": 'Bearer realm="booking", error="insufficient_scope"'},
    )


def _away(failure: Exception) -> Response:
    log.error("nothing_could_be_stored", failure=type(failure).__name__)
    return _answer(503, AWAY.format(phone=premises().clinic.phone), extra={"Retry-After": "30"})


def _http(refusal: HTTPException) -> Response:
    status = refusal.code or 500
    if isinstance(refusal, SecurityError | BadHost):  # no page: its links would carry a name that is not ours
        return Response("This service is not known by that name.\n", 400, mimetype="text/plain")
    if refusal.response is not None or status < 400:
        return refusal.get_response()  # type: ignore[return-value]  # a redirect of the router, already complete
    kept = {name: value for name, value in refusal.get_headers() if name in {"Allow", "Retry-After"}}
    return _answer(status, DETAILS.get(status, DETAILS[400 if status < 500 else 500]), extra=kept)


def _broken(failure: Exception) -> Response:
    log.error("request_broke", exc_info=failure)
    return _answer(500, DETAILS[500])
