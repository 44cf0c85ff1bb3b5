"""`python -m benchmarks.nlu`: the assistant's understanding on public sets, beside published rows.

Every set is measured by what `ponte nlu evaluate` runs: this project's pipeline, trained by Rasa on
the set's training messages; the threshold comes from the set's validation messages, without any
from cross-validation of the training messages, never from the test messages.

The sets are not part of the repository (their licences differ): `--datasets` or PONTE_DATASETS_DIR
names a folder that holds them. Without one this says how to get them.

Exit code 0, also without sets; 1 when a set could not be measured; 2 for wrong use.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.clock import SystemClock
from ponte.nlu.checks import Material, check_material
from ponte.nlu.measuring import Evaluation, MeasuringError, evaluate
from ponte.nlu.tables import TableError, read_table
from ponte.settings import ROOT, read_environment

VARIABLE = "PONTE_DATASETS_DIR"
RESULT = ROOT / ".ponte" / "bench-nlu.json"  # beside .ponte/bench, which every run empties


@dataclass(frozen=True, slots=True)
class Published:
    """A row that others measured, in per cent.

    Attributes:
        system: What was measured, and at which threshold.
        in_scope: Accuracy on in-scope messages at that threshold.
        oos_recall: None where the set has nothing out of scope.
    """

    system: str
    in_scope: float
    oos_recall: float | None = None


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public set and where its numbers come from.

    Attributes:
        name: For the table.
        train, test, validation: Files below the folder of sets.
        oos_label: Its intent for "out of scope".
        source: Who published set and rows.
        rows: What they published.
    """

    name: str
    train: str
    test: str
    validation: str | None
    oos_label: str | None
    source: str
    rows: tuple[Published, ...]


_CLINC = "Larson et al. 2019, Table 2 (clinc/oos-eval)"
SETS = (
    PublicSet(
        name="CLINC150 full",
        train="clinc150/full_train.csv",
        test="clinc150/full_test.csv",
        validation="clinc150/full_val.csv",
        oos_label="oos",
        source=_CLINC,
        rows=(
            Published("Rasa, oos trained", 91.5, 45.3),
            Published("Rasa, threshold", 90.9, 31.2),
            Published("SVM, oos trained", 91.0, 14.5),
            Published("SVM, threshold", 88.2, 18.0),
            Published("DialogFlow, oos trained", 91.7, 14.0),
            Published("DialogFlow, threshold", 90.8, 26.7),
            Published("BERT, oos trained", 96.9, 40.3),
            Published("BERT, threshold", 96.2, 52.3),
        ),
    ),
    PublicSet(
        name="CLINC150 small",
        train="clinc150/small_train.csv",
        test="clinc150/small_test.csv",
        validation="clinc150/small_val.csv",
        oos_label="oos",
        source=_CLINC,
        rows=(
            Published("Rasa, oos trained", 88.9, 55.0),
            Published("Rasa, threshold", 89.6, 1.0),
            Published("SVM, oos trained", 89.6, 18.6),
            Published("SVM, threshold", 85.6, 13.0),
            Published("DialogFlow, oos trained", 89.4, 14.1),
            Published("DialogFlow, threshold", 89.2, 20.5),
            Published("BERT, oos trained", 96.4, 40.9),
            Published("BERT, threshold", 96.2, 58.9),
        ),
    ),
    PublicSet(
        name="HINT3 SOFMattress",
        train="hint3_sofmattress/sofmattress_train.csv",
        test="hint3_sofmattress/sofmattress_test.csv",
        validation=None,
        oos_label="NO_NODES_DETECTED",
        source="Arora et al. 2020, Rasa with ConveRT and DIET (hellohaptik/HINT3)",
        rows=(
            Published("Rasa, threshold 0.1", 69.3, 0.0),
            Published("Rasa, threshold 0.3", 68.4, 10.2),
            Published("Rasa, threshold 0.5", 64.1, 39.8),
            Published("Rasa, threshold 0.7", 57.6, 66.3),
            Published("Rasa, threshold 0.9", 48.1, 85.5),
        ),
    ),
    PublicSet(
        name="Banking77",
        train="banking77/train.csv",
        test="banking77/test.csv",
        validation=None,
        oos_label=None,
        source="Casanueva et al. 2020, Table 3 (pretrained encoders, no threshold)",
        rows=(Published("BERT tuned", 93.66), Published("USE+ConveRT", 93.36)),
    ),
)

HOW_TO_GET = """[bench] language understanding: no public sets, so no table.
Put them into a folder as CSV files with the columns text,intent (UTF-8) and name it by --datasets
or PONTE_DATASETS_DIR:

  clinc150/{full,small}_{train,val,test}.csv        github.com/clinc/oos-eval, data/data_full.json
                                                    and data_small.json; its oos rows as intent oos
  banking77/{train,test}.csv                        github.com/PolyAI-LDN/task-specific-datasets,
                                                    banking_data; category is the intent
  hint3_sofmattress/sofmattress_{train,test}.csv    github.com/hellohaptik/HINT3, dataset/v1,
                                                    its label column is the intent"""


def main(arguments: Sequence[str]) -> int:
    """Measure every set that is there; the exit code."""
    options = _parser().parse_args(arguments)
    folder = options.datasets or read_environment().get(VARIABLE, "")
    if not folder:
        print(HOW_TO_GET)
        return 0
    root = Path(folder)
    if not root.is_dir():
        print(f"bench: {folder}: no such folder; expected the public sets", file=sys.stderr)
        return 2
    chosen = [one for one in SETS if options.only is None or options.only in one.name.lower()]
    if not chosen:
        names = ", ".join(one.name for one in SETS)
        print(f"bench: --only {options.only}: expected part of one of {names}", file=sys.stderr)
        return 2
    found: list[tuple[PublicSet, Evaluation]] = []
    failed = False
    for one in chosen:
        say(f"{one.name}: {one.source}")
        try:
            found.append((one, measure(one, root)))
        except (TableError, MeasuringError) as error:
            print(f"bench: {one.name}: {error}", file=sys.stderr)
            failed = True
    if found:
        _tell(found, arguments)
    return 1 if failed else 0


def measure(one: PublicSet, root: Path) -> Evaluation:
    """Train and measure one set.

    Raises:
        TableError: its files are missing or wrong.
        MeasuringError: the run failed.
    """
    material = check_material(
        Material(
            train=read_table(root / one.train),
            test=read_table(root / one.test),
            validation=None if one.validation is None else read_table(root / one.validation),
            oos_label=one.oos_label,
        )
    )
    return evaluate(material, language="en", environment=read_environment(), say=say)


HEADER = (
    "set",
    "system",
    "in-scope accuracy",
    "OOS recall",
    "best intent",
    "precision @ coverage",
    "ECE",
    "training",
    "p50 / p95 ms",
)


def markdown(found: Sequence[tuple[PublicSet, Evaluation]]) -> str:
    """The table for docs/nlu.md; ours comes first in each set."""
    rows = [list(HEADER), ["---", "---"] + ["---:"] * (len(HEADER) - 2)]
    for one, result in found:
        rows.append(_ours(one, result))
        rows += [_published(one, row) for row in one.rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    sources = {one.name: one.source for one, _ in found}
    return "\n".join([*lines, "", *(f"{name}: {source}." for name, source in sources.items())])


def _ours(one: PublicSet, result: Evaluation) -> list[str]:
    scores = result.scores
    precision, coverage = _percent(scores.precision_at_coverage), _percent(scores.coverage)
    return [
        one.name,
        f"**Ponte**, threshold {result.threshold:.2f}",
        _percent(scores.in_scope_accuracy),
        _percent(scores.oos_recall),
        _percent(scores.accuracy_argmax),
        f"{precision} @ {coverage}",
        f"{scores.ece:.3f}",
        f"{result.train_seconds:.0f} s",
        f"{scores.p50_ms:.1f} / {scores.p95_ms:.1f}",
    ]


def _published(one: PublicSet, row: Published) -> list[str]:
    """Without anything out of scope, what was published is an accuracy of best intents."""
    if row.oos_recall is None:
        numbers = ["", "", f"{row.in_scope:.2f} %"]
    else:
        numbers = [f"{row.in_scope:.1f} %", f"{row.oos_recall:.1f} %", ""]
    return [one.name, row.system, *numbers, "", "", "", ""]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def _tell(found: Sequence[tuple[PublicSet, Evaluation]], arguments: Sequence[str]) -> None:
    now = SystemClock().now()
    command = " ".join(["python -m benchmarks.nlu", *arguments])
    document: dict[str, Any] = {
        "date": now.isoformat(timespec="seconds"),
        "command": command,
        "cpus": os.cpu_count(),
        "sets": {one.name: result.to_json() for one, result in found},
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"\n{now:%Y-%m-%d}, {os.cpu_count()} CPUs, language understanding:\n")
    print(markdown(found))


def say(text: str) -> None:
    """Progress, for the person who waits."""
    print(f"[bench] {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nlu",
        description="Measure the assistant's understanding on public sets.",
        epilog="example: python -m benchmarks.nlu --datasets ~/datasets --only hint3",
    )
    parser.add_argument("--datasets", help=f"folder of the sets (else {VARIABLE})")
    parser.add_argument("--only", type=str.lower, help="only sets with this in their name")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
