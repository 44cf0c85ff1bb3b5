"""Who is there: said by people and programs themselves, kept alive by signs, ended by silence."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.routing_tables import AgentPresence, RoutingExclusion
from ticketing.db.tables import Agent
from ticketing.domain.enums import PresenceState
from ticketing.domain.routing.presence import LONGEST_LEASE, in_force, lease_end
from ticketing.domain.ticket import SYSTEM, Actor
from ticketing.services import routing_marks
from ticketing.services.agents import AgentNotFoundError

log = structlog.get_logger()

DEFAULT_TIMEOUT = timedelta(minutes=3)
"""A browser tab in the background may show a sign of life once a minute only; two may be lost."""

SHORTEST_LEASE = timedelta(seconds=30)
EXPIRED = "expired"


class InvalidLeaseError(ValueError):
    """A lease that is too short or too long."""

    field = "lease_seconds"
    allowed: tuple[str, ...] = ()

    def __init__(self, lease: timedelta) -> None:
        low, high = SHORTEST_LEASE.total_seconds(), LONGEST_LEASE.total_seconds()
        super().__init__(
            f"lease_seconds: got {lease.total_seconds():g}; expected {low:g} to {high:g}"
        )


@dataclass(frozen=True, slots=True)
class PresenceView:
    """What counts of an agent now.

    Attributes:
        agent_id: Who.
        state: online, busy, away or offline.
        since: When that began; None: they never said anything.
        expires_at: When it ends without a further sign; None for offline.
        reason: Why the system set it (`expired`, `not_accepted`); None: somebody said so.
        takes_part: Whether they ever said that they are there: only then does the router give them
            tickets, and take back what they leave.
    """

    agent_id: uuid.UUID
    state: PresenceState
    since: datetime | None
    expires_at: datetime | None
    reason: str | None
    takes_part: bool


async def say(
    session: AsyncSession,
    agent_id: uuid.UUID,
    state: PresenceState,
    *,
    actor: Actor,
    now: datetime,
    lease: timedelta = DEFAULT_TIMEOUT,
    reason: str | None = None,
) -> PresenceView:
    """Set somebody's presence. Saying the same again only renews the lease.

    Who says of themselves that they are online is asked again for tickets that they just lost.

    Args:
        session: Its transaction.
        agent_id: Whose presence.
        state: What holds from now on.
        actor: Who says so.
        now: The present.
        lease: Until when without a further sign; every sign renews it by as much.
        reason: Why, when it is the system that says so.

    Raises:
        InvalidLeaseError: for a lease out of bounds.
        AgentNotFoundError: when there is no such active agent.
    """
    if not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
        raise InvalidLeaseError(lease)
    active = await session.scalar(select(Agent.active).where(Agent.id == agent_id))
    if not active:
        raise AgentNotFoundError
    row = await _locked(session, agent_id, now=now)
    before = in_force(PresenceState(row.state), expires_at=row.expires_at, now=now)
    if before is not state:
        row.since = now
    row.state = state.value
    row.seen_at = now
    row.lease_seconds = round(lease.total_seconds())
    row.expires_at = lease_end(state, lease=lease, now=now)
    row.set_by = actor.label
    row.reason = reason
    if state is PresenceState.ONLINE and actor.agent_id == agent_id:
        await session.execute(delete(RoutingExclusion).where(RoutingExclusion.agent_id == agent_id))
    await session.flush()
    await routing_marks.wake(session)
    if before is not state:
        log.info("presence.changed", agent_id=str(agent_id), state=state.value, reason=reason)
    return _view(row, agent_id, now=now)


async def heartbeat(session: AsyncSession, agent_id: uuid.UUID, *, now: datetime) -> PresenceView:
    """A sign of life: renews the lease of whoever is there, and brings nobody back.

    Whose lease has run out has lost their chats and must say themselves that they are there again.
    """
    row = await session.scalar(
        select(AgentPresence).where(AgentPresence.agent_id == agent_id).with_for_update()
    )
    if row is not None and row.expires_at is not None and row.expires_at > now:
        row.seen_at = max(row.seen_at, now)
        row.expires_at = max(row.expires_at, now + timedelta(seconds=row.lease_seconds))
        await session.flush()
    return _view(row, agent_id, now=now)


async def presence_of(session: AsyncSession, agent_id: uuid.UUID, *, now: datetime) -> PresenceView:
    """What counts of one agent now."""
    return _view(await session.get(AgentPresence, agent_id), agent_id, now=now)


async def expire(session: AsyncSession, *, now: datetime) -> list[uuid.UUID]:
    """Write down that leases have run out; who they belonged to. Doing it twice changes nothing."""
    gone = await session.scalars(
        update(AgentPresence)
        .where(AgentPresence.expires_at <= now)
        .values(
            state=PresenceState.OFFLINE.value,
            since=AgentPresence.expires_at,
            expires_at=None,
            set_by=SYSTEM.label,
            reason=EXPIRED,
        )
        .returning(AgentPresence.agent_id)
    )
    found = list(gone)
    for agent_id in found:
        log.info("presence.changed", agent_id=str(agent_id), state="offline", reason=EXPIRED)
    return found


async def anybody_takes_part(session: AsyncSession) -> bool:
    """Whether anybody ever said that they are there; if not, people take tickets themselves."""
    return await session.scalar(select(AgentPresence.agent_id).limit(1)) is not None


async def step_aside(
    session: AsyncSession, agent_id: uuid.UUID, *, reason: str, now: datetime
) -> bool:
    """Set somebody who is online to away, as the system; whether that changed anything."""
    changed = await session.scalar(
        update(AgentPresence)
        .where(
            AgentPresence.agent_id == agent_id,
            AgentPresence.state == PresenceState.ONLINE.value,
            or_(AgentPresence.expires_at.is_(None), AgentPresence.expires_at > now),
        )
        .values(state=PresenceState.AWAY.value, since=now, set_by=SYSTEM.label, reason=reason)
        .returning(AgentPresence.agent_id)
    )
    if changed is not None:
        log.info("presence.changed", agent_id=str(agent_id), state="away", reason=reason)
    return changed is not None


async def _locked(session: AsyncSession, agent_id: uuid.UUID, *, now: datetime) -> AgentPresence:
    """The agent's row, made when it is missing, locked until the transaction ends."""
    await session.execute(
        insert(AgentPresence)
        .values(
            agent_id=agent_id,
            state=PresenceState.OFFLINE.value,
            since=now,
            seen_at=now,
            lease_seconds=round(DEFAULT_TIMEOUT.total_seconds()),
            set_by=SYSTEM.label,
        )
        .on_conflict_do_nothing(index_elements=["agent_id"])
    )
    found = await session.scalar(
        select(AgentPresence)
        .where(AgentPresence.agent_id == agent_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise AgentNotFoundError
    return found


def _view(row: AgentPresence | None, agent_id: uuid.UUID, *, now: datetime) -> PresenceView:
    if row is None:
        return PresenceView(agent_id, PresenceState.OFFLINE, None, None, None, takes_part=False)
    stored = PresenceState(row.state)
    state = in_force(stored, expires_at=row.expires_at, now=now)
    ran_out = state is not stored
    return PresenceView(
        agent_id=agent_id,
        state=state,
        since=row.expires_at if ran_out else row.since,
        expires_at=None if ran_out else row.expires_at,
        reason=EXPIRED if ran_out else row.reason,
        takes_part=True,
    )
