"""What a rule may ask about a turn: the facts, and the forms a condition takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handoff.snapshot import CLARIFICATION_ANSWERS, MESSAGE_KINDS, TRIGGERS
from handoff.text import fold

FactValue = str | float | bool | tuple[str, ...] | None

# How well a turn was understood, derived from the snapshot by `handoff.rules.understanding`.
CONFIDENT = "confident"
SMALL_TALK = "small_talk"
FORM_ANSWER = "form_answer"
UNSURE = "unsure"
OUT_OF_SCOPE = "out_of_scope"
UNREADABLE = "unreadable"
SILENT = "silent"
UNDERSTANDINGS = (CONFIDENT, SMALL_TALK, FORM_ANSWER, UNSURE, OUT_OF_SCOPE, UNREADABLE, SILENT)
NOT_UNDERSTOOD = frozenset({UNSURE, OUT_OF_SCOPE, UNREADABLE})
"""A turn that ends here counts as a failure of the bot."""

OPEN, CLOSED = "open", "closed"


@dataclass(frozen=True, slots=True)
class ChoiceFact:
    """A fact with one value, or several, out of a list (`allowed`; None: free text)."""

    allowed: tuple[str, ...] | None = None
    refers_to: str | None = None  # "intent", "intent group", "keyword list": what must exist


@dataclass(frozen=True, slots=True)
class PairFact:
    """A fact with several named values: in the file `{name: value or list of values}`."""


@dataclass(frozen=True, slots=True)
class NumberFact:
    """A fact that is a number between two bounds."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FlagFact:
    """A fact that is true or false."""


FactKind = ChoiceFact | PairFact | NumberFact | FlagFact

_MAX_COUNT = 1_000  # of failures in a row; more is a typing mistake in the file
_MAX_TEXT = 65_536  # characters of one message; WhatsApp allows 4,096, e-mail more
_MAX_AMOUNT = 1e12  # of money; more is a number of something else
_MAX_MINUTES = 10_080  # a week of silence; the question has ended long before
_MAX_AGENTS = 10_000

FACTS: Mapping[str, FactKind] = {
    "trigger": ChoiceFact(TRIGGERS),
    "channel": ChoiceFact(),
    "message_kind": ChoiceFact(MESSAGE_KINDS),
    "understanding": ChoiceFact(UNDERSTANDINGS),
    "top_intent": ChoiceFact(refers_to="intent"),
    "intent_group": ChoiceFact(refers_to="intent group"),
    "confidence": NumberFact(0, 1),
    "margin": NumberFact(-1, 1),
    "entropy": NumberFact(0, 1),
    "in_scope": NumberFact(0, 1),
    "keywords": ChoiceFact(refers_to="keyword list"),
    "entity": ChoiceFact(),
    "entity_value": PairFact(),
    "amount": NumberFact(0, _MAX_AMOUNT),
    "sentiment": NumberFact(-1, 1),
    "language": ChoiceFact(),
    "language_served": FlagFact(),
    "language_confidence": NumberFact(0, 1),
    "text_length": NumberFact(0, _MAX_TEXT),
    "failures": NumberFact(0, _MAX_COUNT),
    "clarifications_asked": NumberFact(0, _MAX_COUNT),
    "clarification_open": FlagFact(),
    "clarification_answer": ChoiceFact(CLARIFICATION_ANSWERS),
    "repeated_question": FlagFact(),
    "vip": FlagFact(),
    "segment": ChoiceFact(),
    "has_open_ticket": FlagFact(),
    "form_active": FlagFact(),
    "form": ChoiceFact(),
    "silence_minutes": NumberFact(0, _MAX_MINUTES),
    "hours": ChoiceFact((OPEN, CLOSED)),
    "agents_available": NumberFact(0, _MAX_AGENTS),
    "wants_person": FlagFact(),
}
"""Every key that may stand under `when:` in the policy file; explained in docs/handoff-rules.md."""

CONTEXT_FACTS = frozenset({"hours", "agents_available", "wants_person"})
"""Facts that depend on the rule that asks: on its queue, and on the rules after it."""

NEGATION = "not_"
"""`not_top_intent: [...]` is true when the fact is none of these; for every fact with names."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """True when the fact is one of the values (or shares one, when it has several)."""

    fact: str
    values: tuple[str, ...]

    def met_by(self, value: FactValue) -> bool:
        """Whether the value seen fulfils the condition."""
        return _shares(value, self.values)

    @property
    def wanted(self) -> str:
        """The condition in words, for the record."""
        return self.values[0] if len(self.values) == 1 else f"one of {', '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class NoneOf:
    """True when the fact is none of the values."""

    fact: str
    values: tuple[str, ...]

    def met_by(self, value: FactValue) -> bool:
        """Whether the value seen fulfils the condition."""
        return not _shares(value, self.values)

    @property
    def wanted(self) -> str:
        """The condition in words, for the record."""
        return f"not {self.values[0]}" if len(self.values) == 1 else f"none of {_list(self.values)}"


@dataclass(frozen=True, slots=True)
class Within:
    """True when the number is at least `at_least` and below `below` (None: no bound)."""

    fact: str
    at_least: float | None = None
    below: float | None = None

    def met_by(self, value: FactValue) -> bool:
        """Whether the value seen fulfils the condition; what is no number never does."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if self.at_least is not None and value < self.at_least:
            return False
        return self.below is None or value < self.below

    @property
    def wanted(self) -> str:
        """The condition in words, for the record."""
        parts = []
        if self.at_least is not None:
            parts.append(f"at least {self.at_least:g}")
        if self.below is not None:
            parts.append(f"below {self.below:g}")
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Flag:
    """True when the fact is exactly this true or false."""

    fact: str
    value: bool

    def met_by(self, value: FactValue) -> bool:
        """Whether the value seen fulfils the condition."""
        return value is self.value

    @property
    def wanted(self) -> str:
        """The condition in words, for the record."""
        return spell(self.value)


Condition = OneOf | NoneOf | Within | Flag


def entity_pair(name: str, value: str) -> str:
    """An entity's value as a rule compares it: accents, capitals and outer blanks do not count."""
    return f"{name}={' '.join(fold(value).split())}"


def spell(value: FactValue) -> str:
    """A value as the record shows it: numbers with 4 decimals at most, nothing as "none"."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return _list(value)
    if isinstance(value, (int, float)):
        return f"{round(value, 4):g}"
    return value


def _shares(value: FactValue, wanted: tuple[str, ...]) -> bool:
    if isinstance(value, tuple):
        return not set(wanted).isdisjoint(value)
    return value in wanted


def _list(values: tuple[str, ...]) -> str:
    return ", ".join(values)
