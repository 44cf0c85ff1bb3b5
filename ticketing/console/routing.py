"""Pages of the router: one's own presence, the queues as they stand, and "give me the next one"."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from sanic import HTTPResponse, Request
from sanic.response import empty, html, redirect

from ticketing.console.pages import Pages, Visit
from ticketing.domain.enums import PresenceState, parse
from ticketing.domain.permissions import Permission
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.problems import Problem
from ticketing.services import presence, routing_claim, routing_views
from ticketing.services.presence import PresenceView
from ticketing.services.sessions import LoggedIn

AnyRequest = Request[Any, Any]


class Host(Protocol):
    """What the console shares with its pages."""

    deps: Deps
    pages: Pages

    def check_form(self, request: AnyRequest, visit: Visit) -> dict[str, str]:
        """The form's fields, when the form is one of our own pages'."""
        ...

    def words_for(self, request: AnyRequest, visit: Visit, error: Exception) -> tuple[Problem, str]:
        """The problem behind an error, and how the visitor reads it."""
        ...

    def allowed(self, visit: Visit, needs: Permission) -> LoggedIn:
        """Who is logged in, when they may."""
        ...


async def presence_box(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/presence: the toggle; every page asks for it now and then: the heartbeat."""
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    deps = console.deps
    async with deps.db.transaction() as session:
        mine = await presence.heartbeat(session, who.agent_id, now=deps.clock.now())
    page = console.pages.page("presence.html", visit, mine=mine, states=list(PresenceState))
    tag = f'"{hashlib.sha256(page.encode()).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return empty(status=304, headers=headers)
    return html(page, headers=headers)


async def set_presence(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/presence: say whether one is there; back to the page one came from."""
    who = console.allowed(visit, Permission.ACCOUNT_OWN)
    deps = console.deps
    fields = console.check_form(request, visit)
    state = parse(PresenceState, fields.get("state", ""), field="state")
    async with deps.db.transaction() as session:
        await presence.say(
            session,
            who.agent_id,
            state,
            actor=who.actor,
            now=deps.clock.now(),
            lease=deps.routing.presence_timeout,
        )
    return redirect(_page_before(request), status=303)


async def queues(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/queues: what waits where, and who is there for it."""
    if request.args.get("none") == "1":
        visit = replace(visit, notice=console.pages.say(visit, "queues.nothing_for_you"))
    return await _queues_page(console, visit)


async def next_ticket(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/queues: take the ticket one should serve next, and go to its page."""
    who = console.allowed(visit, Permission.TICKETS_WRITE)
    deps = console.deps
    try:
        fields = console.check_form(request, visit)
        claimed = await routing_claim.claim_next(
            deps.db,
            deps.clock,
            actor=who.actor,
            policy=deps.policy.current(),
            settings=deps.routing,
            queue=fields.get("queue") or None,
            correlation_id=browser.correlation_id(request),
        )
    except Exception as error:  # noqa: BLE001 - shown above the queues
        problem, words = console.words_for(request, visit, error)
        return await _queues_page(console, replace(visit, problem=words), status=problem.status)
    if claimed.ticket_id is None:
        return redirect("/console/queues?none=1", status=303)
    return redirect(f"/console/tickets/{claimed.ticket_id}?done=take", status=303)


async def _queues_page(console: Host, visit: Visit, *, status: int = 200) -> HTTPResponse:
    who = console.allowed(visit, Permission.QUEUES_READ)
    deps = console.deps
    now = deps.clock.now()
    async with deps.db.transaction() as session:
        mine: PresenceView = await presence.presence_of(session, who.agent_id, now=now)
        standings = await routing_views.queue_standings(
            session,
            actor=who.actor,
            policy=deps.policy.current(),
            settings=deps.routing,
            now=now,
        )
    page = console.pages.page(
        "queues.html",
        visit,
        standings=standings,
        mine=mine,
        states=list(PresenceState),
        may_take=Permission.TICKETS_WRITE in who.permissions,
        may_open=Permission.TICKETS_READ in who.permissions,
    )
    return html(page, status=status)


def _page_before(request: AnyRequest) -> str:
    """The page of the console that holds the form; nothing else that a header may name."""
    path = urlsplit(request.headers.get("referer", "")).path
    own = path.startswith("/console") and path.isprintable() and "\\" not in path
    return path if own and not path.startswith("/console/presence") else "/console/queues"


PAGES = (
    ("GET", "/console/presence", "presence", presence_box),
    ("POST", "/console/presence", "set_presence", set_presence),
    ("GET", "/console/queues", "queues", queues),
    ("POST", "/console/queues", "next_ticket", next_ticket),
)
