"""Requests that the server refuses to read to their end get a problem document too."""

from __future__ import annotations

from kit.clock import FakeClock
from tests.ticketing.api.whole_app import make_whole_app, serving
from tests.ticketing.desk import make_desk
from ticketing.db.engine import Database


async def test_an_address_longer_than_the_server_reads_is_a_problem_document(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)

    async with serving(make_whole_app(desk.deps)) as client:
        answer = await client.get("/api/v1/tickets", params={"q": "a" * 20_000})

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "too_large"
    assert "expected at most 8192 bytes" in problem["detail"]
