"""What is known about a turn, and which rules match it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handoff.amounts import AMOUNT, largest_amount
from handoff.business_hours import is_open
from handoff.conditions import (
    CLOSED,
    CONFIDENT,
    FORM_ANSWER,
    OPEN,
    OUT_OF_SCOPE,
    SILENT,
    SMALL_TALK,
    UNREADABLE,
    UNSURE,
    Condition,
    FactValue,
    entity_pair,
    spell,
)
from handoff.decision import ConditionResult, RuleEvaluation
from handoff.policy import STAY, HandOff, HandoffPolicy, Rule, outcome_name
from handoff.snapshot import ConversationSnapshot


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rules applied to one turn.

    Attributes:
        winner: The first rule that matched.
        needed: The handoff rule whose destination the winner takes over; None when it has its own.
        evaluations: Every rule, in order.
    """

    winner: Rule
    needed: Rule | None
    evaluations: tuple[RuleEvaluation, ...]


def understanding(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> str:
    """How well the turn was understood: one of `handoff.conditions.UNDERSTANDINGS`.

    A pressed button and a chosen option are certain; "none of these" never is. While a form asks,
    a message that no intent fits is the form's answer if the form can take it.
    """
    if snapshot.trigger == "silence":
        return SILENT
    if snapshot.message_kind == "unreadable":
        return UNREADABLE
    if snapshot.clarification_answer == "none_of_these":
        return UNSURE
    scored = _by_score(snapshot, policy)
    if scored in {UNSURE, OUT_OF_SCOPE} and _form_takes(snapshot, policy):
        return FORM_ANSWER
    return scored


def queue_of(rule: Rule, needed: Rule | None, policy: HandoffPolicy) -> str:
    """The queue whose hours count for a rule: its own, the needed rule's, or the default one."""
    for candidate in (rule, needed):
        if candidate is None or candidate.takes_needed_queue:
            continue
        if isinstance(candidate.outcome, HandOff):
            return candidate.outcome.queue
    return policy.defaults.queue


def apply_rules(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> Ruling:
    """Evaluate every rule; the first that matches wins.

    Rules are taken from the last to the first, because a rule may ask whether the turn would end
    with a person anyway (`wants_person`), which the rules after it answer.
    """
    facts = _facts(snapshot, policy)
    winner: Rule | None = None
    needed: Rule | None = None
    evaluations: list[RuleEvaluation] = []
    open_now: dict[str, bool] = {}  # by calendar: most rules share one
    for rule in reversed(policy.all_rules):
        later = needed if winner is not None and winner.takes_needed_queue else winner
        context = _context_facts(rule, later, snapshot, policy, open_now)
        evaluation = _evaluate(rule, {**facts, **context})
        evaluations.append(evaluation)
        if evaluation.matched:
            winner, needed = rule, later if rule.takes_needed_queue else None
    if winner is None:  # the last built-in rule has no condition
        message = "no rule matched although the last one always does"
        raise AssertionError(message)
    return Ruling(winner, needed, tuple(reversed(evaluations)))


def _by_score(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> str:
    intent, confidence = snapshot.top_intent, snapshot.confidence
    if intent is None:
        return UNSURE
    if intent in policy.out_of_scope:
        is_believed = confidence >= policy.confidence.out_of_scope
        return OUT_OF_SCOPE if is_believed else UNSURE
    if snapshot.is_certain:
        return CONFIDENT
    if intent in policy.small_talk and confidence >= policy.confidence.small_talk:
        return SMALL_TALK
    threshold = policy.confidence.threshold(language=snapshot.language, intent=intent)
    is_clear = confidence >= threshold.confident and snapshot.margin >= threshold.margin
    return CONFIDENT if is_clear and _is_in_scope(snapshot, policy) else UNSURE


def _is_in_scope(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> bool:
    """Whether the message seems to be about what the bot knows; yes when nobody measured it."""
    least = policy.confidence.in_scope
    return least is None or snapshot.in_scope is None or snapshot.in_scope >= least


def _form_takes(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> bool:
    if snapshot.active_form is None or policy.forms.low_confidence != STAY:
        return False
    expected = policy.forms.expects.get(snapshot.active_form)
    return expected is None or any(snapshot.entities.get(name) for name in expected)


def _facts(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> dict[str, FactValue]:
    return {
        "trigger": snapshot.trigger,
        "channel": snapshot.channel,
        "message_kind": snapshot.message_kind,
        "understanding": understanding(snapshot, policy),
        "top_intent": snapshot.top_intent,
        "confidence": snapshot.confidence,
        "margin": snapshot.margin,
        "entropy": snapshot.entropy,
        "in_scope": snapshot.in_scope,
        "intent_group": policy.groups_of(snapshot.top_intent),
        "keywords": _keyword_lists(snapshot, policy),
        "entity": tuple(name for name, values in sorted(snapshot.entities.items()) if values),
        "entity_value": _entity_values(snapshot),
        "amount": largest_amount(snapshot.entities.get(AMOUNT, ())),
        "sentiment": snapshot.sentiment,
        "language": snapshot.language,
        "language_served": snapshot.language_served,
        "language_confidence": snapshot.language_confidence,
        "text_length": snapshot.text_length,
        "failures": snapshot.failures,
        "clarifications_asked": snapshot.clarifications_asked,
        "clarification_open": snapshot.clarification_open,
        "clarification_answer": snapshot.clarification_answer,
        "repeated_question": snapshot.repeated_question,
        "vip": snapshot.contact_vip,
        "segment": snapshot.contact_segment,
        "has_open_ticket": snapshot.has_open_ticket,
        "form_active": snapshot.active_form is not None,
        "form": snapshot.active_form,
        "silence_minutes": snapshot.silence_minutes,
    }


def _entity_values(snapshot: ConversationSnapshot) -> tuple[str, ...]:
    """Each value found, written as rules ask for it."""
    return tuple(
        entity_pair(name, value)
        for name, values in sorted(snapshot.entities.items())
        for value in values
    )


def _context_facts(
    rule: Rule,
    later: Rule | None,
    snapshot: ConversationSnapshot,
    policy: HandoffPolicy,
    open_now: dict[str, bool],
) -> dict[str, FactValue]:
    queue = queue_of(rule, later, policy)
    calendar = policy.calendar_of(queue)
    if calendar.name not in open_now:
        open_now[calendar.name] = is_open(calendar, snapshot.now)
    return {
        "hours": OPEN if open_now[calendar.name] else CLOSED,
        "agents_available": snapshot.agents_available.get(queue),
        "wants_person": later is not None and isinstance(later.outcome, HandOff),
    }


def _keyword_lists(snapshot: ConversationSnapshot, policy: HandoffPolicy) -> tuple[str, ...]:
    found = set(snapshot.keywords)
    return tuple(name for name, words in policy.keywords.items() if not found.isdisjoint(words))


def _evaluate(rule: Rule, facts: Mapping[str, FactValue]) -> RuleEvaluation:
    results = tuple(
        _check(condition, facts[condition.fact], alternative)
        for alternative, conditions in enumerate(rule.when)
        for condition in conditions
    )
    matched = any(
        all(condition.met_by(facts[condition.fact]) for condition in conditions)
        for conditions in rule.when
    )
    return RuleEvaluation(rule.id, outcome_name(rule.outcome), matched, results)


def _check(condition: Condition, value: FactValue, alternative: int) -> ConditionResult:
    return ConditionResult(
        alternative=alternative,
        fact=condition.fact,
        seen=spell(value),
        wanted=condition.wanted,
        met=condition.met_by(value),
    )
