"""Deliver one notification: claim (commit), send (no transaction open), record (commit).

Whoever dies in between leaves a lease that runs out; then the sweep puts the row in the queue again
and somebody else claims it. Redis may lose, repeat or delay a job: the claim decides.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from notifications.domain.failure import Failure, FailureKind, SendFailedError, error_record
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.retry import RetryIn, plan_retry, preset_for
from notifications.services.failures import FailureNotices
from notifications.services.ports import Accepted, Outgoing, Sender
from ticketing.db.engine import Database
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()

SEND_DEADLINE = timedelta(seconds=90)
"""A sender that has not answered by then is given up as of unknown outcome. It is above the sum of
a sender's own timeouts (SMTP: eight steps of 10 s), which end a hanging send first."""

LEASE = timedelta(minutes=2)
"""How long a claim holds. It must be above `SEND_DEADLINE`, or one notice could be sent by two."""

MAX_LOST_WORKERS = 5
"""A row whose worker died this many times in a row kills workers: it is given up, not repeated."""

RECORD_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between tries to record a result while the database restarts; 16 s, well within `LEASE`."""

WAITING = (DeliveryState.PENDING.value, DeliveryState.UNKNOWN.value)
ON_ITS_WAY = (*WAITING, DeliveryState.SENDING.value)


async def claim(
    db: Database, notification_id: uuid.UUID, now: datetime, *, give_up: FailureNotices
) -> Outgoing | None:
    """Take the notification for one attempt, or None when there is nothing to do.

    Nothing to do: it does not exist, is finished, is not due yet, or somebody else has it. The
    attempt is counted and committed before anything is sent.
    """
    async with db.transaction() as session:
        row = await session.scalar(
            select(Notification)
            .where(Notification.id == notification_id)
            .with_for_update(skip_locked=True)
        )
        if row is None or not _is_due(row, now):
            return None
        if row.state == DeliveryState.SENDING.value and _lost_workers(row) >= MAX_LOST_WORKERS:
            lost = Failure(FailureKind.UNKNOWN, "worker_lost", detail="every worker died over it")
            await give_up.give_up(session, row, lost, reason="attempts_exhausted", now=now)
            return None
        if row.state == DeliveryState.SENDING.value:
            row.error = {"code": "worker_lost", "kind": "unknown", "count": _lost_workers(row) + 1}
        row.state = DeliveryState.SENDING.value
        row.attempts += 1
        row.lease_until = now + LEASE
        row.next_attempt_at = None
        row.enqueued_at = None
        return Outgoing(
            notification_id=row.id,
            attempt=row.attempts,
            recipient=row.recipient,
            language=row.language,
            event=row.event,
            context=dict(row.context),
            created_at=row.created_at,
            correlation_id=row.correlation_id,
        )


@dataclass(frozen=True, slots=True)
class Deliverer:
    """Delivers notifications. `jitter` draws a number from 0 to 1."""

    db: Database
    clock: Clock
    senders: Mapping[JobName, Sender]
    give_up: FailureNotices
    jitter: Callable[[], float]
    record_pauses: tuple[float, ...] = field(default=RECORD_PAUSES_SECONDS)

    async def deliver(self, notification_id: uuid.UUID, job_name: JobName) -> None:
        """Make one attempt, if one is due. Safe to call twice, or by two at once.

        Raises:
            SQLAlchemyError: when the database does not answer; the sweep comes back to the row.
        """
        outgoing = await claim(self.db, notification_id, self.clock.now(), give_up=self.give_up)
        if outgoing is None:
            log.debug("notification.nothing_to_do", notification_id=str(notification_id))
            return
        result = await self._send(outgoing, job_name)
        await self._record_patiently(outgoing, job_name, result)

    async def _send(self, outgoing: Outgoing, job_name: JobName) -> Accepted | Failure:
        sender = self.senders.get(job_name)
        if sender is None:
            detail = f"this installation has no sender for {job_name.value}"
            return Failure(FailureKind.PERMANENT, "no_sender", detail=detail)
        try:
            async with asyncio.timeout(SEND_DEADLINE.total_seconds()):
                return await sender.send(outgoing, now=self.clock.now())
        except SendFailedError as error:
            return error.failure
        except TimeoutError:
            return Failure(FailureKind.UNKNOWN, "deadline", detail="the provider did not answer")
        except Exception as error:  # a fault of ours must leave a trace on the row and be retried
            log.exception(
                "notification.sender_broken",
                notification_id=str(outgoing.notification_id),
                job_name=job_name.value,
                error_type=type(error).__name__,
            )
            return Failure(FailureKind.TRANSIENT, "internal_error", detail=type(error).__name__)

    async def _record_patiently(
        self, outgoing: Outgoing, job_name: JobName, result: Accepted | Failure
    ) -> None:
        """Record, trying again while the database is away: forgetting a send means a second one."""
        for pause in self.record_pauses:
            try:
                await self.record(outgoing, job_name, result)
            except (SQLAlchemyError, OSError) as error:
                log.warning(
                    "notification.record_failed",
                    notification_id=str(outgoing.notification_id),
                    error_type=type(error).__name__,
                    retry_in_seconds=pause,
                )
                await asyncio.sleep(pause)
            else:
                return
        await self.record(outgoing, job_name, result)

    async def record(
        self, outgoing: Outgoing, job_name: JobName, result: Accepted | Failure
    ) -> None:
        """Write the result of an attempt on the row.

        A success counts whenever it comes. A failure counts only for the attempt that holds the
        row: neither a status that came first nor a newer attempt is overwritten.
        """
        now = self.clock.now()
        async with self.db.transaction() as session:
            row = await session.get(Notification, outgoing.notification_id, with_for_update=True)
            if row is None:
                return
            if isinstance(result, Accepted):
                _record_success(row, result, now)
            elif row.state == DeliveryState.SENDING.value and row.attempts == outgoing.attempt:
                await self._record_failure(session, row, job_name, result, now)

    async def _record_failure(
        self,
        session: AsyncSession,
        row: Notification,
        job_name: JobName,
        failure: Failure,
        now: datetime,
    ) -> None:
        preset = preset_for(failure, channel=CHANNEL_OF_JOB.get(job_name))
        plan = plan_retry(row.attempts, failure, preset=preset, jitter=self.jitter())
        if not isinstance(plan, RetryIn):
            await self.give_up.give_up(session, row, failure, reason=plan.reason, now=now)
            return
        unknown = failure.kind is FailureKind.UNKNOWN
        row.state = (DeliveryState.UNKNOWN if unknown else DeliveryState.PENDING).value
        row.next_attempt_at = now + plan.delay
        row.enqueued_at = None
        row.lease_until = None
        row.error = error_record(failure, job_name=job_name.value, attempt=row.attempts, at=now)
        say = log.error if failure.kind is FailureKind.STOP_CHANNEL else log.warning
        say(
            "notification.attempt_failed",
            notification_id=str(row.id),
            job_name=job_name.value,
            kind=failure.kind.value,
            code=failure.code,
            attempt=row.attempts,
            retry_in_seconds=round(plan.delay.total_seconds(), 1),
            correlation_id=row.correlation_id,
        )


def _is_due(row: Notification, now: datetime) -> bool:
    if row.state in WAITING:
        return row.next_attempt_at is None or row.next_attempt_at <= now
    if row.state == DeliveryState.SENDING.value:
        return row.lease_until is None or row.lease_until <= now
    return False


def _lost_workers(row: Notification) -> int:
    error = row.error or {}
    return int(error.get("count", 0)) if error.get("code") == "worker_lost" else 0


def _record_success(row: Notification, accepted: Accepted, now: datetime) -> None:
    if row.provider_id is None or row.state in ON_ITS_WAY:
        row.provider_id = accepted.provider_id or row.provider_id
    if accepted.form is not None:
        row.context = row.context | {"form": accepted.form}
    if row.state not in ON_ITS_WAY and row.state != DeliveryState.FAILED.value:
        return  # a status said sent, delivered or read before the answer came
    row.state = DeliveryState.SENT.value
    row.finished_at = now
    row.lease_until = None
    row.next_attempt_at = None
    row.error = None
    log.info(
        "notification.sent",
        notification_id=str(row.id),
        job_name=row.job_name,
        attempt=row.attempts,
        ticket_id=str(row.ticket_id),
        correlation_id=row.correlation_id,
    )
