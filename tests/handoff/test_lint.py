from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handoff.cases import case_of
from handoff.decide import decide
from handoff.lint import Finding, dead_rules, lint
from handoff.policy import HandoffPolicy
from handoff.policy_file import parse_policy
from tests.handoff.strategies import policies, snapshots


def no_holidays(_country: str, _subdivision: str | None, _year: int) -> Collection[date]:
    return ()


def findings(policy_text: str, rules: str) -> list[Finding]:
    """The findings about rules when the file has these alone."""
    head = re.sub(r"(?ms)^rules:.*", "", policy_text)
    policy = parse_policy(f"{head}rules:\n{rules}", holiday_dates=no_holidays)
    return [item for item in lint(policy) if item.path.startswith("rules")]


def rule(name: str, when: str, then: str = "{outcome: stay, reason: understood}") -> str:
    return f"  - id: {name}\n    when: {when}\n    then: {then}\n"


# Hypothesis shows the arguments of a strategy; a whole policy is long, and harmless.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

TO_N1 = "{outcome: handoff, reason: complaint, queue: n1_support}"
TO_RISK = "{outcome: handoff, reason: critical_intent, queue: n3_risk}"


def test_the_real_policy_is_clean(policy: HandoffPolicy) -> None:
    assert lint(policy) == ()


@pytest.mark.parametrize(
    "when",
    [
        "{top_intent: refund, not_top_intent: refund}",
        "{top_intent: [refund, cancel], not_top_intent: [cancel, refund, greet]}",
        "{understanding: confident, confidence: {below: 0.4}}",
        "{understanding: confident, margin: {below: 0.1}}",
        "{understanding: out_of_scope, confidence: {below: 0.5}}",
        "{understanding: out_of_scope, top_intent: refund}",
        "{understanding: confident, top_intent: out_of_scope}",
        "{understanding: small_talk, top_intent: refund}",
        "{understanding: small_talk, not_top_intent: [greet, thank, goodbye, affirm, deny]}",
        "{understanding: [confident, unsure], message_kind: unreadable}",
        "{understanding: unreadable, message_kind: text}",
        "{understanding: silent, trigger: message}",
        "{understanding: unsure, trigger: silence}",
        "{understanding: form_answer, form_active: false}",
        "{form: order_status_form, form_active: false}",
        "{clarification_answer: none_of_these, understanding: confident}",
        "{keywords: fraud, not_keywords: [fraud, legal]}",
        "{amount: {at_least: 10}, not_entity: amount}",
        "{silence_minutes: {at_least: 5}, trigger: message}",
        "{failures: {at_least: 0.2, below: 0.9}}",
        "{confidence: {below: 0}}",
        "{margin: {at_least: 0.6}, confidence: {below: 0.5}}",
        "{message_kind: button, top_intent: refund, confidence: {below: 0.9}}",
        "{intent_group: small_talk, top_intent: refund}",
        "{not_intent_group: small_talk, top_intent: [greet, thank]}",
    ],
)
def test_conditions_that_never_hold_together(policy_text: str, when: str) -> None:
    found = findings(policy_text, rule("dead", when))

    assert [item.severity for item in found] == ["error"]
    assert found[0].text == "rule 'dead' never wins: its conditions can never all hold"


def test_closed_hours_of_a_queue_that_never_closes(policy_text: str) -> None:
    found = findings(policy_text, rule("dead", "{hours: closed, vip: true}", TO_RISK))

    assert [item.path for item in found] == ["rules[0]"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{vip: true}", "{vip: true, top_intent: refund}"),
        ("{failures: {at_least: 1}}", "{failures: {at_least: 2}}"),
        ("{top_intent: [refund, cancel]}", "{top_intent: refund, confidence: {at_least: 0.9}}"),
        ("{not_top_intent: [refund]}", "{top_intent: [cancel, greet]}"),
        ("{not_top_intent: [refund]}", "{not_top_intent: [refund, cancel]}"),
        ("{keywords: [fraud, legal]}", "{keywords: legal}"),
        ("{form_active: true}", "{form: order_status_form}"),
        ("{confidence: {at_least: 0.3}}", "{understanding: confident}"),
        ("{intent_group: small_talk}", "[{intent_group: small_talk, vip: true}]"),
        ("{message_kind: unreadable}", "{understanding: unreadable}"),
        ("{trigger: message}", "{understanding: unsure, trigger: [message]}"),
        ("{entity: amount}", "{amount: {at_least: 1000}}"),
        ("[{vip: true}, {vip: false}]", "{top_intent: refund}"),
        ("[{vip: true}, {top_intent: refund}]", "[{vip: true, failures: {at_least: 1}}]"),
    ],
)
def test_a_rule_below_one_that_takes_all_its_turns(
    policy_text: str, first: str, second: str
) -> None:
    found = findings(policy_text, rule("wide", first) + rule("narrow", second, TO_N1))

    dead = [item for item in found if item.severity == "error"]
    assert [item.path for item in dead] == ["rules[1]"]
    assert "'wide' (line" in dead[0].text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{vip: true, top_intent: refund}", "{vip: true}"),
        ("{failures: {at_least: 2}}", "{failures: {at_least: 1}}"),
        ("{keywords: legal}", "{keywords: [fraud, legal]}"),
        ("{keywords: [fraud]}", "{keywords: [legal]}"),
        ("{not_top_intent: [refund]}", "{vip: true}"),
        ("{in_scope: {at_least: 0}}", "{vip: true}"),
        ("{hours: closed, wants_person: true}", "{hours: closed, wants_person: true, vip: true}"),
        ("{understanding: confident}", "{confidence: {at_least: 0.9}}"),
        ("{vip: true}", "{vip: false}"),
    ],
)
def test_rules_that_only_look_alike(policy_text: str, first: str, second: str) -> None:
    found = findings(policy_text, rule("one", first) + rule("two", second, TO_N1))

    assert found == []


@pytest.mark.parametrize(
    ("first", "second", "third", "is_dead"),
    [
        ("{failures: {below: 3}}", "{failures: {at_least: 3}}", "{vip: true}", True),
        ("{failures: {below: 3}}", "{failures: {at_least: 4}}", "{vip: true}", False),
        ("{confidence: {below: 0.7}}", "{confidence: {at_least: 0.6}}", "{vip: true}", True),
        # Not every turn has an amount, so the two leave turns to the third.
        ("{amount: {below: 9}}", "{amount: {at_least: 9}}", "{vip: true}", False),
        ("{amount: {below: 9}}", "{amount: {at_least: 9}}", "{amount: {at_least: 1}}", True),
    ],
)
def test_two_rules_that_cover_a_third_by_numbers(
    policy_text: str, first: str, second: str, third: str, *, is_dead: bool
) -> None:
    found = findings(policy_text, rule("a", first) + rule("b", second) + rule("c", third, TO_N1))
    dead = [item for item in found if "'c' never wins" in item.text]
    assert bool(dead) is is_dead


def test_the_same_condition_with_another_outcome_is_a_contradiction(policy_text: str) -> None:
    when = "{vip: true, top_intent: refund}"
    found = findings(policy_text, rule("one", when) + rule("two", when, TO_N1))

    assert "it contradicts 'one'" in found[0].text
    assert "the same conditions, another outcome" in found[0].text


def test_the_same_rule_twice_is_a_repetition(policy_text: str) -> None:
    found = findings(policy_text, rule("one", "{vip: true}") + rule("two", "{vip: true}"))

    assert "it repeats 'one'" in found[0].text


def test_one_dead_alternative_is_a_warning_in_its_line(policy_text: str) -> None:
    when = "\n      - {vip: true}\n      - {top_intent: refund, not_top_intent: refund}"
    found = findings(policy_text, rule("half", when))

    assert [(item.path, item.severity) for item in found] == [("rules[0].when[1]", "warning")]


def test_an_alternative_inside_another_adds_nothing(policy_text: str) -> None:
    found = findings(policy_text, rule("half", "[{vip: true}, {vip: true, top_intent: refund}]"))

    assert [item.text.split(" in line")[0] for item in found] == ["adds nothing to the alternative"]


@pytest.mark.parametrize(
    ("before", "after", "path", "text"),
    [
        ("keywords:\n", "keywords:\n  spare: [nada]\n", "keywords.spare", "no rule asks for"),
        (
            "messages:\n",
            'messages:\n  spare: {pt: "a", en: "b", es: "c"}\n',
            "messages.spare",
            "no rule says",
        ),
        (
            "queues:\n",
            'queues:\n  spare: {name: {pt: "a", en: "b", es: "c"}, level: N1, calendar: always}\n',
            "queues.spare",
            "no rule hands over to",
        ),
        (
            "calendars:\n",
            'calendars:\n  spare: {time_zone: UTC, weekly: {mon: ["08:00-12:00"]}}\n',
            "calendars.spare",
            "no queue works by",
        ),
        ('pt: "Reembolso"', 'pt: "REEMBOLSO!"', "", ""),
        ('pt: "Cancelamento"', 'pt: "reembólso"', "intents.cancel.pt", "reads like the one"),
        (
            'pt: "Cancelamento"',
            'pt: "Nenhuma dessas"',
            "intents.cancel.pt",
            "clarify.none_of_these",
        ),
        ("    - golpe\n", "    - golpe\n    - GOLPE!\n", "keywords.fraud[1]", "is found as"),
    ],
)
def test_what_nobody_uses_or_nobody_can_tell_apart(
    policy_text: str, before: str, after: str, path: str, text: str
) -> None:
    assert before in policy_text
    changed = policy_text.replace(before, after, 1)

    found = lint(parse_policy(changed, holiday_dates=no_holidays))

    assert [item.path for item in found] == ([path] if path else [])
    assert all(text in item.text and not item.is_error for item in found)
    if path:
        number = found[0].line
        assert after.strip("\n").splitlines()[-1].strip() in changed.splitlines()[number - 1]


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_rule_that_wins_was_never_called_dead(policy: HandoffPolicy, data: st.DataObject) -> None:
    made = data.draw(policies(policy))
    dead = dead_rules(made)

    for turn in data.draw(st.lists(snapshots(), min_size=4, max_size=12)):
        assert decide(turn, made).rule not in dead


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_impossible_alternative_never_holds(policy: HandoffPolicy, data: st.DataObject) -> None:
    made = data.draw(policies(policy))
    turns = data.draw(st.lists(snapshots(), min_size=4, max_size=12))

    for number, item in enumerate(made.rules):
        for alternative in item.when:
            if not case_of(alternative, made).is_impossible:
                continue
            alone = replace(made, rules=(replace(item, when=(alternative,)),))
            assert not any(decide(turn, alone).rule == item.id for turn in turns), number
