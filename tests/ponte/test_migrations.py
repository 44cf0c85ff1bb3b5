"""The migrations make exactly the tables of `ticketing.db.tables`, down to every CHECK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from psycopg import sql
from sqlalchemy.exc import OperationalError

from ponte import migrate as migrations
from ponte.embedded.postgres import EmbeddedPostgres
from tests.conftest import create_all

ROOT = Path(__file__).resolve().parents[2]
HOW = "change the tables? then: python -m ponte.make_revision --first (see alembic.ini)"

CATALOGUE = {
    "columns": """
        SELECT table_name || '.' || column_name, data_type, udt_name, is_nullable,
               column_default, is_identity, identity_start, identity_generation
        FROM information_schema.columns WHERE table_schema = 'public'""",
    "constraints": """
        SELECT conrelid::regclass::text || ' ' || conname, contype::text,
               pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "sequences": "SELECT sequencename::text FROM pg_sequences WHERE schemaname = 'public'",
}


@pytest.fixture
def empty_databases(postgres_server: EmbeddedPostgres) -> Iterator[tuple[str, str]]:
    names = ("by_migration", "by_tables")
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield (postgres_server.url(names[0]), postgres_server.url(names[1]))
        for name in names:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def catalogue(url: str, kind: str) -> set[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(CATALOGUE[kind].encode()).fetchall()
    return {row for row in rows if not str(row[0]).startswith("alembic_version")}


def test_migrating_makes_the_tables_of_the_code(empty_databases: tuple[str, str]) -> None:
    by_migration, by_tables = empty_databases
    migrations.migrate(by_migration)
    create_all(by_tables)

    for kind in CATALOGUE:
        assert catalogue(by_migration, kind) == catalogue(by_tables, kind), HOW


def test_alembic_finds_no_difference(empty_databases: tuple[str, str]) -> None:
    migrations.migrate(empty_databases[0])

    migrations.check(empty_databases[0])


def test_migrating_twice_changes_nothing(empty_databases: tuple[str, str]) -> None:
    url = empty_databases[0]

    first = migrations.migrate(url)
    second = migrations.migrate(url)

    assert first.before is None
    assert first.after == migrations.head_revision()
    assert second == migrations.MigrationResult(first.after, first.after)


def test_two_that_migrate_at_once_take_turns(empty_databases: tuple[str, str]) -> None:
    code = "import sys; from ponte.migrate import migrate; print(migrate(sys.argv[1]).after)"
    call = [sys.executable, "-c", code, empty_databases[0]]

    processes = [
        subprocess.Popen(call, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    said = [process.communicate(timeout=30)[0].strip() for process in processes]

    assert said == [migrations.head_revision()] * 2


def test_a_migration_that_cannot_get_its_lock_gives_up(empty_databases: tuple[str, str]) -> None:
    url = empty_databases[0]
    migrations.migrate(url)
    with psycopg.connect(url) as busy:
        busy.execute("SELECT 1 FROM tickets")

        config = migrations.config_for(url)
        config.attributes["lock_timeout"] = "50ms"
        with pytest.raises(OperationalError, match="lock timeout"):
            command.downgrade(config, "base")


def test_the_way_back_leaves_an_empty_database(empty_databases: tuple[str, str]) -> None:
    url = empty_databases[0]
    migrations.migrate(url)

    command.downgrade(migrations.config_for(url), "base")

    assert catalogue(url, "columns") == set()


def test_a_database_that_is_not_there_is_told_without_a_trace() -> None:
    url = "postgresql://ponte@/ponte?host=/nowhere&port=5432"

    with pytest.raises(migrations.MigrationError, match="the database could not be migrated"):
        migrations.migrate(url)
