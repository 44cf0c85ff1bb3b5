"""What a request says, read and checked: ids, body, query, idempotency key.

Whatever cannot be read becomes a problem that names the place and what was expected there.
"""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from sanic import Request

from ticketing.api.calls import Route, Upload
from ticketing.http.problems import Problem, ProblemError, problem_of_validation
from ticketing.http.schemas import NoBody

_MAX_KEY = 200
_NOT_FOUND_OF = {
    "ticket_id": "ticket_not_found",
    "conversation_id": "conversation_not_found",
    "agent_id": "agent_not_found",
    "attachment_id": "attachment_not_found",
    "turn_id": "turn_not_found",
    "team_id": "team_not_found",
    "token_id": "token_not_found",
    "session_id": "session_not_found",
    "sample_id": "sample_not_found",
    "notification_id": "notification_not_found",
    "entry_id": "dead_letter_not_found",
    "device_id": "device_not_found",
    "address_id": "address_not_found",
}

AnyRequest = Request[Any, Any]


def read_ids(given: dict[str, str]) -> dict[str, uuid.UUID]:
    """The ids of the path; a text that is no id names nothing that exists."""
    ids: dict[str, uuid.UUID] = {}
    for name, value in given.items():
        try:
            ids[name] = uuid.UUID(value)
        except ValueError as error:
            detail = "expected an id such as 019f2c3a-7d10-7c11-8a53-0242ac120002"
            code = _NOT_FOUND_OF.get(name, "not_found")
            raise ProblemError(Problem(code, detail, field=name)) from error
    return ids


def read_body(request: AnyRequest, route: Route) -> Any:
    """The JSON body as the route's model."""
    content = sized_body(request, route)
    document: Any = {}
    if content.strip():
        media_type = _media_type(request)
        if media_type != "application/json":
            detail = f"expected Content-Type: application/json, got {media_type or 'none'}"
            raise ProblemError(Problem("unsupported_media_type", detail))
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ProblemError(Problem("invalid_json", str(error))) from error
    if not isinstance(document, dict):
        raise ProblemError(Problem("invalid_value", "body: expected a JSON object", field="body"))
    return validated(route.body or NoBody, document)


def read_upload(request: AnyRequest, route: Route) -> Upload:
    """The body as a file."""
    content = sized_body(request, route)
    if not content:
        raise ProblemError(Problem("invalid_value", "body: expected a file", field="body"))
    return Upload(content, _media_type(request))


def sized_body(request: AnyRequest, route: Route) -> bytes:
    """The body's bytes, unless they are more than the route takes."""
    content: bytes = request.body or b""
    if len(content) > route.max_body:
        detail = f"expected at most {route.max_body} bytes"
        raise ProblemError(Problem("too_large", detail))
    return content


def read_query(request: AnyRequest, model: type[BaseModel]) -> Any:
    """The query as the route's model; a parameter that stands twice is a list."""
    given: dict[str, Any] = {}
    for name, values in request.get_args(keep_blank_values=True).items():
        given[name] = values if len(values) > 1 else values[0]
    return validated(model, given)


def validated(model: type[BaseModel], document: dict[str, Any]) -> Any:
    """The document as the model.

    Raises:
        ProblemError: naming every wrong field.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        known = tuple(model.model_fields)
        raise ProblemError(problem_of_validation(error, known=known)) from error


def read_idempotency_key(request: AnyRequest) -> str | None:
    """The client's key for this request; None when there is none."""
    key: str | None = request.headers.get("idempotency-key")
    if key is None:
        return None
    key = key.strip().strip('"')  # the draft writes it as a quoted string, most clients do not
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        detail = f"expected 1 to {_MAX_KEY} printable ASCII characters"
        raise ProblemError(Problem("invalid_value", detail, field="Idempotency-Key"))
    return key


def _media_type(request: AnyRequest) -> str:
    header: str = request.headers.get("content-type", "")
    return header.partition(";")[0].strip().lower()
