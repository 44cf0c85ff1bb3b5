"""Take notifications for one attempt: one statement for all that are due of a batch.

The attempt is counted and committed before anything is sent. What may not be sent any more is given
up in the same transaction: its time is over, its recipient refuses, it is never to be repeated.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ARRAY, DateTime, Integer, Row, String, TextClause, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.retry import STATUS_WAIT, TELLS_AFTERWARDS
from notifications.domain.suspects import room_for
from notifications.services.addresses import refusals
from notifications.services.digest_followers import give_up_whole
from notifications.services.failures import FailureNotices
from notifications.services.ports import Outgoing
from notifications.services.stored_statuses import have_stored_status, wait_for_status
from ticketing.db.engine import Database
from ticketing.db.notification_tables import Notification
from ticketing.domain.enums import DeliveryGuarantee, DeliveryState
from ticketing.domain.reception import held_until
from ticketing.services.reception import read_reception
from ticketing.services.stored_statuses import STATUS_PAUSE

log = structlog.get_logger()

LEASE = timedelta(minutes=2)
"""How long a claim holds when nobody knows whether its worker lives. It must be above the deadline
of a send, or one notice could be sent by two."""

SUSPECT_LOCK = 0x706F6E74
"""Key of the advisory lock under which suspects are claimed ("pont")."""

SUSPECT_PAUSE = timedelta(milliseconds=500)
"""How long a suspect that finds no room waits: a send takes less as a rule."""

IDS = bindparam("ids", type_=ARRAY(Uuid()))


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of one worker process.

    Attributes:
        db: Where the rows are.
        give_up: Gives up what may not be sent any more.
        asked: Job names whose provider can be asked what became of an unknown outcome.
    """

    db: Database
    give_up: FailureNotices
    asked: Collection[JobName] = field(default=())

    async def take(
        self, ids: Sequence[uuid.UUID], job_name: JobName, *, now: datetime, worker: int | None
    ) -> tuple[Outgoing, ...]:
        """Claim those of the notifications that are due, in the order of `ids`.

        The rest does not exist, is finished, is not due, or somebody else has it; or it is a
        suspect for which there is no room now: that one comes back by the sweep.

        Args:
            ids: Which; no id twice.
            job_name: By which way. A row of another way is left to a job that names it rightly.
            now: When.
            worker: Key of this process's presence; None while it holds none.
        """
        values: dict[str, Any] = {"ids": list(ids), "job_name": job_name.value, "now": now}
        channel = CHANNEL_OF_JOB.get(job_name)
        values |= {"worker": worker, "lease_until": now + LEASE}
        values["channel"] = None if channel is None else channel.value
        async with self.db.transaction() as session:
            rows = (await session.execute(_CLAIM, values)).all()
            to_send = await self._settle(session, rows, job_name, now)
        taken = {row.id for row in rows}
        left = [one for one in ids if one not in taken]
        if left:
            to_send += await self._take_suspects(values | {"ids": left}, job_name)
        place = {one: number for number, one in enumerate(ids)}
        return tuple(sorted(to_send, key=lambda one: place[one.notification_id]))

    async def _take_suspects(self, values: dict[str, Any], job_name: JobName) -> list[Outgoing]:
        async with self.db.transaction() as session:
            if not (await session.execute(_SUSPECTS, values)).all():
                return []
        now = values["now"]
        async with self.db.transaction() as session:
            # One claim of suspects at a time, or two would each see room for theirs.
            await session.execute(_ONE_BY_ONE)
            wanted = (await session.execute(_SUSPECTS, values)).all()
            sending = [row.lost_workers for row in await session.execute(_SUSPECTS_SENDING)]
            allowed = room_for([(row.id, row.lost_workers) for row in wanted], sending=sending)
            rows = (await session.execute(_CLAIM_SUSPECTS, values | {"ids": list(allowed)})).all()
            to_send = await self._settle(session, rows, job_name, now)
            without = [row.id for row in wanted if row.id not in set(allowed)]
            await session.execute(_COME_BACK, {"ids": without, "until": now + SUSPECT_PAUSE})
        for one in to_send:
            log.warning(
                "notification.suspect_claimed",
                notification_id=str(one.notification_id),
                attempt=one.attempt,
                correlation_id=one.correlation_id,
            )
        return to_send

    async def _settle(
        self, session: AsyncSession, rows: Sequence[Row[Any]], job_name: JobName, now: datetime
    ) -> list[Outgoing]:
        """Those of the claimed rows that are to be sent; the others are given up."""
        channel = CHANNEL_OF_JOB.get(job_name)
        pairs = {
            (channel, row.recipient) for row in rows if channel is not None and row.is_doubtful
        }
        refused = await refusals(session, pairs, now=now)
        unknown = [row for row in rows if row.was == DeliveryState.UNKNOWN.value]
        waits = await self._waits(session, unknown, job_name, now) if unknown else {}
        await wait_for_status(session, waits)
        to_send = []
        for row in rows:
            if row.id in waits:
                continue
            refusal = refused.get((channel, row.recipient)) if channel is not None else None
            verdict = self._verdict(row, refusal, job_name, now)
            if verdict is None:
                to_send.append(_outgoing(row, now))
                continue
            reason, failure = verdict
            notice = await session.get(Notification, row.id, with_for_update=True)
            if notice is not None:
                await give_up_whole(session, self.give_up, notice, failure, reason=reason, now=now)
        return to_send

    async def _waits(
        self, session: AsyncSession, rows: Sequence[Row[Any]], job_name: JobName, now: datetime
    ) -> dict[uuid.UUID, datetime]:
        """Until when those wait on whose status lies here unapplied, or could not come."""
        told = await have_stored_status(session, [row.id for row in rows])
        waits: dict[uuid.UUID, datetime] = {}
        if CHANNEL_OF_JOB.get(job_name) in TELLS_AFTERWARDS and job_name not in self.asked:
            reception = await read_reception(session)
            for row in rows:
                held = held_until(reception, made_at=row.created_at, wait=STATUS_WAIT, now=now)
                if held is not None:
                    waits[row.id] = held
        return waits | dict.fromkeys(told, now + STATUS_PAUSE)

    def _verdict(
        self, row: Row[Any], refusal: str | None, job_name: JobName, now: datetime
    ) -> tuple[str, Failure] | None:
        """Why the row may not be sent, or None."""
        if row.expires_at is not None and row.expires_at <= now:
            return "expired", expired_failure(row.error)
        once = row.guarantee == DeliveryGuarantee.AT_MOST_ONCE.value
        if row.was == DeliveryState.UNKNOWN.value and once and job_name not in self.asked:
            return "unknown_outcome", UNKNOWN_FOR_GOOD
        if refusal is not None:
            detail = "the recipient's address may not be written to"
            return "recipient_refuses", Failure(FailureKind.PERMANENT, refusal, detail=detail)
        return None


UNKNOWN_FOR_GOOD = Failure(
    FailureKind.UNKNOWN,
    "unknown_outcome",
    detail="it may have been sent, nobody knows, and it is to go out once at most",
)


def expired_failure(last_error: dict[str, Any] | None) -> Failure:
    """The failure of a notice whose time is over; its last error says what kept it."""
    code = str((last_error or {}).get("code") or "expired")
    status = (last_error or {}).get("http_status")
    return Failure(
        FailureKind.PERMANENT,
        code,
        http_status=status if isinstance(status, int) else None,
        detail="its time was over before it could be sent",
    )


def _outgoing(row: Row[Any], now: datetime) -> Outgoing:
    return Outgoing(
        notification_id=row.id,
        attempt=row.attempts,
        recipient=row.recipient,
        language=row.language,
        event=row.event,
        context=row.context,
        created_at=row.created_at,
        correlation_id=row.correlation_id,
        urgent=row.urgent,
        deferrals=row.deferrals,
        life=row.reprocess_count,
        guarantee=DeliveryGuarantee(row.guarantee),
        expires_at=row.expires_at,
        was_unknown=row.was == DeliveryState.UNKNOWN.value,
        claimed_at=now,
    )


def _times(statement: TextClause, *names: str) -> TextClause:
    kinds = [bindparam(name, type_=DateTime(timezone=True)) for name in names]
    return statement.bindparams(IDS, *kinds)


_IS_DUE = """
    id = ANY(:ids) AND job_name = :job_name AND state IN ('pending', 'unknown')
    AND digest_id IS NULL AND (next_attempt_at IS NULL OR next_attempt_at <= :now)
"""


# Of plain addresses, which nearly all are, the claim sees by itself that nothing is known: that
# saves a question. `refusals` decides about all others; its spelling of an address is Python's.
_IS_DOUBTFUL = """
    n.recipient !~ '^[!-~]+$' OR EXISTS (
      SELECT FROM recipient_addresses AS known
      WHERE known.channel = :channel AND known.state <> 'active'
        AND known.address IN (n.recipient, lower(n.recipient COLLATE "C")))
"""


def _claim(which: str) -> TextClause:
    # Locked in the order of their ids, as everybody does who locks many.
    statement = text(
        f"""
        WITH due AS (
          SELECT id, state AS was FROM notifications WHERE {_IS_DUE} AND {which}
          ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n SET
          state = 'sending', attempts = n.attempts + 1, claimed_at = :now,
          claimed_by = :worker, lease_until = :lease_until,
          next_attempt_at = NULL, enqueued_at = NULL
        FROM due WHERE n.id = due.id
        RETURNING n.id, n.attempts, n.recipient, n.language, n.event, n.context, n.created_at,
          n.correlation_id, n.urgent, n.deferrals, n.reprocess_count, n.guarantee, n.expires_at,
          n.error, due.was, ({_IS_DOUBTFUL}) AS is_doubtful
        """  # noqa: S608 - no values in it
    ).bindparams(bindparam("worker", type_=Integer()), bindparam("channel", type_=String()))
    return _times(statement, "now", "lease_until")


_CLAIM = _claim("lost_workers = 0")
_CLAIM_SUSPECTS = _claim("lost_workers > 0")
_SUSPECTS = _times(
    text(
        f"""
        SELECT id, lost_workers FROM notifications WHERE {_IS_DUE} AND lost_workers > 0
        ORDER BY lost_workers, next_attempt_at, id
        """  # noqa: S608 - no values in it
    ),
    "now",
)
_SUSPECTS_SENDING = text(
    "SELECT lost_workers FROM notifications WHERE state = 'sending' AND lost_workers > 0"
)
_ONE_BY_ONE = text(f"SELECT pg_advisory_xact_lock({SUSPECT_LOCK})")
_COME_BACK = _times(
    text(
        """
        UPDATE notifications SET enqueued_at = NULL, next_attempt_at = :until
        WHERE id = ANY(:ids) AND state IN ('pending', 'unknown')
        """
    ),
    "until",
)
