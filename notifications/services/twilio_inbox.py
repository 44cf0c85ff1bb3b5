"""What Twilio's webhooks do: stored once before anything else, then applied; both may run again.

As with WhatsApp, 200 means that it is in the database. What could not be applied at once waits as a
stored item, and the sweep comes back to it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import phonenumbers
import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from channels.codes.rule import Provider
from channels.twilio.signature import Form
from channels.twilio.webhooks import IncomingSms, Reach, Wish, incoming_sms, status_report
from kit.clock import Clock
from kit.ids import new_id
from kit.json import storable, storable_text
from kit.metrics import counter
from notifications.domain.failure import Failure
from notifications.domain.jobs import Channel, JobName
from notifications.services.addresses import opt_in, opt_out
from notifications.services.failures import FailureNotices
from notifications.services.provider_failures import failure_for
from notifications.services.statuses import apply_notice_status
from notifications.services.twilio_messages import put_right
from ticketing.db.engine import Database
from ticketing.db.tables import Notification, WebhookItem
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()

CHANNEL = "twilio"
"""Of the stored items; `ticketing.services.inbound` leaves it to this module."""

STATUS, INCOMING = "status", "message"
ABANDONED_AFTER = timedelta(seconds=5)
MAX_ATTEMPTS = 20
"""Then it is an operator's matter; the row stays."""

_STATUSES = counter(
    "ponte_sms_statuses_total",
    "Status callbacks of Twilio by what was made of them.",
    ("outcome",),
)
_INCOMING = counter("ponte_sms_incoming_total", "Messages people wrote to our number.", ("wish",))
_REACHED = {
    Reach.TAKEN: DeliveryState.SENT,
    Reach.DELIVERED: DeliveryState.DELIVERED,
    Reach.READ: DeliveryState.READ,
}


@dataclass(frozen=True, slots=True)
class TwilioInbox:
    """Takes in what Twilio says."""

    db: Database
    clock: Clock
    give_up: FailureNotices

    async def status(self, form: Form, *, named: str, correlation_id: str) -> bool:
        """Take in a status callback; when this returns it is safe. Whether it was new.

        Args:
            form: Its fields.
            named: The notification's id out of the callback's address, as it was written.
            correlation_id: For the log.

        Raises:
            SQLAlchemyError: when it could not be stored: Twilio has to send it again.
        """
        raw = {"form": form.to_json(), "named": named}
        item = {"recipient": {"phone": _spelled(form.get("To"))}}
        return await self._accept(STATUS, status_report(form).key, raw, item, correlation_id)

    async def incoming(self, form: Form, *, correlation_id: str) -> bool:
        """Take in a message to our number; as `status`."""
        raw = {"form": form.to_json()}
        item = {"sender": {"phone": _spelled(form.get("From"))}}
        return await self._accept(INCOMING, incoming_sms(form).key, raw, item, correlation_id)

    async def sweep(self) -> int:
        """Apply what is stored and was never applied; returns how many items were looked at."""
        async with self.db.transaction() as session:
            left = await session.scalars(
                select(WebhookItem.id)
                .where(
                    WebhookItem.channel == CHANNEL,
                    WebhookItem.done_at.is_(None),
                    WebhookItem.received_at < self.clock.now() - ABANDONED_AFTER,
                    WebhookItem.attempts < MAX_ATTEMPTS,
                )
                .order_by(WebhookItem.received_at)
                .limit(200)
            )
            waiting = list(left)
        for item_id in waiting:
            await self._process(item_id)
        return len(waiting)

    async def _accept(
        self,
        kind: str,
        key: str,
        raw: dict[str, Any],
        item: dict[str, Any],
        correlation_id: str,
    ) -> bool:
        now = self.clock.now()
        raw = storable(raw)  # what is applied at once is what the sweep would apply
        values = {
            "id": new_id(),
            "channel": CHANNEL,
            "dedup_key": storable_text(key),
            "kind": kind,
            "raw": raw,
            "item": item,  # by which a person's data is found when they want it forgotten
            "received_at": now,
            "correlation_id": correlation_id,
            "attempts": 0,
        }
        try:
            async with self.db.transaction() as session:
                if not await _insert(session, values | {"done_at": now}):
                    return False
                await self._apply(session, kind, raw)
                return True
        except Exception as error:  # noqa: BLE001 - whatever went wrong with it, it shall be kept
            log.warning("twilio.not_at_once", kind=kind, error_type=type(error).__name__)
        async with self.db.transaction() as session:
            return await _insert(session, values)

    async def _process(self, item_id: uuid.UUID) -> None:
        try:
            async with self.db.transaction() as session:
                row = await session.get(WebhookItem, item_id, with_for_update=True)
                if row is None or row.done_at is not None:
                    return
                await self._apply(session, row.kind, row.raw)
                row.done_at = self.clock.now()
                row.error = None
        except Exception as error:
            log.exception("twilio.item_failed", message_id=str(item_id))
            async with self.db.transaction() as session:
                await session.execute(
                    update(WebhookItem)
                    .where(WebhookItem.id == item_id)
                    .values(attempts=WebhookItem.attempts + 1, error=type(error).__name__)
                )

    async def _apply(self, session: AsyncSession, kind: str, raw: dict[str, Any]) -> None:
        fields = raw["form"].items()
        form = Form([(name, value) for name, values in fields for value in values])
        if kind == STATUS:
            await self._apply_status(session, form, str(raw.get("named") or ""))
        else:
            await self._apply_wish(session, incoming_sms(form))

    async def _apply_status(self, session: AsyncSession, form: Form, named: str) -> None:
        report = status_report(form)
        notification_id = await _notice_of(session, named, report.sid)
        reached, failure = _REACHED.get(report.reach), None
        if report.reach is Reach.FAILED:
            failure = _failure(report.status, report.error_code)
        if notification_id is None or (reached is None and failure is None):
            outcome = "unknown_notice" if notification_id is None else "unknown_status"
            _STATUSES.labels(outcome=outcome).inc()
            log.warning("twilio.status_for_nothing", status=report.status, reason=outcome)
            return
        if report.sid:
            await put_right(
                session,
                report.sid,
                notification_id,
                failed=failure is not None,
                now=self.clock.now(),
            )
        known = await apply_notice_status(
            session,
            notification_id,
            reached=reached,
            failure=failure,
            provider_id=report.sid or None,
            now=self.clock.now(),
            give_up=self.give_up,
        )
        _STATUSES.labels(outcome="applied" if known else "unknown_notice").inc()

    async def _apply_wish(self, session: AsyncSession, message: IncomingSms) -> None:
        _INCOMING.labels(wish=message.wish.value).inc()
        # Other texts stay as stored items: there is no conversation by SMS yet.
        log.info("twilio.message_received", provider_id=message.sid, action=message.wish.value)
        number = _spelled(message.sender)
        if not number:
            return
        if message.wish is Wish.STOP:
            await opt_out(session, Channel.SMS, number, code="stop", now=self.clock.now())
        elif message.wish is Wish.START:
            await opt_in(session, Channel.SMS, number)


async def _insert(session: AsyncSession, values: dict[str, Any]) -> bool:
    new = await session.scalar(
        insert(WebhookItem)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["channel", "dedup_key"])
        .returning(WebhookItem.id)
    )
    return new is not None


async def _notice_of(session: AsyncSession, named: str, sid: str) -> uuid.UUID | None:
    """The notice a callback is about: the one its address names, else the one that has the id."""
    try:
        named_id = uuid.UUID(named)
    except ValueError:
        named_id = None
    is_ours = (Notification.job_name == JobName.SEND_SMS.value,)
    if named_id is not None:
        found = await session.scalar(
            select(Notification.id).where(Notification.id == named_id, *is_ours)
        )
        if found is not None:
            return found
    if not sid:
        return None
    return await session.scalar(
        select(Notification.id).where(Notification.provider_id == sid, *is_ours).limit(1)
    )


def _failure(status: str, error_code: str | None) -> Failure:
    detail = f"reported by Twilio: {status}"
    return failure_for(Provider.TWILIO, error_code, detail=detail, final=True)


def _spelled(number: str) -> str:
    """As recipients are written; a short code or anything else that is no number: nothing."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
