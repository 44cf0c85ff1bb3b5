"""The `rules` section of the policy file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

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
    PairFact,
    Within,
    entity_pair,
)
from handoff.policy import (
    CLARIFY,
    HANDOFF,
    LEVELS,
    OUTCOMES,
    PRIORITIES,
    QUEUE_AS_NEEDED,
    REASONS,
    SEVERITIES,
    STAY,
    Clarify,
    HandOff,
    Outcome,
    Queue,
    Rule,
    Stay,
)
from handoff.policy_nodes import Node, Reader, shown

CONDITION_KEYS = (
    *FACTS,
    *(
        f"{NEGATION}{name}"
        for name, kind in FACTS.items()
        if isinstance(kind, (ChoiceFact, PairFact))
    ),
)
"""What may stand under `when`."""

HANDOFF_KEYS = (
    "queue",
    "level",
    "priority",
    "severity",
    "skills",
    "message_when_closed",
    "expected_wait_minutes",
)
"""What may stand under `then` of a handoff only."""

MAX_WAIT_MINUTES = 7 * 24 * 60  # a week; who waits longer is told a date, not minutes
_BUILT_IN_PREFIX = "default_"


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What rules may refer to."""

    intents: Collection[str]
    intent_groups: Collection[str]
    keyword_lists: Collection[str]
    queues: Mapping[str, Queue]
    messages: Collection[str]

    def allowed(self, kind: ChoiceFact) -> Collection[str] | None:
        """The values a choice fact may be compared with; None: anything."""
        if kind.refers_to == "intent":
            return self.intents
        if kind.refers_to == "intent group":
            return self.intent_groups
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
    section = reader.section(node, required=(), optional=CONDITION_KEYS)
    return tuple(
        condition
        for key, entry in section.items()
        for condition in _read_condition(key, entry, reader, known)
    )


def _read_condition(
    key: str,
    node: Node,
    reader: Reader,
    known: KnownNames,
) -> tuple[Condition, ...]:
    """What one key asks; several conditions when it names several entities."""
    fact = key if key in FACTS else key[len(NEGATION) :]
    kind = FACTS[fact]
    if isinstance(kind, FlagFact):
        return (Flag(fact, reader.flag(node)),)
    if isinstance(kind, NumberFact):
        return (_read_within(fact, node, reader, kind),)
    if isinstance(kind, PairFact):
        lists = _read_pairs(node, reader)
    else:
        allowed = known.allowed(kind)
        lists = [reader.names(node, allowed=allowed, kind=kind.refers_to or fact)]
    return tuple(
        OneOf(fact, values) if key == fact else NoneOf(fact, values) for values in lists if values
    )


def _read_pairs(node: Node, reader: Reader) -> list[tuple[str, ...]]:
    """`{name: value or list}`: for each name its pairs, of which one must be found."""
    entries = reader.entries(node)
    if isinstance(node.value, Mapping) and not entries:
        reader.wrong(node, "no entity; expected {name: value} or {name: [value, value]}")
    return [
        tuple(dict.fromkeys(entity_pair(name, value) for value in _read_values(entry, reader)))
        for name, entry in entries.items()
    ]


def _read_values(node: Node, reader: Reader) -> tuple[str, ...]:
    """Texts; a number is the text that it is written as."""
    value = node.value
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    items: Sequence[Node] = value if is_list else (node,)  # type: ignore[assignment]
    if not items:
        reader.wrong(node, "the list is empty; expected at least one value")
    return tuple(
        str(item.value)
        if isinstance(item.value, int) and not isinstance(item.value, bool)
        else reader.text(item)
        for item in items
    )


def _read_within(fact: str, node: Node, reader: Reader, kind: NumberFact) -> Within:
    if not isinstance(node.value, Mapping):
        example = node.value if isinstance(node.value, (int, float)) else kind.low
        what = f"got {shown(node)}; expected bounds, for example {{at_least: {example:g}}}"
        reader.wrong(node, what)
        return Within(fact)
    section = reader.section(node, required=(), optional=("at_least", "below"))
    if not section:
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
        optional=("message", *HANDOFF_KEYS),
    )
    name = reader.one_of(section["outcome"], OUTCOMES) if "outcome" in section else STAY
    reason = reader.one_of(section["reason"], REASONS) if "reason" in section else REASONS[0]
    message = None
    if "message" in section:
        message = reader.one_of(section["message"], known.messages, kind="message")
    if name == HANDOFF:
        return section, _read_handoff(node, section, reader, known), reason, message
    if "outcome" not in section or section["outcome"].value not in OUTCOMES:
        # Reported already; what only a handoff may have was perhaps meant for one.
        return section, Stay(), reason, message
    for key in HANDOFF_KEYS:
        if key in section:
            reader.wrong(section[key], f"only for outcome: handoff, but the outcome is {name}")
    return section, Clarify() if name == CLARIFY else Stay(), reason, message


def _read_handoff(
    node: Node,
    section: Mapping[str, Node],
    reader: Reader,
    known: KnownNames,
) -> HandOff:
    queues = (*known.queues, QUEUE_AS_NEEDED)
    chosen = {
        key: reader.one_of(section[key], allowed, kind=kind)
        for key, allowed, kind in (
            ("queue", queues, "queue"),
            ("level", LEVELS, "level"),
            ("priority", PRIORITIES, "priority"),
            ("severity", SEVERITIES, "severity"),
            ("message_when_closed", known.messages, "message"),
        )
        if key in section
    }
    wait = section.get("expected_wait_minutes")
    return HandOff(
        queue=_destination(node, section, chosen, reader, known),
        priority=chosen.get("priority"),
        severity=chosen.get("severity"),
        skills=reader.names(section["skills"]) if "skills" in section else (),
        message_when_closed=chosen.get("message_when_closed"),
        expected_wait=None if wait is None else read_wait(wait, reader),
    )


def read_wait(node: Node, reader: Reader) -> timedelta:
    """Minutes until a person answers."""
    return timedelta(minutes=reader.whole(node, low=1, high=MAX_WAIT_MINUTES))


def _destination(
    node: Node,
    section: Mapping[str, Node],
    chosen: Mapping[str, str],
    reader: Reader,
    known: KnownNames,
) -> str:
    """The queue: as named, or the first one of the level that is named."""
    queue, level = chosen.get("queue"), chosen.get("level")
    of_level = [key for key, item in known.queues.items() if item.level == level]
    if queue is None and level is None:
        reader.wrong(node, "key 'queue' is missing; a handoff needs a destination (or a level)")
    elif queue is None and not of_level:
        reader.wrong(section["level"], f"no queue has level {level}; expected one that has")
    elif queue == QUEUE_AS_NEEDED and level is not None:
        what = f"queue {QUEUE_AS_NEEDED} brings its own level; expected no level here"
        reader.wrong(section["level"], what)
    elif queue is not None and level is not None and queue not in of_level:
        own, others = known.queues[queue].level, " or ".join(of_level) or "none"
        what = f"queue {queue!r} has level {own}; expected level: {own}, or a queue of {level}"
        reader.wrong(section["level"], f"{what} ({others})")
    return queue or next(iter(of_level or known.queues), "")


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
