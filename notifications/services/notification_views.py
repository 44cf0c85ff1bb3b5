"""Notices as operators read them: a list, and one with its attempts. Recipients are masked here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.dead_letters import (
    masked_recipient,
    redacted_context,
    redacted_detail,
)
from notifications.domain.jobs import JobName
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeliveryState

MOST = 200
DEFAULT = 50
MOST_FOLLOWERS = 50


class NotificationNotFoundError(LookupError):
    """There is no such notification."""


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """Which notices; empty means all."""

    states: tuple[DeliveryState, ...] = ()
    job_names: tuple[JobName, ...] = ()
    events: tuple[str, ...] = ()
    ticket_id: uuid.UUID | None = None
    correlation_id: str | None = None
    urgent: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As conditions of SQL."""
        row = Notification
        wanted: list[ColumnElement[bool]] = []
        if self.states:
            wanted.append(row.state.in_([state.value for state in self.states]))
        if self.job_names:
            wanted.append(row.job_name.in_([name.value for name in self.job_names]))
        if self.events:
            wanted.append(row.event.in_(self.events))
        if self.ticket_id is not None:
            wanted.append(row.ticket_id == self.ticket_id)
        if self.correlation_id is not None:
            wanted.append(row.correlation_id == self.correlation_id)
        if self.urgent is not None:
            wanted.append(row.urgent.is_(self.urgent))
        return wanted


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A notice in a list.

    Attributes:
        recipient: Masked.
        attempts: Those that were spent.
        deferrals: Claims that spent none.
        error_code: Of the last failure; None after a success.
        digest_id: The notice in whose words it is told.
        acknowledged_at: When its recipient pressed the button "got it" on WhatsApp.
    """

    id: uuid.UUID
    job_name: str
    event: str
    state: str
    urgent: bool
    recipient: str
    language: str
    ticket_id: uuid.UUID | None
    attempts: int
    deferrals: int
    error_code: str | None
    digest_id: uuid.UUID | None
    correlation_id: str
    created_at: datetime
    next_attempt_at: datetime | None
    expires_at: datetime | None
    finished_at: datetime | None
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """Notices, the newest first, and the cursor of the next page."""

    notifications: tuple[NotificationView, ...]
    next_cursor: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class NotificationError:
    """The last failure, in our words.

    Attributes:
        attempt: Which attempt failed.
        gave_up: Why there is no further attempt; None: there is one.
    """

    kind: str
    code: str
    detail: str
    http_status: int | None
    attempt: int | None
    failed_at: str | None
    gave_up: str | None


@dataclass(frozen=True, slots=True)
class NotificationDetail:
    """A notice with all that happened to it.

    Attributes:
        context: The part of its facts that says nothing about a person.
        hidden: Names of the facts that are left out.
        told_with: Notices that are told in its words, the first of them.
        told_with_count: How many they are.
        lost_workers: Workers that died while they had it.
        reprocess_count: How often an operator sent it again.
        claimed_at: When a worker took it last.
        enqueued_at: Since when it is in a queue of Redis; None: it is in none.
        dead_letter_id: Its entry of the dead letters, and what that is now.
    """

    notification: NotificationView
    payload_version: int
    guarantee: str
    context: Mapping[str, Any]
    hidden: tuple[str, ...]
    error: NotificationError | None
    told_with: tuple[uuid.UUID, ...]
    told_with_count: int
    lost_workers: int
    reprocess_count: int
    claimed_at: datetime | None
    enqueued_at: datetime | None
    dead_letter_id: uuid.UUID | None
    dead_letter_state: str | None


async def list_notifications(
    session: AsyncSession,
    wanted: NotificationFilter,
    *,
    cursor: uuid.UUID | None = None,
    limit: int = DEFAULT,
) -> NotificationPage:
    """A page of notices, the newest first: their ids grow with time.

    Args:
        session: The caller's transaction.
        wanted: Which.
        cursor: `next_cursor` of the page before: the last id seen.
        limit: At most so many, and at most `MOST`.
    """
    limit = max(1, min(limit, MOST))
    query = (
        select(Notification)
        .where(*wanted.conditions())
        .order_by(Notification.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(Notification.id < cursor)
    rows = (await session.scalars(query)).all()
    page = rows[:limit]
    return NotificationPage(
        tuple(view_of(row) for row in page), page[-1].id if len(rows) > limit else None
    )


async def show_notification(
    session: AsyncSession, notification_id: uuid.UUID
) -> NotificationDetail:
    """One notice with all that happened to it.

    Raises:
        NotificationNotFoundError: when there is none.
    """
    row = await session.get(Notification, notification_id)
    if row is None:
        message = "there is no such notification; expected the id of one"
        raise NotificationNotFoundError(message)
    told = Notification.digest_id == row.id
    followers = await session.scalars(
        select(Notification.id).where(told).order_by(Notification.id).limit(MOST_FOLLOWERS)
    )
    count = await session.scalar(select(func.count()).select_from(Notification).where(told))
    dead = (
        await session.execute(
            select(DeadLetter.id, DeadLetter.state).where(DeadLetter.notification_id == row.id)
        )
    ).one_or_none()
    context, hidden = redacted_context(row.context)
    return NotificationDetail(
        notification=view_of(row),
        payload_version=row.payload_version,
        guarantee=row.guarantee,
        context=context,
        hidden=hidden,
        error=_error(row.error),
        told_with=tuple(followers),
        told_with_count=int(count or 0),
        lost_workers=row.lost_workers,
        reprocess_count=row.reprocess_count,
        claimed_at=row.claimed_at,
        enqueued_at=row.enqueued_at,
        dead_letter_id=None if dead is None else dead.id,
        dead_letter_state=None if dead is None else dead.state,
    )


def view_of(row: Notification) -> NotificationView:
    """A row as it is listed."""
    return NotificationView(
        id=row.id,
        job_name=row.job_name,
        event=row.event,
        state=row.state,
        urgent=row.urgent,
        recipient=masked_recipient(row.recipient),
        language=row.language,
        ticket_id=row.ticket_id,
        attempts=row.attempts,
        deferrals=row.deferrals,
        error_code=_text(row.error, "code") or None,
        digest_id=row.digest_id,
        correlation_id=row.correlation_id,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        expires_at=row.expires_at,
        finished_at=row.finished_at,
        acknowledged_at=row.acknowledged_at,
    )


def _error(error: Mapping[str, Any] | None) -> NotificationError | None:
    if not error:
        return None
    return NotificationError(
        kind=_text(error, "kind"),
        code=_text(error, "code"),
        detail=redacted_detail(_text(error, "detail")),
        http_status=_number(error, "http_status"),
        attempt=_number(error, "attempt"),
        failed_at=_text(error, "failed_at") or None,
        gave_up=_text(error, "gave_up") or None,
    )


def _text(error: Mapping[str, Any] | None, key: str) -> str:
    value = None if error is None else error.get(key)
    return value if isinstance(value, str) else ""


def _number(error: Mapping[str, Any], key: str) -> int | None:
    value = error.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
