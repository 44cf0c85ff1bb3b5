"""What a customer's message asks for: words for the bot, a payload, or something Ponte answers.

A typed "2" or "deixa pra lá" means something only beside what was asked before. This is read here,
before the bot, because Rasa takes every message for a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handoff import clarify, silence
from handoff.policy import HandoffPolicy
from handoff.short_answers import is_drop
from ticketing.domain.turn import PAYLOAD
from ticketing.domain.waiting import FORM, Waiting

EXPLAIN = "explain"
"""What Ponte answers itself, besides the choices of `handoff.silence`."""

CHOSEN, NONE_OF_THESE = "chosen", "none_of_these"

Kept = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TurnInput:
    """What the bot is asked: typed text, or a payload that Ponte itself made.

    Attributes:
        text: As typed.
        payload: `/intent{entities}` that the message stands for.
        clarification_answer: What it answers to the open clarifying question.
        own: One of `handoff.silence.CHOICES` or `EXPLAIN`: Ponte answers it without the bot.
    """

    text: str
    payload: str | None = None
    clarification_answer: str | None = None
    own: str | None = None

    @property
    def is_typed(self) -> bool:
        """Whether the words are the customer's message, and no press, number or title."""
        return self.payload is None and self.own is None


def is_question(kept: Kept | None) -> bool:
    """Whether a clarifying question is open, not only the buttons of an ordinary answer."""
    return kept is not None and kept.get("kind") != "offer"


def read_input(
    text: str,
    *,
    reply_id: str | None,
    kept: Kept | None,
    waiting: Waiting | None,
    policy: HandoffPolicy,
) -> TurnInput:
    """What the message asks for.

    Args:
        text: As typed, or the title of the pressed button.
        reply_id: Id of the pressed button.
        kept: The open clarifying question or the buttons offered (`Conversation.clarification`).
        waiting: The open question, whatever its kind.
        policy: Whose menus are meant.
    """
    pressed = silence.choice_of(reply_id)
    if pressed is not None and policy.silence is not None:
        return TurnInput(text, own=pressed)
    if reply_id and PAYLOAD.fullmatch(reply_id):
        return _pressed(text, reply_id, kept, policy)
    if waiting is not None and waiting.offers_choices and not waiting.closed and policy.silence:
        chosen = silence.read_choice(text, policy.silence)
        if chosen is not None:
            return TurnInput(text, own=chosen)
    if kept is not None and is_question(kept):
        return _answer(text, kept, policy)
    return _offered(text, kept, waiting, policy)


def _pressed(text: str, payload: str, kept: Kept | None, policy: HandoffPolicy) -> TurnInput:
    if kept is None or not is_question(kept):
        return TurnInput(text, payload)
    not_understood = policy.clarify.not_understood_intent
    if not_understood and payload == f"/{not_understood}":
        return _not_understood(text, kept, policy)
    if payload == kept.get("none_payload"):
        return TurnInput(text, payload, NONE_OF_THESE)
    offered = [clarify.payload_for(o) for o in clarify.options_from_json(kept["options"])]
    # An older button may still be pressed: a wish of its own, and no answer to this question.
    return TurnInput(text, payload, CHOSEN if payload in offered else None)


def _answer(text: str, kept: Kept, policy: HandoffPolicy) -> TurnInput:
    options, titles = clarify.options_from_json(kept["options"]), (kept["none_title"],)
    match clarify.read_answer(text, options, none_titles=titles):
        case clarify.Chosen(option=option):
            return TurnInput(text, clarify.payload_for(option), CHOSEN)
        case clarify.NoneOfThese():
            return TurnInput(text, kept["none_payload"], NONE_OF_THESE)
        case clarify.NotUnderstood():
            return _not_understood(text, kept, policy)
        case clarify.NotAnAnswer():
            pass
    if policy.silence is not None and is_drop(text):
        return TurnInput(text, own=silence.CANCEL)
    return TurnInput(text)


def _not_understood(text: str, kept: Kept, policy: HandoffPolicy) -> TurnInput:
    """The menu is explained once; who does not understand it then wants none of it."""
    if policy.clarify.explain and kept["options"] and not kept.get("explained"):
        return TurnInput(text, own=EXPLAIN)
    return TurnInput(text, kept["none_payload"], NONE_OF_THESE)


def _offered(
    text: str, kept: Kept | None, waiting: Waiting | None, policy: HandoffPolicy
) -> TurnInput:
    """The buttons under an ordinary answer, and the way out of a form."""
    options = kept["options"] if kept is not None else ()
    in_form = waiting is not None and waiting.kind == FORM and not waiting.closed
    # A form may ask for a number: there, only the words of a button choose it.
    index = clarify.read_offer(text, [option["title"] for option in options], numbers=not in_form)
    if index is not None:
        payload = str(options[index]["payload"])
        if PAYLOAD.fullmatch(payload):
            return TurnInput(text, payload)
    if in_form and policy.silence is not None and is_drop(text, also_cancel=True):
        way_out = f"/{policy.silence.intents[silence.CANCEL]}"
        if any(option["payload"] == way_out for option in options):
            return TurnInput(text, way_out)  # the form's own rule and words for it
        return TurnInput(text, own=silence.CANCEL)
    return TurnInput(text)
