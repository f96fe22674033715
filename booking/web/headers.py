"""Headers of every answer: what a browser may do with it, and which web sites may read it."""

import secrets
import time

import structlog
from flask import Flask, Response, g, request

from booking.web.premises import premises

ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
# Not no-referrer everywhere: browsers would then post our own form with `Origin: null`.
REFERRER_POLICY = "strict-origin-when-cross-origin"
UNTOLD_PATHS = ("/appointments/", "/received/")  # these addresses open something
EXPOSED = "ETag, Idempotency-Replayed, Location, Retry-After, X-Request-Id"
STAFF_PATHS = "/staff/"

log = structlog.get_logger("booking.requests")


def nonce() -> str:
    """The nonce of this answer's Content-Security-Policy, for the page's own script and style."""
    if "nonce" not in g:
        g.nonce = secrets.token_urlsafe(16)
    found: str = g.nonce
    return found


def register(app: Flask) -> None:
    """Number and log each request, answer preflights, and put the headers on every answer."""
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> Response | None:
    g.began = time.perf_counter()
    g.request_id = secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _is_public():
        return Response(status=204)
    return None


def _finish(response: Response) -> Response:
    _secure(response)
    if _is_public():
        _share(response)
    if "request_id" in g:
        response.headers["X-Request-Id"] = g.request_id
        # The rule, not the path: an address can carry what only its owner should know. Never the query.
        rule = request.url_rule.rule if request.url_rule else "unmatched"
        millis = round((time.perf_counter() - g.began) * 1000, 1)
        log.info("request", method=request.method, route=rule, status=response.status_code, ms=millis)
    return response


def _secure(response: Response) -> None:
    headers = response.headers
    if response.mimetype == "text/html":
        ours = " ".join(["'self'", *premises().allowed_origins])
        headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce()}'; style-src 'self' 'nonce-{nonce()}'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
            # Chromium holds a post's redirect to form-action too, and return_to leads back to the web site.
            f"form-action {ours}; frame-ancestors {ours}"
        )
    else:
        headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    headers.extend(ALWAYS)
    headers["Referrer-Policy"] = "no-referrer" if request.path.startswith(UNTOLD_PATHS) else REFERRER_POLICY
    headers.setdefault("Cache-Control", "no-store")
    if premises().production:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"


def _share(response: Response) -> None:
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin not in premises().allowed_origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type, Idempotency-Key, If-None-Match"
        response.headers["Access-Control-Max-Age"] = "600"


def _is_public() -> bool:
    return not request.path.startswith(STAFF_PATHS)
