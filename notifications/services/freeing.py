"""Take notifications back from workers that are gone, and end those whose time is over.

A worker is gone when it was missing for a while (`worker_presence`) or when the lease of its claim
ran out. What it had may have been sent:

- e-mail and push go out again at once: the second copy replaces the first;
- WhatsApp and SMS wait for a status until 45 s after the claim, as does everything that may go out
  once only;
- what cost three workers is given up as poison.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ARRAY, DateTime, Integer, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.retry import STATUS_WAIT, waits_for_status
from notifications.domain.suspects import MAX_LOST_WORKERS
from notifications.services.claims import expired_failure
from notifications.services.delivery_metrics import count_freed, count_lost_workers
from notifications.services.digest_followers import give_up_whole
from notifications.services.failures import FailureNotices
from notifications.services.worker_presence import Attendance
from ticketing.db.engine import Database
from ticketing.db.notification_tables import Notification
from ticketing.domain.enums import DeliveryGuarantee, DeliveryState

log = structlog.get_logger()

BATCH = 200
"""Rows in one transaction; it goes on while full batches come."""

POISON = Failure(FailureKind.UNKNOWN, "worker_lost", detail="every worker died over it")


@dataclass(slots=True)
class Freeing:
    """One sweeping process's view of workers that are gone."""

    db: Database
    give_up: FailureNotices
    attendance: Attendance = field(default_factory=Attendance)

    async def run(self, *, now: datetime) -> int:
        """Free what gone workers had, and give up what is expired; how many rows.

        Two at once share the rows (SKIP LOCKED). Run it every second: what it has not seen for
        longer does not count as missing.
        """
        async with self.db.transaction() as session:
            gone = await self.attendance.gone(session, now=now)
            count_lost_workers(len(gone))
            await session.execute(_UNTIMED, {"now": now, "batch": BATCH})
        done = count = await self._free(gone, now)
        while count == BATCH:
            count = await self._free(gone, now)
            done += count
        count = await self._expire(now)
        done += count
        while count == BATCH:
            count = await self._expire(now)
            done += count
        return done

    async def _free(self, gone: frozenset[int], now: datetime) -> int:
        async with self.db.transaction() as session:
            ids = await _locked(session, _LOST, {"now": now, "gone": sorted(gone)})
            rows = await _rows(session, ids)
            for row in rows:
                await self._free_one(session, row, gone, now)
            return len(rows)

    async def _free_one(
        self, session: AsyncSession, row: Notification, gone: frozenset[int], now: datetime
    ) -> None:
        row.lost_workers += 1
        by_presence = row.claimed_by in gone
        log.warning(
            "notification.freed",
            notification_id=str(row.id),
            job_name=row.job_name,
            worker=row.claimed_by,
            reason="worker_gone" if by_presence else "lease_over",
            attempts=row.attempts,
            count=row.lost_workers,
            correlation_id=row.correlation_id,
        )
        count_freed(row.job_name, "worker_gone" if by_presence else "lease_over")
        if row.lost_workers >= MAX_LOST_WORKERS:
            await give_up_whole(session, self.give_up, row, POISON, reason="poison", now=now)
            return
        row.error = {"code": POISON.code, "kind": POISON.kind.value, "count": row.lost_workers}
        row.lease_until = None
        row.claimed_by = None
        row.enqueued_at = None
        once = row.guarantee == DeliveryGuarantee.AT_MOST_ONCE.value
        if waits_for_status(CHANNEL_OF_JOB.get(JobName(row.job_name)), at_most_once=once):
            row.state = DeliveryState.UNKNOWN.value
            row.next_attempt_at = max((row.claimed_at or now) + STATUS_WAIT, now)
        else:
            row.state = DeliveryState.PENDING.value
            row.next_attempt_at = now

    async def _expire(self, now: datetime) -> int:
        async with self.db.transaction() as session:
            ids = await _locked(session, _EXPIRED, {"now": now})
            rows = await _rows(session, ids)
            for row in rows:
                await give_up_whole(
                    session,
                    self.give_up,
                    row,
                    expired_failure(row.error),
                    reason="expired",
                    now=now,
                )
            return len(rows)


async def _locked(session: AsyncSession, statement: Any, values: dict[str, Any]) -> list[Any]:
    return list((await session.execute(statement, values | {"batch": BATCH})).scalars())


async def _rows(session: AsyncSession, ids: list[Any]) -> list[Notification]:
    if not ids:
        return []
    query = select(Notification).where(Notification.id.in_(ids)).order_by(Notification.id)
    return list(await session.scalars(query))


# States are written out: partial indexes are used only where the condition is seen.
_LOST = text(
    """
    SELECT id FROM notifications
    WHERE state = 'sending' AND (claimed_by = ANY(:gone) OR lease_until <= :now)
    ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    """
).bindparams(
    bindparam("gone", type_=ARRAY(Integer())), bindparam("now", type_=DateTime(timezone=True))
)
# Followers end with their leader.
_EXPIRED = text(
    """
    SELECT id FROM notifications
    WHERE state IN ('pending', 'unknown') AND expires_at <= :now AND digest_id IS NULL
    ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
# A row that waits without a time is due: the sweep looks for times.
_UNTIMED = text(
    """
    UPDATE notifications SET next_attempt_at = :now WHERE id IN (
      SELECT id FROM notifications
      WHERE state IN ('pending', 'unknown') AND next_attempt_at IS NULL AND digest_id IS NULL
      ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
