"""The people of the support team: adding, listing, disabling.

Passwords are kept as argon2id hashes with the parameters of RFC 9106 (low memory), which is more
than OWASP ASVS 11.4.2 asks for.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from argon2 import PasswordHasher
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from ticketing.db.tables import Agent, AgentQueue, AgentSession, Queue
from ticketing.domain.enums import Role, parse
from ticketing.domain.login import check_password

log = structlog.get_logger()

HASHER = PasswordHasher()

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f.]{2,}")
_MAX_EMAIL = 254  # RFC 5321, a path without its brackets
_MAX_NAME = 120


class InvalidAgentError(ValueError):
    """A value of the new agent cannot be; names the field."""

    def __init__(self, problem: str, *, field: str, allowed: Sequence[str] = ()) -> None:
        self.field = field
        self.allowed = list(allowed)
        super().__init__(f"{field}: {problem}")


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
    created_at: datetime
    locked_until: datetime | None


async def create_agent(
    session: AsyncSession,
    *,
    email: str,
    name: str,
    password: str,
    role: str,
    queues: Sequence[str] = (),
    now: datetime,
) -> Agent:
    """Add a person.

    Args:
        session: Its transaction.
        email: Kept in lower case; unique.
        name: As customers and colleagues read it.
        password: See `ticketing.domain.login.check_password`.
        role: agent, supervisor or admin.
        queues: Keys of the queues they serve; none means all.
        now: The present.

    Raises:
        InvalidAgentError: naming the field; `allowed` lists what may stand there.
        UnknownValueError: for a role that is none.
        WeakPasswordError: for a password that is too easy.
        AgentExistsError: when the address is taken.
    """
    address = normal_email(email)
    if len(address) > _MAX_EMAIL or not _EMAIL.fullmatch(address):
        problem = "expected an address such as ana@example.com"
        raise InvalidAgentError(problem, field="email")
    shown = " ".join(name.split())
    if not 1 <= len(shown) <= _MAX_NAME or not shown.isprintable():
        problem = f"expected 1 to {_MAX_NAME} printable characters"
        raise InvalidAgentError(problem, field="name")
    known_role = parse(Role, role, field="role")
    check_password(password, email=address, name=shown)
    queue_ids = await _queue_ids(session, queues)
    password_hash = await asyncio.to_thread(HASHER.hash, normal_password(password))
    agent_id = await session.scalar(
        insert(Agent)
        .values(
            id=new_id(),
            email=address,
            name=shown,
            password_hash=password_hash,
            role=known_role.value,
            levels=[],
            skills=[],
            languages=[],
            active=True,
            on_duty=True,
            created_at=now,
            failed_logins=0,
        )
        .on_conflict_do_nothing(index_elements=["email"])
        .returning(Agent.id)
    )
    if agent_id is None:
        raise AgentExistsError
    session.add_all(AgentQueue(agent_id=agent_id, queue_id=queue_id) for queue_id in queue_ids)
    await session.flush()
    log.info("agent.created", agent_id=str(agent_id), role=known_role.value)
    return await session.get_one(Agent, agent_id)


async def list_agents(session: AsyncSession) -> tuple[AgentView, ...]:
    """Everybody, by e-mail address."""
    keys = (
        select(AgentQueue.agent_id, func.array_agg(Queue.key).label("keys"))
        .join(Queue, Queue.id == AgentQueue.queue_id)
        .group_by(AgentQueue.agent_id)
        .subquery()
    )
    rows = await session.execute(
        select(Agent, keys.c["keys"])
        .outerjoin(keys, keys.c.agent_id == Agent.id)
        .order_by(Agent.email)
    )
    return tuple(_view(agent, served or ()) for agent, served in rows)


async def agent_view(session: AsyncSession, agent_id: uuid.UUID) -> AgentView:
    """One agent.

    Raises:
        AgentNotFoundError: when there is none with this id.
    """
    agent = await session.get(Agent, agent_id)
    if agent is None:
        raise AgentNotFoundError
    keys = await session.scalars(
        select(Queue.key)
        .join(AgentQueue, AgentQueue.queue_id == Queue.id)
        .where(AgentQueue.agent_id == agent_id)
    )
    return _view(agent, keys.all())


async def disable_agent(session: AsyncSession, email: str, now: datetime) -> Agent:
    """Shut a person out: no login, no session, no further act. Doing it twice changes nothing.

    Their open tickets are given back by `ticket_release.release_tickets` after this transaction
    has committed (it locks conversations, which must not happen while the agent's row is locked).

    Raises:
        AgentNotFoundError: when there is none with this address.
        LastAdminError: when nobody else could manage agents.
    """
    # All admins are locked, in one order, so that two admins cannot disable each other at once.
    admins = (
        await session.scalars(
            select(Agent)
            .where(Agent.role == Role.ADMIN.value, Agent.active)
            .order_by(Agent.id)
            .with_for_update()
        )
    ).all()
    agent = await session.scalar(
        select(Agent).where(Agent.email == normal_email(email)).with_for_update()
    )
    if agent is None:
        raise AgentNotFoundError
    if [admin.id for admin in admins] == [agent.id]:
        raise LastAdminError
    agent.active = False
    agent.on_duty = False
    await session.execute(delete(AgentSession).where(AgentSession.agent_id == agent.id))
    await session.flush()
    log.info("agent.disabled", agent_id=str(agent.id), timestamp=now.isoformat())
    return agent


def normal_email(email: str) -> str:
    """The stored form of an address: without surrounding space, in lower case."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def normal_password(password: str) -> str:
    """One form for passwords that keyboards encode differently (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password)


async def _queue_ids(session: AsyncSession, keys: Sequence[str]) -> list[uuid.UUID]:
    if not keys:
        return []
    rows = await session.execute(select(Queue.key, Queue.id).order_by(Queue.key))
    known = {row[0]: row[1] for row in rows}
    for key in keys:
        if key not in known:
            problem = f"{key!r} is not a queue; expected some of {', '.join(known) or '(none yet)'}"
            raise InvalidAgentError(problem, field="queues", allowed=list(known))
    return [known[key] for key in dict.fromkeys(keys)]


def _view(agent: Agent, queues: Sequence[str]) -> AgentView:
    return AgentView(
        id=agent.id,
        email=agent.email,
        name=agent.name,
        role=agent.role,
        active=agent.active,
        on_duty=agent.on_duty,
        queues=tuple(sorted(queues)),
        created_at=agent.created_at,
        locked_until=agent.locked_until,
    )
