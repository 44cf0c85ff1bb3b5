from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff.conditions import NOT_UNDERSTOOD, UNDERSTANDINGS, Flag
from handoff.decide import decide
from handoff.decision import Decision, DecisionError
from handoff.explain import explain
from handoff.messages import handoff_text
from handoff.policy import (
    LEVELS,
    OUTCOMES,
    PRIORITIES,
    QUEUE_AS_NEEDED,
    REASONS,
    SEVERITIES,
    HandOff,
    HandoffPolicy,
    Threshold,
    match_keywords,
)
from handoff.snapshot import ConversationSnapshot

Turn = Callable[..., ConversationSnapshot]

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
SUNDAY = datetime(2026, 11, 22, 15, 0, tzinfo=SAO_PAULO)
MONDAY_OPENING = datetime(2026, 11, 23, 8, 0, tzinfo=SAO_PAULO)

UNSURE = {
    "top_intent": "refund",
    "ranking": (("refund", 0.40), ("exchange_return", 0.35), ("cancel", 0.2), ("thank", 0.05)),
}


def scored(intent: str, confidence: float) -> dict[str, Any]:
    """A ranking with one clear leader."""
    rest = (1 - confidence) / 8  # too little to spoil the margin
    return {"top_intent": intent, "ranking": ((intent, confidence), ("cancel", rest))}


@pytest.mark.parametrize(
    ("changes", "outcome", "rule"),
    [
        pytest.param({}, "stay", "default_confident", id="a clear question is answered"),
        pytest.param(UNSURE, "clarify", "default_clarify", id="an unclear one is asked back"),
        pytest.param(
            {"top_intent": "refund", "ranking": (("refund", 0.8), ("cancel", 0.75))},
            "clarify",
            "default_clarify",
            id="a high score with a close second is unclear",
        ),
        pytest.param(
            {"top_intent": None, "ranking": ()},
            "clarify",
            "default_clarify",
            id="nothing recognised is asked back",
        ),
        pytest.param(
            {"ranking": (("order_status", 0.8), ("refund", 0.7))},
            "stay",
            "default_confident",
            id="exactly at both thresholds is clear",
        ),
        pytest.param(
            {"ranking": (("order_status", 0.9), ("refund", 0.8))},
            "stay",
            "default_confident",
            id="a lead of exactly the margin, whatever floats make of it",
        ),
        pytest.param(
            {"ranking": (("order_status", 0.7999), ("refund", 0.1))},
            "clarify",
            "default_clarify",
            id="just below the threshold",
        ),
        pytest.param(
            {"ranking": (("order_status", 0.8), ("refund", 0.71))},
            "clarify",
            "default_clarify",
            id="just below the margin",
        ),
        # Critical intents: their own, lower bar.
        pytest.param(scored("report_fraud", 0.51), "handoff", "fraud", id="unsure fraud"),
        pytest.param(scored("report_fraud", 0.49), "clarify", "default_clarify", id="faint fraud"),
        pytest.param(scored("safety_incident", 0.50), "handoff", "safety", id="unsure safety"),
        pytest.param(scored("legal_threat", 0.50), "handoff", "legal", id="unsure legal"),
        pytest.param(scored("data_privacy", 0.50), "handoff", "privacy", id="unsure privacy"),
        pytest.param(
            {**UNSURE, "keywords": ("procon",)},
            "handoff",
            "legal",
            id="a strong word is enough",
        ),
        pytest.param(
            {"keywords": ("golpe", "choque elétrico")},
            "handoff",
            "safety",
            id="safety comes before fraud",
        ),
        pytest.param(
            {**scored("report_fraud", 0.5), "active_form": "order_status_form"},
            "handoff",
            "fraud",
            id="fraud interrupts a form",
        ),
        # Language.
        pytest.param(
            {"language": "fr", "language_served": False},
            "handoff",
            "language_not_served",
            id="a language nobody taught the bot",
        ),
        pytest.param(
            {"language": "fr", "language_served": False, "language_confidence": 0.5},
            "stay",
            "default_confident",
            id="a guessed language is no proof either",
        ),
        # The customer's request.
        pytest.param(
            scored("talk_to_person", 0.5), "handoff", "customer_request", id="asks for a person"
        ),
        pytest.param(
            {**UNSURE, "keywords": ("atendente",), "text_length": 10},
            "handoff",
            "customer_request",
            id="one word asks for a person",
        ),
        pytest.param(
            {**scored("praise", 0.9), "keywords": ("atendente",), "text_length": 30},
            "stay",
            "default_confident",
            id="praise of an agent is no request",
        ),
        pytest.param(
            {**scored("talk_to_person", 0.6), "active_form": "order_status_form"},
            "handoff",
            "customer_request",
            id="a request interrupts a form",
        ),
        pytest.param(
            {"message_kind": "button", "top_intent": "talk_to_person", "ranking": ()},
            "handoff",
            "customer_request",
            id="a pressed button is certain",
        ),
        # Unreadable messages.
        pytest.param(
            {"message_kind": "unreadable", "top_intent": None, "ranking": ()},
            "stay",
            "unreadable_first",
            id="the first audio is answered with a request to type",
        ),
        pytest.param(
            {"message_kind": "unreadable", "top_intent": None, "ranking": (), "failures": 1},
            "handoff",
            "unreadable_again",
            id="the second goes to a person",
        ),
        # Repeated failure.
        pytest.param(
            {**UNSURE, "failures": 1, "clarifications_asked": 1},
            "clarify",
            "default_clarify",
            id="a second question",
        ),
        pytest.param(
            {**UNSURE, "clarifications_asked": 2},
            "handoff",
            "repeated_failure",
            id="not a third",
        ),
        pytest.param(
            {**UNSURE, "failures": 2}, "handoff", "repeated_failure", id="failures of any kind"
        ),
        pytest.param(
            {"clarification_answer": "none_of_these", "failures": 2, "clarifications_asked": 2},
            "handoff",
            "repeated_failure",
            id="none of these is a failure whatever the score",
        ),
        pytest.param(
            {"clarification_answer": "none_of_these", "failures": 1, "clarifications_asked": 1},
            "clarify",
            "default_clarify",
            id="none of these once",
        ),
        pytest.param(
            {"failures": 2, "clarifications_asked": 2},
            "stay",
            "default_confident",
            id="understood at last",
        ),
        pytest.param(
            {**UNSURE, "clarification_answer": "chosen", "clarifications_asked": 2},
            "stay",
            "default_confident",
            id="a chosen option is certain",
        ),
        # VIP.
        pytest.param(
            {**UNSURE, "contact_vip": True}, "handoff", "vip_low_score", id="a VIP is not asked"
        ),
        pytest.param({"contact_vip": True}, "stay", "default_confident", id="a clear VIP turn"),
        pytest.param(
            {
                **UNSURE,
                "contact_vip": True,
                "active_form": "order_status_form",
                "entities": {"order_number": ("98213",)},
            },
            "stay",
            "default_form_answer",
            id="a VIP answers a form",
        ),
        # Small talk.
        *(
            pytest.param(
                {
                    "top_intent": intent,
                    "ranking": ((intent, 0.62), ("refund", 0.61)),
                    "contact_vip": True,
                    "failures": 5,
                    "clarifications_asked": 5,
                },
                "stay",
                "default_small_talk",
                id=f"{intent} is taken at its word",
            )
            for intent in ("thank", "goodbye", "greet", "affirm", "deny")
        ),
        # Out of scope.
        pytest.param(
            scored("out_of_scope", 0.8), "stay", "out_of_scope_first", id="out of scope once"
        ),
        pytest.param(
            {**scored("out_of_scope", 0.8), "failures": 1},
            "clarify",
            "default_clarify",
            id="out of scope again",
        ),
        pytest.param(
            {**scored("out_of_scope", 0.8), "failures": 2},
            "handoff",
            "repeated_failure",
            id="out of scope a third time",
        ),
        pytest.param(
            scored("out_of_scope", 0.3), "clarify", "default_clarify", id="doubtful out of scope"
        ),
        # Forms.
        pytest.param(
            {
                **UNSURE,
                "active_form": "order_status_form",
                "entities": {"order_number": ("98213",)},
                "failures": 2,
            },
            "stay",
            "default_form_answer",
            id="the form's answer",
        ),
        pytest.param(
            {**UNSURE, "active_form": "order_status_form"},
            "stay",
            "default_form_asks_again",
            id="no answer: the form asks again",
        ),
        pytest.param(
            {**UNSURE, "active_form": "order_status_form", "failures": 2},
            "handoff",
            "repeated_failure",
            id="no answer three times",
        ),
        pytest.param(
            {**scored("out_of_scope", 0.9), "active_form": "address_form", "failures": 3},
            "stay",
            "default_form_answer",
            id="a form without expectations takes any text",
        ),
        # Repeated questions and complaints.
        pytest.param(
            {**scored("technical_problem", 0.9), "repeated_question": True},
            "handoff",
            "repeated_technical",
            id="our answer did not solve it",
        ),
        pytest.param(
            {**scored("refund", 0.9), "repeated_question": True},
            "handoff",
            "repeated_billing",
            id="money goes to billing",
        ),
        pytest.param(
            {**scored("ask_opening_hours", 0.9), "repeated_question": True},
            "stay",
            "default_confident",
            id="hours may be asked twice",
        ),
        pytest.param(scored("complaint", 0.9), "stay", "default_confident", id="a complaint"),
        pytest.param(
            {**scored("complaint", 0.9), "has_open_ticket": True},
            "handoff",
            "complaint_with_history",
            id="a complaint about an open case",
        ),
        pytest.param(
            {"trigger": "bot_unavailable", "top_intent": None, "ranking": ()},
            "handoff",
            "bot_unavailable",
            id="the bot did not answer",
        ),
    ],
)
def test_the_rules_of_the_demo_policy(
    turn: Turn,
    policy: HandoffPolicy,
    changes: dict[str, Any],
    outcome: str,
    rule: str,
) -> None:
    decision = decide(turn(**changes), policy)

    assert (decision.outcome, decision.rule) == (outcome, rule)
    assert decision.rule_version == f"{rule}@{policy.version}"


class TestDestination:
    def test_a_handoff_says_where_how_urgent_and_until_when(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        decision = decide(turn(**scored("report_fraud", 0.9), language="en"), policy)

        assert decision.reason == "critical_intent"
        assert (decision.level, decision.queue) == ("N3", "n3_risk")
        assert (decision.priority, decision.severity) == ("urgent", "S1")
        assert decision.skills == ("risk", "english")
        assert decision.sla_target_minutes == 15
        assert decision.message_key == "fraud_first"

    def test_a_rule_without_priority_takes_the_default(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        decision = decide(turn(**scored("talk_to_person", 0.9)), policy)

        assert (decision.priority, decision.severity) == ("normal", "S3")
        assert decision.sla_target_minutes == 240

    def test_a_vip_waits_with_high_priority_at_least(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        asked = decide(turn(**scored("talk_to_person", 0.9), contact_vip=True), policy)
        hurt = decide(turn(**scored("safety_incident", 0.9), contact_vip=True), policy)

        assert asked.priority == "high"
        assert hurt.priority == "urgent"

    @pytest.mark.parametrize("changes", [{}, UNSURE])
    def test_stay_and_clarify_have_no_destination(
        self, turn: Turn, policy: HandoffPolicy, changes: dict[str, Any]
    ) -> None:
        decision = decide(turn(**changes), policy)

        assert decision.level is decision.queue is decision.priority is decision.severity is None
        assert decision.sla_target_minutes is None
        assert decision.skills == ()


class TestOutsideHours:
    def test_a_request_keeps_its_destination_and_says_when_a_person_answers(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        decision = decide(turn(**scored("talk_to_person", 0.9), now=SUNDAY), policy)

        assert (decision.outcome, decision.reason) == ("handoff", "outside_hours")
        assert decision.needed_by == "customer_request"
        assert "customer_request" in decision.suppressed
        assert decision.queue == "n1_support"
        assert not decision.hours_open
        assert decision.expected_opening == MONDAY_OPENING
        assert decision.message_key == "to_person_closed"

    def test_the_specialists_queue_and_the_vip_priority_are_kept(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        technical = turn(
            **scored("technical_problem", 0.9), repeated_question=True, now=SUNDAY, language="es"
        )
        vip = turn(**UNSURE, contact_vip=True, now=SUNDAY)

        assert decide(technical, policy).queue == "n2_technical"
        assert decide(technical, policy).skills == ("technical", "spanish")
        assert decide(vip, policy).priority == "high"

    def test_two_rules_that_only_relabel_find_the_one_that_asked(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        plain = next(rule for rule in policy.rules if rule.id == "outside_hours")
        for_vip = replace(
            plain,
            id="vip_outside_hours",
            when=((*plain.when[0], Flag("vip", value=True)),),
            outcome=HandOff(QUEUE_AS_NEEDED, severity="S2"),
        )
        stacked = replace(policy, rules=(for_vip, *policy.rules))
        snapshot = turn(
            **scored("refund", 0.9), repeated_question=True, contact_vip=True, now=SUNDAY
        )

        decision = decide(snapshot, stacked)

        assert (decision.rule, decision.needed_by) == ("vip_outside_hours", "repeated_billing")
        assert (decision.queue, decision.severity) == ("n2_billing", "S2")

    def test_a_critical_matter_keeps_its_reason(self, turn: Turn, policy: HandoffPolicy) -> None:
        fraud = decide(turn(**scored("report_fraud", 0.9), now=SUNDAY), policy)
        legal = decide(turn(**scored("legal_threat", 0.9), now=SUNDAY), policy)

        assert (fraud.reason, fraud.hours_open, fraud.expected_opening) == (
            "critical_intent",
            True,
            None,
        )
        assert fraud.message_key == "fraud_first"
        assert legal.reason == "critical_intent"
        assert legal.expected_opening == MONDAY_OPENING
        assert legal.message_key == "to_legal_closed"

    @pytest.mark.parametrize("changes", [{}, UNSURE, scored("complaint", 0.9)])
    def test_the_bot_keeps_answering_and_asking(
        self, turn: Turn, policy: HandoffPolicy, changes: dict[str, Any]
    ) -> None:
        by_day = decide(turn(**changes), policy)
        on_sunday = decide(turn(**changes, now=SUNDAY), policy)

        assert (on_sunday.outcome, on_sunday.rule) == (by_day.outcome, by_day.rule)

    @pytest.mark.parametrize(
        ("clock", "reason"),
        [
            ("2026-11-24T17:59:59", "customer_request"),
            ("2026-11-24T18:00:00", "outside_hours"),
            ("2026-11-24T12:30:00", "outside_hours"),
            ("2026-11-20T10:00:00", "outside_hours"),  # Consciência Negra
            ("2026-07-09T10:00:00", "outside_hours"),  # holiday of the state of São Paulo
            ("2027-01-25T10:00:00", "outside_hours"),  # of the city
            ("2026-12-24T11:59:59", "customer_request"),
            ("2026-12-24T14:00:00", "outside_hours"),
        ],
    )
    def test_the_edge_of_the_hours(
        self, turn: Turn, policy: HandoffPolicy, clock: str, reason: str
    ) -> None:
        now = datetime.fromisoformat(clock).replace(tzinfo=SAO_PAULO)

        assert decide(turn(**scored("talk_to_person", 0.9), now=now), policy).reason == reason


class TestOptions:
    def test_the_best_of_the_ranking_without_small_talk(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        ranked = ("refund", "exchange_return", "cancel")
        for most in (2, 3):
            changed = replace(policy, clarify=replace(policy.clarify, options=most))
            assert decide(turn(**UNSURE), changed).options == ranked[:most]

    def test_what_was_offered_is_not_offered_again(self, turn: Turn, policy: HandoffPolicy) -> None:
        again = turn(**UNSURE, already_offered=("refund", "cancel"), clarifications_asked=1)

        assert decide(again, policy).options == ("exchange_return", "order_status")

    def test_noise_at_the_end_of_the_ranking_is_no_option(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        ranking = (("refund", 0.45), ("cancel", 0.4), ("complaint", 0.02))
        unsure = turn(top_intent="refund", ranking=ranking)

        assert decide(unsure, policy).options == ("refund", "cancel")

    def test_an_empty_ranking_offers_what_people_usually_want(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        nothing = turn(top_intent=None, ranking=())

        assert decide(nothing, policy).options == ("order_status", "invoice_copy")

    def test_when_everything_was_offered_there_are_no_options(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        exhausted = turn(top_intent=None, ranking=(), already_offered=tuple(policy.intents))

        assert decide(exhausted, policy).options == ()


class TestEvidence:
    def test_a_rule_that_did_not_match_says_what_it_saw_and_wanted(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        decision = decide(turn(**scored("report_fraud", 0.34)), policy)

        fraud = next(item for item in decision.evaluations if item.rule == "fraud")
        confidence = next(item for item in fraud.conditions if item.fact == "confidence")
        assert not fraud.matched
        assert (confidence.seen, confidence.wanted, confidence.met) == (
            "0.34",
            "at least 0.5",
            False,
        )

    def test_rules_below_the_winner_that_matched_are_kept(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        decision = decide(turn(**scored("report_fraud", 0.9), keywords=("procon",)), policy)

        assert decision.rule == "fraud"
        assert decision.suppressed[0] == "legal"

    @pytest.mark.parametrize("language", ["en", "pt", "es", "fr"])
    def test_an_explanation_names_rule_reason_versions_and_clock(
        self, turn: Turn, policy: HandoffPolicy, language: str
    ) -> None:
        snapshot = turn(**UNSURE, contact_vip=True, now=SUNDAY)
        decision = decide(snapshot, policy)

        text = explain(decision, snapshot, language)

        for part in ("outside_hours", "vip_low_score", policy.version, "refund 0.40", "business@"):
            assert part in text
        assert SUNDAY.isoformat() in text
        assert "{" not in text


def test_keywords_are_found_as_people_write_them(policy: HandoffPolicy) -> None:
    text = "Deu CHOQUE-ELETRICO e vou no Procon, golpistas!! humanoide"

    assert match_keywords(text, policy) == ("choque elétrico", "golpistas", "procon")
    assert match_keywords("", policy) == ()


def test_the_version_of_the_policy_is_stored_with_the_rule(
    turn: Turn, policy: HandoffPolicy
) -> None:
    decision = decide(turn(), policy)

    assert decision.policy_version == policy.version
    assert decision.calendar == f"business@{policy.calendars['business'].version}"


def test_a_malformed_decision_document_is_refused() -> None:
    with pytest.raises(DecisionError, match="incomplete or malformed"):
        Decision.from_json({"outcome": "stay"})


INTENTS = st.sampled_from(
    ["greet", "refund", "cancel", "report_fraud", "talk_to_person", "out_of_scope", "unknown"],
)
SNAPSHOTS = st.builds(
    ConversationSnapshot,
    turn_id=st.text(),
    conversation_id=st.text(),
    channel=st.sampled_from(["whatsapp", "webchat", ""]),
    now=st.datetimes(timezones=st.just(UTC)),
    message_kind=st.sampled_from(["text", "button", "unreadable"]),
    text_length=st.integers(0, 10_000),
    top_intent=st.none() | INTENTS,
    ranking=st.lists(st.tuples(INTENTS, st.floats()), max_size=6).map(tuple),
    entities=st.dictionaries(
        st.sampled_from(["order_number", "amount"]), st.lists(st.text(), max_size=2).map(tuple)
    ),
    keywords=st.lists(st.sampled_from(["procon", "golpe", "atendente", "other"])).map(tuple),
    language=st.sampled_from(["pt", "en", "es", "fr", ""]),
    language_confidence=st.floats(),
    language_served=st.booleans(),
    failures=st.integers(0, 9),
    clarifications_asked=st.integers(0, 9),
    clarification_open=st.booleans(),
    clarification_answer=st.sampled_from([None, "chosen", "none_of_these"]),
    already_offered=st.lists(INTENTS).map(tuple),
    repeated_question=st.booleans(),
    contact_vip=st.booleans(),
    contact_segment=st.none() | st.text(),
    has_open_ticket=st.booleans(),
    active_form=st.sampled_from([None, "order_status_form", "other_form"]),
    trigger=st.sampled_from(["message", "bot_unavailable"]),
)


@settings(max_examples=300)
@given(snapshot=SNAPSHOTS)
def test_every_snapshot_gets_one_decision_that_agrees_with_itself(
    policy: HandoffPolicy, snapshot: ConversationSnapshot
) -> None:
    decision = decide(snapshot, policy)

    assert decision == decide(snapshot, policy)
    assert decision.outcome in OUTCOMES
    assert decision.reason in REASONS
    assert decision.understanding in UNDERSTANDINGS
    assert decision.counts_as_failure == (decision.understanding in NOT_UNDERSTOOD)
    check_destination(decision, policy)
    check_options(decision, snapshot, policy)
    check_evaluations(decision, policy)
    assert decision.hours_open or decision.expected_opening != snapshot.now
    assert not (decision.hours_open and decision.expected_opening)


@settings(max_examples=100)
@given(snapshot=SNAPSHOTS)
def test_snapshot_and_decision_survive_json(
    policy: HandoffPolicy, snapshot: ConversationSnapshot
) -> None:
    decision = decide(snapshot, policy)

    stored_snapshot = json.dumps(snapshot.to_json(), allow_nan=False)
    stored_decision = json.dumps(decision.to_json(), allow_nan=False)

    assert ConversationSnapshot.from_json(json.loads(stored_snapshot)) == snapshot
    assert Decision.from_json(json.loads(stored_decision)) == decision


@settings(max_examples=60)
@given(snapshot=SNAPSHOTS, language=st.sampled_from(["pt", "en", "es", "xx"]))
def test_every_decision_can_be_explained_and_told_to_the_customer(
    policy: HandoffPolicy, snapshot: ConversationSnapshot, language: str
) -> None:
    decision = decide(snapshot, policy)

    assert decision.rule in explain(decision, snapshot, language)
    told = handoff_text(decision, policy, language=language, ticket="P-77")
    assert (told is None) == (decision.message_key is None)
    if decision.is_handoff:
        assert told is not None
        assert "P-77" in told
        assert "{" not in told


def check_destination(decision: Decision, policy: HandoffPolicy) -> None:
    if not decision.is_handoff:
        assert decision.queue is None
        assert decision.level is None
        return
    assert decision.queue is not None
    assert decision.level == policy.queues[decision.queue].level
    assert decision.level in LEVELS
    assert decision.priority in PRIORITIES
    assert decision.severity in SEVERITIES
    assert decision.message_key in policy.messages
    assert decision.sla_target_minutes


def check_options(
    decision: Decision, snapshot: ConversationSnapshot, policy: HandoffPolicy
) -> None:
    assert decision.outcome == "clarify" or not decision.options
    assert len(decision.options) <= policy.clarify.options
    assert len(set(decision.options)) == len(decision.options)
    excluded = policy.clarify.not_offerable | set(snapshot.already_offered)
    assert excluded.isdisjoint(decision.options)


def check_evaluations(decision: Decision, policy: HandoffPolicy) -> None:
    assert [item.rule for item in decision.evaluations] == [rule.id for rule in policy.all_rules]
    matched = [item for item in decision.evaluations if item.matched]
    assert matched[0].rule == decision.rule
    assert matched[0].outcome == decision.outcome
    for item in decision.evaluations:
        if not item.matched:
            assert any(not condition.met for condition in item.conditions)


class TestBuiltInRules:
    """A designer may delete every rule: the conversation still never ends in a loop."""

    @pytest.fixture
    def bare(self, policy: HandoffPolicy) -> HandoffPolicy:
        return replace(policy, rules=())

    @pytest.mark.parametrize(
        ("changes", "outcome", "reason"),
        [
            ({}, "stay", "understood"),
            (UNSURE, "clarify", "low_confidence"),
            ({**UNSURE, "clarifications_asked": 2}, "handoff", "repeated_failure"),
            ({"message_kind": "unreadable"}, "stay", "unreadable_message"),
            ({"trigger": "bot_unavailable"}, "handoff", "bot_unavailable"),
            (scored("thank", 0.62), "stay", "small_talk"),
            ({**UNSURE, "active_form": "order_status_form"}, "stay", "low_confidence"),
        ],
    )
    def test_outcomes_without_any_rule_of_the_file(
        self, turn: Turn, bare: HandoffPolicy, changes: dict[str, Any], outcome: str, reason: str
    ) -> None:
        decision = decide(turn(**changes), bare)

        assert (decision.outcome, decision.reason) == (outcome, reason)

    def test_a_form_may_be_treated_like_any_other_turn(
        self, turn: Turn, bare: HandoffPolicy
    ) -> None:
        strict = replace(bare, forms=replace(bare.forms, low_confidence="clarify"))
        answer = turn(
            **UNSURE, active_form="order_status_form", entities={"order_number": ("98213",)}
        )

        assert decide(answer, bare).outcome == "stay"
        assert decide(answer, strict).outcome == "clarify"

    def test_a_queue_that_never_opens_promises_no_opening(
        self, turn: Turn, policy: HandoffPolicy
    ) -> None:
        never = {name: replace(item, weekly={}) for name, item in policy.calendars.items()}
        closed = replace(policy, calendars=never)
        request = turn(**scored("talk_to_person", 0.9))

        decision = decide(request, closed)

        special_days_are_over = datetime(2029, 1, 1, tzinfo=UTC)
        later = decide(replace(request, now=special_days_are_over), closed)
        assert (decision.reason, decision.hours_open) == ("outside_hours", False)
        assert later.expected_opening is None
        text = handoff_text(later, closed, language="pt", ticket="P-1")
        assert text is not None
        assert "assim que possível" in text


def test_thresholds_of_a_language_and_of_an_intent_win_over_the_default(
    turn: Turn, policy: HandoffPolicy
) -> None:
    thresholds = replace(
        policy.confidence,
        by_language={"en": Threshold(0.9, 0.3)},
        by_intent={"cancel": 0.95},
    )
    strict = replace(policy, confidence=thresholds)
    ranking = (("order_status", 0.8), ("refund", 0.2))

    assert decide(turn(ranking=ranking), strict).outcome == "stay"
    assert decide(turn(ranking=ranking, language="en"), strict).outcome == "clarify"
    assert decide(turn(**scored("cancel", 0.94)), strict).outcome == "clarify"
    assert decide(turn(**scored("cancel", 0.95)), strict).outcome == "stay"
