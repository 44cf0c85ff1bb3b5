"""Take a job from a producer: a row in the database, once for each idempotency key."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from notifications.domain.contract import ContractError, ContractProblem, JobPayload
from notifications.domain.job_context import OWN_KEYS
from notifications.domain.jobs import CHANNEL_OF_JOB, Channel, JobName
from notifications.domain.policies import Policies
from notifications.domain.recipients import LANGUAGES, Notice
from notifications.services.notices import insert_notices
from notifications.services.wake import wake_sweep
from ticketing.db.tables import Notification, Ticket
from ticketing.domain.enums import DeliveryGuarantee, DeliveryState
from ticketing.services.repeats import KeyReusedError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Produced:
    """A job that was taken.

    Attributes:
        id: Of the notification.
        state: How far it is.
        repeated: The same job was taken before, and nothing was made now.
    """

    id: uuid.UUID
    job_name: str
    event: str
    state: str
    urgent: bool
    created_at: datetime
    expires_at: datetime | None
    correlation_id: str
    repeated: bool


async def produce(
    session: AsyncSession,
    job: JobPayload,
    *,
    producer: str,
    policies: Policies,
    channels: Collection[Channel],
    now: datetime,
) -> Produced:
    """Make the row of a job, in the caller's transaction; the sweep is woken by the commit.

    The same key of the same producer makes one row, as long as rows are kept.

    Args:
        session: The caller's transaction.
        job: What is to be done.
        producer: Who asks, such as `agent:<id>`; keys of two producers are two keys.
        policies: How urgent an event is, how long it is of use, what is told together.
        channels: Those that this installation has a sender for.
        now: When.

    Raises:
        ContractError: when its channel has no account here, or its ticket does not exist.
        KeyReusedError: when the key stands for another job.
    """
    await _check_here(session, job, channels)
    cause = f"job:{producer}:{job.idempotency_key}"
    way = "user" if job.channel is None else job.channel.value
    present = select(Notification).where(
        Notification.idempotency_key == f"{cause}:{way}:{job.address}"
    )
    # One request of a key at a time: two would each see that there is no row yet.
    await session.execute(_LOCK, {"key": cause})
    row = await session.scalar(present)
    if row is not None and not _is_same(row, job):
        raise KeyReusedError
    if row is not None:
        return _produced(row, repeated=True)
    if job.channel is None:
        await _insert_for_user(session, job, cause, policies, now)
    else:
        notice = _notice(job, job.channel, policies)
        await insert_notices(
            session,
            [notice],
            key=cause,
            context=dict(job.context),
            ticket_id=job.ticket_id,
            now=now,
            correlation_id=job.correlation_id,
            enqueued_at=None,
        )
    row = (await session.scalars(present)).one()
    log.info(
        "notification.produced",
        notification_id=str(row.id),
        job_name=row.job_name,
        correlation_id=row.correlation_id,
    )
    return _produced(row, repeated=False)


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


def _produced(row: Notification, *, repeated: bool) -> Produced:
    return Produced(
        id=row.id,
        job_name=row.job_name,
        event=row.event,
        state=row.state,
        urgent=row.urgent,
        created_at=row.created_at,
        expires_at=row.expires_at,
        correlation_id=row.correlation_id,
        repeated=repeated,
    )


async def _check_here(
    session: AsyncSession, job: JobPayload, channels: Collection[Channel]
) -> None:
    problems = []
    if job.channel is not None and job.channel not in channels:
        usable = tuple(
            name.value for name in JobName if CHANNEL_OF_JOB.get(name) in {None, *channels}
        )
        detail = (
            f"this installation has no account for {job.channel.value}; "
            f"expected one of {', '.join(usable)}"
        )
        problems.append(ContractProblem("job_name", detail, usable))
    if job.ticket_id is not None:
        known = await session.scalar(select(Ticket.id).where(Ticket.id == job.ticket_id))
        if known is None:
            detail = "there is no such ticket; expected the id of one"
            problems.append(ContractProblem("context.ticket_id", detail))
    if problems:
        raise ContractError(*problems)


def _notice(job: JobPayload, channel: Channel, policies: Policies) -> Notice:
    """To an address that the producer chose: nobody's wishes or quiet hours stand in between."""
    policy = policies[job.event]
    return Notice(
        job.event,
        channel,
        job.address,
        job.language or LANGUAGES[0],
        policy.urgent,
        guarantee=policy.guarantee,
        expires=policy.expires,
        digest=policy.digest,
    )


async def _insert_for_user(
    session: AsyncSession, job: JobPayload, cause: str, policies: Policies, now: datetime
) -> None:
    policy = policies[job.event]
    row = Notification(
        id=new_id(),
        idempotency_key=f"{cause}:user:{job.address}",
        payload_version=job.version,
        job_name=job.job_name.value,
        event=job.event.value,
        recipient=job.address,
        context={**job.context, "user": job.address},
        ticket_id=job.ticket_id,
        urgent=policy.urgent,
        # It sends nothing itself: a repeat makes no second notice, and those have the policy's.
        guarantee=DeliveryGuarantee.AT_LEAST_ONCE.value,
        state=DeliveryState.PENDING.value,
        next_attempt_at=now,
        expires_at=now + policy.expires,
        created_at=now,
        correlation_id=job.correlation_id,
    )
    session.add(row)
    await session.flush()
    await wake_sweep(session)


def _is_same(row: Notification, job: JobPayload) -> bool:
    """Whether a row was made of the same job. Sending adds to a context, and changes nothing.

    Of a person who was erased since, the context is empty: then nobody can say otherwise.
    """
    if (row.job_name, row.event) != (job.job_name.value, job.event.value):
        return False
    if job.language is not None and row.language != job.language:
        return False
    if "source" not in row.context:
        return True
    stored = {key: value for key, value in row.context.items() if key not in OWN_KEYS}
    return stored == job.context
