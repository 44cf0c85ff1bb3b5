"""Over-handoff and under-handoff out of agents' marks, with how sure the numbers are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

_Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Mark:
    """One agent's mark on one turn.

    Attributes:
        turn: Id of the turn.
        outcome: What the rules decided: `stay`, `clarify`, `handoff`.
        verdict: `right`, `wrong`, `late`.
        reason: Reason code of the decision.
        intent: The model's best intent.
        language: Of the customer.
        at: When it was made.
    """

    turn: str
    outcome: str
    verdict: str
    reason: str | None
    intent: str | None
    language: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % Wilson interval; `share` is None while nothing was reviewed."""

    found: int
    reviewed: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """What the marks say of one group of turns.

    Attributes:
        over_handoff: Reviewed handoffs that were needless.
        late_handoff: Reviewed handoffs that came too late.
        under_handoff: Reviewed turns that the bot kept although a person was needed.
    """

    over_handoff: Rate
    late_handoff: Rate
    under_handoff: Rate


@dataclass(frozen=True, slots=True)
class Metrics:
    """The rates over all reviewed turns, and by reason, intent and language.

    Attributes:
        disagreements: Turns that agents marked differently; the majority counts.
    """

    marks: int
    turns: int
    disagreements: int
    total: Rates
    by_reason: dict[str, Rates]
    by_intent: dict[str, Rates]
    by_language: dict[str, Rates]


def wilson(found: int, reviewed: int) -> Rate:
    """The share and its 95 % interval (Wilson 1927): also honest for few reviews and for 0 %."""
    if reviewed == 0:
        return Rate(0, 0, None, None, None)
    share = found / reviewed
    square = _Z * _Z
    middle = (share + square / (2 * reviewed)) / (1 + square / reviewed)
    spread = math.sqrt(share * (1 - share) / reviewed + square / (4 * reviewed * reviewed))
    half = _Z * spread / (1 + square / reviewed)
    return Rate(found, reviewed, share, max(middle - half, 0.0), min(middle + half, 1.0))


def metrics(marks: Iterable[Mark]) -> Metrics:
    """Count each turn once: the verdict of most agents, of equals the newest."""
    by_turn: dict[str, list[Mark]] = {}
    count = 0
    for mark in marks:
        by_turn.setdefault(mark.turn, []).append(mark)
        count += 1
    turns = [_settled(of_turn) for of_turn in by_turn.values()]
    split = sum(len({mark.verdict for mark in of_turn}) > 1 for of_turn in by_turn.values())
    return Metrics(
        marks=count,
        turns=len(turns),
        disagreements=split,
        total=_rates(turns),
        by_reason=_grouped(turns, lambda mark: mark.reason or "none"),
        by_intent=_grouped(turns, lambda mark: mark.intent or "none"),
        by_language=_grouped(turns, lambda mark: mark.language),
    )


def _settled(marks: list[Mark]) -> Mark:
    votes = Counter(mark.verdict for mark in marks)
    return max(marks, key=lambda mark: (votes[mark.verdict], mark.at))


def _grouped(turns: list[Mark], group: Callable[[Mark], str]) -> dict[str, Rates]:
    names = sorted({group(mark) for mark in turns})
    return {name: _rates([mark for mark in turns if group(mark) == name]) for name in names}


def _rates(turns: list[Mark]) -> Rates:
    given = [mark.verdict for mark in turns if mark.outcome == "handoff"]
    kept = [mark.verdict for mark in turns if mark.outcome != "handoff"]
    return Rates(
        over_handoff=wilson(given.count("wrong"), len(given)),
        late_handoff=wilson(given.count("late"), len(given)),
        under_handoff=wilson(kept.count("late"), len(kept)),
    )
