"""Stored decisions beside another policy, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from handoff.backtest import Backtest, Stored, StoredTurn, Tally, compare
from handoff.backtest_cost import Costs, estimate, needed_share
from handoff.backtest_plot import sweep_svg
from handoff.backtest_report import report, sweep_report, text_report
from handoff.backtest_sweep import SweepError, parse_sweep
from handoff.decide import decide
from handoff.policy import HandoffPolicy, Threshold
from handoff.snapshot import ConversationSnapshot

Turn = Callable[..., ConversationSnapshot]
PERIOD = {"since": "2026-11-01", "until": "2026-12-01"}


def stricter(policy: HandoffPolicy) -> HandoffPolicy:
    thresholds = replace(policy.confidence, default=Threshold(0.95, 0.1), by_language={})
    return replace(policy, version="stricter", confidence=thresholds)


def stored(snapshot: ConversationSnapshot, policy: HandoffPolicy, at: str = "") -> StoredTurn:
    """The record that deciding this turn leaves."""
    decision = decide(snapshot, policy)
    return StoredTurn(
        snapshot.conversation_id,
        snapshot.turn_id,
        at or "2026-11-24T13:00:00+00:00",
        policy.version,
        Stored(
            decision.outcome,
            decision.rule,
            decision.reason,
            decision.level,
            decision.queue,
            decision.understanding,
        ),
        json.loads(json.dumps(snapshot.to_json())),
    )


def document(tally: Tally, policy: HandoffPolicy) -> dict[str, Any]:
    filters: dict[str, str | None] = {"language": None, "channel": None}
    made = report(tally, policy, Costs(), period=PERIOD, filters=filters, tickets={"vip": 1001})
    json.dumps(made)
    return made


@pytest.fixture
def turns(turn: Turn, policy: HandoffPolicy) -> list[StoredTurn]:
    return [
        stored(turn(turn_id="plain"), policy, "2026-11-24T10:00"),
        stored(
            turn(turn_id="vip", contact_vip=True, conversation_id="conversation-2"),
            policy,
            "2026-11-24T11:00",
        ),
        stored(turn(turn_id="sure", ranking=(("order_status", 0.99),)), policy, "2026-11-24T12:00"),
        stored(turn(turn_id="again"), policy, "2026-11-24T13:00"),
    ]


def test_the_same_policy_changes_nothing(turns: list[StoredTurn], policy: HandoffPolicy) -> None:
    made = document(compare(turns, policy), policy)

    assert made["flips"]["turns"] == made["flips"]["conversations"] == 0
    assert made["outcomes"]["before"] == made["outcomes"]["after"]
    assert made["cost"]["before"] == made["cost"]["after"]


def test_a_stricter_threshold_shows_what_flips(
    turns: list[StoredTurn], policy: HandoffPolicy
) -> None:
    tally = compare(turns, stricter(policy))
    made = document(tally, stricter(policy))

    assert (made["turns"], made["conversations"]) == (4, 2)
    assert made["outcomes"]["before"]["stay"]["turns"] == 4
    assert {name: row["turns"] for name, row in made["outcomes"]["after"].items()} == {
        "stay": 1,
        "clarify": 2,
        "handoff": 1,
    }
    assert made["conversations_with_a_handoff"] == {"before": 0, "after": 1}
    (reason,) = made["handoffs"]["by_reason"]
    assert (reason["name"], reason["before"], reason["after"]) == ("vip", 0, 1)
    assert [flip["turn_id"] for flip in made["flips"]["listed"]] == ["plain", "vip"]
    vip = made["flips"]["listed"][1]
    assert (vip["rule_before"], vip["rule_after"]) == ("default_confident", "vip_low_score")
    assert (vip["queue_before"], vip["queue_after"], vip["ticket"]) == (None, "n1_support", 1001)
    shown = text_report(made)
    assert "stay (default_confident) -> handoff to n1_support (vip_low_score)" in shown
    assert "ticket 1001" in shown


def test_turns_after_the_first_change_are_counted_apart_and_left_out_of_the_cost(
    turns: list[StoredTurn], policy: HandoffPolicy
) -> None:
    tally = compare(turns, stricter(policy))

    assert document(tally, policy)["flips"]["later_turns"] == 2  # "sure" and "again"
    after = estimate(tally, Costs(handoff=10, clarify=1, wrong=0, missed=0))["after"]
    assert (after.handoffs, after.clarifications, after.total) == (1, 1, 11)


def test_wrong_answers_are_expected_from_the_confidence(turn: Turn, policy: HandoffPolicy) -> None:
    unsure = [stored(turn(ranking=(("order_status", 0.8),)), policy) for _ in range(5)]
    pressed = stored(turn(message_kind="button", ranking=(("order_status", 0.1),)), policy)

    cost = estimate(compare([*unsure, pressed], policy), Costs())["before"]

    assert cost.wrong_answers == pytest.approx(1.0)
    assert cost.total == pytest.approx(3.0)


def test_agents_reviews_price_the_handoffs_that_are_left_out(
    turn: Turn, policy: HandoffPolicy
) -> None:
    asks = turn(top_intent="talk_to_person", ranking=(("talk_to_person", 0.5),))
    turns = [stored(replace(asks, turn_id=name, conversation_id=name), policy) for name in "abcd"]
    without_the_rule = replace(
        policy, rules=tuple(rule for rule in policy.rules if rule.id != "customer_request")
    )

    tally = compare(turns, without_the_rule, reviews={"a": "right", "b": "wrong"})

    assert needed_share(tally) == 0.5
    cost = estimate(tally, Costs(missed=12))
    assert cost["after"].missed == 2.0  # half of the four that are left out
    assert document(tally, policy)["reviews"]["turns"] == 2


def test_a_record_that_is_no_snapshot_is_left_out_and_named(
    turn: Turn, policy: HandoffPolicy
) -> None:
    good = stored(turn(), policy)
    broken = good._replace(turn_id="broken", snapshot={"channel": "whatsapp"})

    made = document(compare([broken, good], policy), policy)

    assert (made["turns"], made["unreadable"]) == (1, {"turns": 1, "some": ["broken"]})
    assert "1 records could not be read" in text_report(made)


def test_shares_of_the_conversations_add_up(turns: list[StoredTurn], policy: HandoffPolicy) -> None:
    new = stricter(policy)
    sweep = parse_sweep("confidence=0.3..0.9", new)
    whole = compare(turns, new, sweep=sweep)
    parts = Tally()
    for name in ("conversation-1", "conversation-2"):
        share = [one for one in turns if one.conversation_id == name]
        parts.add(compare(share, new, sweep=sweep), limit_flips=20)

    assert document(parts, new) == document(whole, new)


def test_only_so_many_flips_are_kept(turns: list[StoredTurn], policy: HandoffPolicy) -> None:
    tally = compare(turns, stricter(policy), limit_flips=1)

    assert (len(tally.flips), tally.flipped) == (1, 2)


@pytest.mark.parametrize("available", [None, 0, 1, 3, 9])
def test_handoffs_are_counted_by_the_people_available(
    turn: Turn, policy: HandoffPolicy, available: int | None
) -> None:
    people = {} if available is None else {"n3_risk": available}
    fraud = turn(top_intent="report_fraud", ranking=(("report_fraud", 0.9),))
    known = replace(fraud, agents_available=people)

    (row,) = document(compare([stored(known, policy)], policy), policy)["handoffs"][
        "by_agents_available"
    ]

    expected = {None: "unknown", 0: "0", 1: "1", 3: "2-4", 9: "5+"}
    assert (row["name"], row["before"]) == (expected[available], 1)


def test_no_turns_is_an_empty_comparison(policy: HandoffPolicy) -> None:
    made = document(Backtest(policy).finish(), policy)

    assert (made["turns"], made["flips"]["listed"]) == (0, [])
    text_report(made)


class TestSweep:
    def test_a_sweep_is_the_backtest_of_every_value(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        turns = [
            stored(
                turn(
                    turn_id=f"t{score}-{form}",
                    conversation_id=f"c{score}",
                    ranking=(("order_status", score / 20), ("refund", 0.02)),
                    active_form="order_status_form" if form else None,
                    entities={"order_number": ("1",)} if form else {},
                    contact_vip=score % 3 == 0,
                ),
                policy,
            )
            for score in range(1, 20)
            for form in (False, True)
        ]
        for name in ("confidence", "margin", "out_of_scope", "small_talk", "in_scope"):
            sweep = parse_sweep(f"{name}=0.1..0.9:0.1", policy)
            points = compare(turns, policy, sweep=sweep).sweep
            assert points is not None
            for point in points.points:
                changed = sweep.confidence(policy.confidence, point.value)
                alone = document(compare(turns, replace(policy, confidence=changed)), policy)
                after = {key: row["turns"] for key, row in alone["outcomes"]["after"].items()}
                assert point.outcomes == after, (name, point.value)
                assert point.conversations == alone["conversations_with_a_handoff"]["after"]

    def test_the_present_value_is_among_the_values(self, policy: HandoffPolicy) -> None:
        sweep = parse_sweep("confidence=0.31..0.8:0.1", policy)

        assert sweep.present == policy.confidence.default.confident
        assert sweep.present in sweep.values

    def test_one_language_alone_can_be_swept(self, policy: HandoffPolicy) -> None:
        sweep = parse_sweep("confidence.es=0.3..0.8", policy)
        changed = sweep.confidence(policy.confidence, 0.7)

        assert changed.threshold(language="es", intent=None).confident == 0.7
        assert changed.threshold(language="pt", intent=None) == policy.confidence.default

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("confidence", "expected NAME=LOW..HIGH"),
            ("courage=0.1..0.2", "expected one of confidence"),
            ("small_talk.pt=0.1..0.2", "expected one of confidence"),
            ("confidence=0.8..0.3", "0 <= LOW <= HIGH <= 1"),
            ("confidence=0.3..1.3", "0 <= LOW <= HIGH <= 1"),
            ("confidence=0..1:0", "STEP above 0"),
            ("confidence=0..1:0.001", "at most 101"),
        ],
    )
    def test_a_sweep_that_makes_no_sense_says_what_is_expected(
        self, policy: HandoffPolicy, text: str, said: str
    ) -> None:
        with pytest.raises(SweepError, match=said.replace("..", r"\.\.")):
            parse_sweep(text, policy)

    def test_the_picture_is_well_formed_and_marks_the_present_value(
        self, turns: list[StoredTurn], policy: HandoffPolicy
    ) -> None:
        tally = compare(turns, policy, sweep=parse_sweep("confidence=0.3..0.99", policy)).sweep
        assert tally is not None
        drawn = sweep_svg(sweep_report(tally, Costs()), title='A <title> & "more"')

        texts = [item.text or "" for item in ET.fromstring(drawn).iter() if item.text]  # noqa: S314
        assert any(text.startswith("now") for text in texts)
        assert 'A <title> & "more"' in texts

    @pytest.mark.parametrize("bounds", ["0.5..0.5", "0..1"])
    def test_a_picture_of_nothing_or_of_one_value_is_drawn_too(
        self, policy: HandoffPolicy, bounds: str
    ) -> None:
        tally = compare([], policy, sweep=parse_sweep(f"in_scope={bounds}", policy)).sweep
        assert tally is not None

        ET.fromstring(sweep_svg(sweep_report(tally, Costs()), title="empty"))  # noqa: S314
