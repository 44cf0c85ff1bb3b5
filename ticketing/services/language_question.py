"""Ask a customer for the language, once, and carry on with what was said before the question.

The buttons are Ponte's own (`language:en`): they are no intents, Rasa never sees them. The message
that could not be placed is held by its id and goes to the bot as soon as the language is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from channels.message import Button, OutboundMessage, merge_replies
from handoff import clarify
from handoff.policy import HandoffPolicy, match_keywords
from ticketing.domain import language
from ticketing.domain.customer_texts import LANGUAGE_NAMES, LANGUAGE_QUESTION, customer_text
from ticketing.domain.turn_input import TurnInput, is_question
from ticketing.services.inbound import READABLE_KINDS
from ticketing.services.turns import HELD, ClaimedTurn, Conclusion

log = structlog.get_logger()

_PREFIX = "language:"


def chosen(turn: ClaimedTurn, text: str) -> str | None:
    """The language that a press, or a number or a name typed after the question, chooses."""
    if turn.reply_id is not None and turn.reply_id.startswith(_PREFIX):
        code = turn.reply_id.removeprefix(_PREFIX)
        return code if code in language.SERVED else None
    kept = turn.clarification or {}
    if HELD not in kept:
        return None
    titles = [option["title"] for option in kept["options"]]
    place = clarify.read_offer(text, titles)
    return language.SERVED[place] if place is not None else None


def aside(turn: ClaimedTurn, asked: TurnInput, policy: HandoffPolicy) -> Conclusion | None:
    """What a turn about the language comes to, before the bot; None for every other turn."""
    if turn.language.requested:
        return confirm(turn, policy)
    return ask(turn) if must_be_asked(turn, asked, policy) else None


def must_be_asked(turn: ClaimedTurn, asked: TurnInput, policy: HandoffPolicy) -> bool:
    """Whether this turn is answered with the question for the language.

    Never in the middle of another question, and never before a message that a rule looks for: who
    writes of a fire in two languages is not asked for a language.
    """
    return (
        turn.language.must_ask
        and asked.is_typed
        and turn.kind in READABLE_KINDS
        and not is_question(turn.clarification)
        and not turn.own_handoff
        and not match_keywords(asked.text, policy)
    )


def ask(turn: ClaimedTurn) -> Conclusion:
    """The question; the conversation's counters stay as they were."""
    buttons = tuple(Button(f"{_PREFIX}{code}", LANGUAGE_NAMES[code]) for code in language.SERVED)
    log.info("turn.language_asked", turn_id=str(turn.turn_id))
    kept: dict[str, Any] = {
        "kind": "offer",
        "options": [{"payload": button.id, "title": button.title} for button in buttons],
        HELD: str(turn.turn_id),
    }
    return Conclusion(
        outcome="clarified",
        messages=merge_replies([OutboundMessage(LANGUAGE_QUESTION, buttons)]),
        language=replace(turn.language, asked=True),
        understanding=turn.understanding,
        clarification=kept,
        waiting=turn.waiting,
        leave_form=turn.leave_form,
    )


def confirm(turn: ClaimedTurn, policy: HandoffPolicy) -> Conclusion:
    """The answer to a message that asks for a language and for nothing else.

    An open clarifying question is put again in that language; a form goes on waiting.
    """
    spoken = turn.language.language
    text = customer_text("language_set", language=spoken)
    message, kept = OutboundMessage(text), turn.clarification
    if kept is not None and is_question(kept) and kept.get("options"):
        message, kept = _asked_again(kept, spoken, policy)
    elif kept is not None and HELD in kept:
        kept = None
    return Conclusion(
        outcome="answered",
        messages=merge_replies([message]),
        language=turn.language,
        understanding=turn.understanding,
        clarification=kept,
        waiting=turn.waiting,
        leave_form=turn.leave_form,
    )


def _asked_again(
    kept: dict[str, Any], spoken: str, policy: HandoffPolicy
) -> tuple[OutboundMessage, dict[str, Any]]:
    written = policy.languages.written(spoken)
    options = tuple(
        replace(option, title=policy.intent_title(option.intent, language=written))
        for option in clarify.options_from_json(kept["options"])
    )
    none_title = policy.clarify.none_title[written]
    buttons = (
        *(Button(clarify.payload_for(option), option.title) for option in options),
        Button(kept["none_payload"], none_title),
    )
    again = {
        **kept,
        "language": written,
        "none_title": none_title,
        "options": [
            {**old, "title": option.title}
            for old, option in zip(kept["options"], options, strict=True)
        ],
    }
    return OutboundMessage(policy.clarify.question[written], buttons), again
