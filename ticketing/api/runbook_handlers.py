"""Runbooks over the API: what they say, ticks on tickets, texts to send."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.api.calls import Answer, Call
from ticketing.domain.enums import TicketStatus
from ticketing.domain.runbook import MarkKind, ReplyText, Runbook, in_language
from ticketing.domain.runbook_render import variables_in
from ticketing.http.runbook_schemas import LanguageQuery, OffersQuery
from ticketing.services import runbook_replies, runbook_views
from ticketing.services.runbook_replies import Desk as ReplyDesk
from ticketing.services.runbooks import Marking, RunbookService


@dataclass(frozen=True, slots=True)
class FitView:
    """Which tickets something is for; an empty list admits all."""

    level: tuple[str, ...]
    intent: tuple[str, ...]
    queue: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepText:
    """A step as it stands in the file."""

    step: str
    text: str
    obligatory: bool
    reply: str | None


@dataclass(frozen=True, slots=True)
class TextView:
    """A text for customers as it stands in the file, with its variables.

    `closed_window` is the WhatsApp template that leaves when free text is not taken.
    """

    template: str
    name: str
    text: str
    variables: tuple[str, ...]
    fit: FitView
    closed_window: str | None


@dataclass(frozen=True, slots=True)
class RunbookText:
    """A runbook as it stands in its file."""

    runbook: str
    version: str
    name: str
    fit: FitView
    demands_steps: bool
    steps: tuple[StepText, ...]
    templates: tuple[TextView, ...]


@dataclass(frozen=True, slots=True)
class Runbooks:
    """All runbooks in force, by name."""

    runbooks: tuple[RunbookText, ...]


async def list_runbooks(call: Call) -> Answer:
    """GET /runbooks."""
    query: LanguageQuery = call.query
    book = call.desk.deps.runbooks.current()
    return Answer(Runbooks(tuple(_text(one, query.language) for one in book.runbooks)))


async def get_ticket_runbook(call: Call) -> Answer:
    """GET /tickets/{ticket_id}/runbook."""
    query: LanguageQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        found = await runbook_views.ticket_runbook(
            session,
            call.ids["ticket_id"],
            actor=call.actor,
            book=call.desk.deps.runbooks.current(),
            language=query.language,
        )
    return Answer(found)


async def tick_step(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/runbook/tick."""
    return await _mark(call, MarkKind.TICKED)


async def untick_step(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/runbook/untick."""
    return await _mark(call, MarkKind.UNTICKED)


async def note_step(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/runbook/notes."""
    return await _mark(call, MarkKind.NOTED)


async def list_templates(call: Call) -> Answer:
    """GET /tickets/{ticket_id}/templates."""
    query: OffersQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        offers = await runbook_replies.reply_offers(
            session,
            call.ids["ticket_id"],
            actor=call.actor,
            desk=_desk(call),
            language=query.language,
        )
    return Answer(offers)


async def reply_with_template(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/template-reply."""
    body = call.body
    async with call.desk.deps.db.transaction() as session:
        prepared = await runbook_replies.prepare_reply(
            session,
            call.ids["ticket_id"],
            template=body.template,
            actor=call.actor,
            desk=_desk(call),
            text=body.text,
            language=body.language,
        )
    done = await call.desk.tickets.reply(
        call.order,
        text=prepared.text,
        status=TicketStatus(body.status),
        idempotency_key=call.idempotency_key,
        prepared=prepared,
    )
    return Answer(done)


async def _mark(call: Call, kind: MarkKind) -> Answer:
    deps, body = call.desk.deps, call.body
    service = RunbookService(deps.db, deps.clock, deps.runbooks.current)
    marking = Marking(kind, body.step, note=body.note, runbook=body.runbook, version=body.version)
    return Answer(await service.mark(call.order, marking))


def _desk(call: Call) -> ReplyDesk:
    deps = call.desk.deps
    return ReplyDesk(
        book=deps.runbooks.current(),
        policy=deps.policy.current(),
        now=deps.clock.now(),
        zone=deps.time_zone,
    )


def _text(runbook: Runbook, language: str) -> RunbookText:
    return RunbookText(
        runbook=runbook.key,
        version=runbook.version,
        name=in_language(runbook.names, language),
        fit=FitView(runbook.fit.levels, runbook.fit.intents, runbook.fit.queues),
        demands_steps=runbook.demands_steps,
        steps=tuple(
            StepText(step.key, in_language(step.texts, language), step.obligatory, step.reply)
            for step in runbook.steps
        ),
        templates=tuple(_reply(reply, language) for reply in runbook.replies),
    )


def _reply(reply: ReplyText, language: str) -> TextView:
    text = in_language(reply.texts, language)
    return TextView(
        template=reply.key,
        name=in_language(reply.names, language),
        text=text,
        variables=variables_in(text),
        fit=FitView(reply.fit.levels, reply.fit.intents, reply.fit.queues),
        closed_window=None if reply.closed_window is None else reply.closed_window.name,
    )
