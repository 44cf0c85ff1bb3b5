"""Read who can be told: agents on duty, and the admin named by the settings."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.recipients import Admin, Holder, Person, notice_language
from ticketing.db.tables import Agent, Queue
from ticketing.services.serving import serves_queue, works_on_tickets


@dataclass(frozen=True, slots=True)
class AdminContact:
    """NOTIFICATIONS_ADMIN_USER_ID (an agent's e-mail or id) and NOTIFICATIONS_ADMIN_PHONE."""

    user_id: str | None = None
    phone: str | None = None


async def on_duty_agents(session: AsyncSession, queue_key: str) -> tuple[Person, ...]:
    """Active agents on duty who serve the queue, by `ticketing.services.serving`."""
    agents = await session.execute(
        select(Agent.email, Agent.languages)
        # Outer: of a queue that is gone, those of all queues are told.
        .outerjoin(Queue, Queue.key == queue_key)
        .where(works_on_tickets(), Agent.on_duty, serves_queue())
        .order_by(Agent.email)
    )
    return tuple(Person(email, notice_language(languages)) for email, languages in agents)


async def find_holder(session: AsyncSession, agent_id: uuid.UUID | None) -> Holder | None:
    """The agent who has a ticket; None when nobody has it, or they were shut out since."""
    if agent_id is None:
        return None
    row = (
        await session.execute(
            select(Agent.email, Agent.languages, Agent.on_duty).where(
                Agent.id == agent_id, Agent.active
            )
        )
    ).one_or_none()
    if row is None:
        return None
    return Holder(Person(row.email, notice_language(row.languages)), on_duty=row.on_duty)


async def agent_email(session: AsyncSession, agent_id: uuid.UUID | None) -> str | None:
    """The address of an agent; None for nobody."""
    if agent_id is None:
        return None
    found: str | None = await session.scalar(select(Agent.email).where(Agent.id == agent_id))
    return found


async def find_admin(session: AsyncSession, contact: AdminContact) -> Admin:
    """Where the admin is reached now.

    An e-mail address that belongs to no agent is used as it is: the admin need not be an agent. A
    disabled agent is not written to.
    """
    return Admin(person=await _person(session, contact.user_id), phone=contact.phone)


async def _person(session: AsyncSession, user_id: str | None) -> Person | None:
    if not user_id:
        return None
    is_email = "@" in user_id
    wanted = Agent.email == user_id.lower() if is_email else Agent.id == _uuid(user_id)
    agent = await session.scalar(select(Agent).where(wanted))
    if agent is None:
        return Person(user_id) if is_email else None
    return Person(agent.email, notice_language(agent.languages)) if agent.active else None


def _uuid(value: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(value)
    except ValueError:
        return None
