"""Passwords set by others: the one-time code of an admin, and the command line."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_token
from ticketing.db.engine import Database
from ticketing.db.people_tables import Agent, ApiToken, PasswordReset
from ticketing.domain.enums import Role
from ticketing.domain.login import check_password
from ticketing.domain.people import check_not_self, check_rights
from ticketing.domain.ticket import Actor
from ticketing.services.agents import HASHER, end_logins, lock_agent, normal_password
from ticketing.services.people_acts import Act, record_people_act
from ticketing.services.sessions import hash_of

CODE_LIFETIME = timedelta(hours=24)
"""Long enough to reach a colleague of the next shift, short enough for a forgotten message."""


class ResetRefusedError(Exception):
    """The code is unknown, used, replaced or too old: never said which."""

    def __init__(self) -> None:
        super().__init__("code: is wrong, used or too old; expected a new one from an admin")


@dataclass(frozen=True, slots=True)
class ResetCode:
    """A one-time code, shown this once."""

    agent_id: uuid.UUID
    code: str
    expires_at: datetime


async def start_reset(session: AsyncSession, agent_id: uuid.UUID, *, act: Act) -> ResetCode:
    """Void a person's password and give out a code with which they choose a new one.

    Every session and API token of theirs ends: a reset is what one does when an account may be in
    wrong hands. A code given out before is void.

    Raises:
        AgentNotFoundError: when there is none with this id.
        OwnAccountError: for one's own account, which has its own way.
        BeyondOwnRightsError: when they may do more than who resets.
    """
    code = new_token()
    unusable = await asyncio.to_thread(HASHER.hash, new_token())
    agent, _ = await lock_agent(session, agent_id)
    check_not_self(act.actor, agent_id, "reset the password of")
    check_rights(act.actor, Role(agent.role))
    agent.password_hash = unusable
    await end_logins(session, agent_id)
    await _end_tokens(session, agent_id, now=act.now)
    expires_at = act.now + CODE_LIFETIME
    session.add(
        PasswordReset(
            token_hash=hash_of(code),
            agent_id=agent_id,
            created_at=act.now,
            expires_at=expires_at,
        )
    )
    await session.flush()
    await record_people_act(
        session, act, action="password.reset_started", subject=f"agent:{agent_id}"
    )
    return ResetCode(agent_id, code, expires_at)


async def finish_reset(
    db: Database, clock: Clock, *, code: str, password: str, correlation_id: str = ""
) -> None:
    """Choose a new password with a one-time code. A weak password does not use the code up.

    Raises:
        ResetRefusedError: when the code is not good, or the person is disabled.
        WeakPasswordError: saying what is wanted.
    """
    now = clock.now()
    # Also for a wrong code, so that both take equally long.
    new_hash = await asyncio.to_thread(HASHER.hash, normal_password(password))
    async with db.transaction() as session:
        # Deleting is what makes it one-time: of two at once, one finds the row.
        agent_id = await session.scalar(
            delete(PasswordReset)
            .where(PasswordReset.token_hash == hash_of(code), PasswordReset.expires_at > now)
            .returning(PasswordReset.agent_id)
        )
        if agent_id is None:
            raise ResetRefusedError
        agent = await session.get_one(Agent, agent_id, with_for_update=True)
        if not agent.active:
            raise ResetRefusedError
        check_password(password, email=agent.email, name=agent.name)  # refusing rolls back
        _write(agent, new_hash)
        await end_logins(session, agent_id)
        actor = Actor(agent_id=agent_id, role=Role(agent.role))
        act = Act(now, actor, correlation_id)
        await record_people_act(
            session, act, action="password.reset_finished", subject=f"agent:{agent_id}"
        )


async def set_password(
    session: AsyncSession, agent_id: uuid.UUID, password: str, *, act: Act
) -> None:
    """Write a password for somebody else, as the command line does; every session ends.

    Raises:
        AgentNotFoundError: when there is none with this id.
        WeakPasswordError: saying what is wanted.
    """
    new_hash = await asyncio.to_thread(HASHER.hash, normal_password(password))
    agent, _ = await lock_agent(session, agent_id)
    check_rights(act.actor, Role(agent.role))
    check_password(password, email=agent.email, name=agent.name)
    _write(agent, new_hash)
    await end_logins(session, agent_id)
    await record_people_act(session, act, action="password.set", subject=f"agent:{agent_id}")


async def agent_id_of(session: AsyncSession, address: str) -> uuid.UUID | None:
    """The agent with this stored address."""
    return await session.scalar(select(Agent.id).where(Agent.email == address))


def _write(agent: Agent, new_hash: str) -> None:
    agent.password_hash = new_hash
    agent.failed_logins = 0
    agent.locked_until = None


async def _end_tokens(session: AsyncSession, agent_id: uuid.UUID, *, now: datetime) -> None:
    await session.execute(
        update(ApiToken)
        .where(ApiToken.agent_id == agent_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
