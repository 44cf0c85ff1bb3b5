from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from handoff.policy import HandoffPolicy
from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.desk import Desk, make_desk, make_policy, order
from ticketing.db.engine import Database
from ticketing.db.escalation_tables import EscalationFiring
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.db.tables import Contact, OutboxEvent, TicketEvent
from ticketing.domain.enums import Priority, SlaMetric, SlaThreshold
from ticketing.domain.escalation_rules import EscalationRule, EscalationRules, Trigger
from ticketing.services.escalation import EscalationSweep
from ticketing.services.ticket_verification import verify_tickets

pytestmark = pytest.mark.asyncio(loop_scope="session")

LADDER = {"n1_support": "n2_technical", "n2_technical": "n3_risk"}
SLOW = EscalationRule("slow", Trigger(unanswered=timedelta(minutes=30)))


def sweep(
    desk: Desk, *rules: EscalationRule, policy: Callable[[], HandoffPolicy] = make_policy
) -> EscalationSweep:
    return EscalationSweep(
        desk.db,
        desk.clock,
        rules=EscalationRules(rules=rules or (SLOW,), ladder=LADDER, version="v1"),
        policy=policy,
    )


async def test_a_ticket_without_answer_climbs_level_by_level_and_stops_at_the_top(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    ticket_id = await desk.ticket()
    levels = []
    for _ in range(5):
        clock.advance(timedelta(minutes=29))
        assert await sweep(desk).run() == ()
        clock.advance(timedelta(minutes=1))
        await sweep(desk).run()
        levels.append((await desk.row(ticket_id)).level)
    assert levels == ["N2", "N3", "N3", "N3", "N3"]
    events = await desk.all(TicketEvent, kind="escalated")
    assert {event.reason for event in events} == {"slow@v1"}
    assert all(event.data["facts"]["waited_seconds"] == 1800 for event in events)
    assert len(await desk.all(OutboxEvent, topic="ticket.escalated")) == 2
    (verified,) = [one async for one in verify_tickets(db)]
    assert verified.differences == ()


async def test_two_schedulers_at_once_move_a_ticket_once(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ids = [await desk.ticket() for _ in range(5)]
    clock.advance(timedelta(minutes=31))
    moved = await asyncio.gather(*(sweep(desk).run() for _ in range(3)))
    assert sum(len(one) for one in moved) == len(ids)
    assert {(await desk.row(ticket_id)).level for ticket_id in ids} == {"N2"}
    assert len(await desk.all(EscalationFiring)) == len(ids)


async def test_nights_are_no_wait(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ticket_id = await desk.ticket()
    policy = make_policy()
    closed = replace(policy.calendars["always"], weekly={})
    clock.advance(timedelta(hours=9))
    moved = await sweep(desk, policy=lambda: replace(policy, calendars={"always": closed})).run()
    assert moved == ()
    assert (await desk.row(ticket_id)).level == "N1"


async def test_an_answer_ends_the_wait_and_a_person_at_work_is_left_alone(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    ana = await desk.agent("ana")
    answered, noted = await desk.ticket(), await desk.ticket()
    await desk.service.reply(order(ana, answered), text="Olá")
    clock.advance(timedelta(minutes=31))
    await desk.service.note(order(ana, noted), text="vendo agora")
    assert await sweep(desk).run() == ()
    clock.advance(timedelta(minutes=10))
    (moved,) = await sweep(desk).run()
    assert moved.ticket_number == (await desk.row(noted)).number


async def test_the_second_reopening_moves_it_once(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    rule = EscalationRule("again", Trigger(reopened=2), even_if_worked_on=True)
    await desk.service.take(order(ana, ticket_id))
    moved = []
    for _ in range(2):
        await desk.service.resolve(order(ana, ticket_id))
        await desk.service.reopen(order(ana, ticket_id), reason="voltou")
        moved.append(len(await sweep(desk, rule).run()))
    assert moved == [0, 1]
    assert await sweep(desk, rule).run() == ()


async def test_a_vip_is_moved_with_a_higher_priority(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ticket_id = await desk.ticket()
    rule = replace(SLOW, vip=True, priority=Priority.HIGH)
    clock.advance(timedelta(minutes=31))
    assert await sweep(desk, rule).run() == ()
    async with db.transaction() as session:
        contact = await session.get_one(Contact, (await desk.row(ticket_id)).contact_id)
        contact.vip = True
    await sweep(desk, rule).run()
    assert (await desk.row(ticket_id)).priority == "high"


async def _alert(desk: Desk, ticket_id: uuid.UUID) -> None:
    now = desk.clock.now()
    async with desk.db.transaction() as session:
        clock_id = new_id()
        session.add(
            SlaClock(
                id=clock_id,
                ticket_id=ticket_id,
                metric=SlaMetric.FIRST_RESPONSE.value,
                cycle=99,
                policy="p@v",
                calendar="always@v",
                state="running",
                target_seconds=60,
                consumed_seconds=0,
                started_at=now,
                updated_at=now,
            )
        )
        await session.flush()
        session.add(
            SlaAlert(
                clock_id=clock_id,
                ticket_id=ticket_id,
                threshold=SlaThreshold.WARNING.value,
                passed_at=now,
                detected_at=now,
                told=True,
            )
        )


async def test_a_warning_moves_the_level_that_got_it_and_not_the_next(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    ticket_id = await desk.ticket()
    warned = EscalationRule("warned", Trigger(alert=SlaThreshold.WARNING))
    clock.advance(timedelta(minutes=5))
    await _alert(desk, ticket_id)
    clock.advance(timedelta(minutes=1))
    other = replace(warned, name="warned_too")
    assert len(await sweep(desk, warned, other).run()) == 1
    assert await sweep(desk, warned, other).run() == ()
    assert (await desk.row(ticket_id)).level == "N2"


async def test_a_queue_that_is_gone_stops_no_other_ticket(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    lost, fine = await desk.ticket(), await desk.ticket(queue="n2_technical")
    clock.advance(timedelta(minutes=31))
    rule = replace(SLOW, to={"n1_support": "gone"})
    (moved,) = await sweep(desk, rule).run()
    assert moved.ticket_number == (await desk.row(fine)).number
    assert (await desk.row(lost)).level == "N1"
    assert len(await desk.all(EscalationFiring)) == 1


async def test_those_who_wait_are_found_by_an_index(db: Database, clock: FakeClock) -> None:
    await make_desk(db, clock)
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.scalars(
            text(
                "EXPLAIN SELECT id FROM tickets WHERE unanswered_since <= now() "
                "AND level <> 'N3' ORDER BY unanswered_since, id LIMIT 200"
            )
        )
        assert "ix_tickets_unanswered" in "\n".join(plan)
