from __future__ import annotations

import pytest
import pytest_asyncio
from sqlalchemy import update

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.services.recipients import on_duty_agents
from tests.ticketing.desk import QUEUES, Desk, make_desk, make_policy
from ticketing.db.engine import Database
from ticketing.db.people_tables import AgentTeam
from ticketing.db.tables import Agent, Queue, Team
from ticketing.domain.enums import Level, Role
from ticketing.domain.ticket import QueueChoice
from ticketing.services.availability import agents_available
from ticketing.services.routing_facts import people
from ticketing.services.sessions import actor_of
from ticketing.services.ticket_targets import UnknownTargetError, check_agent

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def desk(db: Database, clock: FakeClock) -> Desk:
    """ana: all queues; rui: risk; dora designs; otto operates; sara supervises the billing team."""
    made = await make_desk(db, clock)
    await made.agent("ana")
    await made.agent("rui", queues=("n3_risk",))
    await made.agent("dora", role=Role.DESIGNER)
    await made.agent("otto", role=Role.OPERATOR)
    await made.agent("sara", role=Role.SUPERVISOR)
    async with db.transaction() as session:
        team = Team(id=new_id(), name="Financeiro")
        session.add(team)
        await session.flush()
        billing = made.queues["n2_billing"]
        await session.execute(update(Queue).where(Queue.id == billing).values(team_id=team.id))
        sara = made.people["sara"]
        session.add(AgentTeam(agent_id=sara, team_id=team.id))
        await session.execute(update(Agent).where(Agent.id == sara).values(scoped_to_teams=True))
    return made


SERVED = {
    key: {"ana", *(["rui"] if key == "n3_risk" else []), *(["sara"] if key == "n2_billing" else [])}
    for key in QUEUES
}


async def test_who_is_available_serves_the_queue(desk: Desk) -> None:
    async with desk.db.transaction() as session:
        found = await agents_available(session, capacity=2, now=desk.clock.now())
    assert found == {key: len(names) for key, names in SERVED.items()}


@pytest.mark.parametrize("key", QUEUES)
async def test_notices_assignments_and_logins_agree_on_it(desk: Desk, key: str) -> None:
    choice = QueueChoice(desk.queues[key], key, Level.N1)
    told, may_get, sees = set(), set(), set()
    async with desk.db.transaction() as session:
        for person in await on_duty_agents(session, key):
            told.add(person.email.partition("@")[0])
        for name, agent_id in desk.people.items():
            agent = await session.get_one(Agent, agent_id)
            actor = await actor_of(session, agent)
            if actor.serves(choice.id) and name not in {"dora", "otto"}:
                sees.add(name)
            try:
                await check_agent(session, agent_id, queue=choice)
            except UnknownTargetError:
                continue
            may_get.add(name)
    assert told == may_get == sees == SERVED[key]


async def test_so_does_the_router(desk: Desk) -> None:
    async with desk.db.transaction() as session:
        found = await people(
            session, languages=make_policy().languages, capacity=2, now=desk.clock.now()
        )
    names = {agent_id: name for name, agent_id in desk.people.items()}
    served = {
        key: {names[who.candidate.agent_id] for who in found if who.serves(desk.queues[key])}
        for key in QUEUES
    }
    assert served == SERVED
