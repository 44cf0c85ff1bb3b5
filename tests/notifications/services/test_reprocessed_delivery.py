"""A reprocessed notice on its way: the deliverer, the statuses and the entry together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import JobName
from notifications.services.deliver import Deliverer
from notifications.services.ports import Accepted, Outgoing
from tests.notifications.conftest import FakeSender, World
from tests.notifications.services.test_reprocess import Dlq
from ticketing.db.notification_tables import DeadLetter

REFUSED = SendFailedError(Failure(FailureKind.PERMANENT, "550", detail="no such mailbox"))


@pytest.fixture
def dlq(world: World) -> Dlq:
    return Dlq(world)


async def states(world: World) -> tuple[str, str]:
    """Of the notice and of its entry."""
    async with world.db.transaction() as session:
        entry = (await session.scalars(select(DeadLetter))).one()
    notice = await world.notification(entry.notification_id)  # type: ignore[arg-type]
    return notice.state, entry.state


async def test_it_is_sent_with_the_same_identity_and_its_entry_is_recovered(
    dlq: Dlq, world: World
) -> None:
    sender = FakeSender(REFUSED)
    deliverer = world.deliverer(sender)
    notice = await world.make_notification()
    await deliverer.deliver(notice, JobName.SEND_EMAIL)
    assert await states(world) == ("failed", "dead")
    await dlq.reprocess()
    assert await states(world) == ("pending", "reprocessing")
    await deliverer.deliver(notice, JobName.SEND_EMAIL)
    assert await states(world) == ("sent", "recovered")
    first, second = sender.sent
    assert first.notification_id == second.notification_id
    assert (first.life, second.life) == (0, 1)


async def test_one_that_dies_again_is_dead_again_with_its_new_error(dlq: Dlq, world: World) -> None:
    second = SendFailedError(Failure(FailureKind.PERMANENT, "552"))
    deliverer = world.deliverer(FakeSender(REFUSED, second))
    notice = await world.make_notification()
    await deliverer.deliver(notice, JobName.SEND_EMAIL)
    await dlq.reprocess()
    await deliverer.deliver(notice, JobName.SEND_EMAIL)
    entry = await dlq.entry(notice)
    assert (entry.state, entry.error_code, entry.reprocess_count) == ("dead", "552", 1)


class Slow:
    """Answers only after the notice has died, was reprocessed and claimed by another worker."""

    def __init__(self, answer: Accepted | SendFailedError, meanwhile: Any) -> None:
        self.answer = answer
        self.meanwhile = meanwhile

    async def send(self, outgoing: Outgoing, *, now: Any) -> Accepted:
        await self.meanwhile()
        if isinstance(self.answer, SendFailedError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(REFUSED, ("pending", "reprocessing")), (Accepted("late"), ("sent", "recovered"))],
)
async def test_a_late_result_of_the_life_before_counts_only_when_it_is_a_success(
    dlq: Dlq, world: World, answer: Accepted | SendFailedError, expected: tuple[str, str]
) -> None:
    notice = await world.make_notification()

    async def meanwhile() -> None:
        await dlq.kill_again(notice, reason="poison")
        assert (await dlq.reprocess()).done == 1

    deliverer: Deliverer = world.deliverer(Slow(answer, meanwhile))
    await deliverer.deliver(notice, JobName.SEND_EMAIL)
    assert await states(world) == expected


async def test_it_waits_for_its_turn(dlq: Dlq, world: World) -> None:
    sender = FakeSender()
    notices = []
    for _ in range(2):
        notices.append(await dlq.kill())
        world.clock.advance(timedelta(seconds=1))
    await dlq.reprocess(rate=0.1)
    deliverer = world.deliverer(sender)
    for notice in notices:
        await deliverer.deliver(notice, JobName.SEND_EMAIL)
    assert [one.notification_id for one in sender.sent] == notices[:1]
    world.clock.advance(timedelta(seconds=10))
    await deliverer.deliver(notices[1], JobName.SEND_EMAIL)
    assert len(sender.sent) == 2


async def test_one_that_must_not_come_twice_is_sent_when_the_operator_says_so(
    dlq: Dlq, world: World
) -> None:
    error = {"kind": "unknown", "code": "deadline", "gave_up": "unknown_outcome"}
    notice = await dlq.kill(reason="unknown_outcome", guarantee="at-most-once", error=error)
    assert (await dlq.reprocess(even_unknown=True)).done == 1
    sender = FakeSender()
    await world.deliverer(sender).deliver(notice, JobName.SEND_EMAIL)
    assert len(sender.sent) == 1
    assert await states(world) == ("sent", "recovered")
