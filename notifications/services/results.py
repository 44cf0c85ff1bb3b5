"""Write what came of attempts on the rows: many results in one transaction, in few statements.

A success counts whenever it comes, also of a worker that was taken for dead. A failure counts only
for the claim that holds the row (`Outgoing.fence` and `life`): neither a status that came first nor
a newer attempt is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ARRAY, Boolean, DateTime, Integer, String, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.json import dumps, storable, storable_text
from notifications.domain.failure import Failure, FailureKind, error_record
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.retry import (
    MAX_DEFERRALS,
    GiveUp,
    RetryIn,
    RetryPlan,
    plan_retry,
    preset_for,
)
from notifications.services.addresses import note_many
from notifications.services.dead_letters import recovered
from notifications.services.digest_followers import give_up_whole, tell_followers
from notifications.services.failures import FailureNotices
from notifications.services.ports import Accepted, Outgoing, Passage
from ticketing.db.notification_tables import Notification
from ticketing.domain.enums import DeliveryGuarantee, DeliveryState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attempt. `probe` and `generation` are those of its `Passage`."""

    outgoing: Outgoing
    job_name: JobName
    answer: Accepted | Failure
    probe: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class PutOff:
    """A claim that the gate turned back, and when to come again. No attempt is spent."""

    outgoing: Outgoing
    job_name: JobName
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class _Retry:
    outgoing: Outgoing
    state: DeliveryState
    at: datetime
    spends: bool
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Results:
    """Writes results. `jitter` draws a number from 0 to 1."""

    give_up: FailureNotices
    jitter: Callable[[], float]

    async def write(
        self, session: AsyncSession, results: Sequence[Result], *, now: datetime
    ) -> None:
        """Write the results of attempts, in the caller's transaction."""
        accepted = [one for one in results if isinstance(one.answer, Accepted)]
        if accepted:
            await _write_accepted(session, accepted, now)
        retries: list[_Retry] = []
        ends: list[tuple[Outgoing, Failure, str]] = []
        for one in results:
            if isinstance(one.answer, Failure):
                plan = self.plan(one, one.answer, now)
                if isinstance(plan, GiveUp):
                    ends.append((one.outgoing, one.answer, plan.reason))
                else:
                    retries.append(_retry(one, one.answer, plan, now))
        if retries:
            await _write_retries(session, retries)
        for outgoing, failure, reason in sorted(ends, key=lambda end: end[0].notification_id):
            await self._end(session, outgoing, failure, reason, now)
        learnt = [
            (
                channel,
                one.outgoing.recipient,
                None if isinstance(one.answer, Accepted) else one.answer,
            )
            for one in results
            if (channel := CHANNEL_OF_JOB.get(one.job_name)) is not None
        ]
        if learnt:
            await note_many(session, learnt, now=now)

    async def put_off(
        self, session: AsyncSession, turned_back: Sequence[PutOff], *, now: datetime
    ) -> None:
        """Write claims that the gate turned back, in the caller's transaction."""
        retries = []
        for one in turned_back:
            if one.outgoing.deferrals >= MAX_DEFERRALS:
                failure = Failure(FailureKind.TRANSIENT, one.reason, detail="put off too often")
                await self._end(session, one.outgoing, failure, "attempts_exhausted", now)
                continue
            back = DeliveryState.UNKNOWN if one.outgoing.was_unknown else DeliveryState.PENDING
            retries.append(_Retry(one.outgoing, back, one.until, spends=False, error=None))
        if retries:
            await _write_retries(session, retries)

    def plan(self, result: Result, failure: Failure, now: datetime) -> RetryPlan:
        """What follows after this failure of this attempt."""
        outgoing = result.outgoing
        once = outgoing.guarantee is DeliveryGuarantee.AT_MOST_ONCE
        if failure.code == "unknown_outcome":
            return GiveUp("unknown_outcome")
        if failure.code == "no_sender":
            return GiveUp("no_sender")
        preset = preset_for(failure, channel=CHANNEL_OF_JOB.get(result.job_name), at_most_once=once)
        plan = plan_retry(
            outgoing.attempt,
            failure,
            preset=preset,
            jitter=self.jitter(),
            deferrals=outgoing.deferrals,
        )
        if isinstance(plan, GiveUp):
            return plan
        over = outgoing.expires_at is not None and now + plan.delay >= outgoing.expires_at
        if over and failure.kind is not FailureKind.UNKNOWN:
            return GiveUp("expired")  # it would only be found too late: the admin learns it now
        return plan

    async def _end(
        self,
        session: AsyncSession,
        outgoing: Outgoing,
        failure: Failure,
        reason: str,
        now: datetime,
    ) -> None:
        row = await session.get(Notification, outgoing.notification_id, with_for_update=True)
        if row is not None and holds(row, outgoing):
            await give_up_whole(session, self.give_up, row, failure, reason=reason, now=now)


def holds(row: Notification, outgoing: Outgoing) -> bool:
    """Whether the claim still has the row."""
    return (
        row.state == DeliveryState.SENDING.value
        and row.reprocess_count == outgoing.life
        and row.attempts + row.deferrals == outgoing.fence
    )


def turned_back(
    outgoing: Outgoing, job_name: JobName, passage: Passage, *, now: datetime, jitter: float
) -> PutOff:
    """The put-off that a passage asks for; spread, so that not all come back at once."""
    spread = max(passage.wait * 0.1, timedelta(seconds=1))
    return PutOff(outgoing, job_name, now + passage.wait + spread * jitter, passage.reason)


def _retry(result: Result, failure: Failure, plan: RetryIn, now: datetime) -> _Retry:
    outgoing = result.outgoing
    unknown = failure.kind is FailureKind.UNKNOWN
    say = log.error if failure.kind is FailureKind.STOP_CHANNEL else log.warning
    say(
        "notification.attempt_failed",
        notification_id=str(outgoing.notification_id),
        job_name=result.job_name.value,
        kind=failure.kind.value,
        code=failure.code,
        attempt=outgoing.attempt,
        retry_in_seconds=round(plan.delay.total_seconds(), 1),
        correlation_id=outgoing.correlation_id,
    )
    return _Retry(
        outgoing,
        DeliveryState.UNKNOWN if unknown else DeliveryState.PENDING,
        now + plan.delay,
        plan.spends,
        error_record(failure, job_name=result.job_name.value, attempt=outgoing.attempt, at=now),
    )


async def _write_accepted(session: AsyncSession, results: Sequence[Result], now: datetime) -> None:
    answers = [one.answer for one in results if isinstance(one.answer, Accepted)]
    rows = await session.execute(
        _ACCEPTED,
        {
            "now": now,
            "ids": [one.outgoing.notification_id for one in results],
            "provider_ids": [_text(answer.provider_id) for answer in answers],
            "forms": [_text(answer.form) for answer in answers],
        },
    )
    written = {row.id: row for row in rows}
    again = [
        row.id
        for row in written.values()
        if row.was == DeliveryState.FAILED.value or row.reprocess_count > 0
    ]
    await recovered(session, again, now=now)
    await tell_followers(session, list(written), now=now)
    for one in results:
        row = written.get(one.outgoing.notification_id)
        if row is not None and row.is_new:
            log.info(
                "notification.sent",
                notification_id=str(row.id),
                job_name=one.job_name.value,
                attempt=one.outgoing.attempt,
                ticket_id=str(row.ticket_id),
                correlation_id=one.outgoing.correlation_id,
            )


async def _write_retries(session: AsyncSession, retries: Sequence[_Retry]) -> None:
    await session.execute(
        _RETRIES,
        {
            "ids": [one.outgoing.notification_id for one in retries],
            "lives": [one.outgoing.life for one in retries],
            "fences": [one.outgoing.fence for one in retries],
            "states": [one.state.value for one in retries],
            "times": [one.at for one in retries],
            "free": [not one.spends for one in retries],
            "errors": [
                None if one.error is None else dumps(storable(one.error)) for one in retries
            ],
        },
    )


def _text(value: str | None) -> str | None:
    return None if value is None else storable_text(value)


# Rows are locked in the order of their ids before they are written: two that write many at once
# would otherwise wait for each other. `was` is the state before. Left out: a message that a status
# has already called failed, before the answer to our own request came.
_ACCEPTED = text(
    """
    WITH result AS (
      SELECT * FROM unnest(:ids, :provider_ids, :forms) AS result(id, provider_id, form)
    ), held AS (
      SELECT n.id, n.state AS was,
             n.state IN ('pending', 'unknown', 'sending') AS on_its_way
      FROM notifications AS n JOIN result ON result.id = n.id
      WHERE NOT (n.state IN ('pending', 'unknown', 'failed')
                 AND n.provider_id IS NOT DISTINCT FROM result.provider_id
                 AND result.provider_id IS NOT NULL)
      ORDER BY n.id FOR UPDATE OF n
    )
    UPDATE notifications AS n SET
      provider_id = CASE WHEN n.provider_id IS NULL OR held.on_its_way
        THEN coalesce(result.provider_id, n.provider_id) ELSE n.provider_id END,
      context = CASE WHEN result.form IS NULL THEN n.context
        ELSE n.context || jsonb_build_object('form', result.form) END,
      state = CASE WHEN held.on_its_way OR held.was = 'failed' THEN 'sent' ELSE n.state END,
      finished_at = CASE WHEN held.on_its_way OR held.was = 'failed'
        THEN :now ELSE n.finished_at END,
      error = CASE WHEN held.on_its_way OR held.was = 'failed' THEN NULL ELSE n.error END,
      lease_until = NULL, next_attempt_at = NULL, enqueued_at = NULL, claimed_by = NULL
    FROM held JOIN result USING (id)
    WHERE n.id = held.id
    RETURNING n.id, n.ticket_id, n.reprocess_count, held.was,
              held.on_its_way OR held.was = 'failed' AS is_new
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("provider_ids", type_=ARRAY(String())),
    bindparam("forms", type_=ARRAY(String())),
    bindparam("now", type_=DateTime(timezone=True)),
)

# A claim that spent no attempt takes its 1 back and counts as a deferral: their sum never falls.
_RETRIES = text(
    """
    WITH result AS (
      SELECT * FROM unnest(:ids, :lives, :fences, :states, :times, :free, :errors)
        AS result(id, life, fence, state, at, free, error)
    ), held AS (
      SELECT n.id FROM notifications AS n
      WHERE n.id = ANY(:ids) AND n.state = 'sending' ORDER BY n.id FOR UPDATE
    )
    UPDATE notifications AS n SET
      state = result.state,
      next_attempt_at = result.at,
      attempts = n.attempts - result.free::int,
      deferrals = n.deferrals + result.free::int,
      error = coalesce(result.error::jsonb, n.error),
      lease_until = NULL, enqueued_at = NULL, claimed_by = NULL
    FROM held JOIN result USING (id)
    WHERE n.id = held.id AND n.state = 'sending'
      AND n.reprocess_count = result.life AND n.attempts + n.deferrals = result.fence
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("lives", type_=ARRAY(Integer())),
    bindparam("fences", type_=ARRAY(Integer())),
    bindparam("states", type_=ARRAY(String())),
    bindparam("times", type_=ARRAY(DateTime(timezone=True))),
    bindparam("free", type_=ARRAY(Boolean())),
    bindparam("errors", type_=ARRAY(String())),
)
