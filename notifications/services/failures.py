"""What happens when a notification is given up: recorded on the row, and the admin is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.events import PolicyEvent
from notifications.domain.failure import Failure, error_record
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName, queue_name
from notifications.domain.policies import Policies
from notifications.domain.recipients import choose_notices
from notifications.services.dead_letters import bury
from notifications.services.fan_out import insert_notices
from notifications.services.recipients import AdminContact, find_admin
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FailureNotices:
    """Gives a notification up and writes the notices of the policy `notification-failed`."""

    policies: Policies
    admin: AdminContact
    recipient_key: str = ""
    """The server's secret that recipients of dead letters are hashed with; empty: no hash."""

    async def give_up(
        self,
        session: AsyncSession,
        row: Notification,
        failure: Failure,
        *,
        reason: str,
        now: datetime,
    ) -> None:
        """Mark the locked row failed, make it a dead letter, and tell the admin by another way.

        All in the caller's transaction: there is no failed row without its dead letter.
        A notice about a failure causes no further one, and the admin is not told by the way that
        has just failed, so two broken channels cannot keep each other busy.
        """
        row.state = DeliveryState.FAILED.value
        row.finished_at = now
        row.lease_until = None
        row.next_attempt_at = None
        row.error = error_record(
            failure, job_name=row.job_name, attempt=row.attempts, at=now, gave_up=reason
        )
        log.error(
            "notification.failed",
            notification_id=str(row.id),
            job_name=row.job_name,
            attempt=row.attempts,
            code=failure.code,
            reason=reason,
            correlation_id=row.correlation_id,
        )
        await bury(
            session,
            row,
            failure,
            reason=reason,
            origin_queue=queue_name(urgent=row.urgent),
            now=now,
            recipient_key=self.recipient_key,
        )
        if row.event != PolicyEvent.NOTIFICATION_FAILED.value:
            await self._tell_admin(session, row, failure, now)

    async def _tell_admin(
        self, session: AsyncSession, row: Notification, failure: Failure, now: datetime
    ) -> None:
        failed = CHANNEL_OF_JOB.get(JobName(row.job_name))
        notices = choose_notices(
            [PolicyEvent.NOTIFICATION_FAILED],
            policies=self.policies,
            on_duty=(),
            admin=await find_admin(session, self.admin),
        )
        others = [
            notice
            for notice in notices
            if (notice.channel, notice.recipient) != (failed, row.recipient)
        ]
        context = row.context | {
            "source": f"notification:{row.id}",
            "failed_channel": failed.value if failed else row.job_name,
            "failed_code": failure.code,
            "failed_event": row.event,
        }
        await insert_notices(
            session,
            others,
            key=failure_key(row),
            context=context,
            ticket_id=row.ticket_id,
            now=now,
            correlation_id=row.correlation_id,
            enqueued_at=None,
        )


def failure_key(row: Notification) -> str:
    """The cause of the admin's notice: once for each life of a notice.

    A notice that was reprocessed and died again is news to whoever reprocessed it.
    """
    again = f":{row.reprocess_count}" if row.reprocess_count else ""
    return f"failed:{row.id}{again}"
