"""Build the parts of notifications out of the settings; for worker, scheduler and web."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import structlog

from channels.message import StatusUpdate
from channels.whatsapp.client import WhatsAppClient
from kit.clock import Clock
from notifications.domain.jobs import JobName
from notifications.policy_file import load_policies
from notifications.senders.email import EmailSender, SMTPServer, Tls
from notifications.senders.whatsapp import WhatsAppSender
from notifications.services.failures import FailureNotices
from notifications.services.ports import Sender
from notifications.services.recipients import AdminContact
from notifications.services.statuses import apply_status
from notifications.services.window import last_whatsapp_message
from ponte.settings import Settings
from ticketing.db.engine import Database

log = structlog.get_logger()


def admin_contact(settings: Settings) -> AdminContact:
    """Whom NOTIFICATIONS_ADMIN_USER_ID and NOTIFICATIONS_ADMIN_PHONE name."""
    return AdminContact(
        user_id=settings.notifications_admin_user_id or None,
        phone=settings.notifications_admin_phone or None,
    )


def failure_notices(settings: Settings) -> FailureNotices:
    """What gives a notice up; the web process needs it for `apply_status`.

    Raises:
        PoliciesError: when `notifications/policies.yml` is not usable.
    """
    return FailureNotices(policies=load_policies(), admin=admin_contact(settings))


def notice_statuses(
    settings: Settings, *, db: Database, clock: Clock
) -> Callable[[StatusUpdate], Awaitable[bool]]:
    """What the web process calls with statuses that belong to no message of a conversation.

    The returned function answers whether the status was that of a notice.

    Raises:
        PoliciesError: when `notifications/policies.yml` is not usable.
    """
    give_up = failure_notices(settings)

    async def apply(status: StatusUpdate) -> bool:
        async with db.transaction() as session:
            return await apply_status(
                session, status.callback_data, status, now=clock.now(), give_up=give_up
            )

    return apply


def make_senders(
    settings: Settings, *, db: Database, http: httpx.AsyncClient, clock: Clock
) -> dict[JobName, Sender]:
    """The senders this installation is configured for; says which one is not."""
    senders: dict[JobName, Sender] = {}
    frontend_url = settings.frontend_url
    if settings.smtp_host and settings.smtp_from:
        server = SMTPServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=Tls(settings.smtp_tls),
            user=settings.smtp_user or None,
            password=settings.smtp_pass.get_secret_value(),
        )
        senders[JobName.SEND_EMAIL] = EmailSender(server, settings.smtp_from, frontend_url)
    else:
        log.warning("channel.not_configured", channel="email", setting="SMTP_HOST, SMTP_FROM")
    token = settings.whatsapp_access_token.get_secret_value()
    if settings.whatsapp_phone_number_id and token:
        client = WhatsAppClient(
            http,
            base_url=settings.whatsapp_api_base_url,
            version=settings.whatsapp_api_version,
            phone_number_id=settings.whatsapp_phone_number_id,
            access_token=token,
            now=clock.now,
        )
        senders[JobName.SEND_WHATSAPP] = WhatsAppSender(
            client,
            last_message=partial(last_whatsapp_message, db),
            template=settings.notifications_whatsapp_template,
            frontend_url=frontend_url,
        )
    else:
        log.warning(
            "channel.not_configured", channel="whatsapp", setting="WHATSAPP_PHONE_NUMBER_ID"
        )
    return senders
