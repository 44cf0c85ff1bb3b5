"""What another policy would have decided on recorded turns.

Snapshots hold all that a rule may know, so the answer is exact for each turn on its own. What it
cannot know is how the conversation would have gone on: the failures and questions counted in a
snapshot are those of the policy that was in force. Read "first handoff" figures with that in mind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from handoff.decide import decide
from handoff.decision import Decision
from handoff.policy import OUTCOMES, HandoffPolicy
from handoff.snapshot import ConversationSnapshot

NO_INTENT = "(none)"


@dataclass(frozen=True, slots=True)
class Flip:
    """One turn on which the two policies disagree in outcome or destination."""

    turn_id: str
    conversation_id: str
    intent: str
    before: str
    after: str
    rule_before: str
    rule_after: str
    queue_before: str | None
    queue_after: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What one policy decided on all turns.

    Attributes:
        policy_version: The policy.
        outcomes: Outcome to number of turns.
        rules: Rule to number of turns it won.
        queues: Queue to number of handoffs.
        handoffs_by_intent: Best intent to number of handoffs.
        handoffs_to_closed_queues: Handoffs that had to wait for an opening.
        conversations_handed_off: Conversations with at least one handoff.
    """

    policy_version: str
    outcomes: Mapping[str, int]
    rules: Mapping[str, int]
    queues: Mapping[str, int]
    handoffs_by_intent: Mapping[str, int]
    handoffs_to_closed_queues: int
    conversations_handed_off: int


@dataclass(frozen=True, slots=True)
class Backtest:
    """Two policies on the same turns.

    Attributes:
        turns: How many were compared.
        conversations: How many conversations they belong to.
        before: The first policy's decisions.
        after: The second one's.
        flips: Turns they disagree on, in the order given.
    """

    turns: int
    conversations: int
    before: Tally
    after: Tally
    flips: tuple[Flip, ...]

    def to_json(self) -> dict[str, Any]:
        """The comparison in JSON types."""
        return {**asdict(self), "flips": [asdict(flip) for flip in self.flips]}


def compare(
    snapshots: Iterable[ConversationSnapshot],
    *,
    before: HandoffPolicy,
    after: HandoffPolicy,
) -> Backtest:
    """Decide every recorded turn under both policies.

    Two policies with the same version differ in nothing but, possibly, their holidays.
    """
    turns = tuple(snapshots)
    decided = [(turn, decide(turn, before), decide(turn, after)) for turn in turns]
    return Backtest(
        turns=len(turns),
        conversations=len({turn.conversation_id for turn in turns}),
        before=_tally(before, [(turn, old) for turn, old, _ in decided]),
        after=_tally(after, [(turn, new) for turn, _, new in decided]),
        flips=tuple(
            _flip(turn, old, new)
            for turn, old, new in decided
            if (old.outcome, old.queue) != (new.outcome, new.queue)
        ),
    )


def _tally(
    policy: HandoffPolicy,
    decided: list[tuple[ConversationSnapshot, Decision]],
) -> Tally:
    handoffs = [(turn, decision) for turn, decision in decided if decision.is_handoff]
    counted = Counter(decision.outcome for _, decision in decided)
    return Tally(
        policy_version=policy.version,
        outcomes={outcome: counted[outcome] for outcome in OUTCOMES},
        rules=_counts(decision.rule for _, decision in decided),
        queues=_counts(decision.queue or "" for _, decision in handoffs),
        handoffs_by_intent=_counts(turn.top_intent or NO_INTENT for turn, _ in handoffs),
        handoffs_to_closed_queues=sum(not decision.hours_open for _, decision in handoffs),
        conversations_handed_off=len({turn.conversation_id for turn, _ in handoffs}),
    )


def _counts(names: Iterable[str]) -> dict[str, int]:
    """Most frequent first; equal ones by name, so that two runs print the same."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _flip(turn: ConversationSnapshot, old: Decision, new: Decision) -> Flip:
    return Flip(
        turn_id=turn.turn_id,
        conversation_id=turn.conversation_id,
        intent=turn.top_intent or NO_INTENT,
        before=old.outcome,
        after=new.outcome,
        rule_before=old.rule,
        rule_after=new.rule,
        queue_before=old.queue,
        queue_after=new.queue,
    )
