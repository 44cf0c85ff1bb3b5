"""Deliver notifications: claim (commit), send (no transaction open), record (commit).

Whoever dies in between leaves rows in `sending`; the sweep sees that their worker is gone and frees
them. Redis may lose, repeat or delay a job: the claim decides.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text

from kit.clock import Clock
from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import JobName
from notifications.services.claims import IDS, LEASE, UNKNOWN_FOR_GOOD, Claims
from notifications.services.delivery_metrics import count_put_off, count_result
from notifications.services.failures import FailureNotices
from notifications.services.ports import (
    Accepted,
    Gate,
    Outcome,
    Outgoing,
    Passage,
    Reconciler,
    Sender,
)
from notifications.services.recorder import RECORD_PAUSES_SECONDS, Recorder
from notifications.services.results import PutOff, Result, Results, turned_back
from notifications.services.slots import Slots
from ticketing.db.engine import Database
from ticketing.domain.enums import DeliveryGuarantee

log = structlog.get_logger()

SEND_DEADLINE = timedelta(seconds=90)
"""A sender that has not answered by then is given up as of unknown outcome. It is above the sum of
a sender's own timeouts (SMTP: eight steps of 10 s), which end a hanging send first."""

CONCURRENCY: Mapping[JobName, int] = {
    # One HTTP connection each; Meta's own limit is 80 messages a second for each number.
    JobName.SEND_WHATSAPP: 128,
    # Threads, because the SDKs block: each channel has its own, so that one starves no other.
    # Nobody can be asked about an e-mail, so this is also how many a death may double.
    JobName.SEND_EMAIL: 8,
    JobName.SEND_SMS: 32,
    JobName.SEND_PUSH: 32,
    # No network: it writes rows.
    JobName.NOTIFY_USER: 8,
}
"""Sends at once in one process."""

LONGEST_CLOSED = timedelta(seconds=5)
"""How long this process believes a gate that turned everything back without asking it again."""

OPEN = Passage(allowed=True)

CLAIM_HOLDS = LEASE - SEND_DEADLINE - timedelta(seconds=10)
"""A send begins within this time after its claim, or not at all. A process that stood still for
longer (stopped, swapped out, a machine that slept) may wake up when its lease is over and another
has sent the notice. What begins in time ends before the lease does, with 10 s to spare."""

CLAIM_OLD = Passage(allowed=False, reason="claim_old")

_LEAVE = text(
    """
    UPDATE notifications SET enqueued_at = NULL
    WHERE id = ANY(:ids) AND state IN ('pending', 'unknown') AND enqueued_at IS NOT NULL
    """
).bindparams(IDS)


class Deliverer:
    """Delivers notifications in one process.

    Args:
        db: Where the rows are.
        clock: The time.
        senders: One for each job name that this installation is configured for.
        give_up: What happens to a notification that is given up.
        jitter: Draws a number from 0 to 1.
        gate: Breakers and pauses; None: everything may leave.
        reconcilers: Who can be asked what became of an unknown outcome.
        worker: Key of this process's presence, None while it holds none.
        concurrency: Sends at once for each job name.
        record_pauses: See `Recorder`.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        senders: Mapping[JobName, Sender],
        give_up: FailureNotices,
        jitter: Callable[[], float],
        gate: Gate | None = None,
        reconcilers: Mapping[JobName, Reconciler] | None = None,
        worker: Callable[[], int | None] = lambda: None,
        concurrency: Mapping[JobName, int] = CONCURRENCY,
        record_pauses: Sequence[float] = RECORD_PAUSES_SECONDS,
    ) -> None:
        self.db = db
        self.clock = clock
        self.senders = senders
        self.give_up = give_up
        self.jitter = jitter
        self.gate = gate
        self.reconcilers = dict(reconcilers or {})
        self._worker = worker
        self._claims = Claims(db, give_up, asked=frozenset(self.reconcilers))
        self._results = Results(give_up, jitter)
        self._recorder = Recorder(self._commit, self._report, pauses=record_pauses)
        self._slots = {name: Slots(concurrency.get(name, 8)) for name in JobName}
        self._closed_until: dict[JobName, datetime] = {}
        self._stopping = False

    async def deliver(self, notification_id: uuid.UUID, job_name: JobName) -> None:
        """Make one attempt, if one is due; see `deliver_many`."""
        await self.deliver_many([notification_id], job_name)

    async def deliver_many(self, ids: Sequence[uuid.UUID], job_name: JobName) -> None:
        """Make one attempt for each notification that is due. Safe to call twice, or by two.

        Returns when every result is committed.

        Raises:
            SQLAlchemyError: when the database does not answer; the sweep comes back to the rows.
        """
        waiting = list(dict.fromkeys(ids))
        parts: list[asyncio.Task[None]] = []
        slots = self._slots[job_name]
        while waiting and not self._is_closed(job_name):
            taken = await slots.take(len(waiting))
            part, waiting = waiting[:taken], waiting[taken:]
            if not waiting and not parts:  # as a rule: all at once, without a task of its own
                await self._deliver_part(part, job_name, slots, taken)
                return
            parts.append(asyncio.create_task(self._deliver_part(part, job_name, slots, taken)))
        if waiting:
            await self._leave_to_sweep(waiting)
        for outcome in await asyncio.gather(*parts, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def stop(self, *, within: timedelta = timedelta(seconds=8)) -> None:
        """Claim nothing more and write what is there; sends under way go on meanwhile."""
        self._stopping = True
        await self._recorder.close(within_seconds=within.total_seconds())

    def begin_stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True

    def _is_closed(self, job_name: JobName) -> bool:
        until = self._closed_until.get(job_name)
        left = timedelta() if until is None else until - self.clock.now()
        # A clock that was set back must not keep it closed for longer.
        return self._stopping or timedelta() < left <= LONGEST_CLOSED

    async def _leave_to_sweep(self, ids: Sequence[uuid.UUID]) -> None:
        """Say of rows whose job ends unclaimed that they are in no queue."""
        async with self.db.transaction() as session:
            await session.execute(_LEAVE, {"ids": list(ids)})

    async def _deliver_part(
        self, ids: Sequence[uuid.UUID], job_name: JobName, slots: Slots, taken: int
    ) -> None:
        """Claim what `taken` places are for, send it, and see it recorded."""
        began = asyncio.get_running_loop().time()
        try:
            claimed = await self._claims.take(
                ids, job_name, now=self.clock.now(), worker=self._worker()
            )
            # Fresh ones first: one of unknown outcome asks and may send nothing, a poor probe.
            claimed = tuple(sorted(claimed, key=lambda one: one.was_unknown))
            passages = await self._admit(job_name, claimed)
            if claimed and self._is_old(claimed[0], began):
                passages = [CLAIM_OLD] * len(claimed)
            going = [pair for pair in zip(claimed, passages, strict=True) if pair[1].allowed]
        except BaseException:
            slots.give_back(taken)
            raise
        slots.give_back(taken - len(going))
        self._recorder.expect(len(going))
        sends = [self._attempt(outgoing, job_name, passage, slots) for outgoing, passage in going]
        if len(going) < len(claimed):
            held = zip(claimed, passages, strict=True)
            sends.append(self._put_off([pair for pair in held if not pair[1].allowed], job_name))
        if len(claimed) < len(ids):
            log.debug("notification.nothing_to_do", count=len(ids) - len(claimed))
        if len(sends) == 1:
            await sends[0]
            return
        for outcome in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def _is_old(self, claimed: Outgoing, began: float) -> bool:
        """Whether a claim may be somebody else's by now.

        By either clock: one may be set back, the other stands still while a machine sleeps.
        """
        passed = timedelta(seconds=asyncio.get_running_loop().time() - began)
        if claimed.claimed_at is not None:
            passed = max(passed, self.clock.now() - claimed.claimed_at)
        return passed >= CLAIM_HOLDS

    async def _admit(self, job_name: JobName, claimed: Sequence[Outgoing]) -> Sequence[Passage]:
        if self.gate is None or not claimed:
            return [OPEN] * len(claimed)
        passages = await self.gate.admit(job_name, [one.recipient for one in claimed])
        shut = [one for one in passages if not one.allowed and one.reason == "breaker_open"]
        if len(shut) == len(passages):
            wait = min(*(one.wait for one in shut), LONGEST_CLOSED)
            self._closed_until[job_name] = self.clock.now() + wait
        return passages

    async def _put_off(self, held: Sequence[tuple[Outgoing, Passage]], job_name: JobName) -> None:
        now = self.clock.now()
        later: list[PutOff] = [
            turned_back(outgoing, job_name, passage, now=now, jitter=self.jitter())
            for outgoing, passage in held
        ]
        async with self.db.transaction() as session:
            await self._results.put_off(session, later, now=now)
        count_put_off(later)
        log.info(
            "notification.put_off",
            job_name=job_name.value,
            count=len(later),
            reason=later[0].reason,
            retry_in_seconds=round(held[0][1].wait.total_seconds(), 1),
        )

    async def _attempt(
        self, outgoing: Outgoing, job_name: JobName, passage: Passage, slots: Slots
    ) -> None:
        try:
            await self._send_and_record(outgoing, job_name, passage)
        finally:
            # Only now: what is sent and not recorded is what a death may double.
            slots.give_back()

    async def _send_and_record(
        self, outgoing: Outgoing, job_name: JobName, passage: Passage
    ) -> None:
        try:
            answer = await self._send(outgoing, job_name)
        except BaseException:
            self._recorder.expect(-1)
            raise
        await self._recorder.add(
            Result(outgoing, job_name, answer, passage.probe, passage.generation)
        )

    async def _send(self, outgoing: Outgoing, job_name: JobName) -> Accepted | Failure:
        sender = self.senders.get(job_name)
        if sender is None:
            detail = f"this installation has no sender for {job_name.value}"
            return Failure(FailureKind.PERMANENT, "no_sender", detail=detail)
        try:
            async with asyncio.timeout(SEND_DEADLINE.total_seconds()):
                if outgoing.was_unknown:
                    known = await self._ask(outgoing, job_name)
                    if known is not None:
                        return known
                return await sender.send(outgoing, now=self.clock.now())
        except SendFailedError as error:
            return error.failure
        except TimeoutError:
            return Failure(FailureKind.UNKNOWN, "deadline", detail="the provider did not answer")
        except Exception as error:  # a fault of ours, before or after the provider took it
            log.exception(
                "notification.sender_broken",
                notification_id=str(outgoing.notification_id),
                job_name=job_name.value,
                error_type=type(error).__name__,
            )
            return Failure(FailureKind.UNKNOWN, "internal_error", detail=type(error).__name__)

    async def _ask(self, outgoing: Outgoing, job_name: JobName) -> Accepted | Failure | None:
        """What became of an earlier attempt; None: nothing, it may be sent (again)."""
        reconciler = self.reconcilers.get(job_name)
        found: Accepted | None = None
        if reconciler is not None:
            try:
                found = await reconciler.look_up(outgoing, now=self.clock.now())
            except SendFailedError as error:
                # Still nobody knows: it waits again, as the unknown outcome that it is.
                failure = error.failure
                return Failure(
                    FailureKind.UNKNOWN,
                    failure.code,
                    http_status=failure.http_status,
                    detail="the provider could not be asked what became of it",
                    of_question=True,
                )
        if found is None and outgoing.guarantee is DeliveryGuarantee.AT_MOST_ONCE:
            return UNKNOWN_FOR_GOOD
        return found

    async def record(
        self, outgoing: Outgoing, job_name: JobName, result: Accepted | Failure
    ) -> None:
        """Write the result of an attempt on the row, now."""
        await self._commit([Result(outgoing, job_name, result)])

    async def _commit(self, results: Sequence[Result]) -> None:
        now = self.clock.now()
        async with self.db.transaction() as session:
            await self._results.write(session, results, now=now)
        for one in results:
            count_result(one, now)

    async def _report(self, results: Sequence[Result]) -> None:
        if self.gate is None:
            return
        for job_name in dict.fromkeys(one.job_name for one in results):
            outcomes = [
                Outcome(
                    one.outgoing.recipient,
                    one.answer if isinstance(one.answer, Failure) else None,
                    probe=one.probe,
                    generation=one.generation,
                )
                for one in results
                if one.job_name is job_name and (one.probe or _is_of_sending(one))
            ]
            if outcomes:
                await self.gate.report(job_name, outcomes)


def _is_of_sending(result: Result) -> bool:
    return isinstance(result.answer, Accepted) or not result.answer.of_question
