"""Train the project's own pipeline on a table of messages, and let it read others.

Started by `ponte nlu evaluate` in env `bot`, with a folder of its own:

    .venv-bot/bin/python -m bot.nlu.evaluation FOLDER

reads `job.json` in it (see `Job`), writes `result.json` (see `evaluate`), and says on standard
output what it is doing, in lines that begin with `[nlu] `. Everything goes through Rasa: a graph is
trained from the pipeline of config.yml and stored, an agent loads it, and every message is parsed
as a customer's would be.

Exit code 0 done, 1 it failed (the line `[nlu] error:` says why).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from rasa.core.agent import Agent

    from bot.nlu.intent_classifier import IntentClassifier

CLASSIFIER = "bot.nlu.intent_classifier.IntentClassifier"
_IMPORTER = "bot.nlu.table_importer.TableImporter"
_WARM_UP = 20
_PROGRESS_EVERY = 1000
_RANKING_LENGTH = 5


class EvaluationError(Exception):
    """It cannot be measured; the text says why."""


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        config: path of the project's config.yml; its pipeline is what is measured.
        train: rows (text, intent).
        validation: rows (text, intent) to choose the threshold with; empty: by cross-validation of
            `train`.
        test: texts.
        oos_label: the intent that means "none of our business"; need not be in `train`.
        language: of all messages; None when it is not known.
    """

    config: str
    train: list[tuple[str, str]]
    validation: list[tuple[str, str]]
    test: list[str]
    oos_label: Optional[str]
    language: Optional[str]

    @classmethod
    def read(cls, path: Path) -> Job:
        """The job of a file."""
        content = json.loads(path.read_text(encoding="utf-8"))
        for name in ("train", "validation"):
            content[name] = [(text, intent) for text, intent in content[name]]
        return cls(**content)

    @property
    def learnt_out_of_scope(self) -> list[str]:
        """The out-of-scope intents that have examples."""
        known = {intent for _, intent in self.train}
        return [self.oos_label] if self.oos_label in known else []


@dataclass(frozen=True)
class Reading:
    """What the assistant made of one message.

    Attributes:
        ranking: (intent, confidence), best first.
        in_scope: 0..1.
        seconds: how long the whole parse took.
    """

    ranking: list[tuple[str, float]]
    in_scope: float
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Do the job of a folder; the exit code."""
    folder = Path(arguments[0])
    warnings.filterwarnings("ignore")
    try:
        result = evaluate(Job.read(folder / "job.json"), folder)
    except EvaluationError as error:
        say(f"error: {error}")
        return 1
    except Exception as error:  # noqa: BLE001 - Rasa answers with any exception
        traceback.print_exc()
        say(f"error: {type(error).__name__}: {error}")
        return 1
    part = folder / "result.json.part"
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(folder / "result.json")
    return 0


def say(text: str) -> None:
    """A line of progress for the parent."""
    print(f"[nlu] {text}", flush=True)  # noqa: T201 - this is how it speaks


def evaluate(job: Job, folder: Path) -> dict[str, Any]:
    """Train, choose the threshold, read the test messages.

    Returns:
        `train_seconds`; `threshold`; `threshold_from` ("validation" | "cross-validation");
        `test`: for each text `{ranking, in_scope, seconds}`, the ranking best first.
    """
    config = write_config(job, folder)
    say(
        f"training on {len(job.train)} messages, {len({intent for _, intent in job.train})} intents"
    )
    model, train_seconds = train(config, folder)
    say(f"trained in {train_seconds:.1f} s")
    return asyncio.run(_read_everything(job, model, train_seconds))


def write_config(job: Job, folder: Path) -> Path:
    """The project's pipeline as a configuration of its own, with examples from the table.

    Raises:
        EvaluationError: the pipeline holds no intent classifier of ours.
    """
    import ruamel.yaml  # noqa: PLC0415 - comes with Rasa, slow

    content = ruamel.yaml.YAML(typ="safe").load(Path(job.config).read_text(encoding="utf-8"))
    pipeline = [dict(component) for component in content["pipeline"]]
    ours = [component for component in pipeline if component["name"] == CLASSIFIER]
    if not ours:
        message = f"{job.config}: the pipeline has no {CLASSIFIER}"
        raise EvaluationError(message)
    for component in ours:
        component["out_of_scope"] = job.learnt_out_of_scope
    table = folder / "train.json"
    table.write_text(json.dumps(job.train), encoding="utf-8")
    importer = {"name": _IMPORTER, "table": str(table)}
    if job.language is not None:
        importer["language"] = job.language
    config = {
        "recipe": content.get("recipe", "default.v1"),
        "assistant_id": "evaluation",
        "language": job.language or content.get("language", "pt"),
        "importers": [importer],
        "pipeline": pipeline,
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config), encoding="utf-8")  # every JSON document is YAML
    return path


def train(config: Path, folder: Path) -> tuple[Path, float]:
    """Train and store a model of the language understanding alone.

    Returns:
        The model file, and the seconds it took without the start of Python and Rasa.

    Raises:
        EvaluationError: Rasa could not train.
    """
    from rasa.model_training import train_nlu  # noqa: PLC0415 - takes seconds
    from rasa.shared.exceptions import RasaException  # noqa: PLC0415
    from rasa.utils.log_utils import configure_structlog  # noqa: PLC0415

    # Without this structlog prints every debug line, the texts among them.
    configure_structlog(logging.ERROR)
    _hear_progress()
    began = time.perf_counter()
    try:
        model = train_nlu(str(config), str(folder / "train.json"), str(folder), "evaluated")
    except RasaException as error:
        raise EvaluationError(str(error)) from error
    if model is None:
        message = "Rasa did not train a model; its own lines say why"
        raise EvaluationError(message)
    return Path(model), time.perf_counter() - began


class _Progress(logging.Handler):
    """Hands the lines of the classifier on to the parent."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _hear_progress() -> None:
    logger = logging.getLogger("bot.nlu.intent_classifier")
    logger.setLevel(logging.INFO)
    logger.handlers[:] = [_Progress()]
    logger.propagate = False


async def _read_everything(job: Job, model: Path, train_seconds: float) -> dict[str, Any]:
    from rasa.core.agent import Agent  # noqa: PLC0415 - slow

    agent = Agent.load(str(model))
    for text, _ in job.train[:_WARM_UP]:
        await read(agent, text, job.language)
    threshold, source = _threshold(agent, job)
    say(f"threshold {threshold:.3f}, from {source}")
    readings = []
    for number, text in enumerate(job.test, start=1):
        readings.append(await read(agent, text, job.language))
        if number % _PROGRESS_EVERY == 0:
            say(f"read {number} of {len(job.test)} test messages")
    return {
        "train_seconds": train_seconds,
        "threshold": threshold,
        "threshold_from": source,
        "test": [vars(reading) for reading in readings],
    }


async def read(agent: Agent, text: str, language: Optional[str]) -> Reading:
    """One message, through the whole parse of Rasa."""
    from rasa.core.channels.channel import UserMessage  # noqa: PLC0415

    from bot.turn_request import typed_text  # noqa: PLC0415

    metadata = {} if language is None else {"language": language}
    # What reaches Rasa in operation: never a command, never empty.
    message = UserMessage(typed_text(text), metadata=metadata)
    began = time.perf_counter()
    parse = await agent.processor.parse_message(message)
    seconds = time.perf_counter() - began
    ranking = [(one["name"], one["confidence"]) for one in parse["intent_ranking"]]
    return Reading(ranking[:_RANKING_LENGTH], parse["intent"]["in_scope"], seconds)


def _threshold(agent: Agent, job: Job) -> tuple[float, str]:
    """The threshold and where it is from; `bot.nlu.threshold` has the rule."""
    from bot.nlu.threshold import LEAST_OUT_OF_SCOPE  # noqa: PLC0415 - after the settings
    from bot.turn_request import typed_text  # noqa: PLC0415

    model = classifier_of(agent).model
    # A row whose intent was never trained says nothing about what is out of scope.
    known = {intent for _, intent in job.train} | {job.oos_label}
    rows = [(typed_text(text), intent) for text, intent in job.validation if intent in known]
    strange = sum(intent == job.oos_label for _, intent in rows)
    if strange < LEAST_OUT_OF_SCOPE:
        if rows:
            say(
                f"validation has {strange} messages out of scope, {LEAST_OUT_OF_SCOPE} are needed: "
                f"the threshold is from cross-validation"
            )
        return float(model.suggested_threshold()), "cross-validation"
    texts, intents = [text for text, _ in rows], [intent for _, intent in rows]
    languages = [job.language] * len(rows)
    return float(model.suggested_threshold(texts, intents, languages=languages)), "validation"


def classifier_of(agent: Agent) -> IntentClassifier:
    """The classifier inside a loaded agent."""
    from bot.nlu.intent_classifier import IntentClassifier  # noqa: PLC0415

    for node in agent.processor.graph_runner._instantiated_nodes.values():  # noqa: SLF001
        if isinstance(node._component, IntentClassifier):  # noqa: SLF001 - Rasa has no other way
            return node._component  # noqa: SLF001
    message = "the loaded model has no intent classifier"
    raise EvaluationError(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
