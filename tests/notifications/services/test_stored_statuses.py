"""A status that is stored and not applied keeps a notice of unknown outcome from being repeated."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from kit.ids import new_id
from notifications.domain.jobs import JobName
from notifications.domain.retry import STATUS_WAIT
from notifications.services.ports import Accepted
from notifications.services.statuses import callback_data
from tests.notifications.conftest import FakeSender, World
from ticketing.db.tables import WebhookItem
from ticketing.domain.reception import LOOK_AGAIN
from ticketing.services.reception import ReceptionBeat
from ticketing.services.stored_statuses import MOST_TRIES, STATUS_PAUSE

WHATSAPP, SMS, EMAIL = JobName.SEND_WHATSAPP, JobName.SEND_SMS, JobName.SEND_EMAIL
NUMBER = "+5511912345678"


async def store(
    world: World, notification_id: uuid.UUID, job_name: JobName, **changes: Any
) -> None:
    """What the web process writes before it says 200."""
    by_whatsapp = job_name is WHATSAPP
    values: dict[str, Any] = {
        "id": new_id(),
        "channel": "whatsapp" if by_whatsapp else "twilio",
        "dedup_key": str(new_id()),
        "kind": "status",
        "raw": {} if by_whatsapp else {"named": str(notification_id)},
        "item": {"callback_data": callback_data(notification_id)} if by_whatsapp else {},
        "received_at": world.clock.now(),
        "correlation_id": "c-1",
        "attempts": 0,
    }
    await world.add(WebhookItem(**(values | changes)))


async def unknown(world: World, job_name: JobName, **changes: Any) -> uuid.UUID:
    return await world.make_notification(
        job_name, state="unknown", attempts=1, recipient=NUMBER, **changes
    )


@pytest.mark.parametrize("job_name", [WHATSAPP, SMS])
@pytest.mark.parametrize("guarantee", ["at-least-once", "at-most-once"])
async def test_a_stored_status_is_waited_for(
    world: World, fake_sender: type[FakeSender], job_name: Any, guarantee: Any
) -> None:
    notification_id = await unknown(world, job_name, guarantee=guarantee)
    await store(world, notification_id, job_name)
    sender = fake_sender()

    await world.deliverer(sender, job_name).deliver(notification_id, job_name)

    row = await world.notification(notification_id)
    assert sender.sent == []
    assert (row.state, row.attempts, row.deferrals, row.claimed_by) == ("unknown", 1, 1, None)
    assert row.next_attempt_at == world.clock.now() + STATUS_PAUSE


@pytest.mark.parametrize("lost_workers", [0, 1, 2])
async def test_also_of_those_whose_worker_died(
    world: World, fake_sender: type[FakeSender], lost_workers: Any
) -> None:
    notification_id = await unknown(world, WHATSAPP, lost_workers=lost_workers)
    await store(world, notification_id, WHATSAPP)
    sender = fake_sender()

    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)

    assert (sender.sent, (await world.notification(notification_id)).state) == ([], "unknown")


@pytest.mark.parametrize(
    "changes",
    [{"attempts": MOST_TRIES}, {"kind": "message"}, {"item": {}}],
    ids=["that nobody can apply", "of another kind", "about something else"],
)
async def test_what_is_stored_and_will_tell_nothing_is_not_waited_for(
    world: World, fake_sender: type[FakeSender], changes: Any
) -> None:
    notification_id = await unknown(world, WHATSAPP)
    await store(world, notification_id, WHATSAPP, **changes)
    sender = fake_sender()

    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)

    assert len(sender.sent) == 1


async def test_a_status_that_was_applied_is_not_waited_for(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await unknown(world, WHATSAPP)
    await store(world, notification_id, WHATSAPP, done_at=world.clock.now() - timedelta(seconds=1))
    sender = fake_sender()

    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)

    assert len(sender.sent) == 1


@pytest.mark.parametrize(
    ("job_name", "guarantee", "sends"),
    [(WHATSAPP, "at-least-once", 0), (SMS, "at-most-once", 0), (EMAIL, "at-least-once", 1)],
)
async def test_the_wait_for_a_status_counts_only_while_one_could_come(
    world: World, fake_sender: type[FakeSender], job_name: Any, guarantee: Any, sends: int
) -> None:
    await ReceptionBeat(world.db, world.clock).run()
    world.clock.advance(timedelta(minutes=1))  # the web process died meanwhile
    notification_id = await unknown(world, job_name, guarantee=guarantee)
    sender = fake_sender()

    await world.deliverer(sender, job_name).deliver(notification_id, job_name)

    row = await world.notification(notification_id)
    assert len(sender.sent) == sends
    if not sends:
        assert (row.state, row.attempts, row.claimed_by) == ("unknown", 1, None)
        assert row.next_attempt_at == world.clock.now() + LOOK_AGAIN


class Asked:
    """A provider that says it was sent."""

    async def look_up(self, outgoing: Any, *, now: Any) -> Accepted:
        return Accepted("SM1")


async def test_what_may_go_out_once_is_not_given_up_while_no_status_could_come(
    world: World, fake_sender: type[FakeSender]
) -> None:
    await ReceptionBeat(world.db, world.clock).run()  # a web process has just begun
    notification_id = await unknown(world, WHATSAPP, guarantee="at-most-once")
    sender = fake_sender()

    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)

    row = await world.notification(notification_id)
    assert (row.state, row.next_attempt_at) == ("unknown", world.clock.now() + STATUS_WAIT)


async def test_who_can_be_asked_is_asked_although_no_status_could_come(
    world: World, fake_sender: type[FakeSender]
) -> None:
    await ReceptionBeat(world.db, world.clock).run()
    notification_id = await unknown(world, SMS)
    sender = fake_sender()
    deliverer = world.deliverer(sender, SMS, reconcilers={SMS: Asked()})
    await deliverer.deliver(notification_id, SMS)

    assert ((await world.notification(notification_id)).state, sender.sent) == ("sent", [])
