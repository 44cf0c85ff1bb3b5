"""The customer's mark of a ticket: recorded, corrected for a day, told when it is low."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select

from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk
from ticketing.db.engine import Database
from ticketing.db.satisfaction_tables import TicketSatisfaction
from ticketing.db.tables import OutboxEvent
from ticketing.domain.ticket import Actor
from ticketing.services import satisfaction
from ticketing.services.satisfaction import Satisfaction, SatisfactionFinalError, ScoreError
from ticketing.services.ticket_work import TicketNotFoundError
from ticketing.services.visibility import NotVisibleError


@pytest_asyncio.fixture(loop_scope="session")
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


async def give(
    desk: Desk, actor: Actor, ticket_id: uuid.UUID, score: int, comment: str | None = None
) -> Satisfaction:
    async with desk.db.transaction() as session:
        return await satisfaction.record(
            session,
            ticket_id,
            score,
            comment,
            actor=actor,
            now=desk.clock.now(),
            correlation_id="c-1",
        )


async def told(desk: Desk) -> list[int]:
    async with desk.db.transaction() as session:
        events = await session.scalars(
            select(OutboxEvent).where(OutboxEvent.topic == "csat.low").order_by(OutboxEvent.id)
        )
        return [event.payload["score"] for event in events]


@pytest.mark.parametrize(("score", "low"), [(1, True), (2, True), (3, False), (5, False)])
async def test_a_low_mark_is_told(desk: Desk, score: int, low: bool) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    ticket_id = await desk.ticket()

    done = await give(desk, ana, ticket_id, score, "Demorou")

    assert (done.score, done.comment, done.repeated) == (score, "Demorou", False)
    assert await told(desk) == ([score] if low else [])


async def test_the_event_says_all_that_a_ticket_event_says(desk: Desk) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    ticket_id = await desk.ticket()
    await give(desk, ana, ticket_id, 1, "péssimo")
    async with desk.db.transaction() as session:
        event = await session.scalar(select(OutboxEvent).where(OutboxEvent.topic == "csat.low"))

    assert event is not None
    assert event.payload["ticket_id"] == str(ticket_id)
    assert event.payload["queue_key"] == "n1_support"
    assert "péssimo" not in str(event.payload)


async def test_the_same_mark_again_changes_nothing(desk: Desk, clock: FakeClock) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    ticket_id = await desk.ticket()
    await give(desk, ana, ticket_id, 1)
    clock.advance(timedelta(days=3))

    assert (await give(desk, ana, ticket_id, 1)).repeated
    assert await told(desk) == [1]


async def test_it_can_be_corrected_for_a_day(desk: Desk, clock: FakeClock) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    ticket_id = await desk.ticket()
    for score in (5, 2, 1, 4, 2):
        await give(desk, ana, ticket_id, score)
    assert await told(desk) == [2, 2]  # each time it became low
    clock.advance(timedelta(hours=24))
    await give(desk, ana, ticket_id, 3)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(SatisfactionFinalError, match="within 24 hours"):
        await give(desk, ana, ticket_id, 4)


async def test_two_at_once_make_one_mark(desk: Desk) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    ticket_id = await desk.ticket()

    done = await asyncio.gather(*(give(desk, ana, ticket_id, 1) for _ in range(5)))

    assert sorted(one.repeated for one in done) == [False, True, True, True, True]
    assert await told(desk) == [1]
    async with desk.db.transaction() as session:
        assert len(list(await session.scalars(select(TicketSatisfaction)))) == 1


@pytest.mark.parametrize("score", [0, 6, -1])
async def test_a_score_out_of_range_is_refused(desk: Desk, score: int) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    with pytest.raises(ScoreError, match="expected a number from 1 to 5"):
        await give(desk, ana, await desk.ticket(), score)


async def test_only_who_sees_the_ticket_records_it(desk: Desk) -> None:
    rui = await desk.agent("rui", queues=("n2_billing",))
    with pytest.raises(NotVisibleError):
        await give(desk, rui, await desk.ticket(), 1)
    with pytest.raises(TicketNotFoundError):
        await give(desk, rui, uuid.uuid4(), 1)
    assert await told(desk) == []
