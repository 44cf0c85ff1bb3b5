"""The tracker store on SQLite. Runs in env `bot`; PostgreSQL is tested with the whole process."""

from __future__ import annotations

import asyncio
import tempfile
import unittest
from pathlib import Path

from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, Event, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot.tracker_store import (
    ConversationChangedError,
    TrackerStoreError,
    TurnAlreadyStoredError,
    TurnTrackerStore,
    database_url,
)

DOMAIN = Domain.from_yaml('version: "3.1"\nintents: [greet]')


def tracker(*events: Event) -> DialogueStateTracker:
    return DialogueStateTracker.from_events("c1", list(events), slots=DOMAIN.slots)


def user(message_id: str) -> UserUttered:
    return UserUttered("oi", {"name": "greet"}, message_id=message_id)


class Store(unittest.TestCase):
    def setUp(self) -> None:
        path = Path(tempfile.mkdtemp()) / "rasa.db"
        self.store = TurnTrackerStore(DOMAIN, host=f"sqlite:///{path}")
        self.other = TurnTrackerStore(DOMAIN, host=f"sqlite:///{path}")

    def has_turn(self, message_id: str) -> bool:
        return asyncio.run(self.store.has_turn("c1", message_id=message_id))

    def test_a_saved_turn_is_known_and_complete(self) -> None:
        events = [ActionExecuted("action_listen"), user("m1"), ActionExecuted("action_listen")]
        assert not self.has_turn("m1")
        asyncio.run(self.store.save(tracker(*events)))
        assert self.has_turn("m1")
        assert not asyncio.run(self.store.has_turn("c2", message_id="m1"))
        stored = asyncio.run(self.store.retrieve("c1"))
        assert stored is not None
        assert len(stored.events) == 3

    def stored_ids(self) -> list[str]:
        stored = asyncio.run(self.store.retrieve("c1"))
        assert stored is not None
        return [event.message_id for event in stored.events if isinstance(event, UserUttered)]

    def loaded(self, store: TurnTrackerStore) -> DialogueStateTracker:
        found = asyncio.run(store.retrieve("c1"))
        assert found is not None
        return found

    def test_saving_again_adds_only_what_is_new(self) -> None:
        first = tracker(user("m1"))
        asyncio.run(self.store.save(first))
        first.update(user("m2"))
        asyncio.run(self.store.save(first))
        later = self.loaded(self.store)
        later.update(user("m3"))
        asyncio.run(self.store.save(later))
        assert self.stored_ids() == ["m1", "m2", "m3"]

    def test_the_second_writer_of_a_turn_stores_nothing(self) -> None:
        asyncio.run(self.store.save(tracker(user("m0"))))
        ours, theirs = self.loaded(self.store), self.loaded(self.other)
        ours.update(user("m1"))
        theirs.update(user("m1"))
        theirs.update(user("m2"))
        asyncio.run(self.store.save(ours))
        with self.assertRaises(TurnAlreadyStoredError):  # noqa: PT027 - no pytest here
            asyncio.run(self.other.save(theirs))
        assert self.stored_ids() == ["m0", "m1"]
        assert not self.has_turn("m2")

    def test_two_writers_of_different_turns_do_not_tear_the_conversation(self) -> None:
        asyncio.run(self.store.save(tracker(user("m0"))))
        ours, theirs = self.loaded(self.store), self.loaded(self.other)
        ours.update(user("m1"))
        theirs.update(user("m2"))
        asyncio.run(self.store.save(ours))
        with self.assertRaises(ConversationChangedError):  # noqa: PT027 - no pytest here
            asyncio.run(self.other.save(theirs))
        assert self.stored_ids() == ["m0", "m1"]
        assert not self.has_turn("m2")

    def test_two_first_writers_of_a_conversation_are_two_writers(self) -> None:
        asyncio.run(self.store.save(tracker(user("m1"))))
        with self.assertRaises(TurnAlreadyStoredError):  # noqa: PT027 - no pytest here
            asyncio.run(self.other.save(tracker(user("m1"))))
        with self.assertRaises(ConversationChangedError):  # noqa: PT027 - no pytest here
            asyncio.run(self.other.save(tracker(user("m2"))))
        assert self.stored_ids() == ["m1"]

    def test_a_repeated_user_event_is_one_turn(self) -> None:
        asyncio.run(self.store.save(tracker(user("m1"), ActionExecuted("a"), user("m1"))))
        assert self.has_turn("m1")


class Urls(unittest.TestCase):
    def test_the_driver_is_the_one_of_this_environment(self) -> None:
        for scheme in ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
            assert (
                database_url(f"{scheme}://u@/db?host=/run/pg")
                == "postgresql+psycopg2://u@/db?host=/run/pg"
            )

    def test_other_urls_are_refused_without_repeating_them(self) -> None:
        for url in (None, "", "host", "mysql://u:hush@h/db", "://"):
            with self.assertRaises(TrackerStoreError) as caught:  # noqa: PT027 - no pytest here
                database_url(url)
            assert "hush" not in str(caught.exception)


if __name__ == "__main__":
    unittest.main()
