"""An SMS whose answer was lost: Twilio is asked, and only what it did not take is sent again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from channels.twilio.client import TwilioClient
from notifications.domain.jobs import JobName
from notifications.senders.sms import SmsSender
from notifications.services.deliver import Deliverer
from notifications.services.twilio_inbox import ids_of_others
from tests.fakes import twilio_server as twilio
from tests.fakes.vendor_server import Reply, VendorServer, serving
from tests.notifications.conftest import World
from ticketing.db.tables import Notification

PHONE = "+5511987654321"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with serving(VendorServer(), [twilio.accepted()]) as running:
        yield running


class Way:
    """A deliverer with the real sender, which is also the one who asks."""

    def __init__(self, world: World, server: VendorServer) -> None:
        self.world, self.server = world, server
        client = TwilioClient(
            account_sid=twilio.ACCOUNT,
            auth_token="secret",
            base_url=server.url,
            timeout_seconds=0.5,
        )
        self.sender = SmsSender(
            client,
            "+15557122661",
            "https://ponte.example",
            "https://console.example",
            3,
            partial(ids_of_others, world.db),
        )
        self.deliverer = Deliverer(
            db=world.db,
            clock=world.clock,
            senders={JobName.SEND_SMS: self.sender},
            reconcilers={JobName.SEND_SMS: self.sender},
            give_up=world.give_up,
            jitter=lambda: 1.0,
            record_pauses=(),
        )

    async def attempt(self, notice: uuid.UUID, *replies: Reply) -> Notification:
        self.server.will(*replies)
        await self.deliverer.deliver(notice, JobName.SEND_SMS)
        row = await self.world.notification(notice)
        if row.next_attempt_at is not None:
            self.world.clock.advance(row.next_attempt_at - self.world.clock.now())
        return row

    def posts(self) -> int:
        return sum(asked.method == "POST" for asked in self.server.asked)

    def listed(self, notice_body: str, **changes: Any) -> Reply:
        return twilio.listed(twilio.message(body=notice_body, to=PHONE, **changes))


@pytest.fixture
def way(world: World, server: VendorServer) -> Way:
    return Way(world, server)


@pytest.fixture
async def notice(world: World) -> uuid.UUID:
    return await world.make_notification(JobName.SEND_SMS, recipient=PHONE)


LOST = (Reply(fault="hang_up"), Reply(fault="silent"), Reply(201, b"<html>"), Reply(504, b""))


@pytest.mark.parametrize("lost", LOST)
async def test_what_twilio_took_is_not_sent_again(way: Way, notice: uuid.UUID, lost: Reply) -> None:
    assert (await way.attempt(notice, lost)).state == "unknown"
    body = way.server.asked[0].form["Body"]

    row = await way.attempt(notice, way.listed(body))

    assert (row.state, row.provider_id) == ("sent", twilio.SID)
    assert way.posts() == 1


@pytest.mark.parametrize(
    "changes", [{"body": "other words"}, {"status": "failed", "error_code": 30008}]
)
async def test_what_twilio_did_not_take_is_sent_again(
    way: Way, notice: uuid.UUID, changes: dict[str, Any]
) -> None:
    await way.attempt(notice, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    listed = twilio.listed(twilio.message(**({"body": body, "to": PHONE} | changes)))

    row = await way.attempt(notice, listed, listed, twilio.accepted("SM2"))

    assert (row.state, row.provider_id, way.posts()) == ("sent", "SM2", 2)


async def test_two_notices_with_the_same_words_do_not_share_one_message(
    way: Way, world: World
) -> None:
    context = {"ticket_number": 7, "ticket_id": str(uuid.UUID(int=1))}
    first = await world.make_notification(JobName.SEND_SMS, recipient=PHONE, context=context)
    second = await world.make_notification(JobName.SEND_SMS, recipient=PHONE, context=context)
    await way.attempt(first, twilio.accepted())
    await way.attempt(second, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    assert way.server.asked[1].form["Body"] == body

    row = await way.attempt(second, way.listed(body), way.listed(body), twilio.accepted("SM2"))

    assert (row.provider_id, way.posts()) == ("SM2", 3)


async def test_while_twilio_cannot_be_asked_nothing_is_sent(way: Way, notice: uuid.UUID) -> None:
    await way.attempt(notice, Reply(fault="hang_up"))

    row = await way.attempt(notice, Reply(503, b""))

    assert (row.state, way.posts()) == ("unknown", 1)


async def test_what_may_be_sent_at_most_once_is_asked_for_and_never_sent_again(
    way: Way, world: World
) -> None:
    notice = await world.make_notification(
        JobName.SEND_SMS, recipient=PHONE, guarantee="at-most-once"
    )
    await way.attempt(notice, Reply(fault="hang_up"))
    world.clock.advance(timedelta(minutes=2))

    row = await way.attempt(notice, twilio.listed())

    assert (row.state, way.posts()) == ("failed", 1)
