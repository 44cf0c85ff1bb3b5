"""What is allowed in a policy and yet cannot be meant: rules that never win, names nobody uses.

A rule is called dead only when no snapshot can make it win (`handoff.cases` errs on that side); the
opposite does not hold: a rule that several others cover together may go unnoticed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import time

from handoff.business_hours import Calendar
from handoff.cases import Case, case_of, implies, splits
from handoff.conditions import CLOSED, CONTEXT_FACTS, Condition, OneOf, Within
from handoff.policy import QUEUE_AS_NEEDED, HandOff, HandoffPolicy, Rule
from handoff.text import words

ERROR, WARNING = "error", "warning"

_MAX_SPLITS = 2  # "vip" and "not vip" cover a rule together; deeper cuts cost more than they find
_WEEK_DAYS = 7
_MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that cannot be meant.

    Attributes:
        line: Where, from 1.
        path: Key in the file.
        text: What, and what to do.
        severity: `ERROR` (a rule is dead) or `WARNING`.
    """

    line: int
    path: str
    text: str
    severity: str

    @property
    def is_error(self) -> bool:
        """Whether the check fails because of it."""
        return self.severity == ERROR

    def located(self, filename: str) -> str:
        """As compilers print it, so that editors jump to the line."""
        return f"{filename}:{self.line}: {self.path}: {self.severity}: {self.text}"


def lint(policy: HandoffPolicy) -> tuple[Finding, ...]:
    """All findings, in line order."""
    found = [
        *_rules(policy),
        *_unused(policy),
        *_alike_titles(policy),
        *_repeated_phrases(policy),
    ]
    return tuple(sorted(found))


def dead_rules(policy: HandoffPolicy) -> frozenset[str]:
    """Ids of the rules that no turn can ever make win."""
    return frozenset(
        rule.id for number, rule in enumerate(policy.rules) if _why_dead(number, policy) is not None
    )


def _finding(policy: HandoffPolicy, path: str, text: str, severity: str = WARNING) -> Finding:
    return Finding(policy.lines.get(path, 1), path, text, severity)


# --- rules


def _rules(policy: HandoffPolicy) -> Iterator[Finding]:
    for number, rule in enumerate(policy.rules):
        path = f"rules[{number}]"
        why = _why_dead(number, policy)
        if why is not None:
            yield _finding(policy, path, f"rule {rule.id!r} never wins: {why}", ERROR)
        elif len(rule.when) > 1:
            yield from _dead_alternatives(path, rule, policy)


def _dead_alternatives(path: str, rule: Rule, policy: HandoffPolicy) -> Iterator[Finding]:
    for index, conditions in enumerate(rule.when):
        at = f"{path}.when[{index}]"
        if _cannot_hold(rule, conditions, policy):
            yield _finding(policy, at, "these conditions can never all hold")
            continue
        case = case_of(conditions, policy)
        for other, wider in enumerate(rule.when):
            is_twin = set(wider) == set(conditions) and other > index
            if other != index and not is_twin and implies(case, wider):
                line = policy.lines.get(f"{path}.when[{other}]", 1)
                yield _finding(policy, at, f"adds nothing to the alternative in line {line}")
                break


def _why_dead(number: int, policy: HandoffPolicy) -> str | None:
    """Why a rule never wins; None when it may."""
    rule = policy.rules[number]
    possible = [item for item in rule.when if not _cannot_hold(rule, item, policy)]
    if not possible:
        return "its conditions can never all hold"
    earlier = policy.rules[:number]
    covering: list[Rule] = []
    for conditions in possible:
        by = _covered_by(rule, conditions, earlier, policy)
        if not by:
            return None
        covering.extend(item for item in by if item not in covering)
    return _covered_text(rule, covering, policy)


def _covered_text(rule: Rule, covering: Sequence[Rule], policy: HandoffPolicy) -> str:
    names = " and ".join(
        f"{item.id!r} (line {policy.lines.get(f'rules[{policy.rules.index(item)}]', 1)})"
        for item in covering
    )
    twin = covering[0]
    if len(covering) == 1 and _same_conditions(twin, rule):
        if twin.outcome == rule.outcome and twin.message == rule.message:
            return f"it repeats {names}"
        return f"it contradicts {names}: the same conditions, another outcome, and the first wins"
    return f"whatever it matches is decided by {names} above it"


def _same_conditions(one: Rule, other: Rule) -> bool:
    return {frozenset(item) for item in one.when} == {frozenset(item) for item in other.when}


def _covered_by(
    rule: Rule,
    conditions: tuple[Condition, ...],
    earlier: Sequence[Rule],
    policy: HandoffPolicy,
    depth: int = _MAX_SPLITS,
) -> list[Rule]:
    """Earlier rules of which one surely matches whenever the conditions hold; empty: not sure."""
    case = case_of(conditions, policy)
    if case.is_impossible:
        return list(earlier[:1]) if depth < _MAX_SPLITS else []
    for other in earlier:
        for wider in _comparable(other, rule, policy):
            if implies(case, wider):
                return [other]
    if depth == 0:
        return []
    for parts in _useful_splits(case, rule, earlier, policy):
        covering: list[Rule] = []
        for part in parts:
            narrowed = (*conditions, part)
            if case_of(narrowed, policy).is_impossible:
                continue
            by = _covered_by(rule, narrowed, earlier, policy, depth - 1)
            if not by:
                break
            covering.extend(item for item in by if item not in covering)
        else:
            return covering
    return []


def _useful_splits(
    case: Case,
    rule: Rule,
    earlier: Sequence[Rule],
    policy: HandoffPolicy,
) -> Iterator[list[Condition]]:
    seen: set[Condition] = set()
    for other in earlier:
        for wider in _comparable(other, rule, policy):
            for parts in splits(case, wider):
                if parts[0] not in seen and parts[0].fact not in CONTEXT_FACTS:
                    seen.add(parts[0])
                    yield parts


def _comparable(
    earlier: Rule,
    later: Rule,
    policy: HandoffPolicy,
) -> Iterator[tuple[Condition, ...]]:
    """The earlier rule's alternatives whose facts are the same for both rules.

    Hours and people are those of a rule's own queue; whether a person is wanted depends on the
    rules below. They compare only between rules that ask about the same.
    """
    same = _same_context(earlier, later, policy)
    for conditions in earlier.when:
        if all(item.fact not in CONTEXT_FACTS or item.fact in same for item in conditions):
            yield conditions


def _same_context(one: Rule, other: Rule, policy: HandoffPolicy) -> frozenset[str]:
    queues = [
        rule.outcome.queue
        for rule in (one, other)
        if isinstance(rule.outcome, HandOff) and rule.outcome.queue != QUEUE_AS_NEEDED
    ]
    if len(queues) < 2:  # noqa: PLR2004 - both must have a queue of their own
        return frozenset()
    if queues[0] == queues[1]:
        return frozenset({"hours", "agents_available"})
    first, second = (policy.queues[queue].calendar for queue in queues)
    return frozenset({"hours"}) if first == second else frozenset()


def _cannot_hold(rule: Rule, conditions: tuple[Condition, ...], policy: HandoffPolicy) -> bool:
    if case_of(conditions, policy).is_impossible:
        return True
    outcome = rule.outcome
    if not isinstance(outcome, HandOff) or outcome.queue == QUEUE_AS_NEEDED:
        return False
    calendar = policy.calendar_of(outcome.queue)
    wants_closed = OneOf("hours", (CLOSED,)) in conditions
    return wants_closed and _never_closes(calendar)


def _never_closes(calendar: Calendar) -> bool:
    whole_day = ((_MIDNIGHT, _MIDNIGHT),)
    days = [calendar.weekly.get(day, ()) for day in range(_WEEK_DAYS)]
    special = calendar.special_days.values()
    return not calendar.holidays and all(spans == whole_day for spans in (*days, *special))


# --- names nobody uses


def _unused(policy: HandoffPolicy) -> Iterator[Finding]:
    asked = _asked_names(policy)
    handoffs = [rule.outcome for rule in policy.rules if isinstance(rule.outcome, HandOff)]
    told = {
        policy.defaults.message,
        policy.defaults.message_when_closed,
        *(rule.message for rule in policy.rules),
        *(outcome.message_when_closed for outcome in handoffs),
    }
    queues = {policy.defaults.queue, *(outcome.queue for outcome in handoffs)}
    groups = [name for name in policy.intent_groups if f"intent_groups.{name}" in policy.lines]
    calendars = {queue.calendar for queue in policy.queues.values()}
    yield from _not_in("keywords", policy.keywords, asked["keywords"], policy, "no rule asks for")
    yield from _not_in("intent_groups", groups, asked["intent_group"], policy, "no rule asks for")
    yield from _not_in("messages", policy.messages, told, policy, "no rule says")
    yield from _not_in("queues", policy.queues, queues, policy, "no rule hands over to")
    yield from _not_in("calendars", policy.calendars, calendars, policy, "no queue works by")


def _not_in(
    section: str,
    names: Collection[str],
    used: Collection[str | None],
    policy: HandoffPolicy,
    what: str,
) -> Iterator[Finding]:
    for name in names:
        if name not in used:
            yield _finding(policy, f"{section}.{name}", f"{what} {name!r}")


def _asked_names(policy: HandoffPolicy) -> dict[str, set[str]]:
    asked: dict[str, set[str]] = {"keywords": set(), "intent_group": set()}
    for rule in policy.rules:
        for condition in (item for conditions in rule.when for item in conditions):
            if condition.fact in asked and not isinstance(condition, Within):
                asked[condition.fact].update(getattr(condition, "values", ()))
    return asked


# --- texts


def _alike_titles(policy: HandoffPolicy) -> Iterator[Finding]:
    """Two buttons that read the same when typed: accents, capitals and signs do not count."""
    offerable = [name for name in policy.intents if name not in policy.clarify.not_offerable]
    for language in policy.languages.served:
        seen = {words(policy.clarify.none_title[language]): "clarify.none_of_these"}
        for name in offerable:
            title = words(policy.intents[name][language])
            path = f"intents.{name}.{language}"
            if title in seen:
                line = policy.lines.get(seen[title], 1)
                what = f"this title reads like the one in line {line} ({seen[title]})"
                yield _finding(policy, path, what)
            seen.setdefault(title, path)


def _repeated_phrases(policy: HandoffPolicy) -> Iterator[Finding]:
    for name, phrases in policy.keywords.items():
        seen: dict[tuple[str, ...], str] = {}
        for number, phrase in enumerate(phrases):
            folded = words(phrase)
            if folded in seen:
                what = f"{phrase!r} is found as {seen[folded]!r} already"
                yield _finding(policy, f"keywords.{name}[{number}]", what)
            seen.setdefault(folded, phrase)
