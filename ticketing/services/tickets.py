"""What people do to tickets, one transaction each.

Every command locks the conversation and then the ticket, asks the domain, writes the change with
its event and outbox rows, and commits. Messages to the customer are rows of the same transaction;
the delivery engine is woken after the commit (a lost wake costs seconds: a sweep finds the row).
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import OutboundMessage
from handoff.policy_holder import PolicyHolder
from kit.clock import Clock
from kit.ids import new_id
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, Handoff, Message, Queue, Ticket
from ticketing.domain import ticket as domain
from ticketing.domain.customer_texts import CustomerText, customer_text
from ticketing.domain.enums import (
    Author,
    Control,
    Direction,
    HandoffState,
    Level,
    Lifecycle,
    Priority,
    Severity,
    TicketStatus,
)
from ticketing.domain.ticket import (
    Actor,
    Change,
    InvalidTransitionError,
    QueueChoice,
    SlaTarget,
    Transition,
)
from ticketing.services import ticket_work
from ticketing.services.deliveries import WINDOW, WINDOW_MARGIN
from ticketing.services.handoffs import sla_expiry
from ticketing.services.outbound import add_agent_message, add_system_message
from ticketing.services.repeats import Repeats
from ticketing.services.ticket_targets import Target, check_agent, choose_queue
from ticketing.services.ticket_work import Work, check_version, lock_ticket, tell_outside
from ticketing.services.views import TicketSummary, ticket_summary


class ActorGoneError(Exception):
    """The person who acts has been disabled."""

    def __init__(self) -> None:
        super().__init__("this account has been disabled")


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks for something, and under which conditions.

    Attributes:
        actor: The person.
        ticket_id: The ticket.
        correlation_id: Of the request.
        expected_version: Refuse if the ticket has changed since this version; None: do not check.
    """

    actor: Actor
    ticket_id: uuid.UUID
    correlation_id: str
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The ticket afterwards, and the message that was written, if any.

    `repeated` says that the same request had been done before and nothing was done now.
    """

    ticket: TicketSummary
    message_id: uuid.UUID | None = None
    repeated: bool = False


@dataclass(slots=True)
class _Open:
    """A running command: the locked work and the messages to wake after the commit."""

    work: Work
    to_send: list[uuid.UUID] = field(default_factory=list)


class TicketService:
    """Commands on tickets.

    Args:
        db: Where everything is.
        clock: For `now`.
        wake: Told the id of every message that waits for delivery, after the commit.
        policy: The one in force; gives the SLA target of a priority and the calendar of a queue.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wake: Callable[[uuid.UUID], None],
        *,
        policy: PolicyHolder,
    ) -> None:
        self._db = db
        self._clock = clock
        self._wake = wake
        self._policy = policy

    async def take(self, order: Order) -> Done:
        """Answer this customer from now on. Taking one's own ticket again changes nothing.

        Raises:
            AlreadyTakenError: when another agent was quicker.
        """
        async with self._open(order, versioned=False) as opened:
            # That somebody else was quicker is the better answer than that the version differs.
            change = domain.take(opened.work.state, order.actor)
            if change is not None:
                check_version(opened.work, order.expected_version)
                await ticket_work.apply(opened.work, change)
            return await _done(opened, repeated=change is None)

    async def reply(
        self,
        order: Order,
        *,
        text: str,
        status: TicketStatus = TicketStatus.OPEN,
        idempotency_key: str | None = None,
    ) -> Done:
        """Write to the customer. A ticket that nobody has is taken with it.

        Args:
            order: Who, which ticket.
            text: 1 to 4096 characters.
            status: What the ticket waits for afterwards.
            idempotency_key: The same key again is the same reply again, not a second one.

        Raises:
            KeyReusedError: when the key was used for other words.
        """
        repeats = Repeats(kind="replied", key=idempotency_key, text=text)
        async with self._open(order, versioned=False) as opened:
            earlier = await repeats.earlier(opened.work)
            if earlier is not None:
                return await _done(opened, message_id=earlier, repeated=True)
            check_version(opened.work, order.expected_version)
            await self._take_if_nobody_has_it(opened.work, order.actor)
            now = opened.work.now
            change = domain.reply(opened.work.state, order.actor, now=now, status=status)
            message = await self._agent_message(opened, order.actor, text)
            await ticket_work.apply(opened.work, change, data=repeats.data(message.id))
            return await _done(opened, message_id=message.id)

    async def note(self, order: Order, *, text: str, idempotency_key: str | None = None) -> Done:
        """Write an internal remark that the customer never sees."""
        repeats = Repeats(kind="noted", key=idempotency_key, text=text)
        async with self._open(order, versioned=False) as opened:
            work = opened.work
            earlier = await repeats.earlier(work)
            if earlier is not None:
                return await _done(opened, message_id=earlier, repeated=True)
            check_version(work, order.expected_version)
            change = domain.note(work.state, order.actor)
            message = Message(
                id=new_id(),
                conversation_id=work.conversation.id,
                channel=work.conversation.channel,
                direction=Direction.INTERNAL.value,
                author=Author.AGENT.value,
                agent_id=order.actor.agent_id,
                ticket_id=work.ticket.id,
                kind="note",
                text=text,
                data={},
                sent_at=work.now,
                created_at=work.now,
                correlation_id=work.correlation_id,
            )
            work.session.add(message)
            await work.session.flush()
            await ticket_work.apply(work, change, data=repeats.data(message.id))
            return await _done(opened, message_id=message.id)

    async def escalate(
        self, order: Order, *, target: Target, reason: str, priority: Priority | None = None
    ) -> Done:
        """Hand the ticket up, or aside to another queue of its level."""
        async with self._open(order) as opened:
            work = opened.work
            queue = await self._queue(work, target)
            await check_agent(work.session, target.agent_id, queue=queue)
            change = domain.escalate(
                work.state,
                order.actor,
                queue=queue,
                reason=reason,
                now=work.now,
                priority=priority,
                agent_id=target.agent_id,
                sla=self._sla(work.ticket, queue.key, priority),
            )
            await ticket_work.apply(work, change)
            await tell_outside(work, topic=ticket_work.ESCALATED_TOPIC, change=change)
            # One notice says both: a raised priority is part of the escalation's event.
            return await _done(opened)

    async def de_escalate(self, order: Order, *, target: Target, reason: str) -> Done:
        """Hand the ticket down to a lower level."""
        async with self._open(order) as opened:
            work = opened.work
            queue = await self._queue(work, target)
            await check_agent(work.session, target.agent_id, queue=queue)
            change = domain.de_escalate(
                work.state,
                order.actor,
                queue=queue,
                reason=reason,
                agent_id=target.agent_id,
                sla=self._sla(work.ticket, queue.key, None),
            )
            await ticket_work.apply(work, change)
            return await _done(opened)

    async def assign(
        self,
        order: Order,
        *,
        target: Target,
        reason: str | None = None,
        severity: Severity | None = None,
    ) -> Done:
        """Give the ticket to an agent or a queue, or correct its severity."""
        async with self._open(order) as opened:
            work = opened.work
            moves = target.queue is not None or target.level is not None
            queue = await self._queue(work, target) if moves else None
            present = QueueChoice(work.queue.id, work.queue.key, Level(work.ticket.level))
            await check_agent(work.session, target.agent_id, queue=queue or present)
            change = domain.reassign(
                work.state,
                order.actor,
                reason=reason,
                queue=queue,
                agent_id=target.agent_id,
                severity=severity,
                sla=None if queue is None else self._sla(work.ticket, queue.key, None),
            )
            await ticket_work.apply(work, change)
            return await _done(opened)

    async def change_priority(
        self, order: Order, *, priority: Priority, reason: str | None = None
    ) -> Done:
        """Another priority, with its SLA target counted from the ticket's opening."""
        async with self._open(order) as opened:
            work = opened.work
            change = domain.change_priority(
                work.state,
                order.actor,
                priority=priority,
                reason=reason,
                sla=self._sla(work.ticket, work.queue.key, priority),
            )
            await ticket_work.apply(work, change)
            await tell_outside(work, topic=ticket_work.PRIORITY_CHANGED_TOPIC, change=change)
            return await _done(opened)

    async def resolve(
        self, order: Order, *, closing_text: str | None = None, reason: str | None = None
    ) -> Done:
        """Settle the matter. The bot answers again and the customer is told with one message.

        With `closing_text` those words open the message. Without, nothing is written when the
        bot had control anyway or when the channel would only take a paid template.
        """
        async with self._open(order) as opened:
            work = opened.work
            change = domain.resolve(work.state, order.actor, now=work.now, reason=reason)
            message_id = await self._say_goodbye(
                opened, order.actor, "resolved", closing_text=closing_text
            )
            if closing_text is not None and work.ticket.first_response_at is None:
                # The closing words are a person's answer too.
                work.ticket.first_response_at = work.now
            await ticket_work.apply(work, change, data={"customer_told": message_id is not None})
            return await _done(opened, message_id=message_id)

    async def return_to_bot(self, order: Order, *, reason: str | None = None) -> Done:
        """Let the bot go on. The ticket ends as resolved; the next handoff opens another one."""
        async with self._open(order) as opened:
            work = opened.work
            change = domain.return_to_bot(work.state, order.actor, now=work.now, reason=reason)
            message_id = await self._say_goodbye(opened, order.actor, "returned_to_bot")
            await ticket_work.apply(work, change, data={"customer_told": message_id is not None})
            return await _done(opened, message_id=message_id)

    async def close(self, order: Order) -> Done:
        """Put a resolved ticket away for good."""
        async with self._open(order) as opened:
            change = domain.close(opened.work.state, order.actor, now=opened.work.now)
            await ticket_work.apply(opened.work, change)
            return await _done(opened)

    async def reopen(self, order: Order, *, reason: str) -> Done:
        """Take up a resolved matter again, as a new stay of the conversation with people."""
        async with self._open(order) as opened:
            work = opened.work
            change = domain.reopen(work.state, order.actor, reason=reason)
            await _check_reopening(work)
            work.handoff = _reopening(work, change)
            work.session.add(work.handoff)
            await ticket_work.apply(work, change)
            return await _done(opened)

    @asynccontextmanager
    async def _open(self, order: Order, *, versioned: bool = True) -> AsyncIterator[_Open]:
        async with self._db.transaction() as session:
            work = await lock_ticket(
                session,
                order.ticket_id,
                actor=order.actor,
                # Read after the wait for the locks would be later than the click; before is fair.
                now=self._clock.now(),
                correlation_id=order.correlation_id,
            )
            await _check_active(session, order.actor)
            if versioned:
                check_version(work, order.expected_version)
            opened = _Open(work)
            yield opened
        for message_id in opened.to_send:
            self._wake(message_id)

    async def _take_if_nobody_has_it(self, work: Work, actor: Actor) -> None:
        state = work.state
        mine_or_free = state.agent_id in {None, actor.agent_id}
        if state.control is Control.HUMAN and state.agent_id is not None:
            return
        if mine_or_free:
            domain.check_permission(state, actor, Transition.REPLY)
            change = domain.take(state, actor)
            if change is not None:
                await ticket_work.apply(work, change, data={"implicit": True})

    async def _agent_message(self, opened: _Open, actor: Actor, text: str) -> Message:
        work = opened.work
        if actor.agent_id is None:
            message = "a reply needs a person as its author"
            raise ValueError(message)
        row = await add_agent_message(
            work.session,
            work.conversation,
            ticket_id=work.ticket.id,
            agent_id=actor.agent_id,
            text=text,
            now=work.now,
            correlation_id=work.correlation_id,
        )
        opened.to_send.append(row.id)
        return row

    async def _say_goodbye(
        self,
        opened: _Open,
        actor: Actor,
        key: CustomerText,
        *,
        closing_text: str | None = None,
    ) -> uuid.UUID | None:
        work = opened.work
        words = customer_text(key, language=work.conversation.language, number=work.ticket.number)
        if closing_text is not None:
            row = await self._agent_message(opened, actor, f"{closing_text}\n\n{words}")
            return row.id
        if work.conversation.control == Control.BOT.value or not _window_open(work):
            return None
        row = await add_system_message(
            work.session,
            work.conversation,
            message=OutboundMessage(text=words),
            ticket_id=work.ticket.id,
            now=work.now,
            correlation_id=work.correlation_id,
        )
        opened.to_send.append(row.id)
        return row.id

    async def _queue(self, work: Work, target: Target) -> QueueChoice:
        queues = (await work.session.scalars(select(Queue).order_by(Queue.key))).all()
        choices = [QueueChoice(row.id, row.key, Level(row.level)) for row in queues]
        return choose_queue(choices, target, present=work.queue.key)

    def _sla(self, ticket: Ticket, queue: str, priority: Priority | None) -> SlaTarget | None:
        policy = self._policy.current()
        target = policy.first_response.get(priority or ticket.priority)
        if target is None or queue not in policy.queues:
            return None
        minutes = round(target.total_seconds() / 60)
        calendar = policy.calendar_of(queue)
        expires_at = sla_expiry(calendar, now=ticket.opened_at, minutes=minutes)
        return None if expires_at is None else SlaTarget(minutes, expires_at)


async def _check_active(session: AsyncSession, actor: Actor) -> None:
    """An agent who was disabled a moment ago gets no further.

    The shared lock makes a disabling wait for the work that has begun, so that it finds every
    ticket to give back. It is taken after the ticket's lock, everywhere.
    """
    if actor.agent_id is None:
        return
    active = await session.scalar(
        select(Agent.active).where(Agent.id == actor.agent_id).with_for_update(read=True)
    )
    if not active:
        raise ActorGoneError


def _window_open(work: Work) -> bool:
    last = work.conversation.last_customer_message_at
    return last is not None and work.now < last + WINDOW - WINDOW_MARGIN


async def _check_reopening(work: Work) -> None:
    if work.conversation.lifecycle != Lifecycle.OPEN.value:
        raise InvalidTransitionError(
            Transition.REOPEN, found="its conversation is closed", expected="an open conversation"
        )
    other = await work.session.scalar(
        select(Ticket.number).where(
            Ticket.conversation_id == work.conversation.id,
            Ticket.status.in_([status.value for status in domain.OPEN_STATUSES]),
        )
    )
    if other is not None:
        raise InvalidTransitionError(
            Transition.REOPEN,
            found=f"the conversation has the open ticket #{other}",
            expected="a conversation without an open ticket",
        )


def _reopening(work: Work, change: Change) -> Handoff:
    return Handoff(
        id=new_id(),
        conversation_id=work.conversation.id,
        ticket_id=work.ticket.id,
        control_epoch=work.conversation.control_epoch,
        state=HandoffState.QUEUED.value,
        reason="reopened",
        evidence={"reason": change.reason},
        to_level=work.ticket.level,
        queue_id=work.ticket.queue_id,
        skills=list(work.ticket.skills),
        requested_at=work.now,
        queued_at=work.now,
    )


async def _done(
    opened: _Open, *, message_id: uuid.UUID | None = None, repeated: bool = False
) -> Done:
    work = opened.work
    await work.session.flush()
    return Done(
        ticket=await ticket_summary(work.session, work.ticket.id),
        message_id=message_id,
        repeated=repeated,
    )
