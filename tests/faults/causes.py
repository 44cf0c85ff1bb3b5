"""Why a notice was taken twice, and why it is a dead letter, by the provider's own log. Pure.

A doubling that nothing explains is a fault of ours, however few there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.faults.ledger import TAKEN, Call, Doubling, Note, Row

RECORDED_WITHIN_SECONDS = 15.0
"""A worker that dies so long after an answer had the time to write it down: milliseconds as a rule,
more while the database restarts."""

NOTICED_WITHIN_SECONDS = 2.0
"""A status that was accepted so shortly before a repeat cannot stop it any more."""

MAX_LOST_WORKERS = 3
UNKNOWN_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Stop:
    """A process that was killed (`until` is infinite) or stood still; seconds since 1970."""

    pid: int
    at: float
    until: float = float("inf")


@dataclass(frozen=True, slots=True)
class Story:
    """What happened besides: what was confirmed and told, and who was stopped."""

    notes: Sequence[Note]
    stops: Sequence[Stop]

    def doublings(self, calls: Sequence[Call]) -> list[Doubling]:
        """Every repeat of what had been taken, with its cause; an empty one: there is none."""
        taken = defaultdict(list)
        for call in sorted(calls, key=lambda one: one.at):
            if call.did == TAKEN:
                taken[call.key].append(call)
        confirmed = {(one.key, one.times): one.at for one in self.notes if one.what == "answered"}
        told: dict[str, float] = {}
        for one in self.notes:
            if one.what == "told":
                told[one.key] = min(one.at, told.get(one.key, one.at))
        return [
            Doubling(again.channel, again.key, self._why(first, again, confirmed, told))
            for found in taken.values()
            for first, again in pairwise(found)
        ]

    def _why(
        self,
        first: Call,
        again: Call,
        confirmed: dict[tuple[str, int], float],
        told: dict[str, float],
    ) -> str:
        if told.get(first.key, again.at) < again.at - NOTICED_WITHIN_SECONDS:
            return ""  # we had been told, and sent it again
        if confirmed.get((first.key, first.times), again.at) >= again.at:
            return "answer kept back"
        for stop in self.stops:
            lived = min(stop.until, again.at) - first.at
            soon = stop.at - first.at <= RECORDED_WITHIN_SECONDS
            # Nobody's: its process had ended before the provider came to look at the connection.
            same = first.pid in {stop.pid, 0}
            if same and stop.at <= again.at and soon and lived >= 0:
                return "worker died" if stop.until > again.at else "worker stood still"
        return ""

    def inexplicable(self, rows: Sequence[Row], calls: Sequence[Call]) -> tuple[str, ...]:
        """Reasons of dead letters that the log does not bear out, with their keys."""
        by_key = defaultdict(list)
        for call in calls:
            by_key[call.key].append(call)
        confirmed = {(one.key, one.times) for one in self.notes if one.what == "answered"}
        return tuple(
            f"{row.dead} {row.key}"
            for row in rows
            if row.dead and not self._bears_out(row, by_key[row.told_by], confirmed)
        )

    def _bears_out(
        self, row: Row, calls: Sequence[Call], confirmed: Collection[tuple[str, int]]
    ) -> bool:
        match row.dead:
            case "permanent":
                return any(call.did == "error" for call in calls)
            case "poison":
                deaths = {stop.pid for stop in self.stops}
                return row.lost_workers >= MAX_LOST_WORKERS <= len(deaths)
            case "unknown_outcome":
                stopped = {stop.pid for stop in self.stops}
                unclear = [
                    call
                    for call in calls
                    if (call.key, call.times) not in confirmed or call.pid in stopped
                ]
                # A worker may die between its claim and its request: then nobody was asked.
                return row.once and (bool(unclear) or not calls)
            case "attempts_exhausted":
                return len(calls) >= UNKNOWN_ATTEMPTS
            case _:
                return False
