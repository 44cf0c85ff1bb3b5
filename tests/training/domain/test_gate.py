from __future__ import annotations

import json

import pytest

from training.domain.gate import (
    Baseline,
    BaselineError,
    Read,
    baseline_from_json,
    baseline_to_json,
    chance,
    compare,
)
from training.domain.gate_report import comparison_lines, summary_lines

OUTSIDE = frozenset({"out_of_scope"})


def reads(count: int, *, intent: str = "refund", language: str = "pt") -> list[Read]:
    return [Read(language, intent, f"{intent} {place}", intent) for place in range(count)]


def changed(before: list[Read], outcomes: dict[int, str]) -> list[Read]:
    return [
        Read(read.language, read.intent, read.text, outcomes.get(place, read.outcome))
        for place, read in enumerate(before)
    ]


def test_the_same_reading_passes() -> None:
    before = reads(300)
    found = compare(before, before, out_of_scope=OUTSIDE)
    assert found.passes
    assert found.worse == ()


def test_one_lost_sentence_of_many_is_noise() -> None:
    before = reads(300)
    assert compare(before, changed(before, {3: "cancel"}), out_of_scope=OUTSIDE).passes


def test_more_losses_than_a_coin_would_give_are_refused_and_named() -> None:
    before = reads(1000)
    found = compare(
        before, changed(before, dict.fromkeys(range(6), "cancel")), out_of_scope=OUTSIDE
    )
    assert not found.passes
    assert found.confused == (("refund", "cancel", 6),)
    lines = "\n".join(comparison_lines(found))
    assert "refund 3" in lines
    assert "refund taken for cancel: 6" in lines
    assert "REFUSED" in lines


def test_losses_beside_as_many_gains_pass() -> None:
    before = changed(reads(1000), dict.fromkeys(range(100, 108), "clarify"))
    after = changed(reads(1000), dict.fromkeys(range(8), "clarify"))
    assert compare(before, after, out_of_scope=OUTSIDE).passes


def test_more_than_a_point_is_refused_also_when_chance_could_do_it() -> None:
    before = reads(200)
    after = changed(before, dict.fromkeys(range(3), "clarify"))
    found = compare(before, after, out_of_scope=OUTSIDE)
    assert chance(3, 0) == pytest.approx(0.125)
    assert found.problems == ("1.5 points fewer sentences are right; 1.0 may go",)


def test_one_lost_sentence_of_a_critical_intent_is_refused() -> None:
    before = reads(500) + reads(20, intent="safety_incident")
    found = compare(before, changed(before, {505: "clarify"}), out_of_scope=OUTSIDE)
    assert [problem for problem in found.problems if "safety_incident 5" in problem]


def test_questions_that_become_wrong_answers_are_refused() -> None:
    before = changed(reads(1000), dict.fromkeys(range(20), "clarify"))
    after = changed(
        reads(1000), dict.fromkeys(range(8), "cancel") | dict.fromkeys(range(8, 20), "clarify")
    )
    found = compare(before, after, out_of_scope=OUTSIDE)
    assert any("became wrong" in problem for problem in found.problems)


def test_a_question_is_the_right_answer_to_what_is_out_of_scope() -> None:
    before = [Read("pt", "out_of_scope", "quanto tá o euro", "out_of_scope")]
    after = [Read("pt", "out_of_scope", "quanto tá o euro", "clarify")]
    assert compare(before, after, out_of_scope=OUTSIDE).worse == ()


def test_another_frozen_set_cannot_be_compared() -> None:
    found = compare(reads(100), reads(80), out_of_scope=OUTSIDE)
    assert "cannot be compared" in found.problems[0]
    assert found.missing == 20


def test_a_baseline_survives_being_stored() -> None:
    baseline = Baseline("2026-03-10T12:00:00+00:00", "m", "i", "p", tuple(reads(3)))
    stored = json.loads(json.dumps(baseline_to_json(baseline, out_of_scope=OUTSIDE)))
    assert baseline_from_json(stored) == baseline
    assert stored["by_intent"]["refund"]["right"] == 3
    assert summary_lines(baseline.reads, out_of_scope=OUTSIDE)


@pytest.mark.parametrize("document", [{}, {"sentences": {"x": "y"}}, {"sentences": {"a|b|c": 1}}])
def test_a_broken_baseline_says_what_was_expected(document: dict[str, object]) -> None:
    with pytest.raises(BaselineError, match="sentences: expected"):
        baseline_from_json(document)
