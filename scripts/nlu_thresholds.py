r"""Choose the confidence thresholds of handoff.yml from held-out sentences.

Runs in env `bot`, on a trained model:

    .venv-bot/bin/python scripts/nlu_thresholds.py                 choose `confident`
    .venv-bot/bin/python scripts/nlu_thresholds.py --all           choose all four thresholds
    .venv-bot/bin/python scripts/nlu_thresholds.py --policy handoff.yml \
        --data tests/rasa/nlu_test.yml                              report

Without `--policy` or `--confident` it tries a grid on tests/rasa/nlu_validation.yml, by language
and together, and marks the best row; with one of them it only reports that row (this is how the
frozen test set is read). It also prints how often each confidence is right, and how long a parse
takes.

What happens to a sentence is what handoff/rules.py does with it: small talk is believed from
`small_talk` on, `out_of_scope` from `out_of_scope` on, anything else from `confident` on if it
leads by `margin`; the rest meets a clarifying question. Each sentence is read in its own language,
as the gateway would say it.

Exit code 0 done, 1 the model or the data cannot be used, 2 bad use.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

OUT_OF_SCOPE = "out_of_scope"
SMALL_TALK = frozenset({"greet", "thank", "goodbye", "affirm", "deny"})
LANGUAGES = ("pt", "en", "es")
CONFIDENT_GRID = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
MARGIN_GRID = (0.0, 0.1, 0.2)
OUT_OF_SCOPE_GRID = (0.4, 0.5, 0.6, 0.7, 0.8)
SMALL_TALK_GRID = (0.4, 0.5, 0.6, 0.7, 0.8)
BEST_ROWS = 12
BINS = 10
WARM_UP = 20

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
    seconds: float


@dataclass(frozen=True)
class Thresholds:
    """The `confidence` section of handoff.yml."""

    confident: float
    margin: float
    out_of_scope: float
    small_talk: float
    by_language: tuple[tuple[str, float, float], ...] = ()
    """(language, confident, margin), where they differ."""

    def outcome(self, sentence: Sentence) -> str:
        """What the handoff rules take the sentence for: its intent, or "clarify"."""
        if sentence.top in SMALL_TALK:
            believed = sentence.confidence >= self.small_talk
        elif sentence.top == OUT_OF_SCOPE:
            believed = sentence.confidence >= self.out_of_scope
        else:
            confident, margin = self._of(sentence.language)
            believed = sentence.confidence >= confident and sentence.margin >= margin
        return sentence.top if believed else "clarify"

    def _of(self, language: str) -> tuple[float, float]:
        for name, confident, margin in self.by_language:
            if name == language:
                return confident, margin
        return self.confident, self.margin


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
    from rasa.core.channels.channel import UserMessage  # noqa: PLC0415
    from rasa.engine.exceptions import GraphComponentException  # noqa: PLC0415
    from rasa.shared.exceptions import RasaException  # noqa: PLC0415

    try:
        agent = Agent.load(str(model))
    except (RasaException, GraphComponentException) as error:
        raise ValueError(f"{model} cannot be loaded ({error}); run `make train`") from error
    if not agent.is_ready():
        raise ValueError(f"{model} is no trained model")

    async def ask() -> list[Sentence]:
        for text, language, _ in sentences[:WARM_UP]:
            await parse(text, language)
        done = []
        for text, language, intent in sentences:
            began = time.perf_counter()
            ranking = (await parse(text, language))["intent_ranking"]
            seconds = time.perf_counter() - began
            first, second = ranking[0], ranking[1]
            lead = first["confidence"] - second["confidence"]
            top = (first["name"], first["confidence"], lead, seconds)
            done.append(Sentence(text, language, intent, *top))
        return done

    async def parse(text: str, language: str) -> dict[str, Any]:
        message = UserMessage(text, metadata={"language": language})
        return await agent.processor.parse_message(message)

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


def show(title: str, rows: Mapping[Thresholds, Row]) -> None:
    """Print a table for docs/nlu.md; the cheapest row is marked."""
    best = min(rows, key=lambda t: rows[t].cost)
    print(f"\n{title}\n")
    print(
        "| confident | margin | OOS | small talk | right | wrong | clarified | OOS caught | cost |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for chosen, row in rows.items():
        mark = " **best**" if chosen == best and len(rows) > 1 else ""
        print(
            f"| {chosen.confident:.2f} | {chosen.margin:.2f} | {chosen.out_of_scope:.2f} "
            f"| {chosen.small_talk:.2f} | {row.right:.1%} | {row.wrong:.1%} | {row.clarified:.1%} "
            f"| {row.caught:.1%} | {row.cost:.3f}{mark} |"
        )


def show_reliability(sentences: Sequence[Sentence]) -> None:
    """Print how often a confidence is right, sentences out of scope included."""
    print("\n| confidence | sentences | mean | right |\n|---|---|---|---|")
    error = 0.0
    for place in range(BINS):
        low, high = place / BINS, (place + 1) / BINS
        last = place == BINS - 1
        members = [s for s in sentences if low <= s.confidence and (s.confidence < high or last)]
        if members:
            mean = sum(s.confidence for s in members) / len(members)
            right = sum(s.top == s.intent for s in members) / len(members)
            error += abs(mean - right) * len(members) / len(sentences)
            print(f"| {low:.1f} to {high:.1f} | {len(members)} | {mean:.2f} | {right:.1%} |")
    print(f"\ncalibration error {error:.3f}")


def show_times(sentences: Sequence[Sentence]) -> None:
    """Print how long Rasa's whole parse takes."""
    ranked = sorted(s.seconds * 1000 for s in sentences)
    middle, high = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.95)]
    print(f"\none parse: median {middle:.1f} ms, 95th percentile {high:.1f} ms")


def show_errors(sentences: Sequence[Sentence], thresholds: Thresholds) -> None:
    """Print every sentence that is answered as something else."""
    for s in sentences:
        got = thresholds.outcome(s)
        if got not in ("clarify", s.intent):
            print(f"{s.language}  {s.intent:20} {got:20} {s.confidence:.2f}  {s.text}")


def grid(arguments: argparse.Namespace) -> list[Thresholds]:
    """The thresholds to try: those given, or all of the grid."""
    if arguments.policy is not None:
        return [read_policy(arguments.policy)]
    given = (arguments.margin, arguments.out_of_scope, arguments.small_talk)
    if arguments.confident is not None:
        return [Thresholds(arguments.confident, *given)]
    if not arguments.all:
        return [Thresholds(confident, *given) for confident in CONFIDENT_GRID]
    every = product(CONFIDENT_GRID, MARGIN_GRID, OUT_OF_SCOPE_GRID, SMALL_TALK_GRID)
    return [Thresholds(*one) for one in every]


def read_policy(path: Path) -> Thresholds:
    """The `confidence` section of a handoff policy; what differs by intent is left out."""
    import ruamel.yaml  # noqa: PLC0415 - comes with Rasa, slow

    section = ruamel.yaml.YAML(typ="safe").load(path.read_text(encoding="utf-8"))["confidence"]
    confident, margin = section["confident"], section["margin"]
    by_language = tuple(
        (language, own.get("confident", confident), own.get("margin", margin))
        for language, own in (section.get("by_language") or {}).items()
    )
    rest = (section["out_of_scope"], section["small_talk"])
    return Thresholds(confident, margin, *rest, by_language=by_language)


def report(sentences: Sequence[Sentence], tried: Sequence[Thresholds], *, errors: bool) -> None:
    """Print every table."""
    inside = [s for s in sentences if s.intent != OUT_OF_SCOPE]
    accuracy = sum(s.top == s.intent for s in inside) / len(inside)
    outside = len(sentences) - len(inside)
    print(f"{len(inside)} in scope, {outside} out; top intent right {accuracy:.1%}")
    show("All languages", best_rows(sentences, tried))
    for language in LANGUAGES:
        own = [s for s in sentences if s.language == language]
        right = sum(s.top == s.intent for s in own if s.intent != OUT_OF_SCOPE)
        count = sum(s.intent != OUT_OF_SCOPE for s in own)
        show(f"Language {language}: top intent right {right / count:.1%}", best_rows(own, tried))
    show_reliability(sentences)
    show_times(sentences)
    if errors:
        show_errors(sentences, tried[0])


def best_rows(sentences: Sequence[Sentence], tried: Sequence[Thresholds]) -> dict[Thresholds, Row]:
    """Every row of a short grid, the cheapest of a long one."""
    rows = {thresholds: measure(sentences, thresholds) for thresholds in tried}
    if len(rows) <= len(CONFIDENT_GRID):
        return rows
    cheapest = sorted(rows, key=lambda thresholds: rows[thresholds].cost)[:BEST_ROWS]
    return {thresholds: rows[thresholds] for thresholds in cheapest}


def be_quiet() -> None:
    """Only tables on standard output, no warnings of libraries."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import structlog  # noqa: PLC0415 - comes with Rasa

    # Rasa prints every parsed text at level debug otherwise.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def main() -> int:
    """Read the command line, ask the model, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "ponte.tar.gz")
    parser.add_argument("--data", type=Path, default=ROOT / "tests" / "rasa" / "nlu_validation.yml")
    parser.add_argument("--policy", type=Path, help="report the thresholds of this handoff.yml")
    parser.add_argument("--confident", type=float, help="report this value, try no others")
    parser.add_argument("--margin", type=float, default=0.1)
    parser.add_argument("--out-of-scope", type=float, default=0.5)
    parser.add_argument("--small-talk", type=float, default=0.4)
    parser.add_argument("--all", action="store_true", help="try every combination")
    parser.add_argument("--errors", action="store_true", help="list wrong answers")
    arguments = parser.parse_args()
    be_quiet()
    for path in (arguments.model, arguments.data, arguments.policy):
        if path is not None and not path.is_file():
            print(f"nlu_thresholds: no such file: {path}", file=sys.stderr)
            return 1
    try:
        tried = grid(arguments)
        sentences = classify(arguments.model, read_sentences(arguments.data))
    except (ValueError, KeyError) as error:
        print(f"nlu_thresholds: {error}", file=sys.stderr)
        return 1
    report(sentences, tried, errors=arguments.errors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
