"""From a Sanic request to a handler and back: limits, login, role, CSRF, body, errors.

Denied by default: a route of the table without a login is reached by nobody but the public ones,
and every check stands here once, before any handler.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError
from sanic import HTTPResponse, Request
from sanic.response import raw

from ticketing.api.calls import Answer, Call, Route
from ticketing.domain.permissions import roles_with
from ticketing.http import browser
from ticketing.http.desk import Desk
from ticketing.http.problems import (
    Problem,
    ProblemError,
    problem_of,
    problem_of_validation,
    respond,
)
from ticketing.http.rate_limit import ANONYMOUS, LOGIN, SESSION, RateLimiter, whole_seconds
from ticketing.http.schemas import NoBody, NoQuery
from ticketing.services.sessions import LoggedIn

log = structlog.get_logger()

MAX_BODY = 64 * 1024  # bytes; the longest allowed text is 4096 characters, at most 16 KB of UTF-8
_MAX_KEY = 200
_NOT_FOUND_OF = {
    "ticket_id": "ticket_not_found",
    "conversation_id": "conversation_not_found",
    "agent_id": "agent_not_found",
    "turn_id": "turn_not_found",
}

AnyRequest = Request[Any, Any]


@dataclass(frozen=True, slots=True)
class _Limits:
    login: RateLimiter
    session: RateLimiter
    anonymous: RateLimiter


class Dispatcher:
    """Serves the routes of the table over one set of services."""

    def __init__(self, desk: Desk, routes: tuple[Route, ...]) -> None:
        self._desk = desk
        self._answers = {route.name: TypeAdapter[Any](route.answer) for route in routes}
        self._limits = _Limits(RateLimiter(LOGIN), RateLimiter(SESSION), RateLimiter(ANONYMOUS))

    async def serve(
        self, request: AnyRequest, by_method: Mapping[str, Route], ids: dict[str, str]
    ) -> HTTPResponse:
        """Answer one request; never raises."""
        correlation_id = browser.correlation_id(request)
        try:
            route = _route(request, by_method)
            answer = await route.handler(await self._call(request, route, ids))
            response = self._respond(route, answer)
        except Exception as error:  # noqa: BLE001 - the edge: everything becomes an answer
            response = self._problem(error, correlation_id)
        response.headers["X-Correlation-Id"] = correlation_id
        return response

    def _problem(self, error: Exception, correlation_id: str) -> HTTPResponse:
        problem = problem_of(error)
        if problem is None:
            log.error("api.failed", error_type=type(error).__name__, exc_info=error)
            detail = "the request was not done, or only in part; quote the instance to support"
            problem = Problem("internal_error", detail)
        response = respond(problem, instance=correlation_id)
        if problem.code == "method_not_allowed":
            response.headers["Allow"] = ", ".join(problem.allowed or ())
        return response

    def _respond(self, route: Route, answer: Answer) -> HTTPResponse:
        body = self._answers[route.name].dump_json(answer.value)
        response = raw(body, status=route.status, content_type="application/json")
        if answer.started is not None:
            browser.set_session_cookie(response, answer.started.token, deps=self._desk.deps)
        if answer.ended:
            browser.drop_session_cookie(response, deps=self._desk.deps)
        return response

    async def _call(self, request: AnyRequest, route: Route, ids: dict[str, str]) -> Call:
        token, by_cookie = browser.session_token(request)
        who = await self._let_in(request, route, token, by_cookie=by_cookie)
        return Call(
            desk=self._desk,
            who=who,
            ids=_ids(ids),
            body=None if route.method == "GET" else _body(request, route.body or NoBody),
            query=_query(request, route.query or NoQuery),
            token=token,
            idempotency_key=_idempotency_key(request) if route.takes_key else None,
            correlation_id=browser.correlation_id(request),
        )

    async def _let_in(
        self, request: AnyRequest, route: Route, token: str | None, *, by_cookie: bool
    ) -> LoggedIn | None:
        address = browser.client_address(request)
        if route.needs is None:
            self._spend(self._limits.login, address)
            if browser.foreign_origin(request, deps=self._desk.deps):
                raise ProblemError(Problem("csrf_failed", "the request comes from another site"))
            return None
        who = None if token is None else await self._desk.sessions.recognise(token)
        if who is None:
            self._spend(self._limits.anonymous, address)
            detail = "expected a valid `Authorization: Bearer` token or session cookie"
            raise ProblemError(Problem("unauthenticated", detail))
        self._spend(self._limits.session, str(who.agent_id))
        if route.needs not in who.permissions:
            roles = ", ".join(role.value for role in roles_with(route.needs))
            detail = f"expected {route.needs.value} (roles: {roles}), you are {who.role.value}"
            raise ProblemError(Problem("role_not_allowed", detail))
        if by_cookie and request.method != "GET":
            self._check_csrf(request, who)
        return who

    def _check_csrf(self, request: AnyRequest, who: LoggedIn) -> None:
        given = request.headers.get(browser.CSRF_HEADER)
        if not browser.same_secret(given, who.csrf_token) or browser.foreign_origin(
            request, deps=self._desk.deps
        ):
            detail = f"expected the session's csrf_token (GET /me) in {browser.CSRF_HEADER}"
            raise ProblemError(Problem("csrf_failed", detail, field=browser.CSRF_HEADER))

    def _spend(self, limiter: RateLimiter, key: str) -> None:
        wait = limiter.spend(key, now=self._desk.deps.clock.now())
        if wait is not None:
            seconds = whole_seconds(wait)
            detail = f"try again in {seconds} s"
            raise ProblemError(Problem("rate_limited", detail, retry_after=seconds))


def _route(request: AnyRequest, by_method: Mapping[str, Route]) -> Route:
    route = by_method.get(request.method)
    if route is None:
        allowed = tuple(sorted(by_method))
        detail = f"{request.method} is not known here; expected {', '.join(allowed)}"
        raise ProblemError(Problem("method_not_allowed", detail, allowed=allowed))
    return route


def _ids(given: dict[str, str]) -> dict[str, uuid.UUID]:
    ids: dict[str, uuid.UUID] = {}
    for name, value in given.items():
        try:
            ids[name] = uuid.UUID(value)
        except ValueError as error:
            detail = "expected an id such as 019f2c3a-7d10-7c11-8a53-0242ac120002"
            raise ProblemError(Problem(_NOT_FOUND_OF[name], detail, field=name)) from error
    return ids


def _body(request: AnyRequest, model: type[BaseModel]) -> BaseModel:
    content = request.body
    if len(content) > MAX_BODY:
        detail = f"expected at most {MAX_BODY} bytes"
        raise ProblemError(Problem("too_large", detail))
    document: Any = {}
    if content.strip():
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            detail = f"expected Content-Type: application/json, got {media_type or 'none'}"
            raise ProblemError(Problem("unsupported_media_type", detail))
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ProblemError(Problem("invalid_json", str(error))) from error
    if not isinstance(document, dict):
        raise ProblemError(Problem("invalid_value", "body: expected a JSON object", field="body"))
    return _validated(model, document)


def _query(request: AnyRequest, model: type[BaseModel]) -> BaseModel:
    given: dict[str, Any] = {}
    for name, values in request.get_args(keep_blank_values=True).items():
        given[name] = values if len(values) > 1 else values[0]
    return _validated(model, given)


def _validated(model: type[BaseModel], document: dict[str, Any]) -> BaseModel:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        known = tuple(model.model_fields)
        raise ProblemError(problem_of_validation(error, known=known)) from error


def _idempotency_key(request: AnyRequest) -> str | None:
    key: str | None = request.headers.get("idempotency-key")
    if key is None:
        return None
    key = key.strip().strip('"')  # the draft writes it as a quoted string, most clients do not
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        detail = f"expected 1 to {_MAX_KEY} printable ASCII characters"
        raise ProblemError(Problem("invalid_value", detail, field="Idempotency-Key"))
    return key
