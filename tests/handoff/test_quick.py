"""The quick path gives what `decide` gives, on arbitrary snapshots and arbitrary policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handoff import quick
from handoff.business_hours import Calendar
from handoff.conditions import (
    CONTEXT_FACTS,
    FACTS,
    ChoiceFact,
    Condition,
    Flag,
    FlagFact,
    NoneOf,
    NumberFact,
    OneOf,
    PairFact,
    Within,
)
from handoff.decide import decide
from handoff.policy import (
    QUEUE_AS_NEEDED,
    REASONS,
    Clarify,
    Confidence,
    HandOff,
    HandoffPolicy,
    Rule,
    Stay,
    Threshold,
)
from handoff.quick import OpenHours, QuickPolicy, QuickTurn, Verdict
from handoff.snapshot import ConversationSnapshot, SnapshotError

INTENTS = ["order_status", "refund", "cancel", "greet", "out_of_scope", "talk_to_person", "legal"]
WORDS = ["procon", "advogado", "atendente", "golpe", "pegou fogo"]
ENTITIES = ["order_number", "amount", "city"]
QUEUES = ["n1_support", "n2_billing", "n3_risk"]
Turn = Callable[..., ConversationSnapshot]

scores = st.sampled_from([0.0, 0.3, 0.35, 0.45, 0.5, 0.6, 0.8, 1.0]) | st.floats(0, 1)
IN_BRAZIL = timezone(timedelta(hours=-3))
moments = st.integers(-2_000_000_000, 2_500_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, IN_BRAZIL)
) | st.floats(1.77e9, 1.80e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@st.composite
def snapshots(draw: st.DrawFn) -> ConversationSnapshot:
    ranking = draw(st.dictionaries(st.sampled_from(INTENTS), scores, max_size=5))
    return ConversationSnapshot(
        turn_id="turn",
        conversation_id="conversation",
        channel=draw(st.sampled_from(["whatsapp", "webchat"])),
        now=draw(moments),
        message_kind=draw(st.sampled_from(["text", "text", "button", "unreadable"])),
        text_length=draw(st.integers(0, 80)),
        top_intent=draw(st.none() | st.sampled_from(INTENTS)),
        ranking=tuple(ranking.items()),
        entities=draw(
            st.dictionaries(
                st.sampled_from(ENTITIES),
                st.lists(st.sampled_from(["12345", "R$ 1.500,00", "São Paulo"]), max_size=2).map(
                    tuple
                ),
                max_size=2,
            )
        ),
        keywords=tuple(draw(st.lists(st.sampled_from(WORDS), max_size=2, unique=True))),
        language=draw(st.sampled_from(["pt", "en", "es", "de"])),
        language_confidence=draw(scores),
        language_served=draw(st.booleans()),
        failures=draw(st.integers(0, 4)),
        clarifications_asked=draw(st.integers(0, 3)),
        clarification_open=draw(st.booleans()),
        clarification_answer=draw(st.sampled_from([None, None, "chosen", "none_of_these"])),
        already_offered=tuple(draw(st.lists(st.sampled_from(INTENTS), max_size=2))),
        repeated_question=draw(st.booleans()),
        contact_vip=draw(st.booleans()),
        contact_segment=draw(st.sampled_from([None, "enterprise", "x"])),
        has_open_ticket=draw(st.booleans()),
        active_form=draw(st.sampled_from([None, None, "order_status_form", "other_form"])),
        trigger=draw(st.sampled_from(["message", "message", "bot_unavailable", "silence"])),
        silence_minutes=draw(st.none() | st.floats(0, 30)),
        in_scope=draw(st.none() | scores),
        sentiment=draw(st.none() | st.floats(-1, 1)),
        agents_available=draw(
            st.dictionaries(st.sampled_from(QUEUES), st.integers(0, 5), max_size=3)
        ),
    )


_NAMES: dict[str, list[str]] = {
    "top_intent": INTENTS,
    "intent_group": ["small_talk", "out_of_scope"],
    "keywords": ["legal", "fraud", "safety", "person"],
    "entity": ENTITIES,
    "entity_value": ["city=sao paulo", "order_number=12345"],
    "language": ["pt", "en", "de"],
    "segment": ["enterprise", "x"],
    "form": ["order_status_form", "other_form"],
    "channel": ["whatsapp", "webchat"],
}


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    fact = draw(st.sampled_from(sorted(FACTS)))
    kind = FACTS[fact]
    if isinstance(kind, FlagFact):
        return Flag(fact, draw(st.booleans()))
    if isinstance(kind, NumberFact):
        high = min(kind.highest, 5.0) if hasattr(kind, "highest") else 5.0
        bound = st.none() | st.sampled_from([0.0, 0.3, 0.35, 0.5, 1.0]) | st.floats(-1, high)
        return Within(fact, draw(bound), draw(bound))
    assert isinstance(kind, (ChoiceFact, PairFact))
    allowed = getattr(kind, "allowed", None)
    names = list(allowed) if allowed else _NAMES[fact]
    values = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))
    return draw(st.sampled_from([OneOf, NoneOf]))(fact, values)


outcomes = (
    st.just(Stay())
    | st.just(Clarify())
    | st.builds(
        HandOff,
        queue=st.sampled_from([*QUEUES, QUEUE_AS_NEEDED]),
        priority=st.sampled_from([None, "low", "urgent"]),
    )
)
rule_lists = st.lists(
    st.tuples(
        st.lists(st.lists(conditions(), max_size=3).map(tuple), min_size=1, max_size=2).map(tuple),
        outcomes,
        st.sampled_from(REASONS),
    ),
    max_size=8,
)
thresholds = st.builds(Threshold, confident=scores, margin=scores)


@st.composite
def policies(draw: st.DrawFn, policy: HandoffPolicy) -> HandoffPolicy:
    rules = draw(rule_lists)
    return replace(
        policy,
        rules=tuple(
            Rule(f"rule_{number}", when, outcome, reason)
            for number, (when, outcome, reason) in enumerate(rules)
        ),
        confidence=Confidence(
            default=draw(thresholds),
            by_language=draw(st.dictionaries(st.sampled_from(["pt", "en"]), thresholds)),
            by_intent=draw(st.dictionaries(st.sampled_from(INTENTS), scores, max_size=2)),
            out_of_scope=draw(scores),
            small_talk=draw(scores),
            in_scope=draw(st.none() | scores),
        ),
    )


def document(snapshot: ConversationSnapshot) -> dict[str, Any]:
    """What comes back from the database."""
    read: dict[str, Any] = json.loads(json.dumps(snapshot.to_json()))
    return read


def verdict(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> Verdict:
    decision = decide(snapshot, policy)
    return Verdict(*(getattr(decision, name) for name in Verdict._fields))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_quick_path_decides_as_decide_does(data: st.DataObject, policy: HandoffPolicy) -> None:
    wanted = data.draw(policies(policy))
    turns = data.draw(st.lists(snapshots(), min_size=1, max_size=12))
    fast = QuickPolicy(wanted)

    for snapshot in turns:
        assert fast.decide(QuickTurn(document(snapshot))) == verdict(snapshot, wanted)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=st.lists(snapshots(), min_size=1, max_size=12), tried=st.lists(thresholds, max_size=4))
def test_so_do_variants_of_the_real_policy_that_share_what_they_have_met(
    turns: list[ConversationSnapshot], tried: list[Threshold], policy: HandoffPolicy
) -> None:
    fast = QuickPolicy(policy)
    changed = [replace(policy.confidence, default=one, by_language={}) for one in tried]

    for snapshot in turns:
        turn = QuickTurn(document(snapshot))
        assert fast.decide(turn) == verdict(snapshot, policy)
        for confidence in changed:
            other = replace(policy, confidence=confidence)
            assert fast.variant(confidence).decide(turn) == verdict(snapshot, other)


@settings(max_examples=200, deadline=None)
@given(snapshot=snapshots())
def test_a_quick_turn_has_the_attributes_of_its_snapshot(snapshot: ConversationSnapshot) -> None:
    turn = QuickTurn(document(snapshot))

    for name in ("confidence", "margin", "is_certain", "entropy", "now", "top_intent", "failures"):
        assert getattr(turn, name) == getattr(snapshot, name)


def test_every_fact_is_read_without_the_whole_snapshot() -> None:
    """Not needed for right results, only for speed: a new fact wants a reader here."""
    slow = FACTS.keys() - quick._FACT_READERS.keys() - CONTEXT_FACTS

    assert slow == {"understanding", "entity_value"}


def test_a_record_of_an_older_release_is_read_with_the_defaults(
    policy: HandoffPolicy, turn: Turn
) -> None:
    old = document(turn())
    for name in ("trigger", "in_scope", "agents_available", "sentiment", "entities", "language"):
        del old[name]

    assert QuickPolicy(policy).decide(QuickTurn(old)) == verdict(turn(), policy)


def test_what_is_no_snapshot_is_refused_with_the_key(policy: HandoffPolicy, turn: Turn) -> None:
    broken = document(turn()) | {"failures": "many"}
    fresh = QuickPolicy(replace(policy, rules=()))

    with pytest.raises(SnapshotError, match="failures"):
        fresh.decide(QuickTurn(broken))


def test_opening_to_the_second_is_not_rounded_to_minutes() -> None:
    odd = Calendar("odd", "UTC", {day: ((time(8, 0, 30), time(9)),) for day in range(7)})
    hours = OpenHours(odd)
    minute = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)

    assert [hours.at(minute + timedelta(seconds=late)) for late in (0, 29, 30)] == [
        False,
        False,
        True,
    ]
