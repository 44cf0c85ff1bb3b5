from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk, order
from tests.ticketing.sla_desk import clock_rows, make_rules, sla_in_force
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.sla_tables import SlaRulePeriod
from ticketing.domain.enums import SlaMetric
from ticketing.domain.sla.rules import SlaRules
from ticketing.services import sla_periods
from ticketing.services.sla_repair import SlaRepair, repair

HOUR = timedelta(hours=1)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> AsyncIterator[Desk]:
    made = await make_desk(db, clock)
    with sla_in_force(db):
        yield made


def with_first_response(rules: SlaRules, duration: timedelta) -> SlaRules:
    """The rules with another promise for every first response."""
    policy = rules.policies[0]
    target = policy.targets[SlaMetric.FIRST_RESPONSE]
    changed = replace(target, durations=dict.fromkeys(target.durations, duration))
    targets = {**policy.targets, SlaMetric.FIRST_RESPONSE: changed}
    return replace(rules, version="other", policies=(replace(policy, targets=targets),))


async def test_a_ticket_that_nobody_followed_is_followed_by_the_repair(desk: Desk) -> None:
    ticket_id = await desk.ticket()
    assert (await desk.row(ticket_id)).sla_stale
    assert await repair(desk.db, now=desk.clock.now()) == (1, None)
    assert ("first_response", 1) in await clock_rows(desk.db, ticket_id)
    assert await repair(desk.db, now=desk.clock.now()) == (0, None)


async def test_tickets_that_cannot_be_followed_do_not_stop_the_others(desk: Desk) -> None:
    tickets = [await desk.ticket() for _ in range(3)]
    repairs = SlaRepair(desk.db, desk.clock, batch=1)
    async with desk.db.transaction() as session:
        # An event that no release writes: the history of this ticket cannot be read.
        session.add(
            tables.TicketEvent(
                ticket_id=min(tickets),
                kind="status_changed",
                actor="system",
                data={"to_status": "no such status"},
                at=desk.clock.now(),
                correlation_id="c0ffee",
            )
        )
    assert [await repairs.run() for _ in range(4)] == [0, 1, 1, 0]
    left = [await desk.row(ticket_id) for ticket_id in tickets]
    assert [row.id for row in left if row.sla_stale] == [min(tickets)]


async def test_new_rules_reach_every_open_ticket_and_keep_the_time_that_was_used(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    async with desk.db.transaction() as session:
        await sla_periods.put_in_force(session, make_rules(), now=desk.clock.now())
    await desk.service.take(order(ana, ticket_id))
    desk.clock.advance(HOUR)
    async with desk.db.transaction() as session:
        rules = with_first_response(make_rules(), 2 * HOUR)
        assert await sla_periods.put_in_force(session, rules, now=desk.clock.now())
        assert not await sla_periods.put_in_force(session, rules, now=desk.clock.now())
        timeline = await sla_periods.load_timeline(session)
    assert timeline is not None
    with sla_in_force(desk.db) as holder:
        repairs = SlaRepair(desk.db, desk.clock)
        await repairs.run()  # this process does not know the new rules yet: nothing is spread
        assert (await desk.all(SlaRulePeriod))[1].spread_to is None
        holder.replace(timeline)
        for _ in range(3):
            await repairs.run()
    row = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    assert (row.consumed_seconds, row.target_seconds) == (3600, 7200)
    assert row.due_at == desk.clock.now() + HOUR
    assert [segment["target_seconds"] for segment in row.segments] == [14_400, 7_200]
    assert all(period.spread_at for period in await desk.all(SlaRulePeriod))


async def test_marking_after_new_rules_goes_on_where_a_dead_process_stopped(desk: Desk) -> None:
    tickets = sorted([await desk.ticket() for _ in range(3)])
    async with desk.db.transaction() as session:
        await sla_periods.put_in_force(session, make_rules(), now=desk.clock.now())
        await session.execute(update(SlaRulePeriod).values(spread_to=tickets[1]))
        await session.execute(update(tables.Ticket).values(sla_stale=False))
        timeline = await sla_periods.load_timeline(session)
    assert timeline is not None
    with sla_in_force(desk.db) as holder:
        holder.replace(timeline)
        assert await SlaRepair(desk.db, desk.clock).run() == 1
    assert await clock_rows(desk.db, tickets[2]) != {}
    assert await clock_rows(desk.db, tickets[0]) == {}


async def test_a_timeline_out_of_the_database_is_the_one_that_was_stored(desk: Desk) -> None:
    rules = make_rules()
    async with desk.db.transaction() as session:
        assert await sla_periods.load_timeline(session) is None
        await sla_periods.put_in_force(session, rules, now=desk.clock.now())
        timeline = await sla_periods.load_timeline(session)
    assert timeline is not None
    assert timeline.latest == rules
