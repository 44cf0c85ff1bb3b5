"""Reading `escalation.yml`: every mistake named with its line and field. Pure: it gets the text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from handoff.policy_nodes import Node, Reader
from handoff.policy_yaml import YAMLProblemError, read_tree
from ticketing.domain.enums import Level, Priority, Severity, SlaMetric, SlaThreshold
from ticketing.domain.escalation_rules import EscalationRule, EscalationRules, Trigger
from ticketing.domain.ticket import LEVELS

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_VERSION_LENGTH = 12  # hex digits, as in versions of handoff.yml
_LONGEST_MINUTES = 30 * 24 * 60  # a ticket that waits a month needs no rule but a person
_BELOW_TOP = [level.value for level in LEVELS[:-1]]


class EscalationFileError(ValueError):
    """The file is wrong; the text lists every problem.

    Attributes:
        lines: "file:line: field: what is wrong", one for each problem.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


def parse_escalation(
    text: str, *, queues: Mapping[str, Level], filename: str = "escalation.yml"
) -> EscalationRules:
    """The rules that the file makes.

    Args:
        text: Of the file.
        queues: The queues there are, with their levels.
        filename: For messages.

    Raises:
        EscalationFileError: listing everything that is wrong.
    """
    reader = Reader()
    try:
        root = read_tree(text, reader)
    except YAMLProblemError as error:
        raise EscalationFileError([error.problem.located(filename)]) from error
    version = hashlib.sha256(text.encode()).hexdigest()[:_VERSION_LENGTH]
    rules = _Parser(reader, queues).rules(root, version=version)
    if reader.problems:
        lines = [problem.located(filename) for problem in sorted(set(reader.problems))]
        raise EscalationFileError(lines)
    return rules


class _Parser:
    def __init__(self, reader: Reader, queues: Mapping[str, Level]) -> None:
        self._reader = reader
        self._queues = queues

    def rules(self, root: Node, *, version: str) -> EscalationRules:
        reader = self._reader
        section = reader.section(
            root, required=("version", "ladder", "rules"), optional=("worked_on_minutes",)
        )
        if "version" in section:
            reader.whole(section["version"], low=1, high=1)
        worked = section.get("worked_on_minutes")
        minutes = 10.0 if worked is None else reader.number(worked, low=0, high=24 * 60)
        listed = reader.items(section["rules"]) if "rules" in section else ()
        rules = tuple(self._rule(item) for item in listed)
        names = [rule.name for rule in rules]
        for item, name in zip(listed, names, strict=True):
            if name and names.count(name) > 1:
                reader.wrong(item, f"the name {name!r} is there twice; expected it once")
        return EscalationRules(
            rules=rules,
            ladder=self._steps(section["ladder"]) if "ladder" in section else {},
            worked_on_within=timedelta(minutes=minutes),
            version=version,
        )

    def _steps(self, node: Node) -> dict[str, str]:
        """Queue to queue, strictly upwards."""
        steps: dict[str, str] = {}
        for below, entry in self._reader.entries(node).items():
            if below not in self._queues:
                listed = ", ".join(self._queues)
                self._reader.wrong(entry, f"{below!r} is no queue; expected one of {listed}")
                continue
            above = self._reader.one_of(entry, list(self._queues), kind="queue")
            low, high = self._queues[below], self._queues[above]
            if LEVELS.index(high) <= LEVELS.index(low):
                problem = (
                    f"goes from {low.value} to {high.value}; expected a queue of a higher level"
                )
                self._reader.wrong(entry, problem)
            steps[below] = above
        return steps

    def _rule(self, node: Node) -> EscalationRule:
        reader = self._reader
        section = reader.section(
            node,
            required=("name", "on"),
            optional=("when", "to", "priority", "even_if_worked_on"),
        )
        when = section.get("when")
        filters = (
            reader.section(
                when,
                required=(),
                optional=("level", "queue", "priority", "severity", "vip"),
            )
            if when is not None
            else {}
        )

        def chosen(name: str, allowed: Sequence[str]) -> tuple[str, ...]:
            given = filters.get(name)
            return () if given is None else reader.names(given, allowed=allowed, kind=name)

        name = reader.text(section["name"]) if "name" in section else ""
        if name and _NAME.fullmatch(name) is None:
            reader.wrong(section["name"], f"got {name!r}; expected a name such as n1_no_answer")
        priority = section.get("priority")
        even = section.get("even_if_worked_on")
        return EscalationRule(
            name=name,
            trigger=self._trigger(section["on"]) if "on" in section else Trigger(),
            levels=frozenset(map(Level, chosen("level", _BELOW_TOP) or _BELOW_TOP)),
            queues=frozenset(chosen("queue", list(self._queues))),
            priorities=frozenset(map(Priority, chosen("priority", _values(Priority)))),
            severities=frozenset(map(Severity, chosen("severity", _values(Severity)))),
            vip=reader.flag(filters["vip"]) if "vip" in filters else None,
            to=self._steps(section["to"]) if "to" in section else {},
            priority=(
                Priority(reader.one_of(priority, _values(Priority), kind="priority"))
                if priority is not None
                else None
            ),
            even_if_worked_on=even is not None and reader.flag(even),
        )

    def _trigger(self, node: Node) -> Trigger:
        reader = self._reader
        kinds = ("unanswered_minutes", "sla_warning", "sla_breach", "reopened")
        section = reader.section(node, required=(), optional=kinds)
        if len(section) != 1:
            reader.wrong(node, f"expected exactly one of {', '.join(kinds)}")
            return Trigger()
        kind, entry = next(iter(section.items()))
        if kind == "unanswered_minutes":
            minutes = reader.number(entry, low=1, high=_LONGEST_MINUTES)
            return Trigger(unanswered=timedelta(minutes=minutes))
        if kind == "reopened":
            return Trigger(reopened=reader.whole(entry, low=1, high=100))
        metrics = reader.names(entry, allowed=_values(SlaMetric), kind="metric")
        threshold = SlaThreshold.WARNING if kind == "sla_warning" else SlaThreshold.BREACH
        return Trigger(alert=threshold, metrics=frozenset(map(SlaMetric, metrics)))


def _values(
    enum: type[Level | Priority | Severity | SlaMetric],
) -> list[str]:
    return [member.value for member in enum]
