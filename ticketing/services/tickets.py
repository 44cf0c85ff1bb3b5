"""What people do to tickets, one transaction each.

Every command locks the conversation and then the ticket, asks the domain, writes the change with
its event and outbox rows, and commits. Messages to the customer are rows of the same transaction;
the delivery engine is woken after the commit (a lost wake costs seconds: a sweep finds the row).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain import ticket_moves, ticket_transitions
from ticketing.domain.enums import Control, Priority, Severity, TicketStatus
from ticketing.domain.holder import Holder
from ticketing.domain.runbook import RunbookBook
from ticketing.domain.ticket import Transition, check_permission
from ticketing.services import ticket_moving, ticket_work
from ticketing.services.repeats import Repeats
from ticketing.services.runbook_gate import demand_steps
from ticketing.services.runbook_replies import PreparedReply
from ticketing.services.ticket_orders import ActorGoneError, Done, Opened, Order, open_order
from ticketing.services.ticket_reopening import reopen
from ticketing.services.ticket_targets import Target
from ticketing.services.ticket_words import add_note, say, say_goodbye
from ticketing.services.ticket_work import Work, check_version

__all__ = ["ActorGoneError", "Done", "Order", "TicketService"]


class TicketService:
    """Commands on tickets.

    Args:
        db: Where everything is.
        clock: For `now`.
        wake: Told the id of every message that waits for delivery, after the commit.
        runbooks: Those in force; without, no steps are demanded before resolving.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        wake: Callable[[uuid.UUID], None],
        *,
        runbooks: Holder[RunbookBook] | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._wake = wake
        self._runbooks = runbooks or Holder(RunbookBook())

    async def take(self, order: Order) -> Done:
        """Answer this customer from now on. Taking one's own ticket again changes nothing.

        Raises:
            AlreadyTakenError: when another agent was quicker.
        """
        async with self._open(order, versioned=False) as opened:
            # That somebody else was quicker is the better answer than that the version differs.
            change = ticket_transitions.take(opened.work.state, order.actor)
            if change is not None:
                await check_version(opened.work, order.expected_version)
                await ticket_work.apply(opened.work, change)
            return await opened.done(repeated=change is None)

    async def reply(
        self,
        order: Order,
        *,
        text: str,
        status: TicketStatus = TicketStatus.OPEN,
        idempotency_key: str | None = None,
        prepared: PreparedReply | None = None,
    ) -> Done:
        """Write to the customer. A ticket that nobody has is taken with it.

        Args:
            order: Who, which ticket.
            text: 1 to 4096 characters.
            status: What the ticket waits for afterwards.
            idempotency_key: The same key again is the same reply again, not a second one.
            prepared: The text of a runbook that it began as; brings what leaves when the 24 h
                window is closed.

        Raises:
            KeyReusedError: when the key was used for other words.
        """
        repeats = Repeats(kind="replied", key=idempotency_key, text=text)
        async with self._open(order, versioned=False) as opened:
            work = opened.work
            earlier = await repeats.earlier(work)
            if earlier is not None:
                return await opened.done(message_id=earlier, repeated=True)
            await check_version(work, order.expected_version)
            await _take_if_nobody_has_it(work)
            change = ticket_transitions.reply(work.state, order.actor, now=work.now, status=status)
            window = None if prepared is None else prepared.closed_window
            message = await say(opened, text, closed_window=window)
            origin = {} if prepared is None else prepared.event_data
            await ticket_work.apply(work, change, data=repeats.data(message.id) | origin)
            return await opened.done(message_id=message.id)

    async def note(self, order: Order, *, text: str, idempotency_key: str | None = None) -> Done:
        """Write an internal remark that the customer never sees."""
        repeats = Repeats(kind="noted", key=idempotency_key, text=text)
        async with self._open(order, versioned=False) as opened:
            work = opened.work
            earlier = await repeats.earlier(work)
            if earlier is not None:
                return await opened.done(message_id=earlier, repeated=True)
            await check_version(work, order.expected_version)
            change = ticket_transitions.note(work.state, order.actor)
            message = await add_note(work, text)
            await ticket_work.apply(work, change, data=repeats.data(message.id))
            return await opened.done(message_id=message.id)

    async def set_status(
        self, order: Order, *, status: TicketStatus, reason: str | None = None
    ) -> Done:
        """Wait for the customer or for somebody else, or go on, without writing a reply."""
        async with self._open(order) as opened:
            work = opened.work
            change = ticket_transitions.set_status(
                work.state, order.actor, status=status, reason=reason
            )
            await ticket_work.apply(work, change)
            return await opened.done()

    async def tag(
        self, order: Order, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Done:
        """Put tags on and take tags off. What is so already is left so (`repeated`).

        Raises:
            InvalidTagError: naming the first wrong tag.
        """
        async with self._open(order) as opened:
            change = ticket_transitions.tag(opened.work.state, order.actor, add=add, remove=remove)
            if change is not None:
                await ticket_work.apply(opened.work, change)
            return await opened.done(repeated=change is None)

    async def escalate(
        self, order: Order, *, target: Target, reason: str, priority: Priority | None = None
    ) -> Done:
        """Hand the ticket up, or aside to another queue of its level."""
        async with self._open(order) as opened:
            await ticket_moving.escalate(
                opened.work,
                target=target,
                reason=reason,
                priority=priority,
            )
            return await opened.done()

    async def de_escalate(self, order: Order, *, target: Target, reason: str) -> Done:
        """Hand the ticket down to a lower level."""
        async with self._open(order) as opened:
            await ticket_moving.de_escalate(opened.work, target=target, reason=reason)
            return await opened.done()

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
            await ticket_moving.assign(
                opened.work,
                target=target,
                reason=reason,
                severity=severity,
            )
            return await opened.done()

    async def release(self, order: Order, *, reason: str) -> Done:
        """Give the ticket back to its queue, clock and priority unchanged."""
        async with self._open(order) as opened:
            work = opened.work
            change = ticket_moves.release(work.state, order.actor, reason=reason)
            await ticket_work.apply(work, change)
            return await opened.done()

    async def change_priority(
        self, order: Order, *, priority: Priority, reason: str | None = None
    ) -> Done:
        """Another priority; its clocks keep the time they have used up."""
        async with self._open(order) as opened:
            await ticket_moving.change_priority(opened.work, priority=priority, reason=reason)
            return await opened.done()

    async def resolve(
        self,
        order: Order,
        *,
        closing_text: str | None = None,
        reason: str | None = None,
        override_reason: str | None = None,
    ) -> Done:
        """Settle the matter. The bot answers again and the customer is told with one message.

        With `closing_text` those words open the message. Without, nothing is written when the
        bot had control anyway or when the channel would only take a paid template.

        Raises:
            StepsMissingError: the runbook wants steps first; a supervisor's `override_reason` goes
                past it.
        """
        async with self._open(order) as opened:
            work = opened.work
            change = ticket_transitions.resolve(
                work.state,
                order.actor,
                now=work.now,
                reason=reason,
                with_words=closing_text is not None,
            )
            await demand_steps(work, self._runbooks.current(), override=override_reason)
            message_id = await say_goodbye(opened, "resolved", closing_text=closing_text)
            told = {"customer_told": message_id is not None, "answered": closing_text is not None}
            await ticket_work.apply(work, change, data=told)
            return await opened.done(message_id=message_id)

    async def return_to_bot(
        self, order: Order, *, reason: str | None = None, override_reason: str | None = None
    ) -> Done:
        """Let the bot go on. The ticket ends as resolved; the next handoff opens another one.

        Raises:
            StepsMissingError: as when resolving, or this would be the way round it.
        """
        async with self._open(order) as opened:
            work = opened.work
            change = ticket_transitions.return_to_bot(
                work.state, order.actor, now=work.now, reason=reason
            )
            await demand_steps(work, self._runbooks.current(), override=override_reason)
            message_id = await say_goodbye(opened, "returned_to_bot")
            await ticket_work.apply(work, change, data={"customer_told": message_id is not None})
            return await opened.done(message_id=message_id)

    async def close(self, order: Order) -> Done:
        """Put a resolved ticket away for good."""
        async with self._open(order) as opened:
            work = opened.work
            change = ticket_transitions.close(work.state, order.actor, now=work.now)
            await ticket_work.apply(work, change)
            return await opened.done()

    async def reopen(self, order: Order, *, reason: str) -> Done:
        """Take up a resolved matter again, as a new stay of the conversation with people."""
        async with self._open(order) as opened:
            await reopen(opened.work, reason=reason)
            return await opened.done()

    def _open(self, order: Order, *, versioned: bool = True) -> AbstractAsyncContextManager[Opened]:
        return open_order(self._db, self._clock, order, wake=self._wake, versioned=versioned)


async def _take_if_nobody_has_it(work: Work) -> None:
    state, actor = work.state, work.actor
    if state.control is Control.HUMAN and state.agent_id is not None:
        return
    if state.agent_id in {None, actor.agent_id}:
        check_permission(state, actor, Transition.REPLY)
        change = ticket_transitions.take(state, actor)
        if change is not None:
            await ticket_work.apply(work, change, data={"implicit": True})
