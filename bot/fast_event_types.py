"""Find the class of an event by its name once, not once for every stored event.

Rasa 3.6.21 walks through all subclasses of `Event` for each event it reads
(`rasa.shared.core.events.Event.resolve_by_type`), 0.1 ms each: a conversation of 200 events costs
20 ms at every turn. The classes are fixed once Rasa is imported, so the answer is remembered.
"""

from __future__ import annotations

import functools

import rasa
from rasa.shared.core.events import Event

from bot.rasa_version import is_known_release


def apply(*, installed: str = rasa.__version__) -> bool:
    """Put a memory before Rasa's method; a second call changes nothing.

    Unknown names are not remembered: they raise (or give the default), as before.

    Returns:
        False when Rasa is not the release this was written for (a warning says so).
    """
    if not is_known_release(installed=installed, wanted_by=__name__):
        return False
    original = Event.resolve_by_type
    if not hasattr(original, "cache_info"):
        # At most the two dozen names of Rasa's events, each with one default.
        Event.resolve_by_type = staticmethod(functools.lru_cache(maxsize=128)(original))
    return True


apply()
