"""A ticket's clocks and alerts as people and programs read them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.db.tables import Ticket
from ticketing.domain.enums import SlaMetric
from ticketing.domain.sla.clocks import Clock, Stretch
from ticketing.domain.ticket import Actor
from ticketing.services.sla_follow import clocks_of, row_of
from ticketing.services.sla_rules import rules_of
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.visibility import NotVisibleError, may_see

_SECOND: Final = timedelta(seconds=1)
_METRICS = [metric.value for metric in SlaMetric]


@dataclass(frozen=True, slots=True)
class StretchView:
    """A part of a clock's life in which nothing changed.

    Attributes:
        begins: First moment.
        ends: Where the next one begins; the present for the last one of a clock that goes on.
        running: Whether working time counted.
        reason: `running`, or why it stood still.
        worked_seconds: Working time that counted.
        target_seconds: The target at that time; None without one.
        calendar: name@version it counted in.
        policy: id@version that promised it.
    """

    begins: datetime
    ends: datetime
    running: bool
    reason: str
    worked_seconds: int
    target_seconds: int | None
    calendar: str
    policy: str


@dataclass(frozen=True, slots=True)
class ClockView:
    """One promise about a ticket. `consumed_seconds` is the sum of what its stretches worked."""

    metric: str
    cycle: int
    state: str
    policy: str
    calendar: str
    target_seconds: int
    consumed_seconds: int
    started_at: datetime
    paused_at: datetime | None
    warn_at: datetime | None
    due_at: datetime | None
    met_at: datetime | None
    breached_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    stretches: tuple[StretchView, ...]

    @property
    def share(self) -> float:
        """How much of the target is used up; more than 1 when it is late."""
        return self.consumed_seconds / max(1, self.target_seconds)

    @property
    def goes_on(self) -> bool:
        """Whether it is neither kept nor void."""
        return self.ended_at is None and self.met_at is None


@dataclass(frozen=True, slots=True)
class AlertView:
    """A threshold that one of the ticket's clocks passed.

    Attributes:
        metric: Of the clock.
        cycle: Of the clock.
        threshold: `warning` or `breach`.
        passed_at: When the clock passed it.
        detected_at: When the monitor saw it.
        told: Whether somebody was told.
        silence: Why not: `cooldown` or `breach_told`.
    """

    metric: str
    cycle: int
    threshold: str
    passed_at: datetime
    detected_at: datetime
    told: bool
    silence: str | None


@dataclass(frozen=True, slots=True)
class TicketSlaView:
    """What was promised about a ticket, how it stands, and who was warned.

    Attributes:
        ticket_id: The ticket.
        ticket_number: Its number.
        state: `none`, `ok`, `warning`, `breached`, `paused` or `met`.
        target_minutes: Of the most urgent clock.
        expires_at: When that target is used up.
        clocks: By metric and cycle.
        alerts: In the order in which they passed.
    """

    ticket_id: uuid.UUID
    ticket_number: int
    state: str
    target_minutes: int | None
    expires_at: datetime | None
    clocks: tuple[ClockView, ...]
    alerts: tuple[AlertView, ...]


async def ticket_sla(
    session: AsyncSession, ticket_id: uuid.UUID, *, actor: Actor, now: datetime
) -> TicketSlaView:
    """A ticket's SLA as it stands now.

    Raises:
        TicketNotFoundError: when there is none.
        NotVisibleError: when it is not for this person.
    """
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        raise TicketNotFoundError(ticket_id)
    if not may_see(ticket, actor):
        raise NotVisibleError
    return TicketSlaView(
        ticket_id=ticket.id,
        ticket_number=ticket.number,
        state=ticket.sla_state,
        target_minutes=ticket.sla_target_minutes,
        expires_at=ticket.sla_expires_at,
        clocks=await clock_views(session, ticket_id, now=now),
        alerts=await alert_views(session, ticket_id),
    )


async def clock_views(
    session: AsyncSession, ticket_id: uuid.UUID, *, now: datetime
) -> tuple[ClockView, ...]:
    """The clocks measured at `now`; in a process without rules, as they were last written."""
    if rules_of(session) is not None:
        clocks = await clocks_of(session, ticket_id, now=now)
        return tuple(_measured(clock) for clock in clocks)
    rows = await session.scalars(select(SlaClock).where(SlaClock.ticket_id == ticket_id))
    found = sorted(rows, key=lambda row: (_METRICS.index(row.metric), row.cycle))
    return tuple(_stored(row) for row in found)


async def alert_views(session: AsyncSession, ticket_id: uuid.UUID) -> tuple[AlertView, ...]:
    """Every alert of a ticket's clocks."""
    rows = await session.execute(
        select(SlaAlert, SlaClock.metric, SlaClock.cycle)
        .join(SlaClock, SlaClock.id == SlaAlert.clock_id)
        .where(SlaAlert.ticket_id == ticket_id)
        .order_by(SlaAlert.passed_at, SlaClock.metric, SlaClock.cycle, SlaAlert.threshold)
    )
    return tuple(
        AlertView(
            metric=metric,
            cycle=cycle,
            threshold=alert.threshold,
            passed_at=alert.passed_at,
            detected_at=alert.detected_at,
            told=alert.told,
            silence=alert.silence,
        )
        for alert, metric, cycle in rows
    )


def _measured(clock: Clock) -> ClockView:
    values = row_of(clock)
    return _view(
        {"metric": clock.metric.value, "cycle": clock.cycle, **values},
        (_stretch(stretch) for stretch in clock.stretches),
    )


def _stored(row: SlaClock) -> ClockView:
    values = {name: getattr(row, name) for name in _COLUMNS}
    return _view(values, (_segment(segment) for segment in row.segments))


_COLUMNS = tuple(name for name in ClockView.__dataclass_fields__ if name != "stretches")


def _view(values: dict[str, Any], stretches: Iterable[StretchView]) -> ClockView:
    return ClockView(**{name: values[name] for name in _COLUMNS}, stretches=tuple(stretches))


def _stretch(stretch: Stretch) -> StretchView:
    return StretchView(
        begins=stretch.begins,
        ends=stretch.ends,
        running=stretch.running,
        reason=stretch.reason,
        worked_seconds=stretch.worked // _SECOND,
        target_seconds=None if stretch.target is None else stretch.target // _SECOND,
        calendar=stretch.calendar,
        policy=stretch.policy,
    )


def _segment(segment: dict[str, Any]) -> StretchView:
    return StretchView(
        begins=datetime.fromisoformat(segment["from"]),
        ends=datetime.fromisoformat(segment["to"]),
        running=segment["running"],
        reason=segment["reason"],
        worked_seconds=int(segment["worked_seconds"]),
        target_seconds=segment["target_seconds"],
        calendar=segment["calendar"],
        policy=segment["policy"],
    )
