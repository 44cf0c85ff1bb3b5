"""The runbook of a ticket as people read it: steps, who ticked them, and what was noted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.review_tables import HandoffReview
from ticketing.db.runbook_tables import RunbookMark, RunbookVersion, TicketRunbook
from ticketing.db.tables import Agent, Handoff, Queue, Ticket
from ticketing.domain.runbook import (
    Fit,
    Mark,
    MarkKind,
    Runbook,
    RunbookBook,
    Situation,
    Step,
    in_language,
    missing_steps,
    ticked,
)
from ticketing.domain.ticket import Actor
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.visibility import NotVisibleError, may_see


@dataclass(frozen=True, slots=True)
class MarkView:
    """A tick, untick or note. `note` is what was written with it."""

    kind: str
    note: str | None
    agent_id: uuid.UUID | None
    agent_name: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a ticket's runbook. `reply` names the text that goes with it."""

    step: str
    text: str
    obligatory: bool
    reply: str | None
    ticked: bool
    ticked_by: str | None
    ticked_at: datetime | None
    marks: tuple[MarkView, ...]
    """Everything that was said of it, oldest first."""


@dataclass(frozen=True, slots=True)
class RunbookView:
    """A runbook on a ticket.

    `demands_steps` says that the ticket is only resolved when `missing` is empty. `changed` says
    that the file has another version by now; the ticket goes on with this one.
    """

    runbook: str
    version: str
    name: str
    demands_steps: bool
    steps: tuple[StepView, ...]
    missing: tuple[str, ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class TicketRunbookView:
    """The runbook that a ticket has now, and those of earlier levels that were worked by.

    `runbook` is None when none fits. `intent` is what the choice was made by: what an agent marked
    as the true one, else what the bot understood.
    """

    ticket_id: uuid.UUID
    level: str
    queue: str
    intent: str | None
    runbook: RunbookView | None
    earlier: tuple[RunbookView, ...]


async def ticket_runbook(
    session: AsyncSession, ticket_id: uuid.UUID, *, actor: Actor, book: RunbookBook, language: str
) -> TicketRunbookView:
    """The runbooks of a ticket.

    Raises:
        TicketNotFoundError: there is no such ticket.
        NotVisibleError: it is not for this person.
    """
    ticket = await visible_ticket(session, ticket_id, actor=actor)
    situation = await situation_of(session, ticket)
    pinned = await pinned_runbooks(session, ticket_id)
    marks = await _marks(session, ticket_id)
    present = book.for_ticket(situation)
    shown = None
    if present is not None:
        kept = pinned.pop(present.key, present)
        changed = kept.version != present.version
        shown = _view(kept, marks.get(kept.key, ()), language=language, changed=changed)
    return TicketRunbookView(
        ticket_id=ticket_id,
        level=situation.level,
        queue=situation.queue,
        intent=situation.intent,
        runbook=shown,
        earlier=tuple(
            _view(runbook, marks.get(key, ()), language=language, changed=False)
            for key, runbook in pinned.items()
        ),
    )


async def visible_ticket(session: AsyncSession, ticket_id: uuid.UUID, *, actor: Actor) -> Ticket:
    """The ticket, if this person may see it.

    Raises:
        TicketNotFoundError: there is no such ticket.
        NotVisibleError: it is not for this person.
    """
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if not may_see(ticket, actor):
        raise NotVisibleError
    return ticket


async def situation_of(session: AsyncSession, ticket: Ticket) -> Situation:
    """What decides which runbook the ticket gets."""
    queue = await session.get_one(Queue, ticket.queue_id)
    corrected = await session.scalar(
        select(HandoffReview.true_intent)
        .where(HandoffReview.ticket_id == ticket.id, HandoffReview.true_intent.is_not(None))
        .order_by(HandoffReview.at.desc(), HandoffReview.id.desc())
        .limit(1)
    )
    understood = await session.scalar(
        select(Handoff.evidence["intent"].astext)
        # A handoff by reopening has no intent of its own; the one before tells what it is about.
        .where(Handoff.ticket_id == ticket.id, Handoff.evidence["intent"].astext.is_not(None))
        .order_by(Handoff.id.desc())
        .limit(1)
    )
    return Situation(level=ticket.level, intent=corrected or understood, queue=queue.key)


async def pinned_runbooks(session: AsyncSession, ticket_id: uuid.UUID) -> dict[str, Runbook]:
    """The versions this ticket was worked by so far, by runbook, in the order of their first mark.

    They hold what marks refer to: no texts for customers, no conditions.
    """
    rows = await session.execute(
        select(TicketRunbook.runbook, TicketRunbook.version, RunbookVersion.document)
        .join(
            RunbookVersion,
            (RunbookVersion.runbook == TicketRunbook.runbook)
            & (RunbookVersion.version == TicketRunbook.version),
        )
        .where(TicketRunbook.ticket_id == ticket_id)
        .order_by(TicketRunbook.pinned_at, TicketRunbook.runbook)
    )
    return {row.runbook: _runbook(row.runbook, row.version, row.document) for row in rows}


async def marks_of(session: AsyncSession, ticket_id: uuid.UUID, *, runbook: str) -> list[Mark]:
    """The marks of a ticket and runbook, oldest first."""
    rows = await session.execute(
        select(RunbookMark.step, RunbookMark.kind)
        .where(RunbookMark.ticket_id == ticket_id, RunbookMark.runbook == runbook)
        .order_by(RunbookMark.seq)
    )
    return [Mark(row.step, MarkKind(row.kind)) for row in rows]


def document_of(runbook: Runbook) -> dict[str, Any]:
    """What is kept of a version, as JSON."""
    return {
        "names": dict(runbook.names),
        "demands_steps": runbook.demands_steps,
        "steps": [
            {
                "step": step.key,
                "texts": dict(step.texts),
                "obligatory": step.obligatory,
                "reply": step.reply,
            }
            for step in runbook.steps
        ],
    }


def _runbook(key: str, version: str, document: dict[str, Any]) -> Runbook:
    steps = tuple(
        Step(item["step"], item["texts"], item["obligatory"], item["reply"])
        for item in document["steps"]
    )
    return Runbook(
        key, version, document["names"], Fit(), document["demands_steps"], steps, replies=()
    )


_Marked = tuple[str, MarkView]


async def _marks(session: AsyncSession, ticket_id: uuid.UUID) -> dict[str, list[_Marked]]:
    """(step, mark) by runbook, oldest first."""
    rows = await session.execute(
        select(RunbookMark, Agent.name)
        .outerjoin(Agent, Agent.id == RunbookMark.agent_id)
        .where(RunbookMark.ticket_id == ticket_id)
        .order_by(RunbookMark.seq)
    )
    found: dict[str, list[_Marked]] = {}
    for row, agent_name in rows:
        mark = MarkView(row.kind, row.note, row.agent_id, agent_name, row.at)
        found.setdefault(row.runbook, []).append((row.step, mark))
    return found


def _view(
    runbook: Runbook, marked: Sequence[_Marked], *, language: str, changed: bool
) -> RunbookView:
    marks = [Mark(step, MarkKind(mark.kind)) for step, mark in marked]
    done = ticked(marks)
    return RunbookView(
        runbook=runbook.key,
        version=runbook.version,
        name=in_language(runbook.names, language),
        demands_steps=runbook.demands_steps,
        steps=tuple(
            _step(step, [mark for key, mark in marked if key == step.key], done, language)
            for step in runbook.steps
        ),
        missing=tuple(step.key for step in missing_steps(runbook, marks)),
        changed=changed,
    )


def _step(step: Step, marks: Sequence[MarkView], done: frozenset[str], language: str) -> StepView:
    is_done = step.key in done
    ticks = [mark for mark in marks if mark.kind == MarkKind.TICKED]
    last = ticks[-1] if is_done else None
    return StepView(
        step=step.key,
        text=in_language(step.texts, language),
        obligatory=step.obligatory,
        reply=step.reply,
        ticked=is_done,
        ticked_by=None if last is None else last.agent_name,
        ticked_at=None if last is None else last.at,
        marks=tuple(marks),
    )
