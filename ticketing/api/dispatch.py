"""From a Sanic request to a handler and back: limits, login, role, CSRF, body, errors.

Denied by default: a route of the table without a login is reached by nobody but the public ones,
and every check stands here once, before any handler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sanic import HTTPResponse, Request
from sanic.response import empty, raw

from ticketing.api.answer_types import adapter_of
from ticketing.api.calls import Answer, Call, Route
from ticketing.api.once import Once, Replay
from ticketing.api.reading import (
    read_body,
    read_idempotency_key,
    read_ids,
    read_query,
    read_upload,
)
from ticketing.domain.permissions import roles_with
from ticketing.http import browser, entity_tags
from ticketing.http.desk import Desk
from ticketing.http.problems import Problem, ProblemError, problem_of, respond
from ticketing.http.rate_limit import ANONYMOUS, LOGIN, SESSION, Rate, RateLimiter, whole_seconds
from ticketing.http.schemas import NoQuery
from ticketing.services.api_tokens import PREFIX as TOKEN_PREFIX
from ticketing.services.sessions import LoggedIn
from ticketing.services.ticket_work import VersionConflictError

log = structlog.get_logger()

AnyRequest = Request[Any, Any]


@dataclass(frozen=True, slots=True)
class Rates:
    """How much one may ask.

    Attributes:
        login: Of public operations, by address.
        session: Of everything with a login, by person.
        anonymous: Of requests without a valid login, by address.
    """

    login: Rate = LOGIN
    session: Rate = SESSION
    anonymous: Rate = ANONYMOUS


@dataclass(slots=True)
class _Spent:
    """The limit a request counted against; its standing goes into the answer's headers."""

    limiter: RateLimiter | None = None
    key: str = ""


class Dispatcher:
    """Serves the routes of the table over one set of services."""

    def __init__(self, desk: Desk, routes: tuple[Route, ...], rates: Rates | None = None) -> None:
        rates = rates or Rates()
        self._desk = desk
        self._answers = {route.name: adapter_of(route.answer) for route in routes}
        self._once = {route.name: Once(route, self._answers[route.name]) for route in routes}
        self._login = RateLimiter(rates.login)
        self._session = RateLimiter(rates.session)
        self._anonymous = RateLimiter(rates.anonymous)

    async def serve(
        self, request: AnyRequest, by_method: Mapping[str, Route], ids: dict[str, str]
    ) -> HTTPResponse:
        """Answer one request; never raises."""
        correlation_id = browser.correlation_id(request)
        spent = _Spent()
        try:
            route = _route(request, by_method)
            call = await self._call(request, route, ids, spent)
            answer = await self._once[route.name].run(call)
            response = self._respond(request, route, answer, call)
        except Exception as error:  # noqa: BLE001 - the edge: everything becomes an answer
            response = self._problem(_precondition(request, error), correlation_id)
        if spent.limiter is not None:
            _tell_limits(response, spent.limiter, spent.key)
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

    def _respond(
        self, request: AnyRequest, route: Route, answer: Answer | Replay, call: Call
    ) -> HTTPResponse:
        if isinstance(answer, Replay):
            response = raw(answer.body, status=answer.status, content_type="application/json")
            response.headers["Idempotent-Replayed"] = "true"
            return response
        if answer.download is not None:
            file = answer.download
            return raw(file.content, headers=dict(file.headers), content_type=file.media_type)
        body = self._answers[route.name].dump_json(answer.value)
        if route.method == "GET":
            tag: str | None = entity_tags.tag_of_read(answer.value, body)
            if tag and entity_tags.read_already(request.headers.get("if-none-match"), tag):
                return empty(status=304, headers={"ETag": tag})
        else:
            tag = entity_tags.tag_of_command(answer.value)
        response = raw(body, status=route.status, content_type="application/json")
        if tag is not None:
            response.headers["ETag"] = tag
        if call.idempotency_key is not None and getattr(answer.value, "repeated", False):
            response.headers["Idempotent-Replayed"] = "true"
        if answer.started is not None:
            browser.set_session_cookie(response, answer.started.token, deps=self._desk.deps)
        if answer.ended:
            browser.drop_session_cookie(response, deps=self._desk.deps)
        return response

    async def _call(
        self, request: AnyRequest, route: Route, ids: dict[str, str], spent: _Spent
    ) -> Call:
        token, by_cookie = browser.session_token(request, deps=self._desk.deps)
        who = await self._let_in(request, route, token, by_cookie=by_cookie, spent=spent)
        reads_body = route.method != "GET" and not route.file_body
        body = read_body(request, route) if reads_body else None
        if_match = _if_match(request, route)
        in_body = getattr(body, "expected_version", None)
        if if_match is not None and in_body not in {None, if_match}:
            detail = "expected_version: differs from the version in If-Match; expected only one"
            raise ProblemError(Problem("invalid_value", detail, field="expected_version"))
        return Call(
            desk=self._desk,
            who=who,
            ids=read_ids(ids),
            body=body,
            query=read_query(request, route.query or NoQuery),
            token=token,
            idempotency_key=read_idempotency_key(request) if route.keyed else None,
            correlation_id=browser.correlation_id(request),
            if_match=if_match,
            upload=read_upload(request, route) if route.file_body else None,
            user_agent=request.headers.get("user-agent"),
        )

    async def _let_in(
        self,
        request: AnyRequest,
        route: Route,
        token: str | None,
        *,
        by_cookie: bool,
        spent: _Spent,
    ) -> LoggedIn | None:
        address = browser.client_address(request)
        if route.needs is None:
            self._spend(self._login, address, spent)
            if browser.foreign_origin(request, deps=self._desk.deps):
                raise ProblemError(Problem("csrf_failed", "the request comes from another site"))
            return None
        who = None if token is None else await self._recognise(token, by_cookie=by_cookie)
        if who is None:
            self._spend(self._anonymous, address, spent)
            detail = "expected a valid `Authorization: Bearer` token or session cookie"
            raise ProblemError(Problem("unauthenticated", detail))
        self._spend(self._session, who.limit_key, spent)
        if route.needs not in who.permissions:
            roles = ", ".join(role.value for role in roles_with(route.needs))
            have = who.role.value if who.token_id is None else "an API token without this scope"
            detail = f"expected {route.needs.value} (roles: {roles}), you are {have}"
            raise ProblemError(Problem("role_not_allowed", detail))
        if route.session_only and who.token_id is not None:
            detail = "expected the login of a person (POST /login), not an API token"
            raise ProblemError(Problem("session_needed", detail))
        if by_cookie and request.method != "GET":
            self._check_csrf(request, who)
        return who

    async def _recognise(self, token: str, *, by_cookie: bool) -> LoggedIn | None:
        """A login, or an API token; API tokens are no cookies."""
        if token.startswith(TOKEN_PREFIX):
            return None if by_cookie else await self._desk.tokens.recognise(token)
        return await self._desk.sessions.recognise(token)

    def _check_csrf(self, request: AnyRequest, who: LoggedIn) -> None:
        given = request.headers.get(browser.CSRF_HEADER)
        if not browser.same_secret(given, who.csrf_token) or browser.foreign_origin(
            request, deps=self._desk.deps
        ):
            detail = f"expected the session's csrf_token (GET /me) in {browser.CSRF_HEADER}"
            raise ProblemError(Problem("csrf_failed", detail, field=browser.CSRF_HEADER))

    def _spend(self, limiter: RateLimiter, key: str, spent: _Spent) -> None:
        spent.limiter, spent.key = limiter, key
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


def _if_match(request: AnyRequest, route: Route) -> int | None:
    """The version that a command on a ticket is meant for."""
    if route.method == "GET" or "{ticket_id}" not in route.path:
        return None
    return entity_tags.wanted_version(request.headers.get("if-match"))


def _precondition(request: AnyRequest, error: Exception) -> Exception:
    """A version conflict is a failed precondition when the version came with `If-Match`."""
    if not isinstance(error, VersionConflictError) or "if-match" not in request.headers:
        return error
    conflict = problem_of(error)
    extra = None if conflict is None else conflict.extra
    problem = Problem("precondition_failed", str(error), field="If-Match", extra=extra)
    return ProblemError(problem)


def _tell_limits(response: HTTPResponse, limiter: RateLimiter, key: str) -> None:
    """How much may be asked, how much is left, and when all of it is back.

    **Source:** IETF draft httpapi-ratelimit-headers-06, the last one with a header for each number.
    """
    standing = limiter.standing(key)
    response.headers["RateLimit-Policy"] = limiter.policy
    response.headers["RateLimit-Limit"] = str(standing.limit)
    response.headers["RateLimit-Remaining"] = str(standing.remaining)
    response.headers["RateLimit-Reset"] = str(whole_seconds(standing.reset_after))
