"""Schemas: the shapes of what comes in and goes out, in the words of JSON Schema, for the OpenAPI description."""

from typing import Any

from booking.domain.fields import CANONICAL, HONEYPOT, REPEATED
from booking.domain.status import AppointmentStatus, Audience, Bookable
from booking.web.parsing import MAY_BE_TICKED

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
YES_OR_NO: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, always with its offset from UTC"}
DAY: Schema = {"type": "string", "format": "date"}
LINK: Schema = {"type": "string", "format": "uri"}
SLUG: Schema = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}
REFERENCE: Schema = {"type": "string", "description": "Short, public, says nothing and opens nothing: SV-7K4Q-92"}


def schemas() -> dict[str, Schema]:
    """Every shape by its name."""
    return {
        "Lead": _lead(),
        "Received": _received(),
        "Appointment": _appointment(),
        "OwnAppointment": _own_appointment(),
        "Cancellation": _object({"reason": TEXT}, required=()),
        "Rescheduling": _object({"starts_at": TIME, "practitioner": TEXT}, required=("starts_at",)),
        "Service": _service(),
        "Services": _list_of("services", "Service"),
        "Practitioner": _practitioner(),
        "Practitioners": _list_of("practitioners", "Practitioner"),
        "Location": _location(),
        "Locations": _list_of("locations", "Location"),
        "Slot": _object({"starts_at": TIME, "ends_at": TIME, "practitioner": SLUG, "location": SLUG}),
        "Slots": _slots(),
        "ExplainedSlots": _explained_slots(),
        "HoldWish": _hold_wish(),
        "Hold": _hold(),
        "Problem": _problem(),
        "Health": _object({"status": {"const": "ok"}}),
        "Readiness": _readiness(),
    }


def ref(name: str) -> Schema:
    """A mention of a shape by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, *, required: tuple[str, ...] | None = None, **more: Any) -> Schema:
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties} | ({"required": names} if names else {}) | more


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _list_of(name: str, item: str) -> Schema:
    return _object({name: _array(ref(item))})


def _by_field(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value}


def _lead() -> Schema:
    return {
        "type": "object",
        "description": (
            "An e-mail address or a phone number is enough; unknown fields are kept. With a `service` and "
            "`starts_at`, or with a `hold`, a visit is booked with it. Fields take the catalogue's slugs, or its names."
        ),
        "properties": {name: _field(name) for name in CANONICAL if name not in {HONEYPOT, "started_at"}},
        "additionalProperties": True,
    }


def _field(name: str) -> Schema:
    if name in REPEATED:
        return _array(TEXT)
    if name in MAY_BE_TICKED:
        return {"type": ["boolean", "string"]}
    if name == "starts_at":
        return TIME
    return {"type": "string", "maxLength": 200} if name == "name" else dict(TEXT)


def _received() -> Schema:
    visit = {"oneOf": [ref("Appointment"), {"type": "null"}], "description": "null where no time was booked"}
    properties = {
        "status": {"const": "received"},
        "message": TEXT,
        "reference": REFERENCE,
        "received_at": TIME,
        "appointment": visit,
        "code": {"const": 200},
        "msg": {"const": "ok"},
        "note": TEXT
        | {"description": "Said where the appointment is an earlier one, at another time than was asked for"},
        "suggestions": _by_field(TEXT) | {"description": "What may be a slip of typing, by field"},
        "advice": {"type": "string", "description": "What somebody with such symptoms should read now"},
    }
    return _object(properties, required=("status", "message", "reference", "received_at", "appointment", "code", "msg"))


def _visit() -> Schema:
    return {
        "reference": REFERENCE,
        "starts_at": TIME,
        "ends_at": TIME,
        "timezone": {"type": "string", "description": "The zone of the place, such as America/New_York"},
        "service": SLUG,
        "practitioner": SLUG,
        "location": SLUG,
        "manage_url": LINK | {"description": "The visitor's own page: whoever has this link can move or cancel"},
        "calendar_url": LINK,
    }


def _appointment() -> Schema:
    return _object(_visit())


def _own_appointment() -> Schema:
    status = {"enum": [each.value for each in AppointmentStatus]}
    can_change = YES_OR_NO | {"description": "Whether it is still ahead, and its cut-off has not passed"}
    confirmed = YES_OR_NO | {"description": "Whether its owner has said that they will come"}
    own = _object(_visit() | {"status": status})
    return _object({"status": status, "appointment": own, "can_change": can_change, "confirmed": confirmed})


def _service() -> Schema:
    shown = [each.value for each in Bookable if each != Bookable.HIDDEN]
    return _object(
        {
            "slug": SLUG,
            "name": TEXT,
            "summary": TEXT,
            "duration_minutes": COUNT,
            "bookable": {"enum": shown, "description": "online: choose a time; call: the desk agrees on one"},
            "for": {"enum": [each.value for each in Audience]},
            "horizon_days": COUNT,
        }
    )


def _practitioner() -> Schema:
    return _object({"slug": SLUG, "name": TEXT, "title": TEXT, "services": _array(SLUG), "locations": _array(SLUG)})


def _location() -> Schema:
    return _object({"slug": SLUG, "name": TEXT, "timezone": TEXT, "address": TEXT, "phone": TEXT})


def _slots() -> Schema:
    following = {"oneOf": [ref("Slot"), {"type": "null"}], "description": "The first one after days that have none"}
    return _object(
        {"slots": _array(ref("Slot")), "timezone": TEXT, "from": DAY, "days": COUNT, "next": following},
    )


def _explained_slots() -> Schema:
    refused = _object({"starts_at": TIME, "practitioner": SLUG, "location": SLUG, "reason": TEXT})
    return _object({"slots": _array(ref("Slot")), "timezone": TEXT, "not_offered": _array(refused)})


def _hold_wish() -> Schema:
    return {
        "type": "object",
        "description": (
            "A slot to be held; or the `hold` alone, to have it held for longer. With a key (this field, or the header "
            "`Idempotency-Key`) the same wish again is the same hold"
        ),
        "properties": {
            "service": TEXT,
            "starts_at": TIME,
            "practitioner": TEXT,
            "location": TEXT,
            "new_patient": {"type": ["boolean", "string"]},
            "submission_key": TEXT,
            "hold": TEXT,
        },
    }


def _hold() -> Schema:
    properties = {
        "hold": {"type": "string", "description": "A secret: the field `hold` of the form takes it"},
        "expires_at": TIME,
        "can_be_extended": YES_OR_NO,
        "starts_at": TIME,
        "practitioner": SLUG,
        "location": SLUG,
    }
    return _object(properties, required=("hold", "expires_at", "can_be_extended"))


def _problem() -> Schema:
    properties = {
        "type": TEXT,
        "title": TEXT,
        "status": COUNT,
        "detail": TEXT,
        "errors": _by_field(_array(TEXT)) | {"description": "Texts for the visitor, by field"},
        "reference": REFERENCE | {"description": "Of the enquiry, where it is kept all the same"},
        "alternatives": _array(ref("Slot")) | {"description": "The nearest free slots, where a time was taken"},
        "code": COUNT,
        "msg": TEXT,
    }
    return _object(properties, required=("type", "title", "status", "detail", "errors", "code", "msg"))


def _readiness() -> Schema:
    return _object(
        {
            "status": {"enum": ["ready", "not ready"]},
            "database": {"enum": ["ok", "away"]},
            "migrations": {"enum": ["ok", "behind", "unknown"]},
            "spool": COUNT | {"description": "Leads that wait for the database"},
            "set_aside": COUNT,
        }
    )
