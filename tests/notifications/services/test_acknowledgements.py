from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import (
    InboundItem,
    InboundMessage,
    MessageKind,
    SenderIdentity,
    StatusUpdate,
)
from kit.ids import new_id
from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.domain.jobs import Channel, JobName
from notifications.services.acknowledgements import NoticeAnswers, button_id
from notifications.services.address_views import list_addresses
from notifications.services.addresses import note, opt_out, refusals
from notifications.services.ports import Accepted, Outgoing
from notifications.services.statuses import callback_data
from notifications.services.window import last_whatsapp_message
from tests.notifications.conftest import World
from ticketing.db.notification_tables import RecipientAddress
from ticketing.db.privacy_tables import ErasedIdentity
from ticketing.db.tables import Conversation, Message, WebhookItem
from ticketing.services.contact_erasure import sender_digests
from ticketing.services.inbound_engine import InboundEngine

PHONE = "+5511981234567"
OLD_SPELLING = "+551181234567"  # without the ninth digit, as WhatsApp writes some
KEY = "of privacy"
STRIKE = Failure(FailureKind.PERMANENT, "131026", consequence=Consequence.STRIKE_RECIPIENT)


@dataclass(frozen=True)
class Deaf(NoticeAnswers):
    """A database that goes away in the middle, so many times."""

    failures: list[int] = field(default_factory=lambda: [2])

    async def status(self, session: AsyncSession, status: StatusUpdate) -> bool:
        if self.failures[0]:
            self.failures[0] -= 1
            raise OperationalError(None, None, ConnectionError())
        return await super().status(session, status)


def answers(world: World) -> NoticeAnswers:
    return NoticeAnswers(world.clock, world.give_up)


async def arrive(
    world: World, items: Sequence[InboundItem], *, by: NoticeAnswers | None = None
) -> InboundEngine:
    engine = InboundEngine(world.db, world.clock, lambda _: None, by or answers(world), KEY)
    await engine.accept(items, "c-9")
    await engine.drain()
    return engine


def press(
    notification_id: uuid.UUID, *, phone: str | None = PHONE, number: int = 1, **changes: object
) -> InboundMessage:
    message = InboundMessage(
        channel="whatsapp",
        provider_id=f"wamid.press.{number}",
        account_id="1",
        sender=SenderIdentity(user_id="BR.1", phone=phone),
        timestamp=None,
        kind=MessageKind.BUTTON_REPLY,
        raw={},
        text="Recebi",
        reply_id=button_id(notification_id),
    )
    return replace(message, **changes)  # type: ignore[arg-type]


async def notice(world: World, **values: object) -> uuid.UUID:
    usual = {"recipient": PHONE, "state": "sent", "provider_id": "wamid.1", "event": "sla-alert"}
    return await world.make_notification(JobName.SEND_WHATSAPP, **(usual | values))


async def conversations(world: World) -> int:
    async with world.db.transaction() as session:
        return await session.scalar(select(func.count()).select_from(Conversation)) or 0


@pytest.mark.parametrize("phone", [PHONE, OLD_SPELLING])
async def test_who_presses_the_button_has_read_the_notice_and_opens_no_conversation(
    world: World, phone: str
) -> None:
    notification_id = await notice(world)
    before = await conversations(world)

    await arrive(world, [press(notification_id, phone=phone)])

    row = await world.notification(notification_id)
    assert (row.state, row.acknowledged_at) == ("read", world.clock.now())
    assert await conversations(world) == before
    async with world.db.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 0
        (item,) = await session.scalars(select(WebhookItem))
    assert item.done_at is not None


async def test_the_press_opens_the_window_for_texts(world: World) -> None:
    notification_id = await notice(world)
    assert await last_whatsapp_message(world.db, PHONE) is None

    await arrive(world, [press(notification_id)])

    assert await last_whatsapp_message(world.db, PHONE) == world.clock.now()
    async with world.db.transaction() as session:
        assert await refusals(session, {(Channel.WHATSAPP, PHONE)}, now=world.clock.now()) == {}


async def test_the_window_is_counted_from_when_it_was_pressed(world: World) -> None:
    notification_id = await notice(world)
    pressed_at = world.clock.now() - timedelta(hours=3)

    await arrive(world, [press(notification_id, timestamp=pressed_at)])
    await arrive(world, [press(notification_id, number=2, timestamp=pressed_at - timedelta(1))])

    assert await last_whatsapp_message(world.db, PHONE) == pressed_at
    assert (await world.notification(notification_id)).acknowledged_at == pressed_at


async def test_what_is_known_of_the_address_lives_beside_the_window(world: World) -> None:
    notification_id = await notice(world)
    await arrive(world, [press(notification_id)])
    pair = (Channel.WHATSAPP, PHONE)

    async with world.db.transaction() as session:
        await note(session, *pair, STRIKE, now=world.clock.now())
        await note(session, *pair, None, now=world.clock.now())
    assert await last_whatsapp_message(world.db, PHONE) == world.clock.now()

    async with world.db.transaction() as session:
        await opt_out(session, *pair, code="131050", now=world.clock.now())
    await arrive(world, [press(notification_id, number=2)])
    async with world.db.transaction() as session:
        refused = await refusals(session, {pair}, now=world.clock.now())
    assert refused == {pair: "opted_out"}


async def test_pressing_twice_and_at_once_counts_once(world: World) -> None:
    notification_id = await notice(world)

    await asyncio.gather(
        *(arrive(world, [press(notification_id, number=number)]) for number in (1, 2, 2, 3))
    )

    row = await world.notification(notification_id)
    assert (row.state, row.acknowledged_at) == ("read", world.clock.now())


@pytest.mark.parametrize("state", ["pending", "unknown", "failed", "delivered"])
async def test_a_press_proves_that_the_notice_arrived_whatever_was_believed(
    world: World, state: str
) -> None:
    notification_id = await notice(world, state=state, provider_id=None)

    await arrive(world, [press(notification_id, context_id="wamid.7")])

    row = await world.notification(notification_id)
    assert (row.state, row.next_attempt_at, row.provider_id) == ("read", None, "wamid.7")


@dataclass
class Pressed:
    """A provider whose answer comes after the recipient has pressed the button, or never."""

    world: World
    answers: bool

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        del now
        await arrive(self.world, [press(outgoing.notification_id, context_id="wamid.7")])
        if self.answers:
            return Accepted(provider_id="wamid.7", form="interactive")
        raise SendFailedError(Failure(FailureKind.UNKNOWN, "ReadTimeout"))


@pytest.mark.parametrize("answered", [True, False])
async def test_a_press_before_the_answer_to_our_request_stays(
    world: World, *, answered: bool
) -> None:
    notification_id = await notice(world, state="pending", provider_id=None)
    deliverer = world.deliverer(Pressed(world, answered), JobName.SEND_WHATSAPP)

    await deliverer.deliver(notification_id, JobName.SEND_WHATSAPP)

    row = await world.notification(notification_id)
    assert (row.state, row.provider_id, row.next_attempt_at) == ("read", "wamid.7", None)
    assert row.acknowledged_at == world.clock.now()


async def test_who_saw_a_digest_has_seen_each_notice_in_it(world: World) -> None:
    leader = await notice(world)
    inside = await notice(world, digest_id=leader, provider_id=None)
    beside = await notice(world)

    await arrive(world, [press(leader)])

    rows = [await world.notification(one) for one in (leader, inside, beside)]
    assert [row.acknowledged_at for row in rows] == [world.clock.now()] * 2 + [None]


async def test_who_only_pressed_is_not_on_the_list_of_addresses_left_alone(world: World) -> None:
    notification_id = await notice(world)
    await arrive(world, [press(notification_id)])

    async with world.db.transaction() as session:
        assert await list_addresses(session) == ()
        await note(session, Channel.WHATSAPP, PHONE, STRIKE, now=world.clock.now())
        assert [(row.state, row.strikes) for row in await list_addresses(session)] == [
            ("active", 1)
        ]


@pytest.mark.parametrize("kept", [True, False])
async def test_the_late_copy_of_a_press_of_somebody_erased_is_forgotten(
    world: World, *, kept: bool
) -> None:
    notification_id = await notice(world) if kept else new_id()
    now, keys = world.clock.now(), (("phone", PHONE),)
    async with world.db.transaction() as session:
        for digest in sender_digests(KEY, "whatsapp", keys):
            session.add(ErasedIdentity(digest=digest, contact_id=new_id(), erased_at=now))

    await arrive(world, [press(notification_id, timestamp=now - timedelta(hours=1))])

    async with world.db.transaction() as session:
        (item,) = await session.scalars(select(WebhookItem))
        assert (item.raw, item.item) == ({}, {})
        assert await session.scalar(select(func.count()).select_from(RecipientAddress)) == 0


@pytest.mark.parametrize("phone", ["+5511999999999", None])
async def test_a_press_from_another_number_is_a_message_like_others(
    world: World, phone: str | None
) -> None:
    notification_id = await notice(world)
    before = await conversations(world)

    await arrive(world, [press(notification_id, phone=phone)])

    row = await world.notification(notification_id)
    assert (row.state, row.acknowledged_at) == ("sent", None)
    assert await conversations(world) == before + 1


async def test_the_press_of_a_notice_that_is_no_longer_kept_is_nobodys_message(
    world: World,
) -> None:
    before = await conversations(world)

    await arrive(world, [press(new_id())])

    assert await conversations(world) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"reply_id": "yes"},
        {"reply_id": None},
        {"reply_id": "ack:1"},
        {"kind": MessageKind.LIST_REPLY},
        {"kind": MessageKind.TEXT, "reply_id": None, "text": "ack"},
    ],
)
async def test_other_buttons_and_words_are_messages_of_a_conversation(
    world: World, changes: dict[str, object]
) -> None:
    notification_id = await notice(world)
    before = await conversations(world)

    await arrive(world, [press(notification_id, **changes)])

    assert await conversations(world) == before + 1


def status_of(notification_id: uuid.UUID) -> StatusUpdate:
    return StatusUpdate(
        channel="whatsapp",
        provider_id="wamid.1",
        account_id="1",
        status="delivered",
        timestamp=None,
        recipient=SenderIdentity(),
        raw={},
        callback_data=callback_data(notification_id),
    )


async def test_a_status_of_a_notice_is_applied_with_its_item(world: World) -> None:
    notification_id = await notice(world, state="unknown", provider_id=None)

    await arrive(world, [status_of(notification_id)])

    assert (await world.notification(notification_id)).state == "delivered"


@pytest.mark.parametrize("others", [0, 1])
async def test_a_status_that_could_not_be_applied_is_applied_later(
    world: World, others: int
) -> None:
    """Of a notice of unknown fate it is the only proof: without it the notice goes out twice."""
    notification_id = await notice(world, state="unknown", provider_id=None)
    more = [press(new_id(), number=9)] * others

    engine = await arrive(
        world, [status_of(notification_id), *more], by=Deaf(world.clock, world.give_up)
    )
    assert (await world.notification(notification_id)).state == "unknown"
    for _ in range(2):
        world.clock.advance(timedelta(seconds=10))
        await engine.sweep()

    assert (await world.notification(notification_id)).state == "delivered"
