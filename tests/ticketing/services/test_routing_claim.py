"""The next ticket: the same order as the pure function, by index, and once each."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects import postgresql

from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.desk import QUEUES, Desk, make_desk, make_policy, order
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.routing_tables import RoutingDecision, RoutingExclusion
from ticketing.domain.enums import Priority
from ticketing.domain.routing.order import EPOCH, in_order, next_ticket, serve_by
from ticketing.domain.routing.settings import RoutingSettings
from ticketing.domain.ticket import Actor
from ticketing.services.routing_claim import (
    Claimed,
    NoRoomError,
    UnknownQueueError,
    best_for,
    claim_next,
)
from ticketing.services.routing_facts import Person, people, waiting_tickets

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTINGS = RoutingSettings(capacity=1000)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


async def claim(
    desk: Desk, actor: Actor, *, queue: str | None = None, settings: RoutingSettings = SETTINGS
) -> Claimed:
    return await claim_next(
        desk.db,
        desk.clock,
        actor=actor,
        policy=make_policy(),
        settings=settings,
        queue=queue,
        correlation_id="abc",
    )


async def change_agent(desk: Desk, name: str, **values: object) -> None:
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Agent).where(tables.Agent.id == desk.people[name]).values(**values)
        )


async def many_tickets(desk: Desk, count: int, *, seed: int = 7) -> None:
    """Waiting tickets of every kind, written directly: making each by hand would take minutes."""
    draw, now = random.Random(seed), desk.clock.now()
    contacts, conversations, tickets = [], [], []
    for number in range(count):
        contact_id, conversation_id = new_id(), new_id()
        queue = draw.choice(list(QUEUES))
        opened = now - timedelta(minutes=draw.randrange(0, 6000))
        contacts.append(
            {"id": contact_id, "name": f"C{number}", "vip": False, "created_at": opened}
        )
        conversations.append(
            {
                "id": conversation_id,
                "contact_id": contact_id,
                "channel": "whatsapp",
                "account_id": "1",
                "address": "x",
                "control": "queued",
                "control_epoch": 1,
                "language": "pt",
                "created_at": opened,
            }
        )
        due = opened + timedelta(minutes=draw.choice([15, 60, 240, 480]))
        tickets.append(
            {
                "id": new_id(),
                "conversation_id": conversation_id,
                "contact_id": contact_id,
                "queue_id": desk.queues[queue],
                "channel": "whatsapp",
                "subject": "x",
                "status": draw.choice(["new", "open"]),
                "priority": draw.choice(list(Priority)).value,
                "severity": "S3",
                "level": QUEUES[queue][1],
                "language": draw.choice(["pt", "pt", "es", "en", "fr"]),
                "skills": draw.choice([[], ["fraud"], ["spanish"], ["fraud", "english"]]),
                "vip": draw.random() < 0.1,
                "sla_expires_at": draw.choice([None, due]),
                "opened_at": opened,
                "correlation_id": "x",
            }
        )
    async with desk.db.transaction() as session:
        await session.execute(insert(tables.Contact), contacts)
        await session.execute(insert(tables.Conversation), conversations)
        await session.execute(insert(tables.Ticket), tickets)


async def known(desk: Desk, actor: Actor) -> Person:
    async with desk.db.transaction() as session:
        found = await people(
            session,
            languages=make_policy().languages,
            capacity=1000,
            now=desk.clock.now(),
            ids=[actor.agent_id] if actor.agent_id else [],
        )
    return found[0]


async def test_the_database_stores_the_place_that_the_pure_function_gives(desk: Desk) -> None:
    await many_tickets(desk, 200)
    async with desk.db.transaction() as session:
        rows = (await session.scalars(select(tables.Ticket))).all()
    for row in rows:
        expected = serve_by(
            Priority(row.priority), vip=row.vip, opened_at=row.opened_at, due_at=row.sla_expires_at
        )
        assert EPOCH + row.serve_rank == expected


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"skills": ["fraud"]},
        {"skills": ["fraud", "spanish", "english"]},
        {"levels": ["N2", "N3"], "skills": ["fraud"]},
        {"languages": ["en"], "skills": ["fraud"]},
    ],
)
@pytest.mark.parametrize("queues", [(), ("n1_support", "n2_billing")])
async def test_tickets_are_claimed_in_the_order_of_the_pure_function(
    desk: Desk, account: dict[str, list[str]], queues: tuple[str, ...]
) -> None:
    ana = await desk.agent("ana", queues=queues)
    if account:
        await change_agent(desk, "ana", **account)
    await many_tickets(desk, 60)
    waiting = []
    async with desk.db.transaction() as session:
        for queue in await session.scalars(select(tables.Queue)):
            found, _ = await waiting_tickets(
                session,
                queue,
                policy=make_policy(),
                settings=SETTINGS,
                now=desk.clock.now(),
            )
            assert found == in_order(found)
            waiting += found
    person = await known(desk, ana)
    for _ in range(8):
        expected = next_ticket(person.candidate, waiting, now=desk.clock.now())
        claimed = await claim(desk, ana)
        assert claimed.ticket_id == (None if expected is None else expected.ticket_id)
        if expected is None:
            break
        waiting.remove(expected)


async def test_the_claim_takes_the_ticket_and_keeps_the_decision(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket = await desk.ticket()
    assert (await claim(desk, ana)).ticket_id == ticket
    row = await desk.row(ticket)
    assert (row.agent_id, row.status, row.routing_state) == (ana.agent_id, "open", "held")
    assert (await desk.conversation(ticket)).control == "human"
    [decision] = await desk.all(RoutingDecision, ticket_id=ticket)
    assert (decision.outcome, decision.trigger, decision.agent_id) == (
        "held",
        "next_ticket",
        ana.agent_id,
    )
    assert (await claim(desk, ana)).ticket_id is None


async def test_a_queue_can_be_named_and_must_be_ones_own(desk: Desk) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    await desk.ticket(queue="n2_billing", priority="urgent")
    mine = await desk.ticket()
    with pytest.raises(UnknownQueueError) as refused:
        await claim(desk, ana, queue="n2_billing")
    assert refused.value.allowed == ["n1_support"]
    assert (await claim(desk, ana, queue="n1_support")).ticket_id == mine


async def test_who_has_no_room_gets_nothing_and_nothing_is_changed(desk: Desk) -> None:
    ana = await desk.agent("ana")
    await change_agent(desk, "ana", capacity=1)
    first, second = await desk.ticket(), await desk.ticket(name="B")
    await claim(desk, ana)
    with pytest.raises(NoRoomError):
        await claim(desk, ana)
    assert (await desk.row(second)).agent_id is None
    await desk.service.resolve(order(ana, first))
    assert (await claim(desk, ana)).ticket_id == second


async def test_a_ticket_that_waits_for_the_customer_or_was_just_lost_is_not_next(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    pending, lost = await desk.ticket(), await desk.ticket(name="B")
    now: datetime = desk.clock.now()
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket)
            .where(tables.Ticket.id == pending)
            .values(status="pending_customer")
        )
        session.add(
            RoutingExclusion(
                ticket_id=lost,
                agent_id=desk.people["ana"],
                until=now + timedelta(minutes=5),
                reason="not_accepted",
            )
        )
    assert (await claim(desk, ana)).ticket_id is None
    desk.clock.advance(timedelta(minutes=5))
    assert (await claim(desk, ana)).ticket_id == lost


async def test_ten_people_at_once_get_ten_tickets_the_most_urgent_ones(desk: Desk) -> None:
    team = [await desk.agent(f"agente{number}") for number in range(10)]
    tickets = [await desk.ticket(name=f"C{number}") for number in range(15)]
    claimed = await asyncio.gather(*(claim(desk, person) for person in team))
    got = {item.ticket_id for item in claimed}
    assert len(got) == 10
    assert got == set(tickets[:10])


async def test_of_ten_people_and_one_ticket_one_wins(desk: Desk) -> None:
    team = [await desk.agent(f"agente{number}") for number in range(10)]
    ticket = await desk.ticket()
    claimed = await asyncio.gather(*(claim(desk, person) for person in team))
    assert [item.ticket_id for item in claimed if item.ticket_id] == [ticket]
    events = await desk.all(tables.TicketEvent, ticket_id=ticket, kind="taken")
    assert len(events) == 1


async def test_one_person_who_asks_ten_times_at_once_stays_within_the_capacity(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    await change_agent(desk, "ana", capacity=3)
    tickets = [await desk.ticket(name=f"C{number}") for number in range(10)]
    done = await asyncio.gather(*(claim(desk, ana) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(item, NoRoomError) for item in done) == 7
    held = [(await desk.row(ticket)).agent_id for ticket in tickets]
    assert held.count(ana.agent_id) == 3


async def test_the_next_ticket_is_read_from_the_front_of_an_index(desk: Desk) -> None:
    ana = await desk.agent("ana", queues=("n1_support", "n2_billing"))
    async with desk.db.transaction() as session:
        await _seed(session, desk.queues["n1_support"], 20_000)
        await session.execute(text("ANALYZE tickets"))
        person = await known(desk, ana)
        queues = [
            row for row in await session.scalars(select(tables.Queue)) if person.serves(row.id)
        ]
        statement = best_for(person, queues, make_policy(), now=desk.clock.now())
        assert statement is not None
        sql = str(
            statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        )
        plan = "\n".join((await session.scalars(text(f"EXPLAIN {sql}".replace(":", r"\:")))).all())
        assert "ix_tickets_next" in plan
        assert "Seq Scan on tickets" not in plan
        await session.rollback()


async def _seed(session: object, queue_id: uuid.UUID, count: int) -> None:
    statements = (
        (
            "INSERT INTO contacts (id, vip, created_at) "
            "SELECT gen_random_uuid(), false, now() FROM generate_series(1, :count)"
        ),
        (
            "INSERT INTO conversations (id, contact_id, channel, account_id, address, lifecycle, "
            "control, control_epoch, language, language_state, understanding, created_at) "
            "SELECT gen_random_uuid(), id, 'whatsapp', '1', 'x', 'open', 'queued', 1, 'pt', '{}', "
            "'{}', now() FROM contacts"
        ),
        (
            "INSERT INTO tickets (id, version, conversation_id, contact_id, queue_id, channel, "
            "subject, status, priority, severity, level, skills, tags, language, opened_at, "
            "updated_at, correlation_id) "
            "SELECT gen_random_uuid(), 1, id, contact_id, :queue, 'whatsapp', 'x', "
            "'new', 'normal', 'S3', 'N1', '{}', '{}', 'pt', now() - random() * interval '9 days', "
            "now(), 'x' FROM conversations"
        ),
    )
    for statement in statements:
        values = {"count": count, "queue": queue_id}
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        await session.execute(text(statement), used)  # type: ignore[attr-defined]
