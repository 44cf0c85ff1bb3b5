"""Rasa's SQL tracker store, made safe for turns that must run exactly once.

What differs from `rasa.core.tracker_store.SQLTrackerStore` (3.6.21):

* one full SQLAlchemy URL, unix sockets included (`postgresql://user@/name?host=/run/postgresql`);
* a server that cannot be reached is an error within seconds: Rasa's store waits for ever at the
  start, and holds the whole process while a query hangs;
* a connection that the server closed is replaced before use (`pool_pre_ping`);
* the id of every stored turn is written in the same transaction as its events, under a unique key.
  Two processes that run the same turn at once cannot both store it: the second gets
  `TurnAlreadyStoredError`, and nothing of its run remains;
* a tracker is stored only on top of the events it was loaded with. Rasa's store counts the events
  that are in the table at that moment and cuts the tracker there, so of two writers the second
  stores a torn turn. Here it gets `ConversationChangedError`.

An erasure request has to delete from both tables: `events` by `sender_id`, `turns` by
`conversation_id`.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any, Optional

import sqlalchemy as sa
import sqlalchemy.exc
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import SQLTrackerStore, TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.exceptions import RasaException
from sqlalchemy import orm

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_SECONDS = 5
# Rasa's queries run on the event loop: a hanging one would stop every other conversation.
_STATEMENT_TIMEOUT_MS = 10_000
# A database started together with the bot needs a moment; one that is not there will not come.
_START_ATTEMPTS = 10
_START_PAUSE_SECONDS = 1.0
# One process works in one thread; the second connection is for a health probe during a turn.
_POOL_SIZE = 2


class TrackerStoreError(RasaException):
    """The database of the trackers cannot be used; the text names the cause, not the URL."""


class TurnAlreadyStoredError(RasaException):
    """Another process stored this turn first; read its result instead."""


class ConversationChangedError(RasaException):
    """Another process stored events after this tracker was loaded; load it again."""


@dataclass(frozen=True)
class _Loaded:
    """What was in the table when a tracker was loaded.

    Attributes:
        count: number of events of the tracker.
        last_id: id of the conversation's newest event; None when there was none.
    """

    count: int = 0
    last_id: Optional[int] = None


class TurnTrackerStore(SQLTrackerStore):
    """Trackers in PostgreSQL (or SQLite in tests), one row for each turn that was stored.

    Args:
        domain: set by Rasa when the model is loaded.
        host: the full URL; `endpoints.yml` calls it `url`, Rasa hands it on as `host`.
        event_broker: as Rasa's; unused here.
    """

    class Turn(SQLTrackerStore.Base):
        """A turn whose events are stored."""

        __tablename__ = "turns"
        conversation_id = sa.Column(sa.String(255), primary_key=True)
        message_id = sa.Column(sa.String(255), primary_key=True)

    def __init__(
        self,
        domain: Optional[Domain] = None,
        host: Optional[str] = None,
        event_broker: Optional[EventBroker] = None,
        **kwargs: Any,
    ) -> None:
        url = database_url(host)
        self.engine = sa.create_engine(url, **_engine_options(url))
        self._create_tables()
        self.sessionmaker = orm.sessionmaker(bind=self.engine)
        # SQLTrackerStore.__init__ is left out on purpose: it loops for ever on a bad connection.
        TrackerStore.__init__(self, domain, event_broker, **kwargs)

    def _create_tables(self) -> None:
        """Create what is missing; other bots may be doing the same right now.

        Raises:
            TrackerStoreError: the database did not answer in time or refused.
        """
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self.Base.metadata.create_all(self.engine)
            except sa.exc.SQLAlchemyError as error:  # noqa: PERF203 - ten rounds
                if attempt == _START_ATTEMPTS:
                    message = (
                        "the tracker database (PONTE_RASA_DATABASE_URL) cannot be used: "
                        f"{_cause(error)}"
                    )
                    raise TrackerStoreError(message) from None
                log.warning("tracker_store.waiting attempt=%d", attempt)
                time.sleep(_START_PAUSE_SECONDS)
            else:
                return

    async def has_turn(self, conversation_id: str, *, message_id: str) -> bool:
        """Whether the turn of this message is stored."""
        with self.session_scope() as session:
            found = session.get(self.Turn, (conversation_id, message_id))
            return found is not None

    async def _retrieve(
        self,
        sender_id: str,
        fetch_events_from_all_sessions: bool,  # noqa: FBT001 - Rasa's name
    ) -> Optional[DialogueStateTracker]:
        with self.session_scope() as session:
            rows = self._event_query(
                session, sender_id, fetch_events_from_all_sessions=fetch_events_from_all_sessions
            ).all()
        if not rows or self.domain is None:
            return None
        events = [json.loads(row.data) for row in rows]
        tracker = DialogueStateTracker.from_dict(sender_id, events, self.domain.slots)
        tracker.loaded = _Loaded(len(tracker.events), rows[-1].id)
        return tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Store the new events and the ids of their turns, all or nothing.

        Raises:
            TurnAlreadyStoredError: one of the turns is stored already.
            ConversationChangedError: someone else stored events since the tracker was loaded.
        """
        await self.stream_events(tracker)
        conversation_id = tracker.sender_id
        loaded: _Loaded = getattr(tracker, "loaded", _Loaded())
        events = list(tracker.events)[loaded.count :]
        with self.session_scope() as session:
            self._lock(session, conversation_id)
            self._add_turns(session, conversation_id, _message_ids(events))
            if self._last_id(session, conversation_id) != loaded.last_id:
                message = f"conversation {conversation_id} changed while a turn of it ran"
                raise ConversationChangedError(message)
            rows = [self._row(conversation_id, event) for event in events]
            session.add_all(rows)
            session.flush()
            last_id = rows[-1].id if rows else loaded.last_id
            session.commit()
        tracker.loaded = _Loaded(loaded.count + len(events), last_id)

    def _lock(self, session: orm.Session, conversation_id: str) -> None:
        """Let one writer of a conversation at a time compare and store; SQLite has one anyway."""
        if self.engine.dialect.name == "postgresql":
            key = sa.func.hashtextextended(conversation_id, 0)
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def _add_turns(
        self, session: orm.Session, conversation_id: str, message_ids: list[str]
    ) -> None:
        for message_id in message_ids:
            session.add(self.Turn(conversation_id=conversation_id, message_id=message_id))
        try:
            session.flush()
        except sa.exc.IntegrityError:
            message = f"a turn of conversation {conversation_id} is already stored"
            raise TurnAlreadyStoredError(message) from None

    def _last_id(self, session: orm.Session, conversation_id: str) -> Optional[int]:
        query = sa.select(sa.func.max(self.SQLEvent.id))
        newest: Optional[int] = session.execute(
            query.where(self.SQLEvent.sender_id == conversation_id)
        ).scalar()
        return newest

    def _row(self, sender_id: str, event: Event) -> SQLTrackerStore.SQLEvent:
        data: dict[str, Any] = event.as_dict()
        intent = (data.get("parse_data") or {}).get("intent") or {}
        return self.SQLEvent(
            sender_id=sender_id,
            type_name=event.type_name,
            timestamp=data.get("timestamp"),
            intent_name=intent.get("name"),
            action_name=data.get("name"),
            data=json.dumps(data),
        )


def database_url(url: Optional[str]) -> str:
    """The URL in the form SQLAlchemy 1.4 and psycopg2 need.

    Raises:
        TrackerStoreError: no URL, or one that is not PostgreSQL's or SQLite's. The value is not
            repeated: it holds a password.
    """
    schemes = {
        "postgres": "postgresql+psycopg2",
        "postgresql": "postgresql+psycopg2",
        # The server's own spelling: psycopg 3 is not in this environment.
        "postgresql+psycopg": "postgresql+psycopg2",
        "postgresql+psycopg2": "postgresql+psycopg2",
        "sqlite": "sqlite",
    }
    scheme, separator, rest = (url or "").strip().partition("://")
    if not separator or scheme not in schemes:
        message = (
            "endpoints.yml: tracker_store.url (PONTE_RASA_DATABASE_URL) must be a full URL like "
            "postgresql://user:password@host:5432/name or postgresql://user@/name?host=/socket/dir"
        )
        raise TrackerStoreError(message)
    return f"{schemes[scheme]}://{rest}"


def _engine_options(url: str) -> dict[str, Any]:
    if not url.startswith("postgresql"):
        return {}
    return {
        "pool_pre_ping": True,
        "pool_size": _POOL_SIZE,
        "connect_args": {
            "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
            "application_name": "ponte-bot",
        },
    }


def _message_ids(events: list[Event]) -> list[str]:
    """Ids of the user messages, each once: Rasa's two-stage fallback repeats a message's event."""
    ids = (event.message_id for event in events if isinstance(event, UserUttered))
    return list(dict.fromkeys(message_id for message_id in ids if message_id))


def _cause(error: Exception) -> str:
    """What the driver said, without the statement and the parameters SQLAlchemy adds."""
    original = getattr(error, "orig", None)
    return " ".join(str(original if original is not None else error).split())
