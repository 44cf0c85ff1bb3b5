"""What the provider says afterwards about a notice: sent, delivered, read or failed.

The web process stores status webhooks once each and hands those with our callback data to
`apply_status`. They come in any order, also before the answer to our own request, and after the
notice was given up.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import StatusUpdate
from notifications.domain.failure import Failure, FailureKind, error_record
from notifications.domain.jobs import CHANNEL_OF_JOB, JobName
from notifications.domain.retry import RetryIn, plan_retry, preset_for
from notifications.services.addresses import note
from notifications.services.dead_letters import recovered
from notifications.services.digest_followers import give_up_whole, tell_followers
from notifications.services.failures import FailureNotices
from notifications.services.provider_failures import failure_for
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryGuarantee, DeliveryState

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
    """Apply a WhatsApp status to the notice it is about, in the caller's transaction.

    Safe to apply twice and in any order; see `apply_notice_status`.

    Returns:
        Whether the callback data is that of a notice. False: it belongs to somebody else.
    """
    notification_id = notification_id_of(callback_data)
    if notification_id is None:
        return False
    await apply_notice_status(
        session,
        notification_id,
        reached=STATE_OF_STATUS.get(status.status),
        failure=_whatsapp_failure(status) if status.status == "failed" else None,
        provider_id=status.provider_id,
        now=now,
        give_up=give_up,
    )
    return True


async def apply_notice_status(
    session: AsyncSession,
    notification_id: uuid.UUID,
    *,
    reached: DeliveryState | None,
    failure: Failure | None,
    provider_id: str | None,
    now: datetime,
    give_up: FailureNotices,
) -> bool:
    """Apply what a provider reports about a notice, in the caller's transaction.

    A state only rises, also out of `failed`: then the notice's dead letter is recovered. A failure
    is heard only while the notice may still fail and only from the message that was sent last.

    Args:
        session: The caller's transaction.
        notification_id: The notice.
        reached: `sent`, `delivered` or `read`; None: nothing was reached.
        failure: Why the provider could not deliver it after all; None: it did not fail.
        provider_id: The provider's name for the message that this is about.
        now: When it was told.
        give_up: What happens when there is no further attempt.

    Returns:
        Whether there is such a notice.
    """
    row = await session.get(Notification, notification_id, with_for_update=True)
    if row is None:
        log.warning("notification.status_for_nothing", notification_id=str(notification_id))
        return False
    if failure is not None:
        await _fail(session, row, failure, provider_id=provider_id, now=now, give_up=give_up)
    elif reached is not None:
        await _rise(session, row, reached, provider_id, now)
    return True


async def _rise(
    session: AsyncSession,
    row: Notification,
    reached: DeliveryState,
    provider_id: str | None,
    now: datetime,
) -> None:
    if RANK[reached.value] <= RANK.get(row.state, 0) or _is_overtaken(row, reached, provider_id):
        return
    was_given_up = row.state == DeliveryState.FAILED.value or row.reprocess_count > 0
    row.state = reached.value
    row.provider_id = provider_id or row.provider_id
    row.finished_at = now if was_given_up else row.finished_at or now
    row.lease_until = None
    row.next_attempt_at = None
    row.enqueued_at = None
    row.claimed_by = None
    row.error = None
    await session.flush()
    if was_given_up:
        await recovered(session, [row.id], now=now)
    await tell_followers(session, [row.id], now=now, state=reached)


def _is_overtaken(row: Notification, reached: DeliveryState, provider_id: str | None) -> bool:
    """Whether this is the `sent` of a message that has failed meanwhile.

    Statuses come in any order: this one was true before the failure, and the notice waits for its
    next attempt or is a dead letter. `delivered` and `read` hold all the same: of a person's
    devices one may have failed.
    """
    of_last_message = provider_id is not None and provider_id == row.provider_id
    return reached is DeliveryState.SENT and of_last_message and row.state not in RANK


def _whatsapp_failure(status: StatusUpdate) -> Failure:
    code = status.errors[0].code if status.errors else None
    if code is None:
        return Failure(FailureKind.PERMANENT, "failed_without_code", detail=REPORTED)
    return failure_for("whatsapp", str(code), detail=REPORTED, final=True)


REPORTED = "reported by a status webhook"

WINDOW_CLOSED = "131047"
"""Meta's code for a text outside the 24 h window: it can still go out as a template, once."""


async def _fail(
    session: AsyncSession,
    row: Notification,
    failure: Failure,
    *,
    provider_id: str | None,
    now: datetime,
    give_up: FailureNotices,
) -> None:
    of_older_send = row.provider_id is not None and row.provider_id != provider_id
    if row.state not in MAY_STILL_FAIL or of_older_send:
        return
    # Our own request may still wait for its answer: that shall not undo what is known by then.
    row.provider_id = provider_id or row.provider_id
    channel = CHANNEL_OF_JOB.get(JobName(row.job_name))
    if channel is not None:
        await note(session, channel, row.recipient, failure, now=now)
    if failure.code == WINDOW_CLOSED and row.context.get("form") != "template":
        row.context = row.context | {"form": "template"}
        detail = "24 h window closed: as a template"
        _wait(row, Failure(FailureKind.TRANSIENT, failure.code, detail=detail), until=now, now=now)
        return
    preset = preset_for(
        failure,
        channel=channel,
        at_most_once=row.guarantee == DeliveryGuarantee.AT_MOST_ONCE.value,
    )
    # Webhooks arrive spread over time already: the full delay needs no jitter.
    plan = plan_retry(
        max(row.attempts, 1), failure, preset=preset, jitter=1.0, deferrals=row.deferrals
    )
    if not isinstance(plan, RetryIn):
        await give_up_whole(session, give_up, row, failure, reason=plan.reason, now=now)
    elif row.expires_at is not None and now + plan.delay >= row.expires_at:
        await give_up_whole(session, give_up, row, failure, reason="expired", now=now)
    else:
        if not plan.spends and row.attempts > 0:
            row.attempts, row.deferrals = row.attempts - 1, row.deferrals + 1
        _wait(row, failure, until=now + plan.delay, now=now)


def _wait(row: Notification, failure: Failure, *, until: datetime, now: datetime) -> None:
    row.state = DeliveryState.PENDING.value
    row.next_attempt_at = until
    row.enqueued_at = None
    row.lease_until = None
    row.claimed_by = None
    row.finished_at = None
    row.error = error_record(failure, job_name=row.job_name, attempt=row.attempts, at=now)
