"""Who a signed link of an e-mail belongs to, and turning that kind of e-mail off."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.services.preferences import turn_off_email
from ticketing.db.tables import Agent, Notification
from ticketing.services.audit import record


@dataclass(frozen=True, slots=True)
class Subscription:
    """One agent's e-mails of one event."""

    agent_id: uuid.UUID
    event: str


async def subscription_of(session: AsyncSession, notification_id: uuid.UUID) -> Subscription | None:
    """What the notice's link turns off.

    None when the notice is gone, was urgent (its e-mail had no link: an alert is turned off on the
    page of preferences, not by a slip of the finger), or went to somebody who is no agent.
    """
    row = (
        await session.execute(
            select(Agent.id, Notification.event)
            .join(Agent, Agent.email == func.lower(Notification.recipient))
            .where(
                Notification.id == notification_id,
                Notification.job_name == "send-email",
                Notification.urgent.is_(False),
            )
        )
    ).one_or_none()
    return None if row is None else Subscription(row.id, row.event)


async def unsubscribe(
    session: AsyncSession, subscription: Subscription, *, now: datetime, correlation_id: str
) -> bool:
    """Turn it off; twice is once. Whether it was on."""
    was_on = await turn_off_email(session, subscription.agent_id, subscription.event, now=now)
    if was_on:
        await record(
            session,
            actor=f"agent:{subscription.agent_id}",
            action="notices.unsubscribed",
            subject=f"agent:{subscription.agent_id}",
            data={"event": subscription.event, "channel": "email"},
            now=now,
            correlation_id=correlation_id,
        )
    return was_on
