"""An SMS whose answer was lost: Twilio is asked, and only what it did not take is sent again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from channels.twilio.client import TwilioClient
from channels.twilio.signature import Form
from notifications.domain.jobs import JobName
from notifications.senders.sms import SmsSender
from notifications.services.deliver import Deliverer
from notifications.services.twilio_inbox import TwilioInbox
from notifications.services.twilio_messages import take_message
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
            partial(take_message, world.db),
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
    first, second = await same_words(world)
    await way.attempt(first, twilio.accepted())
    await way.attempt(second, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    assert way.server.asked[1].form["Body"] == body

    row = await way.attempt(second, way.listed(body), way.listed(body), twilio.accepted("SM2"))

    assert (row.provider_id, way.posts()) == ("SM2", 3)


async def test_two_that_look_up_at_one_instant_do_not_share_one_message(
    way: Way, world: World
) -> None:
    """Both are of unknown outcome; Twilio took one of them, and both are told of it."""
    both = await same_words(world)
    for notice in both:
        await way.attempt(notice, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    listed = [way.listed(body)] * 4

    way.server.will(*listed, twilio.accepted("SM2"))
    await way.deliverer.deliver_many(both, JobName.SEND_SMS)

    rows = [await world.notification(notice) for notice in both]
    assert {row.state for row in rows} == {"sent"}
    assert sorted(str(row.provider_id) for row in rows) == sorted([twilio.SID, "SM2"])
    assert way.posts() == 3


async def test_of_two_messages_each_notice_takes_one(way: Way, world: World) -> None:
    both = await same_words(world)
    for notice in both:
        await way.attempt(notice, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    messages = [twilio.message(sid, body=body, to=PHONE) for sid in ("SM1", "SM2")]

    way.server.will(twilio.listed(*messages))
    await way.deliverer.deliver_many(both, JobName.SEND_SMS)

    rows = [await world.notification(notice) for notice in both]
    assert sorted(str(row.provider_id) for row in rows) == ["SM1", "SM2"]
    assert way.posts() == 2


async def test_a_message_that_was_taken_for_another_notices_goes_back_to_its_own(
    way: Way, world: World
) -> None:
    """The callback names the owner: the other one was not sent, and is sent now."""
    owner, other = await same_words(world)
    for notice in (owner, other):
        await way.attempt(notice, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    await way.attempt(other, way.listed(body))

    await tell(way, owner, twilio.SID)

    assert (await world.notification(owner)).provider_id == twilio.SID
    assert (await world.notification(other)).state == "unknown"
    row = await way.attempt(other, *[way.listed(body)] * 2, twilio.accepted("SM2"))
    assert (row.state, row.provider_id, way.posts()) == ("sent", "SM2", 3)


async def test_two_that_took_each_others_message_change_them_and_nothing_is_sent(
    way: Way, world: World
) -> None:
    first, second = await same_words(world)
    for notice in (first, second):
        await way.attempt(notice, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    messages = [twilio.message(sid, body=body, to=PHONE) for sid in ("SM1", "SM2")]
    await way.attempt(first, twilio.listed(messages[1]))
    await way.attempt(second, twilio.listed(*messages))

    await tell(way, first, "SM1")
    await way.attempt(second, twilio.listed(*messages))

    rows = [await world.notification(notice) for notice in (first, second)]
    assert [(row.state, row.provider_id) for row in rows] == [("sent", "SM1"), ("sent", "SM2")]
    assert way.posts() == 2


async def test_a_message_that_a_callback_named_anothers_is_never_taken(
    way: Way, world: World
) -> None:
    """Its owner was sent twice: the answer to the first message was lost."""
    owner, other = await same_words(world)
    for notice in (owner, other):
        await way.attempt(notice, Reply(fault="hang_up"))
    body = way.server.asked[0].form["Body"]
    await tell(way, owner, "SM1")
    await tell(way, owner, "SM2")
    messages = [twilio.message(sid, body=body, to=PHONE) for sid in ("SM1", "SM2")]

    row = await way.attempt(other, *[twilio.listed(*messages)] * 2, twilio.accepted("SM3"))

    assert (row.state, row.provider_id) == ("sent", "SM3")


async def same_words(world: World) -> list[uuid.UUID]:
    context = {"ticket_number": 7, "ticket_id": str(uuid.UUID(int=1))}
    return [
        await world.make_notification(JobName.SEND_SMS, recipient=PHONE, context=context)
        for _ in range(2)
    ]


async def tell(way: Way, notice: uuid.UUID, sid: str) -> None:
    inbox = TwilioInbox(way.world.db, way.world.clock, way.world.give_up)
    form = Form([("MessageSid", sid), ("MessageStatus", "sent"), ("To", PHONE)])
    assert await inbox.status(form, named=str(notice), correlation_id="c")


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
