"""Is the newly trained model worse than the one before? Two readings of the same frozen sentences.

A sentence is `right` (understood, or, if it is out of scope, not answered as something else),
`clarified` (a clarifying question) or `wrong`. Sentence by sentence, the flips between the two
models are what counts: a coin's tosses if nothing changed (McNemar's test, in its exact form).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CLARIFY = "clarify"
CRITICAL_INTENTS = ("safety_incident", "report_fraud", "legal_threat")
"""Not one of their sentences may be lost: a missed accident costs more than any statistic."""

NOISE = 0.05
"""Probability up to which flips that happened by chance are taken for a change."""
MOST_POINTS = 1.0
"""Percentage points of right answers that may go, also when chance could explain it: on 650
sentences one point is 6 or 7 sentences, which the test alone would let pass again and again."""
LEAST_COMMON = 0.9
"""Share of the baseline's sentences that must still be there for the comparison to mean much."""

_RIGHT, _CLARIFIED, _WRONG = "right", "clarified", "wrong"


@dataclass(frozen=True, slots=True)
class Read:
    """What a model made of one frozen sentence.

    Attributes:
        outcome: The intent it is answered as, or `clarify`.
    """

    language: str
    intent: str
    text: str
    outcome: str

    @property
    def key(self) -> str:
        """Names the sentence in both readings."""
        return f"{self.language}|{self.intent}|{self.text}"

    def verdict(self, out_of_scope: Iterable[str]) -> str:
        """`right`, `clarified` or `wrong`."""
        if self.outcome == self.intent:
            return _RIGHT
        if self.outcome != CLARIFY:
            return _WRONG
        return _RIGHT if self.intent in out_of_scope else _CLARIFIED


@dataclass(frozen=True, slots=True)
class Score:
    """How many sentences of a group were read how."""

    sentences: int
    right: int
    clarified: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Flip:
    """A sentence that the two models read differently."""

    language: str
    intent: str
    text: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The new reading against the old one.

    Attributes:
        problems: Why the new model is refused, in plain words; empty when it passes.
        worse: Sentences that were right and are not, or were asked back and are now wrong.
        better: The other way round.
        confused: (intent, taken for, times) among the sentences that became wrong.
        before: Score of the common sentences under the old model.
        after: Score of the same under the new one.
        missing: Sentences of the old reading that are not in the new one.
        added: Sentences of the new reading that were not in the old one.
    """

    problems: tuple[str, ...]
    worse: tuple[Flip, ...]
    better: tuple[Flip, ...]
    confused: tuple[tuple[str, str, int], ...]
    before: Score
    after: Score
    missing: int
    added: int

    @property
    def passes(self) -> bool:
        """Whether the new model may go live."""
        return not self.problems


def score(reads: Iterable[Read], *, out_of_scope: Iterable[str]) -> Score:
    """Count the verdicts of a group."""
    outside = frozenset(out_of_scope)
    counts = Counter(read.verdict(outside) for read in reads)
    return Score(counts.total(), counts[_RIGHT], counts[_CLARIFIED], counts[_WRONG])


def scores_by(reads: Sequence[Read], *, out_of_scope: Iterable[str]) -> dict[str, dict[str, Score]]:
    """Scores by language and by intent: `{"language": {...}, "intent": {...}}`."""
    outside = frozenset(out_of_scope)
    groups: dict[str, dict[str, list[Read]]] = {"language": {}, "intent": {}}
    for read in reads:
        groups["language"].setdefault(read.language, []).append(read)
        groups["intent"].setdefault(read.intent, []).append(read)
    return {
        kind: {name: score(part, out_of_scope=outside) for name, part in sorted(of_kind.items())}
        for kind, of_kind in groups.items()
    }


def compare(
    before: Sequence[Read], after: Sequence[Read], *, out_of_scope: Iterable[str]
) -> Comparison:
    """Refuse the new model when it is worse by more than noise.

    It is refused for any of: flips from right that outnumber those to right beyond chance (over
    all sentences; per language with the bar divided by the number of languages, because more tests
    find more by chance); the same for flips to wrong; more than one point fewer right; one lost
    sentence of a critical intent; a frozen set that is no longer the same.
    """
    outside = frozenset(out_of_scope)
    old = {read.key: read for read in before}
    new = {read.key: read for read in after}
    common = [(old[key], new[key]) for key in old if key in new]
    flips = [(one, other) for one, other in common if one.outcome != other.outcome]
    worse = [_flip(*pair) for pair in flips if _rank(pair[1], outside) > _rank(pair[0], outside)]
    better = [_flip(*pair) for pair in flips if _rank(pair[1], outside) < _rank(pair[0], outside)]
    newly_wrong = Counter(
        (other.intent, other.outcome)
        for one, other in flips
        if other.verdict(outside) == _WRONG and one.verdict(outside) != _WRONG
    )
    confused = sorted(newly_wrong.items(), key=lambda item: (-item[1], item[0]))
    scored = (
        score((one for one, _ in common), out_of_scope=outside),
        score((other for _, other in common), out_of_scope=outside),
    )
    return Comparison(
        problems=tuple(_problems(common, len(old), scored, outside)),
        worse=tuple(worse),
        better=tuple(better),
        confused=tuple((intent, taken, count) for (intent, taken), count in confused),
        before=scored[0],
        after=scored[1],
        missing=len(old) - len(common),
        added=len(new) - len(common),
    )


def chance(worse: int, better: int) -> float:
    """Probability that at least `worse` of all flips go the wrong way when each is a coin's toss.

    One-sided exact McNemar test: only getting worse is asked about.
    """
    flips = worse + better
    ways: int = sum(math.comb(flips, count) for count in range(worse, flips + 1))
    return float(ways / 2**flips)


Pairs = Sequence[tuple[Read, Read]]


def _problems(
    common: Pairs, expected: int, scored: tuple[Score, Score], outside: frozenset[str]
) -> Iterable[str]:
    if len(common) < LEAST_COMMON * expected:
        yield (
            f"only {len(common)} of the baseline's {expected} sentences are in the frozen set now: "
            "the two cannot be compared"
        )
    languages = sorted({one.language for one, _ in common})
    groups: list[tuple[str, Pairs, float]] = [("all languages", common, NOISE)]
    for language in languages:
        own = [pair for pair in common if pair[0].language == language]
        groups.append((f"language {language}", own, NOISE / len(languages)))
    for verdict, loses in ((_RIGHT, True), (_WRONG, False)):
        for name, pairs, bar in groups:
            left, came = _moves(pairs, verdict, outside)
            worse, better = (left, came) if loses else (came, left)
            probability = chance(worse, better)
            if worse > better and probability < bar:
                what = "are no longer right" if loses else "became wrong"
                back = "became right" if loses else "are no longer wrong"
                yield (
                    f"{name}: {worse} sentences {what} and {better} {back} "
                    f"(by chance with probability {probability:.3f}, the bar is {bar:.3f})"
                )
    lost = 100 * (scored[0].right - scored[1].right) / max(scored[0].sentences, 1)
    if lost > MOST_POINTS:
        yield f"{lost:.1f} points fewer sentences are right; {MOST_POINTS:.1f} may go"
    for one, other in common:
        is_lost = one.verdict(outside) == _RIGHT and other.verdict(outside) != _RIGHT
        if one.intent in CRITICAL_INTENTS and is_lost:
            yield f"critical intent {one.intent}: {one.text!r} ({one.language}) is {other.outcome}"


def _moves(pairs: Pairs, verdict: str, outside: frozenset[str]) -> tuple[int, int]:
    """How many sentences left a verdict, and how many came to it."""
    states = [(a.verdict(outside) == verdict, b.verdict(outside) == verdict) for a, b in pairs]
    return states.count((True, False)), states.count((False, True))


def _rank(read: Read, outside: frozenset[str]) -> int:
    return (_RIGHT, _CLARIFIED, _WRONG).index(read.verdict(outside))


def _flip(one: Read, other: Read) -> Flip:
    return Flip(one.language, one.intent, one.text, one.outcome, other.outcome)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A stored reading.

    Attributes:
        made_at: ISO 8601.
        model: Hash of the model that read it.
        inputs: Hash of what the model was trained from.
        policy: Version of handoff.yml, whose thresholds were used.
        reads: Every frozen sentence.
    """

    made_at: str
    model: str
    inputs: str
    policy: str
    reads: tuple[Read, ...]


class BaselineError(ValueError):
    """The stored baseline cannot be read."""


def baseline_to_json(baseline: Baseline, *, out_of_scope: Iterable[str]) -> dict[str, object]:
    """The document that is stored: figures for people, sentences for the comparison."""
    outside = frozenset(out_of_scope)
    groups = scores_by(baseline.reads, out_of_scope=outside)
    return {
        "made_at": baseline.made_at,
        "model": baseline.model,
        "inputs": baseline.inputs,
        "policy": baseline.policy,
        "all": _figures(score(baseline.reads, out_of_scope=outside)),
        "by_language": {name: _figures(item) for name, item in groups["language"].items()},
        "by_intent": {name: _figures(item) for name, item in groups["intent"].items()},
        "sentences": {read.key: read.outcome for read in baseline.reads},
    }


def baseline_from_json(document: Mapping[str, object]) -> Baseline:
    """The baseline that a stored document describes.

    Raises:
        BaselineError: naming what is missing or wrong.
    """
    sentences = document.get("sentences")
    if not isinstance(sentences, Mapping):
        message = "sentences: expected an object of sentence -> outcome"
        raise BaselineError(message)
    reads = []
    for key, outcome in sentences.items():
        parts = str(key).split("|", 2)
        if len(parts) != 3 or not isinstance(outcome, str):  # noqa: PLR2004 - language|intent|text
            message = f"sentences: expected 'language|intent|text', got {key!r}"
            raise BaselineError(message)
        reads.append(Read(parts[0], parts[1], parts[2], outcome))
    facts = [str(document.get(name, "")) for name in ("made_at", "model", "inputs", "policy")]
    return Baseline(facts[0], facts[1], facts[2], facts[3], tuple(reads))


def _figures(item: Score) -> dict[str, float | int]:
    return {
        "sentences": item.sentences,
        "right": item.right,
        "clarified": item.clarified,
        "wrong": item.wrong,
        "right_share": round(item.right / max(item.sentences, 1), 4),
    }
