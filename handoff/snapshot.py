"""What a rule may know about one turn.

The snapshot is the whole input of a decision: store it and the decision can be made again years
later (`ponte handoff backtest`). It holds no message text, only what was recognised in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

MESSAGE_KINDS = ("text", "button", "unreadable")
CLARIFICATION_ANSWERS = ("chosen", "none_of_these")

TRIGGERS = ("message", "bot_unavailable", "silence")
"""What asked for a decision: the customer's message, the turn engine that got no answer from the
bot, or the customer's silence after something the bot asked."""

_MARGIN_DIGITS = 9

SCHEMA = 1  # of the JSON form; raise it when a field changes its meaning


class SnapshotError(ValueError):
    """A snapshot that cannot be: a field is missing, of a wrong type or outside its values."""


@dataclass(frozen=True, slots=True)
class ConversationSnapshot:
    """All that a rule may know about one customer turn.

    Attributes:
        turn_id: The turn the decision belongs to.
        conversation_id: The conversation of the turn.
        channel: Where it was written, for example "whatsapp".
        now: The customer's message time, aware.
        message_kind: "text", "button" (a payload, so no doubt about it) or "unreadable"
            (audio, sticker, or anything else the bot cannot read).
        text_length: Characters the customer wrote; 0 for buttons and unreadable messages.
        top_intent: The intent Rasa chose, or None when nothing was recognised.
        ranking: (intent, confidence 0..1) from best to worst. Sorted, bounded and freed of
            values that are no numbers when the snapshot is made.
        entities: Entity name to the values found.
        keywords: Phrases of the policy found in the text (`handoff.policy.match_keywords`).
        language: ISO 639-1 code of the conversation.
        language_confidence: 0..1.
        language_served: Whether the bot speaks it.
        failures: Turns in a row, before this one, that were not understood.
        clarifications_asked: Clarifying questions in a row, before this turn.
        clarification_open: The last thing the bot said was a clarifying question.
        clarification_answer: What this message answers to it; None when it is no answer.
        already_offered: Intents offered by the clarifying questions asked in a row so far.
        repeated_question: The customer asks again what the bot has just answered twice.
        contact_vip: The contact is marked as VIP.
        contact_segment: The contact's segment, for example "enterprise".
        has_open_ticket: The contact has a ticket that is not closed.
        active_form: Name of the form that is asking, if any.
        trigger: "message"; "bot_unavailable" when the turn engine got no answer from the bot;
            "silence" when the customer does not answer. A silent turn has no text; `top_intent`
            may say what was being talked about, and `ranking` stays empty.
        silence_minutes: How long the customer has been silent; None unless that is the trigger.
        in_scope: 0..1, how probable it is that the message is about anything the bot knows; None
            when the model does not say.
        sentiment: -1 (angry) to 1 (pleased) by `handoff.sentiment`; None when nothing was written.
        agents_available: Queue to the people on duty who have room for one more; a queue that is
            missing is not known.
    """

    turn_id: str
    conversation_id: str
    channel: str
    now: datetime
    message_kind: str = "text"
    text_length: int = 0
    top_intent: str | None = None
    ranking: tuple[tuple[str, float], ...] = ()
    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    language: str = "pt"
    language_confidence: float = 1.0
    language_served: bool = True
    failures: int = 0
    clarifications_asked: int = 0
    clarification_open: bool = False
    clarification_answer: str | None = None
    already_offered: tuple[str, ...] = ()
    repeated_question: bool = False
    contact_vip: bool = False
    contact_segment: str | None = None
    has_open_ticket: bool = False
    active_form: str | None = None
    trigger: str = "message"
    silence_minutes: float | None = None
    in_scope: float | None = None
    sentiment: float | None = None
    agents_available: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_aware(self.now)
        _require_one_of("message_kind", self.message_kind, MESSAGE_KINDS)
        _require_one_of("trigger", self.trigger, TRIGGERS)
        if self.clarification_answer is not None:
            answer = self.clarification_answer
            _require_one_of("clarification_answer", answer, CLARIFICATION_ANSWERS)
        for name in ("text_length", "failures", "clarifications_asked"):
            _require_count(name, getattr(self, name))
        object.__setattr__(self, "ranking", _tidy_ranking(self.ranking))
        object.__setattr__(self, "language_confidence", _bounded(self.language_confidence))
        if self.trigger != "silence":
            object.__setattr__(self, "silence_minutes", None)
        least = {queue: max(count, 0) for queue, count in self.agents_available.items()}
        object.__setattr__(self, "agents_available", least)
        for name, low, high in _OPTIONAL_NUMBERS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _bounded(value, low, high))

    @property
    def is_certain(self) -> bool:
        """Whether the customer said by a press or a choice what is meant: nothing to guess."""
        chose = self.message_kind == "button" or self.clarification_answer == "chosen"
        return chose and self.top_intent is not None

    @property
    def confidence(self) -> float:
        """Confidence of the top intent, 0..1; 1 when it `is_certain`."""
        if self.top_intent is None:
            return 0.0
        return 1.0 if self.is_certain else dict(self.ranking).get(self.top_intent, 0.0)

    @property
    def margin(self) -> float:
        """How far the top intent is ahead of the next one; below 0 when it is not the first."""
        if self.is_certain:
            return 1.0
        others = (score for intent, score in self.ranking if intent != self.top_intent)
        # Rounded, so that 0.6 and 0.5 are 0.1 apart and not 0.09999999999999998.
        return round(self.confidence - max(others, default=0.0), _MARGIN_DIGITS)

    @property
    def entropy(self) -> float:
        """How evenly the score is spread: 0 (one intent has all of it) to 1 (all alike).

        What the scores lack to 1 counts as one more intent, "none of these". The sum is divided by
        its greatest value for so many intents, so that it does not depend on their number.
        """
        if self.is_certain:
            return 0.0
        shares = [score for _, score in self.ranking]
        total = sum(shares)
        shares = [*(share / max(total, 1.0) for share in shares), max(1.0 - total, 0.0)]
        if len(shares) < 2:  # noqa: PLR2004 - no ranking at all: nothing is known
            return 1.0
        spread = -sum(share * math.log(share) for share in shares if share > 0)
        return round(min(max(spread / math.log(len(shares)), 0.0), 1.0), _MARGIN_DIGITS)

    def to_json(self) -> dict[str, Any]:
        """The snapshot in JSON types (a dict for a JSONB column); `from_json` gives it back."""
        document: dict[str, Any] = {"schema": SCHEMA}
        for item in fields(self):
            document[item.name] = getattr(self, item.name)
        document["now"] = self.now.isoformat()
        document["ranking"] = [[intent, confidence] for intent, confidence in self.ranking]
        document["entities"] = {name: list(values) for name, values in self.entities.items()}
        document["keywords"] = list(self.keywords)
        document["already_offered"] = list(self.already_offered)
        document["agents_available"] = dict(self.agents_available)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ConversationSnapshot:
        """The snapshot a `to_json` document describes.

        Unknown keys are ignored and missing ones take their default, so that records of an older
        or newer release stay readable.

        Raises:
            SnapshotError: A required key is missing or a value has the wrong type; names the key.
        """
        given: dict[str, Any] = {}
        for item in fields(cls):
            if item.name in document:
                given[item.name] = _read(item.name, document[item.name])
        missing = [name for name in _REQUIRED if name not in given]
        if missing:
            message = f"snapshot lacks {', '.join(missing)}"
            raise SnapshotError(message)
        return cls(**given)


_REQUIRED = ("turn_id", "conversation_id", "channel", "now")
_BOOLEANS = frozenset(
    {
        "language_served",
        "clarification_open",
        "repeated_question",
        "contact_vip",
        "has_open_ticket",
    },
)
_COUNTS = frozenset({"text_length", "failures", "clarifications_asked"})
_OPTIONAL_TEXTS = frozenset(
    {"top_intent", "clarification_answer", "contact_segment", "active_form"},
)
_TEXT_LISTS = frozenset({"keywords", "already_offered"})
_MAX_SILENCE = 525_600.0  # minutes of a year; a timer that fires later watches nothing
_OPTIONAL_NUMBERS = (
    ("silence_minutes", 0.0, _MAX_SILENCE),
    ("in_scope", 0.0, 1.0),
    ("sentiment", -1.0, 1.0),
)
_OPTIONAL_NUMBER_NAMES = frozenset(name for name, _, _ in _OPTIONAL_NUMBERS)


def _read(name: str, value: Any) -> Any:
    structured = _STRUCTURED.get(name)
    if structured is not None:
        return structured(value)
    if name in _TEXT_LISTS:
        return _read_texts(name, value)
    if name in _BOOLEANS:
        return _expect(name, value, "true or false", valid=isinstance(value, bool))
    if name in _COUNTS:
        is_count = isinstance(value, int) and not isinstance(value, bool)
        return _expect(name, value, "a whole number", valid=is_count)
    if name in _OPTIONAL_NUMBER_NAMES:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return _expect(name, value, "a number or null", valid=value is None or is_number)
    is_text = isinstance(value, str) or (value is None and name in _OPTIONAL_TEXTS)
    return _expect(name, value, "a text", valid=is_text)


def _expect(name: str, value: Any, expected: str, *, valid: bool) -> Any:
    if not valid:
        message = f"snapshot.{name}: got {value!r}; expected {expected}"
        raise SnapshotError(message)
    return value


def _read_texts(name: str, value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    _expect(name, value, "a list of texts", valid=is_list)
    for item in value:
        _expect(name, item, "a list of texts", valid=isinstance(item, str))
    return tuple(value)


def _read_ranking(value: Any) -> tuple[tuple[str, float], ...]:
    expected = "a list of [intent, confidence]"
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    _expect("ranking", value, expected, valid=is_list)
    try:
        return tuple((str(intent), float(confidence)) for intent, confidence in value)
    except (TypeError, ValueError) as err:
        message = f"snapshot.ranking: got {value!r}; expected {expected}"
        raise SnapshotError(message) from err


def _read_entities(value: Any) -> dict[str, tuple[str, ...]]:
    _expect("entities", value, "an object of lists", valid=isinstance(value, Mapping))
    return {str(name): _read_texts(f"entities.{name}", found) for name, found in value.items()}


def _read_agents(value: Any) -> dict[str, int]:
    expected = "an object of whole numbers"
    _expect("agents_available", value, expected, valid=isinstance(value, Mapping))
    for count in value.values():
        is_count = isinstance(count, int) and not isinstance(count, bool)
        _expect("agents_available", value, expected, valid=is_count)
    return {str(queue): count for queue, count in value.items()}


def _read_language_confidence(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(_expect("language_confidence", value, "a number from 0 to 1", valid=is_number))


def _read_moment(value: Any) -> datetime:
    _expect("now", value, "an ISO 8601 moment", valid=isinstance(value, str))
    text = str(value)
    if text.endswith("Z"):  # Python 3.10 does not read the letter
        text = f"{text[:-1]}+00:00"
    try:
        return datetime.fromisoformat(text)
    except ValueError as err:
        message = f"snapshot.now: got {value!r}; expected an ISO 8601 moment with its offset"
        raise SnapshotError(message) from err


_STRUCTURED: Mapping[str, Callable[[Any], Any]] = {
    "now": _read_moment,
    "ranking": _read_ranking,
    "entities": _read_entities,
    "language_confidence": _read_language_confidence,
    "agents_available": _read_agents,
}


def _require_aware(now: datetime) -> None:
    if now.tzinfo is None or now.utcoffset() is None:
        message = "snapshot.now: got a time without a zone; expected an aware datetime"
        raise SnapshotError(message)


def _require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        message = f"snapshot.{name}: got {value!r}; expected one of {', '.join(allowed)}"
        raise SnapshotError(message)


def _require_count(name: str, value: int) -> None:
    if value < 0:
        message = f"snapshot.{name}: got {value}; expected 0 or more"
        raise SnapshotError(message)


def _bounded(value: float, low: float = 0.0, high: float = 1.0) -> float:
    if not math.isfinite(value):
        return 0.0
    return min(max(value, low), high)


def _tidy_ranking(ranking: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Best first, one entry per intent, scores in 0..1: rounding and NaN happen in the NLU."""
    best: dict[str, float] = {}
    for intent, confidence in ranking:
        if math.isfinite(confidence):
            best[intent] = max(best.get(intent, 0.0), _bounded(confidence))
    return tuple(sorted(best.items(), key=lambda item: -item[1]))
