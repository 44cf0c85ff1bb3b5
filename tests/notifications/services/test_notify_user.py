"""The job notify-user: one job, a notice on every channel that reaches the user, each once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import time, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from kit.ids import new_id
from notifications.domain.contract import parse_job
from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import Channel, JobName
from notifications.domain.occasions import PolicyEvent
from notifications.domain.policies import Audience, Route
from notifications.policy_file import load_policies
from notifications.senders.user import UserSender
from notifications.services.addresses import opt_out
from notifications.services.ports import Accepted, Outgoing
from notifications.services.preferences import Wishes, add_device, save_preferences
from notifications.services.production import produce
from notifications.services.recipients import AdminContact
from notifications.services.sweep import sweep
from tests.notifications.conftest import ADMIN, ADMIN_EMAIL, ADMIN_PHONE, FakeSender, World
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, Notification

PHONE = "+5521987654321"
TOKEN = "dGhpcyBpcyBhbiBleGFtcGxl:APA91b"
WORDS = {"source": "import", "title": {"pt": "Pronto", "en": "Done"}, "link": "/console/tickets"}


def sender(
    world: World,
    *,
    admin: AdminContact = ADMIN,
    channels: Collection[Channel] = frozenset(Channel),
    db: Database | None = None,
) -> UserSender:
    return UserSender(db or world.db, load_policies(), admin, channels)


async def reachable(world: World, **wishes: Any) -> Agent:
    """An agent with an address on every channel."""
    agent = await world.make_agent("ana@example.com")
    values = {"phone": PHONE, "channels": {}, "quiet_from": None, "quiet_to": None} | wishes
    async with world.db.transaction() as session:
        now = world.clock.now()
        await save_preferences(session, agent.id, Wishes(**values), now=now)
        await add_device(session, agent.id, token=TOKEN, name="Chrome", now=now)
    return agent


async def job(world: World, user: str = "ana@example.com", **changes: Any) -> uuid.UUID:
    context = {**WORDS, "user": user} | changes.pop("context", {})
    values = {"event": "user-notice", "recipient": user, "context": context, "ticket_id": None}
    return await world.make_notification(JobName.NOTIFY_USER, **(values | changes))


async def deliver(world: World, notice: uuid.UUID, by: UserSender | None = None) -> None:
    await world.deliverer(by or sender(world), JobName.NOTIFY_USER).deliver(
        notice, JobName.NOTIFY_USER
    )


async def made(world: World) -> list[Notification]:
    rows = await world.notifications()
    return [
        row
        for row in rows
        if row.job_name != JobName.NOTIFY_USER.value and row.event != "notification-failed"
    ]


async def addresses(world: World) -> set[tuple[str, str]]:
    return {(row.job_name, row.recipient) for row in await made(world)}


EVERYWHERE = {
    ("send-email", "ana@example.com"),
    ("send-whatsapp", PHONE),
    ("send-push", TOKEN),
}


async def test_a_user_is_told_on_every_channel_of_the_event_that_reaches_them(
    world: World,
) -> None:
    await reachable(world)
    notice = await job(world)

    await deliver(world, notice)

    assert await addresses(world) == EVERYWHERE
    for row in await made(world):
        assert row.event == "user-notice"
        assert row.context == WORDS | {"nobody_on_duty": False}
        assert row.expires_at == world.clock.now() + timedelta(days=3)
        assert (row.state, row.correlation_id, row.enqueued_at) == ("pending", "c-1", None)
    parent = await world.notification(notice)
    assert (parent.state, parent.provider_id, parent.error) == ("sent", None, None)


async def test_a_repeat_makes_none(world: World) -> None:
    await reachable(world)
    notice = await job(world)
    claimed = outgoing(world, notice)

    for _ in range(2):
        assert await sender(world).send(claimed, now=world.clock.now()) == Accepted(None)
    await asyncio.gather(*(sender(world).send(claimed, now=world.clock.now()) for _ in range(3)))
    await deliver(world, notice)

    assert len(await made(world)) == len(EVERYWHERE)


def outgoing(world: World, notice: uuid.UUID, **changes: Any) -> Outgoing:
    values: dict[str, Any] = {
        "notification_id": notice,
        "attempt": 1,
        "recipient": "ana@example.com",
        "language": "pt",
        "event": "user-notice",
        "context": {**WORDS, "user": "ana@example.com"},
        "created_at": world.clock.now(),
        "correlation_id": "c-1",
    }
    return Outgoing(**(values | changes))


@pytest.mark.parametrize("by", ["id", "email", "admin"])
async def test_a_user_is_named_by_id_by_email_or_as_the_admin(world: World, by: str) -> None:
    agent = await reachable(world)
    user = {"id": str(agent.id), "email": "ANA@example.com", "admin": "admin"}[by]

    await deliver(world, await job(world, user), sender(world, admin=AdminContact(str(agent.id))))

    assert await addresses(world) == EVERYWHERE


async def test_an_admin_who_is_no_agent_is_told_by_what_the_settings_name(world: World) -> None:
    await deliver(world, await job(world, "admin"))

    assert await addresses(world) == {
        ("send-email", ADMIN_EMAIL),
        ("send-whatsapp", ADMIN_PHONE),
    }


async def test_the_user_comes_from_the_recipient_where_the_context_has_none(world: World) -> None:
    await reachable(world)

    await deliver(world, await job(world, context={"user": None}))

    assert await addresses(world) == EVERYWHERE


async def test_another_event_has_its_own_channels_and_urgency_and_nobody_stands_in(
    world: World,
) -> None:
    """Its agents on duty are not told: the job is for one user."""
    await world.make_agent("bia@example.com")
    await reachable(world)

    await deliver(world, await job(world, context={"event": "ticket-escalation"}))

    assert await addresses(world) == EVERYWHERE | {("send-sms", PHONE)}
    assert all(row.urgent and not row.context["nobody_on_duty"] for row in await made(world))
    assert all(
        "event" not in row.context and "user" not in row.context for row in await made(world)
    )


async def test_the_ticket_of_the_context_is_that_of_the_notices(world: World) -> None:
    await reachable(world)
    ticket = await world.make_ticket()

    await deliver(world, await job(world, context={"ticket_id": str(ticket.id)}))
    await deliver(world, await job(world, context={"ticket_id": str(new_id())}))

    assert {row.ticket_id for row in await made(world)} == {ticket.id, None}


async def test_wishes_and_quiet_hours_of_the_user_hold(world: World) -> None:
    world.clock.advance(timedelta(hours=14))  # midnight in São Paulo
    await reachable(
        world,
        channels={"user-notice": ["email"]},
        quiet_from=time(22),
        quiet_to=time(7),
    )

    await deliver(world, await job(world))

    (row,) = await made(world)
    assert row.recipient == "ana@example.com"
    assert row.next_attempt_at is not None
    assert row.next_attempt_at > world.clock.now()


async def test_an_address_that_said_no_is_left_out(world: World) -> None:
    await reachable(world)
    async with world.db.transaction() as session:
        await opt_out(session, Channel.WHATSAPP, PHONE, code="131050", now=world.clock.now())

    await deliver(world, await job(world))

    assert await addresses(world) == EVERYWHERE - {("send-whatsapp", PHONE)}


async def test_the_other_way_of_a_route_takes_the_place_of_an_address_that_said_no(
    world: World,
) -> None:
    await reachable(world)
    async with world.db.transaction() as session:
        await opt_out(session, Channel.WHATSAPP, PHONE, code="131050", now=world.clock.now())
    routes = (
        Route(Audience.HOLDER, Channel.WHATSAPP, Channel.SMS),
        Route(Audience.ADMIN, Channel.WHATSAPP),
    )
    policies = load_policies()
    policies[PolicyEvent.USER_NOTICE] = replace(policies[PolicyEvent.USER_NOTICE], routes=routes)

    await deliver(world, await job(world), replace(sender(world), policies=policies))

    assert await addresses(world) == {("send-sms", PHONE)}


async def test_an_urgent_event_reaches_also_who_turned_it_off(world: World) -> None:
    await reachable(world, channels={"breaker-alert": []})

    await deliver(world, await job(world, event="breaker-alert"))

    assert await addresses(world) == EVERYWHERE | {("send-sms", PHONE)}


async def test_a_channel_without_an_account_is_left_out(world: World) -> None:
    await reachable(world)

    await deliver(world, await job(world), sender(world, channels={Channel.PUSH}))

    assert await addresses(world) == {("send-push", TOKEN)}


Prepare = Callable[[World], Any]


async def _nothing(world: World) -> None:
    return None


async def _shut_out(world: World) -> None:
    await world.make_agent("ana@example.com", active=False)


async def _mail_turned_off(world: World) -> None:
    await reachable(world, channels={"user-notice": []})


async def _said_no(world: World) -> None:
    await world.make_agent("ana@example.com")
    async with world.db.transaction() as session:
        now = world.clock.now()
        await opt_out(session, Channel.EMAIL, "ana@example.com", code="x", now=now)


@pytest.mark.parametrize(
    ("prepare", "changes", "code"),
    [
        (_nothing, {}, "no_recipient"),
        (_shut_out, {}, "no_recipient"),
        (_nothing, {"context": {"user": str(uuid.UUID(int=7))}}, "no_recipient"),
        (_nothing, {"context": {"user": ""}, "recipient": ""}, "invalid_job"),
        (_nothing, {"context": {"user": ["ana@example.com"]}}, "invalid_job"),
        (reachable, {"context": {"event": "ticket-teleported"}}, "invalid_job"),
        (reachable, {"event": "ticket-teleported"}, "invalid_job"),
        (_mail_turned_off, {}, "turned_off"),
        (_said_no, {}, "opted_out"),
    ],
)
async def test_a_job_that_reaches_nobody_is_a_dead_letter_with_its_reason(
    world: World, prepare: Prepare, changes: dict[str, Any], code: str
) -> None:
    await prepare(world)
    notice = await job(world, **changes)

    await deliver(world, notice)

    row = await world.notification(notice)
    assert row.error is not None
    assert (row.state, row.error["code"], row.error["gave_up"]) == ("failed", code, "permanent")
    assert await made(world) == []


async def test_without_an_admin_or_a_channel_nobody_is_there(world: World) -> None:
    await reachable(world)
    for user, by in (
        ("admin", sender(world, admin=AdminContact())),
        ("ana@example.com", sender(world, channels=())),
        ("ana@example.com", sender(world, channels={Channel.SMS})),  # the event has no SMS
    ):
        notice = await job(world, user)
        await deliver(world, notice, by)
        error = (await world.notification(notice)).error
        assert error is not None
        assert error["code"] == "no_recipient"


async def test_a_job_that_died_is_expanded_when_it_is_sent_again(world: World) -> None:
    """An operator mends the cause and reprocesses: the same job, and then its notices."""
    notice = await job(world)
    await deliver(world, notice)
    await reachable(world)
    async with world.db.transaction() as session:
        row = await session.get_one(Notification, notice)
        row.state, row.attempts, row.reprocess_count = "pending", 0, 1
        row.next_attempt_at = world.clock.now()

    await deliver(world, notice)

    assert await addresses(world) == EVERYWHERE
    assert (await world.notification(notice)).state == "sent"


async def test_a_database_that_is_away_is_tried_again(world: World) -> None:
    away = Database(create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))

    with pytest.raises(SendFailedError) as failed:
        await sender(world, db=away).send(outgoing(world, new_id()), now=world.clock.now())

    failure: Failure = failed.value.failure
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "database")
    await away.close()


async def test_from_the_producer_to_the_mail(world: World) -> None:
    """What was taken is found by the sweep, expanded, found again, and sent."""
    await world.make_agent("ana@example.com")
    async with world.db.transaction() as session:
        taken = await produce(
            session,
            parse_job(
                {
                    "job_name": "notify-user",
                    "user": "ana@example.com",
                    "context": WORDS,
                    "correlation_id": "c-1",
                    "idempotency_key": "k-1",
                }
            ),
            producer="agent:1",
            policies=load_policies(),
            channels=frozenset(Channel),
            now=world.clock.now(),
        )
    mail = FakeSender()
    senders = {JobName.NOTIFY_USER: sender(world), JobName.SEND_EMAIL: mail}
    deliverer = world.deliverer(mail, senders=senders)
    for _ in range(2):
        world.queue.jobs.clear()
        await sweep(world.db, world.queue, now=world.clock.now())
        for one in world.queue.jobs:
            await deliverer.deliver(one.notification_id, JobName(one.job_name))

    (sent,) = mail.sent
    assert (sent.recipient, sent.context["title"]) == ("ana@example.com", WORDS["title"])
    assert (await world.notification(taken.id)).state == "sent"
    assert [row.state for row in await made(world)] == ["sent"]
