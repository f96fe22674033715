"""The OpenAPI 3.1 description of the public interface: each route, what it takes, and every answer it gives."""

from typing import Any

from booking.web.schemas import DAY, TEXT, ref, schemas

JSON, PROBLEM, HTML = "application/json", "application/problem+json", "text/html"
FORMS = ["application/x-www-form-urlencoded", "multipart/form-data", JSON]

NOT_READABLE = "Not readable at all"
TOO_LARGE = "Over 64 KB"
AWAY = "The database does not answer"
NO_SUCH_LINK = "No appointment has this link: it never was, has been replaced, or has run out"
TAKEN = "The time was taken meanwhile; `alternatives` are the nearest free slots"

Described = dict[str, Any]


def describe(clinic_name: str, base_url: str) -> Described:
    """The whole description, ready for JSON."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Enquiries and appointments of {clinic_name}", "version": "1"},
        "servers": [{"url": base_url}],
        "paths": _enquiries() | _catalog() | _slots_and_holds() | _appointments() | _pages() | _health(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _enquiries() -> Described:
    refusals = _problems(
        {
            "400": NOT_READABLE,
            "409": f"{TAKEN}. The enquiry is kept",
            "413": TOO_LARGE,
            "422": "No way to reach this person, or the time is not on offer; it is kept under its `reference`",
            "503": "Nothing could be stored",
        }
    )
    stored = {
        "201": _answer("Stored; with a time, booked", {JSON: ref("Received")}),
        "202": _answer("Stored, waiting for the database; a time is not booked", {JSON: ref("Received")}),
    }
    to_thanks = {"303": _answer("Stored; a browser's way to the thank-you page")}
    by_form = _operation("postForm", "The web site's form, in any encoding", stored | to_thanks | refusals)
    by_program = _operation("postLead", "An enquiry by a program: JSON only, and strict about keys", stored | refusals)
    key = {"name": "Idempotency-Key", "in": "header", "schema": TEXT}
    by_get = _operation("getForm", "A form left on method=get: stored like a post", to_thanks | stored | refusals)
    return {
        "/leads": {
            "post": by_form | {"parameters": [key]} | _body("Lead", FORMS),
            "get": by_get | {"parameters": [_in_query("name", "Any field of the form")]},
        },
        "/api/v1/leads": {"post": by_program | {"parameters": [key]} | _body("Lead", [JSON])},
    }


def _catalog() -> Described:
    summaries = {
        "services": "What is offered; those `bookable` online have slots",
        "practitioners": "Who gives which services where",
        "locations": "Where, and in which time zone",
    }
    answers = {name: {"200": _answer("All of them, in order", {JSON: ref(name.title())})} for name in summaries}
    away = _problems({"503": AWAY})
    return {
        f"/api/v1/{name}": {"get": _operation(name, summary, answers[name] | away)}
        for name, summary in summaries.items()
    }


def _slots_and_holds() -> Described:
    found = {"oneOf": [ref("Slots"), ref("ExplainedSlots")]}
    slots = _operation(
        "slots",
        "The free slots of some days; ask again with If-None-Match",
        {"200": _answer("Free slots; with `explain`, also why others are not", {JSON: found})}
        | {"304": _answer("Nothing has changed")}
        | _problems(
            {
                "401": "Reasons need a token",
                "403": "The token has not the scope slots:explain",
                "422": "A parameter is wrong",
                "503": AWAY,
            }
        ),
    )
    placed = _answer("Held for ten minutes", {JSON: ref("Hold")})
    longer = _answer("Held for ten minutes more", {JSON: ref("Hold")})
    hold = _operation(
        "hold",
        "Hold a slot while somebody types, or hold it for longer, once",
        {"201": placed, "200": longer}
        | _problems(
            {
                "400": NOT_READABLE,
                "409": f"{TAKEN}; or what was held is no longer, or was extended before",
                "413": TOO_LARGE,
                "422": "Not on offer",
                "429": "Two slots are held already, or this comes too often; see Retry-After",
                "503": AWAY,
            }
        ),
    )
    release = _operation(
        "release", "Give a hold back", {"204": _answer("It is not held, or no longer")} | _problems({"503": AWAY})
    )
    return {
        "/api/v1/slots": {"get": slots | {"parameters": _slot_parameters(), "security": [{}, {"token": []}]}},
        "/api/v1/holds": {"post": hold | _body("HoldWish", FORMS)},
        "/api/v1/holds/{token}": {"delete": release | {"parameters": [_in_path("token")]}},
    }


def _slot_parameters() -> list[Described]:
    return [
        _in_query("service", "Slug or name", required=True),
        _in_query("practitioner", "Slug or name; without it, anybody's"),
        _in_query("location", "Slug or name; without it, anywhere"),
        _in_query("from", "The first day; without it, today", DAY),
        _in_query("days", "How many days", {"type": "integer", "minimum": 1, "maximum": 62, "default": 7}),
        _in_query("new_patient", "Whether they come for the first time", {"type": "boolean"}),
        _in_query("hold", "What this visitor holds is free to them"),
        _in_query("explain", "Also why others are not offered; needs a token", {"type": "boolean"}),
    ]


def _appointments() -> Described:
    token, own = {"parameters": [_in_path("token")]}, _answer("As it stands", {JSON: ref("OwnAppointment"), HTML: TEXT})
    unknown = _problems({"404": NO_SUCH_LINK, "503": AWAY})
    refused = unknown | _problems({"400": NOT_READABLE, "413": TOO_LARGE})
    back = {"303": _answer("Done; a browser's way to the page")}
    calendar = {"200": _answer("A file for calendars", {"text/calendar": TEXT})}
    show = _operation("appointment", "The visitor's own appointment; looking changes nothing", {"200": own} | unknown)
    cancel = _operation(
        "cancel",
        "Cancel it; doing it twice is doing it once",
        {"200": own}
        | back
        | refused
        | _problems({"409": "The cut-off has passed, or the visit is over", "422": "A field is wrong"}),
    )
    move = _operation(
        "reschedule",
        "Move it; the link is replaced by the one in the answer",
        {"200": own}
        | back
        | refused
        | _problems({"409": f"{TAKEN}; or the cut-off has passed", "422": "Not on offer"}),
    )
    late = _problems({"409": "It is cancelled or has begun"})
    confirm = _operation("confirm", "Say that one will come", {"200": own} | back | unknown | late)
    path = "/appointments/{token}"
    return {
        path: {"get": show | token},
        f"{path}/cancellation": {"post": cancel | token | _body("Cancellation", FORMS, required=False)},
        f"{path}/confirmation": {"post": confirm | token},
        f"{path}/rescheduling": {"post": move | token | _body("Rescheduling", FORMS)},
        f"{path}/calendar.ics": {"get": _operation("calendar", "As a calendar file", calendar | unknown) | token},
    }


def _pages() -> Described:
    page, no_times = _answer("The page", {HTML: TEXT}), _answer("The page, saying why there are no times", {HTML: TEXT})
    fresh = _operation("page", "The hosted page; with a `service`, with its free times", {"200": page, "422": no_times})
    week = _operation("times", "The page again with times, for who has no script; stores nothing", {"200": page})
    thanks = _operation(
        "received", "The success state; nothing personal", {"200": page} | _problems({"404": "Unknown"})
    )
    refused = _problems({"400": NOT_READABLE, "413": TOO_LARGE, "422": "There are no times to show"})
    return {
        "/": {"get": fresh | {"parameters": [_in_query("service", "Slug or name")]}},
        "/times": {"post": week | _body("Lead", FORMS) | {"responses": week["responses"] | refused}},
        "/received/{reference}": {"get": thanks | {"parameters": [_in_path("reference")]}},
    }


def _health() -> Described:
    ready = {
        status: _answer(text, {JSON: ref("Readiness")}) for status, text in (("200", "Ready"), ("503", "Not ready"))
    }
    alive = {"200": _answer("Alive", {JSON: ref("Health")})}
    this = {"200": _answer("OpenAPI 3.1", {JSON: {"type": "object"}})}
    return {
        "/healthz": {"get": _operation("alive", "Whether the process lives", alive)},
        "/readyz": {"get": _operation("ready", "Whether it can do its work", ready)},
        "/openapi.json": {"get": _operation("description", "This description", this)},
    }


def _operation(name: str, summary: str, responses: Described) -> Described:
    return {"operationId": name, "summary": summary, "responses": responses}


def _answer(text: str, content: Described | None = None) -> Described:
    shown = {"content": {kind: {"schema": schema} for kind, schema in content.items()}} if content else {}
    return {"description": text} | shown


def _problems(texts: dict[str, str]) -> Described:
    return {status: _answer(text, {PROBLEM: ref("Problem"), HTML: TEXT}) for status, text in texts.items()}


def _body(schema: str, kinds: list[str], *, required: bool = True) -> Described:
    return {"requestBody": {"required": required, "content": {kind: {"schema": ref(schema)} for kind in kinds}}}


def _in_path(name: str) -> Described:
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def _in_query(name: str, text: str, schema: Described = TEXT, *, required: bool = False) -> Described:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": schema}
