"""What must hold for every turn and every policy."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from handoff.conditions import NOT_UNDERSTOOD
from handoff.decide import decide
from handoff.decision import Decision
from handoff.explain import explain
from handoff.messages import handoff_text
from handoff.policy import HandOff, HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from tests.handoff.strategies import policies, snapshots

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(turn: ConversationSnapshot, policy: HandoffPolicy) -> None:
    decision = decide(turn, policy)
    assert decide(turn, policy) == decision
    _check_winner(decision, policy)
    _check_destination(decision, policy)
    _check_options(decision, turn, policy)
    assert decision.counts_as_failure == (decision.understanding in NOT_UNDERSTOOD)
    assert (decision.expected_opening is None) or not decision.hours_open
    document = json.loads(json.dumps(decision.to_json(), allow_nan=False))
    assert Decision.from_json(document) == decision
    kept = json.loads(json.dumps(turn.to_json(), allow_nan=False))
    assert decide(ConversationSnapshot.from_json(kept), policy) == decision
    for language in ("pt", "en", "es", "fr"):
        assert explain(decision, turn, language)
        told = handoff_text(decision, policy, language=language, ticket="7")
        assert told or not decision.is_handoff


def _check_winner(decision: Decision, policy: HandoffPolicy) -> None:
    rules = {rule.id: rule for rule in policy.all_rules}
    assert [item.rule for item in decision.evaluations] == list(rules)
    first = next(item for item in decision.evaluations if item.matched)
    assert decision.rule == first.rule
    assert decision.rule_version == f"{first.rule}@{policy.version}"
    assert decision.outcome == first.outcome
    assert decision.reason == rules[first.rule].reason
    for item in decision.evaluations:
        held = {result.alternative for result in item.conditions}
        failed = {result.alternative for result in item.conditions if not result.met}
        assert item.matched == bool(held - failed or not item.conditions)


def _check_destination(decision: Decision, policy: HandoffPolicy) -> None:
    if not decision.is_handoff:
        assert decision.level is decision.queue is decision.priority is decision.severity is None
        assert decision.expected_wait_minutes is decision.sla_target_minutes is None
        return
    assert decision.queue in policy.queues
    assert decision.level == policy.queues[str(decision.queue)].level
    assert decision.priority
    assert decision.severity
    assert decision.message_key in policy.messages
    assert decision.expected_wait_minutes
    winner = next(rule for rule in policy.all_rules if rule.id == decision.rule)
    assert isinstance(winner.outcome, HandOff)
    assert (decision.needed_by is not None) == winner.takes_needed_queue


def _check_options(decision: Decision, turn: ConversationSnapshot, policy: HandoffPolicy) -> None:
    if decision.outcome != "clarify":
        assert decision.options == ()
        return
    assert len(decision.options) == len(set(decision.options)) <= policy.clarify.options
    assert not policy.clarify.not_offerable & set(decision.options)
    assert not set(turn.already_offered) & set(decision.options)
    assert set(decision.options) <= set(policy.intents)


@given(turn=snapshots())
@many
def test_the_real_policy_decides_every_turn(
    policy: HandoffPolicy, turn: ConversationSnapshot
) -> None:
    check(turn, policy)


@given(data=st.data())
@many
def test_any_policy_decides_every_turn(policy: HandoffPolicy, data: st.DataObject) -> None:
    check(data.draw(snapshots()), data.draw(policies(policy)))


@given(turn=snapshots(), raised=st.floats(0, 1))
@many
def test_a_higher_score_alone_never_makes_the_bot_ask(
    policy: HandoffPolicy, turn: ConversationSnapshot, raised: float
) -> None:
    """Without rules of the file, which may ask for a low or a high score."""
    bare = replace(policy, rules=())
    assume(turn.top_intent is not None)
    assume(turn.top_intent not in policy.out_of_scope)
    scores = dict(turn.ranking)
    own = scores.get(str(turn.top_intent), 0.0)
    higher = {**scores, str(turn.top_intent): max(own, raised)}
    before = decide(turn, bare)
    after = decide(replace(turn, ranking=tuple(higher.items())), bare)

    if before.outcome == "stay":
        assert after.outcome == "stay"
