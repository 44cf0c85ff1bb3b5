"""Decisions with their explanation: in words, and as values for programs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.decision import Decision, DecisionError
from handoff.explain import Explained, explain, explained
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot, SnapshotError
from ticketing.db import tables
from ticketing.domain.ticket import Actor
from ticketing.services.control import ConversationNotFoundError
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.views import DecisionView
from ticketing.services.visibility import NotVisibleError, check_conversation, may_see

MAX_DECISIONS = 100
DEFAULT_DECISIONS = 20


@dataclass(frozen=True, slots=True)
class ExplainedDecision(DecisionView):
    """A decision record with its explanation.

    `text` and `explanation` are None in records that this release cannot read. What would have
    changed the outcome is told only of decisions of the policy version that is in force.
    """

    text: str | None
    explanation: Explained | None


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Decisions, oldest first. `next_cursor` leads to the ones before; None: there are none."""

    decisions: tuple[ExplainedDecision, ...]
    next_cursor: uuid.UUID | None


async def conversation_decisions(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    *,
    actor: Actor,
    policy: HandoffPolicy,
    language: str,
    limit: int = DEFAULT_DECISIONS,
    cursor: uuid.UUID | None = None,
) -> DecisionPage:
    """The newest decisions of a conversation, or those before `cursor`.

    An agent sees a conversation that has, or had, a ticket they may see.

    Raises:
        ConversationNotFoundError: when there is none.
        NotVisibleError: when it is not for this person.
    """
    if await session.get(tables.Conversation, conversation_id) is None:
        raise ConversationNotFoundError(conversation_id)
    await check_conversation(session, conversation_id, actor=actor)
    wanted = select(tables.Decision).where(tables.Decision.conversation_id == conversation_id)
    if cursor is not None:
        wanted = wanted.where(tables.Decision.id < cursor)
    wanted = wanted.order_by(tables.Decision.id.desc()).limit(limit + 1)
    rows = (await session.scalars(wanted)).all()
    shown = rows[:limit]
    return DecisionPage(
        decisions=tuple(_explained(row, policy, language) for row in reversed(shown)),
        next_cursor=shown[-1].id if len(rows) > limit else None,
    )


async def ticket_decisions(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    *,
    actor: Actor,
    policy: HandoffPolicy,
    language: str,
    limit: int = DEFAULT_DECISIONS,
    cursor: uuid.UUID | None = None,
) -> DecisionPage:
    """The decisions of a ticket's conversation; for who may see the ticket.

    Raises:
        TicketNotFoundError: when there is none.
        NotVisibleError: when it is not for this person.
    """
    ticket = await session.get(tables.Ticket, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if not may_see(ticket, actor):
        raise NotVisibleError
    return await conversation_decisions(
        session,
        ticket.conversation_id,
        actor=actor,
        policy=policy,
        language=language,
        limit=limit,
        cursor=cursor,
    )


def _explained(row: tables.Decision, policy: HandoffPolicy, language: str) -> ExplainedDecision:
    text, values = None, None
    try:
        decision = Decision.from_json(row.decision)
        snapshot = ConversationSnapshot.from_json(row.snapshot)
    except (DecisionError, SnapshotError):
        pass  # of another release; the stored document is shown all the same
    else:
        text = explain(decision, snapshot, language, policy=policy)
        values = explained(decision, snapshot, policy=policy)
    stored = {item.name: getattr(row, item.name) for item in fields(DecisionView)}
    return ExplainedDecision(**stored, text=text, explanation=values)
