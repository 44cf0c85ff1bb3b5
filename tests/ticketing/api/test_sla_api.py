"""A ticket's service levels over the API: clocks with their stretches, and alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from kit.clock import FakeClock
from tests.ticketing.api.test_api import Client
from tests.ticketing.desk import Desk, make_desk, order
from tests.ticketing.sla_desk import sla_in_force
from ticketing.db.engine import Database
from ticketing.services import sla_follow
from ticketing.services.sla_rules import use_rules
from ticketing.services.sla_sweep import SlaSweep

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> AsyncIterator[Desk]:
    made = await make_desk(db, clock)
    with sla_in_force(db):
        yield made


@pytest.mark.parametrize("has_rules", [True, False])
async def test_every_clock_adds_up_to_its_stretches_and_alerts_say_who_was_told(
    desk: Desk, clock: FakeClock, has_rules: bool
) -> None:
    """With the rules clocks are measured now; without, they read as they were last written."""
    api = Client(desk)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    clock.advance(30 * MINUTE)
    await desk.service.take(order(ana, ticket_id))
    clock.advance(timedelta(hours=4))
    sweep = SlaSweep(desk.db, clock, batch=10, cooldown=15 * MINUTE)
    assert (await sweep.run()).breaches == 1
    async with desk.db.transaction() as session:
        await sla_follow.follow(session, ticket_id, now=clock.now())
    if not has_rules:
        use_rules(desk.db, None)
    token = await api.log_in("ana")

    answer = await api.ask("GET", f"/tickets/{ticket_id}/sla", token=token)

    assert answer.status == 200
    body = answer.json
    assert (body["state"], body["target_minutes"]) == ("breached", 240)
    clocks = {found["metric"]: found for found in body["clocks"]}
    first = clocks["first_response"]
    assert (first["state"], first["target_seconds"]) == ("breached", 14_400)
    assert first["breached_at"] == first["due_at"]
    assert first["consumed_seconds"] == 270 * 60
    for found in body["clocks"]:
        worked = sum(stretch["worked_seconds"] for stretch in found["stretches"])
        assert worked == found["consumed_seconds"]
    told = [(alert["metric"], alert["threshold"], alert["told"]) for alert in body["alerts"]]
    assert told == [("first_response", "warning", False), ("first_response", "breach", True)]


async def test_a_ticket_of_another_queue_is_not_shown(desk: Desk) -> None:
    api = Client(desk)
    await desk.agent("bia", queues=("n2_billing",))
    ticket_id = await desk.ticket()
    token = await api.log_in("bia")

    answer = await api.ask("GET", f"/tickets/{ticket_id}/sla", token=token)

    assert answer.status == 403


async def test_a_ticket_that_does_not_exist_is_not_found(desk: Desk) -> None:
    api = Client(desk)
    await desk.agent("ana")
    token = await api.log_in("ana")

    answer = await api.ask("GET", "/tickets/019f2c3a-7d10-7c11-8a53-0242ac120002/sla", token=token)

    assert answer.status == 404
