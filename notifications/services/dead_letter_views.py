"""Dead letters as operators read them: a list, one entry with its story, counts for the page.

Recipients are masked here, when somebody looks; nothing of them is stored in readable form.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.dead_letters import AGES, OLDER, masked_recipient
from notifications.domain.jobs import JobName
from notifications.services.dead_letter_filter import DeadLetterFilter
from notifications.services.dlq_actions import EntryActView, acts_upon
from notifications.services.ports import Gate
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeadLetterState

MOST = 200
DEFAULT = 50
MOST_GROUPS = 20


class DeadLetterNotFoundError(LookupError):
    """There is no such entry."""


class DeadLetterCursorError(ValueError):
    """The cursor is none of ours."""

    field = "cursor"


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """An entry. `recipient` is masked; None for a job that no notice stands for."""

    id: uuid.UUID
    notification_id: uuid.UUID | None
    state: str
    job_name: str
    event: str | None
    origin_queue: str
    reason: str
    error_kind: str
    error_code: str
    http_status: int | None
    detail: str
    attempts: int
    reprocess_count: int
    recipient: str | None
    ticket_id: uuid.UUID | None
    ticket_number: int | None
    payload: dict[str, Any]
    payload_hash: str
    correlation_id: str
    first_failed_at: datetime
    failed_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Entries, the newest failure first, and the cursor of the next page."""

    dead_letters: tuple[DeadLetterView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DeadLetterStory:
    """An entry with what happened to it.

    Attributes:
        notice_state: Of its notice now; None without one.
        next_attempt_at: When the notice is due, while it is on its way again.
        expires_at: When it is of no use any more.
        stopped_seconds: For how long its channel is stopped still; None: it is not, or nobody asks.
        acts: What operators did.
    """

    entry: DeadLetterView
    notice_state: str | None
    next_attempt_at: datetime | None
    expires_at: datetime | None
    stopped_seconds: float | None
    acts: tuple[EntryActView, ...]


@dataclass(frozen=True, slots=True)
class DeadLetterCounts:
    """How many entries there are. By job, code and age: the dead ones alone."""

    by_state: Mapping[str, int] = field(default_factory=dict)
    by_job: Mapping[str, int] = field(default_factory=dict)
    by_code: Mapping[str, int] = field(default_factory=dict)
    by_age: Mapping[str, int] = field(default_factory=dict)


async def list_dead_letters(
    session: AsyncSession,
    wanted: DeadLetterFilter,
    *,
    recipient_key: str,
    cursor: str | None = None,
    limit: int = DEFAULT,
) -> DeadLetterPage:
    """A page of entries, the newest failure first.

    Raises:
        DeadLetterCursorError: when the cursor is not `next_cursor` of a page.
    """
    limit = max(1, min(limit, MOST))
    query = (
        select(DeadLetter, Notification.recipient)
        .outerjoin(Notification, Notification.id == DeadLetter.notification_id)
        .where(*wanted.conditions(recipient_key=recipient_key))
        .order_by(DeadLetter.failed_at.desc(), DeadLetter.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(tuple_(DeadLetter.failed_at, DeadLetter.id) < _read_cursor(cursor))
    found: Sequence[Any] = (await session.execute(query)).all()
    page = found[:limit]
    return DeadLetterPage(
        tuple(_view(entry, recipient) for entry, recipient in page),
        _cursor(page[-1][0]) if len(found) > limit else None,
    )


async def tell_story(session: AsyncSession, entry_id: uuid.UUID) -> DeadLetterStory:
    """One entry with what happened to it; `stopped_seconds` is left to `stopped_for`.

    Raises:
        DeadLetterNotFoundError: when there is none.
    """
    found = (
        await session.execute(
            select(DeadLetter, Notification)
            .outerjoin(Notification, Notification.id == DeadLetter.notification_id)
            .where(DeadLetter.id == entry_id)
        )
    ).one_or_none()
    if found is None:
        message = f"there is no dead letter {entry_id}"
        raise DeadLetterNotFoundError(message)
    entry: DeadLetter = found[0]
    row: Notification | None = found[1]
    return DeadLetterStory(
        entry=_view(entry, None if row is None else row.recipient),
        notice_state=None if row is None else row.state,
        next_attempt_at=None if row is None else row.next_attempt_at,
        expires_at=None if row is None else row.expires_at,
        stopped_seconds=None,
        acts=await acts_upon(session, entry_id),
    )


async def count_dead_letters(session: AsyncSession, *, now: datetime) -> DeadLetterCounts:
    """Counts for the page and the metrics."""
    states = await session.execute(
        select(DeadLetter.state, func.count()).group_by(DeadLetter.state)
    )
    dead = DeadLetter.state == DeadLetterState.DEAD.value
    age = func.extract("epoch", now - DeadLetter.failed_at)
    ages: dict[str, int] = {}
    lowest = -float("inf")
    for name, highest in (*AGES, (OLDER, float("inf"))):
        ages[name] = int(
            await session.scalar(
                select(func.count())
                .select_from(DeadLetter)
                .where(dead, age >= lowest, age < highest)
            )
            or 0
        )
        lowest = highest
    return DeadLetterCounts(
        by_state={state.value: 0 for state in DeadLetterState} | dict(states.all()),
        by_job=await _groups(session, DeadLetter.job_name),
        by_code=await _groups(session, DeadLetter.error_code),
        by_age=ages,
    )


async def counts_by_job_and_state(session: AsyncSession) -> dict[tuple[str, str], int]:
    """(job name, state) to a count, for the gauge. Invalid job names count as `invalid`."""
    rows = await session.execute(
        select(DeadLetter.job_name, DeadLetter.state, func.count()).group_by(
            DeadLetter.job_name, DeadLetter.state
        )
    )
    valid = {job_name.value for job_name in JobName}
    counts: dict[tuple[str, str], int] = {}
    for job_name, state, count in rows:
        key = (job_name if job_name in valid else "invalid", state)
        counts[key] = counts.get(key, 0) + count
    return counts


async def _groups(session: AsyncSession, column: Any) -> dict[str, int]:
    rows = await session.execute(
        select(column, func.count())
        .where(DeadLetter.state == DeadLetterState.DEAD.value)
        .group_by(column)
        .order_by(func.count().desc(), column)
        .limit(MOST_GROUPS)
    )
    return dict(rows.all())


async def stopped_for(job_name: str, gate: Gate | None) -> float | None:
    """For how many seconds nothing leaves by a job name; None: it may, or nobody can be asked."""
    try:
        name = JobName(job_name)
    except ValueError:
        return None
    if gate is None:
        return None
    wait = (await gate.closed_for([name])).get(name)
    return None if wait is None else wait.total_seconds()


def _view(entry: DeadLetter, recipient: str | None) -> DeadLetterView:
    number = entry.payload.get("ticket_number")
    return DeadLetterView(
        id=entry.id,
        notification_id=entry.notification_id,
        state=entry.state,
        job_name=entry.job_name,
        event=entry.event,
        origin_queue=entry.origin_queue,
        reason=entry.reason,
        error_kind=entry.error_kind,
        error_code=entry.error_code,
        http_status=entry.http_status,
        detail=entry.detail,
        attempts=entry.attempts,
        reprocess_count=entry.reprocess_count,
        recipient=None if recipient is None else masked_recipient(recipient),
        ticket_id=entry.ticket_id,
        ticket_number=number if isinstance(number, int) else None,
        payload=entry.payload,
        payload_hash=entry.payload_hash,
        correlation_id=entry.correlation_id,
        first_failed_at=entry.first_failed_at,
        failed_at=entry.failed_at,
        closed_at=entry.closed_at,
    )


def _cursor(entry: DeadLetter) -> str:
    return f"{entry.failed_at.isoformat()}~{entry.id}"


def _read_cursor(value: str) -> tuple[datetime, uuid.UUID]:
    moment, _, entry_id = value.partition("~")
    try:
        at, key = datetime.fromisoformat(moment), uuid.UUID(entry_id)
    except ValueError as error:
        message = f"cursor: expected next_cursor of a page, got {value[:60]!r}"
        raise DeadLetterCursorError(message) from error
    if at.tzinfo is None:
        message = "cursor: expected next_cursor of a page"
        raise DeadLetterCursorError(message)
    return at, key
