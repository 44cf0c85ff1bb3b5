"""What another policy would have decided on the stored turns, beside what was decided.

Snapshots hold all that a rule may know, so the answer is exact for each turn on its own. What it
cannot know is how a conversation would have gone on: the failures and questions counted in a
snapshot are those of the policy that was in force. So the first turn of a conversation on which the
policies disagree is exact, and the turns after it are counted apart ("later turns").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from handoff.backtest_sweep import Sweep, SweepTally
from handoff.conditions import CONFIDENT
from handoff.policy import HANDOFF, STAY, HandoffPolicy
from handoff.quick import QuickPolicy, QuickTurn, Verdict
from handoff.snapshot import SnapshotError

UNKNOWN = "unknown"
NO_INTENT = "(none)"
DOUBT_UNITS = 1_000_000
"""Doubt is summed in whole millionths, so that the sum does not depend on the order of turns."""

_UNREADABLE_SHOWN = 5


class Stored(NamedTuple):
    """What was decided: the columns of a decision record. `level` and `queue` only of a handoff."""

    outcome: str
    rule: str
    reason: str
    level: str | None
    queue: str | None
    understanding: str | None


class StoredTurn(NamedTuple):
    """One decision record, as the backtest reads it.

    Attributes:
        conversation_id: Its conversation.
        turn_id: The turn.
        at: When it was decided, ISO 8601.
        version: Version of the policy that decided.
        decided: What it decided.
        snapshot: On what, as `ConversationSnapshot.to_json` gave it.
    """

    conversation_id: str
    turn_id: str
    at: str
    version: str
    decided: Stored
    snapshot: Mapping[str, Any]


class Cell(NamedTuple):
    """Turns that are alike in everything that is reported."""

    before: Stored
    after: Verdict
    version: str
    language: str
    hour: int
    weekday: int
    load_before: str
    load_after: str


@dataclass(frozen=True, slots=True)
class Flip:
    """The first turn of a conversation on which the stored decision and the policy disagree."""

    at: str
    conversation_id: str
    turn_id: str
    intent: str
    before: str
    after: str
    rule_before: str
    rule_after: str
    queue_before: str | None
    queue_after: str | None


@dataclass(slots=True)
class Tally:
    """Counts over turns; of disjoint conversations they can be added.

    Attributes:
        cells: Cell to [turns, doubt, later turns, later doubt]. Doubt: the sum of 1 - confidence,
            in millionths. Later: after the first changed turn of their conversation.
        conversations: How many there are.
        handed_before: Conversations with at least one stored handoff.
        handed_after: The same under the policy.
        flipped: Conversations with at least one changed turn.
        flips: The first of them, in order of time.
        reviewed: (agents' verdict, outcome before, outcome after) to turns.
        unreadable: Records that are no snapshots; not counted anywhere else.
        unreadable_turns: Some of them.
        first: Time of the first turn, "" when there is none.
        last: Time of the last one.
        sweep: Counts of the sweep, when there is one.
    """

    cells: dict[Cell, list[int]] = field(default_factory=dict)
    conversations: int = 0
    handed_before: int = 0
    handed_after: int = 0
    flipped: int = 0
    flips: list[Flip] = field(default_factory=list)
    reviewed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    unreadable: int = 0
    unreadable_turns: list[str] = field(default_factory=list)
    first: str = ""
    last: str = ""
    sweep: SweepTally | None = None

    def add(self, other: Tally, *, limit_flips: int) -> None:
        """Take in the counts of other conversations."""
        for cell, counts in other.cells.items():
            own = self.cells.setdefault(cell, [0, 0, 0, 0])
            for place, count in enumerate(counts):
                own[place] += count
        self.conversations += other.conversations
        self.handed_before += other.handed_before
        self.handed_after += other.handed_after
        self.flipped += other.flipped
        ordered = sorted([*self.flips, *other.flips], key=lambda flip: (flip.at, flip.turn_id))
        self.flips = ordered[:limit_flips]
        self.reviewed += other.reviewed
        self.unreadable += other.unreadable
        self.unreadable_turns = [*self.unreadable_turns, *other.unreadable_turns][
            :_UNREADABLE_SHOWN
        ]
        self.first = min(filter(None, (self.first, other.first)), default="")
        self.last = max(self.last, other.last)
        if other.sweep is not None:
            self.sweep = other.sweep if self.sweep is None else self.sweep.plus(other.sweep)


_HANDED_BEFORE, _HANDED_AFTER, _FLIPPED = 1, 2, 4


class Backtest:
    """Decides stored turns under a policy and counts.

    Args:
        policy: The new policy.
        limit_flips: Keep so many flips.
        reviews: Turn to what agents said of its decision.
        sweep: Thresholds to try beside.
    """

    def __init__(
        self,
        policy: HandoffPolicy,
        *,
        limit_flips: int = 20,
        reviews: Mapping[str, str] | None = None,
        sweep: Sweep | None = None,
    ) -> None:
        self._quick = QuickPolicy(policy)
        self._zone = ZoneInfo(policy.calendar_of(policy.defaults.queue).time_zone)
        self._limit = limit_flips
        self._reviews = reviews or {}
        self._conversations: dict[str, int] = {}
        self._sweep = None if sweep is None else sweep.over(self._quick)
        self.tally = Tally()

    def add(self, stored: StoredTurn) -> None:
        """Count one turn; those of a conversation must come in their order."""
        try:
            turn = QuickTurn(stored.snapshot)
            after = self._quick.decide(turn)
            if self._sweep is not None:
                self._sweep.add(stored.conversation_id, turn)
        except (SnapshotError, KeyError, TypeError, ValueError, AttributeError):
            self._unreadable(stored)
            return
        before = stored.decided
        flips = (before.outcome, before.queue) != (after.outcome, after.queue)
        flags = self._conversations.get(stored.conversation_id, 0)
        is_later = flags & _FLIPPED
        self._note(stored, turn, after, flags=flags, flips=flips)
        counts = self._cell(stored, turn, after)
        doubt = round((1 - turn.confidence) * DOUBT_UNITS)
        counts[0] += 1
        counts[1] += doubt
        if is_later:
            counts[2] += 1
            counts[3] += doubt
        if self._reviews:
            self._review(stored, after)

    def finish(self) -> Tally:
        """The counts so far."""
        tally = self.tally
        flags = self._conversations.values()
        tally.conversations = len(flags)
        tally.handed_before = sum(1 for flag in flags if flag & _HANDED_BEFORE)
        tally.handed_after = sum(1 for flag in flags if flag & _HANDED_AFTER)
        tally.flipped = sum(1 for flag in flags if flag & _FLIPPED)
        if self._sweep is not None:
            tally.sweep = self._sweep.finish()
        return tally

    def _cell(self, stored: StoredTurn, turn: QuickTurn, after: Verdict) -> list[int]:
        local = turn.now.astimezone(self._zone)
        cell = Cell(
            before=stored.decided,
            after=after,
            version=stored.version,
            language=turn.language,
            hour=local.hour,
            weekday=local.weekday(),
            load_before=load_of(turn, stored.decided.queue),
            load_after=load_of(turn, after.queue),
        )
        cells = self.tally.cells
        counts = cells.get(cell)
        if counts is None:
            counts = cells[cell] = [0, 0, 0, 0]
        return counts

    def _note(
        self, stored: StoredTurn, turn: QuickTurn, after: Verdict, *, flags: int, flips: bool
    ) -> None:
        """Remember the turn's conversation, and its first changed turn."""
        tally = self.tally
        if not tally.first:
            tally.first = stored.at
        tally.last = max(tally.last, stored.at)
        before = stored.decided
        if flips and not flags & _FLIPPED and len(tally.flips) < self._limit:
            tally.flips.append(
                Flip(
                    at=stored.at,
                    conversation_id=stored.conversation_id,
                    turn_id=stored.turn_id,
                    intent=turn.top_intent or NO_INTENT,
                    before=before.outcome,
                    after=after.outcome,
                    rule_before=before.rule,
                    rule_after=after.rule,
                    queue_before=before.queue,
                    queue_after=after.queue,
                )
            )
        if before.outcome == HANDOFF:
            flags |= _HANDED_BEFORE
        if after.outcome == HANDOFF:
            flags |= _HANDED_AFTER
        self._conversations[stored.conversation_id] = flags | (_FLIPPED if flips else 0)

    def _review(self, stored: StoredTurn, after: Verdict) -> None:
        said = self._reviews.get(stored.turn_id)
        if said is not None:
            self.tally.reviewed[said, stored.decided.outcome, after.outcome] += 1

    def _unreadable(self, stored: StoredTurn) -> None:
        self.tally.unreadable += 1
        if len(self.tally.unreadable_turns) < _UNREADABLE_SHOWN:
            self.tally.unreadable_turns.append(stored.turn_id)


def compare(
    turns: Iterable[StoredTurn],
    policy: HandoffPolicy,
    *,
    limit_flips: int = 20,
    reviews: Mapping[str, str] | None = None,
    sweep: Sweep | None = None,
) -> Tally:
    """The backtest of turns at hand, in their order."""
    backtest = Backtest(policy, limit_flips=limit_flips, reviews=reviews, sweep=sweep)
    for turn in turns:
        backtest.add(turn)
    return backtest.finish()


LOADS: Sequence[str] = ("0", "1", "2-4", "5+", UNKNOWN)
"""Bands of people who were available for a queue; `UNKNOWN` in records that do not say."""

_FEW, _SEVERAL = 2, 5


def load_of(turn: QuickTurn, queue: str | None) -> str:
    """The band of people available for a handoff's queue; "" when there is no handoff."""
    if queue is None:
        return ""
    count = (turn.get("agents_available") or {}).get(queue)
    if count is None:
        return UNKNOWN
    if count < _FEW:
        return "1" if count else "0"
    return "2-4" if count < _SEVERAL else "5+"


def is_guess(outcome: str, understanding: str | None) -> bool:
    """Whether the bot answered an intent it believed in: such an answer can be wrong."""
    return outcome == STAY and understanding == CONFIDENT
