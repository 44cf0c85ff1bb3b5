"""Agents mark decisions right or wrong. The marks measure the rules and teach the bot."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy
from kit.ids import new_id
from ticketing.db.review_tables import HandoffReview
from ticketing.db.tables import Decision, Handoff, Ticket, TicketEvent
from ticketing.domain.enums import UnknownValueError
from ticketing.domain.review import ReviewRefusedError, Verdict, check_verdict
from ticketing.domain.ticket import Actor
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.views import conversation_view
from ticketing.services.visibility import NotVisibleError, may_see


class TurnNotFoundError(Exception):
    """The conversation has no decided turn with this id."""

    def __init__(self, turn_id: uuid.UUID) -> None:
        self.turn_id = turn_id
        super().__init__(f"turn {turn_id} does not exist in this conversation, or was not decided")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an agent says of a turn.

    Attributes:
        verdict: Right, needless, or too late.
        true_intent: What the customer meant, a key of `intents` in handoff.yml; None: not said.
        note: A remark for the designers.
    """

    verdict: Verdict
    true_intent: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewView:
    """An agent's mark. `repeated` says that it stood there already and nothing was written."""

    turn_id: uuid.UUID
    ticket_id: uuid.UUID | None
    agent_id: uuid.UUID
    verdict: str
    true_intent: str | None
    note: str | None
    at: datetime
    repeated: bool = False


async def review_ticket(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    judgement: Judgement,
    *,
    actor: Actor,
    policy: HandoffPolicy,
    now: datetime,
    correlation_id: str,
) -> ReviewView:
    """Mark the newest handoff of a ticket that the bot made.

    Raises:
        TicketNotFoundError: there is no such ticket.
        NotVisibleError: it is not for this person.
        ReviewRefusedError: the bot made no handoff here, or the verdict does not fit.
        UnknownValueError: no such intent.
    """
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if not may_see(ticket, actor):
        raise NotVisibleError
    decision = await _handoff_decision(session, ticket_id)
    if decision is None:
        problem = "has no handoff that the bot decided; expected a ticket that the bot opened"
        raise ReviewRefusedError(problem, field="ticket_id")
    mark = _Mark(judgement, actor, policy, now, correlation_id)
    return await _write(session, decision, mark, ticket_id=ticket_id)


async def review_turn(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    turn_id: uuid.UUID,
    judgement: Judgement,
    *,
    actor: Actor,
    policy: HandoffPolicy,
    now: datetime,
    correlation_id: str,
) -> ReviewView:
    """Mark any decided turn: also one that the bot kept and should have handed over.

    Raises:
        ConversationNotFoundError: there is no such conversation.
        NotVisibleError: it is not for this person.
        TurnNotFoundError: it has no such decided turn.
        ReviewRefusedError: the verdict does not fit what the bot did.
        UnknownValueError: no such intent.
    """
    await conversation_view(session, conversation_id, actor=actor)  # may they see it?
    decision = await session.scalar(
        select(Decision).where(
            Decision.turn_id == turn_id, Decision.conversation_id == conversation_id
        )
    )
    if decision is None:
        raise TurnNotFoundError(turn_id)
    ticket_id = await session.scalar(select(Handoff.ticket_id).where(Handoff.turn_id == turn_id))
    mark = _Mark(judgement, actor, policy, now, correlation_id)
    return await _write(session, decision, mark, ticket_id=ticket_id)


async def own_review(
    session: AsyncSession, ticket_id: uuid.UUID, *, actor: Actor
) -> ReviewView | None:
    """This person's mark on the newest handoff of a ticket; None when there is none yet."""
    decision = await _handoff_decision(session, ticket_id)
    if decision is None or actor.agent_id is None:
        return None
    row = await session.scalar(
        select(HandoffReview).where(
            HandoffReview.turn_id == decision.turn_id, HandoffReview.agent_id == actor.agent_id
        )
    )
    return None if row is None else _view(row)


@dataclass(frozen=True, slots=True)
class _Mark:
    judgement: Judgement
    actor: Actor
    policy: HandoffPolicy
    now: datetime
    correlation_id: str


async def _handoff_decision(session: AsyncSession, ticket_id: uuid.UUID) -> Decision | None:
    found: Decision | None = await session.scalar(
        select(Decision)
        .join(Handoff, Handoff.turn_id == Decision.turn_id)
        .where(Handoff.ticket_id == ticket_id)
        .order_by(Handoff.id.desc())
        .limit(1)
    )
    return found


async def _write(
    session: AsyncSession, decision: Decision, mark: _Mark, *, ticket_id: uuid.UUID | None
) -> ReviewView:
    """Insert the mark or replace this agent's earlier one; the same mark again writes nothing."""
    judgement, agent_id = mark.judgement, mark.actor.agent_id
    if agent_id is None:
        message = "a review needs a person as its author"
        raise ValueError(message)
    check_verdict(judgement.verdict, outcome=decision.outcome)
    intent = judgement.true_intent
    if intent is not None and intent not in mark.policy.intents:
        field = "true_intent"
        raise UnknownValueError(field, intent, sorted(mark.policy.intents))
    values = {
        "verdict": judgement.verdict.value,
        "true_intent": intent,
        "note": judgement.note,
        "at": mark.now,
        "correlation_id": mark.correlation_id,
    }
    inserted = await session.scalar(
        insert(HandoffReview)
        .values(
            id=new_id(),
            conversation_id=decision.conversation_id,
            turn_id=decision.turn_id,
            ticket_id=ticket_id,
            agent_id=agent_id,
            earlier=[],
            **values,
        )
        .on_conflict_do_nothing(index_elements=["turn_id", "agent_id"])
        .returning(HandoffReview.id)
    )
    row = await session.scalar(
        select(HandoffReview)
        .where(HandoffReview.turn_id == decision.turn_id, HandoffReview.agent_id == agent_id)
        .with_for_update()
    )
    if row is None:
        message = f"the review of turn {decision.turn_id} conflicted and is not there"
        raise LookupError(message)
    if inserted is None:
        before = (row.verdict, row.true_intent, row.note)
        if before == (values["verdict"], intent, judgement.note):
            return _view(row, repeated=True)
        kept = {"verdict": row.verdict, "true_intent": row.true_intent, "at": row.at.isoformat()}
        row.earlier = [*row.earlier, kept]
        for name, value in values.items():
            setattr(row, name, value)
    if ticket_id is not None:
        session.add(_event(row, ticket_id, mark))
    await session.flush()
    return _view(row)


def _event(row: HandoffReview, ticket_id: uuid.UUID, mark: _Mark) -> TicketEvent:
    before = row.earlier[-1] if row.earlier else {}
    return TicketEvent(
        ticket_id=ticket_id,
        kind="reviewed",
        actor=mark.actor.label,
        reason=row.note,
        data={
            "verdict": row.verdict,
            "true_intent": row.true_intent,
            "from_verdict": before.get("verdict"),
            "from_true_intent": before.get("true_intent"),
        },
        at=mark.now,
        correlation_id=mark.correlation_id,
    )


def _view(row: HandoffReview, *, repeated: bool = False) -> ReviewView:
    return ReviewView(
        turn_id=row.turn_id,
        ticket_id=row.ticket_id,
        agent_id=row.agent_id,
        verdict=row.verdict,
        true_intent=row.true_intent,
        note=row.note,
        at=row.at,
        repeated=repeated,
    )
