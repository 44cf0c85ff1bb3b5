"""The outcome of a decision with its whole evidence, and its JSON form for the decision record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from handoff.policy import HANDOFF


class DecisionError(ValueError):
    """A stored decision document cannot be read; names the key."""


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """One condition of a rule: what was seen, what was wanted.

    Attributes:
        alternative: Which alternative of the rule it belongs to, from 0.
        fact: The condition's key.
        seen: The value seen, in words.
        wanted: What would have fulfilled it, in words.
        met: Whether it was fulfilled.
    """

    alternative: int
    fact: str
    seen: str
    wanted: str
    met: bool


@dataclass(frozen=True, slots=True)
class RuleEvaluation:
    """One rule on one turn; a non-match explains itself by its conditions that were not met."""

    rule: str
    outcome: str
    matched: bool
    conditions: tuple[ConditionResult, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens on a turn, and the evidence.

    Attributes:
        turn_id: The turn decided on.
        decided_at: The snapshot's `now`: the customer's message time.
        outcome: "stay", "clarify" or "handoff".
        rule: Id of the rule that won.
        rule_version: "rule@policyversion".
        policy: Name of the policy.
        policy_version: Its version.
        reason: Reason code, one of `handoff.policy.REASONS`.
        understanding: How well the turn was understood, one of `conditions.UNDERSTANDINGS`.
        counts_as_failure: The turn was not understood: raise `failures` by one; else set it to 0.
        message_key: Key of the text for the customer; None: the bot's ordinary answer.
        level: N1, N2 or N3; this and the following up to `needed_by` only for a handoff.
        queue: Key of the target queue.
        priority: low, normal, high or urgent.
        severity: S1 to S4.
        skills: What the answering agent needs.
        sla_target_minutes: Target for a person's first answer.
        needed_by: The rule that asked for the person, when the winning one only re-labelled it
            (outside business hours).
        hours_open: Whether the target queue (stay, clarify: the default queue) works now.
        expected_opening: When it opens, UTC, if it is closed; None if open or never.
        calendar: "name@version" of the calendar that was asked.
        options: Intents to offer, best first, when the outcome is "clarify".
        evaluations: Every rule in order, the built-in ones last.
        expected_wait_minutes: Until a person answers, as the customer is told: the rule's, else the
            queue's, else the target. None when nobody takes over, and in old records.
    """

    turn_id: str
    decided_at: datetime
    outcome: str
    rule: str
    rule_version: str
    policy: str
    policy_version: str
    reason: str
    understanding: str
    counts_as_failure: bool
    message_key: str | None
    level: str | None
    queue: str | None
    priority: str | None
    severity: str | None
    skills: tuple[str, ...]
    sla_target_minutes: int | None
    needed_by: str | None
    hours_open: bool
    expected_opening: datetime | None
    calendar: str
    options: tuple[str, ...]
    evaluations: tuple[RuleEvaluation, ...]
    expected_wait_minutes: int | None = None

    @property
    def is_handoff(self) -> bool:
        """Whether a person takes over."""
        return self.outcome == HANDOFF

    @property
    def suppressed(self) -> tuple[str, ...]:
        """Rules that matched too but stand below the winner, in order."""
        return tuple(
            item.rule for item in self.evaluations if item.matched and item.rule != self.rule
        )

    def to_json(self) -> dict[str, Any]:
        """The decision in JSON types (a dict for a JSONB column); `from_json` gives it back."""
        document: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        document["decided_at"] = self.decided_at.isoformat()
        opening = self.expected_opening
        document["expected_opening"] = None if opening is None else opening.isoformat()
        document["skills"] = list(self.skills)
        document["options"] = list(self.options)
        document["evaluations"] = [
            {
                "rule": item.rule,
                "outcome": item.outcome,
                "matched": item.matched,
                "conditions": [asdict(result) for result in item.conditions],
            }
            for item in self.evaluations
        ]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Decision:
        """The decision a `to_json` document describes; unknown keys are ignored.

        Raises:
            DecisionError: A key is missing or has the wrong form.
        """
        given = {name: document[name] for name in cls.__slots__ if name in document}
        try:
            opening = given["expected_opening"]
            given["decided_at"] = datetime.fromisoformat(given["decided_at"])
            given["expected_opening"] = opening and datetime.fromisoformat(opening)
            given["skills"] = tuple(given["skills"])
            given["options"] = tuple(given["options"])
            given["evaluations"] = tuple(_evaluation(item) for item in given["evaluations"])
            return cls(**given)
        except (KeyError, TypeError, ValueError) as err:
            message = f"decision document is incomplete or malformed: {err}"
            raise DecisionError(message) from err


def _evaluation(document: Mapping[str, Any]) -> RuleEvaluation:
    return RuleEvaluation(
        rule=document["rule"],
        outcome=document["outcome"],
        matched=document["matched"],
        conditions=tuple(ConditionResult(**item) for item in document["conditions"]),
    )
