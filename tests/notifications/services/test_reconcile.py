"""The reconciler: every failed notice and every dead message of Dramatiq has an entry."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from kit.ids import new_id
from notifications.services.ports import QueueUnavailableError
from notifications.services.reconcile import DeadMessage, DlqReconciler, Reconciled
from tests.notifications.conftest import World
from tests.notifications.services.test_reprocess import Dlq
from ticketing.db.notification_tables import DeadLetter, Notification


class FakeDeadSet:
    def __init__(self, *messages: DeadMessage) -> None:
        self.found = list(messages)
        self.down = False

    async def messages(self) -> Sequence[DeadMessage]:
        if self.down:
            raise QueueUnavailableError
        return self.found


def message(name: str, body: Any) -> DeadMessage:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DeadMessage(name, "notifications", content)


def job(notice: object, actor: str = "send-email") -> dict[str, Any]:
    return {"actor_name": actor, "kwargs": {"notification_id": str(notice)}}


def reconciler(world: World, *messages: DeadMessage) -> DlqReconciler:
    return DlqReconciler(
        world.db, world.clock, FakeDeadSet(*messages), threshold=3, recipient_key="k"
    )


async def entries(world: World) -> dict[str, DeadLetter]:
    async with world.db.transaction() as session:
        found = await session.scalars(select(DeadLetter))
        return {row.broker_message_id or str(row.notification_id): row for row in found}


@pytest.mark.parametrize(
    ("body", "code", "job_name"),
    [
        (b"\xff not json", "unreadable", ""),
        (b"[]", "unreadable", ""),
        ({"actor_name": "send-fax", "kwargs": {}}, "invalid_job_name", "send-fax"),
        ({"actor_name": ["x"], "kwargs": {}}, "invalid_job_name", ""),
        ({"kwargs": {}}, "invalid_job_name", ""),
        ({"actor_name": "send-email"}, "invalid_payload", "send-email"),
        (job("not an id"), "invalid_payload", "send-email"),
        ({"actor_name": "send-sms", "kwargs": {"jobs": [[7]]}}, "invalid_payload", "send-sms"),
        (job(uuid.UUID(int=7)), "notice_gone", "send-email"),
        ({"actor_name": "a\x00b\ud800", "k\x00": 1}, "invalid_job_name", "ab\ufffd"),
    ],
)
async def test_a_dead_message_that_no_notice_stands_for_becomes_an_entry_once(
    world: World, body: Any, code: str, job_name: str
) -> None:
    dead = message("m1", body)
    assert await reconciler(world, dead).run() == Reconciled(messages=1)
    assert await reconciler(world, dead).run() == Reconciled()
    entry = (await entries(world))["m1"]
    assert (entry.reason, entry.error_code, entry.job_name) == ("invalid_job", code, job_name)
    assert (entry.origin_queue, len(entry.payload_hash)) == ("notifications", 64)


async def test_a_dead_message_of_a_notice_that_exists_needs_no_entry(world: World) -> None:
    notice = await world.make_notification()
    batch = {"actor_name": "send-email", "kwargs": {"version": 2, "jobs": [[str(notice), "c"]]}}
    found = await reconciler(world, message("m1", job(notice)), message("m2", batch)).run()
    assert found == Reconciled()
    assert await entries(world) == {}


async def test_a_batch_with_one_notice_that_is_gone_becomes_an_entry(world: World) -> None:
    notice = await world.make_notification()
    jobs = [[str(notice), "c"], [str(new_id()), "c"]]
    dead = message("m1", {"actor_name": "send-email", "kwargs": {"version": 2, "jobs": jobs}})
    assert (await reconciler(world, dead).run()).messages == 1


async def test_a_failed_notice_without_an_entry_gets_one(world: World) -> None:
    error = {"kind": "permanent", "code": "131026", "http_status": 400, "gave_up": "permanent"}
    notice = await world.make_notification(
        state="failed", error=error, finished_at=world.clock.now(), attempts=2
    )
    bare = await world.make_notification(state="failed", error=None)
    assert (await reconciler(world).run()).buried == 2
    found = await entries(world)
    entry = found[str(notice)]
    assert (entry.error_code, entry.http_status, entry.reason) == ("131026", 400, "permanent")
    assert entry.recipient_hash is not None
    assert found[str(bare)].error_code == "not_known"


@pytest.mark.parametrize(
    ("notice_state", "before", "after"),
    [
        ("sent", "dead", "recovered"),
        ("read", "reprocessing", "recovered"),
        ("delivered", "discarded", "recovered"),
        ("failed", "reprocessing", "dead"),
        ("failed", "discarded", "discarded"),
        ("dropped", "reprocessing", "discarded"),
        ("pending", "reprocessing", "reprocessing"),
    ],
)
async def test_an_entry_follows_its_notice(
    world: World, notice_state: str, before: str, after: str
) -> None:
    notice = await Dlq(world).kill()
    async with world.db.transaction() as session:
        (await session.get_one(Notification, notice)).state = notice_state
        (await session.scalars(select(DeadLetter))).one().state = before
    await reconciler(world).run()
    assert (await entries(world))[str(notice)].state == after


async def test_hashes_that_are_missing_are_filled_in(world: World) -> None:
    notice = await Dlq(world).kill()
    async with world.db.transaction() as session:
        (await session.scalars(select(DeadLetter))).one().recipient_hash = None
    await reconciler(world).run()
    assert (await entries(world))[str(notice)].recipient_hash is not None


async def test_without_redis_the_notices_are_compared_all_the_same(world: World) -> None:
    await world.make_notification(state="failed")
    found = reconciler(world)
    assert isinstance(found.dead_set, FakeDeadSet)
    found.dead_set.down = True
    assert (await found.run()).buried == 1


async def test_two_at_once_leave_nothing_twice_and_nothing_out(world: World) -> None:
    for _ in range(5):
        await world.make_notification(state="failed")
    dead = [message(f"m{number}", b"") for number in range(5)]
    first, second = await asyncio.gather(
        reconciler(world, *dead).run(), reconciler(world, *dead).run()
    )
    assert first.buried + second.buried == 5
    assert first.messages + second.messages == 5
    assert (await reconciler(world, *dead).run()) == Reconciled()
