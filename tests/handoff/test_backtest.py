from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from handoff.backtest import Flip, compare
from handoff.policy import HandoffPolicy, Threshold
from handoff.snapshot import ConversationSnapshot

Turn = Callable[..., ConversationSnapshot]
SUNDAY = datetime(2026, 11, 22, 15, tzinfo=ZoneInfo("America/Sao_Paulo"))


def stricter(policy: HandoffPolicy) -> HandoffPolicy:
    thresholds = replace(policy.confidence, default=Threshold(0.95, 0.1))
    return replace(policy, version="stricter", confidence=thresholds)


def test_the_same_policy_changes_nothing(turn: Turn, policy: HandoffPolicy) -> None:
    result = compare([turn(), turn(contact_vip=True)], before=policy, after=policy)

    assert result.flips == ()
    assert result.before == result.after


def test_a_stricter_threshold_shows_the_turns_that_flip(turn: Turn, policy: HandoffPolicy) -> None:
    turns = [
        turn(turn_id="plain"),
        turn(turn_id="vip", contact_vip=True, conversation_id="conversation-2"),
        turn(turn_id="sure", ranking=(("order_status", 0.99),)),
    ]

    result = compare(turns, before=policy, after=stricter(policy))

    assert (result.turns, result.conversations) == (3, 2)
    assert result.before.outcomes == {"stay": 3, "clarify": 0, "handoff": 0}
    assert result.after.outcomes == {"stay": 1, "clarify": 1, "handoff": 1}
    assert result.after.handoffs_by_intent == {"order_status": 1}
    assert result.after.conversations_handed_off == 1
    assert [flip.turn_id for flip in result.flips] == ["plain", "vip"]
    assert result.flips[1] == Flip(
        turn_id="vip",
        conversation_id="conversation-2",
        intent="order_status",
        before="stay",
        after="handoff",
        rule_before="default_confident",
        rule_after="vip_low_score",
        queue_before=None,
        queue_after="n1_support",
    )
    json.dumps(result.to_json())


def test_handoffs_that_must_wait_are_counted(turn: Turn, policy: HandoffPolicy) -> None:
    vip_on_sunday = turn(contact_vip=True, now=SUNDAY)

    result = compare([vip_on_sunday], before=policy, after=stricter(policy))

    assert result.after.handoffs_to_closed_queues == 1
    assert result.after.rules == {"outside_hours": 1}


def test_no_turns_is_an_empty_comparison(policy: HandoffPolicy) -> None:
    result = compare([], before=policy, after=policy)

    assert (result.turns, result.flips, result.after.rules) == (0, (), {})
