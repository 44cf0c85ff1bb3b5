"""OpenAPI 3.1 description of the API, made from the table of routes and the models it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from ticketing.api.calls import Route
from ticketing.domain.permissions import Permission, roles_with
from ticketing.http.browser import CSRF_HEADER, SESSION_COOKIE
from ticketing.http.problems import CODES

PREFIX = "/api/v1"
_REF = "#/components/schemas/{model}"
_GENERAL = ("rate_limited", "internal_error")
_WITH_LOGIN = ("unauthenticated", "role_not_allowed", "csrf_failed")
_WITH_BODY = ("invalid_json", "too_large", "unsupported_media_type", "invalid_value")

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details. Switch on `code`; it never changes.",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, and what was expected."},
        "instance": {"type": "string", "description": "Holds the correlation id of the logs."},
        "code": {"type": "string", "enum": list(CODES)},
        "field": {"type": "string", "description": "The wrong value."},
        "allowed": {"type": "array", "items": {"type": "string"}},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description as JSON types."""
    table = tuple(routes)
    schemas, definitions = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        operations = paths.setdefault(PREFIX + route.path, {})
        operations[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ponte agents' API",
            "version": "1",
            "description": (
                "Tickets, conversations and the decisions behind them. Log in with POST /login "
                f"and send the token as `Authorization: Bearer`, or use the cookie and send "
                f"`{CSRF_HEADER}` with every write. Times are RFC 3339 in UTC."
            ),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
        },
    }


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Schemas by (route name, part) and the shared definitions."""
    wanted: list[tuple[tuple[str, str], JsonSchemaMode, TypeAdapter[Any]]] = []
    for route in routes:
        wanted.append(((route.name, "answer"), "serialization", TypeAdapter(route.answer)))
        if route.body is not None:
            wanted.append(((route.name, "body"), "validation", TypeAdapter(route.body)))
    by_key, document = TypeAdapter.json_schemas(wanted, ref_template=_REF)
    return {key[0]: schema for key, schema in by_key.items()}, document.get("$defs", {})


def _operation(route: Route, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "description": _description(route),
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            str(route.status): {
                "description": "Done",
                "headers": {"X-Correlation-Id": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": schemas[route.name, "answer"]}},
            },
            **_problem_responses(route),
        },
        "security": [] if route.needs is None else [{"bearer": []}, {"cookie": []}],
    }
    if route.takes_key:
        operation["parameters"].append(_IDEMPOTENCY_KEY)
    if route.body is not None:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.body.model_fields.values()),
            "content": {
                "application/json": {
                    "schema": schemas[route.name, "body"],
                    "example": route.example,
                }
            },
        }
    return operation


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again is the same request again: nothing is written twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}


def _description(route: Route) -> str:
    who = "Public." if route.needs is None else _audience(route.needs)
    return f"{who} {(route.body.__doc__ or '').strip()}" if route.body else who


def _audience(needs: Permission) -> str:
    roles = ", ".join(role.value for role in roles_with(needs))
    return f"Wants `{needs.value}` (roles: {roles})."


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    parameters = []
    for name, described in schema["properties"].items():
        parameter: dict[str, Any] = {
            "name": name,
            "in": "query",
            "required": False,
            "schema": _inline(described, definitions),
        }
        if described.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        parameters.append(parameter)
    return parameters


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    """The same schema without references: a query's enums are read better in their place."""
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        return _inline({**found, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
    return {key: _inline(value, definitions) for key, value in schema.items()}


def _problem_responses(route: Route) -> dict[str, Any]:
    codes = [*route.codes, *_GENERAL]
    if route.needs is not None:
        codes += _WITH_LOGIN
    if route.body is not None:
        codes += _WITH_BODY
    elif route.query is not None:
        codes.append("invalid_value")
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(CODES[code][0], []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in found),
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status, found in sorted(by_status.items())
    }
