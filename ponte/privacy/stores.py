"""All stores of an installation, in the order in which an erasure empties them."""

from __future__ import annotations

from ponte.privacy.file_stores import LogStore, MailStore, SimulatorStore
from ponte.privacy.rasa_store import RasaStore
from ponte.privacy.redis_store import RedisStore
from ponte.processes.state import StateFolder
from ponte.settings import Settings
from ticketing.db.engine import Database
from ticketing.services.person_stores import AttachmentFiles, PersonStore, table_stores


def person_stores(settings: Settings, db: Database) -> tuple[PersonStore, ...]:
    """Every place that may hold something of a customer.

    Rasa first: its trackers are the only words of a customer outside our database, and an erasure
    that cannot reach them shall not get far. The table `contacts` comes last.
    """
    folder = StateFolder(settings.state_dir)
    return (
        RasaStore(settings.ponte_rasa_database_url, "events"),
        RasaStore(settings.ponte_rasa_database_url, "turns"),
        RedisStore(settings.redis_url),
        MailStore(folder.mailbox),
        LogStore(folder.logs),
        SimulatorStore(folder.path / "simulator.db"),
        AttachmentFiles(db),
        *table_stores(db),
    )
