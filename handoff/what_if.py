"""What would have changed an outcome: each fact moved on its own, and the turn decided again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from handoff.decide import decide
from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot

_JUST_BELOW = 0.0001  # under a bound, and still the same number to a reader


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One change that gives another outcome.

    Attributes:
        fact: The fact that is moved, as rules name it.
        value: Where to, in the words of the record: "at least 0.45", "none", "false".
        outcome: What would have happened then.
        rule: By which rule.
        queue: Where to, for a handoff.
    """

    fact: str
    value: str
    outcome: str
    rule: str
    queue: str | None


def what_if(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> tuple[WhatIf, ...]:
    """The single changes that would have led to another outcome, score first.

    Args:
        snapshot: What was decided on.
        policy: What it was decided by; another policy answers for itself only.
    """
    decision = decide(snapshot, policy)
    found = []
    for fact, value, other in _changes(snapshot, decision, policy):
        then = decide(other, policy)
        if (then.outcome, then.queue) != (decision.outcome, decision.queue):
            found.append(WhatIf(fact, value, then.outcome, then.rule, then.queue))
    return tuple(found)


_Change = tuple[str, str, ConversationSnapshot]


def _changes(
    snapshot: ConversationSnapshot, decision: Decision, policy: HandoffPolicy
) -> Iterator[_Change]:
    yield from _scores(snapshot, policy)
    if snapshot.failures:
        yield "failures", "0", replace(snapshot, failures=0)
    if snapshot.clarifications_asked:
        yield "clarifications_asked", "0", replace(snapshot, clarifications_asked=0)
    if snapshot.keywords:
        yield "keywords", "none", replace(snapshot, keywords=())
    if snapshot.active_form is not None:
        yield "form", "none", replace(snapshot, active_form=None)
    if snapshot.sentiment is not None and snapshot.sentiment < 0:
        yield "sentiment", "0", replace(snapshot, sentiment=0.0)
    for fact, name in _FLAGS:
        value = getattr(snapshot, name)
        yield fact, "false" if value else "true", _with(snapshot, name, value=not value)
    yield from _people(snapshot, decision)


_FLAGS = (
    ("language_served", "language_served"),
    ("repeated_question", "repeated_question"),
    ("vip", "contact_vip"),
    ("has_open_ticket", "has_open_ticket"),
)


def _with(snapshot: ConversationSnapshot, name: str, *, value: bool) -> ConversationSnapshot:
    document = snapshot.to_json()
    document[name] = value
    return ConversationSnapshot.from_json(document)


def _scores(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> Iterator[_Change]:
    """A score that is enough, or one that is not."""
    intent = snapshot.top_intent
    if intent is None or snapshot.is_certain:
        return
    threshold = policy.confidence.threshold(language=snapshot.language, intent=intent)
    least = threshold.confident
    if intent in policy.out_of_scope:
        least = policy.confidence.out_of_scope
    elif intent in policy.small_talk:
        least = min(least, policy.confidence.small_talk)
    others = [score for name, score in snapshot.ranking if name != intent]
    enough = max(least, max(others, default=0.0) + threshold.margin)
    if snapshot.confidence < least or snapshot.margin < threshold.margin:
        if enough <= 1:
            yield "confidence", f"at least {round(enough, 4):g}", _scored(snapshot, enough)
    elif least > 0:
        below = max(least - _JUST_BELOW, 0.0)
        yield "confidence", f"below {round(least, 4):g}", _scored(snapshot, below)


def _scored(snapshot: ConversationSnapshot, score: float) -> ConversationSnapshot:
    """The same turn with another score of its best intent; the others stay as they are."""
    intent = str(snapshot.top_intent)
    others = [pair for pair in snapshot.ranking if pair[0] != intent]
    return replace(snapshot, ranking=((intent, score), *others))


def _people(snapshot: ConversationSnapshot, decision: Decision) -> Iterator[_Change]:
    """The team at work, somebody with room."""
    if not decision.hours_open and decision.expected_opening is not None:
        yield "hours", "open", replace(snapshot, now=decision.expected_opening)
    queue = decision.queue
    if queue is not None and snapshot.agents_available.get(queue) == 0:
        available = {**snapshot.agents_available, queue: 1}
        yield "agents_available", "at least 1", replace(snapshot, agents_available=available)
