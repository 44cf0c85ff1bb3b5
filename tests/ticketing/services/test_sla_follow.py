from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.desk import Desk, make_desk, order
from tests.ticketing.sla_desk import clock_rows, make_rules, sla_in_force
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.domain.enums import Priority, Role, SlaMetric, TicketStatus
from ticketing.domain.sla.rules import SlaRules, Timeline
from ticketing.services import customer_messages, sla_follow
from ticketing.services.customer_messages import Written
from ticketing.services.sla_rules import use_rules

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> AsyncIterator[Desk]:
    made = await make_desk(db, clock)
    with sla_in_force(db):
        yield made


async def customer_writes(desk: Desk, ticket_id: object, text: str | None) -> None:
    """A message of the customer, as the end of its turn records it."""
    now = desk.clock.now()
    async with desk.db.transaction() as session:
        await customer_messages.record(
            session,
            ticket_id,
            [Written(new_id(), text, now)],
            turn_id=new_id(),
            now=now,
            correlation_id="c0ffee",
        )


async def test_every_change_of_a_ticket_brings_its_clocks_up_to_date(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    opened_at = desk.clock.now()
    desk.clock.advance(5 * MINUTE)
    await desk.service.take(order(ana, ticket_id))
    rows = await clock_rows(desk.db, ticket_id)
    first = rows["first_response", 1]
    assert set(rows) == {
        ("first_response", 1),
        ("resolution", 1),
        ("total_resolution", 1),
        ("level", 1),
    }
    assert (first.state, first.target_seconds, first.consumed_seconds) == ("running", 14_400, 300)
    assert first.due_at == opened_at + 4 * HOUR
    assert first.warn_at == first.next_check_at == opened_at + 168 * MINUTE
    ticket = await desk.row(ticket_id)
    assert (ticket.sla_state, ticket.sla_target_minutes) == ("ok", 240)
    assert ticket.sla_expires_at == first.due_at
    assert not ticket.sla_stale


async def test_following_twice_changes_nothing(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.reply(order(ana, ticket_id), text="Oi")

    async def follow() -> dict[tuple[str, int], dict[str, object]]:
        async with desk.db.transaction() as session:
            await sla_follow.follow(session, ticket_id, now=desk.clock.now())
        rows = await clock_rows(desk.db, ticket_id)
        return {
            key: {column.name: getattr(row, column.name) for column in SlaClock.__table__.columns}
            for key, row in rows.items()
        }

    assert await follow() == await follow()


async def test_two_who_work_at_once_leave_one_row_for_each_clock(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await asyncio.gather(
        *(desk.service.note(order(ana, ticket_id), text=f"nota {number}") for number in range(6))
    )
    assert len(await clock_rows(desk.db, ticket_id)) == 4


async def test_a_reply_that_sets_pending_in_the_same_step_meets_the_first_response(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    desk.clock.advance(7 * MINUTE)
    await desk.service.reply(
        order(ana, ticket_id), text="Qual o pedido?", status=TicketStatus.PENDING_CUSTOMER
    )
    rows = await clock_rows(desk.db, ticket_id)
    assert rows["first_response", 1].state == "met"
    assert rows["first_response", 1].met_at == desk.clock.now()
    assert rows["first_response", 1].next_check_at is None
    assert (rows["resolution", 1].state, rows["resolution", 1].due_at) == ("paused", None)
    assert rows["resolution", 1].paused_at == desk.clock.now()
    assert (await desk.row(ticket_id)).sla_state == "paused"


async def test_a_note_and_taking_the_ticket_are_no_first_response(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await desk.service.note(order(ana, ticket_id), text="liguei para o cliente")
    rows = await clock_rows(desk.db, ticket_id)
    assert (rows["first_response", 1].state, rows["first_response", 1].met_at) == ("running", None)


async def test_the_customers_words_open_a_cycle_and_wake_a_ticket_that_waited_for_them(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.reply(
        order(ana, ticket_id), text="Qual o pedido?", status=TicketStatus.PENDING_CUSTOMER
    )
    desk.clock.advance(HOUR)
    await customer_writes(desk, ticket_id, "98213")
    rows = await clock_rows(desk.db, ticket_id)
    assert rows["next_response", 1].started_at == desk.clock.now()
    assert rows["resolution", 1].state == "running"
    assert rows["resolution", 1].consumed_seconds == 0
    ticket = await desk.row(ticket_id)
    assert ticket.status == "open"
    assert ticket.sla_expires_at == rows["next_response", 1].due_at
    (event,) = await desk.all(tables.TicketEvent, ticket_id=ticket_id, kind="customer_wrote")
    assert (event.actor, event.data["asks"], event.data["to_status"]) == ("customer", True, "open")
    assert "98213" not in str(event.data)


async def test_a_thank_you_opens_no_cycle(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.reply(order(ana, ticket_id), text="Pronto, enviado.")
    await customer_writes(desk, ticket_id, "obrigado, tchau")
    assert ("next_response", 1) not in await clock_rows(desk.db, ticket_id)
    await customer_writes(desk, ticket_id, "obrigado, e o prazo?")
    assert ("next_response", 1) in await clock_rows(desk.db, ticket_id)


async def test_closing_words_answer_and_a_resolution_without_words_does_not(desk: Desk) -> None:
    ana = await desk.agent("ana")
    told, silent = await desk.ticket(), await desk.ticket()
    for ticket_id, words in ((told, "Resolvido!"), (silent, None)):
        await desk.service.take(order(ana, ticket_id))
        await desk.service.resolve(order(ana, ticket_id), closing_text=words)
    assert (await clock_rows(desk.db, told))["first_response", 1].state == "met"
    void = (await clock_rows(desk.db, silent))["first_response", 1]
    assert (void.state, void.reason, void.next_check_at) == ("cancelled", "resolved", None)
    assert (await desk.row(told)).sla_state == "met"


async def test_a_breach_that_nobody_swept_is_written_with_its_due_time_and_still_to_be_told(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket(priority="urgent")
    opened_at = desk.clock.now()
    desk.clock.advance(HOUR)
    await desk.service.take(order(ana, ticket_id))
    row = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    assert (row.state, row.breached_at) == ("breached", opened_at + 15 * MINUTE)
    assert row.next_check_at == row.warn_at
    assert (await desk.row(ticket_id)).sla_state == "breached"


async def test_what_was_told_is_not_due_to_be_told_again(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    row = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    desk.clock.advance(3 * HOUR)
    async with desk.db.transaction() as session:
        session.add(
            SlaAlert(
                clock_id=row.id,
                ticket_id=ticket_id,
                threshold="warning",
                passed_at=row.warn_at,
                detected_at=desk.clock.now(),
                told=True,
            )
        )
    await desk.service.note(order(ana, ticket_id), text="nota")
    row = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    assert row.next_check_at == row.due_at
    assert (await desk.row(ticket_id)).sla_state == "warning"


async def test_a_clock_set_back_undoes_no_breach(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket(priority="urgent")
    desk.clock.advance(HOUR)
    await desk.service.take(order(ana, ticket_id))
    before = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    desk.clock.advance(-2 * HOUR)
    async with desk.db.transaction() as session:
        await sla_follow.follow(session, ticket_id, now=desk.clock.now())
    after = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    assert (after.state, after.breached_at) == ("breached", before.breached_at)
    assert after.updated_at == before.updated_at


async def test_priority_changes_keep_what_is_used_up(desk: Desk) -> None:
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket(priority="normal")
    desk.clock.advance(30 * MINUTE)
    await desk.service.change_priority(order(sofia, ticket_id), priority=Priority.HIGH)
    row = (await clock_rows(desk.db, ticket_id))["first_response", 1]
    assert (row.consumed_seconds, row.target_seconds) == (1800, 3600)
    assert row.due_at == desk.clock.now() + 30 * MINUTE
    ticket = await desk.row(ticket_id)
    assert (ticket.sla_target_minutes, ticket.sla_expires_at) == (60, row.due_at)


class _BrokenRules(SlaRules):
    """Rules with a mistake that no check has found."""

    def promise(self, metric: SlaMetric, situation: object) -> None:
        message = f"no {metric}"
        raise ZeroDivisionError(message)


async def test_a_mistake_in_the_rules_stops_no_work_and_leaves_the_ticket_marked(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    rules = make_rules()
    broken = _BrokenRules(
        **{name: getattr(rules, name) for name in SlaRules.__slots__ if name != "calendar_names"}
    )
    with sla_in_force(desk.db, broken):
        done = await desk.service.reply(order(ana, ticket_id), text="Oi")
    assert done.ticket.status == "open"
    assert (await desk.row(ticket_id)).sla_stale
    assert await clock_rows(desk.db, ticket_id) == {}


async def test_a_row_that_the_database_refuses_undoes_only_the_clocks(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    rules = make_rules()
    huge = timedelta(days=40_000)  # more seconds than the column holds
    policy = rules.policies[0]
    targets = {
        metric: replace(target, durations=dict.fromkeys(target.durations, huge))
        for metric, target in policy.targets.items()
    }
    beyond = replace(rules, policies=(replace(policy, targets=targets),))
    with sla_in_force(desk.db, beyond):
        await desk.service.reply(order(ana, ticket_id), text="Oi")
    ticket = await desk.row(ticket_id)
    assert (ticket.status, ticket.sla_stale) == ("open", True)
    assert await clock_rows(desk.db, ticket_id) == {}


async def test_a_process_without_rules_marks_the_ticket_for_those_that_have_them(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    use_rules(desk.db, None)
    await desk.service.reply(order(ana, ticket_id), text="Oi")
    assert (await desk.row(ticket_id)).sla_stale


async def test_a_clock_that_the_rules_no_longer_know_is_kept_but_nothing_is_due(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    only_first = make_rules(
        "sla: s\npolicies:\n- id: p\n  targets:\n    first_response: {minutes: promised}\n"
    )
    async with desk.db.transaction() as session:
        await sla_follow.follow(
            session, ticket_id, now=desk.clock.now(), rules=Timeline.of(only_first)
        )
    rows = await clock_rows(desk.db, ticket_id)
    assert rows["first_response", 1].state == "running"
    void = rows["resolution", 1]
    assert (void.state, void.reason, void.next_check_at) == ("cancelled", "no_target", None)


async def test_of_explaining_nothing_is_written(desk: Desk) -> None:
    ticket_id = await desk.ticket()
    desk.clock.advance(HOUR)
    async with desk.db.transaction() as session:
        clocks = await sla_follow.clocks_of(session, ticket_id, now=desk.clock.now())
        rows = (await session.scalars(select(SlaClock))).all()
    assert [clock.metric.value for clock in clocks] == [
        "first_response",
        "resolution",
        "total_resolution",
        "level",
    ]
    assert clocks[0].consumed == HOUR
    assert rows == []
