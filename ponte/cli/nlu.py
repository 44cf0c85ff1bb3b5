"""`ponte nlu evaluate`: how well the assistant's pipeline understands messages of a table."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponte.cli.app import app, example, fail, print_json
from ponte.settings import read_environment

if TYPE_CHECKING:
    from ponte.nlu.measuring import Evaluation

nlu = typer.Typer(help="How well the assistant understands.", no_args_is_help=True)
app.add_typer(nlu, name="nlu")


class Language(StrEnum):
    """Languages the assistant serves."""

    PT = "pt"
    EN = "en"
    ES = "es"


@nlu.callback()
def _group() -> None:
    """Keep `nlu` a group also while it has one command."""


DEFINITIONS = """
    The tables are CSV files (UTF-8) with the columns text,intent. A model is trained on TRAIN with
    the pipeline of config.yml, through Rasa, and reads every message of TEST. The models of the
    running assistant are not touched.

    \b
    in_scope_accuracy      in-scope messages accepted and right / all in scope
    oos_recall             out-of-scope messages rejected / all out of scope
    accuracy_argmax        best in-scope intent right, without a threshold
    coverage               in-scope messages accepted / all in scope
    precision_at_coverage  right among the accepted in-scope messages
    ece                    calibration error: 15 equal bins, in-scope messages
    threshold              least confidence of an accepted message
    train_seconds          training, from examples to stored model
    p50_ms, p95_ms         one message through Rasa's whole parse

    A message is rejected when its best intent is the out-of-scope one or has a confidence below the
    threshold. The threshold is chosen on VALIDATION, without it by cross-validation on TRAIN;
    never on TEST. A number about which nothing can be said is null.
    """


def evaluate(  # noqa: PLR0917 - typer reads options from the parameters
    train: Annotated[Path, typer.Option("--train", help="Messages to learn from.")],
    test: Annotated[Path, typer.Option("--test", help="Messages to measure on.")],
    validation: Annotated[
        Path | None, typer.Option("--validation", help="Messages to choose the threshold with.")
    ] = None,
    oos_label: Annotated[
        str | None, typer.Option("--oos-label", help="The intent that means out of scope.")
    ] = None,
    language: Annotated[
        Language | None, typer.Option("--language", help="Language of all messages.")
    ] = None,
    allow_untrained: Annotated[
        bool,
        typer.Option("--allow-untrained", help="Count test intents that TRAIN lacks as wrong."),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train this project's own pipeline on one table of messages and measure it on another."""
    from ponte.nlu.checks import Material, check_material  # noqa: PLC0415 - used here alone
    from ponte.nlu.measuring import MeasuringError  # noqa: PLC0415
    from ponte.nlu.measuring import evaluate as measure  # noqa: PLC0415
    from ponte.nlu.tables import TableError, read_table  # noqa: PLC0415

    try:
        material = check_material(
            Material(
                train=read_table(train),
                test=read_table(test),
                validation=None if validation is None else read_table(validation),
                oos_label=_label(oos_label),
            ),
            allow_untrained=allow_untrained,
        )
    except TableError as error:
        fail(str(error), code=2)
    for warning in material.warnings:
        _say(f"warning: {warning}")
    try:
        result = measure(
            material,
            language=None if language is None else language.value,
            environment=read_environment(),
            say=_say,
        )
    except MeasuringError as error:
        fail(str(error))
    if json_output:
        print_json(result.to_json())
    else:
        _print_table(result)


evaluate.__doc__ = f"{evaluate.__doc__}\n{DEFINITIONS}"
nlu.command(
    epilog=example("ponte nlu evaluate --train train.csv --test test.csv --oos-label oos --json")
)(evaluate)


def _label(given: str | None) -> str | None:
    if given is None:
        return None
    if not given.strip():
        fail("--oos-label: expected the name of an intent, found nothing", code=2)
    return given.strip()


def _say(text: str) -> None:
    print(f"[nlu] {text}", file=sys.stderr, flush=True)


def _print_table(result: Evaluation) -> None:
    from ponte.nlu.metrics import BINS  # noqa: PLC0415 - used here alone

    scores = result.scores
    lines: list[tuple[str, str]] = [
        ("in_scope_accuracy", _percent(scores.in_scope_accuracy)),
        ("oos_recall", _percent(scores.oos_recall)),
        ("accuracy_argmax", _percent(scores.accuracy_argmax)),
        ("coverage", _percent(scores.coverage)),
        ("precision_at_coverage", _percent(scores.precision_at_coverage)),
        ("ece", f"{scores.ece:.3f}"),
        ("threshold", f"{result.threshold:.3f} (from {result.threshold_from})"),
        ("train_seconds", f"{result.train_seconds:.1f}"),
        ("p50_ms", f"{scores.p50_ms:.1f}"),
        ("p95_ms", f"{scores.p95_ms:.1f}"),
    ]
    print(f"{scores.in_scope_messages} messages in scope, {scores.oos_messages} out of scope")
    for name, value in lines:
        print(f"{name:<22} {value}")
    print("\nconfidence    messages  mean   right")
    for one in scores.bins:
        interval = f"{one.low:.2f}-{one.low + 1 / BINS:.2f}"
        print(f"{interval:<12} {one.count:>9}  {one.confidence:.2f}  {one.right:>6.1%}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
