"""Write and read whether webhooks can reach this installation; see `ticketing.domain.reception`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.tables import WebhookReception
from ticketing.domain.reception import GAP, Reception

_NAME = "web"


@dataclass(frozen=True, slots=True)
class ReceptionBeat:
    """The beat of one web process; several write the same row."""

    db: Database
    clock: Clock

    async def run(self) -> int:
        """Write that this process can receive now; always 0, there is nothing to find.

        Raises:
            SQLAlchemyError: when the database is away. Then nothing can be received either.
        """
        now = self.clock.now()
        row = WebhookReception
        gapless = row.seen_at.between(now - GAP, now + GAP)
        write = insert(row).values(name=_NAME, since=now, seen_at=now)
        async with self.db.transaction() as session:
            await session.execute(
                write.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"since": case((gapless, row.since), else_=now), "seen_at": now},
                )
            )
        return 0


async def read_reception(session: AsyncSession) -> Reception | None:
    """What the web processes have written; None where none has ever run."""
    row = await session.scalar(select(WebhookReception).where(WebhookReception.name == _NAME))
    return None if row is None else Reception(row.since, row.seen_at)
