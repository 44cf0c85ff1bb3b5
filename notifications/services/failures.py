"""What happens when a notification is given up: recorded on the row, and the admin is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.events import PolicyEvent
from notifications.domain.failure import Failure, error_record
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.policies import Policies
from notifications.domain.recipients import choose_notices
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

    async def give_up(
        self,
        session: AsyncSession,
        row: Notification,
        failure: Failure,
        *,
        reason: str,
        now: datetime,
    ) -> None:
        """Mark the locked row failed, for ever, and tell the admin by another way.

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
        }
        await insert_notices(
            session,
            others,
            key=f"failed:{row.id}",
            context=context,
            ticket_id=row.ticket_id,
            now=now,
            correlation_id=row.correlation_id,
            enqueued_at=None,
        )
