"""Draw the sample of a week, once: the period's row and its tickets in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, and_, case, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_correlation_id, new_id, new_token
from ticketing.db.engine import Database
from ticketing.db.quality_tables import QualityPeriod, QualitySample
from ticketing.db.satisfaction_tables import TicketSatisfaction
from ticketing.db.sla_tables import SlaClock
from ticketing.db.tables import Handoff, Ticket, TicketEvent
from ticketing.domain.enums import SlaMetric
from ticketing.domain.quality import SampleState
from ticketing.domain.quality_file import QualityPlan
from ticketing.domain.quality_period import Period, complete_periods, period_named
from ticketing.domain.quality_sampling import Sample, StratumCount, TicketFacts, draw
from ticketing.domain.quality_score import Criterion, CriterionKind, Scorecard
from ticketing.services.audit import record

log = structlog.get_logger()

SETTLED = timedelta(hours=1)
"""After its end a week waits so long: what was being resolved at midnight is stored by then."""
CATCH_UP = 4
"""Weeks that are made up for after an outage; older work is no use as feedback."""


class PeriodNotOverError(ValueError):
    """The week is not over: tickets would still join it after the draw."""

    def __init__(self, period: Period) -> None:
        self.field = "period"
        super().__init__(
            f"period: {period.name} is not over; expected a week that ended before "
            f"{SETTLED // timedelta(minutes=1)} minutes ago"
        )


@dataclass(frozen=True, slots=True)
class DrawnPeriod:
    """A week and its sample. `repeated`: it had been drawn before and nothing was done now."""

    period: str
    starts_at: datetime
    ends_at: datetime
    seed: str
    plan: str
    strata: tuple[StratumCount, ...]
    sampled: int
    second: int
    drawn_at: datetime
    repeated: bool


class NoQualityPlanError(Exception):
    """No `quality.yml` is in force here."""

    def __init__(self) -> None:
        super().__init__("no quality.yml is in force; expected one (see docs/quality.md)")


class QualityDraw:
    """Draws weeks.

    Args:
        db: Where everything is.
        clock: For `now`.
        current: The plan in force; None: there is none, and nothing is drawn.
    """

    def __init__(
        self, db: Database, clock: Clock, current: Callable[[], QualityPlan | None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._current = current

    async def run(self) -> int:
        """Draw the weeks that are over and not drawn yet; how many that were. For the scheduler."""
        plan = self._current()
        if plan is None:
            return 0
        now = self._clock.now()
        periods = complete_periods(
            now, zone=ZoneInfo(plan.time_zone), settled=SETTLED, count=CATCH_UP
        )
        async with self._db.transaction() as session:
            names = [period.name for period in periods]
            rows = await session.scalars(
                select(QualityPeriod.period).where(QualityPeriod.period.in_(names))
            )
            there = set(rows)
        missing = [period for period in periods if period.name not in there]
        drawn = [await self._draw(period, plan, now=now, seed=None) for period in missing]
        return sum(not item.repeated for item in drawn)

    async def draw(self, name: str | None = None, *, seed: str | None = None) -> DrawnPeriod:
        """Draw one week; the same week again answers with what was drawn.

        Args:
            name: Such as 2026-W11; None: the last one that is over.
            seed: To draw a known sample again in a test; None: a new one.

        Raises:
            NoQualityPlanError: no plan is in force.
            PeriodError: no such week.
            PeriodNotOverError: it is not over.
        """
        plan = self._current()
        if plan is None:
            raise NoQualityPlanError
        now, zone = self._clock.now(), ZoneInfo(plan.time_zone)
        if name is None:
            (period,) = complete_periods(now, zone=zone, settled=SETTLED, count=1)
        else:
            period = period_named(name, zone=zone)
        if now < period.ends_at + SETTLED:
            raise PeriodNotOverError(period)
        return await self._draw(period, plan, now=now, seed=seed)

    async def _draw(
        self, period: Period, plan: QualityPlan, *, now: datetime, seed: str | None
    ) -> DrawnPeriod:
        async with self._db.transaction() as session:
            chosen = seed or new_token()
            population = await _population(session, period)
            facts = [member.facts for member in population]
            sample = draw(facts, plan.strata, seed=chosen, second_share=plan.second_share)
            # Of two that draw at once the second waits here, and then finds the first one's row.
            made = await session.scalar(
                insert(QualityPeriod)
                .values(
                    period=period.name,
                    starts_at=period.starts_at,
                    ends_at=period.ends_at,
                    seed=chosen,
                    plan=plan.version,
                    strata=[_count(count) for count in sample.counts],
                    scorecard=card_document(plan.scorecard),
                    drawn_at=now,
                )
                .on_conflict_do_nothing(index_elements=["period"])
                .returning(QualityPeriod.period)
            )
            if made is not None:
                await _store(session, period, sample, population)
                await record(
                    session,
                    actor="system",
                    action="quality.drawn",
                    subject=f"period:{period.name}",
                    data={"sampled": len(sample.drawn), "plan": plan.version},
                    now=now,
                    correlation_id=new_correlation_id(),
                )
            view = await _view(session, period.name, repeated=made is None)
        if made is not None:
            log.info("quality.drawn", count=view.sampled, version=plan.version)
        return view


@dataclass(frozen=True, slots=True)
class _Member:
    """A ticket of the week, and whose work it was when the week was looked at."""

    facts: TicketFacts
    agent_id: uuid.UUID
    team_id: uuid.UUID | None


async def _population(session: AsyncSession, period: Period) -> list[_Member]:
    """Every ticket that a person resolved in the week, with what the strata look at."""
    rows = await session.execute(
        select(
            Ticket.id,
            Ticket.agent_id,
            Ticket.team_id,
            _newest_evidence("confidence").label("confidence"),
            _newest_evidence("hours_open").label("hours_open"),
            _sla_missed().label("sla_missed"),
            exists()
            .where(TicketEvent.ticket_id == Ticket.id, TicketEvent.kind == "reopened")
            .label("reopened"),
            select(TicketSatisfaction.score)
            .where(TicketSatisfaction.ticket_id == Ticket.id)
            .scalar_subquery()
            .label("satisfaction"),
        ).where(
            Ticket.resolved_at >= period.starts_at,
            Ticket.resolved_at < period.ends_at,
            Ticket.agent_id.is_not(None),  # what nobody took holds no agent's work
        )
    )
    return [
        _Member(
            TicketFacts(
                ticket_id=row.id,
                confidence=_number(row.confidence),
                sla_missed=row.sla_missed,
                reopened=row.reopened,
                after_hours=None if row.hours_open is None else row.hours_open == "false",
                satisfaction=row.satisfaction,
            ),
            row.agent_id,
            row.team_id,
        )
        for row in rows
    ]


def _newest_evidence(name: str) -> ColumnElement[Any]:
    """What the newest handoff by the bot says; a handoff by reopening says nothing of it."""
    value = Handoff.evidence[name].astext
    return (
        select(value)
        .where(Handoff.ticket_id == Ticket.id, value.is_not(None))
        .order_by(Handoff.id.desc())
        .limit(1)
        .correlate(Ticket)
        .scalar_subquery()
    )


def _sla_missed() -> ColumnElement[bool]:
    """A promise to the customer was broken; the agreement between levels is no such promise."""
    clocks = exists().where(SlaClock.ticket_id == Ticket.id)
    breached = exists().where(
        SlaClock.ticket_id == Ticket.id,
        SlaClock.breached_at.is_not(None),
        SlaClock.metric != SlaMetric.LEVEL.value,
    )
    # Tickets of older releases have no clocks, only the target of the first answer.
    late = or_(
        Ticket.first_response_at > Ticket.sla_expires_at,
        and_(Ticket.first_response_at.is_(None), Ticket.resolved_at > Ticket.sla_expires_at),
    )
    return case((clocks, breached), else_=late)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


async def _store(
    session: AsyncSession, period: Period, sample: Sample, population: list[_Member]
) -> None:
    people = {member.facts.ticket_id: member for member in population}
    for item in sample.drawn:
        member = people[item.ticket_id]
        session.add(
            QualitySample(
                id=new_id(),
                period=period.name,
                ticket_id=item.ticket_id,
                agent_id=member.agent_id,
                team_id=member.team_id,
                stratum=item.stratum,
                probability=item.probability,
                weight=item.weight,
                second=item.second,
                state=SampleState.PENDING.value,
                version=1,
            )
        )
    await session.flush()


async def _view(session: AsyncSession, name: str, *, repeated: bool) -> DrawnPeriod:
    row = await session.get_one(QualityPeriod, name)
    seconds = list(
        await session.scalars(select(QualitySample.second).where(QualitySample.period == name))
    )
    return DrawnPeriod(
        period=row.period,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        seed=row.seed,
        plan=row.plan,
        strata=tuple(
            StratumCount(item["stratum"], item["population"], item["sampled"])
            for item in row.strata
        ),
        sampled=len(seconds),
        second=sum(seconds),
        drawn_at=row.drawn_at,
        repeated=repeated,
    )


def _count(count: StratumCount) -> dict[str, Any]:
    return {
        "stratum": count.stratum,
        "population": count.population,
        "sampled": count.sampled,
    }


def card_document(card: Scorecard) -> dict[str, Any]:
    """A scorecard as JSON, kept with the period."""
    return {
        "version": card.version,
        "criteria": [
            {
                "criterion": item.key,
                "texts": dict(item.texts),
                "answers": item.kind.value,
                "weight": item.weight,
                "critical": item.critical,
            }
            for item in card.criteria
        ],
    }


def card_of(document: dict[str, Any]) -> Scorecard:
    """What `card_document` wrote."""
    return Scorecard(
        document["version"],
        tuple(
            Criterion(
                item["criterion"],
                item["texts"],
                CriterionKind(item["answers"]),
                item["weight"],
                item["critical"],
            )
            for item in document["criteria"]
        ),
    )
