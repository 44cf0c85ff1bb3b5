"""Let a ticket's clocks follow its history: read the events, evaluate, write what changed.

Done wherever something happens to a ticket, in the same transaction and under its lock. A mistake
in the rules must not undo what a person did: then the ticket is marked stale and `sla_repair`
follows it later.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.db.tables import Company, Contact, Queue, Ticket, TicketEvent
from ticketing.domain.enums import ClockState, SlaThreshold, TicketStatus
from ticketing.domain.sla.clocks import NO_TARGET, Clock, Stretch, evaluate
from ticketing.domain.sla.from_events import LoggedEvent, history_of
from ticketing.domain.sla.history import History, Situation
from ticketing.domain.sla.rules import Timeline
from ticketing.domain.sla.summary import summary_of
from ticketing.services.sla_rules import rules_of

log = structlog.get_logger()

_ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is known of a clock's row; the rest is compared as values."""

    values: Mapping[str, Any]
    told: frozenset[SlaThreshold]
    updated_at: datetime


_Key = tuple[str, int]


async def follow(
    session: AsyncSession, ticket_id: uuid.UUID, *, now: datetime, rules: Timeline | None = None
) -> tuple[Clock, ...] | None:
    """Bring a ticket's clocks up to date. Doing it again changes nothing.

    The caller holds the lock of the ticket. Nothing is raised for rules that do not work; only a
    database that does not answer ends the transaction.

    Args:
        session: The caller's transaction.
        ticket_id: The ticket.
        now: The present moment.
        rules: What is promised; None: what the session knows (`sla_rules.use_rules`).

    Returns:
        The clocks. None when they could not be followed: then the ticket is marked stale.
    """
    timeline = rules or rules_of(session)
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None:
        return ()
    if timeline is None:
        ticket.sla_stale = True
        return None
    history = await _history(session, ticket)
    stored = await _stored(session, ticket_id)
    # A clock that was set back does not make time unpassed, nor a breach undone.
    present = max([now, *(row.updated_at for row in stored.values())])
    try:
        clocks = evaluate(history, timeline, present)
        async with session.begin_nested():
            await _write(session, ticket_id, clocks, stored=stored, now=present)
    except Exception:
        log.exception("sla.follow_failed", ticket_id=str(ticket_id))
        ticket.sla_stale = True
        return None
    summary = summary_of(clocks, now=present)
    ticket.sla_state = summary.state.value
    ticket.sla_target_minutes = summary.target_minutes
    ticket.sla_expires_at = summary.due_at
    ticket.sla_stale = False
    return clocks


async def clocks_of(
    session: AsyncSession, ticket_id: uuid.UUID, *, now: datetime, rules: Timeline | None = None
) -> tuple[Clock, ...]:
    """A ticket's clocks as they stand at `now`, with their stretches; writes nothing.

    For `ticketing.domain.sla.explain`. Empty without rules or without such a ticket.
    """
    timeline = rules or rules_of(session)
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None or timeline is None:
        return ()
    return evaluate(await _history(session, ticket), timeline, now)


async def _history(session: AsyncSession, ticket: Ticket) -> History:
    rows = await session.execute(
        select(
            TicketEvent.seq, TicketEvent.kind, TicketEvent.actor, TicketEvent.at, TicketEvent.data
        )
        .where(TicketEvent.ticket_id == ticket.id)
        .order_by(TicketEvent.seq)
    )
    events = [LoggedEvent(*row) for row in rows]
    queue, vip, company = (
        await session.execute(
            select(Queue.key, Contact.vip, Company.name)
            .select_from(Ticket)
            .join(Queue, Queue.id == Ticket.queue_id)
            .join(Contact, Contact.id == Ticket.contact_id)
            .outerjoin(Company, Company.id == Ticket.company_id)
            .where(Ticket.id == ticket.id)
        )
    ).one()
    present = Situation(
        status=TicketStatus(ticket.status),
        priority=ticket.priority,
        severity=ticket.severity,
        level=ticket.level,
        queue=queue,
        channel=ticket.channel,
        company=company,
        vip=vip,
        tags=frozenset(ticket.tags or ()),
    )
    return history_of(events, present=present, opened_at=ticket.opened_at)


_COMPARED = (
    "policy",
    "calendar",
    "state",
    "target_seconds",
    "consumed_seconds",
    "started_at",
    "paused_at",
    "due_at",
    "warn_at",
    "met_at",
    "breached_at",
    "ended_at",
    "reason",
    "next_check_at",
    "segments",
)


async def _stored(session: AsyncSession, ticket_id: uuid.UUID) -> dict[_Key, _Stored]:
    told = (
        select(func.array_agg(SlaAlert.threshold))
        .where(SlaAlert.clock_id == SlaClock.id)
        .scalar_subquery()
    )
    columns = [getattr(SlaClock, name) for name in _COMPARED]
    rows = await session.execute(
        select(SlaClock.metric, SlaClock.cycle, SlaClock.updated_at, told, *columns).where(
            SlaClock.ticket_id == ticket_id
        )
    )
    return {
        (metric, cycle): _Stored(
            dict(zip(_COMPARED, values, strict=True)),
            frozenset(SlaThreshold(threshold) for threshold in thresholds or ()),
            updated_at,
        )
        for metric, cycle, updated_at, thresholds, *values in rows
    }


async def _write(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    clocks: Sequence[Clock],
    *,
    stored: Mapping[_Key, _Stored],
    now: datetime,
) -> None:
    changed: list[dict[str, Any]] = []
    for clock in clocks:
        key = (clock.metric.value, clock.cycle)
        known = stored.get(key)
        values = row_of(clock, told=known.told if known else frozenset())
        if known is None or dict(known.values) != values:
            changed.append(
                {
                    "id": new_id(),
                    "ticket_id": ticket_id,
                    "metric": key[0],
                    "cycle": key[1],
                    "updated_at": now,
                    **values,
                }
            )
    if changed:
        statement = insert(SlaClock).values(changed)
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=["ticket_id", "metric", "cycle"],
                set_={
                    name: getattr(statement.excluded, name) for name in (*_COMPARED, "updated_at")
                },
            ).execution_options(synchronize_session=False)
        )
    found = {(clock.metric.value, clock.cycle) for clock in clocks}
    await _void(session, ticket_id, [key for key in stored if key not in found], now=now)


async def _void(
    session: AsyncSession, ticket_id: uuid.UUID, keys: Iterable[_Key], *, now: datetime
) -> None:
    """Clocks that the rules no longer know: kept for the reports, but nothing is due any more."""
    for metric, cycle in keys:
        row = (
            SlaClock.ticket_id == ticket_id,
            SlaClock.metric == metric,
            SlaClock.cycle == cycle,
            SlaClock.ended_at.is_(None),
        )
        over = {"ended_at": now, "reason": NO_TARGET, "next_check_at": None, "updated_at": now}
        for state, condition in (
            ({}, SlaClock.state == ClockState.BREACHED.value),
            (
                {"state": ClockState.CANCELLED.value, "paused_at": None},
                SlaClock.state != ClockState.BREACHED.value,
            ),
        ):
            await session.execute(
                update(SlaClock)
                .where(*row, condition)
                .values(**over, **state)
                .execution_options(synchronize_session=False)
            )


def row_of(clock: Clock, *, told: frozenset[SlaThreshold] = frozenset()) -> dict[str, Any]:
    """The columns of a clock's row.

    Args:
        clock: As evaluated.
        told: Thresholds that a sweep has already told about.
    """
    return {
        "policy": clock.policy,
        "calendar": clock.calendar,
        "state": clock.state.value,
        "target_seconds": max(1, clock.target // _ONE_SECOND),
        "consumed_seconds": clock.consumed // _ONE_SECOND,
        "started_at": clock.started_at,
        "paused_at": clock.paused_at,
        "due_at": clock.due_at,
        "warn_at": clock.warn_at,
        "met_at": clock.met_at,
        "breached_at": clock.breached_at,
        "ended_at": clock.ended_at,
        "reason": clock.reason,
        "next_check_at": clock.next_check(told),
        "segments": [_segment(stretch) for stretch in clock.stretches],
    }


def _segment(stretch: Stretch) -> dict[str, Any]:
    return {
        "from": stretch.begins.isoformat(),
        "to": stretch.ends.isoformat(),
        "running": stretch.running,
        "reason": stretch.reason,
        "worked_seconds": stretch.worked / _ONE_SECOND,
        "target_seconds": None if stretch.target is None else stretch.target // _ONE_SECOND,
        "calendar": stretch.calendar,
        "policy": stretch.policy,
    }
