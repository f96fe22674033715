"""The OpenAPI 3.1 description of the public interface, built from the form's own fields."""

from typing import Any

from booking.domain.fields import CANONICAL, HONEYPOT, REPEATED
from booking.web.parsing import MAY_BE_TICKED

TEXT = {"type": "string"}
PROBLEM_SHAPE = {
    "type": "object",
    "required": ["title", "status", "detail", "errors"],
    "properties": {
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
        "reference": TEXT,
        "type": TEXT,
        "code": {"type": "integer"},
        "msg": TEXT,
    },
}


def describe(clinic_name: str, base_url: str) -> dict[str, Any]:
    """The whole description, ready for JSON."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Enquiries for {clinic_name}", "version": "1"},
        "servers": [{"url": base_url}],
        "paths": {
            "/api/v1/leads": {"post": _post("JSON only", ["application/json"])},
            "/leads": {
                "post": _post(
                    "The web site's form, in any encoding",
                    ["application/x-www-form-urlencoded", "multipart/form-data", "application/json"],
                )
            },
            "/healthz": {"get": {"summary": "Alive", "responses": {"200": {"description": "Alive"}}}},
            "/readyz": {
                "get": {
                    "summary": "Ready",
                    "responses": {"200": {"description": "Ready"}, "503": {"description": "Not ready"}},
                }
            },
        },
        "components": {"schemas": {"Lead": _lead(), "Received": _received(), "Problem": PROBLEM_SHAPE}},
    }


def _post(summary: str, kinds: list[str]) -> dict[str, Any]:
    received = {"application/json": {"schema": {"$ref": "#/components/schemas/Received"}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refusals = {
        "400": "Not readable at all",
        "413": "Over 64 KB",
        "422": "No way to reach this person, or a field is wrong; the attempt is kept",
        "503": "Nothing could be stored",
    }
    return {
        "summary": summary,
        "parameters": [{"name": "Idempotency-Key", "in": "header", "schema": TEXT}],
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": {"$ref": "#/components/schemas/Lead"}} for kind in kinds},
        },
        "responses": {
            "201": {"description": "Stored", "content": received},
            "202": {"description": "Stored, waiting for the database", "content": received},
            "303": {"description": "Stored; a browser's way to the thank-you page"},
        }
        | {status: {"description": text, "content": problem} for status, text in refusals.items()},
    }


def _lead() -> dict[str, Any]:
    properties = {name: _type(name) for name in CANONICAL if name not in {HONEYPOT, "started_at"}}
    return {
        "type": "object",
        "description": "An e-mail address or a phone number is enough; unknown fields are kept.",
        "properties": properties,
        "additionalProperties": True,
    }


def _type(name: str) -> dict[str, Any]:
    if name in REPEATED:
        return {"type": "array", "items": TEXT}
    if name in MAY_BE_TICKED:
        return {"type": ["boolean", "string"]}
    return {"type": "string", "maxLength": 200} if name == "name" else dict(TEXT)


def _received() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status", "message", "reference", "received_at", "appointment"],
        "properties": {
            "status": {"const": "received"},
            "message": TEXT,
            "reference": TEXT,
            "received_at": {"type": "string", "format": "date-time"},
            "appointment": {"type": ["object", "null"]},
            "code": {"const": 200},
            "msg": TEXT,
            "suggestions": {"type": "object", "additionalProperties": TEXT},
        },
    }
