"""Turn an outbox event into notification rows, once, however often and by how many it is tried."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from notifications.domain.events import (
    KNOWN_EVENTS,
    PolicyEvent,
    TicketFacts,
    policy_events,
    ticket_facts,
)
from notifications.domain.jobs import JOB_OF_CHANNEL, Job, JobName
from notifications.domain.policies import Policies
from notifications.domain.recipients import Notice, choose_notices
from notifications.services.recipients import (
    AdminContact,
    agent_email,
    find_admin,
    find_holder,
    on_duty_agents,
)
from ticketing.db.engine import Database
from ticketing.db.tables import Notification, OutboxEvent
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()


async def fan_out(
    db: Database,
    event_id: uuid.UUID,
    *,
    policies: Policies,
    admin: AdminContact,
    now: datetime,
) -> tuple[Job, ...]:
    """Write the notifications of one outbox event and mark it published, in one transaction.

    The event is locked: a second relay passes it by and gets an empty tuple, as does a second run.
    Put the returned jobs in the queue afterwards; when that fails, or the process dies first, the
    sweep does it.

    Raises:
        EventPayloadError: when the event's payload is wrong; it stays unpublished.
    """
    async with db.transaction() as session:
        event = await session.scalar(
            select(OutboxEvent)
            .where(OutboxEvent.id == event_id, OutboxEvent.published_at.is_(None))
            .with_for_update(skip_locked=True)
        )
        if event is None:
            return ()
        facts = ticket_facts(event.payload)
        occasions = policy_events(event.topic, facts)
        notices = choose_notices(
            occasions,
            policies=policies,
            on_duty=await on_duty_agents(session, facts.queue_key),
            admin=await find_admin(session, admin),
            holder=await find_holder(session, facts.holder_id),
        )
        # Who did it knows; telling them would teach them to ignore our notices.
        doer = await agent_email(session, facts.actor_id)
        others = [notice for notice in notices if notice.recipient != doer]
        jobs = await _store(session, event, facts, others, now)
        if not notices and any(policies[occasion].routes for occasion in occasions):
            await _store_unreachable(session, event, facts, occasions[0], now)
        event.published_at = now
    log.info("outbox.published", event_id=str(event_id), topic=event.topic, count=len(jobs))
    return jobs


async def waiting_events(
    session: AsyncSession, *, limit: int, without: Collection[uuid.UUID] = ()
) -> tuple[uuid.UUID, ...]:
    """Ids of unpublished events that this code understands, oldest first."""
    query = (
        select(OutboxEvent.id)
        .where(
            OutboxEvent.published_at.is_(None),
            tuple_(OutboxEvent.topic, OutboxEvent.version).in_(sorted(KNOWN_EVENTS)),
        )
        .order_by(OutboxEvent.id)
        .limit(limit)
    )
    if without:
        query = query.where(OutboxEvent.id.not_in(without))
    return tuple(await session.scalars(query))


async def unknown_events(session: AsyncSession) -> tuple[tuple[str, int, int], ...]:
    """(topic, version, count) of unpublished events that this code does not understand.

    They wait for a newer relay, or for a person: marking them published would drop them silently.
    """
    rows = await session.execute(
        select(OutboxEvent.topic, OutboxEvent.version, func.count())
        .where(
            OutboxEvent.published_at.is_(None),
            tuple_(OutboxEvent.topic, OutboxEvent.version).not_in(sorted(KNOWN_EVENTS)),
        )
        .group_by(OutboxEvent.topic, OutboxEvent.version)
        .order_by(OutboxEvent.topic, OutboxEvent.version)
    )
    return tuple((topic, version, count) for topic, version, count in rows)


async def insert_notices(
    session: AsyncSession,
    notices: Sequence[Notice],
    *,
    key: str,
    context: dict[str, Any],
    ticket_id: uuid.UUID | None,
    now: datetime,
    correlation_id: str,
    enqueued_at: datetime | None,
) -> tuple[Job, ...]:
    """Insert rows that are not there yet; a job for each new one.

    Args:
        session: the caller's transaction.
        notices: what to make.
        key: the cause; with channel and recipient it makes a row exist once.
        context: what the texts are made of.
        ticket_id: the ticket they are about, if any.
        now: time of creation.
        correlation_id: follows the cause.
        enqueued_at: `now` when the caller puts the jobs in the queue after the commit, None to
            leave that to the next sweep.
    """
    if not notices:
        return ()
    context = {key: value for key, value in context.items() if key not in {"urgent", "form"}}
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "idempotency_key": f"{key}:{notice.channel.value}:{notice.recipient}",
            "job_name": JOB_OF_CHANNEL[notice.channel].value,
            "event": notice.event.value,
            "recipient": notice.recipient,
            "language": notice.language,
            "context": context | {"urgent": notice.urgent, "nobody_on_duty": notice.nobody_on_duty},
            "ticket_id": ticket_id,
            "state": DeliveryState.PENDING.value,
            "attempts": 0,
            "next_attempt_at": now,
            "enqueued_at": enqueued_at,
            "created_at": now,
            "correlation_id": correlation_id,
        }
        for notice in notices
    ]
    inserted = await session.execute(
        insert(Notification)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["idempotency_key"])
        .returning(Notification.id)
    )
    new = set(inserted.scalars())
    return tuple(
        Job(row["job_name"], row["id"], correlation_id, urgent=row["context"]["urgent"])
        for row in rows
        if row["id"] in new
    )


async def _store(
    session: AsyncSession,
    event: OutboxEvent,
    facts: TicketFacts,
    notices: Sequence[Notice],
    now: datetime,
) -> tuple[Job, ...]:
    jobs = await insert_notices(
        session,
        notices,
        key=str(event.id),
        context=facts.as_context() | {"source": _source(event)},
        ticket_id=facts.ticket_id,
        now=now,
        correlation_id=event.correlation_id,
        enqueued_at=now,
    )
    if any(notice.nobody_on_duty for notice in notices):
        log.warning(
            "notification.nobody_on_duty",
            ticket_id=str(facts.ticket_id),
            queue_key=facts.queue_key,
            correlation_id=event.correlation_id,
        )
    return jobs


def _source(event: OutboxEvent) -> str:
    """Who says so: named by the event, such as the SLA monitor, else its topic."""
    return str(event.payload.get("source") or event.topic)


async def _store_unreachable(
    session: AsyncSession,
    event: OutboxEvent,
    facts: TicketFacts,
    occasion: PolicyEvent,
    now: datetime,
) -> None:
    """Record that nobody could be told, as a row that says so: a log line alone is forgotten."""
    error = {
        "kind": "permanent",
        "code": "no_recipient",
        "detail": "no agent on duty serves the queue and no admin is configured",
        "attempt": 0,
        "failed_at": now.isoformat(),
        "gave_up": "permanent",
    }
    await session.execute(
        insert(Notification)
        .values(
            id=new_id(),
            idempotency_key=f"{event.id}:nobody",
            job_name=JobName.NOTIFY_USER.value,
            event=occasion.value,
            recipient="",
            context=facts.as_context() | {"source": _source(event)},
            ticket_id=facts.ticket_id,
            state=DeliveryState.DROPPED.value,
            attempts=0,
            error=error,
            created_at=now,
            finished_at=now,
            correlation_id=event.correlation_id,
        )
        .on_conflict_do_nothing(index_elements=["idempotency_key"])
    )
    log.error(
        "notification.no_recipient",
        ticket_id=str(facts.ticket_id),
        queue_key=facts.queue_key,
        hint="put an agent on duty or set NOTIFICATIONS_ADMIN_USER_ID",
    )
