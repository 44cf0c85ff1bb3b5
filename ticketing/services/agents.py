"""The people of the support team: adding, listing, disabling, enabling.

Passwords are kept as argon2id hashes with the parameters of RFC 9106 (low memory), which is more
than OWASP ASVS 11.4.2 asks for.
"""

from __future__ import annotations

import asyncio
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id, new_token
from ticketing.db.people_tables import AgentTeam, PasswordReset, Team
from ticketing.db.tables import Agent, AgentQueue, AgentSession, Queue
from ticketing.domain.enums import Role, parse
from ticketing.domain.login import check_password
from ticketing.domain.people import (
    AgentChanges,
    InvalidAgentError,
    check_capacity,
    check_email,
    check_languages,
    check_levels,
    check_name,
    check_not_self,
    check_rights,
    check_scope,
    check_skills,
    normal_email,
)
from ticketing.services.people_acts import Act, record_people_act
from ticketing.services.teams import queue_ids, team_ids

__all__ = [
    "HASHER",
    "AgentExistsError",
    "AgentFilter",
    "AgentNotFoundError",
    "AgentView",
    "InvalidAgentError",
    "LastAdminError",
    "agent_view",
    "create_agent",
    "disable_agent",
    "enable_agent",
    "list_agents",
    "lock_agent",
    "normal_email",
    "normal_password",
]

HASHER = PasswordHasher()
MAX_PAGE = 500


class AgentExistsError(Exception):
    """There is an agent with this e-mail address."""

    def __init__(self) -> None:
        super().__init__("email: an agent with this address exists already")


class AgentNotFoundError(Exception):
    """No agent has this e-mail address or id."""

    def __init__(self) -> None:
        super().__init__("there is no such agent")


class LastAdminError(Exception):
    """Without this agent nobody could manage agents any more."""

    def __init__(self) -> None:
        super().__init__("this is the last active admin; expected another active admin first")


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent as others see them. `queues` are keys; none means all queues."""

    id: uuid.UUID
    email: str
    name: str
    role: str
    active: bool
    on_duty: bool
    queues: tuple[str, ...]
    teams: tuple[str, ...]
    scoped_to_teams: bool
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    levels: tuple[str, ...]
    capacity: int | None
    created_at: datetime
    locked_until: datetime | None


@dataclass(frozen=True, slots=True)
class AgentFilter:
    """Which agents; parts that are None do not filter.

    Attributes:
        role: With this role.
        active: Enabled, or disabled.
        team: A team's name.
        queue: A queue's key: who serves it, those who serve all included.
        skill: With this skill.
        language: With this language.
        level: With this level.
        text: Part of the name or the address.
    """

    role: Role | None = None
    active: bool | None = None
    team: str | None = None
    queue: str | None = None
    skill: str | None = None
    language: str | None = None
    level: str | None = None
    text: str | None = None


async def create_agent(
    session: AsyncSession,
    *,
    email: str,
    name: str,
    password: str | None,
    role: str,
    queues: Sequence[str] = (),
    profile: AgentChanges | None = None,
    now: datetime,
    act: Act | None = None,
) -> Agent:
    """Add a person.

    Args:
        session: Its transaction.
        email: Kept in lower case; unique.
        name: As customers and colleagues read it.
        password: See `ticketing.domain.login.check_password`. None: nobody can log in until a
            one-time code of `passwords.start_reset` was used.
        role: One of `Role`.
        queues: Keys of the queues they serve; none means all.
        profile: Teams, skills, languages, levels, capacity, limit to teams.
        now: The present.
        act: Who adds them; without, the system does.

    Raises:
        InvalidAgentError: naming the field; `allowed` lists what may stand there.
        UnknownValueError: for a role that is none.
        WeakPasswordError: for a password that is too easy.
        BeyondOwnRightsError: when the role may do more than who adds them.
        AgentExistsError: when the address is taken.
    """
    act = act or Act(now)
    given = profile or {}
    address, shown = check_email(email), check_name(name)
    known_role = parse(Role, role, field="role")
    check_rights(act.actor, known_role)
    if password is not None:
        check_password(password, email=address, name=shown)
    serves = await queue_ids(session, queues)
    teams = await team_ids(session, given.get("teams", ()))
    scoped = given.get("scoped_to_teams", False)
    check_scope(known_role, scoped=scoped, teams=teams)
    values: dict[str, Any] = {
        "levels": check_levels(given.get("levels", ())),
        "skills": check_skills(given.get("skills", ())),
        "languages": check_languages(given.get("languages", ())),
        "capacity": check_capacity(given.get("capacity")),
        "scoped_to_teams": scoped,
    }
    secret = new_token() if password is None else normal_password(password)
    password_hash = await asyncio.to_thread(HASHER.hash, secret)
    agent_id = await session.scalar(
        insert(Agent)
        .values(
            id=new_id(),
            email=address,
            name=shown,
            password_hash=password_hash,
            role=known_role.value,
            active=True,
            on_duty=True,
            created_at=now,
            failed_logins=0,
            **values,
        )
        .on_conflict_do_nothing(index_elements=["email"])
        .returning(Agent.id)
    )
    if agent_id is None:
        raise AgentExistsError
    session.add_all(AgentQueue(agent_id=agent_id, queue_id=queue_id) for queue_id in serves)
    session.add_all(AgentTeam(agent_id=agent_id, team_id=team_id) for team_id in teams)
    await session.flush()
    data = {"role": known_role.value, "queues": [*queues], "scoped_to_teams": scoped}
    await record_people_act(
        session, act, action="agent.created", subject=f"agent:{agent_id}", data=data
    )
    return await session.get_one(Agent, agent_id)


async def list_agents(
    session: AsyncSession,
    wanted: AgentFilter | None = None,
    *,
    after: str | None = None,
    limit: int | None = None,
) -> tuple[AgentView, ...]:
    """Agents, by e-mail address.

    Args:
        session: Its transaction.
        wanted: Which; None is everybody.
        after: Only those whose address comes after this one.
        limit: At most so many; None is all.
    """
    statement = _with_names().where(*_conditions(wanted or AgentFilter())).order_by(Agent.email)
    if after is not None:
        statement = statement.where(Agent.email > after)
    rows = await session.execute(statement.limit(limit))
    return tuple(_view(agent, queues, teams) for agent, queues, teams in rows)


async def agent_view(session: AsyncSession, agent_id: uuid.UUID) -> AgentView:
    """One agent.

    Raises:
        AgentNotFoundError: when there is none with this id.
    """
    row = (await session.execute(_with_names().where(Agent.id == agent_id))).one_or_none()
    if row is None:
        raise AgentNotFoundError
    return _view(*row)


async def lock_agent(session: AsyncSession, agent_id: uuid.UUID) -> tuple[Agent, bool]:
    """An agent's row, locked, and whether they are the only active admin.

    All active admins are locked with it, in one order, so that two admins cannot take each other's
    role at once.

    Raises:
        AgentNotFoundError: when there is none with this id.
    """
    rows = await session.scalars(
        select(Agent)
        .where((Agent.id == agent_id) | ((Agent.role == Role.ADMIN.value) & Agent.active))
        .order_by(Agent.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = {agent.id: agent for agent in rows}
    agent = found.get(agent_id)
    if agent is None:
        raise AgentNotFoundError
    admins = [item.id for item in found.values() if item.role == Role.ADMIN.value and item.active]
    return agent, admins == [agent_id]


async def disable_agent(
    session: AsyncSession, email: str, now: datetime, act: Act | None = None
) -> Agent:
    """Shut a person out: no login, no session, no API token, no further act.

    Doing it twice changes nothing. Their open tickets are given back by
    `ticket_release.release_tickets` after this transaction has committed (it locks conversations,
    which must not happen while the agent's row is locked).

    Raises:
        AgentNotFoundError: when there is none with this address.
        LastAdminError: when nobody else could manage agents.
        OwnAccountError: when somebody would disable themselves.
        BeyondOwnRightsError: when they may do more than who disables them.
    """
    act = act or Act(now)
    agent_id = await session.scalar(select(Agent.id).where(Agent.email == normal_email(email)))
    if agent_id is None:
        raise AgentNotFoundError
    agent, last_admin = await lock_agent(session, agent_id)
    if last_admin:
        raise LastAdminError
    check_not_self(act.actor, agent_id, "disable")
    check_rights(act.actor, Role(agent.role))
    await end_logins(session, agent_id)
    if agent.active:
        agent.active = False
        agent.on_duty = False
        await session.flush()
        await record_people_act(session, act, action="agent.disabled", subject=f"agent:{agent_id}")
    return agent


async def enable_agent(session: AsyncSession, agent_id: uuid.UUID, *, act: Act) -> Agent:
    """Let a person in again, with the password they had. Doing it twice changes nothing.

    Raises:
        AgentNotFoundError: when there is none with this id.
        BeyondOwnRightsError: when they may do more than who enables them.
    """
    agent, _ = await lock_agent(session, agent_id)
    check_rights(act.actor, Role(agent.role))
    if not agent.active:
        agent.active = True
        agent.on_duty = True
        agent.failed_logins = 0
        agent.locked_until = None
        await session.flush()
        await record_people_act(session, act, action="agent.enabled", subject=f"agent:{agent_id}")
    return agent


async def end_logins(session: AsyncSession, agent_id: uuid.UUID) -> None:
    """End every session of an agent, and void the one-time code that was given out."""
    await session.execute(delete(AgentSession).where(AgentSession.agent_id == agent_id))
    await session.execute(delete(PasswordReset).where(PasswordReset.agent_id == agent_id))


def normal_password(password: str) -> str:
    """One form for passwords that keyboards encode differently (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password)


def _with_names() -> Select[Any]:
    queues = (
        select(func.array_agg(Queue.key))
        .join(AgentQueue, AgentQueue.queue_id == Queue.id)
        .where(AgentQueue.agent_id == Agent.id)
        .correlate(Agent)
        .scalar_subquery()
    )
    teams = (
        select(func.array_agg(Team.name))
        .join(AgentTeam, AgentTeam.team_id == Team.id)
        .where(AgentTeam.agent_id == Agent.id)
        .correlate(Agent)
        .scalar_subquery()
    )
    return select(Agent, queues, teams)


def _conditions(wanted: AgentFilter) -> list[ColumnElement[bool]]:
    of_agent = select(AgentQueue.queue_id).where(AgentQueue.agent_id == Agent.id)
    conditions: list[ColumnElement[bool]] = []
    if wanted.role is not None:
        conditions.append(Agent.role == wanted.role.value)
    if wanted.active is not None:
        conditions.append(Agent.active.is_(wanted.active))
    if wanted.team is not None:
        of_team = select(AgentTeam.team_id).join(Team, Team.id == AgentTeam.team_id)
        named = of_team.where(AgentTeam.agent_id == Agent.id, Team.name == wanted.team)
        conditions.append(named.exists())
    if wanted.queue is not None:
        named = of_agent.join(Queue, Queue.id == AgentQueue.queue_id)
        conditions.append(~of_agent.exists() | named.where(Queue.key == wanted.queue).exists())
    for column, value in (
        (Agent.skills, wanted.skill),
        (Agent.languages, wanted.language),
        (Agent.levels, wanted.level),
    ):
        if value is not None:
            conditions.append(column.any_() == value)
    if wanted.text is not None:
        conditions.append(
            Agent.name.icontains(wanted.text, autoescape=True)
            | Agent.email.icontains(wanted.text, autoescape=True)
        )
    return conditions


def _view(agent: Agent, queues: Sequence[str] | None, teams: Sequence[str] | None) -> AgentView:
    return AgentView(
        id=agent.id,
        email=agent.email,
        name=agent.name,
        role=agent.role,
        active=agent.active,
        on_duty=agent.on_duty,
        queues=tuple(sorted(queues or ())),
        teams=tuple(sorted(teams or ())),
        scoped_to_teams=agent.scoped_to_teams,
        skills=tuple(agent.skills),
        languages=tuple(agent.languages),
        levels=tuple(agent.levels),
        capacity=agent.capacity,
        created_at=agent.created_at,
        locked_until=agent.locked_until,
    )
