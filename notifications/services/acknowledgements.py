"""The button of a notice on WhatsApp: who pressed it has seen the notice.

The press comes as a message. It belongs to no conversation: whoever pressed is no customer, and an
answer of the bot would cost money and help nobody. Like every message it opens the 24 hours in
which Meta takes texts from us, so that the next notices need no template.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import InboundMessage, MessageKind, StatusUpdate
from channels.whatsapp.identity import canonical_phone
from kit.clock import Clock
from kit.metrics import counter
from notifications.domain.jobs import Channel, JobName
from notifications.services.addresses import note_inbound
from notifications.services.failures import FailureNotices
from notifications.services.statuses import apply_notice_status, apply_status
from ticketing.db.notification_tables import Notification
from ticketing.domain.enums import DeliveryState

log = structlog.get_logger()

ACKNOWLEDGED = counter(
    "ponte_notifications_acknowledged_total",
    "Notices whose recipient said by their button that they got them.",
    ("event",),
)

_BUTTON = re.compile(r"ack:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_FUTURE_TOLERANCE = timedelta(minutes=5)
"""By so much the phone's clock may be ahead; what is later counts as now."""


def button_id(notification_id: uuid.UUID) -> str:
    """The id of a notice's button; it comes back when the button is pressed."""
    return f"ack:{notification_id}"


def notice_of(message: InboundMessage) -> uuid.UUID | None:
    """The notice whose button this message is the press of."""
    if message.kind is not MessageKind.BUTTON_REPLY:
        return None
    match = _BUTTON.fullmatch(message.reply_id or "")
    return None if match is None else uuid.UUID(match[1])


@dataclass(frozen=True, slots=True)
class NoticeAnswers:
    """What comes back by WhatsApp about notices; see `ticketing.services.notice_inbox`."""

    clock: Clock
    give_up: FailureNotices

    async def status(self, session: AsyncSession, status: StatusUpdate) -> bool:
        """Apply a status, if it is about a notice."""
        return await apply_status(
            session, status.callback_data, status, now=self.clock.now(), give_up=self.give_up
        )

    async def pressed(self, session: AsyncSession, message: InboundMessage) -> bool:
        """Whether the message is the press of a notice's button, which then counts.

        It counts only from the recipient's own number. The press of a notice that is no longer
        kept is nobody's message either. Twice changes nothing.
        """
        notification_id = notice_of(message)
        if notification_id is None:
            return False
        row = await session.get(Notification, notification_id, with_for_update=True)
        if row is None:
            log.info("notification.press_of_nothing", notification_id=str(notification_id))
            return True
        if not _is_recipient(message, row):
            log.warning("notification.press_of_another", notification_id=str(row.id))
            return False
        await self._count(session, message, row)
        return True

    async def _count(
        self, session: AsyncSession, message: InboundMessage, row: Notification
    ) -> None:
        now = self.clock.now()
        at = _moment(message.timestamp, now)
        await apply_notice_status(
            session,
            row.id,
            reached=DeliveryState.READ,
            failure=None,
            provider_id=message.context_id,
            now=now,
            give_up=self.give_up,
        )
        seen = await _acknowledge(session, row.id, at)
        await note_inbound(session, Channel.WHATSAPP, row.recipient, at=at)
        ACKNOWLEDGED.labels(event=row.event).inc(seen)
        if seen:
            log.info(
                "notification.acknowledged",
                notification_id=str(row.id),
                ticket_id=str(row.ticket_id),
                correlation_id=row.correlation_id,
            )


async def _acknowledge(session: AsyncSession, notification_id: uuid.UUID, at: datetime) -> int:
    """Keep when it was seen, also of those that are told in its words; how many were not before."""
    seen = await session.execute(
        update(Notification)
        .where(
            or_(Notification.id == notification_id, Notification.digest_id == notification_id),
            Notification.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=at)
        .returning(Notification.id)
    )
    return len(seen.all())


def _is_recipient(message: InboundMessage, row: Notification) -> bool:
    recipient = canonical_phone(row.recipient)
    return (
        row.job_name == JobName.SEND_WHATSAPP.value
        and recipient is not None
        and recipient == canonical_phone(message.sender.phone)
    )


def _moment(written: datetime | None, now: datetime) -> datetime:
    return now if written is None or written > now + _FUTURE_TOLERANCE else written
