"""What decisions cost, estimated: enough to compare two policies, not to plan a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handoff.backtest import DOUBT_UNITS, Tally, is_guess
from handoff.backtest_sweep import SweepPoint
from handoff.policy import CLARIFY, HANDOFF

NEEDED, NEEDLESS, LATE = "right", "wrong", "late"
"""What agents say of a decision: rightly handed over, without need, or later than it should."""

FORMULA = (
    "handoffs x {handoff:g} + clarifying questions x {clarify:g} + expected wrong answers x "
    "{wrong:g} + needed handoffs left out x {missed:g}"
)


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices in a unit of your own; only their proportions matter.

    Attributes:
        handoff: A conversation with a person: some six minutes of work.
        wrong: An answer to another question than the one asked: the customer writes again, or
            believes it. Less than a person's time, as most mistakes are noticed and mended.
        clarify: A question back: two messages, half a minute of the customer's patience.
        missed: A handoff that was needed and is left out: the conversation comes back, later and
            angrier, and is then worked on anyway.
    """

    handoff: float = 8.0
    wrong: float = 3.0
    clarify: float = 0.35
    missed: float = 12.0

    @property
    def formula(self) -> str:
        """The estimate in words."""
        return FORMULA.format(
            handoff=self.handoff, clarify=self.clarify, wrong=self.wrong, missed=self.missed
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A policy's cost and what it is made of.

    Attributes:
        handoffs: How many.
        clarifications: How many questions back.
        wrong_answers: To expect: the sum of 1 - confidence over answers that the bot believed in.
        missed: Needed handoffs left out, judged by agents' reviews; 0 without reviews.
        total: By the formula.
    """

    handoffs: int
    clarifications: int
    wrong_answers: float
    missed: float
    total: float


def estimate(tally: Tally, costs: Costs) -> Mapping[str, Estimate]:
    """The cost "before" and "after", over the turns up to each conversation's first change.

    The turns after it are left out on both sides: they would have been others.
    """
    missed = _left_out(tally) * needed_share(tally)
    counted = {"before": [0, 0, 0], "after": [0, 0, 0]}
    for cell, (turns, doubt, later, later_doubt) in tally.cells.items():
        exact, exact_doubt = turns - later, doubt - later_doubt
        for side, decided in (("before", cell.before), ("after", cell.after)):
            sums = counted[side]
            if decided.outcome == HANDOFF:
                sums[0] += exact
            elif decided.outcome == CLARIFY:
                sums[1] += exact
            elif is_guess(decided.outcome, decided.understanding):
                sums[2] += exact_doubt
    return {
        side: _estimate(sums, costs, missed=missed if side == "after" else 0.0)
        for side, sums in counted.items()
    }


def needed_share(tally: Tally) -> float:
    """Share of the reviewed handoffs which the new policy leaves out that agents found needed."""
    said = {
        verdict: sum(
            turns
            for (one, before, after), turns in tally.reviewed.items()
            if one == verdict and before == HANDOFF and after != HANDOFF
        )
        for verdict in (NEEDED, NEEDLESS, LATE)
    }
    total = sum(said.values())
    return (said[NEEDED] + said[LATE]) / total if total else 0.0


def point_cost(point: SweepPoint, costs: Costs) -> float:
    """The cost of one value of a sweep, over all turns."""
    sums = [point.outcomes[HANDOFF], point.outcomes[CLARIFY], point.doubt]
    return _estimate(sums, costs, missed=0.0).total


def _left_out(tally: Tally) -> int:
    return sum(
        turns - later
        for cell, (turns, _, later, _) in tally.cells.items()
        if cell.before.outcome == HANDOFF and cell.after.outcome != HANDOFF
    )


def _estimate(sums: list[int], costs: Costs, *, missed: float) -> Estimate:
    handoffs, clarifications, doubt = sums
    wrong = doubt / DOUBT_UNITS
    return Estimate(
        handoffs=handoffs,
        clarifications=clarifications,
        wrong_answers=round(wrong, 2),
        missed=round(missed, 2),
        total=round(
            handoffs * costs.handoff
            + clarifications * costs.clarify
            + wrong * costs.wrong
            + missed * costs.missed,
            2,
        ),
    )
