"""The history of a ticket: it leads to the row, and nobody can rewrite it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from kit.clock import FakeClock
from tests.ticketing.desk import make_desk, order
from ticketing.db.engine import Database
from ticketing.db.tables import TicketEvent
from ticketing.domain.enums import Priority, Role, TicketStatus
from ticketing.services import ticket_work
from ticketing.services.ticket_release import release_tickets
from ticketing.services.ticket_verification import Verified, verify_tickets
from ticketing.services.ticket_work import VersionConflictError, lock_ticket

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _verified(db: Database) -> list[Verified]:
    return [one async for one in verify_tickets(db)]


async def test_a_value_written_past_the_history_is_named(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ticket_id = await desk.ticket()
    other = await desk.ticket(queue="n2_technical")
    async with db.transaction() as session:
        await session.execute(
            text("UPDATE tickets SET priority = 'urgent' WHERE id = :id"), {"id": other}
        )
    alike, different = await _verified(db)
    assert alike.differences == ()
    assert [str(item) for item in different.differences] == [
        'row: priority: stored "urgent", recomputed "normal"'
    ]
    assert (await desk.row(ticket_id)).number == alike.number


async def test_a_history_with_a_missing_event_is_named_where_it_breaks(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await desk.service.reply(
        order(ana, ticket_id), text="Olá", status=TicketStatus.PENDING_CUSTOMER
    )
    async with db.transaction() as session:
        await session.execute(text("ALTER TABLE ticket_events DISABLE TRIGGER append_only"))
        await session.execute(text("DELETE FROM ticket_events WHERE kind = 'taken'"))
        await session.execute(text("ALTER TABLE ticket_events ENABLE TRIGGER append_only"))
    (found,) = await _verified(db)
    assert found.differences[0].where.startswith("event replied at")
    assert found.differences[0].field == "from_status"


async def test_a_ticket_of_an_older_release_is_not_compared(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ticket_id = await desk.ticket()
    async with db.transaction() as session:
        await session.execute(text("ALTER TABLE ticket_events DISABLE TRIGGER append_only"))
        await session.execute(text("UPDATE ticket_events SET data = '{}'"))
        await session.execute(text("ALTER TABLE ticket_events ENABLE TRIGGER append_only"))
    (found,) = [one async for one in verify_tickets(db, number=(await desk.row(ticket_id)).number)]
    assert found.differences == ()
    assert found.note is not None


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ticket_events SET kind = 'closed'", "DELETE FROM ticket_events"],
)
async def test_the_database_refuses_to_change_a_history(
    db: Database, clock: FakeClock, statement: str
) -> None:
    desk = await make_desk(db, clock)
    await desk.ticket()
    with pytest.raises(DBAPIError, match="append-only"):
        async with db.transaction() as session:
            await session.execute(text(statement))


async def test_an_erasure_may_change_the_reason_and_nothing_else(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    await desk.ticket()
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL ponte.erasing = 'on'"))
        await session.execute(text("UPDATE ticket_events SET reason = NULL"))
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL ponte.erasing = 'on'"))
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text("UPDATE ticket_events SET reason = 'x', actor = 'y'"))
        await session.rollback()
    (event,) = await desk.all(TicketEvent)
    assert event.reason is None


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("status = 'resolved'", "resolved_has_a_time"),
        ("status = 'closed', resolved_at = opened_at", "closed_has_a_time"),
        ("first_response_at = opened_at", "new_has_nobody"),
        (
            "status = 'open', first_response_at = opened_at - interval '1 s'",
            "first_response_after_opening",
        ),
        ("escalated_at = opened_at - interval '1 s'", "escalated_after_opening"),
        (
            "status = 'resolved', resolved_at = opened_at - interval '1 s'",
            "resolved_after_opening",
        ),
        (
            "status = 'closed', resolved_at = opened_at, closed_at = opened_at - interval '1 s'",
            "closed_after_resolving",
        ),
        ("tags = array_fill('x'::text, ARRAY[21])", "few_tags"),
        ("priority = 'higher'", "priority_is_known|serve_rank"),
        ("level = 'N4'", "level_is_known"),
        ("severity = 'S5'", "severity_is_known"),
        ("status = 'waiting'", "status_is_known"),
    ],
)
async def test_the_database_refuses_what_the_domain_forbids(
    db: Database, clock: FakeClock, change: str, rule: str
) -> None:
    desk = await make_desk(db, clock)
    await desk.ticket()
    with pytest.raises(IntegrityError, match=rule):
        async with db.transaction() as session:
            await session.execute(text(f"UPDATE tickets SET {change}"))  # noqa: S608


async def test_a_clock_behind_the_others_never_turns_the_history_back(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    clock.advance(timedelta(minutes=5))
    await desk.service.take(order(ana, ticket_id))
    clock.advance(-timedelta(minutes=7))
    await desk.service.reply(order(ana, ticket_id), text="Olá")
    row = await desk.row(ticket_id)
    assert row.first_response_at == row.opened_at + timedelta(minutes=5)
    assert (await _verified(db))[0].differences == ()


async def test_a_version_conflict_says_what_happened_since(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ana, sofia = await desk.agent("ana"), await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await desk.service.note(order(ana, ticket_id), text="nada muda")
    await desk.service.change_priority(order(sofia, ticket_id), priority=Priority.HIGH)
    with pytest.raises(VersionConflictError) as caught:
        await desk.service.resolve(order(ana, ticket_id, version=1))
    assert [(item.kind, item.actor) for item in caught.value.since if item.kind != "noted"] == [
        ("taken", ana.label),
        ("priority_changed", sofia.label),
    ]
    assert "priority_changed by agent:" in str(caught.value)


async def test_released_tickets_stay_derivable(db: Database, clock: FakeClock) -> None:
    desk = await make_desk(db, clock)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    assert ana.agent_id is not None
    for _ in range(2):
        await release_tickets(
            db, ana.agent_id, actor=ana, reason="x", now=clock.now(), correlation_id="c"
        )
    assert (await _verified(db))[0].differences == ()
    assert len(await desk.all(TicketEvent, kind="released")) == 1


async def test_every_event_leaves_its_version_and_says_from_where_to_where(
    db: Database, clock: FakeClock
) -> None:
    desk = await make_desk(db, clock)
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await desk.service.set_status(
        order(ana, ticket_id), status=TicketStatus.PENDING_THIRD_PARTY, reason="transportadora"
    )
    (event,) = await desk.all(TicketEvent, kind="status_changed")
    assert event.data["from_status"] == "open"
    assert event.data["to_status"] == "pending_third_party"
    assert event.data["version"] == 3
    assert "from_agent" not in event.data
    async with db.transaction() as session:
        work = await lock_ticket(session, ticket_id, actor=ana, now=clock.now(), correlation_id="c")
        assert await ticket_work.events_since(session, work.ticket.id, version=2) == (
            ticket_work.Since("status_changed", ana.label, event.at, 3),
        )
