"""How alembic reaches the database: the URL `ponte.migrate` hands in, else PONTE_DATABASE_URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Column, Index, create_engine, pool, text
from sqlalchemy.schema import SchemaItem

from ponte.migrate import LOCK_TIMEOUT, MIGRATION_LOCK, database_url_of
from ticketing.db.engine import with_driver
from ticketing.db.tables import Base


def comparable(
    thing: SchemaItem, _name: object, kind: str, _reflected: object, _other: object
) -> bool:
    """Whether alembic can compare it: of an index on an expression it only sees another spelling.

    `tests/ponte/test_migrations.py` compares those by what PostgreSQL says of them.
    """
    return kind != "index" or not isinstance(thing, Index) or is_plain(thing)


def is_plain(index: Index) -> bool:
    """Whether it has columns alone."""
    return len(index.columns) == len(index.expressions) and all(
        isinstance(part, Column) for part in index.expressions
    )


def run() -> None:
    if context.is_offline_mode():
        context.configure(
            dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = create_engine(with_driver(database_url_of(context.config)), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            include_object=comparable,
        )
        with context.begin_transaction():
            # Two processes that migrate at once take turns; the second finds nothing left to do.
            # First this wait, then the time limit: it must not apply to the waiting.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            patience = context.config.attributes.get("lock_timeout", LOCK_TIMEOUT)
            connection.execute(
                text("SELECT set_config('lock_timeout', :patience, true)"), {"patience": patience}
            )
            context.run_migrations()
    engine.dispose()


run()
