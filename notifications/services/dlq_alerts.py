"""Look at the dead letters and alert: too many of them, too many new ones; and when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_correlation_id
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.services import dlq_webhook
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter, OperationAlert
from ticketing.domain.enums import DeadLetterState
from ticketing.domain.operation_alerts import AlertState, Says, decide
from ticketing.services.outbox import add_event

log = structlog.get_logger()

THRESHOLD = "dlq_threshold"
GROWTH = "dlq_growth"
_TOPICS = {THRESHOLD: "dlq.threshold", GROWTH: "dlq.growth"}
_CLEARED = "dlq.cleared"
_SOURCE = "dlq-monitor"

REMIND = timedelta(hours=24)
"""An alert that goes on is told again once a day: dead letters are never removed by themselves, so
that one of them may rightly wait for days."""


@dataclass(frozen=True, slots=True)
class DlqMonitor:
    """Looks at the numbers; run it every half minute.

    Attributes:
        threshold: PONTE_DLQ_THRESHOLD: so many dead letters are an alert.
        growth: PONTE_DLQ_GROWTH: so many new ones within `window` are an alert.
        window: PONTE_DLQ_GROWTH_MINUTES.
        webhook: Whether DLQ_ALERT_WEBHOOK_URL wants to know.
    """

    db: Database
    clock: Clock
    threshold: int
    growth: int
    window: timedelta
    webhook: bool = False

    async def run(self) -> dict[str, Says]:
        """Look once; what was told, by alert. State, notice and webhook are one transaction."""
        now = self.clock.now()
        told = {}
        dead = DeadLetter.state == DeadLetterState.DEAD.value
        for name, limit, condition in (
            (THRESHOLD, self.threshold, dead),
            # Also those that were dealt with since: what matters is that they came.
            (GROWTH, self.growth, DeadLetter.failed_at > now - self.window),
        ):
            async with self.db.transaction() as session:
                count, avoid = await _count(session, condition)
                told[name] = await self._follow(
                    session, name, count, limit=limit, avoid=avoid, now=now
                )
        return told

    async def _follow(
        self,
        session: AsyncSession,
        name: str,
        count: int,
        *,
        limit: int,
        avoid: str | None,
        now: datetime,
    ) -> Says:
        row = await _locked(session, name, now)
        decision = decide(_state(row), value=count, limit=limit, now=now, remind=REMIND)
        after = decision.state
        row.firing, row.since, row.told_at = after.firing, after.since, after.told_at
        row.value = count
        if decision.says is Says.NOTHING:
            return decision.says
        topic = _CLEARED if decision.says is Says.CLEARED else _TOPICS[name]
        payload: dict[str, Any] = {
            "source": _SOURCE,
            "subject": name,
            "count": count,
            "threshold": limit,
            "since": after.since.isoformat(),
        }
        if name == GROWTH:
            payload["minutes"] = int(self.window.total_seconds() // 60)
        if avoid is not None:
            payload["avoid_channel"] = avoid
        await add_event(
            session, topic=topic, payload=payload, now=now, correlation_id=new_correlation_id()
        )
        if self.webhook:
            await dlq_webhook.add_call(
                session,
                cause=f"alert:{name}:{now.isoformat()}",
                kind=topic,
                status=decision.says.value,
                more={"alert": payload},
                now=now,
            )
        log.warning("dlq.alert", topic=topic, name=name, count=count, threshold=limit)
        return decision.says


async def _count(session: AsyncSession, condition: Any) -> tuple[int, str | None]:
    """How many, and the channel that most of them failed on: it must not carry the alert."""
    rows = (
        await session.execute(
            select(DeadLetter.job_name, func.count())
            .where(condition)
            .group_by(DeadLetter.job_name)
            .order_by(func.count().desc(), DeadLetter.job_name)
        )
    ).all()
    total = sum(count for _, count in rows)
    if not rows or rows[0][1] * 2 < total:
        return total, None
    try:
        channel = CHANNEL_OF_JOB.get(JobName(rows[0][0]))
    except ValueError:
        return total, None
    return total, None if channel is None else channel.value


async def _locked(session: AsyncSession, name: str, now: datetime) -> OperationAlert:
    """The alert's row, locked: two monitors at once tell it once."""
    await session.execute(
        insert(OperationAlert)
        .values(name=name, firing=False, since=now, value=0)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    found = await session.scalars(
        select(OperationAlert).where(OperationAlert.name == name).with_for_update()
    )
    return found.one()


def _state(row: OperationAlert) -> AlertState:
    return AlertState(row.firing, row.since, row.told_at, row.value)
