"""Tell DLQ_ALERT_WEBHOOK_URL of alerts and actions: a row first, sent by the scheduler.

The address is the operator's own setting, so it may be one inside the company's network; it is
never taken from a request. The body is redacted: counts, filters and a sample without addresses.
Schema and signature: docs/dead-letters.md.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_id
from kit.json import dumps
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter, DlqWebhookCall
from ticketing.domain.enums import DeadLetterState

if TYPE_CHECKING:
    from notifications.services.dlq_actions import ActionResult, Frame

log = structlog.get_logger()

SCHEMA_VERSION = 1
SAMPLE = 5
MOST_GROUPS = 20
"""Job names and error codes that are listed; the rest is in the total."""

_SUCCESS = 2  # hundreds

SIGNATURE_HEADER = "Ponte-Signature"
SIGNATURE_AGE = timedelta(minutes=5)
"""A receiver refuses an older signature: whoever recorded a call cannot repeat it later."""

TIMEOUT = timedelta(seconds=10)
"""How long a `Post` may take."""

LEASE = timedelta(seconds=60)
"""A call that is being sent belongs to its sender for so long: above `TIMEOUT`."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=30)
MAX_ATTEMPTS = 16
"""About four hours: long enough for the receiver's deployment or certificate to be mended."""


class WebhookUnreachableError(Exception):
    """The receiver gave no answer; the message is a short code for the row."""


class Post(Protocol):
    """Posts a body once, within `TIMEOUT`, and follows no redirect."""

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The HTTP status of the answer.

        Raises:
            WebhookUnreachableError: when there was none.
        """
        ...


async def tell_of_action(
    session: AsyncSession, frame: Frame, result: ActionResult, *, detail: str, now: datetime
) -> None:
    """Add the call that tells how an action ended."""
    await add_call(
        session,
        cause=f"action:{frame.action_id}",
        kind=f"dlq.{frame.action.value}",
        status=result.result,
        more={
            "filters": frame.filters,
            "action": {
                "id": str(frame.action_id),
                "actor": frame.actor,
                "detail": detail,
                **result.counts,
                "refused_by_reason": dict(result.refused),
            },
        },
        last_action_id=frame.action_id,
        now=now,
    )


async def add_call(
    session: AsyncSession,
    *,
    cause: str,
    kind: str,
    status: str,
    more: Mapping[str, Any],
    now: datetime,
    last_action_id: uuid.UUID | None = None,
) -> None:
    """Add a call in the caller's transaction; a second one of the same cause is nothing.

    Args:
        session: The transaction of what it tells.
        cause: Makes it exist once.
        kind: `dlq.reprocess`, `dlq.discard`, `dlq.threshold`, `dlq.growth`, `dlq.cleared`.
        status: `done`, `partly`, `refused`, `firing`, `cleared`.
        more: `filters`, `action`, `alert`.
        now: When.
        last_action_id: Sample the entries of this action; None: the newest dead ones.
    """
    body = {
        "version": SCHEMA_VERSION,
        "event_id": cause,
        "type": kind,
        "status": status,
        "at": now.isoformat(),
        "stats": await stats(session),
        "filters": None,
        "action": None,
        "alert": None,
        **more,
        "sample": await _sample(session, last_action_id),
    }
    await session.execute(
        insert(DlqWebhookCall)
        .values(
            id=new_id(),
            cause=cause,
            body=body,
            state="pending",
            attempts=0,
            next_attempt_at=now,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["cause"])
    )


async def stats(session: AsyncSession) -> dict[str, Any]:
    """How many entries there are by state, and the dead ones by job name and error code."""
    states = await session.execute(
        select(DeadLetter.state, func.count()).group_by(DeadLetter.state)
    )
    dead = DeadLetter.state == DeadLetterState.DEAD.value
    found: dict[str, Any] = {
        **{state.value: 0 for state in DeadLetterState},
        **dict(states.all()),
    }
    for name, column in (("by_job", DeadLetter.job_name), ("by_code", DeadLetter.error_code)):
        rows = await session.execute(
            select(column, func.count())
            .where(dead)
            .group_by(column)
            .order_by(func.count().desc(), column)
            .limit(MOST_GROUPS)
        )
        found[name] = dict(rows.all())
    return found


async def _sample(session: AsyncSession, action_id: uuid.UUID | None) -> list[dict[str, Any]]:
    chosen = (
        DeadLetter.state == DeadLetterState.DEAD.value
        if action_id is None
        else DeadLetter.last_action_id == action_id
    )
    rows = await session.scalars(
        select(DeadLetter)
        .where(chosen)
        .order_by(DeadLetter.failed_at.desc(), DeadLetter.id.desc())
        .limit(SAMPLE)
    )
    return [
        {
            "id": str(row.id),
            "state": row.state,
            "job_name": row.job_name,
            "event": row.event,
            "reason": row.reason,
            "error_code": row.error_code,
            "http_status": row.http_status,
            "attempts": row.attempts,
            "reprocess_count": row.reprocess_count,
            "failed_at": row.failed_at.isoformat(),
            "payload_hash": row.payload_hash,
        }
        for row in rows
    ]


def signature(secret: str, body: bytes, *, at: datetime) -> str:
    """The value of `Ponte-Signature`: `t=<unix seconds>,v1=<HMAC-SHA256 of "t.body">`."""
    moment = str(int(at.timestamp()))
    code = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256)
    return f"t={moment},v1={code.hexdigest()}"


async def call_is_due(db: Database, *, now: datetime) -> bool:
    """Whether a call waits to be made."""
    async with db.transaction() as session:
        found = await session.scalar(
            select(
                exists().where(
                    DlqWebhookCall.state == "pending", DlqWebhookCall.next_attempt_at <= now
                )
            )
        )
        return bool(found)


@dataclass(frozen=True, slots=True)
class DlqWebhook:
    """Sends the waiting calls.

    Attributes:
        url: DLQ_ALERT_WEBHOOK_URL; empty: waiting calls are dropped.
        secret: DLQ_ALERT_WEBHOOK_SECRET; empty: calls are not signed.
        jitter: Draws a number from 0 to 1.
    """

    db: Database
    clock: Clock
    post: Post
    url: str
    secret: str
    jitter: Callable[[], float]

    async def run(self, *, most: int = 50) -> int:
        """Send what is due, one after the other; how many were taken up."""
        taken = 0
        while taken < most and (call := await self._claim()) is not None:
            taken += 1
            if not self.url:
                await self._record(call.id, "no address is set", state="dropped")
                continue
            problem = await self._send(call)
            await self._record(call.id, problem, attempts=call.attempts)
        return taken

    async def _claim(self) -> DlqWebhookCall | None:
        now = self.clock.now()
        async with self.db.transaction() as session:
            call = await session.scalar(
                select(DlqWebhookCall)
                .where(
                    DlqWebhookCall.state == "pending",
                    DlqWebhookCall.next_attempt_at <= now,
                )
                .order_by(DlqWebhookCall.next_attempt_at, DlqWebhookCall.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if call is not None:
                call.attempts += 1
                call.next_attempt_at = now + LEASE
            return call

    async def _send(self, call: DlqWebhookCall) -> str | None:
        """None when the receiver took it, else what went wrong."""
        body = dumps(call.body).encode()
        headers: dict[str, str] = {"Content-Type": "application/json", "Ponte-Event-Id": call.cause}
        if self.secret:
            headers[SIGNATURE_HEADER] = signature(self.secret, body, at=self.clock.now())
        try:
            status = await self.post(self.url, body, headers)
        except WebhookUnreachableError as error:
            return str(error)
        return None if status // 100 == _SUCCESS else f"http_{status}"

    async def _record(
        self, call_id: uuid.UUID, problem: str | None, *, state: str = "sent", attempts: int = 0
    ) -> None:
        now = self.clock.now()
        again: datetime | None = None
        if problem is not None and state != "dropped":
            state = "failed" if attempts >= MAX_ATTEMPTS else "pending"
            pause = min(FIRST_PAUSE * 2 ** min(attempts - 1, 12), LONGEST_PAUSE)
            again = now + pause / 2 * (1 + self.jitter()) if state == "pending" else None
            say = log.error if state == "failed" else log.warning
            say("dlq.webhook_failed", attempt=attempts, code=problem, state=state)
        async with self.db.transaction() as session:
            await session.execute(
                update(DlqWebhookCall)
                .where(DlqWebhookCall.id == call_id, DlqWebhookCall.state == "pending")
                .values(
                    state=state,
                    error=problem,
                    next_attempt_at=again,
                    finished_at=None if state == "pending" else now,
                )
            )
