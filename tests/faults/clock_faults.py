"""F12: the wall clock jumps. No alert early, none twice, and working time never falls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from handoff.business_hours import Calendar, working_time_between
from kit.clock import FakeClock
from kit.ids import new_id
from tests.faults.deaths import finished_after
from tests.faults.lab import Lab
from tests.faults.measured import Measured
from tests.faults.produce import Wanted, produce
from tests.faults.sizes import Sizes
from tests.ponte.waiting import wait_until
from tests.ticketing.desk import make_desk
from ticketing.db import tables
from ticketing.db.engine import Database, make_engine
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.services.sla_sweep import SlaSweep

STARTS = (
    datetime(2026, 3, 10, 13, 0, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # Lisbon sets its clocks back
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC),  # and forward
    datetime(2028, 2, 29, 23, 30, tzinfo=UTC),  # a leap day ends
)
WARN, DUE = timedelta(minutes=70), timedelta(minutes=100)
_HOURS = {day: ((time(8), time(12)), (time(22), time(2))) for day in range(7)}
LISBON = Calendar("lisbon", "Europe/Lisbon", _HOURS)


def jumping_clock(lab: Lab, sizes: Sizes) -> Measured:
    """F12."""
    result = Measured("F12", "the clock goes on and back by an hour; DST day, leap day")
    _processes_an_hour_ahead_and_back(lab, result, sizes)
    lab.alone()  # the monitor of a running scheduler would look at these clocks too
    examples = 100 if sizes.long else 10
    seen = asyncio.run(_alerts_under_jumps(lab.database_url, examples))
    result.must("SLA alerts: each once, none early", not seen, seen[:3] or f"{examples} stories")
    falls = _working_time_falls(2_000 if sizes.long else 200)
    result.must("working time never falls", not falls, falls or "by hypothesis")
    return result


def _processes_an_hour_ahead_and_back(lab: Lab, result: Measured, sizes: Sizes) -> None:
    """Retries wait; all processes live an hour later; then they are back in the present."""
    lab.begin()
    lab.behave({"do": "error", "status": 503, "share": 0.5, "first_only": True})
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some))
    wait_until(lambda: len(lab.calls()) >= sizes.some // 4, "some attempts", seconds=60)
    for program in (*lab.running("worker"), *lab.running("scheduler")):
        program.end()
    hour = {"PONTE_CLOCK_OFFSET_SECONDS": "3600"}
    ahead = [lab.start("scheduler", **hour), lab.start("worker", **hour)]
    lab.wait_ready(*ahead)
    lab.behave()
    finished_after(lab)()
    for program in ahead:
        program.end()
    lab.ensure()
    lab.accepted |= produce(lab.database_url, Wanted(sizes.some, first=500_000))
    finished_after(lab)()
    result.judge(lab.tally(), dup=0)


async def _alerts_under_jumps(url: str, examples: int) -> list[str]:
    """What went wrong in stories of a clock that jumps while the monitor looks again and again."""
    db = Database(make_engine(url))
    found: list[str] = []
    stories = []

    @settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(STARTS),
        st.lists(st.sampled_from((-60, -1, 1, 20, 60, 24 * 60)), min_size=3, max_size=8),
    )
    def draw(start: datetime, jumps: Sequence[int]) -> None:
        stories.append((start, list(jumps)))

    draw()
    try:
        clock = FakeClock(STARTS[0])
        desk = await make_desk(db, clock)
        for start, jumps in stories:
            clock.set(start)
            ticket_id = await desk.ticket()
            await _sla_clock(db, ticket_id, start)
            sweep = SlaSweep(db, clock, batch=200, cooldown=timedelta(minutes=15))
            latest = start
            for minutes in jumps:
                clock.advance(timedelta(minutes=minutes))
                latest = max(latest, clock.now())
                await sweep.run()
                await sweep.run()
            found += await _what_is_wrong(db, ticket_id, start, latest)
    finally:
        await db.close()
    return found


async def _sla_clock(db: Database, ticket_id: object, start: datetime) -> None:
    async with db.transaction() as session:
        await session.execute(
            update(tables.Ticket)
            .where(tables.Ticket.id == ticket_id)
            .values(sla_state="ok", sla_stale=False)
        )
        session.add(
            SlaClock(
                id=new_id(),
                ticket_id=ticket_id,
                metric="first_response",
                cycle=1,
                policy="standard@v1",
                calendar="always@v1",
                state="running",
                target_seconds=6000,
                consumed_seconds=0,
                started_at=start,
                warn_at=start + WARN,
                due_at=start + DUE,
                next_check_at=start + WARN,
                updated_at=start,
            )
        )


async def _what_is_wrong(
    db: Database, ticket_id: object, start: datetime, latest: datetime
) -> list[str]:
    async with db.transaction() as session:
        rows = (
            await session.scalars(select(SlaAlert).where(SlaAlert.ticket_id == ticket_id))
        ).all()
    seen = [row.threshold for row in rows]
    wrong = [f"{name} told {seen.count(name)} times" for name in set(seen) if seen.count(name) > 1]
    if "warning" in seen and latest < start + WARN:
        wrong.append("a warning before its time")
    if "breach" in seen and latest < start + DUE:
        wrong.append("a breach before its time")
    if latest >= start + DUE and "breach" not in seen:
        wrong.append("a breach that nobody noticed")
    return wrong


def _working_time_falls(examples: int) -> str:
    """A story in which later means less working time; empty when there is none."""

    @settings(max_examples=examples, database=None, derandomize=True, deadline=None)
    @given(
        st.sampled_from(STARTS),
        st.timedeltas(timedelta(), timedelta(days=3)),
        st.timedeltas(timedelta(), timedelta(days=3)),
    )
    def check(start: datetime, first: timedelta, more: timedelta) -> None:
        sooner = working_time_between(LISBON, start, start + first)
        assert sooner <= working_time_between(LISBON, start, start + first + more)
        assert sooner <= first

    try:
        check()
    except AssertionError as error:
        return str(error)[:200]
    return ""
