from __future__ import annotations

import httpx
import pytest

from notifications.domain.jobs import JOB_OF_CHANNEL, JobName
from ponte.processes.notification_parts import (
    admin_contact,
    configured_channels,
    make_reconcilers,
    make_senders,
    twilio_webhooks,
)
from ponte.settings import Process, Settings
from tests.notifications.conftest import World

SMTP = {"SMTP_HOST": "mail.example", "SMTP_FROM": "avisos@ponte.example", "SMTP_TLS": "none"}
WHATSAPP = {
    "WHATSAPP_APP_SECRET": "0123456789abcdef0123456789abcdef",
    "WHATSAPP_VERIFY_TOKEN": "0123456789abcdef",
    "WHATSAPP_ACCESS_TOKEN": "0123456789abcdef",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
}

TWILIO = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef",
    "TWILIO_FROM": "+15005550006",
}
FCM = {"FCM_PROJECT_ID": "ponte-test"}


def settings(**environment: str) -> Settings:
    return Settings.from_environment(Process.UP, environment=environment)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, set()),
        (SMTP, {JobName.SEND_EMAIL}),
        (WHATSAPP, {JobName.SEND_WHATSAPP}),
        (TWILIO, {JobName.SEND_SMS}),
        (FCM, {JobName.SEND_PUSH}),
        (SMTP | WHATSAPP | TWILIO | FCM, set(JobName) - {JobName.NOTIFY_USER}),
    ],
)
async def test_there_is_a_sender_for_what_is_configured(
    world: World, environment: dict[str, str], names: set[JobName]
) -> None:
    async with httpx.AsyncClient() as http:
        senders = make_senders(settings(**environment), db=world.db, http=http, clock=world.clock)

    assert set(senders) == names | {JobName.NOTIFY_USER}
    assert {
        JOB_OF_CHANNEL[found] for found in configured_channels(settings(**environment))
    } == names
    assert set(make_reconcilers(senders)) == names & {JobName.SEND_SMS}


@pytest.mark.parametrize(("environment", "there"), [({}, False), (TWILIO, True)])
def test_twilio_is_listened_to_where_there_is_an_account(
    world: World, environment: dict[str, str], *, there: bool
) -> None:
    webhooks = twilio_webhooks(settings(**environment), db=world.db, clock=world.clock)

    assert (webhooks is not None) is there


def test_an_admin_that_is_not_set_is_none() -> None:
    contact = admin_contact(settings())

    assert (contact.user_id, contact.phone) == (None, None)
