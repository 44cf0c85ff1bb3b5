"""Clocks that could not follow, or that changed rules concern: followed later, some at a time."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select, update

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.sla_tables import SlaRulePeriod
from ticketing.db.tables import Ticket
from ticketing.domain.ticket import OPEN_STATUSES, SYSTEM
from ticketing.services.sla_follow import follow
from ticketing.services.sla_rules import rules_of
from ticketing.services.ticket_work import TicketNotFoundError, lock_ticket

log = structlog.get_logger()

BATCH = 200
"""Tickets followed in one run: about a second of work."""

_SPREAD_BATCH = 2_000
_CORRELATION: Final = "sla-repair"


class SlaRepair:
    """Finds stale tickets by an index and follows them, each in its own transaction.

    Idempotent; several may run. A ticket that cannot be followed is passed by and tried again when
    all others had their turn.
    """

    def __init__(self, db: Database, clock: Clock, *, batch: int = BATCH) -> None:
        self._db = db
        self._clock = clock
        self._batch = batch
        self._after: uuid.UUID | None = None

    async def run(self) -> int:
        """One run; how many tickets were brought up to date."""
        await self._spread()
        repaired, self._after = await repair(
            self._db, now=self._clock.now(), limit=self._batch, after=self._after
        )
        return repaired

    async def _spread(self) -> None:
        """Mark open tickets, some at a time, whose clocks must follow new rules."""
        async with self._db.transaction() as session:
            timeline = rules_of(session)
            period = await session.scalar(
                select(SlaRulePeriod)
                .where(SlaRulePeriod.spread_at.is_(None))
                .order_by(SlaRulePeriod.since.desc())
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if period is None or timeline is None:
                return
            if timeline.periods[-1].since < period.since:
                return  # this process has not learnt of them yet
            chosen = select(Ticket.id).where(
                Ticket.status.in_([status.value for status in OPEN_STATUSES])
            )
            if period.spread_to is not None:
                chosen = chosen.where(Ticket.id > period.spread_to)
            ids = (await session.scalars(chosen.order_by(Ticket.id).limit(_SPREAD_BATCH))).all()
            if ids:
                await session.execute(
                    update(Ticket)
                    .where(Ticket.id.in_(ids), Ticket.sla_stale.is_(False))
                    .values(sla_stale=True)
                    .execution_options(synchronize_session=False)
                )
                period.spread_to = ids[-1]
                return
            await session.execute(
                update(SlaRulePeriod)
                .where(SlaRulePeriod.spread_at.is_(None), SlaRulePeriod.since <= period.since)
                .values(spread_at=self._clock.now())
            )


async def repair(
    db: Database, *, now: datetime, limit: int = BATCH, after: uuid.UUID | None = None
) -> tuple[int, uuid.UUID | None]:
    """Follow stale tickets in the order of their ids.

    Args:
        db: The database.
        now: The present moment.
        limit: How many at most.
        after: Where an earlier run stopped.

    Returns:
        How many are up to date now, and where to go on; None: from the beginning.
    """
    async with db.transaction() as session:
        if rules_of(session) is None:
            return 0, None
        chosen = select(Ticket.id).where(Ticket.sla_stale)
        if after is not None:
            chosen = chosen.where(Ticket.id > after)
        ids = (await session.scalars(chosen.order_by(Ticket.id).limit(limit))).all()
    repaired = 0
    for ticket_id in ids:
        repaired += await _follow_one(db, ticket_id, now=now)
    if repaired:
        log.info("sla.repaired", count=repaired)
    return repaired, ids[-1] if len(ids) == limit else None


async def _follow_one(db: Database, ticket_id: uuid.UUID, *, now: datetime) -> bool:
    try:
        async with db.transaction() as session:
            work = await lock_ticket(
                session, ticket_id, actor=SYSTEM, now=now, correlation_id=_CORRELATION
            )
            if not work.ticket.sla_stale:
                return False
            return await follow(session, ticket_id, now=work.now) is not None
    except TicketNotFoundError:
        return False
    except Exception:
        log.exception("sla.repair_failed", ticket_id=str(ticket_id))
        return False
