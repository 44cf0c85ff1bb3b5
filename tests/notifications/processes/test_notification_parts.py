from __future__ import annotations

import httpx
import pytest

from channels.message import SenderIdentity, StatusUpdate
from notifications.domain.jobs import JobName
from notifications.services.statuses import callback_data
from ponte.processes.notification_parts import admin_contact, make_senders, notice_statuses
from ponte.settings import Process, Settings
from tests.notifications.conftest import World

SMTP = {"SMTP_HOST": "mail.example", "SMTP_FROM": "avisos@ponte.example", "SMTP_TLS": "none"}
WHATSAPP = {
    "WHATSAPP_APP_SECRET": "0123456789abcdef0123456789abcdef",
    "WHATSAPP_VERIFY_TOKEN": "0123456789abcdef",
    "WHATSAPP_ACCESS_TOKEN": "0123456789abcdef",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
}


def settings(**environment: str) -> Settings:
    return Settings.from_environment(Process.UP, environment=environment)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, set()),
        (SMTP, {JobName.SEND_EMAIL}),
        (WHATSAPP, {JobName.SEND_WHATSAPP}),
        (SMTP | WHATSAPP, {JobName.SEND_EMAIL, JobName.SEND_WHATSAPP}),
    ],
)
async def test_there_is_a_sender_for_what_is_configured(
    world: World, environment: dict[str, str], names: set[JobName]
) -> None:
    async with httpx.AsyncClient() as http:
        senders = make_senders(settings(**environment), db=world.db, http=http, clock=world.clock)

    assert set(senders) == names


def test_an_admin_that_is_not_set_is_none() -> None:
    contact = admin_contact(settings())

    assert (contact.user_id, contact.phone) == (None, None)


@pytest.mark.parametrize("ours", [True, False])
async def test_the_web_process_hands_statuses_of_notices_over(world: World, *, ours: bool) -> None:
    notification_id = await world.make_notification(JobName.SEND_WHATSAPP, state="unknown")
    apply = notice_statuses(settings(), db=world.db, clock=world.clock)
    status = StatusUpdate(
        channel="whatsapp",
        provider_id="wamid.1",
        account_id="1",
        status="delivered",
        timestamp=None,
        recipient=SenderIdentity(),
        raw={},
        callback_data=callback_data(notification_id) if ours else str(notification_id),
    )

    assert await apply(status) is ours

    state = (await world.notification(notification_id)).state
    assert state == ("delivered" if ours else "unknown")
