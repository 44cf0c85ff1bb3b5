"""Runs `bot.nlu.evaluation` in Rasa's environment and turns its answer into numbers."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ponte.embedded.child import start_child, stop_child
from ponte.nlu.checks import Material
from ponte.nlu.metrics import Outcome, Scores, judge, score
from ponte.processes.plan import BOT_PYTHON, bot_environment_problem
from ponte.settings import ROOT

_POLL_SECONDS = 0.2
_HEARTBEAT_SECONDS = 15.0
_LOG_LINES = 15
_LIBRARY_SETTINGS = {
    "RASA_TELEMETRY_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    "PYTHONHASHSEED": "0",
    # Every run trains: Rasa's cache would answer for modules that have changed since.
    "RASA_MAX_CACHE_SIZE": "0",
}


class MeasuringError(Exception):
    """The run failed; the text says why."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Attributes:
        scores: The numbers on the test table.
        outcomes: One for each row of the test table, in its order.
        threshold: Least confidence of an accepted intent.
        threshold_from: `validation` or `cross-validation`; never the test table.
        train_seconds: Training, from examples to stored model, without the start of Python.
        material: What it was measured on, warnings included.
    """

    scores: Scores
    outcomes: tuple[Outcome, ...]
    threshold: float
    threshold_from: str
    train_seconds: float
    material: Material

    def to_json(self) -> dict[str, Any]:
        """The document of `--json`."""
        numbers = asdict(self.scores)
        bins = numbers.pop("bins")
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in numbers.items()
        }
        material = self.material
        return {
            **rounded,
            "threshold": round(self.threshold, 4),
            "threshold_from": self.threshold_from,
            "train_seconds": round(self.train_seconds, 1),
            "p50_ms": round(self.scores.p50_ms, 2),
            "p95_ms": round(self.scores.p95_ms, 2),
            "train_messages": len(material.train.rows),
            "intents": len(material.train.intents - {material.oos_label}),
            "oos_label": material.oos_label,
            "reliability": [{name: round(value, 4) for name, value in one.items()} for one in bins],
            "warnings": list(material.warnings),
        }


def evaluate(
    material: Material,
    *,
    language: str | None,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    config: Path = ROOT / "config.yml",
) -> Evaluation:
    """Train the project's pipeline on the material and measure it.

    Args:
        material: Checked tables.
        language: Language of all messages; None when it is not known.
        environment: The whole environment for the child process.
        say: Called with each line of progress.
        config: The configuration whose pipeline is measured.

    Raises:
        MeasuringError: Rasa's environment is missing, or the run failed.
    """
    problem = bot_environment_problem()
    if problem is not None:
        raise MeasuringError(problem)
    with tempfile.TemporaryDirectory(prefix="ponte-nlu-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(
            json.dumps(_job(material, language, config)), encoding="utf-8"
        )
        _run(folder, environment, say)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return _evaluation(result, material)


def _job(material: Material, language: str | None, config: Path) -> dict[str, Any]:
    validation = material.validation.rows if material.validation is not None else ()
    label = material.oos_label
    return {
        "config": str(config),
        "train": [(row.text, row.intent) for row in material.train.rows],
        "validation": [(row.text, row.intent) for row in validation],
        "test": [row.text for row in material.test.rows],
        "oos_label": label,
        "language": language,
    }


def _run(folder: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Run the child to its end; it is ended when we are."""
    log = folder / "log.txt"
    settings = {**_LIBRARY_SETTINGS, "RASA_CACHE_DIRECTORY": str(folder / "cache")}
    with log.open("wb") as output:
        process = start_child(
            [str(BOT_PYTHON), "-W", "ignore", "-m", "bot.nlu.evaluation", str(folder)],
            env={**environment, **settings},
            output=output.fileno(),
            death_signal=signal.SIGKILL,
            cwd=ROOT,
        )
    try:
        _follow(process, log, say)
    finally:
        if process.poll() is None:
            stop_child(process, signal.SIGKILL)
    if process.returncode != 0:
        raise MeasuringError(_failure(process.returncode, log))


def _follow(process: subprocess.Popen[bytes], log: Path, say: Callable[[str], None]) -> None:
    """Hand on the child's progress, and a sign of life when it is silent."""
    began = spoken = time.monotonic()
    told = 0
    while True:
        ended = process.poll() is not None
        lines = _progress(log)
        for line in lines[told:]:
            if not line.startswith("error: "):
                say(line)
        now = time.monotonic()
        if len(lines) > told:
            spoken = now
        told = len(lines)
        if ended:
            return
        if now - spoken >= _HEARTBEAT_SECONDS:
            spoken = now
            say(f"still working, {now - began:.0f} s")
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)


def _progress(log: Path) -> list[str]:
    """The whole lines of the log that are meant for people."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [line.removeprefix("[nlu] ") for line in lines if line.startswith("[nlu] ")]


def _failure(code: int, log: Path) -> str:
    errors = [line for line in _progress(log) if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
    return f"the measuring process ended with {code}:\n{last}"


def _evaluation(result: Mapping[str, Any], material: Material) -> Evaluation:
    threshold = float(result["threshold"])
    outcomes = tuple(
        judge(
            row.intent,
            [(name, float(confidence)) for name, confidence in reading["ranking"]],
            threshold=threshold,
            oos_label=material.oos_label,
            milliseconds=reading["seconds"] * 1000,
        )
        for row, reading in zip(material.test.rows, result["test"], strict=True)
    )
    return Evaluation(
        scores=score(outcomes),
        outcomes=outcomes,
        threshold=threshold,
        threshold_from=str(result["threshold_from"]),
        train_seconds=float(result["train_seconds"]),
        material=material,
    )
