"""Find one turn among the stored events of a conversation, and what the bot said in it.

The live answer and the replayed one are made by the same function from the same events, so they
cannot differ. Events are Rasa's, in storage order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from rasa.shared.core.constants import ACTION_SESSION_START_NAME
from rasa.shared.core.events import ActionExecuted, BotUttered, Event, UserUttered

Reply = dict[str, Any]

# The parts of a bot utterance that a channel can show, as `BotUttered.message()` names them.
_REPLY_PARTS = ("text", "buttons", "quick_replies", "elements", "custom", "image", "attachment")


def find_turn(events: Sequence[Event], *, message_id: str) -> Optional[tuple[int, int]]:
    """Where the turn of a message lies: index of its user event, and index one past its last event.

    A turn ends where the next message, or the session start before it, begins. A repetition of the
    same user event (the two-stage fallback makes one) belongs to the turn.
    """
    start: Optional[int] = None
    for index, event in enumerate(events):
        if isinstance(event, UserUttered):
            if start is None and event.message_id == message_id:
                start = index
            elif start is not None and event.message_id != message_id:
                return start, index
        elif start is not None and _starts_session(event):
            return start, index
    return None if start is None else (start, len(events))


def _starts_session(event: Event) -> bool:
    return isinstance(event, ActionExecuted) and event.action_name == ACTION_SESSION_START_NAME


def replies(events: Sequence[Event]) -> list[Reply]:
    """What the bot said in these events, one object for each utterance."""
    return [_reply(event) for event in events if isinstance(event, BotUttered)]


def _reply(event: BotUttered) -> Reply:
    message = event.message()
    reply = {part: message[part] for part in _REPLY_PARTS if message.get(part)}
    if message.get("utter_action"):
        # The name of the response in domain.yml; lets a reader of the answer tell texts apart.
        reply["utter_action"] = message["utter_action"]
    return reply
