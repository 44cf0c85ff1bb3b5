"""One run of the router: what its steps share."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy
from kit.ids import new_correlation_id
from ticketing.db.engine import Database
from ticketing.domain.enums import RoutingState
from ticketing.domain.routing.choice import RoutingChoice
from ticketing.domain.routing.order import WaitingTicket
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.ticket import SYSTEM
from ticketing.services.routing_claim import record
from ticketing.services.routing_facts import Person, people, waiting_ticket
from ticketing.services.ticket_work import TicketNotFoundError, Work, lock_ticket

log = structlog.get_logger()

BATCH = 200
"""Tickets of one step in one run; the next run is seconds away."""


@dataclass(slots=True)
class RoutingReport:
    """What one run did."""

    offered: int = 0
    taken_back: int = 0
    overflowed: int = 0
    named: int = 0
    told: int = 0
    failed: int = 0

    @property
    def changed(self) -> int:
        """How many tickets were changed."""
        return self.offered + self.taken_back + self.overflowed + self.named + self.told


@dataclass(frozen=True, slots=True)
class Run:
    """One run at one moment; each step is a subclass with its tickets.

    Attributes:
        db: Ponte's database.
        policy: In force for the whole run.
        settings: What holds for all queues.
        now: The moment.
        report: Counts what is done.
    """

    db: Database
    policy: HandoffPolicy
    settings: RoutingSettings
    now: datetime
    report: RoutingReport

    async def each(
        self,
        ids: Sequence[uuid.UUID],
        work: Callable[[AsyncSession, uuid.UUID], Awaitable[None]],
    ) -> bool:
        """Each ticket in a transaction of its own; one that fails does not stop the others.

        Returns:
            Whether anything was changed.
        """
        before = self.report.changed
        for ticket_id in ids:
            try:
                async with self.db.transaction() as session:
                    await work(session, ticket_id)
            except TicketNotFoundError:
                continue
            except Exception:
                self.report.failed += 1
                log.exception("routing.failed", ticket_id=str(ticket_id))
        return self.report.changed != before

    async def lock(self, session: AsyncSession, ticket_id: uuid.UUID) -> Work:
        """The ticket with its conversation, locked, for the system to change."""
        return await lock_ticket(
            session, ticket_id, actor=SYSTEM, now=self.now, correlation_id=new_correlation_id()
        )

    async def people(self, session: AsyncSession) -> list[Person]:
        """Everybody who answers customers, as they are now."""
        return await people(
            session,
            languages=self.policy.languages,
            capacity=self.settings.capacity,
            now=self.now,
        )

    async def waiting(self, work: Work) -> WaitingTicket:
        """What a locked ticket needs."""
        return await waiting_ticket(
            work.session,
            work.ticket,
            work.queue,
            policy=self.policy,
            settings=self.settings,
            now=self.now,
        )

    def record(
        self,
        work: Work,
        waiting: WaitingTicket,
        choice: RoutingChoice,
        outcome: RoutingState,
        *,
        queue_key: str,
    ) -> None:
        """Keep the decision."""
        record(
            work.session,
            waiting,
            choice,
            outcome=outcome,
            trigger="overflow" if outcome is RoutingState.OVERFLOWED else "auto",
            queue_key=queue_key,
            policy_version=self.policy.version,
            now=self.now,
            correlation_id=work.correlation_id,
        )
