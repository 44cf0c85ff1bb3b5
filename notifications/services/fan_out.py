"""Turn outbox events into notification rows, once, however often and by how many it is tried."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Uuid,
    all_,
    any_,
    bindparam,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from notifications.domain.events import KNOWN_EVENTS
from notifications.domain.jobs import Channel, Job, JobName
from notifications.domain.policies import Policies, by_channels
from notifications.domain.recipients import Notice
from notifications.services.directory import Directory
from notifications.services.notice_plans import Happening, Plan, happening_of, plan_of
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
                .where(_is_one_of(event_ids), OutboxEvent.published_at.is_(None))
                .order_by(OutboxEvent.id)
                .with_for_update(skip_locked=True)
            )
        ).all()
        directory = Directory(session, admin)
        happenings, refused = await _read(directory, events)
        not_to = await directory.refused(now=now) if happenings else {}
        plans = [
            plan_of(one, policies=policies, usable=usable, refused=not_to, now=now)
            for one in happenings
        ]
        made = [(cause, notice) for plan in plans for cause, notice in _causes(plan)]
        jobs = await insert_all(session, made, now=now, enqueued_at=now)
        for plan in plans:
            if plan.unreached:
                await _note_unreached(session, plan.happening, now)
        published = tuple(plan.happening.event.id for plan in plans)
        await session.execute(
            update(OutboxEvent)
            .where(_is_one_of(published))
            .values(published_at=now)
            .execution_options(synchronize_session=False)
        )
    if plans:
        log.info("outbox.published", count=len(plans), jobs=len(jobs))
    return FannedOut(jobs, published, refused)


def _is_one_of(event_ids: Sequence[uuid.UUID]) -> ColumnElement[bool]:
    return OutboxEvent.id == any_(_array(event_ids))


def _array(ids: Collection[uuid.UUID]) -> BindParameter[Sequence[uuid.UUID]]:
    """As one value: `IN` would make a statement of its own for every number of ids."""
    return bindparam(None, list(ids), type_=ARRAY(Uuid()))


async def _read(
    directory: Directory, events: Sequence[OutboxEvent]
) -> tuple[list[Happening], dict[uuid.UUID, Exception]]:
    happenings: list[Happening] = []
    refused: dict[uuid.UUID, Exception] = {}
    for event in events:
        try:
            happenings.append(await happening_of(directory, event))
        except ValueError as error:  # also EventPayloadError; the others go on
            refused[event.id] = error
    return happenings, refused


def _causes(plan: Plan) -> list[tuple[Cause, Notice]]:
    if not plan.notices:
        return []
    cause = plan.happening.cause
    return [(cause, notice) for notice in plan.notices]


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
        query = query.where(OutboxEvent.id != all_(_array(without)))
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


async def _note_unreached(session: AsyncSession, happening: Happening, now: datetime) -> None:
    """Record that nobody could be told, as a row that says so: a log line alone is forgotten."""
    event, cause = happening.event, happening.cause
    error = {
        "kind": "permanent",
        "code": "no_recipient",
        "detail": "no agent on duty and no admin has an address here that may be written to",
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
            event=happening.occasions[0].value,
            recipient="",
            context=cause.context,
            ticket_id=cause.ticket_id,
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
        event_id=str(event.id),
        topic=event.topic,
        hint="put an agent on duty or set NOTIFICATIONS_ADMIN_USER_ID",
    )
