"""The decision on one turn: answer, ask back, or hand over to a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from handoff.business_hours import Calendar, CalendarNeverOpensError, is_open, next_opening
from handoff.conditions import NOT_UNDERSTOOD
from handoff.decision import Decision
from handoff.policy import (
    PRIORITIES,
    Clarify,
    HandOff,
    HandoffPolicy,
    Rule,
    outcome_name,
)
from handoff.rules import Ruling, apply_rules, queue_of, understanding
from handoff.snapshot import ConversationSnapshot

_MIN_OPTIONS = 2  # one option alone is a yes/no question that a "no" leaves without an answer
_ONE_MINUTE = timedelta(minutes=1)


def decide(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> Decision:
    """What happens on this turn, with the evidence.

    Total: no snapshot makes it raise. Deterministic: the same two arguments give the same
    decision, which is what the backtest relies on.
    """
    ruling = apply_rules(snapshot, policy)
    rule = ruling.winner
    understood_as = understanding(snapshot, policy)
    calendar = policy.calendar_of(queue_of(rule, ruling.needed, policy))
    hours_open = is_open(calendar, snapshot.now)
    handoff = _destination(ruling, snapshot, policy)
    return Decision(
        turn_id=snapshot.turn_id,
        decided_at=snapshot.now,
        outcome=outcome_name(rule.outcome),
        rule=rule.id,
        rule_version=f"{rule.id}@{policy.version}",
        policy=policy.name,
        policy_version=policy.version,
        reason=rule.reason,
        understanding=understood_as,
        counts_as_failure=understood_as in NOT_UNDERSTOOD,
        message_key=_message_key(rule, policy, hours_open=hours_open),
        level=policy.queues[handoff.queue].level if handoff else None,
        queue=handoff.queue if handoff else None,
        priority=handoff.priority if handoff else None,
        severity=handoff.severity if handoff else None,
        skills=handoff.skills if handoff else (),
        sla_target_minutes=_target_minutes(handoff, policy),
        needed_by=ruling.needed.id if ruling.needed else None,
        hours_open=hours_open,
        expected_opening=None if hours_open else _opening(calendar, snapshot.now),
        calendar=f"{calendar.name}@{calendar.version}",
        options=_options(snapshot, policy) if isinstance(rule.outcome, Clarify) else (),
        evaluations=ruling.evaluations,
        expected_wait_minutes=_wait_minutes(handoff, policy),
    )


def _destination(
    ruling: Ruling,
    snapshot: ConversationSnapshot,
    policy: HandoffPolicy,
) -> HandOff | None:
    """The handoff with everything filled in that rules may leave open; None when there is none."""
    own = ruling.winner.outcome
    if not isinstance(own, HandOff):
        return None
    needed = ruling.needed.outcome if ruling.needed is not None else None
    sources = [own, needed] if isinstance(needed, HandOff) else [own]
    queue = queue_of(ruling.winner, ruling.needed, policy)
    priorities = [source.priority for source in sources if source.priority]
    severities = [source.severity for source in sources if source.severity]
    waits = [source.expected_wait for source in sources if source.expected_wait]
    language_skill = policy.languages.skills.get(snapshot.language)
    skills = [
        *policy.queues[queue].skills,
        *(skill for source in sources for skill in source.skills),
        *([language_skill] if language_skill else []),
    ]
    return HandOff(
        queue=queue,
        priority=_priority([*priorities, policy.defaults.priority][0], snapshot, policy),
        severity=[*severities, policy.defaults.severity][0],
        skills=tuple(dict.fromkeys(skills)),
        expected_wait=[*waits, policy.queues[queue].expected_wait][0],
    )


def _priority(priority: str, snapshot: ConversationSnapshot, policy: HandoffPolicy) -> str:
    least = policy.defaults.vip_priority
    if not snapshot.contact_vip or least is None:
        return priority
    return max(priority, least, key=PRIORITIES.index)


def _target_minutes(handoff: HandOff | None, policy: HandoffPolicy) -> int | None:
    if handoff is None or handoff.priority is None:
        return None
    target = policy.first_response.get(handoff.priority)
    return None if target is None else target // _ONE_MINUTE


def _wait_minutes(handoff: HandOff | None, policy: HandoffPolicy) -> int | None:
    if handoff is None or handoff.expected_wait is None:
        return _target_minutes(handoff, policy)
    return handoff.expected_wait // _ONE_MINUTE


def _message_key(rule: Rule, policy: HandoffPolicy, *, hours_open: bool) -> str | None:
    if isinstance(rule.outcome, HandOff):
        if not hours_open:
            return rule.outcome.message_when_closed or policy.defaults.message_when_closed
        return rule.message or policy.defaults.message
    return rule.message


def _opening(calendar: Calendar, at: datetime) -> datetime | None:
    try:
        return next_opening(calendar, at)
    except CalendarNeverOpensError:
        return None


def _options(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> tuple[str, ...]:
    """Intents to offer: the best of the ranking not offered yet; popular ones when too few."""
    settings = policy.clarify
    excluded = settings.not_offerable | set(snapshot.already_offered)
    ranked = [
        intent
        for intent, confidence in snapshot.ranking
        if confidence >= settings.min_confidence
        and intent in policy.intents
        and intent not in excluded
    ]
    chosen = ranked[: settings.options]
    spare = (name for name in settings.popular if name not in excluded and name not in chosen)
    while len(chosen) < _MIN_OPTIONS and (name := next(spare, None)) is not None:
        chosen.append(name)
    return tuple(chosen)
