"""Logins: throttled, without telling which addresses exist; sessions kept on the server.

Only the hash of a session's token is stored. A session ends when it is idle too long, when it is
too old, at logout, and at once when the agent is disabled (OWASP ASVS 7.3, 7.4).
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_token
from ticketing.db.engine import Database
from ticketing.db.tables import Agent, AgentQueue, AgentSession
from ticketing.domain.enums import Role
from ticketing.domain.login import MAX_PASSWORD, lock_time
from ticketing.domain.permissions import PERMISSIONS_OF, Permission
from ticketing.domain.ticket import Actor
from ticketing.services.agents import HASHER, normal_email, normal_password

log = structlog.get_logger()

IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(hours=24)
_SEEN_EVERY = timedelta(minutes=1)  # one write a minute and session is exact enough for `IDLE`

# Verified when the address is unknown or the account waits, so that both take equally long.
_DUMMY_HASH = HASHER.hash(new_token())


class LoginRefusedError(Exception):
    """Wrong address, wrong password, disabled, or waiting after failures: never said which."""

    def __init__(self) -> None:
        super().__init__(
            "the e-mail address or the password is wrong, "
            "or there were too many failed logins: wait some minutes and try again"
        )


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who is logged in. `csrf_token` must come back with every write made by cookie."""

    agent_id: uuid.UUID
    email: str
    name: str
    actor: Actor
    csrf_token: str
    expires_at: datetime

    @property
    def role(self) -> Role:
        """Their role."""
        return self.actor.role

    @property
    def permissions(self) -> frozenset[Permission]:
        """What they may do here."""
        return PERMISSIONS_OF[self.role]


@dataclass(frozen=True, slots=True)
class NewSession:
    """A fresh login; the token is shown this once."""

    token: str
    who: LoggedIn


class SessionService:
    """Log in, recognise, log out.

    Args:
        db: Where the sessions are.
        clock: For `now`.
        idle: A session that was not used for so long is over.
        absolute: A session is over after so long in any case.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        idle: timedelta = IDLE,
        absolute: timedelta = ABSOLUTE,
    ) -> None:
        self._db = db
        self._clock = clock
        self._idle = idle
        self._absolute = absolute

    async def log_in(self, *, email: str, password: str, replaces: str | None = None) -> NewSession:
        """A new session with a new token.

        An attempt is counted before the password is looked at, in one statement: a hundred
        attempts at the same moment are a hundred attempts. `replaces` is the token the browser
        had before; it ends with the login (session fixation).

        Raises:
            LoginRefusedError: always the same, whatever was wrong.
        """
        now = self._clock.now()
        agent = await self._count_attempt(normal_email(email), now=now)
        stored = _DUMMY_HASH if agent is None else agent.password_hash
        # Hashing takes tens of milliseconds of one core: not on the event loop, and with no
        # transaction open.
        right = await asyncio.to_thread(_verify, stored, password)
        if agent is None or not right:
            log.info("login.refused", agent_id=None if agent is None else str(agent.id))
            raise LoginRefusedError
        new_hash = None
        if HASHER.check_needs_rehash(stored):
            new_hash = await asyncio.to_thread(HASHER.hash, normal_password(password))
        return await self._start(agent.id, new_hash=new_hash, replaces=replaces, now=now)

    async def recognise(self, token: str) -> LoggedIn | None:
        """Who holds this token; None when the session is over or never was."""
        now = self._clock.now()
        async with self._db.transaction() as session:
            row = (
                await session.execute(
                    select(AgentSession, Agent)
                    .join(Agent, Agent.id == AgentSession.agent_id)
                    .where(
                        AgentSession.token_hash == _hash(token),
                        AgentSession.expires_at > now,
                        AgentSession.last_seen_at > now - self._idle,
                        Agent.active,
                    )
                )
            ).one_or_none()
            if row is None:
                return None
            kept, agent = row
            if now - kept.last_seen_at >= _SEEN_EVERY:
                kept.last_seen_at = now
            return await _logged_in(session, agent, kept)

    async def log_out(self, token: str) -> None:
        """End this session."""
        async with self._db.transaction() as session:
            await session.execute(
                delete(AgentSession).where(AgentSession.token_hash == _hash(token))
            )

    async def _count_attempt(self, email: str, *, now: datetime) -> Agent | None:
        """The agent, unless unknown, disabled or waiting; their attempt is counted."""
        async with self._db.transaction() as session:
            agent: Agent | None = await session.scalar(
                update(Agent)
                .where(
                    Agent.email == email,
                    Agent.active,
                    or_(Agent.locked_until.is_(None), Agent.locked_until <= now),
                )
                .values(failed_logins=Agent.failed_logins + 1)
                .returning(Agent)
            )
            if agent is None:
                return None
            wait = lock_time(agent.failed_logins)
            if wait is not None:
                agent.locked_until = now + wait
                log.warning("login.locked", agent_id=str(agent.id), attempts=agent.failed_logins)
            return agent

    async def _start(
        self, agent_id: uuid.UUID, *, new_hash: str | None, replaces: str | None, now: datetime
    ) -> NewSession:
        token = new_token()
        async with self._db.transaction() as session:
            agent = await session.get_one(Agent, agent_id, with_for_update=True)
            if not agent.active:  # disabled while the password was being checked
                raise LoginRefusedError
            agent.failed_logins = 0
            agent.locked_until = None
            if new_hash is not None:
                agent.password_hash = new_hash
            over = or_(
                AgentSession.expires_at <= now, AgentSession.last_seen_at <= now - self._idle
            )
            await session.execute(
                delete(AgentSession).where(AgentSession.agent_id == agent.id, over)
            )
            if replaces is not None:
                await session.execute(
                    delete(AgentSession).where(AgentSession.token_hash == _hash(replaces))
                )
            kept = AgentSession(
                token_hash=_hash(token),
                agent_id=agent.id,
                csrf_token=new_token(),
                created_at=now,
                last_seen_at=now,
                expires_at=now + self._absolute,
            )
            session.add(kept)
            await session.flush()
            log.info("login.succeeded", agent_id=str(agent.id))
            return NewSession(token=token, who=await _logged_in(session, agent, kept))


async def _logged_in(session: AsyncSession, agent: Agent, kept: AgentSession) -> LoggedIn:
    queue_ids = (
        await session.scalars(select(AgentQueue.queue_id).where(AgentQueue.agent_id == agent.id))
    ).all()
    return LoggedIn(
        agent_id=agent.id,
        email=agent.email,
        name=agent.name,
        actor=Actor(
            agent_id=agent.id,
            role=Role(agent.role),
            queue_ids=frozenset(queue_ids) if queue_ids else None,
        ),
        csrf_token=kept.csrf_token,
        expires_at=kept.expires_at,
    )


def _verify(stored: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD:
        password = ""
    try:
        return HASHER.verify(stored, normal_password(password))
    except (VerificationError, InvalidHashError):
        return False


def _hash(token: str) -> str:
    # A token is 256 random bits, so a fast hash is enough: there is nothing to guess.
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
