"""Clocks of real conversations: webhooks, turns, a handoff, an agent, the customer's answers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from channels.message import MessageKind
from kit.clock import FakeClock
from tests.ticketing.desk import PASSWORD, ROOT
from tests.ticketing.services.talk import POLICY, World, inbound_text, make_world
from tests.ticketing.sla_desk import clock_rows, sla_in_force
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role, TicketStatus
from ticketing.domain.sla.rules_file import parse_rules
from ticketing.domain.ticket import Actor
from ticketing.services import agents
from ticketing.services.ticket_release import release_tickets
from ticketing.services.tickets import Order, TicketService

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(db: Database, clock: FakeClock) -> AsyncIterator[World]:
    made = make_world(db, clock)
    made.bot.understands |= {"quero uma pessoa": ("talk_to_person", 0.95)}
    rules = parse_rules((ROOT / "sla.yml").read_text(), policy=POLICY)
    with sla_in_force(db, rules):
        yield made


class People:
    """The agent who answers the only ticket of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.service = TicketService(world.db, world.clock, lambda _: None)
        self.actor: Actor | None = None

    async def order(self) -> Order:
        if self.actor is None:
            async with self.world.db.transaction() as session:
                row = await agents.create_agent(
                    session,
                    email="ana@example.com",
                    name="Ana",
                    password=PASSWORD,
                    role=Role.AGENT.value,
                    queues=(),
                    now=self.world.clock.now(),
                )
            self.actor = Actor(agent_id=row.id, role=Role.AGENT)
        return Order(actor=self.actor, ticket_id=await self.ticket_id(), correlation_id="abc")

    async def ticket_id(self) -> uuid.UUID:
        found = await self.world.row(select(tables.Ticket.id))
        assert isinstance(found, uuid.UUID)
        return found


async def clocks(world: World) -> dict[tuple[str, int], object]:
    return dict(await clock_rows(world.db, await People(world).ticket_id()))


async def kinds(world: World) -> list[str]:
    return [event.kind for event in await world.rows(tables.TicketEvent)]


async def test_case_14_a_handoff_starts_the_clocks_and_the_bots_words_meet_none(
    world: World,
) -> None:
    await world.say("quero uma pessoa")
    assert world.sender.texts  # the customer was told, by the bot
    rows = await clock_rows(world.db, await People(world).ticket_id())
    first = rows["first_response", 1]
    assert (first.state, first.met_at) == ("running", None)
    assert first.started_at == world.clock.now()
    assert first.calendar.startswith("business@")
    ticket = await world.row(select(tables.Ticket))
    assert (ticket.sla_state, ticket.sla_expires_at) == ("ok", first.due_at)
    assert await kinds(world) == ["opened"]  # the words that opened it are no further message


async def test_messages_before_the_first_response_belong_to_it(world: World) -> None:
    await world.say("quero uma pessoa")
    world.clock.advance(5 * MINUTE)
    await world.say("alguém aí?")
    rows = await clock_rows(world.db, await People(world).ticket_id())
    assert ("next_response", 1) not in rows
    assert await kinds(world) == ["opened", "customer_wrote"]


async def test_an_answer_to_a_pending_ticket_wakes_it_and_opens_a_cycle_at_the_providers_time(
    world: World,
) -> None:
    people = People(world)
    await world.say("quero uma pessoa")
    world.clock.advance(10 * MINUTE)
    await people.service.reply(
        await people.order(), text="Qual o pedido?", status=TicketStatus.PENDING_CUSTOMER
    )
    world.clock.advance(60 * MINUTE)
    late = inbound_text("98213", at=world.clock.now() - 20 * MINUTE)
    await world.receive(late)
    rows = await clock_rows(world.db, await people.ticket_id())
    assert rows["first_response", 1].state == "met"
    cycle = rows["next_response", 1]
    assert cycle.started_at == world.clock.now() - 20 * MINUTE
    assert cycle.consumed_seconds == 20 * 60
    assert rows["resolution", 1].consumed_seconds == 30 * 60
    ticket = await world.row(select(tables.Ticket))
    assert ticket.status == "open"
    events = await world.rows(tables.TicketEvent)
    (wrote,) = [event for event in events if event.kind == "customer_wrote"]
    assert wrote.actor == "customer"
    assert wrote.data["message_id"] == str(
        (await world.row(select(tables.Message).where(tables.Message.text == "98213"))).id
    )


async def test_the_same_webhook_twice_is_one_event_and_one_cycle(world: World) -> None:
    people = People(world)
    await world.say("quero uma pessoa")
    await people.service.reply(await people.order(), text="Oi")
    item = inbound_text("e o meu pedido?", at=world.clock.now())
    await world.receive(item)
    await world.receive(item)
    assert (await kinds(world)).count("customer_wrote") == 1
    assert ("next_response", 2) not in await clocks(world)


async def test_a_thank_you_and_a_reaction_open_no_cycle_and_a_picture_does(world: World) -> None:
    people = People(world)
    await world.say("quero uma pessoa")
    await people.service.reply(await people.order(), text="Enviado.")
    await world.say("valeu, obrigado 👍")
    await world.say("👍", kind=MessageKind.REACTION)
    assert ("next_response", 1) not in await clocks(world)
    await world.say(None, kind=MessageKind.IMAGE)
    assert ("next_response", 1) in await clocks(world)


async def test_case_16_a_ticket_whose_agent_is_gone_keeps_its_clock_and_priority(
    world: World,
) -> None:
    people = People(world)
    await world.say("quero uma pessoa")
    order = await people.order()
    await people.service.take(order)
    before = (await clock_rows(world.db, order.ticket_id))["first_response", 1]
    world.clock.advance(30 * MINUTE)
    assert order.actor.agent_id is not None
    await release_tickets(
        world.db,
        order.actor.agent_id,
        actor=order.actor,
        reason="offline",
        now=world.clock.now(),
        correlation_id="abc",
    )
    after = (await clock_rows(world.db, order.ticket_id))["first_response", 1]
    assert (after.started_at, after.due_at) == (before.started_at, before.due_at)
    assert after.consumed_seconds == 30 * 60
    ticket = await world.row(select(tables.Ticket))
    assert (ticket.status, ticket.agent_id, ticket.priority) == ("open", None, "normal")


async def test_a_message_to_a_released_ticket_that_waited_for_it_is_work_for_us_again(
    world: World,
) -> None:
    people = People(world)
    await world.say("quero uma pessoa")
    order = await people.order()
    await people.service.reply(order, text="Qual?", status=TicketStatus.PENDING_CUSTOMER)
    assert order.actor.agent_id is not None
    await release_tickets(
        world.db,
        order.actor.agent_id,
        actor=order.actor,
        reason="offline",
        now=world.clock.now(),
        correlation_id="abc",
    )
    await world.say("o azul")
    assert (await world.row(select(tables.Ticket))).status == "open"
