"""A customer does not answer: offer to go on, later end the question, or do what a rule says.

Everything about one step happens in one transaction under the conversation's row lock: the look
whether the customer wrote meanwhile, the decision and its record, the words, and the next due time.
So a step happens once however many processes sweep, and one that dies half-way leaves nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import Button, OutboundMessage, merge_replies
from handoff import silence
from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.silence import REMIND, SilenceTimes
from handoff.snapshot import ConversationSnapshot
from kit.clock import Clock
from kit.ids import new_correlation_id
from ticketing.db.engine import Database
from ticketing.db.tables import Contact, Conversation, Message, Ticket, Turn
from ticketing.domain.enums import Control, DeliveryState, Lifecycle, TicketStatus, TurnState
from ticketing.domain.language import LanguageState
from ticketing.domain.turn import Understanding
from ticketing.domain.turn_input import is_question
from ticketing.domain.waiting import Waiting, minutes_between
from ticketing.services import control, decisions, handoffs, rulings
from ticketing.services.availability import Availability
from ticketing.services.deliveries import WINDOW, WINDOW_MARGIN
from ticketing.services.outbound import add_bot_message

log = structlog.get_logger()

_BATCH = 100  # of one sweep; the next comes in a second
_LATER = timedelta(minutes=1)  # the question itself has not left yet
_ON_ITS_WAY = frozenset({DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.UNKNOWN})
_CLOSED = [TicketStatus.RESOLVED, TicketStatus.CLOSED]

# Names the silent turns: a version 5 id out of conversation, step and the turn that asked, so that
# one step has one decision and one message, whoever takes it.
_NAMESPACE = uuid.UUID("6f1c2f0e-5a0b-5d57-9d3e-8f0d1f5b7c21")


class _Question(Enum):
    """What became of the message that asks."""

    READ = "it left"
    ON_ITS_WAY = "it waits to be sent"
    LOST = "it will never be read"


def silent_turn_id(conversation_id: uuid.UUID, *, step: str, turn_id: str) -> uuid.UUID:
    """The id of a step's decision, message and handoff."""
    return uuid.uuid5(_NAMESPACE, f"{conversation_id}:{step}:{turn_id}")


@dataclass(slots=True)
class SilenceSweep:
    """Finds the customers who are silent.

    Attributes:
        db: Ponte's database.
        clock: The time.
        policy: The policy in force, asked at every sweep.
        times: When the steps come.
        wake: Told of a conversation whose message waits to be sent.
        availability: Who could take a conversation over; None: nobody counts them.
    """

    db: Database
    clock: Clock
    policy: Callable[[], HandoffPolicy]
    times: SilenceTimes
    wake: Callable[[uuid.UUID], None]
    availability: Availability | None = None

    async def sweep(self) -> int:
        """Take every step that is due; returns how many conversations were looked at.

        The cost follows what is due, by a partial index; the rest of the table is not read.
        """
        now = self.clock.now()
        async with self.db.transaction() as session:
            due = (
                await session.scalars(
                    select(Conversation.id)
                    .where(Conversation.silence_due_at <= now)
                    .order_by(Conversation.silence_due_at)
                    .limit(_BATCH)
                )
            ).all()
        if not due:
            return 0
        available: Mapping[str, int] = {}
        if self.availability is not None:
            available = await self.availability.by_queue()
        for conversation_id in due:
            await self._one(conversation_id, now=now, available=available)
        return len(due)

    async def _one(
        self, conversation_id: uuid.UUID, *, now: datetime, available: Mapping[str, int]
    ) -> None:
        correlation_id = new_correlation_id()
        try:
            async with self.db.transaction() as session:
                step = _Step(session, self.policy(), self.times, now, available, correlation_id)
                told = await step.take(conversation_id)
        except Exception:
            # One conversation must not keep the others waiting; it is tried again.
            log.exception("silence.failed", conversation_id=str(conversation_id))
            return
        if told:
            self.wake(conversation_id)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of one conversation, inside one transaction."""

    session: AsyncSession
    policy: HandoffPolicy
    times: SilenceTimes
    now: datetime
    available: Mapping[str, int]
    correlation_id: str

    async def take(self, conversation_id: uuid.UUID) -> bool:
        """Do what is due; returns whether a message waits to be sent."""
        conversation = await self.session.scalar(
            select(Conversation)
            .where(
                Conversation.id == conversation_id,
                Conversation.silence_due_at <= self.now,
            )
            .with_for_update(skip_locked=True)
        )
        if conversation is None:  # another process is at it, or a turn is just ending
            return False
        waiting = await self._open_question(conversation)
        if waiting is None:
            return False
        step = waiting.step_at(self.now, self.times)
        snapshot = await self._snapshot(conversation, waiting, step=step)
        decision_id, decision = await decisions.decide_once(
            self.session,
            snapshot,
            self.policy,
            model_version="none",
            now=self.now,
            correlation_id=self.correlation_id,
        )
        log.info(
            "silence.decided",
            conversation_id=str(conversation_id),
            turn_id=snapshot.turn_id,
            action=step,
            outcome=decision.outcome,
            rule=decision.rule_version,
            reason=decision.reason,
        )
        if decision.is_handoff:
            return await self._hand_over(conversation, decision_id, decision, snapshot)
        if step == REMIND:
            return self._remind(conversation, waiting, decision, snapshot)
        return self._close(conversation, waiting, decision, snapshot)

    async def _open_question(self, conversation: Conversation) -> Waiting | None:
        """The question whose silence is due; None when there is nothing to do now."""
        stored = conversation.waiting
        is_bots = conversation.control == Control.BOT.value
        is_open = conversation.lifecycle == Lifecycle.OPEN.value
        if stored is None or not (is_bots and is_open) or await self._is_answered(conversation):
            conversation.silence_due_at = None  # the turn that runs, or a person, goes on
            return None
        waiting = Waiting.from_json(stored)
        due = waiting.due_at(self.times, last_heard=conversation.last_customer_message_at)
        if due is None or due > self.now:
            conversation.silence_due_at = due  # a reaction came, or the settings were changed
            return None
        match await self._fate_of(waiting):
            case _Question.ON_ITS_WAY:
                conversation.silence_due_at = self.now + _LATER
                return None
            case _Question.LOST:
                control.forget_question(conversation)
                return None
            case _Question.READ:
                return waiting

    async def _is_answered(self, conversation: Conversation) -> bool:
        """Whether the customer has written: a turn waits or runs."""
        found = await self.session.scalar(
            select(Turn.id)
            .where(
                Turn.conversation_id == conversation.id,
                Turn.state != TurnState.DONE.value,
            )
            .limit(1)
        )
        return found is not None

    async def _fate_of(self, waiting: Waiting) -> _Question:
        states = (
            await self.session.scalars(
                select(Message.delivery).where(Message.turn_id == uuid.UUID(waiting.turn_id))
            )
        ).all()
        if any(state in _ON_ITS_WAY for state in states):
            return _Question.ON_ITS_WAY
        lost = {DeliveryState.FAILED.value, DeliveryState.DROPPED.value}
        return _Question.LOST if not states or set(states) <= lost else _Question.READ

    async def _snapshot(
        self, conversation: Conversation, waiting: Waiting, *, step: str
    ) -> ConversationSnapshot:
        """All that a rule may know about the silence. Nothing was written, so nothing is scored."""
        contact = await self.session.get(Contact, conversation.contact_id)
        ticket = await self.session.scalar(
            select(Ticket.id)
            .where(Ticket.conversation_id == conversation.id, Ticket.status.not_in(_CLOSED))
            .limit(1)
        )
        known = Understanding.from_json(conversation.understanding)
        spoken = LanguageState.from_json(conversation.language, conversation.language_state)
        last = conversation.last_customer_message_at or waiting.asked_at
        turn_id = silent_turn_id(conversation.id, step=step, turn_id=waiting.turn_id)
        return ConversationSnapshot(
            turn_id=str(turn_id),
            conversation_id=str(conversation.id),
            channel=conversation.channel,
            now=self.now,
            top_intent=waiting.intent,
            language=spoken.foreign or spoken.language,
            language_served=spoken.foreign is None,
            failures=known.failures,
            clarifications_asked=known.clarifications_asked,
            clarification_open=is_question(conversation.clarification),
            already_offered=known.not_to_offer,
            contact_vip=contact is not None and contact.vip,
            contact_segment=contact.segment if contact is not None else None,
            has_open_ticket=ticket is not None,
            active_form=waiting.form,
            trigger="silence",
            silence_minutes=minutes_between(last, self.now),
            agents_available=dict(self.available),
        )

    async def _hand_over(
        self,
        conversation: Conversation,
        decision_id: uuid.UUID,
        decision: Decision,
        snapshot: ConversationSnapshot,
    ) -> bool:
        opened = await handoffs.open_handoff(
            self.session,
            snapshot=snapshot,
            decision=decision,
            decision_id=decision_id,
            policy=self.policy,
            now=self.now,
            correlation_id=self.correlation_id,
        )
        control.forget_question(conversation)
        words = rulings.told(decision, snapshot, self.policy, ticket=opened.ticket_number)
        return self._say(
            conversation, snapshot, [OutboundMessage(words)], ticket_id=opened.ticket_id
        )

    def _remind(
        self,
        conversation: Conversation,
        waiting: Waiting,
        decision: Decision,
        snapshot: ConversationSnapshot,
    ) -> bool:
        """Offer to go on. Without a text for it, or outside the window, the question just waits."""
        reminded = waiting.reminded(self.now)
        message = self._offer(decision, snapshot)
        if message is None or not self._window_is_open(conversation):
            conversation.waiting = {**reminded.to_json(), "offers_choices": False}
            conversation.silence_due_at = reminded.due_at(self.times)
            return False
        conversation.waiting = reminded.to_json()
        conversation.silence_due_at = reminded.due_at(self.times)
        return self._say(conversation, snapshot, [message])

    def _offer(self, decision: Decision, snapshot: ConversationSnapshot) -> OutboundMessage | None:
        settings = self.policy.silence
        if settings is None:
            return None
        written = self.policy.languages.written(snapshot.language)
        remaining = self.times.close_after - (self.times.remind_after or timedelta())
        minutes = max(round(remaining.total_seconds() / 60), 1)
        # A rule may say it in other words: `then: {outcome: stay, message: ...}`.
        said = rulings.told(decision, snapshot, self.policy)
        words = said or settings.reminder[written].format(minutes=minutes)
        buttons = tuple(
            Button(silence.payload_of(choice), settings.titles[choice][written])
            for choice in silence.CHOICES
        )
        return OutboundMessage(words, buttons)

    def _close(
        self,
        conversation: Conversation,
        waiting: Waiting,
        decision: Decision,
        snapshot: ConversationSnapshot,
    ) -> bool:
        """End the question, without a word unless a rule has one: every message is billed."""
        control.forget_question(conversation)
        conversation.waiting = waiting.ended().to_json()
        words = rulings.told(decision, snapshot, self.policy)
        return self._say(conversation, snapshot, [OutboundMessage(words)])

    def _say(
        self,
        conversation: Conversation,
        snapshot: ConversationSnapshot,
        messages: Sequence[OutboundMessage],
        *,
        ticket_id: uuid.UUID | None = None,
    ) -> bool:
        if not self._window_is_open(conversation):
            return False
        rows = [
            add_bot_message(
                self.session,
                conversation,
                message=message,
                turn_id=uuid.UUID(snapshot.turn_id),
                part=part,
                ticket_id=ticket_id,
                now=self.now,
                correlation_id=self.correlation_id,
            )
            for part, message in enumerate(merge_replies(messages))
        ]
        return bool(rows)

    def _window_is_open(self, conversation: Conversation) -> bool:
        """WhatsApp takes free text only so long after the customer's last message."""
        last = conversation.last_customer_message_at
        return last is not None and self.now < last + WINDOW - WINDOW_MARGIN
