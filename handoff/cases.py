"""What an alternative of a rule asks, in a form that can be reasoned about.

`case_of` adds what follows from the conditions by the way facts are derived (`handoff.rules`): who
asks for `understanding: confident` also asks for a score above the threshold. A case that nothing
can fulfil is `impossible`; `implies` says whether whoever fulfils one case fulfils another.

All of it errs on one side: what is called impossible or implied is so for every snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from handoff.amounts import AMOUNT
from handoff.conditions import (
    CONFIDENT,
    FACTS,
    FORM_ANSWER,
    OUT_OF_SCOPE,
    SILENT,
    SMALL_TALK,
    UNREADABLE,
    UNSURE,
    ChoiceFact,
    Condition,
    Flag,
    NumberFact,
    OneOf,
    Within,
)
from handoff.policy import STAY, HandoffPolicy

SEVERAL_VALUES = frozenset({"keywords", "entity", "entity_value", "intent_group"})
"""Facts that hold several names at once; every other choice fact holds one or none."""

_WHOLE = frozenset({"failures", "clarifications_asked", "text_length", "agents_available"})
_ALWAYS_SET = frozenset({"trigger", "message_kind", "understanding"})
_SLACK = 1e-6  # the lead is rounded, so it may pass the score by a hair


@dataclass(frozen=True, slots=True)
class Names:
    """Which names a fact with one value may have.

    Attributes:
        allowed: It is one of these; None: anything, also nothing.
        excluded: It is none of these.
    """

    allowed: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()

    @property
    def left(self) -> frozenset[str] | None:
        """What it can still be; None: no list of that is known."""
        return None if self.allowed is None else self.allowed - self.excluded

    def narrowed(
        self,
        *,
        allowed: Iterable[str] | None = None,
        excluded: Iterable[str] = (),
    ) -> Names:
        """With a further restriction."""
        kept = self.allowed
        if allowed is not None:
            wanted = frozenset(allowed)
            kept = wanted if kept is None else kept & wanted
        return Names(kept, self.excluded | frozenset(excluded))


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` (included) to below `high`."""

    low: float
    high: float

    @property
    def is_empty(self) -> bool:
        """Whether no number is in it."""
        return self.low >= self.high


@dataclass(slots=True)
class Case:
    """A set of conditions that must all hold.

    Attributes:
        names: Facts with one value.
        shared: Facts with several values: of each set at least one is there.
        without: Facts with several values: none of these is there.
        numbers: Facts that must be a number, and where it lies.
        flags: Facts that must be true or false.
        is_impossible: Nothing fulfils it.
    """

    names: dict[str, Names] = field(default_factory=dict)
    shared: dict[str, list[frozenset[str]]] = field(default_factory=dict)
    without: dict[str, frozenset[str]] = field(default_factory=dict)
    numbers: dict[str, Range] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    is_impossible: bool = False

    def restrict(
        self,
        fact: str,
        *,
        allowed: Iterable[str] | None = None,
        excluded: Iterable[str] = (),
    ) -> None:
        """Narrow a fact with one value."""
        known = self.names.get(fact, _unrestricted(fact))
        self.names[fact] = known.narrowed(allowed=allowed, excluded=excluded)

    def bound(self, fact: str, *, low: float | None = None, high: float | None = None) -> None:
        """Ask for a number within further bounds."""
        known = self.numbers.get(fact, _whole_range(fact))
        self.numbers[fact] = Range(
            known.low if low is None else max(known.low, low),
            known.high if high is None else min(known.high, high),
        )

    def flag(self, fact: str, *, value: bool) -> None:
        """Ask for true or false; both at once is impossible."""
        if self.flags.setdefault(fact, value) is not value:
            self.is_impossible = True

    def can_only_be(self, fact: str, *values: str) -> bool:
        """Whether the fact has a value, and it is one of these."""
        left = self.names.get(fact, _unrestricted(fact)).left
        return left is not None and left <= set(values)

    def is_surely(self, fact: str) -> bool:
        """Whether the fact has some value."""
        return self.names.get(fact, Names()).allowed is not None


def case_of(conditions: Iterable[Condition], policy: HandoffPolicy) -> Case:
    """The conditions of one alternative with all that follows from them."""
    case = Case()
    for condition in conditions:
        _add(case, condition)
    _add_groups(case, policy)
    _add_message(case)
    _add_understanding(case, policy)
    _add_scores(case)
    case.is_impossible = case.is_impossible or _contradicts_itself(case)
    return case


def implies(case: Case, conditions: Iterable[Condition]) -> bool:
    """Whether every snapshot that fulfils the case fulfils the conditions."""
    return case.is_impossible or all(_implies_one(case, condition) for condition in conditions)


def splits(case: Case, conditions: Iterable[Condition]) -> Iterator[list[Condition]]:
    """Ways to cut the case into parts: by facts that are always one of a known list, by numbers.

    Each is a list of conditions of which exactly one holds on any turn of the case.
    """
    for condition in conditions:
        fact = condition.fact
        if isinstance(condition, Flag) and fact not in case.flags:
            yield [Flag(fact, value=True), Flag(fact, value=False)]
        elif fact in _ALWAYS_SET and not isinstance(condition, (Flag, Within)):
            left = case.names.get(fact, _unrestricted(fact)).left or frozenset()
            if len(left) > 1:
                yield [OneOf(fact, (name,)) for name in sorted(left)]
        elif isinstance(condition, Within):
            yield from _number_splits(case, condition)


def _number_splits(case: Case, condition: Within) -> Iterator[list[Condition]]:
    """Below and from each bound of a condition that lies within the case's numbers."""
    fact = condition.fact
    if fact in _MAY_BE_MISSING and fact not in case.numbers:
        return  # a turn without the number is in neither part
    known = case.numbers.get(fact, _whole_range(fact))
    for bound in (condition.at_least, condition.below):
        if bound is not None and known.low < bound < known.high:
            yield [Within(fact, at_least=None, below=bound), Within(fact, at_least=bound)]


def _unrestricted(fact: str) -> Names:
    kind = FACTS[fact]
    if fact in _ALWAYS_SET and isinstance(kind, ChoiceFact) and kind.allowed is not None:
        return Names(frozenset(kind.allowed))
    return Names()


def _whole_range(fact: str) -> Range:
    kind = FACTS[fact]
    low = kind.low if isinstance(kind, NumberFact) else 0.0
    return Range(low, float("inf"))  # a count has no greatest value; scores stay in by themselves


def _add(case: Case, condition: Condition) -> None:
    fact = condition.fact
    if isinstance(condition, Flag):
        case.flag(fact, value=condition.value)
    elif isinstance(condition, Within):
        case.bound(fact, low=condition.at_least, high=condition.below)
    elif fact in SEVERAL_VALUES:
        if isinstance(condition, OneOf):
            case.shared.setdefault(fact, []).append(frozenset(condition.values))
        else:
            case.without[fact] = case.without.get(fact, frozenset()) | set(condition.values)
    elif isinstance(condition, OneOf):
        case.restrict(fact, allowed=condition.values)
    else:
        case.restrict(fact, excluded=condition.values)


def _add_groups(case: Case, policy: HandoffPolicy) -> None:
    for wanted in case.shared.get("intent_group", []):
        case.restrict("top_intent", allowed=_members(wanted, policy.intent_groups))
    unwanted = case.without.get("intent_group", frozenset())
    case.restrict("top_intent", excluded=_members(unwanted, policy.intent_groups))


def _members(groups: Iterable[str], known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*(known.get(name, frozenset()) for name in groups))


def _add_message(case: Case) -> None:
    if case.is_surely("form"):
        case.flag("form_active", value=True)
    if "amount" in case.numbers:
        case.shared.setdefault("entity", []).append(frozenset({AMOUNT}))
    if "silence_minutes" in case.numbers:
        case.restrict("trigger", allowed=("silence",))


def _add_understanding(case: Case, policy: HandoffPolicy) -> None:
    """Both ways: what a judgement needs, and which judgements are still possible."""
    if case.can_only_be("trigger", "silence"):
        case.restrict("understanding", allowed=(SILENT,))
    elif "silence" not in (_left(case, "trigger") or {"silence"}):
        case.restrict("understanding", excluded=(SILENT,))
    if case.can_only_be("message_kind", "unreadable"):
        case.restrict("understanding", allowed=(UNREADABLE, SILENT))
    elif "unreadable" not in (_left(case, "message_kind") or {"unreadable"}):
        case.restrict("understanding", excluded=(UNREADABLE,))
    if case.can_only_be("clarification_answer", "none_of_these"):
        case.restrict("understanding", allowed=(UNSURE, UNREADABLE, SILENT))
    if case.flags.get("form_active") is False or policy.forms.low_confidence != STAY:
        case.restrict("understanding", excluded=(FORM_ANSWER,))
    for judgement, intents in _intents_of(case, policy):
        if intents is not None and not intents:
            case.restrict("understanding", excluded=(judgement,))
    _narrow_by_judgement(case, policy)


def _intents_of(case: Case, policy: HandoffPolicy) -> Iterator[tuple[str, frozenset[str] | None]]:
    """Judgements that need an intent, with the intents of the case that they can be about."""
    left = _left(case, "top_intent")
    excluded = case.names.get("top_intent", Names()).excluded
    outside, small = policy.out_of_scope, policy.small_talk - policy.out_of_scope
    yield OUT_OF_SCOPE, (outside if left is None else outside & left) - excluded
    yield SMALL_TALK, (small if left is None else small & left) - excluded
    yield CONFIDENT, None if left is None else left - outside


def _narrow_by_judgement(case: Case, policy: HandoffPolicy) -> None:
    if case.can_only_be("understanding", SILENT):
        case.restrict("trigger", allowed=("silence",))
    elif SILENT not in (_left(case, "understanding") or {SILENT}):
        case.restrict("trigger", excluded=("silence",))
    if case.can_only_be("understanding", UNREADABLE):
        case.restrict("message_kind", allowed=("unreadable",))
    elif case.can_only_be("understanding", *_READ):
        case.restrict("message_kind", excluded=("unreadable",))
    if case.can_only_be("understanding", FORM_ANSWER):
        case.flag("form_active", value=True)
    if case.can_only_be("understanding", OUT_OF_SCOPE):
        case.restrict("top_intent", allowed=policy.out_of_scope)
        case.bound("confidence", low=policy.confidence.out_of_scope)
    if case.can_only_be("understanding", SMALL_TALK):
        case.restrict("top_intent", allowed=policy.small_talk - policy.out_of_scope)
        case.bound("confidence", low=policy.confidence.small_talk)
    if case.can_only_be("understanding", CONFIDENT):
        case.restrict("top_intent", excluded=policy.out_of_scope)
        confident, margin = _least_threshold(case, policy)
        case.bound("confidence", low=confident)
        case.bound("margin", low=margin)


_READ = (CONFIDENT, SMALL_TALK, FORM_ANSWER, UNSURE, OUT_OF_SCOPE)


def _least_threshold(case: Case, policy: HandoffPolicy) -> tuple[float, float]:
    """The lowest bar over the languages and intents that the case leaves open."""
    settings = policy.confidence
    languages = _left(case, "language")
    bases = [settings.by_language.get(name, settings.default) for name in languages or ()]
    if not bases:
        bases = [settings.default, *settings.by_language.values()]
    intents = _left(case, "top_intent")
    scores = [base.confident for base in bases]
    if intents:
        own = [settings.by_intent[name] for name in intents if name in settings.by_intent]
        scores = own if len(own) == len(intents) else [*scores, *own]
    else:
        scores.extend(settings.by_intent.values())
    return min(scores), min(base.margin for base in bases)


def _add_scores(case: Case) -> None:
    """The score is at least the lead; a press or a choice is certain."""
    if "margin" in case.numbers:
        case.bound("confidence", low=case.numbers["margin"].low - _SLACK)
    pressed = case.can_only_be("message_kind", "button")
    chose = case.can_only_be("clarification_answer", "chosen")
    if (pressed or chose) and case.is_surely("top_intent"):
        for fact, value in (("confidence", 1.0), ("margin", 1.0), ("entropy", 0.0)):
            known = case.numbers.get(fact)
            if known is not None and not known.low <= value < known.high:
                case.is_impossible = True


def _contradicts_itself(case: Case) -> bool:
    if any(names.left == frozenset() for names in case.names.values()):
        return True
    for fact, wanted in case.shared.items():
        unwanted = case.without.get(fact, frozenset())
        if any(values <= unwanted for values in wanted):
            return True
    return any(_holds_nothing(fact, known) for fact, known in case.numbers.items())


def _holds_nothing(fact: str, known: Range) -> bool:
    kind = FACTS[fact]
    if isinstance(kind, NumberFact) and fact not in _UNBOUNDED and known.low > kind.high:
        return True
    if known.is_empty:
        return True
    first = -(-known.low // 1)  # the least whole number in the range
    return fact in _WHOLE and first >= known.high


_UNBOUNDED = _WHOLE | {"amount", "silence_minutes"}
"""Facts whose greatest value in the file is only what makes sense, not what can come."""


def _left(case: Case, fact: str) -> frozenset[str] | None:
    return case.names.get(fact, _unrestricted(fact)).left


def _implies_one(case: Case, condition: Condition) -> bool:
    fact = condition.fact
    if isinstance(condition, Flag):
        return case.flags.get(fact) is condition.value
    if isinstance(condition, Within):
        return _implies_range(case, condition)
    values = frozenset(condition.values)
    if fact in SEVERAL_VALUES:
        if isinstance(condition, OneOf):
            return any(wanted <= values for wanted in case.shared.get(fact, []))
        return values <= case.without.get(fact, frozenset())
    names = case.names.get(fact, _unrestricted(fact))
    if isinstance(condition, OneOf):
        return names.left is not None and names.left <= values
    return values <= names.excluded or (names.left is not None and not names.left & values)


def _implies_range(case: Case, condition: Within) -> bool:
    fact, kind = condition.fact, FACTS[condition.fact]
    known = case.numbers.get(fact)
    if known is None:
        if fact in _MAY_BE_MISSING or not isinstance(kind, NumberFact):
            return False
        known = _whole_range(fact)
    starts = condition.at_least is None or known.low >= condition.at_least
    return starts and (condition.below is None or known.high <= condition.below)


_MAY_BE_MISSING = frozenset(
    {"in_scope", "amount", "sentiment", "silence_minutes", "agents_available"},
)
"""Numbers that may be none; a condition on them asks, first of all, that they are there."""
