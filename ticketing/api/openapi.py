"""OpenAPI 3.1 description of the API, made from the table of routes and the models it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from ticketing.api.answer_types import adapter_of
from ticketing.api.calls import Route
from ticketing.api.examples import example_of
from ticketing.domain.permissions import Permission, roles_with
from ticketing.http.browser import CSRF_HEADER, SESSION_COOKIE
from ticketing.http.problems import CODES, Problem

PREFIX = "/api/v1"
_REF = "#/components/schemas/{model}"
_GENERAL = ("invalid_request", "invalid_value", "too_large", "rate_limited", "internal_error")
_PUBLIC = ("csrf_failed",)
_WITH_LOGIN = ("unauthenticated", "role_not_allowed", "csrf_failed")
_WITH_BODY = ("invalid_json", "unsupported_media_type")
_WITH_KEY = ("request_in_progress", "answer_lost", "idempotency_key_reused")
_WITH_VERSION = ("precondition_failed",)

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
        "errors": {
            "type": "array",
            "description": "All wrong values, when there are several.",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                    "allowed": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
_HEADERS: dict[str, Any] = {
    "X-Correlation-Id": {
        "description": "Follows the request through all logs.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "So many requests at once, all back after `w` seconds.",
        "schema": {"type": "string"},
    },
    "RateLimit-Limit": {"schema": {"type": "integer"}},
    "RateLimit-Remaining": {"schema": {"type": "integer"}},
    "RateLimit-Reset": {
        "description": "Seconds until all requests are back.",
        "schema": {"type": "integer"},
    },
}
_ETAG: dict[str, Any] = {
    "ETag": {
        "description": "Of a ticket it begins with the version, for `If-Match`.",
        "schema": {"type": "string"},
    }
}
_REPLAYED: dict[str, Any] = {
    "Idempotent-Replayed": {
        "description": "`true`: this is the stored answer of an earlier request with the key.",
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER: dict[str, Any] = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
_DESCRIPTION = f"""Tickets, conversations and the decisions behind them.

**Login.** `POST {PREFIX}/login` gives a token for `Authorization: Bearer`; a program uses an API
token instead. With the session cookie send `{CSRF_HEADER}` with every write.

**Errors** are RFC 9457 problem documents with a stable `code`. **Times** are RFC 3339 in UTC.

**Repetitions.** Every write takes `Idempotency-Key`: the same key with the same request is done
once and answered again from memory for 24 hours (`Idempotent-Replayed: true`).

**Versions.** Answers about a ticket carry an `ETag`; send it as `If-Match` to be refused (412) when
somebody has changed the ticket meanwhile, and as `If-None-Match` to save an unchanged answer (304).

**Limits.** The `RateLimit-*` headers say how much may be asked; after that comes 429 with
`Retry-After`. Each web process counts for itself.
"""


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole description as JSON types."""
    table = tuple(routes)
    schemas, definitions = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        operations = paths.setdefault(PREFIX + route.path, {})
        operations[route.method.lower()] = _operation(route, schemas, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ponte agents' API",
            "version": "1",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of `POST /login`: a person's session.",
                },
                "api_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "ponte_...",
                    "description": "A program's token: some of its owner's permissions.",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SESSION_COOKIE,
                    "description": f"A browser's session; writes need `{CSRF_HEADER}` too.",
                },
            },
        },
    }


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Schemas by (route name, part) and the shared definitions."""
    wanted: list[tuple[tuple[str, str], JsonSchemaMode, TypeAdapter[Any]]] = []
    for route in routes:
        wanted.append(((route.name, "answer"), "serialization", adapter_of(route.answer)))
        if route.body is not None:
            wanted.append(((route.name, "body"), "validation", TypeAdapter(route.body)))
    by_key, document = TypeAdapter.json_schemas(wanted, ref_template=_REF)
    return {key[0]: schema for key, schema in by_key.items()}, document.get("$defs", {})


def _operation(
    route: Route, schemas: dict[tuple[str, str], Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "description": _description(route),
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": {**_success(route, schemas, definitions), **_problem_responses(route)},
        "security": _security(route),
    }
    if route.file_body:
        file = {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": file}}}
    elif route.body is not None:
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


def _success(
    route: Route, schemas: dict[tuple[str, str], Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    headers = {**_HEADERS, **_ETAG, **(_REPLAYED if route.keyed else {})}
    if route.file_answer:
        file = {"schema": {"type": "string", "format": "binary"}}
        return {"200": {"description": "The file", "headers": headers, "content": {"*/*": file}}}
    schema = schemas[route.name, "answer"]
    example = route.answer_example
    if example is None:
        example = example_of(schema, definitions)
    content = {"application/json": {"schema": schema, "example": example}}
    done = {"description": "Done", "headers": headers, "content": content}
    if route.method != "GET":
        return {str(route.status): done}
    unchanged = {"description": "Nothing has changed since `If-None-Match`.", "headers": _ETAG}
    return {str(route.status): done, "304": unchanged}


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.needs is None:
        return []
    return [{"bearer": []}, {"api_token": []}, {"cookie": []}]


def _headers(route: Route) -> list[dict[str, Any]]:
    found = []
    if route.keyed:
        found.append(_IDEMPOTENCY_KEY)
    if route.method == "GET":
        found.append(_IF_NONE_MATCH)
    elif "{ticket_id}" in route.path:
        found.append(_IF_MATCH)
    return found


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again is the same request again: nothing is written twice.",
    # Visible ASCII with at least one character that is neither a space nor a quotation mark.
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!#-~]+$"},
    "example": "5b2a7c1e-reply-1",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "Refuse (412) unless the ticket has this version: the ETag of an answer, or *.",
    "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,8}(\.[0-9a-f]{16})?")$'},
    "example": '"7"',
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Answer 304 if the answer still has this ETag.",
    "schema": {"type": "string"},
    "example": '"0123456789abcdef"',
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
            "description": f"Id of the {name.removesuffix('_id').replace('_', ' ')}.",
            "example": "019f2c3a-7d10-7c11-8a53-0242ac120002",
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
        if "description" in described:
            parameter["description"] = described["description"]
        if described.get("deprecated"):
            parameter["deprecated"] = True
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
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(_problem_codes(route)):
        by_status.setdefault(CODES[code][0], []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in found),
            "headers": {**_HEADERS, **(_RETRY_AFTER if _may_be_repeated(found) else {})},
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {code: {"value": _problem_example(code)} for code in found},
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def _problem_codes(route: Route) -> list[str]:
    codes = [*route.codes, *_GENERAL, *(_PUBLIC if route.needs is None else _WITH_LOGIN)]
    if "{" in route.path:
        codes.append("not_found")
    if route.body is not None or route.file_body:
        codes += _WITH_BODY
    if route.keyed:
        codes += _WITH_KEY
    if route.method != "GET" and "{ticket_id}" in route.path:
        codes += _WITH_VERSION
    return codes


def _may_be_repeated(codes: list[str]) -> bool:
    return bool({"rate_limited", "request_in_progress"} & set(codes))


def _problem_example(code: str) -> dict[str, Any]:
    return Problem(code, "what happened here, and what was expected").to_json(
        instance="5f1d2c3b4a596877"
    )
