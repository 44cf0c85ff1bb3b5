"""Write domain events in the transaction that caused them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
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


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to add."""

    topic: str
    payload: dict[str, Any]
    version: int = 1


async def add_events(
    session: AsyncSession, events: Sequence[NewEvent], *, now: datetime, correlation_id: str
) -> None:
    """Add many events at once and wake the relay once; see `add_event`."""
    rows = [
        {
            "id": new_id(),
            "topic": event.topic,
            "version": event.version,
            "payload": event.payload,
            "correlation_id": correlation_id,
            "created_at": now,
        }
        for event in events
    ]
    if rows:
        await session.execute(insert(OutboxEvent), rows)
        await session.execute(text(f"SELECT pg_notify('{NOTIFY_CHANNEL}', '')"))
