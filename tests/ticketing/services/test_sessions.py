from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from kit.clock import FakeClock
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.db import tables
from ticketing.db.audit_tables import AuditEntry
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.domain.ticket import Actor
from ticketing.services.agent_edits import edit_agent
from ticketing.services.agents import (
    HASHER,
    AgentExistsError,
    AgentNotFoundError,
    InvalidAgentError,
    LastAdminError,
    create_agent,
    disable_agent,
    list_agents,
)
from ticketing.services.passwords import ResetRefusedError, finish_reset, start_reset
from ticketing.services.people_acts import Act
from ticketing.services.sessions import LoginRefusedError, SessionService


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


@pytest.fixture
def sessions(desk: Desk) -> SessionService:
    return SessionService(desk.db, desk.clock)


async def test_only_the_hash_of_a_token_is_stored(desk: Desk, sessions: SessionService) -> None:
    await desk.agent("ana")
    started = await sessions.log_in(email="ana@example.com", password=PASSWORD)
    (kept,) = await desk.all_sessions()
    assert started.token not in kept.token_hash
    who = await sessions.recognise(started.token)
    assert who is not None
    assert who.agent_id == desk.people["ana"]
    assert await sessions.recognise(kept.token_hash) is None


async def test_many_guesses_at_once_are_counted_one_by_one(
    desk: Desk, sessions: SessionService
) -> None:
    await desk.agent("ana")
    guesses = [
        sessions.log_in(email="ana@example.com", password=f"guess {number}") for number in range(12)
    ]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(result, LoginRefusedError) for result in results)
    (agent,) = await desk.all(tables.Agent)
    assert agent.failed_logins == 5  # the others were refused unheard
    assert agent.locked_until == desk.clock.now() + timedelta(minutes=1)


async def test_the_wait_grows_with_every_failure_after_it(
    desk: Desk, sessions: SessionService
) -> None:
    await desk.agent("ana")
    waits = []
    for _ in range(7):
        with pytest.raises(LoginRefusedError):
            await sessions.log_in(email="ana@example.com", password="wrong")
        (agent,) = await desk.all(tables.Agent)
        if agent.locked_until is not None:
            waits.append(agent.locked_until - desk.clock.now())
            desk.clock.set(agent.locked_until)
    assert waits == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]


async def test_a_disabled_agent_gets_in_neither_by_password_nor_by_token(
    desk: Desk, sessions: SessionService
) -> None:
    await desk.agent("ana")
    started = await sessions.log_in(email="ana@example.com", password=PASSWORD)
    for _ in range(2):  # twice changes nothing
        async with desk.db.transaction() as session:
            await disable_agent(session, "ANA@example.com", desk.clock.now())
    assert await sessions.recognise(started.token) is None
    with pytest.raises(LoginRefusedError):
        await sessions.log_in(email="ana@example.com", password=PASSWORD)


async def test_queues_given_later_count_at_once(desk: Desk, sessions: SessionService) -> None:
    await desk.agent("ana")
    started = await sessions.log_in(email="ana@example.com", password=PASSWORD)
    before = await sessions.recognise(started.token)
    async with desk.db.transaction() as session:
        session.add(tables.AgentQueue(agent_id=desk.people["ana"], queue_id=desk.queues["n3_risk"]))
    after = await sessions.recognise(started.token)
    assert before is not None
    assert after is not None
    assert before.actor.queue_ids is None
    assert after.actor.queue_ids == frozenset({desk.queues["n3_risk"]})


async def test_two_admins_cannot_disable_each_other_at_once(desk: Desk) -> None:
    await desk.agent("root", role=Role.ADMIN)
    await desk.agent("chef", role=Role.ADMIN)

    async def shut_out(name: str) -> None:
        async with desk.db.transaction() as session:
            await disable_agent(session, f"{name}@example.com", desk.clock.now())

    results = await asyncio.gather(shut_out("root"), shut_out("chef"), return_exceptions=True)
    assert sum(isinstance(result, LastAdminError) for result in results) == 1


async def test_an_agent_is_added_once_even_at_once(desk: Desk) -> None:
    results = await asyncio.gather(*(desk.agent("ana") for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(result, AgentExistsError) for result in results) == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "ana"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"name": " "}, "name"),
        ({"name": "A\u202ena"}, "name"),
        ({"queues": ("nope",)}, "queues"),
    ],
)
async def test_a_wrong_value_of_a_new_agent_is_named(
    desk: Desk, change: dict[str, str], field: str
) -> None:
    values = {"email": "ana@example.com", "name": "Ana", "password": PASSWORD, "role": "agent"}
    async with desk.db.transaction() as session:
        with pytest.raises(InvalidAgentError) as caught:
            await create_agent(session, **{**values, **change}, now=desk.clock.now())  # type: ignore[arg-type] # one wrong value is the point
    assert caught.value.field == field


async def test_the_list_names_the_queues_and_not_the_password(desk: Desk) -> None:
    await desk.agent("bia", queues=("n3_risk", "n1_support"))
    await desk.agent("ana")
    async with desk.db.transaction() as session:
        found = await list_agents(session)
        with pytest.raises(AgentNotFoundError):
            await disable_agent(session, "nobody@example.com", desk.clock.now())
    assert [(item.email, item.queues) for item in found] == [
        ("ana@example.com", ()),
        ("bia@example.com", ("n1_support", "n3_risk")),
    ]
    assert not hasattr(found[0], "password_hash")


async def test_an_older_hash_is_renewed_at_the_next_login(
    desk: Desk, sessions: SessionService
) -> None:
    await desk.agent("ana")
    weaker = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    async with desk.db.transaction() as session:
        (await session.get_one(tables.Agent, desk.people["ana"])).password_hash = weaker
    await sessions.log_in(email="ana@example.com", password=PASSWORD)
    (agent,) = await desk.all(tables.Agent)
    assert agent.password_hash.startswith("$argon2id$")
    assert not HASHER.check_needs_rehash(agent.password_hash)
    await sessions.log_in(email="ana@example.com", password=PASSWORD)


async def test_two_admins_cannot_take_each_others_role_at_once(desk: Desk) -> None:
    first = await desk.agent("root", role=Role.ADMIN)
    second = await desk.agent("chef", role=Role.ADMIN)

    async def demote(by: Actor, name: str) -> None:
        async with desk.db.transaction() as session:
            act = Act(desk.clock.now(), by)
            await edit_agent(session, desk.people[name], {"role": "agent"}, act=act)

    results = await asyncio.gather(
        demote(first, "chef"), demote(second, "root"), return_exceptions=True
    )
    assert sum(isinstance(result, LastAdminError) for result in results) == 1


async def test_a_one_time_code_is_used_once_even_at_once(desk: Desk) -> None:
    await desk.agent("ana")
    async with desk.db.transaction() as session:
        made = await start_reset(session, desk.people["ana"], act=Act(desk.clock.now()))

    async def use(number: int) -> None:
        password = f"dez patos na lagoa {number}"
        await finish_reset(desk.db, desk.clock, code=made.code, password=password)

    results = await asyncio.gather(*(use(number) for number in range(3)), return_exceptions=True)
    assert sum(isinstance(result, ResetRefusedError) for result in results) == 2


async def test_logins_good_and_bad_are_on_record_without_the_address(
    desk: Desk, sessions: SessionService
) -> None:
    await desk.agent("ana")
    for email, password in (("ana@example.com", "x"), ("nobody@example.com", "x")):
        with pytest.raises(LoginRefusedError):
            await sessions.log_in(email=email, password=password)
    await sessions.log_in(email="ana@example.com", password=PASSWORD)
    entries = [
        (entry.action, entry.subject)
        for entry in await desk.all(AuditEntry)
        if entry.action.startswith("login.")
    ]
    ana = f"agent:{desk.people['ana']}"
    assert entries == [
        ("login.failed", ana),
        ("login.failed", "agent:unknown"),
        ("login.succeeded", ana),
    ]
