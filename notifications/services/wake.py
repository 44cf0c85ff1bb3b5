"""Wake the sweep: a row that nobody put in the queue shall not wait for the sweep's next second."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

WAKE_CHANNEL = "ponte_notifications"
"""PostgreSQL NOTIFY channel that the scheduler listens to."""


async def wake_sweep(session: AsyncSession) -> None:
    """Wake the sweep when (and only when) the caller's transaction commits."""
    await session.execute(text(f"SELECT pg_notify('{WAKE_CHANNEL}', '')"))
