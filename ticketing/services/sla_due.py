"""Which clocks are due, and everything the SLA monitor has to know about their tickets.

**Locks.** Whoever changes a ticket or its clocks holds the ticket's row lock. The monitor takes
that lock too, but never waits for it: a ticket that somebody works on is passed by and looked at
in the next sweep. Who waits for nothing can be part of no deadlock.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.business_hours import Calendar, working_time_between
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.db.tables import Conversation, Handoff, Queue, Ticket
from ticketing.domain.enums import ClockState, SlaMetric, SlaState, SlaThreshold, TicketStatus
from ticketing.domain.sla.rules import Timeline
from ticketing.domain.sla_alerts import DueClock, EarlierAlert, Silence
from ticketing.domain.ticket import OPEN_STATUSES

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the order of due clocks a sweep has come to."""

    next_check_at: datetime
    clock_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class DueTicket:
    """A ticket with the clocks that have come due, and the alerts it has had.

    Attributes:
        row: Ticket, queue's key and name, control of the conversation, handoff's reason and rule.
        clocks: The rows of its due clocks.
        due: The same for the domain.
        earlier: Its stored alerts.
    """

    row: Row[Any]
    clocks: tuple[SlaClock, ...]
    due: tuple[DueClock, ...]
    earlier: tuple[EarlierAlert, ...]

    @property
    def ticket(self) -> Ticket:
        """The ticket itself."""
        found: Ticket = self.row.Ticket
        return found

    @property
    def is_over(self) -> bool:
        """Whether it is resolved or closed."""
        return TicketStatus(self.ticket.status) not in OPEN_STATUSES

    @property
    def state(self) -> SlaState:
        """How it stands with its promises, before this sweep."""
        return SlaState(self.ticket.sla_state)

    def clock(self, clock_id: uuid.UUID) -> SlaClock:
        """The row of one of its due clocks."""
        return next(clock for clock in self.clocks if clock.id == clock_id)


class WorkingTime:
    """Working time that clocks have used up, by the calendars that are known."""

    def __init__(self, timeline: Timeline | None) -> None:
        self._calendars: dict[str, Calendar] = {}
        for period in () if timeline is None else timeline.periods:
            for name, calendar in period.rules.calendars.items():
                self._calendars[period.rules.calendar_names[name]] = calendar

    def used(self, clock: SlaClock, *, until: datetime) -> int:
        """Seconds of working time that a clock has used up at a moment.

        A clock that runs has counted since its row was written. When its calendar is not known
        here, what it had used up at that time is the best that can be said.
        """
        calendar = self._calendars.get(clock.calendar)
        stands = clock.paused_at is not None or clock.ended_at is not None
        if calendar is None or stands or until <= clock.updated_at:
            return clock.consumed_seconds
        return clock.consumed_seconds + (
            working_time_between(calendar, clock.updated_at, until) // _SECOND
        )

    def time_zone(self, clock: SlaClock) -> str | None:
        """IANA name of the zone the clock counts in, when its calendar is known here."""
        calendar = self._calendars.get(clock.calendar)
        return None if calendar is None else calendar.time_zone


def due_statement(
    *, now: datetime, after: Place | None, limit: int
) -> Select[uuid.UUID, uuid.UUID, datetime | None]:
    """Clocks whose time has come, the longest waiting first: (clock, ticket, next_check_at).

    It costs what is due, not what is open: `ix_sla_clocks_due` is read from its beginning.
    """
    statement = (
        select(SlaClock.id, SlaClock.ticket_id, SlaClock.next_check_at)
        .where(SlaClock.next_check_at <= now)
        .order_by(SlaClock.next_check_at, SlaClock.id)
        .limit(limit)
    )
    if after is not None:
        here = tuple_(SlaClock.next_check_at, SlaClock.id)
        statement = statement.where(here > (after.next_check_at, after.clock_id))
    return statement


async def due_clocks(
    session: AsyncSession, *, now: datetime, after: Place | None, limit: int
) -> tuple[tuple[uuid.UUID, ...], Place | None]:
    """Tickets of the next due clocks, and the place behind them; (empty, None): there is no more.

    What a sweep could not handle stays due, and this sweep goes on behind it.
    """
    rows = (await session.execute(due_statement(now=now, after=after, limit=limit))).all()
    if not rows:
        return (), None
    last = rows[-1]
    return tuple(dict.fromkeys(row.ticket_id for row in rows)), Place(last.next_check_at, last.id)


async def claim(
    session: AsyncSession, tickets: Sequence[uuid.UUID], *, now: datetime
) -> tuple[DueTicket, ...]:
    """Lock those tickets that nobody works on, until the transaction ends, and read them.

    What is due is read again under the lock: another sweep may have been here in between.
    """
    statement = _ticket_rows(tickets).with_for_update(of=Ticket, key_share=True, skip_locked=True)
    return await _read(session, statement, now=now)


async def look_at(
    session: AsyncSession, tickets: Sequence[uuid.UUID], *, until: datetime
) -> tuple[DueTicket, ...]:
    """The same without a lock, with every clock that comes due until a moment; for explaining."""
    return await _read(session, _ticket_rows(tickets), now=until)


def _ticket_rows(tickets: Sequence[uuid.UUID]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Ticket,
            Queue.key.label("queue_key"),
            Queue.name.label("queue_name"),
            Conversation.control,
            Conversation.control_epoch,
            Handoff.reason.label("handoff_reason"),
            Handoff.rule.label("handoff_rule"),
        )
        .join(Queue, Queue.id == Ticket.queue_id)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .outerjoin(Handoff, (Handoff.ticket_id == Ticket.id) & Handoff.ended_at.is_(None))
        .where(Ticket.id.in_(tickets))
        .order_by(Ticket.id)
    )


async def _read(
    session: AsyncSession, statement: Select[*tuple[Any, ...]], *, now: datetime
) -> tuple[DueTicket, ...]:
    fresh = {"populate_existing": True}  # the session may have seen these rows before
    rows = (await session.execute(statement, execution_options=fresh)).all()
    ids = [row.Ticket.id for row in rows]
    if not ids:
        return ()
    clocks: dict[uuid.UUID, list[SlaClock]] = defaultdict(list)
    found = await session.scalars(
        select(SlaClock)
        .where(SlaClock.ticket_id.in_(ids), SlaClock.next_check_at <= now)
        .order_by(SlaClock.next_check_at, SlaClock.id),
        execution_options=fresh,
    )
    for clock in found:
        clocks[clock.ticket_id].append(clock)
    earlier, said = await _alerts(session, clocks)
    return tuple(
        DueTicket(
            row,
            tuple(clocks[row.Ticket.id]),
            tuple(_for_domain(clock, said[clock.id]) for clock in clocks[row.Ticket.id]),
            tuple(earlier[row.Ticket.id]),
        )
        for row in rows
        if row.Ticket.id in clocks
    )


async def _alerts(
    session: AsyncSession, tickets: Iterable[uuid.UUID]
) -> tuple[dict[uuid.UUID, list[EarlierAlert]], dict[uuid.UUID, set[SlaThreshold]]]:
    """Alerts by ticket, and thresholds by clock."""
    earlier: dict[uuid.UUID, list[EarlierAlert]] = defaultdict(list)
    said: dict[uuid.UUID, set[SlaThreshold]] = defaultdict(set)
    rows = await session.execute(
        select(
            SlaAlert.ticket_id,
            SlaAlert.clock_id,
            SlaAlert.threshold,
            SlaAlert.detected_at,
            SlaAlert.silence,
        ).where(SlaAlert.ticket_id.in_(list(tickets)))
    )
    for ticket_id, clock_id, threshold, detected_at, silence in rows:
        kind = SlaThreshold(threshold)
        reason = None if silence is None else Silence(silence)
        earlier[ticket_id].append(EarlierAlert(kind, detected_at, reason))
        said[clock_id].add(kind)
    return earlier, said


def _for_domain(clock: SlaClock, said: Iterable[SlaThreshold]) -> DueClock:
    return DueClock(
        clock_id=clock.id,
        metric=SlaMetric(clock.metric),
        cycle=clock.cycle,
        state=ClockState(clock.state),
        due_at=clock.due_at,
        warn_at=clock.warn_at,
        breached_at=clock.breached_at,
        is_over=clock.ended_at is not None or clock.met_at is not None,
        said=frozenset(said),
    )
