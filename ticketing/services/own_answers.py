"""What Ponte answers without the bot: to "continue, a person, or cancel?", and about its own menus.

These answers work while Rasa is away. A form that is left here is left in Rasa before the next turn
it runs (`TurnFacts.leave_form`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from channels.message import Button, OutboundMessage, merge_replies
from handoff import clarify, silence
from handoff.policy import HandoffPolicy
from ticketing.domain.turn import Understanding
from ticketing.domain.turn_input import EXPLAIN
from ticketing.domain.waiting import FORM, OFFER, QUESTION, Waiting
from ticketing.services.ports import BotReply
from ticketing.services.turns import ClaimedTurn, Conclusion

_NOT_UNDERSTOOD = "not_understood"


def intent_of(own: str, policy: HandoffPolicy) -> str:
    """The intent under which the rules see an answer of Ponte's own, and the record shows it."""
    if own == EXPLAIN or policy.silence is None:
        return policy.clarify.not_understood_intent or _NOT_UNDERSTOOD
    return policy.silence.intents[own]


def conclude(turn: ClaimedTurn, own: str, policy: HandoffPolicy, *, now: datetime) -> Conclusion:
    """The answer to "continue", "cancel" or "I don't understand the menu"."""
    if own == EXPLAIN:
        return _explained(turn, policy, now=now)
    if own == silence.CONTINUE and turn.waiting is not None:
        return _continued(turn, turn.waiting, now=now)
    settings = policy.silence
    texts: Mapping[str, str] = {}
    if settings is not None:
        texts = settings.cancelled if own == silence.CANCEL else settings.nothing_open
    words = texts.get(policy.languages.written(turn.language.language), "")
    return Conclusion(
        outcome="answered",
        messages=merge_replies([OutboundMessage(words)]),
        language=turn.language,
        understanding=Understanding(),
        leave_form=True,
    )


def _continued(turn: ClaimedTurn, waiting: Waiting, *, now: datetime) -> Conclusion:
    """The open question once more, as it was asked: the same options, the same counters."""
    kept = waiting.clarification
    return Conclusion(
        outcome="answered",
        messages=(OutboundMessage.from_json(waiting.message),),
        language=turn.language,
        understanding=turn.understanding,
        clarification=None if kept is None else dict(kept),
        waiting=waiting.asked_again(turn_id=str(turn.turn_id), now=now),
        leave_form=turn.leave_form and not waiting.closed,  # opened again, nothing is left
    )


def _explained(turn: ClaimedTurn, policy: HandoffPolicy, *, now: datetime) -> Conclusion:
    kept = dict(turn.clarification or {})
    shown = clarify.options_from_json(kept["options"])
    buttons = (
        *(Button(clarify.payload_for(o), o.title) for o in shown),
        Button(kept["none_payload"], kept["none_title"]),
    )
    titles = [button.title for button in buttons]
    words = clarify.explanation(titles, policy, turn.language.language) or ""
    messages = merge_replies([OutboundMessage(words, buttons)])
    kept["explained"] = True
    return Conclusion(
        outcome="clarified",
        messages=messages,
        language=turn.language,
        understanding=turn.understanding,
        clarification=kept,
        waiting=asking(turn, QUESTION, messages, kept=kept, now=now),
        leave_form=turn.leave_form,
    )


def asking(
    turn: ClaimedTurn,
    kind: str,
    messages: Sequence[OutboundMessage],
    *,
    kept: Mapping[str, Any] | None,
    now: datetime,
    form: str | None = None,
    intent: str | None = None,
) -> Waiting | None:
    """The open question that these messages ask; None when there is no message."""
    if not messages:
        return None
    earlier = turn.waiting if turn.waiting is not None and not turn.waiting.closed else None
    return Waiting(
        turn_id=str(turn.turn_id),
        kind=kind,
        asked_at=now,
        message=messages[-1].to_json(),
        clarification=kept,
        form=form or (earlier.form if earlier is not None and kind == QUESTION else None),
        intent=intent,
    )


def waits_for(
    turn: ClaimedTurn,
    reply: BotReply,
    messages: Sequence[OutboundMessage],
    *,
    kept: Mapping[str, Any] | None,
    asking_answers: Collection[str],
    now: datetime,
) -> Waiting | None:
    """Whether the bot's answer leaves something open: a form that asks, or a real question."""
    intent = reply.parse.intent
    if reply.active_form is not None:
        return asking(
            turn, FORM, messages, kept=kept, now=now, form=reply.active_form, intent=intent
        )
    with_buttons = [item for item in reply.replies if item.get("buttons")]
    if with_buttons and with_buttons[-1].get("utter_action") in asking_answers:
        return asking(turn, OFFER, messages, kept=kept, now=now, intent=intent)
    return None
