"""Read who can be told, with their addresses and wishes: agents on duty, a holder, the admin."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Select, Text, func, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.jobs import Channel
from notifications.domain.quiet_hours import QuietHours
from notifications.domain.recipients import DEFAULT_ZONE, Holder, Recipient, notice_language
from ticketing.db.notification_tables import NotificationPreference, PushDevice
from ticketing.db.tables import Agent, Queue
from ticketing.services.serving import serves_queue, works_on_tickets


@dataclass(frozen=True, slots=True)
class AdminContact:
    """NOTIFICATIONS_ADMIN_USER_ID (an agent's e-mail or id) and NOTIFICATIONS_ADMIN_PHONE."""

    user_id: str | None = None
    phone: str | None = None


async def on_duty_agents(session: AsyncSession, queue_key: str) -> tuple[Recipient, ...]:
    """Active agents on duty who serve the queue, by `ticketing.services.serving`."""
    agents = await session.execute(
        _agents()
        # Outer: of a queue that is gone, those of all queues are told.
        .outerjoin(Queue, Queue.key == queue_key)
        .where(works_on_tickets(), Agent.on_duty, serves_queue())
        .order_by(Agent.email)
    )
    return tuple(_recipient(row) for row in agents)


async def find_holder(session: AsyncSession, agent_id: uuid.UUID | None) -> Holder | None:
    """The agent who has a ticket; None when nobody has it, or they were shut out since."""
    if agent_id is None:
        return None
    row = (await session.execute(_agents().where(Agent.id == agent_id, Agent.active))).one_or_none()
    return None if row is None else Holder(_recipient(row), on_duty=row.on_duty)


async def find_agent(session: AsyncSession, user_id: str) -> Recipient | None:
    """An active agent by e-mail or id; None when there is none (any more)."""
    wanted = Agent.email == user_id.lower() if "@" in user_id else Agent.id == _uuid(user_id)
    row = (await session.execute(_agents().where(wanted, Agent.active))).one_or_none()
    return None if row is None else _recipient(row)


async def find_admin(session: AsyncSession, contact: AdminContact) -> Recipient | None:
    """Where the admin is reached now; None when nowhere.

    An admin who is an agent is told as they wish: language, channels, quiet hours, devices, phone.
    An e-mail address that belongs to no agent is used as it is: the admin need not be an agent. A
    disabled agent is not written to. NOTIFICATIONS_ADMIN_PHONE goes before the agent's own number:
    it is what the operator of the installation chose for alerts.
    """
    person = await _admin_person(session, contact.user_id)
    if person is None:
        return Recipient(email=None, phone=contact.phone) if contact.phone else None
    return replace(person, phone=contact.phone or person.phone)


async def _admin_person(session: AsyncSession, user_id: str | None) -> Recipient | None:
    if not user_id:
        return None
    agent = await find_agent(session, user_id)
    if agent is not None or "@" not in user_id:
        return agent
    shut_out = await session.scalar(select(Agent.id).where(Agent.email == user_id.lower()))
    return Recipient(user_id) if shut_out is None else None


def _agents() -> Select[Any]:
    """What a recipient is made of, one row an agent."""
    tokens = (
        select(
            func.array_agg(
                aggregate_order_by(PushDevice.token, PushDevice.created_at.asc()),
                type_=ARRAY(Text),
            )
        )
        .where(PushDevice.agent_id == Agent.id)
        .scalar_subquery()
    )
    wishes = NotificationPreference
    return select(
        Agent.id,
        Agent.email,
        Agent.languages,
        Agent.on_duty,
        tokens.label("push_tokens"),
        wishes.phone,
        wishes.channels,
        wishes.quiet_from,
        wishes.quiet_to,
        wishes.time_zone,
        wishes.quiet_for_urgent,
    ).outerjoin(wishes, wishes.agent_id == Agent.id)


def _recipient(row: Row[Any]) -> Recipient:
    quiet = None
    if row.quiet_from is not None and row.quiet_to is not None:
        quiet = QuietHours(row.quiet_from, row.quiet_to)
    return Recipient(
        email=row.email,
        language=notice_language(row.languages),
        phone=row.phone,
        push_tokens=tuple(row.push_tokens or ()),
        channels=channels_left_on(row.channels or {}),
        quiet=quiet,
        time_zone=row.time_zone or DEFAULT_ZONE,
        quiet_for_urgent=bool(row.quiet_for_urgent),
        agent_id=row.id,
    )


def channels_left_on(stored: Mapping[str, Iterable[str]]) -> dict[str, frozenset[Channel]]:
    """Event to channels out of the stored JSON; a channel of a newer version is passed over."""
    known = {channel.value: channel for channel in Channel}
    return {
        event: frozenset(known[name] for name in names if name in known)
        for event, names in stored.items()
    }


def _uuid(value: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(value)
    except ValueError:
        return None
