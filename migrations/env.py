"""How alembic reaches the database: the URL `ponte.migrate` hands in, else PONTE_DATABASE_URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from ponte.migrate import LOCK_TIMEOUT, MIGRATION_LOCK, database_url_of
from ticketing.db.engine import with_driver
from ticketing.db.tables import Base


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
            connection=connection, target_metadata=Base.metadata, compare_server_default=True
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
