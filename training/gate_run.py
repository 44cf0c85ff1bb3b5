"""Run the gate: validate the data, train, play the test stories, read the frozen sentences.

The steps are the programs of env `bot`; what they print is shown when they fail.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML

from handoff.decide import decide
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from ticketing.domain.turn import Parse
from training.domain.gate import (
    CLARIFY,
    CRITICAL_INTENTS,
    Baseline,
    BaselineError,
    Read,
    baseline_from_json,
    baseline_to_json,
)
from training.nlu_files import plain

FROZEN_SET = Path("tests/rasa/nlu_test.yml")
BASELINE = Path("tests/rasa/nlu_baseline.json")
_MODEL = Path("models/ponte.tar.gz")
_STORIES = "tests/rasa/test_stories.yml"
_LAST_LINES = 40  # of a failed step
_WORKING_HOUR = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
"""A Tuesday at noon in São Paulo: what the rules do at night is not the model's matter."""


class GateError(Exception):
    """A step failed; the text names it and holds the end of what it printed."""


class Runner(Protocol):
    """Runs a program in a folder; returns its exit code and what it printed."""

    def __call__(
        self, command: Sequence[str], *, folder: Path, given: str = ""
    ) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        ...


def run_program(command: Sequence[str], *, folder: Path, given: str = "") -> tuple[int, str, str]:
    """Run a program to its end."""
    done = subprocess.run(  # noqa: S603 - our own programs
        command, cwd=folder, input=given, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@dataclass(frozen=True, slots=True)
class Gate:
    """The steps over one checkout.

    Attributes:
        root: The project's folder.
        python: Python of env `bot`.
        policy: Its thresholds say what the bot believes.
        say: Told what is being done, one line a step.
        run: Runs the programs.
    """

    root: Path
    python: Path
    policy: HandoffPolicy
    say: Callable[[str], None]
    run: Runner = run_program

    def check_and_read(self) -> tuple[Read, ...]:
        """All steps; what the new model makes of the frozen sentences.

        Raises:
            GateError: a step failed.
        """
        if not self.python.is_file():
            message = f"{self.python} is missing: run `make setup` first"
            raise GateError(message)
        self._step(
            "validating the training data",
            "-m", "rasa", "data", "validate", "--fail-on-warnings",
            "--domain", "domain.yml", "--data", "data",
        )  # fmt: skip
        self._step("training (minutes when something changed)", "scripts/train_model.py")
        self._step(
            "playing the test stories",
            "-m", "rasa", "test", "core", "--model", str(_MODEL), "--stories", _STORIES,
            "--out", ".ponte/rasa-test", "--fail-on-prediction-errors",
        )  # fmt: skip
        return self.read()

    def read(self) -> tuple[Read, ...]:
        """What the present model makes of the frozen sentences."""
        sentences = frozen_sentences(self.root / FROZEN_SET)
        wanted = [{"text": text, "language": language} for language, _, text in sentences]
        printed = self._step(
            f"reading {len(sentences)} frozen sentences",
            "scripts/nlu_predict.py", "--model", str(_MODEL),
            given=json.dumps(wanted),
        )  # fmt: skip
        parses = json.loads(printed)
        return tuple(
            Read(language, intent, text, outcome_of(parse, language, intent, self.policy))
            for (language, intent, text), parse in zip(sentences, parses, strict=True)
        )

    def fingerprint(self) -> tuple[str, str]:
        """Hashes of the model and of what it was trained from; empty when it has no note."""
        note = (self.root / _MODEL).with_name("ponte.json")
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            return str(facts["model_sha256"]), str(facts["inputs_sha256"])
        except (OSError, ValueError, KeyError):
            return "", ""

    def _step(self, title: str, *arguments: str, given: str = "") -> str:
        self.say(title)
        command = (str(self.python), *arguments)
        code, printed, errors = self.run(command, folder=self.root, given=given)
        if code != 0:
            lines = f"{printed}\n{errors}".strip().splitlines()[-_LAST_LINES:]
            message = f"{title}: failed with code {code}\n" + "\n".join(lines)
            raise GateError(message)
        return printed


def outcome_of(parse: Mapping[str, Any], language: str, intent: str, policy: HandoffPolicy) -> str:
    """What the rules take a sentence for: an intent, or `clarify`.

    A critical sentence that goes to a person for a critical reason counts as understood, also
    below the threshold: that is what the critical rules are for.
    """
    seen = Parse.from_rasa(parse)
    snapshot = ConversationSnapshot(
        turn_id="frozen",
        conversation_id="frozen",
        channel="whatsapp",
        now=_WORKING_HOUR,
        text_length=1,
        top_intent=seen.intent,
        ranking=seen.ranking,
        language=language,
        in_scope=seen.in_scope,
    )
    decision = decide(snapshot, policy)
    if intent in CRITICAL_INTENTS and decision.reason == "critical_intent":
        return intent
    believed = decision.understanding in {"confident", "small_talk", "out_of_scope"}
    return seen.intent if believed and seen.intent is not None else CLARIFY


def frozen_sentences(path: Path) -> list[tuple[str, str, str]]:
    """Triples (language, intent, text) of the frozen set.

    Raises:
        GateError: an entry lacks its language.
    """
    content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    found: list[tuple[str, str, str]] = []
    for entry in content["nlu"]:
        language = (entry.get("metadata") or {}).get("language")
        if not language:
            message = f"{path}: {entry.get('intent')}: expected metadata.language"
            raise GateError(message)
        lines = [line.strip() for line in entry["examples"].splitlines()]
        found.extend((language, entry["intent"], plain(x[2:])) for x in lines if x[:2] == "- ")
    return found


def read_baseline(path: Path) -> Baseline | None:
    """The stored baseline; None when there is none yet.

    Raises:
        BaselineError: it is there and cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        message = f"{path}: is not JSON ({error})"
        raise BaselineError(message) from error
    if not isinstance(document, dict):
        message = f"{path}: expected a JSON object"
        raise BaselineError(message)
    return baseline_from_json(document)


def write_baseline(path: Path, baseline: Baseline, *, policy: HandoffPolicy) -> None:
    """Put a baseline in place in one step."""
    document = baseline_to_json(baseline, out_of_scope=policy.out_of_scope)
    part = path.with_name(f".{path.name}.part")
    text = json.dumps(document, ensure_ascii=False, indent=1)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
