"""The frame of every command on a ticket: who asks, what is locked, what comes back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.tables import Agent
from ticketing.domain.ticket import Actor
from ticketing.services.ticket_views import TicketSummary, ticket_summary
from ticketing.services.ticket_work import Work, check_version, lock_ticket


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
        seal: Told the outcome inside the transaction, right before it commits, so that a repeated
            request can be answered with it (`ticketing.services.idempotency`).
    """

    actor: Actor
    ticket_id: uuid.UUID
    correlation_id: str
    expected_version: int | None = None
    seal: Callable[[AsyncSession, Done], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The ticket afterwards, and the message that was written, if any.

    `repeated` says that the same request had been done before and nothing was done now.
    """

    ticket: TicketSummary
    message_id: uuid.UUID | None = None
    repeated: bool = False


@dataclass(slots=True)
class Opened:
    """A running command: the locked work and the messages to wake after the commit."""

    work: Work
    to_send: list[uuid.UUID] = field(default_factory=list)
    seal: Callable[[AsyncSession, Done], Awaitable[None]] | None = None

    async def done(self, *, message_id: uuid.UUID | None = None, repeated: bool = False) -> Done:
        """What the caller gets; read before the commit, so it is what this command left."""
        await self.work.session.flush()
        done = Done(
            ticket=await ticket_summary(self.work.session, self.work.ticket.id),
            message_id=message_id,
            repeated=repeated,
        )
        if self.seal is not None:
            await self.seal(self.work.session, done)
        return done


@asynccontextmanager
async def open_order(
    db: Database,
    clock: Clock,
    order: Order,
    *,
    wake: Callable[[uuid.UUID], None],
    versioned: bool = True,
) -> AsyncIterator[Opened]:
    """One transaction with the ticket locked; commits at the end and wakes the deliveries.

    Args:
        db: Where everything is.
        clock: For `now`.
        order: Who, which ticket.
        wake: Told the id of every message that waits for delivery, after the commit.
        versioned: Check the expected version here; a command that has a better answer than "it has
            changed" checks it later by itself.

    Raises:
        TicketNotFoundError: when there is no such ticket.
        ActorGoneError: when the person was disabled a moment ago.
        VersionConflictError: when the ticket has changed.
    """
    async with db.transaction() as session:
        work = await lock_ticket(
            session,
            order.ticket_id,
            actor=order.actor,
            # Read after the wait for the locks would be later than the click; before is fair.
            now=clock.now(),
            correlation_id=order.correlation_id,
        )
        await _check_active(session, order.actor)
        if versioned:
            await check_version(work, order.expected_version)
        opened = Opened(work, seal=order.seal)
        yield opened
    for message_id in opened.to_send:
        wake(message_id)


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
