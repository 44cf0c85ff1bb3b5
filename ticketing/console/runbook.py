"""The runbook on a ticket's page: steps to tick, texts to send, and what leaves when it is late."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from sanic import HTTPResponse, Request
from sanic.response import redirect
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.console.pages import Visit
from ticketing.console.people import Host
from ticketing.domain.permissions import Permission
from ticketing.domain.runbook import MarkKind
from ticketing.domain.ticket import Actor
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.problems import Problem, ProblemError, problem_of_validation
from ticketing.http.runbook_schemas import StepBody, StepNoteBody
from ticketing.services import quality_views, runbook_replies, runbook_views
from ticketing.services.runbook_replies import PreparedReply, ReplyOffer, ReplyOffers
from ticketing.services.runbook_views import TicketRunbookView
from ticketing.services.runbooks import Marking, RunbookService
from ticketing.services.tickets import Order

AnyRequest = Request[Any, Any]

_KINDS = {"tick": MarkKind.TICKED, "untick": MarkKind.UNTICKED, "note": MarkKind.NOTED}
_FIELDS = ("step", "note", "runbook", "version")


@dataclass(frozen=True, slots=True)
class Panel:
    """What the ticket's page shows of runbooks and reviews.

    Attributes:
        runbook: The steps.
        offers: The texts, filled in.
        chosen: The text that was picked; it stands in the reply box.
        review_state: Where the review of this ticket stands; None: it was not sampled.
    """

    runbook: TicketRunbookView
    offers: ReplyOffers
    chosen: ReplyOffer | None
    review_state: str | None


async def load_panel(
    deps: Deps,
    session: AsyncSession,
    ticket_id: uuid.UUID,
    *,
    actor: Actor,
    language: str,
    template: str | None,
) -> Panel:
    """The panel of a ticket that the person may see."""
    book = deps.runbooks.current()
    offers = await runbook_replies.reply_offers(session, ticket_id, actor=actor, desk=_desk(deps))
    return Panel(
        runbook=await runbook_views.ticket_runbook(
            session, ticket_id, actor=actor, book=book, language=language
        ),
        offers=offers,
        chosen=next((item for item in offers.templates if item.template == template), None),
        review_state=await quality_views.review_state(session, ticket_id),
    )


def preparing(deps: Deps, order: Order) -> Callable[[str, str], Awaitable[PreparedReply]]:
    """What the reply form calls with the picked text and the words as the agent left them."""

    async def prepare(template: str, text: str) -> PreparedReply:
        async with deps.db.transaction() as session:
            return await runbook_replies.prepare_reply(
                session,
                order.ticket_id,
                template=template,
                actor=order.actor,
                desk=_desk(deps),
                text=text,
            )

    return prepare


async def mark(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/runbooks/<ticket_id>/<action>: tick, untick, note."""
    who = console.allowed(visit, Permission.TICKETS_WRITE)
    kind = _KINDS.get(request.match_info["action"])
    if kind is None:
        raise ProblemError(Problem("not_found", "there is no such action"))
    fields = console.check_form(request, visit)
    model = StepNoteBody if kind is MarkKind.NOTED else StepBody
    body: Any = _read(model, fields)
    service = RunbookService(console.deps.db, console.deps.clock, console.deps.runbooks.current)
    order = Order(
        actor=who.actor,
        ticket_id=_ticket_id(request),
        correlation_id=browser.correlation_id(request),
    )
    marking = Marking(kind, body.step, body.note, runbook=body.runbook, version=body.version)
    await service.mark(order, marking)
    return redirect(f"/console/tickets/{order.ticket_id}?done=step#runbook", status=303)


PAGES = (("POST", "/console/runbooks/<ticket_id:str>/<action:str>", "runbook_mark", mark),)


def _desk(deps: Deps) -> runbook_replies.Desk:
    return runbook_replies.Desk(
        book=deps.runbooks.current(),
        policy=deps.policy.current(),
        now=deps.clock.now(),
        zone=deps.time_zone,
    )


def _read(model: type[BaseModel], fields: dict[str, str]) -> BaseModel:
    given = {name: fields[name] for name in _FIELDS if fields.get(name, "").strip()}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ProblemError(problem_of_validation(error, known=_FIELDS)) from error


def _ticket_id(request: AnyRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.match_info["ticket_id"])
    except ValueError as error:
        raise ProblemError(Problem("ticket_not_found", "expected a ticket's id")) from error
