"""The shift plans of agents, in the database."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.routing_tables import AgentShift
from ticketing.db.tables import Agent
from ticketing.domain.routing.shifts import ShiftPlan, in_shift, make_plan, shift_ends
from ticketing.domain.ticket import Actor
from ticketing.services import routing_marks
from ticketing.services.agents import AgentNotFoundError


@dataclass(frozen=True, slots=True)
class ShiftView:
    """An agent's plan, and what it means now.

    Attributes:
        planned: False: no plan, they work whenever they say they are there.
        weekly: Day (`mon` ... `sun`) to intervals.
        days_off: ISO dates.
        in_shift: Whether they may get work now.
        ends_at: When the present shift ends.
    """

    agent_id: uuid.UUID
    planned: bool
    time_zone: str | None
    weekly: Mapping[str, tuple[str, ...]]
    days_off: tuple[date, ...]
    in_shift: bool
    ends_at: datetime | None


async def set_shifts(
    session: AsyncSession,
    agent_id: uuid.UUID,
    *,
    time_zone: str,
    weekly: Mapping[str, Sequence[str]],
    days_off: Sequence[date],
    actor: Actor,
    now: datetime,
) -> ShiftView:
    """Replace an agent's plan as a whole; an empty week takes the plan away.

    Raises:
        InvalidShiftError: naming the field and what was expected.
        AgentNotFoundError: when there is no such agent.
    """
    plan = make_plan(time_zone=time_zone, weekly=weekly, days_off=days_off)
    if await session.get(Agent, agent_id) is None:
        raise AgentNotFoundError
    if not plan.weekly:
        await session.execute(delete(AgentShift).where(AgentShift.agent_id == agent_id))
    else:
        values = {
            "time_zone": plan.time_zone,
            "weekly": {day: list(spans) for day, spans in plan.weekly.items()},
            "days_off": sorted(day.isoformat() for day in plan.days_off),
            "changed_at": now,
            "changed_by": actor.label,
        }
        await session.execute(
            insert(AgentShift)
            .values(agent_id=agent_id, **values)
            .on_conflict_do_update(index_elements=["agent_id"], set_=values)
        )
    await routing_marks.wake(session)
    return shift_view(agent_id, plan if plan.weekly else None, now=now)


async def shifts_of(session: AsyncSession, agent_id: uuid.UUID, *, now: datetime) -> ShiftView:
    """One agent's plan.

    Raises:
        AgentNotFoundError: when there is no such agent.
    """
    if await session.get(Agent, agent_id) is None:
        raise AgentNotFoundError
    row = await session.scalar(select(AgentShift).where(AgentShift.agent_id == agent_id))
    return shift_view(agent_id, None if row is None else plan_of(row), now=now)


async def plans(
    session: AsyncSession, agent_ids: Iterable[uuid.UUID] | None = None
) -> dict[uuid.UUID, ShiftPlan]:
    """The plans of these agents, or of all; who has none is not in it."""
    statement = select(AgentShift)
    if agent_ids is not None:
        statement = statement.where(AgentShift.agent_id.in_(list(agent_ids)))
    return {row.agent_id: plan_of(row) for row in await session.scalars(statement)}


def plan_of(row: AgentShift) -> ShiftPlan:
    """The stored plan; it was checked when it was written."""
    return ShiftPlan(
        time_zone=row.time_zone,
        weekly={day: tuple(spans) for day, spans in row.weekly.items()},
        days_off=frozenset(date.fromisoformat(day) for day in row.days_off),
    )


def shift_view(agent_id: uuid.UUID, plan: ShiftPlan | None, *, now: datetime) -> ShiftView:
    """A plan as it is answered."""
    return ShiftView(
        agent_id=agent_id,
        planned=plan is not None,
        time_zone=None if plan is None else plan.time_zone,
        weekly={} if plan is None else plan.weekly,
        days_off=() if plan is None else tuple(sorted(plan.days_off)),
        in_shift=in_shift(plan, now),
        ends_at=shift_ends(plan, now),
    )
