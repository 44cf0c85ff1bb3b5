"""The engine and the unit of work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from kit.json import dumps


def make_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An async engine for a `postgresql://` URL (the psycopg driver is put in here).

    `pool_pre_ping` is off: a dead connection raises and the caller's retry or lease covers it,
    which saves a round trip on every transaction.
    """
    return create_async_engine(
        with_driver(url),
        pool_size=pool_size,
        hide_parameters=True,  # errors are logged, and parameters hold what customers wrote
        max_overflow=pool_size,
        pool_timeout=10,  # seconds; a caller waits no longer for a free connection
        pool_recycle=1800,
        json_serializer=dumps,
        json_deserializer=orjson.loads,
        connect_args={"connect_timeout": 5, "prepare_threshold": 2},
    )


def with_driver(url: str) -> str:
    """The same URL with SQLAlchemy's psycopg 3 dialect."""
    scheme, rest = url.split("://", 1)
    if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        message = f"PONTE_DATABASE_URL: expected postgresql://..., got {scheme}://..."
        raise ValueError(message)
    return f"postgresql+psycopg://{rest}"


def without_driver(url: str) -> str:
    """The same URL as libpq reads it, for a connection beside SQLAlchemy."""
    return f"postgresql://{url.split('://', 1)[1]}"


BEFORE_COMMIT: ContextVar[Callable[[AsyncSession], Awaitable[None]] | None] = ContextVar(
    "before_commit", default=None
)
"""Called in every transaction of the running request, right before it commits.

With it a request that carries an idempotency key is marked as done by the very transaction that
does it (`ticketing.services.idempotency`). An exception undoes the transaction.
"""


class Database:
    """Sessions for services: `async with db.transaction() as session`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self.session_info: dict[str, Any] = {}
        """Copied into `info` of every session: what services find beside their rows."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end and rolls back on any exception."""
        async with self._sessions(info=self.session_info) as session, session.begin():
            yield session
            before_commit = BEFORE_COMMIT.get()
            if before_commit is not None:
                await session.flush()
                await before_commit(session)

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()
