"""Actions upon dead letters as their audit tells them: begun, what became of each entry, ended.

The table `dlq_reprocess_audit` has every entry; the hash-chained audit log has the action. An
action whose process died has a beginning and no end: `end_interrupted` writes one that says so.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from kit.ids import new_correlation_id
from notifications.services import dlq_webhook
from ticketing.db.notification_tables import DlqReprocessAudit
from ticketing.domain.enums import DlqAction, DlqResult
from ticketing.services import audit
from ticketing.services.outbox import add_event

INTERRUPTED = "interrupted"
INTERRUPTED_AFTER = timedelta(minutes=10)
"""An action whose last entry is older has died: a batch takes milliseconds."""

_END = tuple(result.value for result in (DlqResult.DONE, DlqResult.PARTLY, DlqResult.REFUSED))


@dataclass(frozen=True, slots=True)
class Frame:
    """Who does what to which entries."""

    action_id: uuid.UUID
    action: DlqAction
    actor: str
    filters: dict[str, Any]
    correlation_id: str

    def entry_row(
        self, entry_id: uuid.UUID, result: DlqResult, detail: str, *, now: datetime
    ) -> dict[str, Any]:
        """The audit row of one entry."""
        return self._row(now) | {
            "dead_letter_id": entry_id,
            "result": result.value,
            "detail": detail,
        }

    def whole_row(
        self, result: DlqResult, detail: str, *, counts: Mapping[str, int], now: datetime
    ) -> dict[str, Any]:
        """An audit row of the action as a whole."""
        return self._row(now) | {
            "result": result.value,
            "detail": detail,
            "filters": self.filters,
            "matched": counts.get("matched"),
            "done": counts.get("done"),
            "refused": counts.get("refused"),
            "discarded": counts.get("discarded"),
        }

    def _row(self, now: datetime) -> dict[str, Any]:
        return {
            "action_id": self.action_id,
            "action": self.action.value,
            "actor": self.actor,
            "at": now,
            "dead_letter_id": None,
            "filters": None,
            "matched": None,
            "done": None,
            "refused": None,
            "discarded": None,
        }


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of an action.

    Attributes:
        matched: Entries that matched when it began.
        done: Sent on their way again, or discarded as asked.
        discarded: Of a reprocessing: entries at their last attempt, put away instead.
        refused: The others it looked at, by reason.
        last_due_at: When the last notice is due; None when there is none.
        warnings: What went wrong beside the action, such as an audit file that is full.
    """

    action_id: uuid.UUID
    action: str
    actor: str
    started_at: datetime
    matched: int
    done: int
    discarded: int
    refused: Mapping[str, int] = field(default_factory=dict)
    last_due_at: datetime | None = None
    warnings: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """`done`, `partly` when something was refused or discarded, `refused` when all was."""
        if not self.refused and not self.discarded:
            return DlqResult.DONE.value
        return (DlqResult.PARTLY if self.done or self.discarded else DlqResult.REFUSED).value

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of the audit."""
        return {
            "matched": self.matched,
            "done": self.done,
            "refused": sum(self.refused.values()),
            "discarded": self.discarded,
        }


async def begin(session: AsyncSession, frame: Frame, *, matched: int, now: datetime) -> None:
    """Write down that an action begins, before it touches anything."""
    row = frame.whole_row(DlqResult.STARTED, "", counts={"matched": matched}, now=now)
    await session.execute(insert(DlqReprocessAudit), [row])
    await _chain(session, frame, "started", {"matched": matched}, now)


async def end(
    session: AsyncSession,
    frame: Frame,
    result: ActionResult,
    *,
    threshold: int,
    webhook: bool,
    now: datetime,
    detail: str = "",
) -> bool:
    """Write down how it ended; tell the admin of discards, and the webhook. False: it had ended.

    Args:
        session: A transaction of its own, after the last batch.
        frame: The action.
        result: What came of it.
        threshold: MAX_DLQ_ATTEMPT, for the admin's notice.
        webhook: Whether the webhook wants to know.
        now: When.
        detail: Such as `interrupted`.
    """
    # The beginning is the lock: the action itself and whoever believes it dead do not both end it.
    await session.execute(
        select(DlqReprocessAudit.id).where(*_beginning(frame.action_id)).with_for_update()
    )
    ended = await session.scalar(
        select(func.count())
        .select_from(DlqReprocessAudit)
        .where(
            DlqReprocessAudit.action_id == frame.action_id,
            DlqReprocessAudit.dead_letter_id.is_(None),
            DlqReprocessAudit.result.in_(_END),
        )
    )
    if ended:
        return False
    reasons = ", ".join(f"{key} {value}" for key, value in sorted(result.refused.items()))
    row = frame.whole_row(
        DlqResult(result.result), detail or reasons, counts=result.counts, now=now
    )
    await session.execute(insert(DlqReprocessAudit), [row])
    summary = {**result.counts, "result": result.result, "detail": detail}
    await _chain(session, frame, "ended", summary, now)
    if result.discarded:
        await add_event(
            session,
            topic="dlq.discarded",
            payload={
                "source": "dead-letters",
                "subject": str(frame.action_id),
                "count": result.discarded,
                "threshold": threshold,
            },
            now=now,
            correlation_id=frame.correlation_id,
        )
    if webhook:
        await dlq_webhook.tell_of_action(session, frame, result, detail=detail, now=now)
    return True


async def end_interrupted(
    session: AsyncSession, *, threshold: int, webhook: bool, now: datetime
) -> int:
    """End the actions whose process died, with what their entries say; how many."""
    later = aliased(DlqReprocessAudit)
    lately = exists().where(
        later.action_id == DlqReprocessAudit.action_id, later.at > now - INTERRUPTED_AFTER
    )
    over = exists().where(
        later.action_id == DlqReprocessAudit.action_id,
        later.dead_letter_id.is_(None),
        later.result.in_(_END),
    )
    begun = (
        await session.scalars(
            select(DlqReprocessAudit)
            .where(DlqReprocessAudit.result == DlqResult.STARTED.value, ~lately, ~over)
            .order_by(DlqReprocessAudit.id)
            .limit(50)
            .with_for_update(skip_locked=True)
        )
    ).all()
    count = 0
    for row in begun:
        frame = Frame(
            action_id=row.action_id,
            action=DlqAction(row.action),
            actor=row.actor,
            filters=row.filters or {},
            correlation_id=new_correlation_id(),
        )
        result = await _so_far(session, row)
        count += await end(
            session,
            frame,
            result,
            threshold=threshold,
            webhook=webhook,
            now=now,
            detail=INTERRUPTED,
        )
    return count


async def _so_far(session: AsyncSession, begun: DlqReprocessAudit) -> ActionResult:
    rows = await session.execute(
        select(DlqReprocessAudit.result, DlqReprocessAudit.detail).where(
            DlqReprocessAudit.action_id == begun.action_id,
            DlqReprocessAudit.dead_letter_id.is_not(None),
        )
    )
    results: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for result, detail in rows:
        results[result] += 1
        if result == DlqResult.REFUSED.value:
            refused[detail] += 1
    unfinished = (begun.matched or 0) - results.total()
    if unfinished > 0:
        refused["not_reached"] += unfinished
    return ActionResult(
        action_id=begun.action_id,
        action=begun.action,
        actor=begun.actor,
        started_at=begun.at,
        matched=begun.matched or 0,
        done=results[DlqResult.DONE.value],
        discarded=results[DlqResult.DISCARDED.value],
        refused=refused,
    )


@dataclass(frozen=True, slots=True)
class ActionView:
    """An action as people read it.

    Attributes:
        result: `started` while it runs (or died a moment ago), else how it ended.
        filters: Which entries were meant; the recipient only as its hash.
    """

    action_id: uuid.UUID
    action: str
    actor: str
    started_at: datetime
    ended_at: datetime | None
    result: str
    detail: str
    matched: int
    done: int
    refused: int
    discarded: int
    filters: dict[str, Any]

    def as_record(self) -> dict[str, Any]:
        """As JSON: the audit file's line and the webhook."""
        return {
            "action_id": str(self.action_id),
            "action": self.action,
            "actor": self.actor,
            "started_at": self.started_at.isoformat(),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            "result": self.result,
            "detail": self.detail,
            "matched": self.matched,
            "done": self.done,
            "refused": self.refused,
            "discarded": self.discarded,
            "filters": self.filters,
        }


async def list_actions(
    session: AsyncSession,
    *,
    limit: int = 50,
    before: int | None = None,
    since: datetime | None = None,
    action_id: uuid.UUID | None = None,
) -> tuple[tuple[ActionView, ...], int | None]:
    """Actions, the newest first, and where the next page begins.

    Args:
        session: A transaction.
        limit: Most actions.
        before: What the page before gave.
        since: Begun then or later.
        action_id: Only this one.
    """
    begun = select(DlqReprocessAudit).where(DlqReprocessAudit.result == DlqResult.STARTED.value)
    if before is not None:
        begun = begun.where(DlqReprocessAudit.id < before)
    if since is not None:
        begun = begun.where(DlqReprocessAudit.at >= since)
    if action_id is not None:
        begun = begun.where(DlqReprocessAudit.action_id == action_id)
    found = (
        await session.scalars(begun.order_by(DlqReprocessAudit.id.desc()).limit(limit + 1))
    ).all()
    page = found[:limit]
    ends = {
        row.action_id: row
        for row in await session.scalars(
            select(DlqReprocessAudit).where(
                DlqReprocessAudit.action_id.in_([row.action_id for row in page]),
                DlqReprocessAudit.dead_letter_id.is_(None),
                DlqReprocessAudit.result.in_(_END),
            )
        )
    }
    views = tuple(_view(row, ends.get(row.action_id)) for row in page)
    return views, page[-1].id if len(found) > limit else None


def _view(begun: DlqReprocessAudit, end: DlqReprocessAudit | None) -> ActionView:
    last = end or begun
    return ActionView(
        action_id=begun.action_id,
        action=begun.action,
        actor=begun.actor,
        started_at=begun.at,
        ended_at=None if end is None else end.at,
        result=last.result,
        detail=last.detail,
        matched=begun.matched or 0,
        done=last.done or 0,
        refused=last.refused or 0,
        discarded=last.discarded or 0,
        filters=begun.filters or {},
    )


@dataclass(frozen=True, slots=True)
class EntryActView:
    """What one action did to one entry."""

    action_id: uuid.UUID
    action: str
    actor: str
    at: datetime
    result: str
    detail: str


async def acts_upon(session: AsyncSession, entry_id: uuid.UUID) -> tuple[EntryActView, ...]:
    """What operators did to an entry, the oldest first."""
    rows = await session.scalars(
        select(DlqReprocessAudit)
        .where(DlqReprocessAudit.dead_letter_id == entry_id)
        .order_by(DlqReprocessAudit.id)
        .limit(100)
    )
    return tuple(
        EntryActView(row.action_id, row.action, row.actor, row.at, row.result, row.detail)
        for row in rows
    )


def _beginning(action_id: uuid.UUID) -> tuple[Any, ...]:
    return (
        DlqReprocessAudit.action_id == action_id,
        DlqReprocessAudit.dead_letter_id.is_(None),
        DlqReprocessAudit.result == DlqResult.STARTED.value,
    )


async def _chain(
    session: AsyncSession, frame: Frame, step: str, data: dict[str, Any], now: datetime
) -> None:
    """The action in the audit log that cannot be rewritten."""
    await audit.record(
        session,
        actor=frame.actor,
        action=f"dead_letters.{frame.action.value}_{step}",
        subject=f"dlq_action:{frame.action_id}",
        data={**data, "filters": frame.filters},
        now=now,
        correlation_id=frame.correlation_id,
    )
