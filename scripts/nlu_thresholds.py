"""Choose the confidence thresholds of handoff.yml from held-out sentences.

Runs in env `bot`, on a trained model:

    .venv-bot/bin/python scripts/nlu_thresholds.py --model models/ponte.tar.gz
    .venv-bot/bin/python scripts/nlu_thresholds.py --model models/ponte.tar.gz \
        --data tests/rasa/nlu_test.yml --confident 0.45

Without `--confident` it tries a grid on tests/rasa/nlu_validation.yml, by language and together,
and marks the best row; with it, it only reports that row (this is how the frozen test set is read).

What happens to a sentence is what handoff/rules.py does with it: small talk is believed from
`small_talk` on, `out_of_scope` from `out_of_scope` on, anything else from `confident` on if it
leads by `margin`; the rest meets a clarifying question.

Exit code 0 done, 1 the model or the data cannot be used, 2 bad use.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

OUT_OF_SCOPE = "out_of_scope"
SMALL_TALK = frozenset({"greet", "thank", "goodbye", "affirm", "deny"})
LANGUAGES = ("pt", "en", "es")
CONFIDENT_GRID = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)
MARGIN_GRID = (0.0, 0.05, 0.1, 0.15, 0.2)

# What one sentence costs. A wrong answer, or an answer to something out of scope, sends the
# customer the wrong way and often ends in a needless transfer; a clarifying question costs one tap.
COST_WRONG = 4.0
COST_CLARIFIED = 1.0

_ANNOTATION = re.compile(r"\[([^\]]+)\]\([^)]+\)")


@dataclass(frozen=True)
class Sentence:
    """A held-out sentence and what the model made of it."""

    text: str
    language: str
    intent: str
    top: str
    confidence: float
    margin: float


@dataclass(frozen=True)
class Thresholds:
    """The `confidence` section of handoff.yml."""

    confident: float
    margin: float
    out_of_scope: float
    small_talk: float

    def outcome(self, sentence: Sentence) -> str:
        """What the handoff rules take the sentence for: its intent, or "clarify"."""
        if sentence.top in SMALL_TALK:
            believed = sentence.confidence >= self.small_talk
        elif sentence.top == OUT_OF_SCOPE:
            believed = sentence.confidence >= self.out_of_scope
        else:
            believed = sentence.confidence >= self.confident and sentence.margin >= self.margin
        return sentence.top if believed else "clarify"


@dataclass(frozen=True)
class Row:
    """Shares, 0..1, of in-scope sentences (first three) and of out-of-scope ones (last)."""

    right: float
    wrong: float
    clarified: float
    caught: float
    cost: float


def read_sentences(path: Path) -> list[tuple[str, str, str]]:
    """Triples (text, language, intent) of a held-out file.

    Raises:
        ValueError: an entry lacks its `metadata: language`.
    """
    import ruamel.yaml  # noqa: PLC0415 - comes with Rasa, slow

    content = ruamel.yaml.YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    found = []
    for entry in content["nlu"]:
        language = (entry.get("metadata") or {}).get("language")
        if language not in LANGUAGES:
            raise ValueError(
                f"{path}: {entry.get('intent')}: metadata.language must be one of "
                f"{', '.join(LANGUAGES)}, found {language!r}"
            )
        for line in entry["examples"].splitlines():
            text = _ANNOTATION.sub(r"\1", line[2:].strip())
            found.append((text, language, entry["intent"]))
    return found


def classify(model: Path, sentences: Sequence[tuple[str, str, str]]) -> list[Sentence]:
    """Ask the model about every sentence.

    Raises:
        ValueError: the file is no model of this Rasa.
    """
    from rasa.core.agent import Agent  # noqa: PLC0415 - after its settings, and slow

    agent = Agent.load(str(model))
    if not agent.is_ready():
        raise ValueError(f"{model} is no trained model")

    async def ask() -> list[Sentence]:
        done = []
        for text, language, intent in sentences:
            ranking = (await agent.parse_message(text))["intent_ranking"]
            first, second = ranking[0], ranking[1]
            lead = first["confidence"] - second["confidence"]
            done.append(Sentence(text, language, intent, first["name"], first["confidence"], lead))
        return done

    return asyncio.run(ask())


def measure(sentences: Sequence[Sentence], thresholds: Thresholds) -> Row:
    """What the thresholds make of the sentences. Out-of-scope caught: not answered as anything."""
    inside = [s for s in sentences if s.intent != OUT_OF_SCOPE]
    outside = [s for s in sentences if s.intent == OUT_OF_SCOPE]
    outcomes = [(s.intent, thresholds.outcome(s)) for s in inside]
    right = sum(truth == got for truth, got in outcomes)
    clarified = sum(got == "clarify" for _, got in outcomes)
    wrong = len(inside) - right - clarified
    caught = sum(thresholds.outcome(s) in ("clarify", OUT_OF_SCOPE) for s in outside)
    missed = len(outside) - caught
    cost = (COST_WRONG * (wrong + missed) + COST_CLARIFIED * clarified) / len(sentences)
    count = len(inside)
    return Row(right / count, wrong / count, clarified / count, caught / len(outside), cost)


def show(title: str, rows: dict[Thresholds, Row]) -> None:
    """Print a table for docs/nlu.md; the cheapest row is marked."""
    best = min(rows, key=lambda t: rows[t].cost)
    print(f"\n{title}\n")
    print("| confident | margin | right | wrong | clarified | OOS caught | cost |")
    print("|---|---|---|---|---|---|---|")
    for thresholds, row in rows.items():
        mark = " **best**" if thresholds == best and len(rows) > 1 else ""
        print(
            f"| {thresholds.confident:.2f} | {thresholds.margin:.2f} | {row.right:.1%} "
            f"| {row.wrong:.1%} | {row.clarified:.1%} | {row.caught:.1%} | {row.cost:.3f}{mark} |"
        )


def show_errors(sentences: Sequence[Sentence], thresholds: Thresholds) -> None:
    """Print every sentence that is answered as something else."""
    for s in sentences:
        got = thresholds.outcome(s)
        if got not in ("clarify", s.intent):
            print(f"{s.language}  {s.intent:20} {got:20} {s.confidence:.2f}  {s.text}")


def grid(arguments: argparse.Namespace) -> list[Thresholds]:
    """The thresholds to try: those given, or all of the grid."""
    if arguments.confident is not None:
        pairs = [(arguments.confident, arguments.margin)]
    else:
        margins = MARGIN_GRID if arguments.all else (arguments.margin,)
        pairs = [(confident, margin) for confident in CONFIDENT_GRID for margin in margins]
    return [Thresholds(c, m, arguments.out_of_scope, arguments.small_talk) for c, m in pairs]


def main() -> int:
    """Read the command line, ask the model, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "ponte.tar.gz")
    parser.add_argument("--data", type=Path, default=ROOT / "tests" / "rasa" / "nlu_validation.yml")
    parser.add_argument("--confident", type=float, help="report this value, try no others")
    parser.add_argument("--margin", type=float, default=0.1)
    parser.add_argument("--out-of-scope", type=float, default=0.5)
    parser.add_argument("--small-talk", type=float, default=0.4)
    parser.add_argument("--all", action="store_true", help="try every margin too")
    parser.add_argument("--errors", action="store_true", help="list wrong answers")
    arguments = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import structlog  # noqa: PLC0415 - comes with Rasa

    # Rasa prints every parsed text at level debug otherwise.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for path in (arguments.model, arguments.data):
        if not path.is_file():
            print(f"nlu_thresholds: no such file: {path}", file=sys.stderr)
            return 1
    try:
        sentences = classify(arguments.model, read_sentences(arguments.data))
    except ValueError as error:
        print(f"nlu_thresholds: {error}", file=sys.stderr)
        return 1

    tried = grid(arguments)
    inside = [s for s in sentences if s.intent != OUT_OF_SCOPE]
    accuracy = sum(s.top == s.intent for s in inside) / len(inside)
    outside = len(sentences) - len(inside)
    print(f"{len(inside)} in scope, {outside} out; top intent right {accuracy:.1%}")
    show("All languages", {t: measure(sentences, t) for t in tried})
    for language in LANGUAGES:
        own = [s for s in sentences if s.language == language]
        show(f"Language {language}", {t: measure(own, t) for t in tried})
    if arguments.errors:
        show_errors(sentences, tried[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
