"""Everything stored of one conversation, for playing it again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy
from handoff.silence import CLOSE, REMIND
from ticketing.db.tables import (
    Conversation,
    Decision,
    Message,
    PolicyVersion,
    Ticket,
    TicketEvent,
    Turn,
)
from ticketing.domain.enums import DeliveryState, TurnState
from ticketing.domain.history import STATE, DecisionRecord, EventRecord, History, TurnRecord
from ticketing.services.control import ConversationNotFoundError
from ticketing.services.silence import silent_turn_id

_LOST = [DeliveryState.FAILED.value, DeliveryState.DROPPED.value]

PolicyReader = Callable[[str], HandoffPolicy]
"""Makes a policy of the text of its file."""


async def load_history(
    session: AsyncSession, conversation_id: uuid.UUID, *, read_policy: PolicyReader
) -> History:
    """The history of a conversation.

    Args:
        session: Ponte's database.
        conversation_id: Whose.
        read_policy: For the texts of the policy versions that decided.

    Raises:
        ConversationNotFoundError: when there is none.
    """
    conversation = await session.get(Conversation, conversation_id)
    if conversation is None:
        raise ConversationNotFoundError(conversation_id)
    decisions = await _decisions(session, conversation_id)
    turns = (
        await session.scalars(
            select(Turn)
            .where(Turn.conversation_id == conversation_id, Turn.state == TurnState.DONE.value)
            .order_by(Turn.finished_at, Turn.sent_at, Turn.id)
        )
    ).all()
    tickets = (
        await session.scalars(select(Ticket).where(Ticket.conversation_id == conversation_id))
    ).all()
    return History(
        decisions=decisions,
        turns=[
            TurnRecord(turn.id, turn.finished_at, turn.outcome or "", turn.after)
            for turn in turns
            if turn.finished_at is not None
        ],
        events=await _events(session, {ticket.id: ticket.number for ticket in tickets}),
        state={name: getattr(conversation, name) for name in STATE},
        tickets={ticket.number: ticket.status for ticket in tickets},
        silent=_silent(conversation_id, [turn.id for turn in turns], decisions),
        undelivered=await _undelivered(session, conversation_id),
        policies=await _policies(session, decisions, read_policy),
    )


async def _decisions(session: AsyncSession, conversation_id: uuid.UUID) -> list[DecisionRecord]:
    found = await session.scalars(
        select(Decision)
        .where(Decision.conversation_id == conversation_id)
        .order_by(Decision.created_at, Decision.id)
    )
    return [
        DecisionRecord(
            turn_id=row.turn_id,
            at=row.created_at,
            rule=row.rule,
            columns={
                "outcome": row.outcome,
                "reason": row.reason,
                "level": row.level,
                "queue": row.queue,
                "priority": row.priority,
                "understanding": row.understanding,
            },
            model=str((row.versions or {}).get("model") or "unknown"),
            snapshot=row.snapshot,
            decision=row.decision,
        )
        for row in found
    ]


async def _events(session: AsyncSession, numbers: Mapping[uuid.UUID, int]) -> list[EventRecord]:
    found = await session.scalars(
        select(TicketEvent)
        .where(TicketEvent.ticket_id.in_(numbers))
        .order_by(TicketEvent.at, TicketEvent.seq)
    )
    return [EventRecord(numbers[row.ticket_id], row.kind, row.at, row.data) for row in found]


def _silent(
    conversation_id: uuid.UUID,
    turn_ids: list[uuid.UUID],
    decisions: list[DecisionRecord],
) -> dict[uuid.UUID, str]:
    """Which decisions are steps of a silence. A repeated question names the step before it."""
    named = {
        silent_turn_id(conversation_id, step=step, turn_id=str(turn_id)): step
        for turn_id in turn_ids
        for step in (REMIND, CLOSE)
    }
    return {
        record.turn_id: named.get(record.turn_id, CLOSE)
        for record in decisions
        if record.snapshot.get("trigger") == "silence"
    }


async def _undelivered(session: AsyncSession, conversation_id: uuid.UUID) -> frozenset[uuid.UUID]:
    found = await session.scalars(
        select(Message.turn_id).where(
            Message.conversation_id == conversation_id,
            Message.turn_id.is_not(None),
            Message.delivery.in_(_LOST),
        )
    )
    return frozenset(turn_id for turn_id in found if turn_id is not None)


async def _policies(
    session: AsyncSession, decisions: list[DecisionRecord], read_policy: PolicyReader
) -> dict[str, HandoffPolicy]:
    versions = {str(record.decision.get("policy_version", "")) for record in decisions}
    found = await session.scalars(select(PolicyVersion).where(PolicyVersion.version.in_(versions)))
    return {row.version: read_policy(row.source) for row in found}
