"""Claim a conversation's next turn, and finish it: the two transactions around the bot.

A conversation has one turn at a time, oldest message first. The claim is a lease on the
conversation's row: a process that dies leaves it to run out, and the turn is run again by another.
Finishing checks that the lease is still ours, so a turn never ends twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import OutboundMessage
from handoff.silence import SilenceTimes
from ticketing.db.engine import Database
from ticketing.db.tables import Contact, Conversation, Handoff, Message, Ticket, Turn
from ticketing.domain import history
from ticketing.domain.burst import MERGE_BEYOND
from ticketing.domain.control import ControlState
from ticketing.domain.enums import Control, TicketStatus, TurnState
from ticketing.domain.language import LanguageState
from ticketing.domain.turn import Understanding
from ticketing.domain.waiting import Waiting
from ticketing.services import bursts, control, customer_messages, deliveries, ticket_search
from ticketing.services.control import state_of
from ticketing.services.deliveries import Dispatch
from ticketing.services.due import has_come, has_come_in
from ticketing.services.outbound import add_bot_message

log = structlog.get_logger()

TURN_LEASE = timedelta(seconds=20)  # longer than the bot's time-out, short enough to resume soon
HELD = "held_turn"
"""Key in `Conversation.clarification`: the turn whose text waits for the customer's language."""
_CLOSED = [TicketStatus.RESOLVED, TicketStatus.CLOSED]


@dataclass(frozen=True, slots=True)
class ClaimedTurn:
    """A turn that is ours to run, with everything needed to run it."""

    turn_id: uuid.UUID
    conversation_id: uuid.UUID
    control: ControlState
    channel: str
    account_id: str
    provider_id: str | None
    kind: str
    text: str
    reply_id: str | None
    sent_at: datetime
    attempts: int
    first_tried_at: datetime
    language: LanguageState
    clarification: dict[str, Any] | None
    understanding: Understanding
    contact_vip: bool
    contact_segment: str | None
    ticket_id: uuid.UUID | None
    correlation_id: str
    waiting: Waiting | None = None
    """The open question, or the one that ended in silence."""
    leave_form: bool = False
    """Rasa has still to leave a form that was left here."""
    held_text: str | None = None
    """What the customer had written before being asked for the language."""
    earlier: tuple[str, ...] = ()
    """Texts of the messages that this turn answers besides its own, oldest first."""
    own_handoff: bool = False
    """This very turn has handed the conversation over already, in a run that did not end."""


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """No turn can run now; `at` is when one may, None when only a new message brings one."""

    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a turn comes to.

    Attributes:
        outcome: answered | clarified | handed_off | to_agent | ignored | merged.
        messages: What the customer is told, in order.
        language: The conversation's language after the turn.
        understanding: The counters after the turn.
        clarification: The clarifying question that is open after the turn.
        waiting: The open question that a silent customer is reminded of; None: nothing is open.
        leave_form: Whether Rasa has to leave its form before the next turn it runs.
    """

    outcome: str
    messages: Sequence[OutboundMessage]
    language: LanguageState
    understanding: Understanding
    clarification: dict[str, Any] | None = None
    waiting: Waiting | None = None
    leave_form: bool = False


async def claim_next(
    db: Database,
    conversation_id: uuid.UUID,
    *,
    owner: str,
    now: datetime,
    merge_beyond: int = MERGE_BEYOND,
) -> ClaimedTurn | NothingToDo:
    """Take the oldest waiting turn of a conversation, and the conversation's lease with it.

    While the bot has control and more than `merge_beyond` messages wait, they become one turn.
    """
    async with db.transaction() as session:
        conversation = await session.scalar(
            update(Conversation)
            .where(
                Conversation.id == conversation_id,
                or_(
                    Conversation.lease_until.is_(None),
                    has_come_in(Conversation.lease_until, now=now),
                    Conversation.lease_owner == owner,
                ),
            )
            .values(lease_owner=owner, lease_until=now + TURN_LEASE)
            .returning(Conversation)
        )
        if conversation is None:
            return NothingToDo(at=now + TURN_LEASE)
        waiting = (
            await session.execute(
                select(Turn, Message, Contact, Ticket.id)
                .join(Message, Message.id == Turn.id)
                .join(Contact, Contact.id == conversation.contact_id)
                .outerjoin(
                    Ticket,
                    and_(
                        Ticket.conversation_id == Turn.conversation_id,
                        Ticket.status.not_in(_CLOSED),
                    ),
                )
                .where(Turn.conversation_id == conversation_id, Turn.state != TurnState.DONE.value)
                .order_by(Turn.sent_at, Turn.id)
                .limit(merge_beyond + 1)
            )
        ).all()
        if not waiting:
            _release(conversation)
            return NothingToDo()
        turn, message, contact, ticket_id = waiting[0]
        earlier: tuple[str, ...] = ()
        if turn.attempts:
            earlier = await bursts.merged_texts(session, turn.id)
        elif len(waiting) > merge_beyond and conversation.control == Control.BOT.value:
            merged = await bursts.merge_waiting(session, conversation_id, now=now)
            turn, message, earlier = merged or (turn, message, ())
        if turn.next_attempt_at is not None and not has_come(turn.next_attempt_at, now=now):
            _release(conversation)
            return NothingToDo(at=turn.next_attempt_at)
        turn.state = TurnState.RUNNING.value
        turn.attempts += 1
        turn.first_tried_at = turn.first_tried_at or now
        return ClaimedTurn(
            turn_id=turn.id,
            conversation_id=conversation_id,
            control=state_of(conversation),
            channel=conversation.channel,
            account_id=conversation.account_id,
            provider_id=message.provider_id,
            kind=message.kind,
            text=message.text or "",
            reply_id=await bursts.offered_reply(
                session, conversation_id, message.data.get("reply_id")
            ),
            sent_at=turn.sent_at,
            attempts=turn.attempts,
            first_tried_at=turn.first_tried_at,
            language=LanguageState.from_json(conversation.language, conversation.language_state),
            clarification=conversation.clarification,
            understanding=Understanding.from_json(conversation.understanding),
            contact_vip=contact.vip,
            contact_segment=contact.segment,
            ticket_id=ticket_id,
            correlation_id=turn.correlation_id,
            waiting=Waiting.from_json(conversation.waiting) if conversation.waiting else None,
            leave_form=conversation.leave_form,
            held_text=await _held_text(session, conversation),
            earlier=earlier,
            own_handoff=await _is_own_handoff(session, turn.id, conversation),
        )


def _release(conversation: Conversation) -> None:
    conversation.lease_owner = None
    conversation.lease_until = None


async def _held_text(session: AsyncSession, conversation: Conversation) -> str | None:
    """The text that waits for the customer's language; read again, so that erasing it holds."""
    held = (conversation.clarification or {}).get(HELD)
    if held is None:
        return None
    text: str | None = await session.scalar(
        select(Message.text).where(
            Message.id == uuid.UUID(held), Message.conversation_id == conversation.id
        )
    )
    return text


async def let_go(db: Database, conversation_id: uuid.UUID, *, owner: str) -> None:
    """Give back a conversation's lease without an end of a turn; nothing when it is not ours."""
    async with db.transaction() as session:
        await session.execute(
            update(Conversation)
            .where(Conversation.id == conversation_id, Conversation.lease_owner == owner)
            .values(lease_owner=None, lease_until=None)
        )


async def _open_ticket(session: AsyncSession, conversation_id: uuid.UUID) -> uuid.UUID | None:
    found: uuid.UUID | None = await session.scalar(
        select(Ticket.id).where(
            Ticket.conversation_id == conversation_id, Ticket.status.not_in(_CLOSED)
        )
    )
    return found


async def finish(
    db: Database,
    turn: ClaimedTurn,
    conclusion: Conclusion,
    *,
    owner: str,
    now: datetime,
    silence: SilenceTimes | None = None,
    also: Callable[[AsyncSession], Awaitable[None]] | None = None,
) -> list[Dispatch] | None:
    """End the turn: its answer becomes outbound rows in the same commit.

    Args:
        db: Ponte's database.
        turn: As claimed.
        conclusion: What it came to.
        owner: Who claimed it.
        now: The present moment.
        silence: When an open question is reminded of; None: never.
        also: Writes what else is to be known when the turn has ended.

    Returns:
        The answer's first message already claimed for sending (the others wait behind it), or an
        empty list. None when the turn is no longer ours: then nothing was written.
    """
    async with db.transaction() as session:
        locked = await _lock_own(session, turn, owner=owner)
        if locked is None:
            log.warning("turn.lost", turn_id=str(turn.turn_id))
            return None
        if also is not None:
            await also(session)
        conversation, row, behind_others = locked
        row.finished_at = now
        row.state = TurnState.DONE.value
        row.outcome = conclusion.outcome
        row.next_attempt_at = None
        ticket_id = await _ticket_for(session, turn, conversation, now=now)
        if not await _may_answer(session, turn, conversation):
            # A person took over while the bot was thinking: its answer is not said.
            row.outcome = "to_agent"
            conversation.waiting = None
            conversation.silence_due_at = None
            row.after = _left_behind(conversation)
            return []
        conversation.language = conclusion.language.language
        conversation.language_state = conclusion.language.to_json()
        if conversation.control == Control.BOT.value:
            conversation.understanding = conclusion.understanding.to_json()
            conversation.clarification = conclusion.clarification
            conversation.leave_form = conclusion.leave_form
            _wait(conversation, conclusion.waiting, silence)
        else:
            control.forget_question(conversation)
            conversation.leave_form = conclusion.leave_form
        row.after = _left_behind(conversation)
        rows = [
            add_bot_message(
                session,
                conversation,
                message=message,
                turn_id=turn.turn_id,
                part=part,
                ticket_id=ticket_id,
                now=now,
                correlation_id=turn.correlation_id,
            )
            for part, message in enumerate(conclusion.messages)
        ]
        if ticket_id is not None:
            said = " ".join(message.text or "" for message in conclusion.messages)
            await ticket_search.add_words(session, ticket_id, said)
        if not rows or behind_others:
            return []
        deliveries.mark_claimed(rows[0], owner=owner, now=now)
        return [deliveries.dispatch_of(rows[0], conversation, now=now)]


def _left_behind(conversation: Conversation) -> dict[str, Any]:
    """The state that a replay compares, as this turn leaves it."""
    return {name: getattr(conversation, name) for name in history.STATE}


def _wait(
    conversation: Conversation, waiting: Waiting | None, silence: SilenceTimes | None
) -> None:
    """Keep the open question, and when its silence is noticed."""
    conversation.waiting = None if waiting is None else waiting.to_json()
    conversation.silence_due_at = None
    if waiting is not None and silence is not None:
        conversation.silence_due_at = waiting.due_at(silence)


async def _lock_own(
    session: AsyncSession, turn: ClaimedTurn, *, owner: str
) -> tuple[Conversation, Turn, bool] | None:
    """Conversation and turn, locked in one statement; None when the turn is no longer ours.

    The third value says whether earlier messages of the conversation have still to leave.
    """
    waiting = (
        select(Message.id)
        .where(
            Message.conversation_id == turn.conversation_id,
            Message.delivery.in_(["pending", "sending", "unknown"]),
        )
        .exists()
    )
    found = (
        await session.execute(
            select(Conversation, Turn, waiting)
            .join(Turn, Turn.conversation_id == Conversation.id)
            .where(
                Turn.id == turn.turn_id,
                Turn.state != TurnState.DONE.value,
                Conversation.lease_owner == owner,
            )
            .with_for_update(of=(Conversation, Turn))
        )
    ).first()
    return None if found is None else (found[0], found[1], bool(found[2]))


async def _ticket_for(
    session: AsyncSession, turn: ClaimedTurn, conversation: Conversation, *, now: datetime
) -> uuid.UUID | None:
    """Put the customer's message on the open ticket, when there is one, and wake it."""
    if conversation.control_epoch == turn.control.epoch:
        ticket_id = turn.ticket_id  # nothing was opened or ended since the claim
    else:
        ticket_id = await _open_ticket(session, turn.conversation_id)
    if ticket_id is None:
        return None
    messages = await bursts.put_on_ticket(session, turn.turn_id, ticket_id=ticket_id)
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is not None:
        ticket.last_message_at = now
    await customer_messages.record(
        session,
        ticket_id,
        messages,
        turn_id=turn.turn_id,
        now=now,
        correlation_id=turn.correlation_id,
    )
    return ticket_id


async def _may_answer(session: AsyncSession, turn: ClaimedTurn, conversation: Conversation) -> bool:
    """Whether the bot's answer to this turn may still be said.

    Either nothing has changed since the turn began, or what changed is the handoff that this very
    turn asked for and that nobody has accepted yet.
    """
    if conversation.control_epoch == turn.control.epoch:
        return conversation.control != Control.HUMAN.value
    return await _is_own_handoff(session, turn.turn_id, conversation)


async def _is_own_handoff(
    session: AsyncSession, turn_id: uuid.UUID, conversation: Conversation
) -> bool:
    """Whether the conversation waits for a person because this turn asked for one."""
    if conversation.control != Control.QUEUED.value:
        return False
    mine = await session.scalar(
        select(Handoff.id).where(
            Handoff.turn_id == turn_id,
            Handoff.ended_at.is_(None),
            Handoff.control_epoch == conversation.control_epoch,
        )
    )
    return mine is not None


async def postpone(
    db: Database, turn: ClaimedTurn, *, owner: str, now: datetime, delay: timedelta
) -> None:
    """Give the turn back, to be run again after `delay`."""
    async with db.transaction() as session:
        locked = await _lock_own(session, turn, owner=owner)
        if locked is None:
            return
        conversation, row, _ = locked
        row.state = TurnState.PENDING.value
        row.next_attempt_at = now + delay
        _release(conversation)


async def waiting_conversations(
    db: Database, *, now: datetime, limit: int = 500
) -> list[uuid.UUID]:
    """Conversations with a turn that could run now: what a dead process or a delay left behind."""
    async with db.transaction() as session:
        found = await session.scalars(
            select(Turn.conversation_id)
            .join(Conversation, Conversation.id == Turn.conversation_id)
            .where(
                Turn.state != TurnState.DONE.value,
                or_(Turn.next_attempt_at.is_(None), has_come_in(Turn.next_attempt_at, now=now)),
                or_(
                    Conversation.lease_until.is_(None),
                    has_come_in(Conversation.lease_until, now=now),
                ),
            )
            .group_by(Turn.conversation_id)
            .limit(limit)
        )
        return list(found)
