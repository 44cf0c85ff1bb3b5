from __future__ import annotations

import asyncio
import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest

from channels.message import ProviderError, SenderIdentity, StatusUpdate
from notifications.domain.failure import FailureKind
from notifications.domain.jobs import JobName
from notifications.services.claims import Claims
from notifications.services.ports import Accepted
from notifications.services.statuses import apply_status, callback_data, notification_id_of
from tests.notifications.conftest import Failing, FakeSender, World

WHATSAPP = JobName.SEND_WHATSAPP


def update(status: Any, *, provider_id: Any = "wamid.1", code: Any = None) -> Any:
    return StatusUpdate(
        channel="whatsapp",
        provider_id=provider_id,
        account_id="1",
        status=status,
        timestamp=None,
        recipient=SenderIdentity(),
        raw={},
        errors=(ProviderError(code=code),) if code is not None else (),
    )


async def apply(world: World, notification_id: Any, status: Any, **options: Any) -> Any:
    async with world.db.transaction() as session:
        return await apply_status(
            session,
            callback_data(notification_id),
            update(status, **options),
            now=world.clock.now(),
            give_up=world.give_up,
        )


async def notice(world: World, **values: Any) -> Any:
    return await world.make_notification(WHATSAPP, recipient="+5511912345678", **values)


async def sent(world: World, *, form: Any = "text") -> Any:
    return await notice(
        world,
        state="sent",
        provider_id="wamid.1",
        attempts=1,
        next_attempt_at=None,
        context={"form": form, "ticket_number": 1},
    )


@pytest.mark.parametrize("order", list(itertools.permutations(["sent", "delivered", "read"])))
async def test_a_state_only_rises_whatever_the_order(world: World, order: Any) -> None:
    notification_id = await sent(world)

    for status in order:
        await apply(world, notification_id, status)

    assert (await world.notification(notification_id)).state == "read"


@pytest.mark.parametrize(("code", "state"), [(131000, "pending"), (131026, "failed")])
async def test_a_failure_that_came_before_sent_stays_and_delivered_ends_it(
    world: World, code: Any, state: Any
) -> None:
    notification_id = await sent(world)

    await apply(world, notification_id, "failed", code=code)
    await apply(world, notification_id, "sent")
    assert (await world.notification(notification_id)).state == state

    await apply(world, notification_id, "delivered")
    assert (await world.notification(notification_id)).state == "delivered"


@pytest.mark.parametrize("state", ["sending", "unknown", "pending"])
async def test_a_status_settles_what_nobody_knew(
    world: World, state: Any, fake_sender: type[FakeSender]
) -> None:
    notification_id = await notice(world, state=state, attempts=1)

    await apply(world, notification_id, "sent", provider_id="wamid.9")

    row = await world.notification(notification_id)
    assert (row.state, row.provider_id, row.next_attempt_at) == ("sent", "wamid.9", None)
    sender = fake_sender()
    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)
    assert sender.sent == []


async def test_a_status_before_the_answer_to_our_request_is_kept(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await notice(world)
    claims = Claims(world.db, world.give_up)
    (outgoing,) = await claims.take([notification_id], WHATSAPP, now=world.clock.now(), worker=None)
    await apply(world, notification_id, "delivered")
    deliverer = world.deliverer(fake_sender(), WHATSAPP)

    await deliverer.record(outgoing, WHATSAPP, Accepted("wamid.1", "text"))
    assert (await world.notification(notification_id)).state == "delivered"

    await deliverer.record(outgoing, WHATSAPP, failing(FailureKind.UNKNOWN, "x").failure)
    assert (await world.notification(notification_id)).state == "delivered"


async def test_a_closed_window_is_answered_by_a_template(world: World) -> None:
    notification_id = await sent(world)

    await apply(world, notification_id, "failed", code=131047)

    row = await world.notification(notification_id)
    assert (row.state, row.context["form"]) == ("pending", "template")
    assert row.next_attempt_at == world.clock.now()
    assert row.error["code"] == "131047"


async def test_a_repeated_failure_status_changes_nothing_more(world: World) -> None:
    notification_id = await sent(world)
    await apply(world, notification_id, "failed", code=131047)

    world.clock.advance(timedelta(seconds=1))
    await apply(world, notification_id, "failed", code=131047)

    row = await world.notification(notification_id)
    assert row.state == "pending"
    assert row.next_attempt_at == world.clock.now() - timedelta(seconds=1)


async def test_a_failure_of_an_older_message_does_not_touch_the_newer(world: World) -> None:
    notification_id = await sent(world)

    await apply(world, notification_id, "failed", code=131026, provider_id="wamid.0")

    assert (await world.notification(notification_id)).state == "sent"


async def test_a_template_that_fails_is_given_up_and_the_admin_gets_an_email(world: World) -> None:
    notification_id = await sent(world, form="template")

    await apply(world, notification_id, "failed", code=131047)

    failed, email = await world.notifications()
    assert (failed.id, failed.state, failed.error["code"]) == (notification_id, "failed", "131047")
    assert (email.event, email.recipient) == ("notification-failed", "chefe@example.com")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (131000, "pending"),
        (130429, "pending"),
        (190, "pending"),
        (131026, "failed"),
        (None, "failed"),
    ],
)
async def test_a_failure_is_retried_or_given_up_by_its_code(
    world: World, code: Any, state: Any
) -> None:
    notification_id = await sent(world)

    await apply(world, notification_id, "failed", code=code)

    assert (await world.notification(notification_id)).state == state


async def test_what_was_delivered_cannot_fail_any_more(world: World) -> None:
    notification_id = await sent(world)
    await apply(world, notification_id, "delivered")

    await apply(world, notification_id, "failed", code=131026)

    assert (await world.notification(notification_id)).state == "delivered"


async def test_an_unknown_word_is_passed_over(world: World) -> None:
    notification_id = await sent(world)

    assert await apply(world, notification_id, "teleported")

    assert (await world.notification(notification_id)).state == "sent"


async def test_two_statuses_at_once_end_at_the_higher(world: World) -> None:
    notification_id = await sent(world)

    await asyncio.gather(*(apply(world, notification_id, s) for s in ["read", "sent", "delivered"]))

    assert (await world.notification(notification_id)).state == "read"


@pytest.mark.parametrize("data", [None, "", "x", str(uuid.UUID(int=7)), "notification:x"])
async def test_callback_data_of_others_is_not_ours(world: World, data: Any) -> None:
    assert notification_id_of(data) is None
    async with world.db.transaction() as session:
        ours = await apply_status(
            session, data, update("sent"), now=world.clock.now(), give_up=world.give_up
        )
    assert ours is False


async def test_a_status_for_a_notice_that_is_gone_is_ours_and_harmless(world: World) -> None:
    assert await apply(world, uuid.uuid4(), "sent") is True
