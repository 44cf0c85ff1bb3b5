"""Logins: throttled, without telling which addresses exist; sessions kept on the server.

Only the hash of a session's token is stored. A session ends when it is idle too long, when it is
too old, at logout, and at once when the agent is disabled, gets another role or another password
(OWASP ASVS 7.3, 7.4).
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
from ticketing.db.people_tables import AgentTeam
from ticketing.db.tables import Agent, AgentQueue, AgentSession, Queue
from ticketing.domain.enums import Role
from ticketing.domain.login import MAX_PASSWORD, check_password, lock_time
from ticketing.domain.permissions import Permission
from ticketing.domain.ticket import Actor
from ticketing.services.agents import HASHER, end_logins, normal_email, normal_password
from ticketing.services.people_acts import Act, record_people_act

log = structlog.get_logger()

IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(hours=24)
_SEEN_EVERY = timedelta(minutes=1)  # one write a minute and session is exact enough for `IDLE`

_MAX_USER_AGENT = 200  # characters; enough to tell a phone from a desk

# Verified when the address is unknown or the account waits, so that both take equally long.
_DUMMY_HASH = HASHER.hash(new_token())


class LoginRefusedError(Exception):
    """Wrong address, wrong password, disabled, or waiting after failures: never said which."""

    def __init__(self) -> None:
        super().__init__(
            "the e-mail address or the password is wrong, "
            "or there were too many failed logins: wait some minutes and try again"
        )


class PasswordRefusedError(Exception):
    """The present password is wrong, or was wrong too often."""

    def __init__(self) -> None:
        super().__init__(
            "present_password: is wrong, or was wrong too often: wait some minutes and try again"
        )


class SessionNotFoundError(Exception):
    """The person has no session with this id."""

    def __init__(self) -> None:
        super().__init__("you have no such session; expected an id of GET /me/sessions")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who is logged in. `csrf_token` must come back with every write made by cookie.

    Exactly one of `session_id` and `token_id` is there: a login of a person, or an API token.
    """

    agent_id: uuid.UUID
    email: str
    name: str
    actor: Actor
    csrf_token: str
    expires_at: datetime
    session_id: uuid.UUID | None = None
    token_id: uuid.UUID | None = None

    @property
    def role(self) -> Role:
        """Their role."""
        return self.actor.role

    @property
    def permissions(self) -> frozenset[Permission]:
        """What they may do here: their role's, and of these a token's scopes only."""
        return self.actor.permissions

    @property
    def limit_key(self) -> str:
        """What rate limits count: the person, or each of their tokens by itself."""
        return f"token:{self.token_id}" if self.token_id else str(self.agent_id)


@dataclass(frozen=True, slots=True)
class SessionView:
    """One login of a person; `present` is the one that asks."""

    id: uuid.UUID
    user_agent: str | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    present: bool


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

    async def log_in(
        self,
        *,
        email: str,
        password: str,
        replaces: str | None = None,
        user_agent: str | None = None,
        correlation_id: str = "",
    ) -> NewSession:
        """A new session with a new token.

        An attempt is counted before the password is looked at, in one statement: a hundred
        attempts at the same moment are a hundred attempts. `replaces` is the token the browser
        had before; it ends with the login (session fixation).

        Raises:
            LoginRefusedError: always the same, whatever was wrong.
        """
        act = Act(self._clock.now(), correlation_id=correlation_id)
        agent = await self._check_password(normal_email(email), password, act)
        if agent is None:
            raise LoginRefusedError
        new_hash = None
        if HASHER.check_needs_rehash(agent.password_hash):
            new_hash = await asyncio.to_thread(HASHER.hash, normal_password(password))
        async with self._db.transaction() as session:
            agent = await session.get_one(Agent, agent.id, with_for_update=True)
            if not agent.active:  # disabled while the password was being checked
                raise LoginRefusedError
            agent.failed_logins = 0
            agent.locked_until = None
            if new_hash is not None:
                agent.password_hash = new_hash
            if replaces is not None:
                await session.execute(
                    delete(AgentSession).where(AgentSession.token_hash == hash_of(replaces))
                )
            started = await self._start(session, agent, user_agent=user_agent, now=act.now)
            log.info("login.succeeded", agent_id=str(agent.id))
            await record_people_act(
                session,
                Act(act.now, started.who.actor, correlation_id),
                action="login.succeeded",
                subject=f"agent:{agent.id}",
            )
            return started

    async def recognise(self, token: str) -> LoggedIn | None:
        """Who holds this token; None when the session is over or never was."""
        now = self._clock.now()
        async with self._db.transaction() as session:
            row = (
                await session.execute(
                    select(AgentSession, Agent)
                    .join(Agent, Agent.id == AgentSession.agent_id)
                    .where(
                        AgentSession.token_hash == hash_of(token),
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
                delete(AgentSession).where(AgentSession.token_hash == hash_of(token))
            )

    async def list_sessions(self, who: LoggedIn) -> tuple[SessionView, ...]:
        """The person's own sessions that live, the latest used first."""
        now = self._clock.now()
        async with self._db.transaction() as session:
            rows = await session.scalars(
                select(AgentSession)
                .where(
                    AgentSession.agent_id == who.agent_id,
                    AgentSession.expires_at > now,
                    AgentSession.last_seen_at > now - self._idle,
                )
                .order_by(AgentSession.last_seen_at.desc(), AgentSession.id)
            )
            return tuple(
                SessionView(
                    id=kept.id,
                    user_agent=kept.user_agent,
                    created_at=kept.created_at,
                    last_seen_at=kept.last_seen_at,
                    expires_at=min(kept.expires_at, kept.last_seen_at + self._idle),
                    present=kept.id == who.session_id,
                )
                for kept in rows
            )

    async def end_session(self, who: LoggedIn, session_id: uuid.UUID) -> None:
        """End one of the person's own sessions.

        Raises:
            SessionNotFoundError: when they have none with this id.
        """
        async with self._db.transaction() as session:
            ended = await session.scalar(
                delete(AgentSession)
                .where(AgentSession.id == session_id, AgentSession.agent_id == who.agent_id)
                .returning(AgentSession.id)
            )
        if ended is None:
            raise SessionNotFoundError

    async def end_other_sessions(self, who: LoggedIn) -> int:
        """End the person's sessions except the one that asks; how many."""
        async with self._db.transaction() as session:
            ended = await session.scalars(
                delete(AgentSession)
                .where(
                    AgentSession.agent_id == who.agent_id,
                    AgentSession.id.is_distinct_from(who.session_id),
                )
                .returning(AgentSession.id)
            )
            return len(ended.all())

    async def change_password(
        self,
        who: LoggedIn,
        *,
        present: str,
        wanted: str,
        user_agent: str | None = None,
        correlation_id: str = "",
    ) -> NewSession:
        """Another password for the person themselves; all sessions end, a new one starts.

        Wrong guesses of the present password count like failed logins: a stolen session is no way
        to try passwords out.

        Raises:
            WeakPasswordError: when the new one is too easy, or the present one again.
            PasswordRefusedError: when the present one is wrong, or was too often.
        """
        act = Act(self._clock.now(), who.actor, correlation_id)
        check_password(wanted, email=who.email, name=who.name)
        checked = await self._check_password(who.email, present, act)
        if checked is None:
            raise PasswordRefusedError
        new_hash = await asyncio.to_thread(HASHER.hash, normal_password(wanted))
        async with self._db.transaction() as session:
            agent = await session.get_one(Agent, who.agent_id, with_for_update=True)
            if not agent.active or agent.password_hash != checked.password_hash:
                raise PasswordRefusedError  # changed or shut out while it was being checked
            agent.password_hash = new_hash
            agent.failed_logins = 0
            agent.locked_until = None
            await end_logins(session, agent.id)
            await record_people_act(
                session, act, action="password.changed", subject=f"agent:{agent.id}"
            )
            return await self._start(session, agent, user_agent=user_agent, now=act.now)

    async def _check_password(self, email: str, password: str, act: Act) -> Agent | None:
        """The agent, when the password is theirs; a wrong one is counted and recorded.

        Unknown, disabled and waiting accounts take the same steps and the same time.
        """
        agent = await self._count_attempt(email, now=act.now)
        stored = _DUMMY_HASH if agent is None else agent.password_hash
        # Hashing takes tens of milliseconds of one core: not on the event loop, and with no
        # transaction open.
        right = await asyncio.to_thread(_verify, stored, password)
        if agent is not None and right:
            return agent
        log.info("login.refused", agent_id=None if agent is None else str(agent.id))
        locked = agent is not None and agent.locked_until is not None
        async with self._db.transaction() as session:
            await record_people_act(
                session,
                act,
                action="login.locked" if locked else "login.failed",
                subject="agent:unknown" if agent is None else f"agent:{agent.id}",
            )
        return None

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
        self, session: AsyncSession, agent: Agent, *, user_agent: str | None, now: datetime
    ) -> NewSession:
        token = new_token()
        over = or_(AgentSession.expires_at <= now, AgentSession.last_seen_at <= now - self._idle)
        await session.execute(delete(AgentSession).where(AgentSession.agent_id == agent.id, over))
        kept = AgentSession(
            token_hash=hash_of(token),
            agent_id=agent.id,
            user_agent=_shortened(user_agent),
            csrf_token=new_token(),
            created_at=now,
            last_seen_at=now,
            expires_at=now + self._absolute,
        )
        session.add(kept)
        await session.flush()
        return NewSession(token=token, who=await _logged_in(session, agent, kept))


async def actor_of(
    session: AsyncSession, agent: Agent, *, scopes: frozenset[Permission] | None = None
) -> Actor:
    """What an agent may do and see now, with at most a token's scopes.

    A supervisor who is limited to teams sees the queues of these teams and those they serve
    themselves by name; for them no named queue does not mean all.
    """
    serves = await session.scalars(
        select(AgentQueue.queue_id).where(AgentQueue.agent_id == agent.id)
    )
    queue_ids = frozenset(serves)
    supervised: frozenset[uuid.UUID] | None = None
    if agent.scoped_to_teams:
        of_teams = await session.scalars(
            select(Queue.id)
            .join(AgentTeam, AgentTeam.team_id == Queue.team_id)
            .where(AgentTeam.agent_id == agent.id)
        )
        supervised = frozenset(of_teams)
    return Actor(
        agent_id=agent.id,
        role=Role(agent.role),
        queue_ids=queue_ids if queue_ids or supervised is not None else None,
        supervised_ids=supervised,
        scopes=scopes,
    )


async def _logged_in(session: AsyncSession, agent: Agent, kept: AgentSession) -> LoggedIn:
    return LoggedIn(
        agent_id=agent.id,
        email=agent.email,
        name=agent.name,
        actor=await actor_of(session, agent),
        csrf_token=kept.csrf_token,
        expires_at=kept.expires_at,
        session_id=kept.id,
    )


def _shortened(user_agent: str | None) -> str | None:
    if user_agent is None:
        return None
    return "".join(part for part in user_agent if part.isprintable())[:_MAX_USER_AGENT] or None


def hash_of(token: str) -> str:
    """The stored form of a token.

    A token is 256 random bits, so a fast hash is enough: there is nothing to guess.
    """
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _verify(stored: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD:
        password = ""
    try:
        return HASHER.verify(stored, normal_password(password))
    except (VerificationError, InvalidHashError):
        return False
