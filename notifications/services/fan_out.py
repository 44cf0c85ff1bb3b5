"""Turn outbox events into notification rows, once, however often and by how many it is tried."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

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
from notifications.domain.jobs import Channel, Job, JobName
from notifications.domain.operation_events import (
    OCCASION_OF_TOPIC,
    OperationFacts,
    operation_facts,
)
from notifications.domain.policies import Policies, by_channels
from notifications.domain.recipients import Notice, choose_notices
from notifications.services.addresses import refusals
from notifications.services.directory import Directory
from notifications.services.notices import Cause, insert_all, insert_notices
from notifications.services.recipients import AdminContact
from ticketing.db.engine import Database
from ticketing.db.tables import Notification, OutboxEvent
from ticketing.domain.enums import DeliveryState

__all__ = ["FannedOut", "fan_out", "fan_out_all", "insert_notices"]

log = structlog.get_logger()

EVERY_CHANNEL = frozenset(Channel)


@dataclass(frozen=True, slots=True)
class FannedOut:
    """What came of a batch of events.

    Attributes:
        jobs: To be put in the queue now.
        published: Events that are done.
        refused: Events whose payload is wrong, with the error; they stay unpublished.
    """

    jobs: tuple[Job, ...] = ()
    published: tuple[uuid.UUID, ...] = ()
    refused: dict[uuid.UUID, Exception] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one event causes."""

    event: OutboxEvent
    facts: TicketFacts | OperationFacts
    occasions: tuple[PolicyEvent, ...]
    notices: tuple[Notice, ...]

    @property
    def cause(self) -> Cause:
        return Cause(
            key=str(self.event.id),
            context=self.facts.as_context() | {"source": _source(self.event)},
            ticket_id=_ticket_id(self.facts),
            correlation_id=self.event.correlation_id,
        )


async def fan_out(
    db: Database,
    event_id: uuid.UUID,
    *,
    policies: Policies,
    admin: AdminContact,
    now: datetime,
    channels: Collection[Channel] = EVERY_CHANNEL,
) -> tuple[Job, ...]:
    """Write the notifications of one outbox event; see `fan_out_all`.

    Raises:
        EventPayloadError: when the event's payload is wrong; it stays unpublished.
    """
    done = await fan_out_all(
        db, [event_id], policies=policies, admin=admin, now=now, channels=channels
    )
    for error in done.refused.values():
        raise error
    return done.jobs


async def fan_out_all(
    db: Database,
    event_ids: Sequence[uuid.UUID],
    *,
    policies: Policies,
    admin: AdminContact,
    now: datetime,
    channels: Collection[Channel] = EVERY_CHANNEL,
) -> FannedOut:
    """Write the notifications of outbox events and mark those published, in one transaction.

    Events are locked: a second relay passes them by, as does a second run. Put the returned jobs
    in the queue afterwards; when that fails, or the process dies first, the sweep does it.

    Args:
        db: Where events and notifications are.
        event_ids: Which events.
        policies: Who is told of what.
        admin: Who the admin is.
        now: When.
        channels: Channels that this installation has a sender for; routes by others are left out.
    """
    usable = by_channels(policies, channels)
    async with db.transaction() as session:
        events = (
            await session.scalars(
                select(OutboxEvent)
                .where(OutboxEvent.id.in_(list(event_ids)), OutboxEvent.published_at.is_(None))
                .order_by(OutboxEvent.id)
                .with_for_update(skip_locked=True)
            )
        ).all()
        directory = Directory(session, admin)
        plans: list[_Plan] = []
        refused: dict[uuid.UUID, Exception] = {}
        for event in events:
            try:
                plans.append(await _plan(directory, event, usable, now))
            except ValueError as error:  # also EventPayloadError; the others go on
                refused[event.id] = error
        plans = await _without_refused(session, plans, now)
        made = [(plan.cause, notice) for plan in plans for notice in plan.notices]
        jobs = await insert_all(session, made, now=now, enqueued_at=now)
        for plan in plans:
            await _note_unreached(session, plan, policies, now)
            plan.event.published_at = now
    if plans:
        log.info("outbox.published", count=len(plans), jobs=len(jobs))
    return FannedOut(jobs, tuple(plan.event.id for plan in plans), refused)


async def _plan(
    directory: Directory, event: OutboxEvent, policies: Policies, now: datetime
) -> _Plan:
    """Whom an event tells.

    Raises:
        EventPayloadError: when its payload is wrong.
    """
    if event.topic in OCCASION_OF_TOPIC:
        return await _operation_plan(directory, event, policies, now)
    facts = ticket_facts(event.payload)
    occasions = policy_events(event.topic, facts)
    notices = choose_notices(
        occasions,
        policies=policies,
        on_duty=await directory.on_duty(facts.queue_key),
        admin=await directory.admin(),
        holder=await directory.holder(facts.holder_id),
        now=now,
    )
    if any(notice.nobody_on_duty for notice in notices):
        log.warning(
            "notification.nobody_on_duty",
            ticket_id=str(facts.ticket_id),
            queue_key=facts.queue_key,
            correlation_id=event.correlation_id,
        )
    if notices:
        # Who did it knows; telling them would teach them to ignore our notices.
        doer = await directory.email(facts.actor_id)
        others = tuple(notice for notice in notices if notice.recipient != doer)
        # That nobody else is to be told is no reason for `no_recipient`.
        occasions = occasions if others else ()
        notices = others
    return _Plan(event, facts, occasions, notices)


async def _operation_plan(
    directory: Directory, event: OutboxEvent, policies: Policies, now: datetime
) -> _Plan:
    facts = operation_facts(event.topic, event.payload)
    occasions = (OCCASION_OF_TOPIC[event.topic],)
    notices = choose_notices(
        occasions, policies=policies, on_duty=(), admin=await directory.admin(), now=now
    )
    by_others = tuple(notice for notice in notices if notice.channel is not facts.avoid_channel)
    # By the broken way it arrives when that works again: late is better than never.
    return _Plan(event, facts, occasions, by_others or notices)


async def _without_refused(
    session: AsyncSession, plans: Sequence[_Plan], now: datetime
) -> list[_Plan]:
    """The plans without addresses that may not be written to."""
    pairs = {(notice.channel, notice.recipient) for plan in plans for notice in plan.notices}
    refused = await refusals(session, pairs, now=now) if pairs else {}
    if not refused:
        return list(plans)
    return [
        _Plan(
            plan.event,
            plan.facts,
            plan.occasions,
            tuple(
                notice
                for notice in plan.notices
                if (notice.channel, notice.recipient) not in refused
            ),
        )
        for plan in plans
    ]


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


def _source(event: OutboxEvent) -> str:
    """Who says so: named by the event, such as the SLA monitor, else its topic."""
    return str(event.payload.get("source") or event.topic)


def _ticket_id(facts: TicketFacts | OperationFacts) -> uuid.UUID | None:
    return facts.ticket_id if isinstance(facts, TicketFacts) else None


async def _note_unreached(
    session: AsyncSession, plan: _Plan, policies: Policies, now: datetime
) -> None:
    """Record that nobody could be told, as a row that says so: a log line alone is forgotten."""
    if plan.notices or not any(policies[occasion].routes for occasion in plan.occasions):
        return
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
            idempotency_key=f"{plan.event.id}:nobody",
            job_name=JobName.NOTIFY_USER.value,
            event=plan.occasions[0].value,
            recipient="",
            context=plan.cause.context,
            ticket_id=plan.cause.ticket_id,
            state=DeliveryState.DROPPED.value,
            attempts=0,
            error=error,
            created_at=now,
            finished_at=now,
            correlation_id=plan.event.correlation_id,
        )
        .on_conflict_do_nothing(index_elements=["idempotency_key"])
    )
    log.error(
        "notification.no_recipient",
        event_id=str(plan.event.id),
        topic=plan.event.topic,
        hint="put an agent on duty or set NOTIFICATIONS_ADMIN_USER_ID",
    )
