"""Who sees what: served queues, teams, everything. The SQL and the object check agree."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk, order
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, Contact, Conversation, Ticket
from ticketing.domain.enums import Role
from ticketing.domain.permissions import Permission
from ticketing.domain.ticket import Actor, NotAllowedError
from ticketing.services import agent_edits, ticket_list, views, visibility
from ticketing.services.people_acts import Act
from ticketing.services.sessions import actor_of
from ticketing.services.teams import create_team
from ticketing.services.ticket_list import TicketFilter
from ticketing.services.ticket_targets import Target


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


async def actor(desk: Desk, name: str, *scopes: Permission) -> Actor:
    async with desk.db.transaction() as session:
        agent = await session.get_one(Agent, desk.people[name])
        return await actor_of(session, agent, scopes=frozenset(scopes) if scopes else None)


async def seen(desk: Desk, who: Actor) -> set[uuid.UUID]:
    """The tickets by SQL, which must be those by object, and their contacts and conversations."""
    async with desk.db.transaction() as session:
        by_sql = set(await session.scalars(select(Ticket.id).where(visibility.visible_to(who))))
        tickets = (await session.scalars(select(Ticket))).all()
        assert by_sql == {row.id for row in tickets if visibility.may_see(row, who)}
        page = await ticket_list.list_tickets(session, actor=who, wanted=TicketFilter())
        assert {item.id for item in page.tickets} == by_sql
        mine = [row for row in tickets if row.id in by_sql]
        for column, condition, wanted in (
            (Contact.id, visibility.contact_visible_to(who), {row.contact_id for row in mine}),
            (
                Conversation.id,
                visibility.conversation_visible_to(who),
                {row.conversation_id for row in mine},
            ),
        ):
            assert set(await session.scalars(select(column).where(condition))) == wanted
        return by_sql


async def test_a_supervisor_of_a_team_sees_and_supervises_its_queues_only(desk: Desk) -> None:
    act = Act(desk.clock.now())
    await desk.agent("boss", role=Role.SUPERVISOR)
    await desk.agent("ana", role=Role.SUPERVISOR)
    async with desk.db.transaction() as session:
        await create_team(session, name="Financeiro", queues=["n2_billing"], act=act)
        await agent_edits.edit_agent(
            session,
            desk.people["ana"],
            {"teams": ["Financeiro"], "scoped_to_teams": True},
            act=act,
        )
    billing = await desk.ticket(queue="n2_billing")
    support = await desk.ticket(queue="n1_support")
    ana, boss = await actor(desk, "ana"), await actor(desk, "boss")
    assert await seen(desk, boss) == {billing, support}
    assert await seen(desk, ana) == {billing}
    assert ana.supervises_queue(desk.queues["n2_billing"])
    assert not ana.supervises_queue(desk.queues["n1_support"])
    with pytest.raises(NotAllowedError):
        await desk.service.assign(
            order(ana, support), target=Target(queue="n2_billing"), reason=None, severity=None
        )
    async with desk.db.transaction() as session:
        with pytest.raises(visibility.NotVisibleError):
            await views.ticket_detail(session, support, actor=ana)
        conversation = (await session.get_one(Ticket, support)).conversation_id
        with pytest.raises(visibility.NotVisibleError):
            await views.conversation_view(session, conversation, actor=ana)
        with pytest.raises(visibility.NotVisibleError):
            await visibility.check_conversation(session, conversation, actor=ana)
    await desk.service.assign(
        order(ana, billing), target=Target(agent_id=desk.people["ana"]), reason=None, severity=None
    )


async def test_an_agent_sees_served_queues_and_what_they_hold(desk: Desk) -> None:
    ana = await desk.agent("ana", queues=("n1_support",))
    everywhere = await desk.agent("bia")
    support, billing = await desk.ticket(), await desk.ticket(queue="n2_billing")
    held = await desk.ticket(queue="n2_billing")
    async with desk.db.transaction() as session:
        row = await session.get_one(Ticket, held)
        row.agent_id, row.status = desk.people["ana"], "open"
    assert await seen(desk, ana) == {support, held}
    assert await seen(desk, everywhere) == {support, billing, held}


async def test_a_token_without_the_scope_does_not_supervise(desk: Desk) -> None:
    await desk.agent("boss", role=Role.SUPERVISOR, queues=("n1_support",))
    support, billing = await desk.ticket(), await desk.ticket(queue="n2_billing")
    assert await seen(desk, await actor(desk, "boss")) == {support, billing}
    reader = await actor(desk, "boss", Permission.TICKETS_READ)
    assert not reader.supervises
    assert await seen(desk, reader) == {support}


async def test_a_team_without_queues_shows_nothing(desk: Desk) -> None:
    act = Act(desk.clock.now())
    await desk.agent("ana", role=Role.SUPERVISOR)
    await desk.ticket()
    async with desk.db.transaction() as session:
        await create_team(session, name="Novo", act=act)
        changes = agent_edits.AgentChanges(teams=["Novo"], scoped_to_teams=True)
        await agent_edits.edit_agent(session, desk.people["ana"], changes, act=act)
    assert await seen(desk, await actor(desk, "ana")) == set()
