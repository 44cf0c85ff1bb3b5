"""Send dead letters again, or put them away: dry run first, bounded, once whoever does it at once.

An action is an audit row first, then batches of entries, then its end. Every entry changes in one
transaction with its audit row, so a command that is killed leaves a half that says so itself.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_correlation_id, new_id
from kit.metrics import counter
from notifications.domain.dead_letters import (
    Allowances,
    Candidate,
    Refusal,
    age_group,
    why_refused,
)
from notifications.domain.jobs import CHANNEL_OF_JOB, Channel, JobName
from notifications.services import dlq_actions
from notifications.services.addresses import refusals
from notifications.services.dead_letter_filter import DeadLetterFilter
from notifications.services.dead_letter_locks import discard_entry, lock_entries, revive
from notifications.services.dead_letters import validity_problem
from notifications.services.dlq_actions import ActionResult
from notifications.services.ports import Gate
from notifications.services.reprocess_plan import MoreThanSeenError, Options, Preview
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter, DlqReprocessAudit, Notification
from ticketing.domain.enums import DeadLetterState, DeliveryState, DlqAction, DlqResult

log = structlog.get_logger()

REPROCESSED = counter(
    "ponte_dlq_reprocessed_total", "Dead letters that operators acted upon", ("result",)
)

BATCH = 100
SAMPLE = 5


@dataclass(slots=True)
class _Progress:
    """What an action has done so far."""

    action_id: uuid.UUID
    started_at: datetime
    rate: float
    done: int = 0
    discarded: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def next_due(self) -> datetime:
        """When the next entry is due: spread over time, so that the rate holds whoever dies."""
        return self.started_at + timedelta(seconds=self.done / self.rate)


@dataclass(frozen=True, slots=True)
class DeadLetterActions:
    """Reprocess and discard.

    Attributes:
        max_reprocesses: MAX_DLQ_ATTEMPT.
        recipient_key: The server's secret for recipients' hashes.
        gate: The breakers; None: nobody asks them.
        job_names: Job names that this installation has a sender for; None: nobody knows here.
        webhook: Whether DLQ_ALERT_WEBHOOK_URL wants to know.
    """

    db: Database
    clock: Clock
    max_reprocesses: int
    recipient_key: str = ""
    gate: Gate | None = None
    job_names: frozenset[JobName] | None = None
    webhook: bool = False

    async def preview(
        self, action: DlqAction, wanted: DeadLetterFilter, options: Options
    ) -> Preview:
        """What the action would do now; nothing is changed."""
        now = self.clock.now()
        allowed = await self._allowances(options)
        async with self.db.transaction() as session:
            matched = await self._count(session, wanted)
            entries = await self._next(session, wanted, limit=options.limit)
            verdicts = await self._verdicts(session, action, entries, allowed, now=now)
        refused = Counter(
            verdict.refusal.value
            for verdict in verdicts
            if verdict.refusal is not None and verdict.refusal is not Refusal.MAX_ATTEMPTS
        )
        would_do = sum(verdict.refusal is None for verdict in verdicts)
        ages = ((now - row.failed_at).total_seconds() for row in entries)
        return Preview(
            action=action.value,
            as_of=now,
            matched=matched,
            looked_at=len(entries),
            would_do=would_do,
            would_discard=len(verdicts) - would_do - refused.total(),
            refused=dict(refused),
            invalid=tuple(sorted({v.problem for v in verdicts if v.problem is not None})),
            by_job=dict(Counter(row.job_name for row in entries)),
            by_code=dict(Counter(row.error_code for row in entries)),
            by_age=dict(Counter(age_group(age) for age in ages)),
            seconds=0.0
            if action is DlqAction.DISCARD or would_do == 0
            else (would_do - 1) / options.rate,
            sample=tuple(row.id for row in entries[:SAMPLE]),
        )

    async def run(
        self,
        action: DlqAction,
        wanted: DeadLetterFilter,
        options: Options,
        *,
        actor: str,
        correlation_id: str | None = None,
    ) -> ActionResult:
        """Do it. Two at once share the entries: each is taken by one of them.

        Args:
            action: Which.
            wanted: Which entries; only dead ones are touched.
            options: How.
            actor: `agent:<uuid>` or `cli:<login>`.
            correlation_id: Of the request.

        Raises:
            MoreThanSeenError: when more match than `options.expected`; then nothing was done.
        """
        frame = dlq_actions.Frame(
            action_id=new_id(),
            action=action,
            actor=actor,
            filters=wanted.as_record(recipient_key=self.recipient_key),
            correlation_id=correlation_id or new_correlation_id(),
        )
        now = self.clock.now()
        async with self.db.transaction() as session:
            matched = await self._count(session, wanted)
            if options.expected is not None and matched > options.expected:
                raise MoreThanSeenError(options.expected, matched)
            ids = [row.id for row in await self._next(session, wanted, limit=options.limit)]
            await dlq_actions.begin(session, frame, matched=matched, now=now)
        progress = _Progress(frame.action_id, now, options.rate)
        for start in range(0, len(ids), BATCH):
            allowed = await self._allowances(options)
            async with self.db.transaction() as session:
                await self._batch(session, frame, ids[start : start + BATCH], allowed, progress)
        result = ActionResult(
            action_id=frame.action_id,
            action=action.value,
            actor=actor,
            started_at=now,
            matched=matched,
            done=progress.done,
            discarded=progress.discarded,
            refused=dict(progress.refused),
            last_due_at=progress.started_at + timedelta(seconds=(progress.done - 1) / options.rate)
            if action is DlqAction.REPROCESS and progress.done
            else None,
        )
        async with self.db.transaction() as session:
            await dlq_actions.end(
                session,
                frame,
                result,
                threshold=self.max_reprocesses,
                webhook=self.webhook,
                now=self.clock.now(),
            )
        _count_metrics(action, progress)
        log.info("dlq.acted", command=action.value, count=progress.done, outcome=result.result)
        return result

    async def _count(self, session: AsyncSession, wanted: DeadLetterFilter) -> int:
        found = await session.scalar(
            select(func.count()).select_from(DeadLetter).where(*self._matching(wanted))
        )
        return int(found or 0)

    async def _next(
        self, session: AsyncSession, wanted: DeadLetterFilter, *, limit: int
    ) -> Sequence[Row[Any]]:
        """The oldest matching entries: id, job name, error code, failed at."""
        found = await session.execute(
            select(DeadLetter.id, DeadLetter.job_name, DeadLetter.error_code, DeadLetter.failed_at)
            .where(*self._matching(wanted))
            .order_by(DeadLetter.failed_at, DeadLetter.id)
            .limit(limit)
        )
        return [*found]

    def _matching(self, wanted: DeadLetterFilter) -> list[Any]:
        return [
            DeadLetter.state == DeadLetterState.DEAD.value,
            *wanted.conditions(recipient_key=self.recipient_key),
        ]

    async def _allowances(self, options: Options) -> Allowances:
        """Asked again for every batch: a breaker that opens meanwhile stops the rest."""
        stopped: frozenset[str] = frozenset()
        if self.gate is not None:
            closed = await self.gate.closed_for(tuple(JobName))
            stopped = frozenset(job_name.value for job_name in closed)
        return Allowances(
            max_reprocesses=self.max_reprocesses,
            even_expired=options.even_expired,
            even_unknown=options.even_unknown,
            stopped=stopped,
        )

    async def _verdicts(
        self,
        session: AsyncSession,
        action: DlqAction,
        entries: Sequence[Row[Any]],
        allowed: Allowances,
        *,
        now: datetime,
    ) -> list[_Verdict]:
        ids = [row.id for row in entries]
        found = (
            await session.execute(
                select(DeadLetter, Notification)
                .outerjoin(Notification, Notification.id == DeadLetter.notification_id)
                .where(DeadLetter.id.in_(ids))
            )
        ).all()
        pairs: list[tuple[DeadLetter, Notification | None]] = [(row[0], row[1]) for row in found]
        return await self._judge(session, action, pairs, allowed, now)

    async def _judge(
        self,
        session: AsyncSession,
        action: DlqAction,
        pairs: Sequence[tuple[DeadLetter, Notification | None]],
        allowed: Allowances,
        now: datetime,
    ) -> list[_Verdict]:
        """One verdict for each pair. Whatever is dead may be discarded."""
        if action is DlqAction.DISCARD:
            return [_Verdict(None, None) for _ in pairs]
        addresses = {
            address: None for _, row in pairs if row is not None and (address := _address(row))
        }
        codes = await refusals(session, list(addresses), now=now) if addresses else {}
        verdicts = []
        for entry, row in pairs:
            problem = None if row is None else validity_problem(row)
            address = None if row is None else _address(row)
            if row is not None and row.state != DeliveryState.FAILED.value:
                verdicts.append(_Verdict(Refusal.NOT_DEAD, None))
                continue
            candidate = Candidate(
                job_name=entry.job_name,
                has_notice=row is not None,
                problem=problem,
                reason=entry.reason,
                reprocess_count=entry.reprocess_count,
                expires_at=None if row is None else row.expires_at,
                refusal_code=None if address is None else codes.get(address),
                has_sender=self._has_sender(entry.job_name),
            )
            verdicts.append(_Verdict(why_refused(candidate, allowed, now=now), problem))
        return verdicts

    def _has_sender(self, job_name: str) -> bool | None:
        return None if self.job_names is None else job_name in self.job_names

    async def _batch(
        self,
        session: AsyncSession,
        frame: dlq_actions.Frame,
        ids: Sequence[uuid.UUID],
        allowed: Allowances,
        progress: _Progress,
    ) -> None:
        now = self.clock.now()
        pairs, missed = await lock_entries(session, ids)
        verdicts = await self._judge(session, frame.action, pairs, allowed, now)
        rows: list[dict[str, Any]] = []
        for (entry, row), verdict in zip(pairs, verdicts, strict=True):
            refusal = verdict.refusal
            result, detail = DlqResult.DONE, ""
            if refusal is Refusal.MAX_ATTEMPTS:
                result, detail = DlqResult.DISCARDED, refusal.value
                discard_entry(entry, frame.action_id, now)
                progress.discarded += 1
            elif refusal is not None:
                result, detail = DlqResult.REFUSED, refusal.value
                progress.refused[refusal.value] += 1
            elif frame.action is DlqAction.DISCARD:
                discard_entry(entry, frame.action_id, now)
                progress.done += 1
            elif row is not None:
                revive(entry, row, frame.action_id, due=progress.next_due(), now=now)
                progress.done += 1
            rows.append(frame.entry_row(entry.id, result, verdict.problem or detail, now=now))
        for entry_id, refusal in missed.items():
            progress.refused[refusal.value] += 1
            rows.append(frame.entry_row(entry_id, DlqResult.REFUSED, refusal.value, now=now))
        if rows:
            await session.execute(insert(DlqReprocessAudit), rows)


@dataclass(frozen=True, slots=True)
class _Verdict:
    refusal: Refusal | None
    problem: str | None


def _address(row: Notification) -> tuple[Channel, str] | None:
    try:
        channel = CHANNEL_OF_JOB.get(JobName(row.job_name))
    except ValueError:
        return None
    return None if channel is None else (channel, row.recipient)


def _count_metrics(action: DlqAction, progress: _Progress) -> None:
    done = "reprocessed" if action is DlqAction.REPROCESS else "discarded"
    for result, count in (
        (done, progress.done),
        ("discarded_max_attempts", progress.discarded),
        ("refused", progress.refused.total()),
    ):
        if count:
            REPROCESSED.labels(result=result).inc(count)
