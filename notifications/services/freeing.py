"""Take notifications back from workers that are gone, and end those whose time is over.

A worker is gone when it was missing for a while (`worker_presence`) or when the lease of its claim
ran out. What it had may have been sent:

- e-mail and push go out again at once: the second copy replaces the first;
- WhatsApp and SMS wait for a status until 45 s after the last moment at which it can have been
  sent, as does everything that may go out once only;
- what cost three workers is given up as poison.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ARRAY, DateTime, Integer, Interval, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.retry import STATUS_WAIT, waits_for_status
from notifications.domain.suspects import MAX_LOST_WORKERS
from notifications.services.claims import LEASE, expired_failure
from notifications.services.delivery_metrics import count_freed, count_lost_workers
from notifications.services.digest_followers import give_up_whole
from notifications.services.failures import FailureNotices
from notifications.services.worker_presence import GONE_AFTER, LONGEST_STEP, Attendance
from ticketing.db.engine import Database
from ticketing.db.notification_tables import Notification
from ticketing.domain.enums import DeliveryGuarantee, DeliveryState

log = structlog.get_logger()

BATCH = 200
"""Rows in one transaction; it goes on while full batches come."""

REST_OF_WAIT = STATUS_WAIT - GONE_AFTER
"""What is left of the wait for a status when a row is freed. Its worker may have sent it with its
last breath, long after the claim when the provider was slow: that was `GONE_AFTER` ago at least. A
lease leaves as much between the end of the longest send and its own."""

CLOCKS_DIFFER_BY = timedelta(minutes=1)
"""What was last touched later than so much from now was touched by a clock that was set back."""

SOON = timedelta(minutes=10)
"""The longest window of a digest as shipped; a notice that waits for longer at its beginning waits
for an hour of the day."""

POISON = Failure(FailureKind.UNKNOWN, "worker_lost", detail="every worker died over it")


@dataclass(slots=True)
class LeaseTime:
    """The time by which leases end, as one sweeping process has seen it pass.

    What passes between two looks without being seen (the clock was set, the machine slept, the
    database was away) is not taken from the leases of that moment: their workers may be well, and
    their sends would go out twice.
    """

    _last_look: datetime | None = None
    _unseen: timedelta = field(default_factory=timedelta)
    _until: datetime | None = None
    _set_back_at: datetime | None = None

    def is_set_back(self, now: datetime) -> bool:
        """Whether the clock was set back a short while ago. Ask before `over_by`.

        At the first look nobody knows. Until every claim of that moment has had its time: who read
        the clock before may write what it said after.
        """
        if self._last_look is None or now < self._last_look:
            self._set_back_at = now
        return self._set_back_at is not None and now - self._set_back_at <= LEASE

    def over_by(self, now: datetime) -> datetime:
        """A lease that ended by the answer is over. Ask at every look, once."""
        passed = timedelta() if self._last_look is None else now - self._last_look
        self._last_look = now
        if passed > LONGEST_STEP:
            self._unseen += passed - LONGEST_STEP
            self._until = now + LEASE  # by then every lease of that moment has had its time
        elif passed < timedelta():
            self._unseen = max(self._unseen + passed, timedelta())
        elif self._until is not None and now >= self._until:
            self._unseen, self._until = timedelta(), None
        return now - self._unseen


@dataclass(slots=True)
class Freeing:
    """One sweeping process's view of workers that are gone."""

    db: Database
    give_up: FailureNotices
    attendance: Attendance = field(default_factory=Attendance)
    leases: LeaseTime = field(default_factory=LeaseTime)

    async def run(self, *, now: datetime) -> int:
        """Free what gone workers had, and give up what is expired; how many rows.

        Two at once share the rows (SKIP LOCKED). Run it every second: what it has not seen for
        longer does not count as missing.
        """
        set_back = self.leases.is_set_back(now)
        leases_until = self.leases.over_by(now)
        if set_back:
            await self._bring_forward(now)
        async with self.db.transaction() as session:
            gone = await self.attendance.gone(session, now=now)
            count_lost_workers(len(gone))
            await session.execute(_UNTIMED, {"now": now, "batch": BATCH})
        done = count = await self._free(gone, leases_until, now)
        while count == BATCH:
            count = await self._free(gone, leases_until, now)
            done += count
        count = await self._expire(now)
        done += count
        while count == BATCH:
            count = await self._expire(now)
            done += count
        return done

    async def _bring_forward(self, now: datetime) -> None:
        """Let what waits by a clock that was ahead wait for as long as it was meant to."""
        values = {"now": now, "ahead": now + CLOCKS_DIFFER_BY, "batch": BATCH}
        for statement in (_AHEAD, _QUEUED_AHEAD):
            count = BATCH
            while count == BATCH:
                async with self.db.transaction() as session:
                    count = len((await session.execute(statement, values)).all())
                if count:
                    log.warning("notification.clock_set_back", count=count)

    async def _free(self, gone: frozenset[int], leases_until: datetime, now: datetime) -> int:
        async with self.db.transaction() as session:
            values = {"leases_until": leases_until, "gone": sorted(gone)}
            ids = await _locked(session, _LOST, values)
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
            row.next_attempt_at = now + REST_OF_WAIT
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
    WHERE state = 'sending' AND (claimed_by = ANY(:gone) OR lease_until <= :leases_until)
    ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    """
).bindparams(
    bindparam("gone", type_=ARRAY(Integer())),
    bindparam("leases_until", type_=DateTime(timezone=True)),
)
# Followers end with their leader.
_EXPIRED = text(
    """
    SELECT id FROM notifications
    WHERE state IN ('pending', 'unknown') AND expires_at <= :now AND digest_id IS NULL
    ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
# Rows that carry a time of the future as their last claim, or as their beginning. Of those that
# nobody has claimed yet, the ones that wait for an hour of the day (quiet hours) are left alone.
_AHEAD = text(
    """
    WITH ahead AS (
      SELECT id, coalesce(claimed_at, created_at) AS touched FROM notifications
      WHERE state IN ('pending', 'unknown') AND next_attempt_at > :ahead
        AND coalesce(claimed_at, created_at) > :ahead
        AND (claimed_at IS NOT NULL
             OR next_attempt_at BETWEEN created_at AND created_at + :soon)
      ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )
    UPDATE notifications AS n SET
      next_attempt_at = n.next_attempt_at - (ahead.touched - :now),
      enqueued_at = NULL,
      claimed_at = CASE WHEN n.claimed_at > :now THEN :now ELSE n.claimed_at END
    FROM ahead WHERE n.id = ahead.id RETURNING n.id
    """
).bindparams(
    bindparam("soon", SOON, type_=Interval()),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("ahead", type_=DateTime(timezone=True)),
)
# Rows that are due and, by a clock that was ahead, were put in the queue only later: should their
# jobs be lost, nobody would miss them until then. A second copy of a job finds nothing to do.
_QUEUED_AHEAD = text(
    """
    WITH ahead AS (
      SELECT id FROM notifications
      WHERE state IN ('pending', 'unknown') AND enqueued_at > :ahead AND digest_id IS NULL
      ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED
    )
    UPDATE notifications AS n SET enqueued_at = NULL FROM ahead WHERE n.id = ahead.id RETURNING n.id
    """
).bindparams(bindparam("ahead", type_=DateTime(timezone=True)))
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
