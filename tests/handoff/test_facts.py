"""The newer facts: amounts, groups, entropy, scope, sentiment, who is there, silence."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.amounts import largest_amount, parse_amount
from handoff.decide import decide
from handoff.messages import handoff_text, wait_text
from handoff.policy import HandoffPolicy
from handoff.policy_file import PolicyError, parse_policy
from handoff.sentiment import sentiment
from handoff.snapshot import ConversationSnapshot, SnapshotError

Turn = Callable[..., ConversationSnapshot]


def no_holidays(_country: str, _subdivision: str | None, _year: int) -> Collection[date]:
    return ()


def with_rules(policy_text: str, rules: str) -> HandoffPolicy:
    head = re.sub(r"(?ms)^rules:.*", "", policy_text)
    return parse_policy(f"{head}rules:\n{rules}", holiday_dates=no_holidays)


def rule(when: str, then: str = "{outcome: handoff, reason: complaint, queue: n1_support}") -> str:
    return f"  - id: asked\n    when: {when}\n    then: {then}\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("R$ 1.234,56", 1234.56),
        ("R$1234,5", 1234.5),
        ("1,234.56", 1234.56),
        ("1.234.567", 1234567),
        ("1.000", 1000),
        ("1.5", 1.5),
        ("R$ 50,", 50),
        ("mil reais", 1000),
        ("2 mil reais", 2000),
        ("3,5 mil", 3500),
        ("R$ 2k", 2000),
        ("dois mil e quinhentos reais", 2500),
        ("two hundred dollars", 200),
        ("cem pesos", 100),
        ("2 milhões de reais", 2_000_000),
        ("muito dinheiro", None),
        ("", None),
        ("9" * 400, None),
    ],
)
def test_an_amount_is_read_as_people_write_it(written: str, value: float | None) -> None:
    assert parse_amount(written) == value


def test_the_greatest_amount_counts() -> None:
    assert largest_amount(["R$ 10", "nada", "R$ 1.000,00"]) == 1000
    assert largest_amount(["nada"]) is None


@given(st.text())
def test_any_text_has_an_amount_or_none(text: str) -> None:
    amount = parse_amount(text)
    assert amount is None or amount >= 0


@pytest.mark.parametrize(
    ("when", "changes", "matches"),
    [
        ("{amount: {at_least: 1000}}", {"entities": {"amount": ("R$ 1.000",)}}, True),
        ("{amount: {at_least: 1000}}", {"entities": {"amount": ("R$ 999,99",)}}, False),
        ("{amount: {below: 1000}}", {"entities": {}}, False),
        ("{amount: {below: 1000}}", {"entities": {"amount": ("??",)}}, False),
        ("{entity_value: {city: são paulo}}", {"entities": {"city": ("Sao  PAULO ",)}}, True),
        ("{entity_value: {city: [rio, recife]}}", {"entities": {"city": ("Recife",)}}, True),
        ("{entity_value: {city: rio, size: 12}}", {"entities": {"city": ("rio",)}}, False),
        (
            "{entity_value: {city: rio, size: 12}}",
            {"entities": {"city": ("rio",), "size": ("12",)}},
            True,
        ),
        ("{not_entity_value: {city: rio}}", {"entities": {"city": ("recife",)}}, True),
        ("{not_entity_value: {city: rio}}", {"entities": {"city": ("rio",)}}, False),
        ("{intent_group: billing}", {"top_intent": "refund"}, True),
        ("{intent_group: billing}", {"top_intent": "cancel"}, False),
        ("{intent_group: small_talk}", {"top_intent": "greet"}, True),
        ("{not_intent_group: [billing, technical]}", {"top_intent": "cancel"}, True),
        ("{not_intent_group: billing}", {"top_intent": None, "ranking": ()}, True),
        ("{entropy: {below: 0.1}}", {"ranking": (("order_status", 1.0),)}, True),
        ("{entropy: {at_least: 0.9}}", {"ranking": (("a", 0.34), ("order_status", 0.33))}, True),
        ("{entropy: {at_least: 0.9}}", {"ranking": ()}, True),
        ("{entropy: {at_least: 0.1}}", {"message_kind": "button"}, False),
        ("{in_scope: {below: 0.5}}", {"in_scope": 0.2}, True),
        ("{in_scope: {below: 0.5}}", {"in_scope": None}, False),
        ("{sentiment: {below: -0.5}}", {"sentiment": -0.6}, True),
        ("{sentiment: {below: -0.5}}", {"sentiment": None}, False),
        ("{agents_available: {below: 1}}", {"agents_available": {"n1_support": 0}}, True),
        ("{agents_available: {below: 1}}", {"agents_available": {"n3_risk": 0}}, False),
        ("{agents_available: {at_least: 1}}", {"agents_available": {"n1_support": 1}}, True),
        ("{agents_available: {below: 1}}", {}, False),
        (
            "{silence_minutes: {at_least: 5}}",
            {"trigger": "silence", "silence_minutes": 5.0},
            True,
        ),
        ("{silence_minutes: {at_least: 5}}", {"silence_minutes": 5.0}, False),
    ],
)
def test_a_condition_on_it(
    policy_text: str, turn: Turn, when: str, changes: dict[str, Any], matches: bool
) -> None:
    decision = decide(turn(**changes), with_rules(policy_text, rule(when)))

    assert (decision.rule == "asked") == matches


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("{intent_group: biling}", "rules[0].when.intent_group: unknown intent group 'biling'"),
        (
            "{amount: 1000}",
            "rules[0].when.amount: got 1000; expected bounds, for example {at_least: 1000}",
        ),
        ("{sentiment: {below: -2}}", "expected a number from -1 to 1"),
        ("{entity_value: city}", "got 'city'; expected keys with values"),
        ("{entity_value: {}}", "no entity; expected {name: value}"),
        ("{entity_value: {city: []}}", "the list is empty; expected at least one value"),
        ("{entity_value: {city: true}}", "got True; expected a text"),
        ("{agents_availabel: {below: 1}}", "did you mean 'agents_available'?"),
    ],
)
def test_a_mistake_in_it_is_explained(policy_text: str, when: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        with_rules(policy_text, rule(when))

    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("then", "level", "queue", "wait"),
    [
        ("queue: n2_billing, level: N2", "N2", "n2_billing", 240),
        ("level: N2", "N2", "n2_technical", 240),
        ("level: N3, priority: urgent", "N3", "n3_risk", 15),
        ("queue: n1_support, expected_wait_minutes: 30", "N1", "n1_support", 30),
    ],
)
def test_level_and_wait_of_a_handoff(  # noqa: PLR0917 - a table has columns
    policy_text: str, turn: Turn, then: str, level: str, queue: str, wait: int
) -> None:
    then = f"{{outcome: handoff, reason: complaint, {then}}}"

    decision = decide(turn(), with_rules(policy_text, rule("{vip: false}", then)))

    assert (decision.level, decision.queue) == (level, queue)
    assert decision.expected_wait_minutes == wait


@pytest.mark.parametrize(
    ("then", "problem"),
    [
        ("queue: n1_support, level: N2", "queue 'n1_support' has level N1; expected level: N1, or"),
        ("level: N4", "unknown level 'N4'; expected one of N1, N2, N3"),
        ("priority: high", "key 'queue' is missing; a handoff needs a destination (or a level)"),
        ("queue: n1_support, expected_wait_minutes: 0", "expected a whole number from 1 to 10080"),
    ],
)
def test_a_mistake_in_a_destination(policy_text: str, then: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        with_rules(
            policy_text, rule("{vip: true}", f"{{outcome: handoff, reason: complaint, {then}}}")
        )

    assert problem in str(caught.value)


def test_as_needed_brings_its_own_level(policy_text: str) -> None:
    then = "{outcome: handoff, reason: outside_hours, queue: as_needed, level: N1}"
    with pytest.raises(PolicyError, match="brings its own level; expected no level here"):
        with_rules(policy_text, rule("{wants_person: true}", then))


def test_a_queue_of_its_own_level_is_missing(policy_text: str) -> None:
    without = policy_text.replace("level: N3", "level: N2")
    with pytest.raises(PolicyError, match="no queue has level N3"):
        with_rules(without, rule("{vip: true}", "{outcome: handoff, reason: vip, level: N3}"))


@pytest.mark.parametrize(
    ("minutes", "language", "text"),
    [
        (15, "pt", "cerca de 15 minutos"),
        (60, "en", "about 1 hour"),
        (90, "en", "about 2 hours"),
        (240, "es", "unas 4 horas"),
        (None, "pt", "alguns minutos"),
        (1, "en", "a few minutes"),
        (30, "fr", "about 30 minutes"),
    ],
)
def test_a_wait_is_told_as_people_say_it(minutes: int | None, language: str, text: str) -> None:
    assert wait_text(minutes, language=language) == text


@pytest.mark.parametrize(
    ("language", "text", "low", "high"),
    [
        ("pt", "ISSO É UM ABSURDO!!!", -1, -0.7),
        ("pt", "Péssimo atendimento, muito ruim, que vergonha", -1, -0.7),
        ("pt", "não gostei", -0.6, -0.2),
        ("pt", "não é ruim", 0.1, 0.5),
        ("pt", "bom dia, quero ver meu boleto", 0, 0),
        ("pt", "cadê meu pedido 98213?", 0, 0),
        ("pt", "problema no pagamento, quero cancelar", 0, 0),
        ("pt", "adorei, vocês são ótimos!", 0.6, 1),
        ("pt", "😡", -1, -0.5),
        ("en", "I am fed up, worst service ever!!", -1, -0.7),
        ("en", "this isn\u2019t good", -0.6, -0.2),
        ("en", "thanks, that helped", 0.5, 1),
        ("es", "estoy harto, muy mala atención", -1, -0.7),
        ("es", "no me gusta", -0.6, -0.2),
        ("es", "muchas gracias", 0.5, 1),
        ("fr", "c'est nul", 0, 0),
        ("pt", "", 0, 0),
        ("pt", "OK CPF", 0, 0),
    ],
)
def test_how_a_message_sounds(language: str, text: str, low: float, high: float) -> None:
    assert low <= sentiment(text, language=language) <= high


@given(st.text(), st.sampled_from(["pt", "en", "es", "xx"]))
def test_any_text_sounds_like_something(text: str, language: str) -> None:
    assert -1 <= sentiment(text, language=language) <= 1


def test_words_of_the_file_count_too(policy_text: str) -> None:
    named = f"sentiment_words: {{Golpe Baixo: -2, otimo: 0}}\n{policy_text}"
    policy = parse_policy(named, holiday_dates=no_holidays)

    words = policy.sentiment_words
    assert sentiment("que golpe baixo", language="pt", more=words) < -0.6
    assert sentiment("ótimo", language="pt", more=words) == 0


def test_low_scope_is_not_confident_only_where_it_is_asked(
    policy: HandoffPolicy, turn: Turn
) -> None:
    asked = replace(policy, confidence=replace(policy.confidence, in_scope=0.5))
    low = turn(in_scope=0.2)

    assert decide(low, policy).understanding == "confident"
    assert decide(low, asked).understanding == "unsure"
    assert decide(turn(in_scope=0.5), asked).understanding == "confident"
    assert decide(turn(in_scope=None), asked).understanding == "confident"
    assert decide(turn(in_scope=0.2, message_kind="button"), asked).understanding == "confident"


class TestTheRealPolicy:
    def test_everyone_busy_is_said_with_the_wait(self, policy: HandoffPolicy, turn: Turn) -> None:
        asks = turn(
            top_intent="talk_to_person",
            ranking=(("talk_to_person", 0.9),),
            agents_available={"n1_support": 0},
        )
        decision = decide(asks, policy)

        assert (decision.rule, decision.reason) == ("nobody_available", "nobody_available")
        assert (decision.needed_by, decision.queue) == ("customer_request", "n1_support")
        assert "cerca de 4 horas" in str(handoff_text(decision, policy, language="pt", ticket="7"))

    def test_the_others_queue_counts_not_the_default_one(
        self, policy: HandoffPolicy, turn: Turn
    ) -> None:
        asks = turn(
            top_intent="technical_problem",
            ranking=(("technical_problem", 0.9),),
            repeated_question=True,
            agents_available={"n1_support": 0, "n2_technical": 2},
        )

        assert decide(asks, policy).rule == "repeated_technical"

    def test_a_lot_of_money_goes_to_billing(self, policy: HandoffPolicy, turn: Turn) -> None:
        asks = turn(
            top_intent="refund",
            ranking=(("refund", 0.9),),
            entities={"amount": ("R$ 1.500,00",)},
        )
        decision = decide(asks, policy)

        assert (decision.rule, decision.queue, decision.level) == (
            "high_amount",
            "n2_billing",
            "N2",
        )

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"top_intent": "complaint", "ranking": (("complaint", 0.9),)}, "angry_customer"),
            ({"failures": 1}, "angry_customer"),
            ({}, "default_confident"),
        ],
    )
    def test_anger_counts_with_a_complaint_or_after_a_failure(
        self, policy: HandoffPolicy, turn: Turn, changes: dict[str, Any], expected: str
    ) -> None:
        assert decide(turn(sentiment=-0.8, **changes), policy).rule == expected

    def test_silence_alone_ends_the_question_quietly(
        self, policy: HandoffPolicy, turn: Turn
    ) -> None:
        silent = turn(
            trigger="silence", silence_minutes=10.0, ranking=(), failures=2, contact_vip=True
        )
        decision = decide(silent, policy)

        assert (decision.rule, decision.outcome) == ("default_silence", "stay")
        assert decision.understanding == "silent"
        assert decision.counts_as_failure is False


class TestOldRecords:
    def test_a_snapshot_without_the_new_facts_is_read(self, turn: Turn) -> None:
        document = turn().to_json()
        for name in ("silence_minutes", "in_scope", "sentiment", "agents_available"):
            del document[name]

        assert ConversationSnapshot.from_json(document) == turn()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("agents_available", {"a": "b"}), ("agents_available", 3), ("sentiment", "bad")],
    )
    def test_a_wrong_value_is_named(self, turn: Turn, name: str, value: object) -> None:
        with pytest.raises(SnapshotError, match=f"snapshot.{name}: "):
            ConversationSnapshot.from_json({**turn().to_json(), name: value})
