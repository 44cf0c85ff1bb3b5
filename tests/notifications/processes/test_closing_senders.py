from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx

from notifications.domain.jobs import JobName
from notifications.services.ports import Accepted, Outgoing
from ponte.processes.notification_parts import Closing, close_senders, make_senders
from ponte.settings import Process, Settings
from tests.notifications.conftest import World

ENVIRONMENT = {
    "SMTP_HOST": "mail.example",
    "SMTP_FROM": "avisos@ponte.example",
    "SMTP_TLS": "none",
    "WHATSAPP_APP_SECRET": "0123456789abcdef0123456789abcdef",
    "WHATSAPP_VERIFY_TOKEN": "0123456789abcdef",
    "WHATSAPP_ACCESS_TOKEN": "0123456789abcdef",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef",
    "TWILIO_FROM": "+15005550006",
    "FCM_PROJECT_ID": "ponte-test",
}


class Plain:
    """A sender without connections of its own."""

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        raise NotImplementedError


class Open(Plain):
    """One that has some."""

    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


class Hanging(Plain):
    async def close(self) -> None:
        await asyncio.Event().wait()


class Broken(Plain):
    async def close(self) -> None:
        message = "the line was dead already"
        raise OSError(message)


async def test_every_sender_is_closed_whatever_another_one_does() -> None:
    first, last = Open(), Open()

    await close_senders(
        [first, Plain(), Hanging(), Broken(), last], within=timedelta(milliseconds=10)
    )

    assert (first.closed, last.closed) == (1, 1)


async def test_all_that_keep_connections_of_their_own_can_be_closed(world: World) -> None:
    given = Settings.from_environment(Process.UP, environment=ENVIRONMENT)
    async with httpx.AsyncClient() as http:
        senders = make_senders(given, db=world.db, http=http, clock=world.clock)

    closing = {name for name, sender in senders.items() if isinstance(sender, Closing)}
    assert closing == {JobName.SEND_EMAIL, JobName.SEND_SMS, JobName.SEND_PUSH}
    await close_senders(senders.values())
