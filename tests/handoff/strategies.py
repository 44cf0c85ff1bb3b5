"""Arbitrary turns and arbitrary rules, for what must hold whatever a designer writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from handoff.conditions import (
    FACTS,
    ChoiceFact,
    Condition,
    Flag,
    FlagFact,
    NoneOf,
    NumberFact,
    OneOf,
    Within,
    entity_pair,
)
from handoff.policy import (
    PRIORITIES,
    QUEUE_AS_NEEDED,
    REASONS,
    SEVERITIES,
    Clarify,
    Confidence,
    HandOff,
    HandoffPolicy,
    Rule,
    Stay,
    Threshold,
)
from handoff.snapshot import CLARIFICATION_ANSWERS, MESSAGE_KINDS, TRIGGERS, ConversationSnapshot

INTENTS = ("refund", "order_status", "greet", "out_of_scope", "safety_incident", "unheard_of")
GROUPS = {
    "money": frozenset({"refund"}),
    "orders": frozenset({"order_status", "refund"}),
    "small_talk": frozenset({"greet"}),
    "out_of_scope": frozenset({"out_of_scope"}),
}
_NAMES: dict[str, Sequence[str]] = {
    "top_intent": INTENTS,
    "intent_group": tuple(GROUPS),
    "entity": ("amount", "order_number"),
    "entity_value": (entity_pair("order_number", "1"), entity_pair("amount", "R$ 5")),
    "channel": ("whatsapp", "webchat"),
    "language": ("pt", "en", "fr"),
    "segment": ("enterprise", "retail"),
    "form": ("order_status_form", "other_form"),
    "keywords": ("safety", "fraud", "person"),
}
_SCORES = st.sampled_from((0.0, 0.03, 0.1, 0.35, 0.4, 0.45, 0.5, 0.6, 0.9, 1.0))
_SMALL = st.integers(0, 3)
_PHRASES = ("choque elétrico", "golpe", "humano")
_NUMBERS: dict[str, tuple[float, ...]] = {
    "confidence": (0.0, 0.35, 0.45, 0.5, 0.9, 1.0),
    "margin": (-1.0, 0.0, 0.1, 0.5, 1.0),
    "entropy": (0.0, 0.3, 0.7, 1.0),
    "in_scope": (0.0, 0.4, 0.8, 1.0),
    "sentiment": (-1.0, -0.6, 0.0, 0.5, 1.0),
    "language_confidence": (0.0, 0.5, 0.8, 1.0),
    "text_length": (0.0, 3.0, 40.0, 4000.0),
    "amount": (0.0, 5.0, 1000.0),
    "silence_minutes": (0.0, 5.0, 10.0),
}


@st.composite
def snapshots(draw: st.DrawFn) -> ConversationSnapshot:
    """Any turn at all, also ones that no process would make."""
    scores = draw(st.dictionaries(st.sampled_from(INTENTS), _SCORES, max_size=4))
    given: dict[str, Any] = {
        "turn_id": "t",
        "conversation_id": "c",
        "channel": draw(st.sampled_from(("whatsapp", "webchat", ""))),
        "now": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=draw(st.integers(0, 8760))),
        "message_kind": draw(st.sampled_from(MESSAGE_KINDS)),
        "text_length": draw(st.sampled_from((0, 3, 39, 40, 5000))),
        "top_intent": draw(st.none() | st.sampled_from(INTENTS)),
        "ranking": tuple(scores.items()),
        "entities": draw(
            st.dictionaries(
                st.sampled_from(("amount", "order_number")),
                st.lists(st.sampled_from(("1", "R$ 5", "mil reais", "??")), max_size=2).map(tuple),
            )
        ),
        "keywords": tuple(draw(st.sets(st.sampled_from(_PHRASES)))),
        "language": draw(st.sampled_from(("pt", "en", "fr", ""))),
        "language_confidence": draw(_SCORES),
        "language_served": draw(st.booleans()),
        "failures": draw(_SMALL),
        "clarifications_asked": draw(_SMALL),
        "clarification_open": draw(st.booleans()),
        "clarification_answer": draw(st.none() | st.sampled_from(CLARIFICATION_ANSWERS)),
        "already_offered": tuple(draw(st.sets(st.sampled_from(INTENTS)))),
        "repeated_question": draw(st.booleans()),
        "contact_vip": draw(st.booleans()),
        "contact_segment": draw(st.none() | st.sampled_from(("enterprise", "retail", "other"))),
        "has_open_ticket": draw(st.booleans()),
        "active_form": draw(st.none() | st.sampled_from(("order_status_form", "third_form"))),
        "trigger": draw(st.sampled_from(TRIGGERS)),
        "silence_minutes": draw(st.none() | st.floats(allow_nan=True)),
        "in_scope": draw(st.none() | st.floats(allow_nan=True)),
        "sentiment": draw(st.none() | st.floats(-1, 1)),
        "agents_available": draw(
            st.dictionaries(st.sampled_from(("n1_support", "n3_risk", "gone")), st.integers(-1, 3))
        ),
    }
    return ConversationSnapshot(**given)


@st.composite
def conditions(draw: st.DrawFn, policy: HandoffPolicy) -> Condition:
    """One condition on any fact."""
    fact = draw(st.sampled_from(sorted(FACTS)))
    kind = FACTS[fact]
    if isinstance(kind, FlagFact):
        return Flag(fact, draw(st.booleans()))
    if isinstance(kind, NumberFact):
        bounds = sorted(draw(st.sets(st.sampled_from(_bounds(fact)), min_size=2, max_size=2)))
        which = draw(st.sampled_from(("low", "high", "both")))
        return Within(
            fact,
            at_least=None if which == "high" else bounds[0],
            below=None if which == "low" else bounds[1],
        )
    allowed = kind.allowed if isinstance(kind, ChoiceFact) else None
    names = allowed or _NAMES[fact]
    values = tuple(sorted(draw(st.sets(st.sampled_from(names), min_size=1, max_size=4))))
    return draw(st.sampled_from((OneOf, NoneOf)))(fact, values)


def _bounds(fact: str) -> tuple[float, ...]:
    return _NUMBERS.get(fact, (0.0, 0.5, 1.0, 2.0, 3.0))


@st.composite
def rule_lists(draw: st.DrawFn, policy: HandoffPolicy) -> tuple[Rule, ...]:
    """A few rules that often overlap: later ones repeat conditions of earlier ones."""
    rules: list[Rule] = []
    pool: list[Condition] = draw(st.lists(conditions(policy), min_size=2, max_size=5))
    any_condition = st.sampled_from(pool) | conditions(policy)
    for number in range(draw(st.integers(1, 5))):
        when = draw(
            st.lists(
                st.lists(
                    any_condition, min_size=1, max_size=3, unique_by=lambda item: item.fact
                ).map(tuple),
                min_size=1,
                max_size=2,
            )
        )
        outcome = draw(_outcomes(policy))
        if isinstance(outcome, HandOff) and outcome.queue == QUEUE_AS_NEEDED:
            wanted = Flag("wants_person", value=True)
            when = [
                (*(item for item in alternative if item.fact != "wants_person"), wanted)
                for alternative in when
            ]
        rules.append(
            Rule(f"rule_{number}", tuple(when), outcome, draw(st.sampled_from(REASONS))),
        )
    return tuple(rules)


def _outcomes(policy: HandoffPolicy) -> st.SearchStrategy[Any]:
    queues = (*policy.queues, QUEUE_AS_NEEDED)
    handoffs = st.builds(
        HandOff,
        queue=st.sampled_from(queues),
        priority=st.none() | st.sampled_from(PRIORITIES),
        severity=st.none() | st.sampled_from(SEVERITIES),
        skills=st.lists(st.sampled_from(("risk", "technical")), max_size=2).map(tuple),
        expected_wait=st.none() | st.just(timedelta(minutes=30)),
    )
    return handoffs | st.just(Stay()) | st.just(Clarify())


@st.composite
def policies(draw: st.DrawFn, policy: HandoffPolicy) -> HandoffPolicy:
    """The real policy with other rules, groups, thresholds and form settings."""
    threshold = st.builds(Threshold, _SCORES, _SCORES)
    return replace(
        policy,
        rules=draw(rule_lists(policy)),
        intent_groups=GROUPS,
        confidence=Confidence(
            default=draw(threshold),
            by_language=draw(st.dictionaries(st.sampled_from(("en", "es")), threshold)),
            by_intent=draw(st.dictionaries(st.sampled_from(INTENTS), _SCORES)),
            out_of_scope=draw(_SCORES),
            small_talk=draw(_SCORES),
            in_scope=draw(st.none() | _SCORES),
        ),
        forms=replace(policy.forms, low_confidence=draw(st.sampled_from(("stay", "clarify")))),
    )
