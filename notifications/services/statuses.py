"""What the provider says afterwards about a WhatsApp notice: sent, delivered, read or failed.

The web process stores status webhooks once each and hands those with our callback data to
`apply_status`. They come in any order, also before the answer to our own request.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import ProviderError, StatusUpdate
from channels.whatsapp.errors import Action, classify_provider_error
from notifications.domain.failure import Failure, FailureKind, error_record
from notifications.domain.jobs import Channel
from notifications.domain.retry import RetryIn, plan_retry, preset_for
from notifications.services.failures import FailureNotices
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()

CALLBACK_PREFIX = "notification:"
"""Tells our notices from messages to customers, whose callback data is another id."""

RANK = {
    DeliveryState.SENT.value: 1,
    DeliveryState.DELIVERED.value: 2,
    DeliveryState.READ.value: 3,
}
STATE_OF_STATUS = {
    "sent": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.READ,
    "played": DeliveryState.READ,
}
MAY_STILL_FAIL = (
    DeliveryState.SENDING.value,
    DeliveryState.UNKNOWN.value,
    DeliveryState.SENT.value,
)


def callback_data(notification_id: uuid.UUID) -> str:
    """The `biz_opaque_callback_data` of a notice."""
    return f"{CALLBACK_PREFIX}{notification_id}"


def notification_id_of(data: str | None) -> uuid.UUID | None:
    """The notice that callback data names, or None when it names none."""
    if data is None or not data.startswith(CALLBACK_PREFIX):
        return None
    try:
        return uuid.UUID(data.removeprefix(CALLBACK_PREFIX))
    except ValueError:
        return None


async def apply_status(
    session: AsyncSession,
    callback_data: str | None,
    status: StatusUpdate,
    *,
    now: datetime,
    give_up: FailureNotices,
) -> bool:
    """Apply a status to the notice it is about, in the caller's transaction.

    Safe to apply twice and in any order: a state only rises, and a failure is heard only while the
    notice may still fail and only from the message that was sent last.

    Returns:
        Whether the callback data is that of a notice. False: it belongs to somebody else.
    """
    notification_id = notification_id_of(callback_data)
    if notification_id is None:
        return False
    row = await session.get(Notification, notification_id, with_for_update=True)
    if row is None:
        log.warning("notification.status_for_nothing", notification_id=str(notification_id))
        return True
    reached = STATE_OF_STATUS.get(status.status)
    if reached is not None:
        _rise(row, reached, status, now)
    elif status.status == "failed":
        await _fail(session, row, status, now=now, give_up=give_up)
    return True


def _rise(row: Notification, reached: DeliveryState, status: StatusUpdate, now: datetime) -> None:
    if RANK[reached.value] <= RANK.get(row.state, 0):
        return
    row.state = reached.value
    row.provider_id = status.provider_id
    row.finished_at = row.finished_at or now
    row.lease_until = None
    row.next_attempt_at = None
    row.error = None


async def _fail(
    session: AsyncSession,
    row: Notification,
    status: StatusUpdate,
    *,
    now: datetime,
    give_up: FailureNotices,
) -> None:
    of_older_send = row.provider_id is not None and row.provider_id != status.provider_id
    if row.state not in MAY_STILL_FAIL or of_older_send:
        return
    refusal = classify_provider_error(
        status.errors[0] if status.errors else ProviderError(code=None)
    )
    code = str(refusal.code) if refusal.code is not None else "failed_without_code"
    if refusal.action is Action.USE_TEMPLATE and row.context.get("form") != "template":
        row.context = row.context | {"form": "template"}
        failure = Failure(FailureKind.TRANSIENT, code, detail="24 h window closed: as a template")
        _wait(row, failure, until=now, now=now)
        return
    kind = FailureKind.TRANSIENT if refusal.kind == "transient" else FailureKind.PERMANENT
    if refusal.kind == "stop_channel":
        kind = FailureKind.STOP_CHANNEL
    failure = Failure(kind, code, detail="reported by a status webhook")
    preset = preset_for(failure, channel=Channel.WHATSAPP)
    # Webhooks arrive spread over time already: the full delay needs no jitter.
    plan = plan_retry(max(row.attempts, 1), failure, preset=preset, jitter=1.0)
    if isinstance(plan, RetryIn):
        _wait(row, failure, until=now + plan.delay, now=now)
    else:
        await give_up.give_up(session, row, failure, reason=plan.reason, now=now)


def _wait(row: Notification, failure: Failure, *, until: datetime, now: datetime) -> None:
    row.state = DeliveryState.PENDING.value
    row.next_attempt_at = until
    row.enqueued_at = None
    row.lease_until = None
    row.finished_at = None
    row.error = error_record(failure, job_name=row.job_name, attempt=row.attempts, at=now)
