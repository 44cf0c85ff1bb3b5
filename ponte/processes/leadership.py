"""Who does the jobs that one process is enough for: a lease row in the database.

The lease is for economy, not for safety: two leaders for a moment are harmless, because every job
claims its rows. So the moment may come from this machine's clock, and a paused leader does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.dialects.postgresql import insert

from ticketing.db.engine import Database
from ticketing.db.tables import Lease

LEASE = timedelta(seconds=10)
"""A dead leader is replaced after this long."""


@dataclass(slots=True)
class Leadership:
    """One process's view of a lease. `owner` is unique to the process."""

    db: Database
    name: str
    owner: str
    lease: timedelta = LEASE
    _until: datetime | None = field(default=None)

    def leads(self, now: datetime) -> bool:
        """Whether this process leads. Ends by itself when the lease could not be renewed."""
        return self._until is not None and now < self._until

    async def campaign(self, now: datetime) -> bool:
        """Take or renew the lease, in one statement; whether this process leads now.

        Raises:
            SQLAlchemyError: when the database does not answer; an earlier lease runs on to its end.
        """
        until = now + self.lease
        take = insert(Lease).values(name=self.name, owner=self.owner, until=until)
        statement = take.on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": self.owner, "until": until},
            where=or_(
                Lease.until <= now,
                Lease.owner == self.owner,
                # Nobody takes a lease for so long: it was taken before the clock was set back. The
                # second length is for two machines whose clocks differ a little.
                Lease.until > now + 2 * self.lease,
            ),
        ).returning(Lease.owner)
        async with self.db.transaction() as session:
            won = await session.scalar(statement) is not None
        self._until = until if won else None
        return won

    async def resign(self, now: datetime) -> None:
        """Give the lease up, so that another process leads at once."""
        self._until = None
        async with self.db.transaction() as session:
            await session.execute(
                update(Lease)
                .where(Lease.name == self.name, Lease.owner == self.owner)
                .values(until=now)
            )
