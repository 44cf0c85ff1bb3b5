"""API tokens: a program acts for an agent, with some of the agent's permissions, until a day.

A token is 256 random bits behind the prefix `ponte_`, which scanners of leaked secrets look for;
only its hash is stored. What it may do is asked at every request: its scopes, and of these what
its owner's present role has. It never logs in to the console and never makes another token.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_id, new_token
from ticketing.db.engine import Database
from ticketing.db.people_tables import Agent, ApiToken
from ticketing.domain.enums import Role, parse
from ticketing.domain.people import InvalidAgentError, check_name
from ticketing.domain.permissions import PERMISSIONS_OF, Permission
from ticketing.services.people_acts import Act, record_people_act
from ticketing.services.sessions import LoggedIn, actor_of, hash_of

PREFIX = "ponte_"
MAX_LIFETIME = timedelta(days=366)
"""A year: a token that nobody renews belongs to a program that nobody remembers."""
MAX_LIVE = 50
"""Of one agent at once."""
_USED_EVERY = timedelta(minutes=1)  # one write a minute and token is exact enough


class TokenNotFoundError(Exception):
    """There is no such token, or it belongs to somebody else."""

    def __init__(self) -> None:
        super().__init__("there is no such token")


class TooManyTokensError(Exception):
    """The agent has as many tokens as one may have."""

    def __init__(self) -> None:
        super().__init__(f"expected at most {MAX_LIVE} living tokens; revoke one first")


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as lists show it, without the secret."""

    id: uuid.UUID
    agent_id: uuid.UUID
    owner: str
    name: str
    scopes: tuple[str, ...]
    state: str
    """live, expired, revoked, or dead: its owner is disabled."""
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A fresh token; `secret` goes into `Authorization: Bearer` and is shown this once."""

    secret: str
    token: TokenView


async def create_token(
    session: AsyncSession,
    agent_id: uuid.UUID,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime,
    act: Act,
) -> NewToken:
    """Make a token for an agent.

    Raises:
        TokenNotFoundError: when the agent is not there or disabled.
        InvalidAgentError: naming the field: name, scopes or expires_at.
        UnknownValueError: for a scope that is none.
        TooManyTokensError: when they have enough.
    """
    agent = await session.get(Agent, agent_id, with_for_update=True)
    if agent is None or not agent.active:
        raise TokenNotFoundError
    shown = check_name(name)
    wanted = _check_scopes(scopes, Role(agent.role))
    if not act.now < expires_at <= act.now + MAX_LIFETIME:
        problem = f"expected a moment within the next {MAX_LIFETIME.days} days"
        raise InvalidAgentError(problem, field="expires_at")
    live = await session.scalar(
        select(func.count()).where(
            ApiToken.agent_id == agent_id,
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at > act.now,
        )
    )
    if (live or 0) >= MAX_LIVE:
        raise TooManyTokensError
    secret = PREFIX + new_token()
    row = ApiToken(
        id=new_id(),
        token_hash=hash_of(secret),
        agent_id=agent_id,
        name=shown,
        scopes=wanted,
        created_at=act.now,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    data = {"scopes": wanted, "expires_at": expires_at.isoformat(), "agent_id": str(agent_id)}
    await record_people_act(
        session, act, action="token.created", subject=f"token:{row.id}", data=data
    )
    return NewToken(secret, _view(row, agent, act.now))


async def list_tokens(
    session: AsyncSession, *, now: datetime, agent_id: uuid.UUID | None = None
) -> tuple[TokenView, ...]:
    """Tokens of one agent, or of all, the newest first."""
    statement = (
        select(ApiToken, Agent)
        .join(Agent, Agent.id == ApiToken.agent_id)
        .order_by(ApiToken.created_at.desc(), ApiToken.id.desc())
        .limit(1000)
    )
    if agent_id is not None:
        statement = statement.where(ApiToken.agent_id == agent_id)
    rows = await session.execute(statement)
    return tuple(_view(token, agent, now) for token, agent in rows)


async def revoke_token(
    session: AsyncSession, token_id: uuid.UUID, *, act: Act, owner: uuid.UUID | None = None
) -> TokenView:
    """End a token at once. Doing it twice changes nothing.

    Args:
        session: Its transaction.
        token_id: Which.
        act: Who and when.
        owner: Whose it must be; None: anybody's.

    Raises:
        TokenNotFoundError: when there is none, or it is another person's.
    """
    row = await session.get(ApiToken, token_id, with_for_update=True)
    if row is None or owner not in {None, row.agent_id}:
        raise TokenNotFoundError
    if row.revoked_at is None:
        row.revoked_at = act.now
        await session.flush()
        await record_people_act(session, act, action="token.revoked", subject=f"token:{token_id}")
    return _view(row, await session.get_one(Agent, row.agent_id), act.now)


class ApiTokenService:
    """Recognises tokens.

    Args:
        db: Where they are.
        clock: For `now`.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def recognise(self, secret: str) -> LoggedIn | None:
        """For whom this token acts, with which scopes; None when it is not, or no longer, good."""
        if not secret.startswith(PREFIX):
            return None
        now = self._clock.now()
        async with self._db.transaction() as session:
            row = (
                await session.execute(
                    select(ApiToken, Agent)
                    .join(Agent, Agent.id == ApiToken.agent_id)
                    .where(
                        ApiToken.token_hash == hash_of(secret),
                        ApiToken.revoked_at.is_(None),
                        ApiToken.expires_at > now,
                        Agent.active,
                    )
                )
            ).one_or_none()
            if row is None:
                return None
            token, agent = row
            await self._note_use(session, token.id, now)
            scopes = frozenset(
                permission for permission in Permission if permission.value in token.scopes
            )
            return LoggedIn(
                agent_id=agent.id,
                email=agent.email,
                name=agent.name,
                actor=await actor_of(session, agent, scopes=scopes),
                csrf_token="",
                expires_at=token.expires_at,
                token_id=token.id,
            )

    async def _note_use(self, session: AsyncSession, token_id: uuid.UUID, now: datetime) -> None:
        # One statement, so that a hundred requests at once write once and do not queue up.
        free = (
            select(ApiToken.id)
            .where(
                ApiToken.id == token_id,
                or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= now - _USED_EVERY),
            )
            .with_for_update(skip_locked=True)
        )
        await session.execute(
            update(ApiToken).where(ApiToken.id.in_(free)).values(last_used_at=now)
        )


def _check_scopes(scopes: Iterable[str], role: Role) -> list[str]:
    """The scopes, sorted, when the role has them all."""
    wanted = {parse(Permission, scope, field="scopes") for scope in scopes}
    owned = sorted(permission.value for permission in PERMISSIONS_OF[role])
    if not wanted:
        problem = f"expected at least one of {', '.join(owned)}"
        raise InvalidAgentError(problem, field="scopes", allowed=owned)
    for scope in sorted(wanted):
        if scope not in PERMISSIONS_OF[role]:
            problem = f"{scope.value} is not a permission of the role {role.value}"
            raise InvalidAgentError(problem, field="scopes", allowed=owned)
    return sorted(scope.value for scope in wanted)


def _view(token: ApiToken, agent: Agent, now: datetime) -> TokenView:
    if token.revoked_at is not None:
        state = "revoked"
    elif token.expires_at <= now:
        state = "expired"
    else:
        state = "live" if agent.active else "dead"
    return TokenView(
        id=token.id,
        agent_id=token.agent_id,
        owner=agent.email,
        name=token.name,
        scopes=tuple(token.scopes),
        state=state,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )
