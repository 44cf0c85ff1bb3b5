"""Carry each slot once into a new session.

Rasa 3.6.21 repeats *every* `SlotSet` of the ended session at the start of the next one
(`ActionSessionStart._slot_set_events_from_tracker`), the repeated ones of earlier sessions
included. This assistant sets several slots on every turn, so a contact who writes for months would
carry thousands of events into each session, and every action call sends them all. Only the last
value of a slot matters; it is the only one carried.
"""

from __future__ import annotations

import rasa
from rasa.core.actions.action import ActionSessionStart
from rasa.shared.core.events import SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

from bot.rasa_version import is_known_release


def last_slot_values(tracker: DialogueStateTracker) -> list[SlotSet]:
    """The slots of the ended session, each with its last value, in the order they were last set."""
    latest: dict[str, SlotSet] = {}
    for event in tracker.applied_events():
        if isinstance(event, SlotSet):
            latest.pop(event.key, None)
            latest[event.key] = event
    return [
        SlotSet(key=event.key, value=event.value, metadata=event.metadata)
        for event in latest.values()
    ]


def apply(*, installed: str = rasa.__version__) -> bool:
    """Replace Rasa's method; a second call changes nothing.

    Returns:
        False when Rasa is not the release this was written for (a warning says so).
    """
    if not is_known_release(installed=installed, wanted_by=__name__):
        return False
    ActionSessionStart._slot_set_events_from_tracker = staticmethod(  # noqa: SLF001
        last_slot_values
    )
    return True


apply()
