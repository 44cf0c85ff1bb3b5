"""The console's Sanic blueprint: pages for people at /console.

Every write is a form with a CSRF token and ends in a redirect, so that a reload repeats nothing. A
refused write shows the page again with what was typed and why it was refused.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import structlog
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty, html, raw, redirect

from kit.ids import new_token
from ticketing.console import people, quality, routing, runbook, sla, texts, work
from ticketing.console.forms import ACTIONS, Form
from ticketing.console.pages import Pages, StaticFile, Visit, static_files
from ticketing.domain.enums import EnumT, Level, Priority, Severity, SlaState, TicketStatus
from ticketing.domain.permissions import Permission
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.desk import Desk
from ticketing.http.problems import Problem, ProblemError, problem_of
from ticketing.http.rate_limit import ANONYMOUS, LOGIN, SESSION, RateLimiter, whole_seconds
from ticketing.services import agents, attachments, reviews, ticket_list, views
from ticketing.services.reviews import Judgement
from ticketing.services.sessions import LoggedIn
from ticketing.services.ticket_list import InvalidCursorError, Sort, TicketFilter
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.tickets import Order

__all__ = ["Deps", "create_blueprints"]

log = structlog.get_logger()

AnyRequest = Request[Any, Any]
Page = Callable[["_Console", AnyRequest, Visit], Awaitable[HTTPResponse]]

LANGUAGE_COOKIE = "ponte_language"
MAX_FORM = 64 * 1024  # bytes
_YEAR = 365 * 24 * 3600  # seconds
_TABS = ("waiting", "mine", "open", "all")
_FILTERS = ("text", "priority", "severity", "level", "queue", "sla", "status", "cursor")
_MAX_FILTER = 400  # characters; the longest is a cursor


def create_blueprints(
    deps: Deps, *, further: tuple[tuple[str, str, str, Page], ...] = ()
) -> list[Blueprint]:
    """The blueprints of `/console`; each call makes new ones with their own limits.

    Args:
        deps: What the pages work with.
        further: Pages of packages that this one may not know: method, path, name, page.
    """
    console = _Console(deps)
    blueprint = Blueprint("console")
    for method, path, name, page in (
        ("GET", "/console", "list", _list),
        ("GET", "/console/rows", "rows", _rows),
        ("GET", "/console/login", "login", _login_page),
        ("POST", "/console/login", "log_in", _log_in),
        ("POST", "/console/logout", "log_out", _log_out),
        ("GET", "/console/tickets/<ticket_id:str>", "ticket", _ticket),
        ("GET", "/console/tickets/<ticket_id:str>/conversation", "conversation", _conversation),
        ("POST", "/console/tickets/<ticket_id:str>/<action:str>", "act", _act),
        *people.PAGES,
        *runbook.PAGES,
        *work.PAGES,
        *quality.PAGES,
        *routing.PAGES,
        *further,
        ("GET", "/console/<rest:path>", "unknown", _unknown),
    ):
        blueprint.add_route(
            console.serving(page), path, methods=(method,), name=name, strict_slashes=False
        )
    blueprint.add_route(
        console.static, "/console/static/<version:str>/<name:str>", methods=("GET",), name="static"
    )

    async def harden(_request: AnyRequest, response: HTTPResponse) -> None:
        browser.harden(response, policy=browser.PAGE_POLICY, deps=deps)

    blueprint.middleware(harden, "response")
    return [blueprint]


class _Console:
    """What the pages share."""

    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.desk = Desk.of(deps)
        self.files: dict[str, StaticFile] = static_files()
        self.pages = Pages(deps, self.files)
        self.logins = RateLimiter(LOGIN)
        self.visits = RateLimiter(SESSION)
        self.strangers = RateLimiter(ANONYMOUS)

    def serving(self, page: Page) -> Callable[..., Coroutine[Any, Any, HTTPResponse]]:
        """The page as a Sanic handler: who, which language, and no exception gets out."""

        async def handler(request: AnyRequest, **_ids: str) -> HTTPResponse:
            visit = await self._visit(request)
            try:
                self._spend(self.visits if visit.who else self.strangers, _key(request, visit))
                response = await page(self, request, visit)
            except Exception as error:  # noqa: BLE001 - the edge: everything becomes a page
                response = self.failed(request, visit, error)
            _remember_language(request, response, deps=self.deps)
            response.headers["X-Correlation-Id"] = browser.correlation_id(request)
            return response

        return handler

    async def static(self, request: AnyRequest, version: str, name: str) -> HTTPResponse:
        """A file of `static/`; its address holds its hash, so it may be kept for ever."""
        del request
        found = self.files.get(name)
        if found is None:
            return empty(status=404)
        fresh = version == found.version
        cache = "public, max-age=31536000, immutable" if fresh else "no-cache"
        return raw(found.body, content_type=found.content_type, headers={"Cache-Control": cache})

    async def _visit(self, request: AnyRequest) -> Visit:
        token = browser.session_cookie(request, deps=self.deps)
        who = None if token is None else await self.desk.sessions.recognise(token)
        language = texts.choose_language(
            asked=request.args.get("lang"),
            kept=request.cookies.get(LANGUAGE_COOKIE),
            accepted=request.headers.get("accept-language", ""),
        )
        bound = request.cookies.get(browser.cookie_name(browser.LOGIN_COOKIE, deps=self.deps))
        csrf = who.csrf_token if who else (bound or new_token())
        return Visit(language=language, who=who, csrf=csrf, notice=None)

    def allowed(self, visit: Visit, needs: Permission) -> LoggedIn:
        """Who is logged in, when they may.

        Raises:
            ProblemError: when their role may not.
        """
        return _allowed(visit, needs)

    def bind_login(self, response: HTTPResponse, visit: Visit) -> None:
        """Bind a form that needs no login to this browser."""
        _bind_login(response, visit, deps=self.deps)

    def limit_login(self, request: AnyRequest) -> None:
        """Slow down guessing from one address."""
        self._spend(self.logins, browser.client_address(request))

    def check_form(
        self, request: AnyRequest, visit: Visit, *, max_bytes: int = MAX_FORM
    ) -> dict[str, str]:
        """The form's fields, when the form is one of our own pages'.

        Raises:
            ProblemError: when it does not prove that, or is too large.
        """
        if len(request.body) > max_bytes:
            raise ProblemError(Problem("too_large", "the form is too large"))
        fields = {name: str(values[0]) for name, values in (request.form or {}).items() if values}
        if not browser.same_secret(fields.get("csrf"), visit.csrf) or browser.foreign_origin(
            request, deps=self.deps
        ):
            raise ProblemError(Problem("csrf_failed", "the form's token is missing or old"))
        return fields

    def _spend(self, limiter: RateLimiter, key: str) -> None:
        wait = limiter.spend(key, now=self.deps.clock.now())
        if wait is not None:
            seconds = whole_seconds(wait)
            raise ProblemError(
                Problem("rate_limited", f"try again in {seconds} s", retry_after=seconds)
            )

    def failed(self, request: AnyRequest, visit: Visit, error: Exception) -> HTTPResponse:
        """The error's page, or the way to the login."""
        if isinstance(error, _LoginNeededError):
            if request.path.endswith(("/rows", "/conversation")):
                return empty(status=401)
            wanted = request.path if request.method == "GET" else "/console"
            return redirect(f"/console/login?next={wanted}", status=303)
        problem, words = self.words_for(request, visit, error)
        response = html(self.pages.error(_with(visit, problem=words)), status=problem.status)
        if problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    def words_for(self, request: AnyRequest, visit: Visit, error: Exception) -> tuple[Problem, str]:
        """The problem behind an error, and how the visitor reads it."""
        problem = problem_of(error)
        if problem is None:
            log.error("console.failed", error_type=type(error).__name__, exc_info=error)
            problem = Problem("internal_error", "")
        key = f"error.{problem.code}"
        if not texts.has(visit.language, key):
            return problem, self.pages.say(visit, "error.other")
        field = f"field.{problem.field}"
        name = self.pages.say(visit, field) if texts.has(visit.language, field) else problem.field
        return problem, self.pages.say(
            visit, key, field=name or "-", correlation_id=browser.correlation_id(request)
        )


class _LoginNeededError(Exception):
    """This page is for people who are logged in."""


def _key(request: AnyRequest, visit: Visit) -> str:
    return str(visit.who.agent_id) if visit.who else browser.client_address(request)


def _logged_in(visit: Visit) -> LoggedIn:
    if visit.who is None:
        raise _LoginNeededError
    return visit.who


def _allowed(visit: Visit, needs: Permission) -> LoggedIn:
    who = _logged_in(visit)
    if needs not in who.permissions:
        raise ProblemError(Problem("role_not_allowed", f"expected {needs.value}"))
    return who


def _with(visit: Visit, *, notice: str | None = None, problem: str | None = None) -> Visit:
    return Visit(visit.language, visit.who, visit.csrf, notice=notice, problem=problem)


async def _login_page(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    if visit.who is not None:
        return redirect("/console", status=303)
    if request.args.get("done") == "password":
        visit = _with(visit, notice=console.pages.say(visit, "done.password"))
    response = html(
        console.pages.login(visit, email="", next_url=_own_path(request.args.get("next")))
    )
    _bind_login(response, visit, deps=console.deps)
    return response


async def _log_in(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    email, target = "", "/console"
    try:
        console.limit_login(request)
        fields = console.check_form(request, visit)
        email, target = fields.get("email", "")[:254], _own_path(fields.get("next"))
        started = await console.desk.sessions.log_in(
            # NUL and the like match nobody, and the database would refuse them.
            email="".join(part for part in email if part.isprintable()),
            password=fields.get("password", ""),
            replaces=browser.session_cookie(request, deps=console.deps),
            user_agent=request.headers.get("user-agent"),
            correlation_id=browser.correlation_id(request),
        )
    except Exception as error:  # noqa: BLE001 - shown above the form
        problem, words = console.words_for(request, visit, error)
        page = console.pages.login(_with(visit, problem=words), email=email, next_url=target)
        response = html(page, status=problem.status)
        _bind_login(response, visit, deps=console.deps)
        return response
    response = redirect(target, status=303)
    browser.set_session_cookie(response, started.token, deps=console.deps)
    return response


async def _log_out(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    _logged_in(visit)
    console.check_form(request, visit)
    token = browser.session_cookie(request, deps=console.deps)
    if token is not None:
        await console.desk.sessions.log_out(token)
    response = redirect("/console/login", status=303)
    browser.drop_session_cookie(response, deps=console.deps)
    return response


async def _list(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    if Permission.TICKETS_READ not in _logged_in(visit).permissions:
        return redirect("/console/account", status=303)  # the first page of who has no tickets
    return html(console.pages.tickets(visit, **await _list_facts(console, request, visit)))


async def _rows(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    facts = await _list_facts(console, request, visit)
    return _unless_known(request, console.pages.tickets(visit, rows_only=True, **facts))


async def _list_facts(console: _Console, request: AnyRequest, visit: Visit) -> dict[str, Any]:
    who = _allowed(visit, Permission.TICKETS_READ)
    tab = request.args.get("tab", "waiting")
    tab = tab if tab in _TABS else "waiting"
    chosen = {name: (request.args.get(name) or "")[:_MAX_FILTER] for name in _FILTERS}
    chosen["text"] = "".join(part for part in chosen["text"] if part.isprintable())
    wanted = TicketFilter(
        statuses=_member(TicketStatus, chosen["status"]) if tab == "all" else (),
        priorities=_member(Priority, chosen["priority"]),
        severities=_member(Severity, chosen["severity"]),
        levels=_member(Level, chosen["level"]),
        sla=_member(SlaState, chosen["sla"]),
        queues=(chosen["queue"],) if chosen["queue"].isprintable() and chosen["queue"] else (),
        agent_id=who.agent_id if tab == "mine" else None,
        unassigned=tab == "waiting",
        open_only=tab != "all",
        text=chosen["text"] or None,
    )
    sort = Sort.NEWEST if tab == "all" else Sort.URGENCY
    async with console.deps.db.transaction() as session:
        try:
            page = await ticket_list.list_tickets(
                session, actor=who.actor, wanted=wanted, sort=sort, cursor=chosen["cursor"] or None
            )
        except InvalidCursorError:  # an old address: the first page is the useful answer
            chosen["cursor"] = ""
            page = await ticket_list.list_tickets(
                session, actor=who.actor, wanted=wanted, sort=sort
            )
        counts = await ticket_list.desk_counts(session, actor=who.actor)
        queues = await ticket_list.list_queues(session, actor=who.actor)
    return {"tab": tab, "page": page, "counts": counts, "queues": queues, "chosen": chosen}


def _member(enum: type[EnumT], value: str) -> tuple[EnumT, ...]:
    """The member, or none: a filter of the address bar that does not exist filters nothing."""
    try:
        return (enum(value),)
    except ValueError:
        return ()


async def _ticket(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    done = f"done.{request.args.get('done')}"
    notice = console.pages.say(visit, done) if texts.has(visit.language, done) else None
    return await _ticket_page(console, request, _with(visit, notice=notice))


async def _ticket_page(
    console: _Console,
    request: AnyRequest,
    visit: Visit,
    *,
    status: int = 200,
    typed: dict[str, str] | None = None,
) -> HTTPResponse:
    who = _allowed(visit, Permission.TICKETS_READ)
    async with console.deps.db.transaction() as session:
        detail = await views.ticket_detail(session, _ticket_id(request), actor=who.actor)
        queues = await ticket_list.list_queues(session, actor=who.actor)
        colleagues = await agents.list_agents(session) if who.actor.supervises else ()
        files = await attachments.attachments_of(session, detail.ticket.id)
        review = await reviews.own_review(session, detail.ticket.id, actor=who.actor)
        promises = await sla.load_panel(session, detail.ticket.id, now=console.deps.clock.now())
        panel = await runbook.load_panel(
            console.deps,
            session,
            detail.ticket.id,
            actor=who.actor,
            language=visit.language,
            template=(typed or {}).get("template") or request.args.get("template"),
        )
    page = console.pages.ticket(
        visit,
        detail,
        queues=queues,
        agents=colleagues,
        typed=typed or {},
        review=review,
        panel=panel,
        promises=promises,
        files=files,
    )
    return html(page, status=status)


async def _conversation(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    who = _allowed(visit, Permission.TICKETS_READ)
    async with console.deps.db.transaction() as session:
        detail = await views.ticket_detail(session, _ticket_id(request), actor=who.actor)
    return _unless_known(request, console.pages.conversation(visit, detail))


async def _act(console: _Console, request: AnyRequest, visit: Visit) -> HTTPResponse:
    who = _allowed(visit, Permission.TICKETS_WRITE)
    action = request.match_info["action"]
    act = ACTIONS.get(action) or work.ACTIONS.get(action)
    if act is None:
        raise ProblemError(Problem("not_found", "there is no such action"))
    ticket_id = _ticket_id(request)
    fields: dict[str, str] = {}
    try:
        fields = console.check_form(request, visit)
        async with console.deps.db.transaction() as session:
            detail = await views.ticket_detail(session, ticket_id, actor=who.actor)
            queues = await ticket_list.list_queues(session, actor=who.actor)
        order = Order(
            actor=who.actor,
            ticket_id=ticket_id,
            correlation_id=browser.correlation_id(request),
            expected_version=_version(fields.get("expected_version")),
        )
        levels = {queue.key: queue.level for queue in queues}
        judge = _judging(console, order)
        prepare = runbook.preparing(console.deps, order)
        await act(Form(console.desk.tickets, order, detail.ticket, levels, fields, judge, prepare))
    except TicketNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - shown on the ticket's page, with what was typed
        problem, words = console.words_for(request, visit, error)
        typed = {action: fields.get("text", ""), "template": fields.get("template", "")}
        return await _ticket_page(
            console, request, _with(visit, problem=words), status=problem.status, typed=typed
        )
    sees_all = who.actor.supervises_all or who.actor.queue_ids is None
    leaves = action == "escalate" and not sees_all
    # After handing a ticket to a foreign queue its page is no longer theirs to see.
    target = "/console" if leaves else f"/console/tickets/{ticket_id}?done={action}"
    return redirect(target, status=303)


def _judging(console: _Console, order: Order) -> Callable[[Judgement], Awaitable[object]]:
    async def judge(judgement: Judgement) -> object:
        async with console.deps.db.transaction() as session:
            return await reviews.review_ticket(
                session,
                order.ticket_id,
                judgement,
                actor=order.actor,
                policy=console.deps.policy.current(),
                now=console.deps.clock.now(),
                correlation_id=order.correlation_id,
            )

    return judge


async def _unknown(_console: _Console, _request: AnyRequest, visit: Visit) -> HTTPResponse:
    _logged_in(visit)
    raise ProblemError(Problem("not_found", "there is no such page"))


def _ticket_id(request: AnyRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.match_info["ticket_id"])
    except ValueError as error:
        raise ProblemError(Problem("ticket_not_found", "expected a ticket's id")) from error


def _version(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() else None


def _own_path(value: str | None) -> str:
    """A path of the console to go to after the login; never another site."""
    if value is None:
        return "/console"
    parts = urlsplit(value)
    own = not parts.scheme and not parts.netloc and parts.path.startswith("/console")
    return value if own and value.isprintable() and "\\" not in value else "/console"


def _unless_known(request: AnyRequest, page: str) -> HTTPResponse:
    """The part of a page, or 304 when the browser has this very part."""
    tag = f'"{hashlib.sha256(page.encode()).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return empty(status=304, headers=headers)
    return html(page, headers=headers)


def _bind_login(response: HTTPResponse, visit: Visit, *, deps: Deps) -> None:
    response.add_cookie(
        browser.cookie_name(browser.LOGIN_COOKIE, deps=deps),
        visit.csrf,
        path="/",  # the prefix __Host- wants it
        httponly=True,
        samesite="Strict",
        secure=deps.secure_cookies,
    )


def _remember_language(request: AnyRequest, response: HTTPResponse, *, deps: Deps) -> None:
    asked = request.args.get("lang")
    if asked in texts.LANGUAGES:
        response.add_cookie(
            LANGUAGE_COOKIE,
            asked,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=deps.secure_cookies,
            max_age=_YEAR,
        )
