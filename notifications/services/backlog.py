"""Count what waits, and alert: too many notices, one that waits too long, a queue that is away.

Counted are the rows that are due now and not told in another's digest, whether their job is in
Redis or not: the rows are the truth, so a job that Redis lost counts, and a copy counts once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ARRAY, DateTime, Integer, String, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.metrics import gauge
from notifications.domain.jobs import CHANNEL_OF_JOB, QUEUE, URGENT_QUEUE, JobName, queue_name
from notifications.services.ports import JobQueue, QueueUnavailableError
from ticketing.db.engine import Database
from ticketing.domain.operation_alerts import COOLDOWN, AlertState, Decision, Says, decide
from ticketing.services.operation_alerts import firing_alerts, follow

log = structlog.get_logger()

COUNT_MOST = 10_000
"""Counting ends here for each kind of job, so that a huge backlog costs no more than this."""

URGENT_OLDEST = timedelta(seconds=60)
"""An urgent notice that waits so long is late: its queue is never held up by others."""

QUEUE_AWAY_OLDEST = timedelta(seconds=60)
"""While Redis does not answer nothing leaves at all: no need to wait longer before saying so."""

HIGH, OLD, CLEARED = "backlog.high", "backlog.old", "backlog.cleared"
AWAY, BACK = "queue.away", "queue.back"
_SOURCE = "backlog-monitor"
_QUEUES = (URGENT_QUEUE, QUEUE)

WAITING = gauge(
    "ponte_notifications_waiting",
    "Notices that are due now and not sent yet, up to 10000 for each kind of job.",
    ("queue",),
)
OLDEST = gauge(
    "ponte_notifications_oldest_seconds",
    "How long the notice that waits longest has been due.",
    ("queue",),
)
QUEUE_UP = gauge("ponte_notifications_queue_up", "1 when Redis takes jobs, 0 when it is away.")
FIRING = gauge("ponte_alerts_firing", "Alerts about the system itself that fire now.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits of one kind of job in one queue.

    Attributes:
        queue: The queue.
        job_name: The kind of job.
        count: How many are due, `COUNT_MOST` at most for each of waiting and queued.
        due_at: Since when the oldest of them is due; None when there is none.
    """

    queue: str
    job_name: str
    count: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class BacklogMonitor:
    """Looks at the numbers; run it every 15 seconds.

    Attributes:
        threshold: NOTIFICATIONS_BACKLOG_THRESHOLD: more than so many that wait are an alert.
        oldest: PONTE_NOTIFICATIONS_OLDEST_SECONDS: one that waits so long is an alert.
        cooldown: Least time between two tellings of the same alert.
    """

    db: Database
    queue: JobQueue
    clock: Clock
    threshold: int
    oldest: timedelta
    cooldown: timedelta = field(default=COOLDOWN)

    async def run(self) -> dict[str, Says]:
        """Look once; what was told, by alert. Two that look at once tell it once."""
        away = await self._queue_is_away()
        now = self.clock.now()
        async with self.db.transaction() as session:
            kinds = await waiting(session, now=now)
            firing = await firing_alerts(session)
        broken = {name for name in JobName if f"breaker:{name.value}" in firing}
        told = {"queue:notifications": await self._reach(away, now)}
        told["backlog:notifications"] = await self._count(kinds, broken, away, now)
        for queue in _QUEUES:
            own = [kind for kind in kinds if kind.queue == queue]
            told[f"oldest:{queue}"] = await self._age(queue, own, broken, away, now)
        async with self.db.transaction() as session:
            FIRING.set(len(await firing_alerts(session)))
        return told

    async def _queue_is_away(self) -> bool:
        try:
            await self.queue.waiting()
        except QueueUnavailableError:
            QUEUE_UP.set(0)
            return True
        QUEUE_UP.set(1)
        return False

    async def _reach(self, away: bool, now: datetime) -> Says:  # noqa: FBT001
        """Told at the first look: workers without a queue do its work, so nothing grows old."""

        def decision(before: AlertState | None) -> Decision:
            return decide(before, value=int(away), limit=1, now=now, cooldown=self.cooldown)

        async with self.db.transaction() as session:
            return await follow(
                session,
                f"queue:{QUEUE}",
                decision,
                topics=(AWAY, BACK),
                payload={"source": _SOURCE, "subject": QUEUE},
                now=now,
            )

    async def _count(
        self,
        kinds: Collection[Waiting],
        broken: Collection[JobName],
        away: bool,  # noqa: FBT001
        now: datetime,
    ) -> Says:
        total = sum(kind.count for kind in kinds)
        for queue in _QUEUES:
            count = sum(kind.count for kind in kinds if kind.queue == queue)
            WAITING.labels(queue=queue).set(count)
        payload: dict[str, Any] = {"subject": QUEUE, "count": total, "threshold": self.threshold}
        payload |= _avoid(kinds, broken)
        limit = self.threshold + 1  # above the threshold, not at it
        return await self._follow("backlog:notifications", total, limit, HIGH, payload, away, now)

    async def _age(
        self,
        queue: str,
        kinds: Collection[Waiting],
        broken: Collection[JobName],
        away: bool,  # noqa: FBT001
        now: datetime,
    ) -> Says:
        due = [kind.due_at for kind in kinds if kind.due_at is not None]
        age = max((now - min(due)) if due else timedelta(), timedelta())
        OLDEST.labels(queue=queue).set(age.total_seconds())
        # Whoever is told that a channel is broken need not be told that its notices wait.
        told = [
            kind.due_at
            for kind in kinds
            if kind.due_at is not None and kind.job_name not in {name.value for name in broken}
        ]
        age = max((now - min(told)) if told else timedelta(), timedelta())
        limit = min(self.oldest, URGENT_OLDEST) if queue == URGENT_QUEUE else self.oldest
        limit = min(limit, QUEUE_AWAY_OLDEST) if away else limit
        seconds = int(age.total_seconds())
        count = sum(kind.count for kind in kinds)
        payload: dict[str, Any] = {"subject": queue, "count": count, "seconds": seconds}
        payload |= {"minutes": seconds // 60, "threshold": int(limit.total_seconds())}
        payload |= _avoid(kinds, broken)
        name = f"oldest:{queue}"
        return await self._follow(
            name, seconds, max(int(limit.total_seconds()), 1), OLD, payload, away, now
        )

    async def _follow(  # noqa: PLR0917 - the two callers are above
        self,
        name: str,
        value: int,
        limit: int,
        topic: str,
        payload: dict[str, Any],
        away: bool,  # noqa: FBT001
        now: datetime,
    ) -> Says:
        def decision(before: AlertState | None) -> Decision:
            return decide(before, value=value, limit=limit, now=now, cooldown=self.cooldown)

        code = {"code": "queue_away"} if away else {}
        async with self.db.transaction() as session:
            return await follow(
                session,
                name,
                decision,
                topics=(topic, CLEARED),
                payload={"source": _SOURCE, **payload, **code},
                now=now,
            )


async def waiting(session: AsyncSession, *, now: datetime, most: int = COUNT_MOST) -> list[Waiting]:
    """What is due and not sent, by queue and kind of job, also kinds of which nothing is."""
    values = {"now": now, "most": most, "jobs": [name.value for name in JobName]}
    found: dict[tuple[str, str], Waiting] = {}
    rows = (await session.execute(_WAITING, values)).all()
    for row in rows:
        queue = queue_name(urgent=row.urgent)
        before = found.get((queue, row.job_name))
        earlier = before.due_at if before else None
        due = [at for at in (row.due_at, earlier) if at is not None]
        count = row.number + (before.count if before else 0)
        found[queue, row.job_name] = Waiting(queue, row.job_name, count, min(due, default=None))
    return list(found.values())


def _avoid(kinds: Collection[Waiting], broken: Collection[JobName]) -> Mapping[str, str]:
    """The broken channel that most of them wait for: it must not carry the alert."""
    counts = {
        name: sum(kind.count for kind in kinds if kind.job_name == name.value) for name in broken
    }
    worst = max(counts, key=lambda name: counts[name], default=None)
    channel = CHANNEL_OF_JOB.get(worst) if worst is not None else None
    return {} if channel is None else {"avoid_channel": channel.value}


# One look into an index for each kind of job that is not in Redis (ix_notifications_due), and one
# at the oldest that are (ix_notifications_queued): a million finished rows cost nothing, a million
# waiting ones the first ten thousand. States are written out, or partial indexes are not used.
_WAITING = text(
    """
    SELECT job.name AS job_name, kind.urgent, count(due.due_at) AS number, min(due.due_at) AS due_at
    FROM unnest(:jobs) AS job (name)
    CROSS JOIN (VALUES (false), (true)) AS kind (urgent)
    LEFT JOIN LATERAL (
      (SELECT next_attempt_at AS due_at FROM notifications
       WHERE state IN ('pending', 'unknown') AND enqueued_at IS NULL AND digest_id IS NULL
         AND job_name = job.name AND urgent = kind.urgent AND next_attempt_at <= :now
       ORDER BY next_attempt_at LIMIT :most)
      UNION ALL
      (SELECT created_at FROM notifications
       WHERE state IN ('pending', 'unknown') AND enqueued_at IS NULL AND digest_id IS NULL
         AND job_name = job.name AND urgent = kind.urgent AND next_attempt_at IS NULL
       LIMIT :most)
    ) AS due ON true
    GROUP BY job.name, kind.urgent
    UNION ALL
    SELECT job_name, urgent, count(*) AS number, min(COALESCE(next_attempt_at, created_at))
    FROM (
      SELECT job_name, urgent, next_attempt_at, created_at FROM notifications
      WHERE state IN ('pending', 'unknown') AND enqueued_at IS NOT NULL AND digest_id IS NULL
      ORDER BY enqueued_at LIMIT :most
    ) AS queued
    WHERE next_attempt_at IS NULL OR next_attempt_at <= :now
    GROUP BY job_name, urgent
    """
).bindparams(
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("most", type_=Integer()),
    bindparam("jobs", type_=ARRAY(String())),
)
