"""A policy made ready to decide millions of stored turns.

`handoff.decide` gives the whole evidence; this gives the outcome alone, and the same one: a test
holds the two together on arbitrary snapshots and policies. A snapshot is read from its stored
document only as far as the policy asks. What is asked, in which order, and how it ended is kept as
a tree that grows with every turn that is unlike those before: each branching is a fact, reduced to
what can make a difference (a score to its place among the bounds of the rules, a name to whether a
rule mentions it). Most turns find their outcome by following branches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, NamedTuple, cast

from handoff import rules
from handoff.amounts import AMOUNT, largest_amount
from handoff.business_hours import Calendar, is_open
from handoff.conditions import (
    CLOSED,
    CONTEXT_FACTS,
    OPEN,
    Condition,
    FactValue,
    Flag,
    NoneOf,
    OneOf,
    Within,
)
from handoff.policy import PRIORITIES, Confidence, HandOff, HandoffPolicy, Rule, outcome_name
from handoff.snapshot import ConversationSnapshot

Document = Mapping[str, Any]
Reader = Callable[["QuickTurn"], Any]
FactId = tuple[str, str]
"""A fact's name, and of which calendar or queue; "" for facts of the turn alone."""

_MAX_REMEMBERED = 200_000  # kinds of turns, some 100 MB; a policy met in practice has hundreds
_WHOLE_MINUTES_SINCE = 1980  # since then every zone's offset is a whole number of minutes (tzdb)
_MARGIN_DIGITS = 9


class Verdict(NamedTuple):
    """The outcome of one turn without its evidence; the fields are those of `Decision`."""

    outcome: str
    rule: str
    reason: str
    level: str | None
    queue: str | None
    priority: str | None
    understanding: str


class QuickTurn:
    """A stored snapshot, read as far as it is asked; has the attributes of a snapshot.

    What the rules ask of nearly every turn is read at once. The rest is read, with all checks, when
    somebody asks.

    Args:
        document: What `ConversationSnapshot.to_json` gave.
    """

    __slots__ = (
        "_document",
        "_whole",
        "active_form",
        "clarification_answer",
        "confidence",
        "contact_vip",
        "entities",
        "in_scope",
        "is_certain",
        "language",
        "margin",
        "message_kind",
        "now",
        "ranking",
        "top_intent",
        "trigger",
    )

    def __init__(self, document: Document) -> None:
        get = document.get
        self._document = document
        self._whole: ConversationSnapshot | None = None
        self.active_form = get("active_form")
        self.clarification_answer = get("clarification_answer")
        self.contact_vip = get("contact_vip", False)
        self.entities: Mapping[str, Sequence[str]] = get("entities") or {}
        self.in_scope = get("in_scope")
        self.language = get("language", "pt")
        self.message_kind = get("message_kind", "text")
        self.now = datetime.fromisoformat(document["now"])
        self.ranking: Sequence[tuple[str, float]] = get("ranking") or ()
        self.top_intent = intent = get("top_intent")
        self.trigger = get("trigger", "message")
        chose = self.message_kind == "button" or self.clarification_answer == "chosen"
        self.is_certain = chose and intent is not None
        if self.is_certain:
            self.confidence, self.margin = 1.0, 1.0
        else:
            self.confidence, self.margin = self._scores(intent)

    def _scores(self, intent: str | None) -> tuple[float, float]:
        """Confidence and margin; the ranking is stored best first, each intent once."""
        own, best_other = 0.0, None
        for name, score in self.ranking:
            if name == intent:
                own = score
            elif best_other is None:
                best_other = score
            if best_other is not None and own:
                break
        if intent is None:
            own = 0.0
        return own, round(own - (best_other or 0.0), _MARGIN_DIGITS)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._whole is None:
            self._whole = ConversationSnapshot.from_json(self._document)
        return getattr(self._whole, name)

    def get(self, name: str, default: Any = None) -> Any:
        """A value as it is stored."""
        return self._document.get(name, default)

    @property
    def whole(self) -> ConversationSnapshot:
        """The snapshot with all its checks.

        Raises:
            SnapshotError: The document is none.
        """
        if self._whole is None:
            self._whole = ConversationSnapshot.from_json(self._document)
        return self._whole

    @property
    def entropy(self) -> float:
        """See `ConversationSnapshot.entropy`: its own code, on what is read here."""
        whole = cast("property", ConversationSnapshot.entropy)
        return float(whole.__get__(self))


class QuickPolicy:
    """Decides turns under one policy; remembers the kinds of turns it has met.

    Args:
        policy: What to decide by.
    """

    def __init__(self, policy: HandoffPolicy) -> None:
        self.policy = policy
        self.rules = policy.all_rules
        self._named: dict[str, list[Condition]] = {}
        for rule in self.rules:
            for condition in (one for conditions in rule.when for one in conditions):
                self._named.setdefault(condition.fact, []).append(condition)
        self._hours: dict[str, OpenHours] = {}
        self._readers: dict[FactId, Reader] = {}
        self._roots: dict[str, _Branch | Verdict] = {}
        self._leaves = 0

    def variant(self, confidence: Confidence) -> QuickPolicy:
        """The same rules with other thresholds; what one has met, the other knows.

        Thresholds decide how well a turn was understood and nothing else, and the tree begins with
        that.
        """
        other = copy(self)
        other.policy = replace(self.policy, confidence=confidence)
        return other

    def understanding(self, turn: QuickTurn) -> str:
        """How well the turn was understood: one of `handoff.conditions.UNDERSTANDINGS`."""
        return rules.understanding(cast("ConversationSnapshot", turn), self.policy)

    def decide(self, turn: QuickTurn) -> Verdict:
        """The outcome of a turn.

        Raises:
            SnapshotError: The stored document is no snapshot.
        """
        return self.decide_as(turn, self.understanding(turn))

    def decide_as(self, turn: QuickTurn, understood_as: str) -> Verdict:
        """The outcome of a turn if it was understood like this.

        Raises:
            SnapshotError: The stored document is no snapshot.
        """
        node = self._roots.get(understood_as)
        while node is not None:
            if isinstance(node, Verdict):
                return node
            node = node.ways.get(node.read(turn))
        return self._learn(turn, understood_as)

    def _learn(self, turn: QuickTurn, understood_as: str) -> Verdict:
        turn.whole  # noqa: B018 - a document that is no snapshot is refused here
        if self._leaves >= _MAX_REMEMBERED:
            self._roots.clear()
            self._leaves = 0
        search = _Search(turn, understood_as, self)
        found = search.verdict()
        self._leaves += 1
        ways: dict[Any, _Branch | Verdict] = cast("dict[Any, _Branch | Verdict]", self._roots)
        value: Any = understood_as
        for fact in search.asked:
            node = ways.get(value)
            if not isinstance(node, _Branch):
                node = ways[value] = _Branch(self.reader(fact), {})
            ways, value = node.ways, node.read(turn)
        ways[value] = found
        return found

    def reader(self, fact: FactId) -> Reader:
        """Reads a fact, reduced; the same one every time."""
        found = self._readers.get(fact)
        if found is None:
            found = self._readers[fact] = self._new_reader(fact)
        return found

    def _new_reader(self, fact: FactId) -> Reader:
        name, of = fact
        reduce = _reduction(self._named.get(name, ()))
        return lambda turn: reduce(self.value(turn, name, of))

    def value(self, turn: QuickTurn, name: str, of: str) -> FactValue:
        """A fact as `handoff.rules` sees it; `of`: the calendar or queue that it is asked of."""
        read = _FACT_READERS.get(name)
        if read is not None:
            return read(turn, self.policy)
        if name == "hours":
            hours = self._hours.get(of)
            if hours is None:
                hours = self._hours[of] = OpenHours(self.policy.calendars[of])
            return OPEN if hours.at(turn.now) else CLOSED
        if name == "agents_available":
            available: Mapping[str, int] = turn.get("agents_available") or {}
            return available.get(of)
        return rules._facts(turn.whole, self.policy)[name]  # noqa: SLF001 - the source of facts


class _Branch(NamedTuple):
    """A fact that was asked for, and where its values lead."""

    read: Reader
    ways: dict[Any, _Branch | Verdict]


class OpenHours:
    """Whether a calendar is open at a moment; remembers the answer of every minute.

    Args:
        calendar: The one that is asked.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._aligned = _on_whole_minutes(calendar)
        self._minutes: dict[int, bool] = {}

    def at(self, moment: datetime) -> bool:
        """Open or not."""
        if not self._aligned or moment.year < _WHOLE_MINUTES_SINCE:
            return is_open(self._calendar, moment)
        minute = int(moment.timestamp() // 60)
        found = self._minutes.get(minute)
        if found is None:
            whole = datetime.fromtimestamp(minute * 60, tz=timezone.utc)
            found = self._minutes[minute] = is_open(self._calendar, whole)
        return found


def _on_whole_minutes(calendar: Calendar) -> bool:
    spans = [*calendar.weekly.values(), *calendar.special_days.values()]
    times = [time for intervals in spans for interval in intervals for time in interval]
    return all(time.second == 0 and time.microsecond == 0 for time in times)


# -- facts, reduced -----------------------------------------------------------------------------


def _groups(turn: QuickTurn, policy: HandoffPolicy) -> FactValue:
    return policy.groups_of(turn.top_intent)


def _keyword_lists(turn: QuickTurn, policy: HandoffPolicy) -> FactValue:
    found = turn.get("keywords")
    if not found:
        return ()
    return tuple(
        name for name, words in policy.keywords.items() if not set(found).isdisjoint(words)
    )


def _entity_names(turn: QuickTurn, _policy: HandoffPolicy) -> FactValue:
    return tuple(sorted(name for name, values in turn.entities.items() if values))


def _amount(turn: QuickTurn, _policy: HandoffPolicy) -> FactValue:
    return largest_amount(tuple(turn.entities.get(AMOUNT, ())))


def _stored(
    name: str, default: FactValue = None
) -> Callable[[QuickTurn, HandoffPolicy], FactValue]:
    def read(turn: QuickTurn, _policy: HandoffPolicy) -> FactValue:
        value: FactValue = turn.get(name, default)
        return value

    return read


_FACT_READERS: Mapping[str, Callable[[QuickTurn, HandoffPolicy], FactValue]] = {
    "trigger": lambda turn, _: turn.trigger,
    "channel": _stored("channel"),
    "message_kind": lambda turn, _: turn.message_kind,
    "top_intent": lambda turn, _: turn.top_intent,
    "intent_group": _groups,
    "confidence": lambda turn, _: turn.confidence,
    "margin": lambda turn, _: turn.margin,
    "entropy": lambda turn, _: turn.entropy,
    "in_scope": lambda turn, _: turn.in_scope,
    "keywords": _keyword_lists,
    "entity": _entity_names,
    "amount": _amount,
    "sentiment": _stored("sentiment"),
    "language": lambda turn, _: turn.language,
    "language_served": _stored("language_served", default=True),
    "language_confidence": _stored("language_confidence", 1.0),
    "text_length": _stored("text_length", 0),
    "failures": _stored("failures", 0),
    "clarifications_asked": _stored("clarifications_asked", 0),
    "clarification_open": _stored("clarification_open", default=False),
    "clarification_answer": lambda turn, _: turn.clarification_answer,
    "repeated_question": _stored("repeated_question", default=False),
    "vip": lambda turn, _: turn.contact_vip,
    "segment": _stored("contact_segment"),
    "has_open_ticket": _stored("has_open_ticket", default=False),
    "form_active": lambda turn, _: turn.active_form is not None,
    "form": lambda turn, _: turn.active_form,
    "silence_minutes": _stored("silence_minutes"),
}
"""Facts that are read without making the whole snapshot; the others are right too, and slower."""


def _bounds(conditions: Sequence[Condition]) -> tuple[float, ...]:
    found = {
        bound
        for one in conditions
        if isinstance(one, Within)
        for bound in (one.at_least, one.below)
        if bound is not None
    }
    return tuple(sorted(found))


def _place(value: object, bounds: tuple[float, ...]) -> int | None:
    """Between which bounds a number lies; both kinds of bound ask whether it is reached."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return bisect_right(bounds, value)


def _reduction(conditions: Sequence[Condition]) -> Callable[[FactValue], Any]:
    """What of a fact's value can matter to these conditions, which all are about it."""
    if not conditions:
        return lambda value: value
    if all(isinstance(one, Within) for one in conditions):
        bounds = _bounds(conditions)
        return lambda value: _place(value, bounds)
    if all(isinstance(one, (OneOf, NoneOf)) for one in conditions):
        named = frozenset(
            value for one in conditions if isinstance(one, (OneOf, NoneOf)) for value in one.values
        )
        return lambda value: _mentioned(value, named)
    if all(isinstance(one, Flag) for one in conditions):
        return lambda value: value if isinstance(value, bool) else None
    return lambda value: value


def _mentioned(value: FactValue, named: frozenset[str]) -> Any:
    if isinstance(value, tuple):
        return tuple(one for one in value if one in named)
    return value if value in named else None


# -- a kind of turn that was not met before -----------------------------------------------------


class _Search:
    """Decides a turn as `handoff.decide` does, from the first rule on, and without evidence.

    Attributes:
        asked: The facts that were looked at, in order, each once.
    """

    def __init__(self, turn: QuickTurn, understood_as: str, quick: QuickPolicy) -> None:
        self.asked: list[FactId] = []
        self._turn = turn
        self._quick = quick
        self._policy = quick.policy
        self._understood_as = understood_as
        self._facts: dict[FactId, FactValue] = {}
        self._found: dict[int, tuple[Rule, Rule | None]] = {}

    def verdict(self) -> Verdict:
        """The outcome."""
        winner, needed = self._first_from(0)
        own, policy = winner.outcome, self._policy
        level = queue = priority = None
        if isinstance(own, HandOff):
            queue = rules.queue_of(winner, needed, policy)
            level = policy.queues[queue].level
            asked = needed.outcome if needed is not None else None
            priority = own.priority or (asked.priority if isinstance(asked, HandOff) else None)
            priority = priority or policy.defaults.priority
            least = policy.defaults.vip_priority
            if least is not None and self._fact("vip"):
                priority = max(priority, least, key=PRIORITIES.index)
        outcome, understood_as = outcome_name(own), self._understood_as
        return Verdict(outcome, winner.id, winner.reason, level, queue, priority, understood_as)

    def _first_from(self, start: int) -> tuple[Rule, Rule | None]:
        """The winner among the rules from a place on, and the rule whose destination it takes."""
        found = self._found.get(start)
        if found is None:
            found = self._found[start] = self._search_from(start)
        return found

    def _search_from(self, start: int) -> tuple[Rule, Rule | None]:
        for place in range(start, len(self._quick.rules)):
            rule = self._quick.rules[place]
            if any(all(self._met(one, rule, place) for one in when) for when in rule.when):
                return rule, self._later(place) if rule.takes_needed_queue else None
        message = "no rule matched although the last one always does"
        raise AssertionError(message)

    def _later(self, place: int) -> Rule | None:
        """The rule that would decide without this one; not a rule that only re-labels another."""
        if place + 1 >= len(self._quick.rules):
            return None
        winner, needed = self._first_from(place + 1)
        return needed if winner.takes_needed_queue else winner

    def _met(self, condition: Condition, rule: Rule, place: int) -> bool:
        fact = condition.fact
        if fact == "understanding":
            return condition.met_by(self._understood_as)
        if fact not in CONTEXT_FACTS:
            return condition.met_by(self._fact(fact))
        later = self._later(place)
        if fact == "wants_person":
            return condition.met_by(later is not None and isinstance(later.outcome, HandOff))
        queue = rules.queue_of(rule, later, self._policy)
        of = self._policy.queues[queue].calendar if fact == "hours" else queue
        return condition.met_by(self._fact(fact, of))

    def _fact(self, name: str, of: str = "") -> FactValue:
        fact = (name, of)
        if fact not in self._facts:
            self.asked.append(fact)
            self._facts[fact] = self._quick.value(self._turn, name, of)
        return self._facts[fact]
