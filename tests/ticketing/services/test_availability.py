from __future__ import annotations

from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import update

from kit.clock import FakeClock
from tests.ticketing.desk import QUEUES, Desk, make_desk
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, Ticket
from ticketing.domain.ticket import SYSTEM
from ticketing.services.availability import KEPT_FOR, Availability, agents_available
from ticketing.services.shifts import set_shifts

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


async def counted(desk: Desk, *, capacity: int = 2) -> dict[str, int]:
    async with desk.db.transaction() as session:
        return await agents_available(session, capacity=capacity, now=desk.clock.now())


async def change(desk: Desk, name: str, **values: object) -> None:
    async with desk.db.transaction() as session:
        await session.execute(update(Agent).where(Agent.id == desk.people[name]).values(**values))


async def test_nothing_is_known_while_nobody_has_an_account(desk: Desk) -> None:
    assert await counted(desk) == {}


async def test_an_agent_counts_for_the_own_queues_and_one_without_for_all(desk: Desk) -> None:
    await desk.agent("ana", queues=("n1_support",))
    await desk.agent("rui")

    assert await counted(desk) == {key: 2 if key == "n1_support" else 1 for key in QUEUES}


@pytest.mark.parametrize("values", [{"on_duty": False}, {"active": False}])
async def test_who_is_not_on_duty_or_disabled_does_not_count(
    desk: Desk, values: dict[str, object]
) -> None:
    await desk.agent("ana")
    await desk.agent("rui", queues=("n3_risk",))
    await change(desk, "ana", **values)

    assert await counted(desk) == {key: int(key == "n3_risk") for key in QUEUES}


async def test_who_has_no_room_for_another_ticket_does_not_count(desk: Desk) -> None:
    await desk.agent("ana")
    tickets = [await desk.ticket(name=f"Cliente {number}") for number in range(2)]
    async with desk.db.transaction() as session:
        await session.execute(update(Ticket).values(agent_id=desk.people["ana"], status="open"))

    assert set((await counted(desk, capacity=2)).values()) == {0}
    assert set((await counted(desk, capacity=3)).values()) == {1}

    async with desk.db.transaction() as session:
        await session.execute(
            update(Ticket).where(Ticket.id == tickets[0]).values(status="pending_customer")
        )
    assert set((await counted(desk, capacity=2)).values()) == {1}


async def test_it_is_asked_again_after_a_while_only(desk: Desk) -> None:
    kept = Availability(desk.db, desk.clock, capacity=2)
    await desk.agent("ana")
    assert set((await kept.by_queue()).values()) == {1}
    await change(desk, "ana", on_duty=False)

    assert set((await kept.by_queue()).values()) == {1}
    desk.clock.advance(KEPT_FOR - timedelta(milliseconds=1))
    assert set((await kept.by_queue()).values()) == {1}
    desk.clock.advance(timedelta(milliseconds=1))
    assert set((await kept.by_queue()).values()) == {0}


async def test_who_has_a_number_of_their_own_is_counted_by_it(desk: Desk) -> None:
    await desk.agent("ana")
    await change(desk, "ana", capacity=1)
    await desk.ticket()
    async with desk.db.transaction() as session:
        await session.execute(update(Ticket).values(agent_id=desk.people["ana"], status="open"))

    assert await counted(desk) == dict.fromkeys(QUEUES, 0)


async def test_who_has_shifts_counts_in_them_only(desk: Desk) -> None:
    await desk.agent("ana")
    async with desk.db.transaction() as session:
        await set_shifts(
            session,
            desk.people["ana"],
            time_zone="America/Sao_Paulo",
            weekly={"tue": ["08:00-10:30"]},  # the clock starts on a Tuesday at 10:00 there
            days_off=(),
            actor=SYSTEM,
            now=desk.clock.now(),
        )
    assert await counted(desk) == dict.fromkeys(QUEUES, 1)
    desk.clock.advance(timedelta(minutes=30))
    assert await counted(desk) == dict.fromkeys(QUEUES, 0)
