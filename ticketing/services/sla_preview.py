"""What a sweep of the SLA monitor would do now, and what comes next; writes and locks nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.sla_tables import SlaClock
from ticketing.db.tables import Ticket
from ticketing.domain.enums import SlaThreshold
from ticketing.domain.sla_alerts import Judgement, Silence, Verdict, decide
from ticketing.services.sla_due import DueTicket, Place, WorkingTime, due_clocks, look_at
from ticketing.services.sla_rules import rules_of

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Said:
    """A threshold that would be stored now.

    Attributes:
        threshold: `warning` or `breach`.
        passed_at: When the clock passed it.
        told: Whether somebody would be told.
        why_not: `cooldown` or `breach_told` when nobody would be.
    """

    threshold: SlaThreshold
    passed_at: datetime
    told: bool
    why_not: Silence | None


@dataclass(frozen=True, slots=True)
class ClockPreview:
    """One clock as the monitor sees it. Amounts are seconds of working time.

    Attributes:
        says: What would be stored; empty for a clock whose time has not come.
        hold: Why nothing is said (`ticketing.domain.sla_alerts.Hold`).
        next_check_at: When it is looked at.
        waiting_seconds: Since when it is due; negative: in how long.
    """

    ticket_id: uuid.UUID
    ticket_number: int
    metric: str
    cycle: int
    state: str
    policy: str
    calendar: str
    target_seconds: int
    consumed_seconds: int
    warn_at: datetime | None
    due_at: datetime | None
    next_check_at: datetime
    waiting_seconds: int
    says: tuple[Said, ...]
    hold: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """All that is due, up to a limit, and the next clocks after it.

    Attributes:
        at: The moment it was made for.
        due_count: How many clocks are due, also beyond the limit.
        due: The longest waiting first.
        upcoming: The next ones.
        messages: How many messages the sweep would write for the tickets shown.
    """

    at: datetime
    due_count: int
    due: tuple[ClockPreview, ...]
    upcoming: tuple[ClockPreview, ...]
    messages: int


async def preview(
    session: AsyncSession, *, now: datetime, cooldown: timedelta, limit: int, upcoming: int
) -> Preview:
    """What the next sweep would store and tell.

    Args:
        session: Reads only.
        now: The present, or the moment to look at.
        cooldown: SLA_ALERT_COOLDOWN_MS.
        limit: Most due clocks to explain.
        upcoming: How many of the next ones to show.
    """
    working = WorkingTime(rules_of(session))
    count = await session.scalar(
        select(func.count()).select_from(SlaClock).where(SlaClock.next_check_at <= now)
    )
    start: Place | None = None
    tickets, _ = await due_clocks(session, now=now, after=start, limit=limit)
    found = await look_at(session, tickets, until=now)
    verdicts = [
        decide(one.due, one.earlier, now=now, cooldown=cooldown, ticket_is_over=one.is_over)
        for one in found
    ]
    due = [
        line
        for one, verdict in zip(found, verdicts, strict=True)
        for line in _lines(one, verdict, working=working, now=now)
    ]
    due.sort(key=lambda line: (line.next_check_at, line.ticket_number))
    return Preview(
        at=now,
        due_count=count or 0,
        due=tuple(due),
        upcoming=await _upcoming(session, working=working, now=now, limit=upcoming),
        messages=sum(len(verdict.messages) for verdict in verdicts),
    )


def _lines(
    found: DueTicket, verdict: Verdict, *, working: WorkingTime, now: datetime
) -> Iterable[ClockPreview]:
    for judgement in verdict.judgements:
        clock = found.clock(judgement.clock.clock_id)
        yield _line(
            clock,
            found.ticket.number,
            says=_says(judgement, verdict),
            hold=None if judgement.hold is None else judgement.hold.value,
            working=working,
            now=now,
        )


def _says(judgement: Judgement, verdict: Verdict) -> tuple[Said, ...]:
    return tuple(
        Said(alert.threshold, alert.passed_at, told=alert.told, why_not=alert.silence)
        for alert in verdict.alerts
        if alert.clock.clock_id == judgement.clock.clock_id
    )


async def _upcoming(
    session: AsyncSession, *, working: WorkingTime, now: datetime, limit: int
) -> tuple[ClockPreview, ...]:
    rows: Sequence[tuple[SlaClock, int]] = [
        (clock, number)
        for clock, number in await session.execute(
            select(SlaClock, Ticket.number)
            .join(Ticket, Ticket.id == SlaClock.ticket_id)
            .where(SlaClock.next_check_at > now)
            .order_by(SlaClock.next_check_at, SlaClock.id)
            .limit(limit)
        )
    ]
    return tuple(
        _line(clock, number, says=(), hold="not_yet", working=working, now=now)
        for clock, number in rows
    )


def _line(
    clock: SlaClock,
    number: int,
    *,
    says: tuple[Said, ...],
    hold: str | None,
    working: WorkingTime,
    now: datetime,
) -> ClockPreview:
    check_at = clock.next_check_at or now
    return ClockPreview(
        ticket_id=clock.ticket_id,
        ticket_number=number,
        metric=clock.metric,
        cycle=clock.cycle,
        state=clock.state,
        policy=clock.policy,
        calendar=clock.calendar,
        target_seconds=clock.target_seconds,
        consumed_seconds=working.used(clock, until=now),
        warn_at=clock.warn_at,
        due_at=clock.due_at,
        next_check_at=check_at,
        waiting_seconds=(now - check_at) // _SECOND,
        says=says,
        hold=hold,
    )
