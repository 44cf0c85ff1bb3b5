"""Compare the dead letters with the notices and with Dramatiq's dead set, and mend what differs.

What can differ: a notice that failed before there were dead letters, or by an older program; a
late status that reached a notice but not its entry; a message that Dramatiq put aside and no notice
stands for. Nothing is removed from Redis here: nobody calls `broker.flush`, and Dramatiq forgets
its dead messages after seven days by itself.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from kit.clock import Clock
from kit.ids import new_correlation_id, new_id
from kit.json import storable_text
from kit.metrics import gauge
from notifications.domain.dead_letters import Reason, recipient_hash
from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import InvalidJobNameError, JobName, parse_job_name, queue_name
from notifications.services.dead_letter_views import counts_by_job_and_state
from notifications.services.dead_letters import bury
from notifications.services.dlq_actions import end_interrupted
from notifications.services.ports import QueueUnavailableError
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeadLetterState, DeliveryState

log = structlog.get_logger()

UNRECONCILED = gauge(
    "ponte_dlq_unreconciled", "Failed notices and dead messages without a dead letter", ()
)
ENTRIES = gauge("ponte_dlq_entries", "Dead letters", ("job", "state"))

BATCH = 200
_ARRIVED = (
    DeliveryState.SENT.value,
    DeliveryState.DELIVERED.value,
    DeliveryState.READ.value,
)
_LONGEST = 200  # characters of a name that comes from a broken message


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that Dramatiq put aside.

    Attributes:
        message_id: Dramatiq's id; it makes the entry exist once.
        queue: Where it came from.
        body: As it lies in Redis; perhaps no JSON at all.
        died_at: When it was put aside; None: not known.
    """

    message_id: str
    queue: str
    body: bytes
    died_at: datetime | None = None


class DeadSet(Protocol):
    """Dramatiq's dead messages, to be read."""

    async def messages(self) -> Sequence[DeadMessage]:
        """All of them.

        Raises:
            QueueUnavailableError: when Redis does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was mended."""

    buried: int = 0
    recovered: int = 0
    corrected: int = 0
    messages: int = 0
    interrupted: int = 0
    unreconciled: int = 0


@dataclass(frozen=True, slots=True)
class DlqReconciler:
    """Run it every minute.

    Attributes:
        dead_set: None: Redis is not looked at.
        threshold: MAX_DLQ_ATTEMPT, for actions that never ended.
    """

    db: Database
    clock: Clock
    dead_set: DeadSet | None
    threshold: int
    recipient_key: str = ""
    webhook: bool = False

    async def run(self) -> Reconciled:
        """Mend what differs, then count what still does (it should be nothing)."""
        buried = await self._bury_failed()
        recovered, corrected = await self._follow_notices()
        await self._fill_hashes()
        messages = await self._dead_messages()
        entered = await self._enter(messages)
        async with self.db.transaction() as session:
            interrupted = await end_interrupted(
                session, threshold=self.threshold, webhook=self.webhook, now=self.clock.now()
            )
        left = await self._unreconciled(messages)
        UNRECONCILED.set(left)
        await self._count_entries()
        done = Reconciled(buried, recovered, corrected, entered, interrupted, left)
        if buried or entered or interrupted or left:
            log.warning("dlq.reconciled", count=buried + entered, error=left)
        return done

    async def _bury_failed(self) -> int:
        """An entry for every failed notice that has none."""
        total = 0
        while True:
            async with self.db.transaction() as session:
                rows = (
                    await session.scalars(
                        select(Notification)
                        .where(Notification.state == DeliveryState.FAILED.value, ~_has_entry())
                        .order_by(Notification.id)
                        .limit(BATCH)
                        .with_for_update(skip_locked=True)
                    )
                ).all()
                for row in rows:
                    failure, reason = _failure_of(row)
                    await bury(
                        session,
                        row,
                        failure,
                        reason=reason,
                        origin_queue=queue_name(urgent=row.urgent),
                        now=row.finished_at or self.clock.now(),
                        recipient_key=self.recipient_key,
                    )
            total += len(rows)
            if len(rows) < BATCH:
                return total

    async def _follow_notices(self) -> tuple[int, int]:
        """Entries whose notice has gone on without them."""
        now = self.clock.now()
        open_states = (DeadLetterState.DEAD.value, DeadLetterState.REPROCESSING.value)

        def of_notice_in(*states: str) -> Any:
            return DeadLetter.notification_id.in_(
                select(Notification.id).where(Notification.state.in_(states))
            )

        async with self.db.transaction() as session:
            recovered = await session.execute(
                update(DeadLetter)
                .where(DeadLetter.state != DeadLetterState.RECOVERED.value, of_notice_in(*_ARRIVED))
                .values(state=DeadLetterState.RECOVERED.value, closed_at=now)
                .execution_options(synchronize_session=False)
            )
            dead_again = await session.execute(
                update(DeadLetter)
                .where(
                    DeadLetter.state == DeadLetterState.REPROCESSING.value,
                    of_notice_in(DeliveryState.FAILED.value),
                )
                .values(state=DeadLetterState.DEAD.value)
                .execution_options(synchronize_session=False)
            )
            dropped = await session.execute(
                update(DeadLetter)
                .where(
                    DeadLetter.state.in_(open_states),
                    of_notice_in(DeliveryState.DROPPED.value),
                )
                .values(state=DeadLetterState.DISCARDED.value, closed_at=now)
                .execution_options(synchronize_session=False)
            )
        return _changed(recovered), _changed(dead_again) + _changed(dropped)

    async def _fill_hashes(self) -> None:
        """Hashes of recipients whose entries were made without the key (or by the reconciler)."""
        if not self.recipient_key:
            return
        async with self.db.transaction() as session:
            found = await session.execute(
                select(DeadLetter.id, Notification.recipient)
                .join(Notification, Notification.id == DeadLetter.notification_id)
                .where(DeadLetter.recipient_hash.is_(None), Notification.recipient != "")
                .limit(BATCH)
            )
            changes = [
                {"id": entry_id, "recipient_hash": recipient_hash(self.recipient_key, recipient)}
                for entry_id, recipient in found
            ]
            if changes:
                await session.execute(update(DeadLetter), changes)

    async def _dead_messages(self) -> Sequence[DeadMessage]:
        if self.dead_set is None:
            return ()
        try:
            return await self.dead_set.messages()
        except QueueUnavailableError:
            return ()  # the next run looks; the notices were compared all the same

    async def _enter(self, messages: Sequence[DeadMessage]) -> int:
        """An entry for every dead message that no notice stands for; how many were new."""
        orphans = await self._orphans(messages)
        if not orphans:
            return 0
        now = self.clock.now()
        async with self.db.transaction() as session:
            done = await session.execute(
                insert(DeadLetter)
                .values([_entry_of(message, now) for message in orphans])
                .on_conflict_do_nothing(index_elements=["broker_message_id"])
                .returning(DeadLetter.id)
            )
            return len(done.all())

    async def _orphans(self, messages: Sequence[DeadMessage]) -> list[DeadMessage]:
        """Dead messages that name no valid job, or a notice that does not exist.

        A message of a notice that exists needs no entry: its row is the truth, and the sweep puts
        it in the queue again.
        """
        named = {message.message_id: _notices_of(message) for message in messages}
        wanted = {notice for notices in named.values() for notice in notices}
        known = await self._existing(wanted)
        return [
            message
            for message in messages
            if not (notices := named[message.message_id]) or not notices <= known
        ]

    async def _existing(self, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        if not ids:
            return set()
        async with self.db.transaction() as session:
            return set(
                await session.scalars(select(Notification.id).where(Notification.id.in_(list(ids))))
            )

    async def _unreconciled(self, messages: Sequence[DeadMessage]) -> int:
        orphans = [message.message_id for message in await self._orphans(messages)]
        async with self.db.transaction() as session:
            failed = await session.scalar(
                select(func.count())
                .select_from(Notification)
                .where(Notification.state == DeliveryState.FAILED.value, ~_has_entry())
            )
            entered = await session.scalar(
                select(func.count())
                .select_from(DeadLetter)
                .where(DeadLetter.broker_message_id.in_(orphans))
            )
        return int(failed or 0) + len(orphans) - int(entered or 0)

    async def _count_entries(self) -> None:
        async with self.db.transaction() as session:
            counts = await counts_by_job_and_state(session)
        for job in (*(job_name.value for job_name in JobName), "invalid"):
            for state in DeadLetterState:
                ENTRIES.labels(job=job, state=state.value).set(counts.get((job, state.value), 0))


def _has_entry() -> Any:
    return exists().where(DeadLetter.notification_id == Notification.id)


def _changed(result: Any) -> int:
    return int(result.rowcount)


def _failure_of(row: Notification) -> tuple[Failure, str]:
    """What a failed row says of its last failure, and the reason it was given up."""
    error: Mapping[str, Any] = row.error or {}
    kinds = {kind.value for kind in FailureKind}
    kind = error.get("kind")
    status = error.get("http_status")
    failure = Failure(
        FailureKind(kind) if kind in kinds else FailureKind.PERMANENT,
        str(error.get("code") or "not_known"),
        http_status=status if isinstance(status, int) else None,
        detail=str(error.get("detail") or ""),
    )
    reason = str(error.get("gave_up") or "")
    return failure, reason if reason in set(Reason) else Reason.PERMANENT.value


def _document(message: DeadMessage) -> dict[str, Any]:
    try:
        document = json.loads(message.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_job_name(value: object) -> bool:
    try:
        parse_job_name(value)
    except InvalidJobNameError:
        return False
    return True


def _notices_of(message: DeadMessage) -> set[uuid.UUID]:
    """The notices a message names; empty when its job name or any id is not valid."""
    document = _document(message)
    kwargs = document.get("kwargs")
    if not _is_job_name(document.get("actor_name")) or not isinstance(kwargs, dict):
        return set()
    jobs = kwargs.get("jobs")
    if isinstance(jobs, list):
        named = [job[0] if isinstance(job, list) and job else None for job in jobs]
    else:
        named = [kwargs.get("notification_id")]
    try:
        return {uuid.UUID(value) for value in named}
    except (ValueError, TypeError, AttributeError):
        return set()


def _entry_of(message: DeadMessage, now: datetime) -> dict[str, Any]:
    document = _document(message)
    name = document.get("actor_name")
    job_name = storable_text(name)[:_LONGEST] if isinstance(name, str) else ""
    if not document:
        code, detail = "unreadable", "the message is no JSON object"
    elif not _is_job_name(name):
        code = "invalid_job_name"
        detail = f"expected one of {', '.join(member.value for member in JobName)}"
    elif not _notices_of(message):
        code, detail = "invalid_payload", "it names no notice"
    else:
        code, detail = "notice_gone", "a notice that it names does not exist"
    died = message.died_at or now
    return {
        "id": new_id(),
        "broker_message_id": message.message_id,
        "state": DeadLetterState.DEAD.value,
        "job_name": job_name,
        "origin_queue": message.queue[:_LONGEST],
        "reason": Reason.INVALID_JOB.value,
        "error_kind": FailureKind.PERMANENT.value,
        "error_code": code,
        "detail": detail,
        "attempts": 1,
        "payload": {
            "event": None,
            "ticket_number": None,
            "language": None,
            "context": {},
            "hidden": sorted(storable_text(str(key))[:_LONGEST] for key in document)[:20],
        },
        "payload_hash": hashlib.sha256(message.body).hexdigest(),
        "correlation_id": new_correlation_id(),
        "reprocess_count": 0,
        "first_failed_at": died,
        "failed_at": died,
    }
