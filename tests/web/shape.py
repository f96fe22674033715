"""A small check of JSON Schema: as much of it as our description uses, and strict about what it does not describe."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from booking.web.schemas import schemas

TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None),
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """What of a value is not as a schema says; a property that the schema does not know is a fault too."""
    if "$ref" in schema:
        yield from faults(value, schemas()[schema["$ref"].rpartition("/")[2]], where)
    yield from _faults_of_choice(value, schema, where)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(type(value) is TYPES[kind] for kind in kinds):
        yield f"{where}: is no {kinds}"
    elif isinstance(value, dict):
        yield from _faults_of_object(value, schema, where)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), f"{where}[{number}]")
    elif isinstance(value, str):
        yield from _faults_of_text(value, schema, where)


def _faults_of_choice(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    if "oneOf" in schema:
        fitting = [each for each in schema["oneOf"] if not any(faults(value, each))]
        if len(fitting) != 1:
            yield f"{where}: fits {len(fitting)} of {len(schema['oneOf'])}"
    if "const" in schema and value != schema["const"]:
        yield f"{where}: not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: not one of {schema['enum']}"


def _faults_of_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name}: is missing"
    for name, item in value.items():
        if name in known:
            yield from faults(item, known[name], f"{where}.{name}")
        elif isinstance(others, dict):
            yield from faults(item, others, f"{where}.{name}")
        elif known and not others:
            yield f"{where}.{name}: is not described"


def _faults_of_text(value: str, schema: dict[str, Any], where: str) -> Iterator[str]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} is not like {schema['pattern']}"
    if schema.get("format") == "date-time" and datetime.fromisoformat(value).tzinfo is None:
        yield f"{where}: {value!r} has no offset"
    if schema.get("format") == "date":
        date.fromisoformat(value)
    if schema.get("format") == "uri" and not re.fullmatch(r"https?://\S+", value):
        yield f"{where}: {value!r} is no address"
