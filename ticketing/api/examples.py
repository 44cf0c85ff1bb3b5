"""Examples for the API's description, made of JSON schemas: one valid value, the same every time.

A value comes from the schema itself (`default`, `enum`, `const`), else from the field's name,
else from its type. Tests hold every example against its schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ID = "019f2c3a-7d10-7c11-8a53-0242ac120002"
_MOMENT = "2026-03-10T13:00:00Z"
_DEEPEST = 24  # levels; a schema that holds itself ends there

_BY_NAME: Mapping[str, Any] = {
    "email": "ana@example.com",
    "contact_email": "carlos@example.com",
    "name": "Ana Souza",
    "agent_name": "Ana Souza",
    "actor_name": "Ana Souza",
    "contact_name": "Carlos Lima",
    "contact_phone": "+5511912345678",
    "phone": "+5511912345678",
    "actor": f"agent:{_ID}",
    "subject": "Reembolso",
    "text": "Quero falar com uma pessoa",
    "status": "open",
    "priority": "high",
    "severity": "S3",
    "level": "N1",
    "from_level": "N1",
    "to_level": "N2",
    "role": "agent",
    "queue": "n1_support",
    "queue_name": "Suporte",
    "key": "n1_support",
    "channel": "whatsapp",
    "language": "pt",
    "control": "human",
    "lifecycle": "open",
    "sla_state": "ok",
    "direction": "inbound",
    "author": "customer",
    "delivery": "delivered",
    "kind": "text",
    "outcome": "handoff",
    "reason": "customer_request",
    "rule": "asked_for_person@v1",
    "version": 3,
    "number": 1001,
    "correlation_id": "5f1d2c3b4a596877",
    "token": "shown-this-once",
    "csrf_token": "goes-into-X-CSRF-Token",
    "tags": ["reembolso"],
    "skills": ["billing"],
}


def example_of(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """One valid value of a schema.

    Args:
        schema: JSON Schema 2020-12, as pydantic writes it.
        definitions: What its references name.
    """
    return _example(schema, definitions, name="", depth=0)


def _example(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], *, name: str, depth: int
) -> Any:
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        return _example(found, definitions, name=name, depth=depth + 1)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "const" in schema:
        return schema["const"]
    options = [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]
    if options:
        return (
            None
            if depth > _DEEPEST
            else _example(options[0], definitions, name=name, depth=depth + 1)
        )
    return _of_type(schema, definitions, name=name, depth=depth)


def _of_type(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], *, name: str, depth: int
) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return {
            key: _example(value, definitions, name=key, depth=depth + 1)
            for key, value in schema.get("properties", {}).items()
            if depth <= _DEEPEST
        }
    if kind == "array":
        return _list(schema, definitions, name=name, depth=depth)
    if kind == "boolean":
        return bool(schema.get("default", False))
    if kind in {"integer", "number"}:
        return _number(schema, name)
    if kind == "string":
        return _text(schema, name)
    return None if kind == "null" else {}


def _list(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], *, name: str, depth: int
) -> list[Any]:
    fixed = schema.get("prefixItems")
    if fixed:
        return [_example(item, definitions, name=name, depth=depth + 1) for item in fixed]
    known = _BY_NAME.get(name)
    items = schema.get("items") or {}
    if isinstance(known, list) and items.get("type") == "string":
        return known
    wanted = schema.get("minItems", 1) if depth <= _DEEPEST else schema.get("minItems", 0)
    return [_example(items, definitions, name=name, depth=depth + 1)] * max(wanted, 0)


def _number(schema: Mapping[str, Any], name: str) -> Any:
    known = _BY_NAME.get(name)
    if isinstance(known, int):
        return known
    default = schema.get("default")
    return default if isinstance(default, int | float) else max(1, schema.get("minimum", 1))


def _text(schema: Mapping[str, Any], name: str) -> str:
    by_format = {
        "uuid": _ID,
        "date-time": _MOMENT,
        "date": _MOMENT[:10],
        "time": "09:00:00",
        "duration": "PT15M",
    }
    if schema.get("format") in by_format:
        return by_format[schema["format"]]
    known = _BY_NAME.get(name)
    if isinstance(known, str) and len(known) <= schema.get("maxLength", len(known)):
        return known
    default = schema.get("default")
    return default if isinstance(default, str) else "text".ljust(schema.get("minLength", 0), "x")
