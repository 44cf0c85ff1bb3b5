"""The `rules` section of the policy file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from handoff.conditions import (
    FACTS,
    NEGATION,
    ChoiceFact,
    Condition,
    Flag,
    FlagFact,
    NoneOf,
    NumberFact,
    OneOf,
    Within,
)
from handoff.policy import (
    CLARIFY,
    HANDOFF,
    OUTCOMES,
    PRIORITIES,
    QUEUE_AS_NEEDED,
    REASONS,
    SEVERITIES,
    STAY,
    Clarify,
    HandOff,
    Outcome,
    Rule,
    Stay,
)
from handoff.policy_nodes import Node, Reader

_CONDITION_KEYS = (
    *FACTS,
    *(f"{NEGATION}{name}" for name, kind in FACTS.items() if isinstance(kind, ChoiceFact)),
)
_HANDOFF_KEYS = ("queue", "priority", "severity", "skills", "message_when_closed")
_BUILT_IN_PREFIX = "default_"


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What rules may refer to."""

    intents: Collection[str]
    keyword_lists: Collection[str]
    queues: Collection[str]
    messages: Collection[str]

    def allowed(self, kind: ChoiceFact) -> Collection[str] | None:
        """The values a choice fact may be compared with; None: anything."""
        if kind.refers_to == "intent":
            return self.intents
        if kind.refers_to == "keyword list":
            return self.keyword_lists
        return kind.allowed


def read_rules(node: Node, reader: Reader, known: KnownNames) -> tuple[Rule, ...]:
    """The rules in file order."""
    rules: list[Rule] = []
    lines: dict[str, int] = {}
    for entry in reader.items(node):
        rule = _read_rule(entry, reader, known)
        if rule is None:
            continue
        if rule.id in lines:
            reader.wrong(entry, f"rule {rule.id!r} is already defined in line {lines[rule.id]}")
        lines.setdefault(rule.id, entry.line)
        rules.append(rule)
    return tuple(rules)


def _read_rule(node: Node, reader: Reader, known: KnownNames) -> Rule | None:
    section = reader.section(node, required=("id", "when", "then"), optional=("why",))
    if not {"id", "when", "then"} <= set(section):
        return None
    rule_id = reader.text(section["id"])
    if rule_id.startswith(_BUILT_IN_PREFIX):
        what = f"{rule_id!r} is a name of a built-in rule; expected one without {_BUILT_IN_PREFIX}"
        reader.wrong(section["id"], what)
    when = _read_when(section["when"], reader, known)
    then, outcome, reason, message = _read_then(section["then"], reader, known)
    if isinstance(outcome, HandOff) and outcome.queue == QUEUE_AS_NEEDED:
        _check_as_needed(then, when, reader)
    return Rule(
        id=rule_id,
        when=when,
        outcome=outcome,
        reason=reason,
        message=message,
        description=reader.text(section["why"]) if "why" in section else "",
    )


def _read_when(
    node: Node,
    reader: Reader,
    known: KnownNames,
) -> tuple[tuple[Condition, ...], ...]:
    """One mapping, or a list of mappings of which one is enough."""
    alternatives: Sequence[Node] = (node,)
    if isinstance(node.value, Sequence) and not isinstance(node.value, str):
        alternatives = node.value
        if not alternatives:
            reader.wrong(node, "no condition; expected at least one")
    return tuple(_read_conditions(item, reader, known) for item in alternatives)


def _read_conditions(node: Node, reader: Reader, known: KnownNames) -> tuple[Condition, ...]:
    if isinstance(node.value, Mapping) and not node.value:
        reader.wrong(node, "no condition (it would match every turn); expected at least one")
        return ()
    section = reader.section(node, required=(), optional=_CONDITION_KEYS)
    return tuple(_read_condition(key, entry, reader, known) for key, entry in section.items())


def _read_condition(key: str, node: Node, reader: Reader, known: KnownNames) -> Condition:
    fact = key if key in FACTS else key[len(NEGATION) :]
    kind = FACTS[fact]
    if isinstance(kind, FlagFact):
        return Flag(fact, reader.flag(node))
    if isinstance(kind, NumberFact):
        return _read_within(fact, node, reader, kind)
    allowed = known.allowed(kind)
    values = reader.names(node, allowed=allowed, kind=kind.refers_to or fact)
    return OneOf(fact, values) if key == fact else NoneOf(fact, values)


def _read_within(fact: str, node: Node, reader: Reader, kind: NumberFact) -> Within:
    section = reader.section(node, required=(), optional=("at_least", "below"))
    if isinstance(node.value, Mapping) and not section:
        reader.wrong(node, "no bound; expected at_least, below or both")
    bounds = {
        name: reader.number(entry, low=kind.low, high=kind.high) for name, entry in section.items()
    }
    at_least, below = bounds.get("at_least"), bounds.get("below")
    if at_least is not None and below is not None and at_least >= below:
        what = f"nothing is at least {at_least:g} and below {below:g}; expected at_least < below"
        reader.wrong(node, what)
    return Within(fact, at_least=at_least, below=below)


def _read_then(
    node: Node,
    reader: Reader,
    known: KnownNames,
) -> tuple[dict[str, Node], Outcome, str, str | None]:
    section = reader.section(
        node,
        required=("outcome", "reason"),
        optional=("message", *_HANDOFF_KEYS),
    )
    name = reader.one_of(section["outcome"], OUTCOMES) if "outcome" in section else STAY
    reason = reader.one_of(section["reason"], REASONS) if "reason" in section else REASONS[0]
    message = None
    if "message" in section:
        message = reader.one_of(section["message"], known.messages, kind="message")
    if name == HANDOFF:
        return section, _read_handoff(node, section, reader, known), reason, message
    for key in _HANDOFF_KEYS:
        if key in section:
            reader.wrong(section[key], f"only for outcome: handoff, but the outcome is {name}")
    return section, Clarify() if name == CLARIFY else Stay(), reason, message


def _read_handoff(
    node: Node,
    section: Mapping[str, Node],
    reader: Reader,
    known: KnownNames,
) -> HandOff:
    if "queue" not in section:
        reader.wrong(node, "key 'queue' is missing; a handoff needs a destination")
    queues = (*known.queues, QUEUE_AS_NEEDED)
    chosen = {
        key: reader.one_of(section[key], allowed, kind=kind)
        for key, allowed, kind in (
            ("queue", queues, "queue"),
            ("priority", PRIORITIES, "priority"),
            ("severity", SEVERITIES, "severity"),
            ("message_when_closed", known.messages, "message"),
        )
        if key in section
    }
    return HandOff(
        queue=chosen.get("queue", queues[0]),
        priority=chosen.get("priority"),
        severity=chosen.get("severity"),
        skills=reader.names(section["skills"]) if "skills" in section else (),
        message_when_closed=chosen.get("message_when_closed"),
    )


def _check_as_needed(
    then: Mapping[str, Node],
    when: tuple[tuple[Condition, ...], ...],
    reader: Reader,
) -> None:
    """`queue: as_needed` takes the destination of a later handoff, so there must be one."""
    needs_person = Flag("wants_person", value=True)
    if not all(needs_person in conditions for conditions in when):
        what = f"{QUEUE_AS_NEEDED} needs the condition wants_person: true in every alternative"
        reader.wrong(then["queue"], what)
