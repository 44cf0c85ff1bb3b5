"""What would have changed an outcome, and how an explanation tells it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handoff.decide import decide
from handoff.explain import explain, explained, missing
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from handoff.what_if import what_if

Turn = Callable[..., ConversationSnapshot]


def told(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> list[tuple[str, str, str]]:
    return [(one.fact, one.value, one.outcome) for one in what_if(snapshot, policy)]


def test_a_score_that_was_too_low_names_the_score_that_is_enough(
    turn: Turn, policy: HandoffPolicy
) -> None:
    low = turn(ranking=(("order_status", 0.2), ("refund", 0.05)))
    least = policy.confidence.default.confident

    assert ("confidence", f"at least {least:g}", "stay") in told(low, policy)


def test_an_answer_names_the_score_under_which_the_bot_would_have_asked(
    turn: Turn, policy: HandoffPolicy
) -> None:
    least = policy.confidence.default.confident

    assert ("confidence", f"below {least:g}", "clarify") in told(turn(), policy)


def test_a_handoff_after_failures_names_them(turn: Turn, policy: HandoffPolicy) -> None:
    lost = turn(ranking=(("order_status", 0.2),), failures=3)

    assert ("failures", "0", "clarify") in told(lost, policy)


def test_a_pressed_button_has_no_score_to_move(turn: Turn, policy: HandoffPolicy) -> None:
    assert "confidence" not in [fact for fact, _, _ in told(turn(message_kind="button"), policy)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    score=st.floats(0, 1),
    second=st.floats(0, 1),
    intent=st.sampled_from(["order_status", "greet", "out_of_scope", "talk_to_person", None]),
    failures=st.integers(0, 3),
    kind=st.sampled_from(["text", "button", "unreadable"]),
)
def test_every_change_that_is_told_leads_elsewhere(
    turn: Turn,
    policy: HandoffPolicy,
    *,
    score: float,
    second: float,
    intent: str | None,
    failures: int,
    kind: str,
) -> None:
    ranking = (("refund", second),) if intent is None else ((intent, score), ("refund", second))
    snapshot = turn(top_intent=intent, ranking=ranking, failures=failures, message_kind=kind)
    decision = decide(snapshot, policy)

    for change in what_if(snapshot, policy):
        assert (change.outcome, change.queue) != (decision.outcome, decision.queue)


@pytest.mark.parametrize(
    ("language", "heading"),
    [
        ("en", "What would have changed it:"),
        ("pt", "O que teria mudado o resultado:"),
        ("es", "Qué habría cambiado el resultado:"),
    ],
)
def test_the_words_tell_what_would_have_changed_it(
    turn: Turn, policy: HandoffPolicy, language: str, heading: str
) -> None:
    low = turn(ranking=(("order_status", 0.2),))
    text = explain(decide(low, policy), low, language, policy=policy)

    assert heading in text
    assert re.search(r"confidence at least 0\.\d+:", text)


def test_a_policy_of_another_version_answers_for_itself_only(
    turn: Turn, policy: HandoffPolicy
) -> None:
    other = replace(policy, version="other")

    assert explained(decide(turn(), policy), turn(), policy=other).what_if == ()


def test_rules_that_did_not_match_come_the_nearest_first(turn: Turn, policy: HandoffPolicy) -> None:
    snapshot = turn()
    decision = decide(snapshot, policy)
    why = explained(decision, snapshot, policy=policy)

    lacks = [miss.missing for miss in why.not_these]
    assert lacks == sorted(lacks)
    assert all(lacks)
    assert (why.rule, why.because[0].fact) == ("default_confident", "understanding")
    by_rule = {one.rule: one for one in decision.evaluations}
    assert all(missing(by_rule[miss.rule]) == miss.missing for miss in why.not_these)
