"""A threshold tried at many values in one pass over the stored turns.

A threshold decides only how well a turn was understood, and as it grows that changes at most once.
So a turn is looked at under the lowest and the highest value, and in between only if they differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from handoff.conditions import CONFIDENT
from handoff.policy import CLARIFY, HANDOFF, STAY, Confidence, HandoffPolicy, Threshold
from handoff.quick import QuickPolicy, QuickTurn, Verdict

DEFAULT_STEP = Decimal("0.05")
MAX_VALUES = 101  # from 0 to 1 by 0.01; more points than pixels help nobody

_FORM = re.compile(
    r"(?P<name>[a-z_]+)(?:\.(?P<language>[a-z]{2,3}))?"
    r"=(?P<low>\d*\.?\d+)\.\.(?P<high>\d*\.?\d+)(?::(?P<step>\d*\.?\d+))?"
)
_EXPECTED = "NAME=LOW..HIGH or NAME=LOW..HIGH:STEP, for example confidence=0.3..0.8:0.05"
_PER_LANGUAGE = ("confidence", "margin")
NAMES = (*_PER_LANGUAGE, "out_of_scope", "small_talk", "in_scope")
"""What can be swept; the first two also for one language, as `confidence.pt`."""


class SweepError(ValueError):
    """The sweep asked for makes no sense; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One threshold and the values to try.

    Attributes:
        name: One of `NAMES`.
        language: Only for this language; None: for all, also those with thresholds of their own.
        values: Ascending, the present value among them.
        present: The value in the policy; None when it has none (`in_scope` may be left out).
    """

    name: str
    language: str | None
    values: tuple[float, ...]
    present: float | None

    @property
    def label(self) -> str:
        """The name as it was asked for."""
        return self.name if self.language is None else f"{self.name}.{self.language}"

    def over(self, quick: QuickPolicy) -> Sweeper:
        """Ready to count."""
        return Sweeper(self, quick)

    def confidence(self, base: Confidence, value: float) -> Confidence:
        """The thresholds with this one at a value."""
        if self.name not in _PER_LANGUAGE:
            return _with_one(base, self.name, value)
        change = _CHANGES[self.name]
        if self.language is not None:
            own = base.by_language.get(self.language, base.default)
            return replace(
                base, by_language={**base.by_language, self.language: change(own, value)}
            )
        return replace(
            base,
            default=change(base.default, value),
            by_language={name: change(one, value) for name, one in base.by_language.items()},
        )


_CHANGES: dict[str, Callable[[Threshold, float], Threshold]] = {
    "confidence": lambda threshold, value: replace(threshold, confident=value),
    "margin": lambda threshold, value: replace(threshold, margin=value),
}


def _with_one(base: Confidence, name: str, value: float) -> Confidence:
    if name == "out_of_scope":
        return replace(base, out_of_scope=value)
    if name == "small_talk":
        return replace(base, small_talk=value)
    return replace(base, in_scope=value)


def parse_sweep(text: str, policy: HandoffPolicy) -> Sweep:
    """The sweep that a command line asks for.

    Args:
        text: For example "confidence=0.3..0.8:0.05"; without a step it is 0.05.
        policy: Gives the present value.

    Raises:
        SweepError: It cannot be read.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        message = f"got {text!r}; expected {_EXPECTED}"
        raise SweepError(message)
    name, language = found["name"], found["language"]
    if name not in NAMES or (language is not None and name not in _PER_LANGUAGE):
        known = ", ".join([*NAMES, *(f"{one}.pt" for one in _PER_LANGUAGE)])
        message = f"cannot sweep {text.partition('=')[0]!r}; expected one of {known}"
        raise SweepError(message)
    low, high = Decimal(found["low"]), Decimal(found["high"])
    step = DEFAULT_STEP if found["step"] is None else Decimal(found["step"])
    present = _present(policy.confidence, name, language)
    return Sweep(name, language, _values(low, high, step, present=present), present)


def _values(
    low: Decimal, high: Decimal, step: Decimal, *, present: float | None
) -> tuple[float, ...]:
    if not (low <= high <= 1) or step <= 0:
        message = f"got {low}..{high}:{step}; expected 0 <= LOW <= HIGH <= 1 and a STEP above 0"
        raise SweepError(message)
    count = int((high - low) / step) + 1
    if count > MAX_VALUES:
        message = f"{count} values; expected at most {MAX_VALUES}: take a larger STEP"
        raise SweepError(message)
    values = {float(low + step * number) for number in range(count)}
    if present is not None:
        values.add(present)
    return tuple(sorted(values))


def _present(confidence: Confidence, name: str, language: str | None) -> float | None:
    if name not in _PER_LANGUAGE:
        value: float | None = getattr(confidence, name)
        return value
    threshold = confidence.default
    if language is not None:
        threshold = confidence.by_language.get(language, confidence.default)
    return threshold.confident if name == "confidence" else threshold.margin


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """The outcomes at one value.

    Attributes:
        value: The threshold.
        outcomes: Outcome to turns.
        doubt: Sum of 1 - confidence over believed answers, in millionths: wrong answers to expect.
        conversations: Conversations with at least one handoff.
    """

    value: float
    outcomes: dict[str, int]
    doubt: int
    conversations: int


@dataclass(frozen=True, slots=True)
class SweepTally:
    """The points of a sweep, in order."""

    sweep: Sweep
    points: tuple[SweepPoint, ...]

    def plus(self, other: SweepTally) -> SweepTally:
        """With the counts of other conversations."""
        points = tuple(
            SweepPoint(
                value=own.value,
                outcomes={name: own.outcomes[name] + two.outcomes[name] for name in own.outcomes},
                doubt=own.doubt + two.doubt,
                conversations=own.conversations + two.conversations,
            )
            for own, two in zip(self.points, other.points, strict=True)
        )
        return SweepTally(self.sweep, points)


@dataclass(slots=True)
class _Step:
    """Turns whose outcome changes at the same place in the same way."""

    turns: int = 0
    doubt: int = 0


@dataclass(slots=True)
class Sweeper:
    """Counts turns under every value of a sweep."""

    sweep: Sweep
    quick: QuickPolicy
    _variants: tuple[QuickPolicy, ...] = ()
    _steps: dict[tuple[int, Verdict, Verdict], _Step] = field(default_factory=dict)
    _handed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        base = self.quick.policy.confidence
        self._variants = tuple(
            self.quick.variant(self.sweep.confidence(base, value)) for value in self.sweep.values
        )

    def add(self, conversation_id: str, turn: QuickTurn) -> None:
        """Count one turn."""
        variants = self._variants
        lowest = variants[0].understanding(turn)
        highest = variants[-1].understanding(turn)
        low = high = variants[0].decide_as(turn, lowest)
        place = len(variants)
        if highest != lowest:
            high = variants[0].decide_as(turn, highest)
            place = self._switch(turn, lowest)
        step = self._steps.get((place, low, high))
        if step is None:
            step = self._steps[place, low, high] = _Step()
        step.turns += 1
        step.doubt += round((1 - turn.confidence) * 1_000_000)
        mask = self._mask(place, low, high)
        if mask:
            self._handed[conversation_id] = self._handed.get(conversation_id, 0) | mask

    def _switch(self, turn: QuickTurn, lowest: str) -> int:
        """The first value under which the turn is understood otherwise than at the lowest."""
        first, last = 0, len(self._variants) - 1
        while last - first > 1:
            middle = (first + last) // 2
            if self._variants[middle].understanding(turn) == lowest:
                first = middle
            else:
                last = middle
        return last

    def _mask(self, place: int, low: Verdict, high: Verdict) -> int:
        """One bit a value under which this turn goes to a person."""
        below = (1 << place) - 1
        every = (1 << len(self._variants)) - 1
        mask = below if low.outcome == HANDOFF else 0
        return mask | (every ^ below if high.outcome == HANDOFF else 0)

    def finish(self) -> SweepTally:
        """The points so far."""
        masks = Counter(self._handed.values())
        points = []
        for number, value in enumerate(self.sweep.values):
            outcomes = dict.fromkeys((STAY, CLARIFY, HANDOFF), 0)
            doubt = 0
            for (place, low, high), step in self._steps.items():
                verdict = low if number < place else high
                outcomes[verdict.outcome] += step.turns
                if verdict.outcome == STAY and verdict.understanding == CONFIDENT:
                    doubt += step.doubt
            handed = sum(count for mask, count in masks.items() if mask >> number & 1)
            points.append(SweepPoint(value, outcomes, doubt, handed))
        return SweepTally(self.sweep, tuple(points))


def best_of(costs: Sequence[float]) -> int:
    """Place of the lowest cost; the first of equal ones."""
    return min(range(len(costs)), key=costs.__getitem__)
