"""Write domain events in the transaction that caused them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import OutboxEvent

NOTIFY_CHANNEL = "ponte_outbox"


async def add_event(
    session: AsyncSession,
    *,
    topic: str,
    payload: dict[str, Any],
    now: datetime,
    correlation_id: str,
    version: int = 1,
) -> OutboxEvent:
    """Add an event and wake the relay when (and only when) the transaction commits."""
    event = OutboxEvent(
        topic=topic,
        version=version,
        payload=payload,
        correlation_id=correlation_id,
        created_at=now,
    )
    session.add(event)
    await session.flush()
    # PostgreSQL delivers NOTIFY at commit, so the relay never sees a row that is not there yet.
    await session.execute(text(f"SELECT pg_notify('{NOTIFY_CHANNEL}', '')"))
    return event
