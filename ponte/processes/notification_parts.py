"""Build the parts of notifications out of the settings; for worker, scheduler and web."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol, cast, runtime_checkable

import structlog
from sanic import Blueprint

from channels.whatsapp.client import Poster, WhatsAppClient
from kit.clock import Clock
from notifications.api.twilio_webhooks import TwilioWebhookDeps
from notifications.api.twilio_webhooks import create_blueprint as twilio_blueprint
from notifications.domain.jobs import Channel, JobName
from notifications.domain.policies import by_channels
from notifications.policy_file import load_policies
from notifications.senders.email import EmailSender, SMTPServer, Tls
from notifications.senders.user import UserSender
from notifications.senders.whatsapp import WhatsAppSender
from notifications.services.failures import FailureNotices
from notifications.services.ports import Reconciler, Sender
from notifications.services.recipients import AdminContact
from notifications.services.twilio_inbox import TwilioInbox
from notifications.services.twilio_messages import take_message
from notifications.services.window import last_whatsapp_message
from ponte.settings import Settings
from ticketing.db.engine import Database

log = structlog.get_logger()

CLOSE_WITHIN = timedelta(seconds=1)
"""For goodbyes at the end of a process, which has ten seconds in all."""


def admin_contact(settings: Settings) -> AdminContact:
    """Whom NOTIFICATIONS_ADMIN_USER_ID and NOTIFICATIONS_ADMIN_PHONE name."""
    return AdminContact(
        user_id=settings.notifications_admin_user_id or None,
        phone=settings.notifications_admin_phone or None,
    )


def failure_notices(settings: Settings) -> FailureNotices:
    """What gives a notice up; the web process needs it for statuses.

    Raises:
        PoliciesError: when `notifications/policies.yml` is not usable.
    """
    return FailureNotices(
        # By a channel without an account a notice about a failure would only be the next one.
        policies=by_channels(load_policies(), configured_channels(settings)),
        admin=admin_contact(settings),
        recipient_key=settings.privacy_key,
    )


@dataclass(frozen=True, slots=True)
class TwilioWebhooks:
    """What the web process adds when Twilio is configured."""

    blueprint: Blueprint
    sweep: Callable[[], Awaitable[int]]


def twilio_webhooks(settings: Settings, *, db: Database, clock: Clock) -> TwilioWebhooks | None:
    """The webhooks of Twilio and their sweep; None when there is no account.

    Raises:
        PoliciesError: when `notifications/policies.yml` is not usable.
    """
    if Channel.SMS not in configured_channels(settings):
        return None
    inbox = TwilioInbox(db, clock, failure_notices(settings))
    deps = TwilioWebhookDeps(
        auth_token=settings.twilio_auth_token.get_secret_value(),
        public_url=settings.ponte_public_url,
        inbox=inbox,
        clock=clock,
    )
    return TwilioWebhooks(twilio_blueprint(deps), inbox.sweep)


def configured_channels(settings: Settings) -> frozenset[Channel]:
    """The channels this installation has an account for: `make_senders` makes these senders."""
    token = settings.whatsapp_access_token.get_secret_value()
    twilio = settings.twilio_auth_token.get_secret_value()
    there = {
        Channel.EMAIL: settings.smtp_host and settings.smtp_from,
        Channel.WHATSAPP: settings.whatsapp_phone_number_id and token,
        Channel.SMS: settings.twilio_account_sid and twilio and settings.twilio_from,
        # Without a service account's JSON: application default credentials.
        Channel.PUSH: settings.fcm_project_id,
    }
    return frozenset(channel for channel, settings_given in there.items() if settings_given)


def make_reconcilers(senders: Mapping[JobName, Sender]) -> dict[JobName, Reconciler]:
    """Of the senders, those that can find out what became of an unknown outcome."""
    sms = senders.get(JobName.SEND_SMS)
    return {} if sms is None else {JobName.SEND_SMS: cast("Reconciler", sms)}


def _sms_sender(settings: Settings, db: Database) -> Sender:
    from channels.twilio.client import TwilioClient  # noqa: PLC0415 - slow to import, and few have it
    from notifications.senders.sms import SmsSender  # noqa: PLC0415

    client = TwilioClient(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token.get_secret_value(),
        base_url=settings.twilio_api_base_url,
    )
    return SmsSender(
        client,
        sender=settings.twilio_from,
        public_url=settings.ponte_public_url,
        frontend_url=settings.frontend_url,
        max_segments=settings.ponte_sms_max_segments,
        take=partial(take_message, db),
    )


def _push_sender(settings: Settings) -> Sender:
    from channels.fcm import FcmClient  # noqa: PLC0415 - slow to import, and few have it
    from notifications.senders.push import PushSender  # noqa: PLC0415

    account = settings.fcm_service_account_json.get_secret_value()
    client = FcmClient(
        project_id=settings.fcm_project_id,
        service_account=json.loads(account) if account else None,
        base_url=settings.fcm_api_base_url,
    )
    return PushSender(client, frontend_url=settings.frontend_url)


def make_senders(
    settings: Settings, *, db: Database, http: Poster, clock: Clock
) -> dict[JobName, Sender]:
    """The senders this installation is configured for; says which one is not.

    Raises:
        PoliciesError: when `notifications/policies.yml` is not usable.
    """
    to_user = UserSender(
        db, load_policies(), admin_contact(settings), configured_channels(settings)
    )
    senders: dict[JobName, Sender] = {JobName.NOTIFY_USER: to_user}
    frontend_url = settings.frontend_url
    if settings.smtp_host and settings.smtp_from:
        server = SMTPServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=Tls(settings.smtp_tls),
            user=settings.smtp_user or None,
            password=settings.smtp_pass.get_secret_value(),
        )
        senders[JobName.SEND_EMAIL] = EmailSender(
            server, settings.smtp_from, frontend_url, unsubscribe_secret=settings.privacy_key
        )
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
    if Channel.SMS in configured_channels(settings):
        senders[JobName.SEND_SMS] = _sms_sender(settings, db)
    else:
        log.warning("channel.not_configured", channel="sms", setting="TWILIO_ACCOUNT_SID")
    if Channel.PUSH in configured_channels(settings):
        senders[JobName.SEND_PUSH] = _push_sender(settings)
    else:
        log.warning("channel.not_configured", channel="push", setting="FCM_PROJECT_ID")
    return senders


@runtime_checkable
class Closing(Protocol):
    """A sender that keeps connections of its own."""

    async def close(self) -> None:
        """Close them."""
        ...


async def close_senders(senders: Iterable[Sender], *, within: timedelta = CLOSE_WITHIN) -> None:
    """Close the senders' connections: a mail server is told goodbye instead of finding a line dead.

    Not waited for long, and no failure counts: the process ends, and with it every connection.
    """
    closing = [sender.close() for sender in senders if isinstance(sender, Closing)]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await asyncio.gather(*closing, return_exceptions=True)
