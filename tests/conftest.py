"""Fixtures for all tests: a real PostgreSQL and Redis out of wheels, once a session.

Both start on first use, in a temporary folder of their own, with `fsync` off.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
import redis as redis_client

from kit.clock import FakeClock
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.embedded.redis import EmbeddedRedis
from ticketing.db.engine import Database, make_engine, with_driver
from ticketing.db.tables import Base

# Sanic rewrites the source of its own classes for the first app of a process; the apps after it,
# which only tests have, would be rewritten from what is no source any more.
os.environ.setdefault("SANIC_TOUCHUP", "false")  # noqa: TID251 - Sanic reads nothing else so early

LONG = ("tests/faults/", "tests/e2e/", "tests/notifications/processes/", "tests/bot/")
"""Folders whose files take longest. They go first, so that none is left alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files, not the tests in them."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, folder in enumerate(LONG) if folder in str(item.path)), len(LONG))

    items.sort(key=rank)


@pytest.fixture
def clock() -> FakeClock:
    """Tuesday 2026-03-10, 13:00 UTC: 10:00 in Sao Paulo, an ordinary business hour."""
    return FakeClock(datetime(2026, 3, 10, 13, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def engines_folder() -> Iterator[Path]:
    """Short and outside pytest's own temporary folder, which every session closes again (0700)."""
    folder = Path(tempfile.mkdtemp(prefix="ponte-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(engines_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for this session; its role may create databases."""
    server = EmbeddedPostgres(
        engines_folder / "postgres", engines_folder / "run", durable=False, databases=("ponte",)
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: EmbeddedPostgres) -> str:
    """`postgresql://` URL of a database that has all tables."""
    url = postgres_server.url("ponte")
    create_all(url)
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_database(postgres_url: str) -> AsyncIterator[Database]:
    """One connection pool for the session."""
    database = Database(make_engine(postgres_url))
    yield database
    await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def db(session_database: Database, postgres_url: str) -> Database:
    """The database, emptied before the test. Services open their own transactions on it."""
    empty_all_tables(postgres_url)
    return session_database


@pytest.fixture
def db_url(postgres_url: str) -> str:
    """URL of the same database, emptied: for code that opens its own connections."""
    empty_all_tables(postgres_url)
    return postgres_url


@pytest.fixture(scope="session")
def redis_server(engines_folder: Path) -> Iterator[EmbeddedRedis]:
    """A Redis server for this session."""
    server = EmbeddedRedis(engines_folder / "redis", engines_folder / "run", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """`unix://` URL of a Redis, emptied before the test."""
    url = redis_server.url()
    with redis_client.Redis.from_url(url) as client:
        client.flushall()
    return url


def create_all(url: str) -> None:
    """All tables of `ticketing.db.tables`."""
    from sqlalchemy import create_engine  # noqa: PLC0415

    engine = create_engine(with_driver(url))
    Base.metadata.create_all(engine)
    engine.dispose()


def empty_all_tables(url: str) -> None:
    """Empty every table that has rows; numbers start again.

    Looking first is cheaper than TRUNCATE of all: most tests touch few tables.
    """
    names = ", ".join(f"'{table.name}'" for table in Base.metadata.sorted_tables)
    statement = f"""
    SET lock_timeout = '5s';
    SET ponte.audit_cut = 'on';  -- the audit log refuses to be emptied otherwise
    DO $$
    DECLARE name text; filled text[] := '{{}}'; has_rows boolean;
    BEGIN
      FOREACH name IN ARRAY ARRAY[{names}] LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO has_rows;
        IF has_rows THEN filled := filled || quote_ident(name); END IF;
      END LOOP;
      IF filled <> '{{}}' THEN
        EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' RESTART IDENTITY CASCADE';
      END IF;
    END $$;
    """  # noqa: S608 - the names are our own tables'
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
