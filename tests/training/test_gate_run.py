from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from handoff.policy import HandoffPolicy
from handoff.policy_file import load_policy
from training.domain.gate import Baseline, BaselineError, Read
from training.gate_run import (
    Gate,
    GateError,
    frozen_sentences,
    outcome_of,
    read_baseline,
    write_baseline,
)

ROOT = Path(__file__).resolve().parents[2]


@cache
def make_policy() -> HandoffPolicy:
    return load_policy(ROOT / "handoff.yml", holiday_dates=lambda *_: set())


FROZEN = """nlu:
  - intent: refund
    metadata: {language: pt}
    examples: |
      - estorna o pedido [12345](order_number)
  - intent: safety_incident
    metadata: {language: pt}
    examples: |
      - a tomada soltou fumaça
"""


def parse(intent: str, confidence: float) -> dict[str, object]:
    ranking = [
        {"name": intent, "confidence": confidence},
        {"name": "greet", "confidence": (1 - confidence) / 2},
    ]
    return {"intent": ranking[0], "intent_ranking": ranking}


class Programs:
    """Stands in for the programs of env `bot`."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.called: list[str] = []

    def __call__(
        self, command: Sequence[str], *, folder: Path, given: str = ""
    ) -> tuple[int, str, str]:
        line = " ".join(command[1:])
        self.called.append(line)
        if self.failing and self.failing in line:
            return 1, "", "something about line 7"
        if "nlu_predict" in line:
            assert json.loads(given)[0]["text"] == "estorna o pedido 12345"
            return 0, json.dumps([parse("refund", 0.95), parse("safety_incident", 0.99)]), ""
        return 0, "", ""


def make_gate(root: Path, programs: Programs) -> Gate:
    (root / "tests/rasa").mkdir(parents=True)
    (root / "tests/rasa/nlu_test.yml").write_text(FROZEN, encoding="utf-8")
    python = root / "python"
    python.touch()
    return Gate(root, python, make_policy(), say=lambda _: None, run=programs)


def test_the_gate_validates_trains_plays_and_reads_in_that_order(tmp_path: Path) -> None:
    programs = Programs()
    reads = make_gate(tmp_path, programs).check_and_read()
    steps = ["data validate", "train_model", "test core", "nlu_predict"]
    assert [step in line for step, line in zip(steps, programs.called, strict=True)] == [True] * 4
    assert [(read.intent, read.outcome) for read in reads] == [
        ("refund", "refund"),
        ("safety_incident", "safety_incident"),
    ]


def test_a_failed_step_stops_the_gate_and_shows_what_it_printed(tmp_path: Path) -> None:
    programs = Programs(failing="data validate")
    with pytest.raises(GateError, match=r"validating the training data: failed(.|\n)*line 7"):
        make_gate(tmp_path, programs).check_and_read()
    assert len(programs.called) == 1


def test_without_the_bots_environment_the_gate_says_what_to_run(tmp_path: Path) -> None:
    gate = make_gate(tmp_path, Programs())
    gate.python.unlink()
    with pytest.raises(GateError, match="make setup"):
        gate.check_and_read()


@pytest.mark.parametrize(
    ("top", "confidence", "intent", "outcome"),
    [
        ("refund", 0.95, "refund", "refund"),
        ("refund", 0.05, "refund", "clarify"),
        ("out_of_scope", 0.95, "out_of_scope", "out_of_scope"),
        ("refund", 0.95, "safety_incident", "refund"),
    ],
)
def test_the_thresholds_of_the_policy_say_what_is_believed(
    top: str, confidence: float, intent: str, outcome: str
) -> None:
    assert outcome_of(parse(top, confidence), "pt", intent, make_policy()) == outcome


def test_a_frozen_sentence_without_a_language_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("nlu:\n  - intent: refund\n    examples: |\n      - oi\n", encoding="utf-8")
    with pytest.raises(GateError, match=r"refund: expected metadata\.language"):
        frozen_sentences(path)


def test_a_baseline_is_written_in_one_step_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert read_baseline(path) is None
    baseline = Baseline("2026-03-10", "m", "i", "p", (Read("pt", "refund", "a|b", "clarify"),))
    write_baseline(path, baseline, policy=make_policy())
    assert read_baseline(path) == baseline
    assert [item.name for item in tmp_path.iterdir()] == ["baseline.json"]
    path.write_text("{", encoding="utf-8")
    with pytest.raises(BaselineError, match="is not JSON"):
        read_baseline(path)
