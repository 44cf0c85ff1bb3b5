"""Dead letters as rows: made once, redacted, closed when the notice arrives after all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from notifications.domain.dead_letters import recipient_hash
from notifications.domain.failure import Failure, FailureKind
from notifications.services.dead_letters import bury, hash_of, recovered, validity_problem
from tests.notifications.conftest import World
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeadLetterState

REFUSED = Failure(FailureKind.PERMANENT, "550", http_status=None, detail="<ana@example.com> no")


async def entries(world: World) -> list[DeadLetter]:
    async with world.db.transaction() as session:
        return list(await session.scalars(select(DeadLetter).order_by(DeadLetter.failed_at)))


async def give_up(world: World, notification_id: Any, **changes: Any) -> None:
    async with world.db.transaction() as session:
        row = await session.get_one(Notification, notification_id, with_for_update=True)
        for name, value in changes.items():
            setattr(row, name, value)
        await world.give_up.give_up(
            session, row, REFUSED, reason="permanent", now=world.clock.now()
        )


async def test_a_notice_that_is_given_up_is_a_dead_letter_with_its_reason(world: World) -> None:
    notice = await world.make_notification(
        context={"ticket_number": 7, "text": "Maria ligou", "priority": "high"},
        attempts=3,
        urgent=True,
    )
    await give_up(world, notice)
    (entry,) = await entries(world)
    row = await world.notification(notice)
    assert (entry.state, entry.reason, entry.error_code) == ("dead", "permanent", "550")
    assert (entry.job_name, entry.origin_queue) == ("send-email", "notifications-urgent")
    assert (entry.attempts, entry.failed_at) == (3, world.clock.now())
    assert entry.payload_hash == hash_of(row)
    assert entry.payload["context"] == {"ticket_number": 7, "priority": "high"}
    assert entry.payload["hidden"] == ["text"]
    stored = f"{entry.payload} {entry.detail} {entry.recipient_hash}"
    assert "Maria" not in stored
    assert "ana@" not in stored


async def test_the_recipient_is_stored_as_a_keyed_hash(world: World) -> None:
    notice = await world.make_notification()
    async with world.db.transaction() as session:
        row = await session.get_one(Notification, notice)
        entry = await bury(
            session,
            row,
            REFUSED,
            reason="permanent",
            origin_queue="notifications",
            now=world.clock.now(),
            recipient_key="server secret",
        )
        assert entry.recipient_hash == recipient_hash("server secret", row.recipient)


async def test_a_notice_has_one_entry_that_dies_again(world: World) -> None:
    notice = await world.make_notification()
    await give_up(world, notice)
    first = (await entries(world))[0]
    world.clock.advance(timedelta(hours=1))
    await give_up(world, notice, attempts=5, reprocess_count=1)
    (entry,) = await entries(world)
    assert (entry.id, entry.attempts, entry.reprocess_count) == (first.id, 5, 1)
    assert entry.first_failed_at == first.failed_at
    assert entry.failed_at == world.clock.now()


async def test_the_admin_is_told_once_in_each_life_and_not_by_the_way_that_failed(
    world: World,
) -> None:
    notice = await world.make_notification(recipient="chefe@example.com")
    await give_up(world, notice)
    await give_up(world, notice)
    told = [row for row in await world.notifications() if row.event == "notification-failed"]
    assert [row.job_name for row in told] == ["send-whatsapp"]
    await give_up(world, notice, reprocess_count=1)
    told = [row for row in await world.notifications() if row.event == "notification-failed"]
    assert len(told) == 2


async def test_the_failure_of_a_notice_about_a_failure_makes_no_further_one(world: World) -> None:
    notice = await world.make_notification(event="notification-failed")
    await give_up(world, notice)
    assert len(await world.notifications()) == 1
    assert len(await entries(world)) == 1


async def test_an_entry_that_an_operator_discarded_stays_discarded(world: World) -> None:
    notice = await world.make_notification()
    await give_up(world, notice)
    async with world.db.transaction() as session:
        entry = (await session.scalars(select(DeadLetter))).one()
        entry.state = DeadLetterState.DISCARDED.value
    await give_up(world, notice)
    (entry,) = await entries(world)
    assert entry.state == "discarded"


@pytest.mark.parametrize("state", ["dead", "reprocessing", "discarded"])
async def test_a_notice_that_arrives_after_all_closes_its_entry(world: World, state: str) -> None:
    notice = await world.make_notification()
    other = await world.make_notification()
    await give_up(world, notice)
    async with world.db.transaction() as session:
        (await session.scalars(select(DeadLetter))).one().state = state
    async with world.db.transaction() as session:
        await recovered(session, [notice, other], now=world.clock.now())
        await recovered(session, [], now=world.clock.now())
    (entry,) = await entries(world)
    assert (entry.state, entry.closed_at) == ("recovered", world.clock.now())


async def test_an_unknown_event_or_an_empty_recipient_is_not_sent_again(world: World) -> None:
    row = await world.notification(await world.make_notification(event="ticket-teleported"))
    problem = validity_problem(row)
    assert problem is not None
    assert "ticket-opened" in problem
    row = await world.notification(await world.make_notification(recipient=""))
    assert validity_problem(row) == "recipient: is empty; expected an address"
