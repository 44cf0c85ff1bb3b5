"""The fixtures every other test stands on."""

from __future__ import annotations

from redis import Redis
from sqlalchemy import func, select

from kit.clock import FakeClock
from ticketing.db.engine import Database
from ticketing.db.tables import Team


async def test_a_row_of_this_test_is_stored(db: Database) -> None:
    async with db.transaction() as session:
        session.add(Team(name="N1"))
    async with db.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Team)) == 1


async def test_the_row_of_the_test_before_is_gone(db: Database) -> None:
    async with db.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Team)) == 0


def test_redis_is_empty_at_the_start_of_a_test(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_empty_again(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_the_clock_stands_on_a_business_day(clock: FakeClock) -> None:
    assert clock.now().isoformat() == "2026-03-10T13:00:00+00:00"
