"""Move tickets up by rule: find those that could be due, look at each under its lock, move it once.

Run by the scheduler. Candidates come from indexes (who waits, what was reopened, which clocks spoke
lately), so a run costs what may be due and not what is open. Several may run: the unique row of a
firing is written in the transaction of the move.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Text, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.business_hours import working_time_between
from handoff.policy import HandoffPolicy
from kit.clock import Clock
from kit.ids import new_correlation_id, new_id
from ticketing.db.engine import Database
from ticketing.db.escalation_tables import EscalationFiring
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.db.tables import Contact, Queue, Ticket, TicketEvent
from ticketing.domain.enums import Level, Priority, Severity, SlaMetric, SlaThreshold
from ticketing.domain.escalation_rules import (
    Alert,
    EscalationFacts,
    EscalationRules,
    Firing,
    first_firing,
)
from ticketing.domain.ticket import (
    LEVELS,
    OPEN_STATUSES,
    PRIORITIES,
    SYSTEM,
    InvalidTransitionError,
)
from ticketing.services import ticket_moving
from ticketing.services.ticket_targets import Target, UnknownTargetError
from ticketing.services.ticket_work import TicketNotFoundError, Work, lock_ticket

log = structlog.get_logger()

BATCH = 200
"""Candidates read at once; each is then looked at in a transaction of its own."""
_ALERTS_OF = timedelta(days=1)
"""How far back alerts are looked at: a scheduler that was down for longer starts afresh."""
_OPEN = [status.value for status in OPEN_STATUSES]
_TOP = LEVELS[-1].value
_TEXT = Text()


@dataclass(frozen=True, slots=True)
class Moved:
    """A ticket that a rule moved."""

    ticket_number: int
    rule: str
    occasion: str
    queue: str


@dataclass(frozen=True, slots=True)
class EscalationSweep:
    """Escalation by rule.

    Attributes:
        db: Where everything is.
        clock: For `now`.
        rules: In force.
        policy: Gives queues their calendars.
        keep_going: Asked between tickets; False ends the run.
    """

    db: Database
    clock: Clock
    rules: EscalationRules
    policy: Callable[[], HandoffPolicy]
    keep_going: Callable[[], bool] = lambda: True

    async def run(self) -> tuple[Moved, ...]:
        """One look at everything that may be due; running it again moves nothing twice."""
        moved: list[Moved] = []
        for ticket_id in await self._candidates(self.clock.now()):
            if not self.keep_going():
                break
            done = await self._look_at(ticket_id)
            if done is not None:
                moved.append(done)
        return tuple(moved)

    async def _candidates(self, now: datetime) -> list[uuid.UUID]:
        found: dict[uuid.UUID, None] = {}
        async with self.db.transaction() as session:
            for ids in (
                await self._waiting(session, now),
                await self._reopened(session),
                await self._alerted(session, now),
            ):
                found |= dict.fromkeys(ids)
        return list(found)

    async def _waiting(self, session: AsyncSession, now: datetime) -> list[uuid.UUID]:
        wait = self.rules.shortest_wait
        if wait is None:
            return []
        found: list[uuid.UUID] = []
        last: tuple[datetime, uuid.UUID] | None = None
        while True:
            # Page by page: those that no rule wants must not hide those behind them.
            query = (
                select(Ticket.unanswered_since, Ticket.id, Queue.key)
                .join(Queue, Queue.id == Ticket.queue_id)
                .where(Ticket.unanswered_since <= now - wait, Ticket.level != _TOP)
            )
            if last is not None:
                since, ticket_id = last
                query = query.where(
                    (Ticket.unanswered_since > since)
                    | ((Ticket.unanswered_since == since) & (Ticket.id > ticket_id))
                )
            query = query.order_by(Ticket.unanswered_since, Ticket.id).limit(BATCH)
            rows = (await session.execute(query)).all()
            # Counted here too: at night nothing is locked for those who wait for the morning.
            found += [
                ticket_id
                for since, ticket_id, queue in rows
                if self._waited(queue, since, now=now) >= wait
            ]
            if len(rows) < BATCH:
                return found
            last = (rows[-1][0] or now, rows[-1][1])

    def _waited(self, queue: str, since: datetime | None, *, now: datetime) -> timedelta:
        """Working time of the queue since then."""
        policy = self.policy()
        if since is None or queue not in policy.queues:
            return timedelta()
        return working_time_between(policy.calendar_of(queue), since, now)

    async def _reopened(self, session: AsyncSession) -> list[uuid.UUID]:
        least = self.rules.least_reopened
        if least is None:
            return []
        query = select(Ticket.id).where(
            Ticket.reopened >= least,
            Ticket.level != _TOP,
            Ticket.status.in_(_OPEN),
            # Only those whose last reopening has moved nothing yet.
            ~select(EscalationFiring.id)
            .where(
                EscalationFiring.ticket_id == Ticket.id,
                EscalationFiring.occasion == "reopened:" + Ticket.reopened.cast(_TEXT),
            )
            .exists(),
        )
        return list(await session.scalars(query.order_by(Ticket.id)))

    async def _alerted(self, session: AsyncSession, now: datetime) -> list[uuid.UUID]:
        if not any(rule.trigger.alert for rule in self.rules.rules):
            return []
        query = (
            select(SlaAlert.ticket_id)
            .join(Ticket, Ticket.id == SlaAlert.ticket_id)
            .where(
                SlaAlert.detected_at > now - _ALERTS_OF,
                Ticket.level != _TOP,
                Ticket.status.in_(_OPEN),
                ~select(EscalationFiring.id)
                .where(
                    EscalationFiring.ticket_id == SlaAlert.ticket_id,
                    EscalationFiring.occasion == "alert:" + SlaAlert.id.cast(_TEXT),
                )
                .exists(),
            )
            .distinct()
        )
        return list(await session.scalars(query))

    async def _look_at(self, ticket_id: uuid.UUID) -> Moved | None:
        try:
            async with self.db.transaction() as session:
                return await self._move(session, ticket_id)
        except (InvalidTransitionError, UnknownTargetError, TicketNotFoundError) as error:
            # The queues of the file and of the database differ: named in the log at every run,
            # until somebody makes them agree. The others go on.
            log.error(  # noqa: TRY400 - the class says it all
                "escalation.refused",
                ticket_id=str(ticket_id),
                error_type=type(error).__name__,
            )
            return None

    async def _move(self, session: AsyncSession, ticket_id: uuid.UUID) -> Moved | None:
        now = self.clock.now()
        work = await lock_ticket(
            session, ticket_id, actor=SYSTEM, now=now, correlation_id=new_correlation_id()
        )
        if work.state.status not in OPEN_STATUSES:
            return None
        since = work.ticket.unanswered_since
        waited = self._waited(work.queue.key, since, now=now)
        facts = await _facts(work, waited=waited)
        firing = first_firing(self.rules, facts, fired=await _fired(work), now=now)
        if firing is None:
            return None
        version = f"{firing.rule.name}@{self.rules.version}"
        event = await ticket_moving.escalate(
            work,
            target=Target(queue=firing.queue),
            reason=version,
            priority=_raised(firing, facts.priority),
            data={"rule": version, "facts": dict(firing.facts)},
        )
        session.add(
            EscalationFiring(
                id=new_id(),
                ticket_id=ticket_id,
                rule=firing.rule.name,
                rule_version=version,
                occasion=firing.occasion,
                event_id=event.id,
                at=work.now,
            )
        )
        log.info(
            "escalation.moved",
            ticket_id=str(ticket_id),
            ticket_number=work.ticket.number,
            rule=version,
            level_from=facts.level.value,
            level_to=work.ticket.level,
            queue=firing.queue,
            reason=firing.occasion.partition(":")[0],
            correlation_id=work.correlation_id,
        )
        return Moved(work.ticket.number, version, firing.occasion, firing.queue)


def _raised(firing: Firing, present: Priority) -> Priority | None:
    wanted = firing.rule.priority
    if wanted is None or PRIORITIES.index(wanted) <= PRIORITIES.index(present):
        return None
    return wanted


async def _facts(work: Work, *, waited: timedelta) -> EscalationFacts:
    ticket = work.ticket
    contact = await work.session.get_one(Contact, ticket.contact_id)
    arrived = await work.session.scalar(
        select(TicketEvent.at)
        .where(
            TicketEvent.ticket_id == ticket.id,
            TicketEvent.kind.in_(["opened", "escalated", "de_escalated", "reassigned"]),
            TicketEvent.data["to_level"].astext.is_distinct_from(
                TicketEvent.data["from_level"].astext
            ),
        )
        .order_by(TicketEvent.seq.desc())
        .limit(1)
    )
    worked_at = await work.session.scalar(
        select(TicketEvent.at)
        .where(TicketEvent.ticket_id == ticket.id, TicketEvent.actor.startswith("agent:"))
        .order_by(TicketEvent.seq.desc())
        .limit(1)
    )
    alerts = await work.session.execute(
        select(SlaAlert.id, SlaClock.metric, SlaAlert.threshold)
        .join(SlaClock, SlaClock.id == SlaAlert.clock_id)
        # What an earlier level did not do is told to it, not to the level that has it now.
        .where(SlaAlert.ticket_id == ticket.id, SlaAlert.detected_at >= (arrived or work.now))
        .order_by(SlaAlert.detected_at, SlaAlert.id)
    )
    return EscalationFacts(
        level=Level(ticket.level),
        queue=work.queue.key,
        priority=Priority(ticket.priority),
        severity=Severity(ticket.severity),
        vip=contact.vip,
        unanswered_since=ticket.unanswered_since,
        waited=waited,
        reopened=ticket.reopened,
        worked_at=worked_at,
        alerts=tuple(
            Alert(row_id, SlaMetric(metric), SlaThreshold(threshold))
            for row_id, metric, threshold in alerts
        ),
    )


async def _fired(work: Work) -> frozenset[tuple[str, str]]:
    rows = await work.session.execute(
        select(EscalationFiring.rule, EscalationFiring.occasion).where(
            EscalationFiring.ticket_id == work.ticket.id
        )
    )
    return frozenset((rule, occasion) for rule, occasion in rows)
