"""Reading `sla.yml`: every mistake in it named with its line.

Queues, calendars and the first answers promised to customers are `handoff.yml`'s; this file names
them and says them nowhere again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import timedelta

from handoff.policy import HandoffPolicy
from handoff.policy_file import MAX_BYTES, PolicyError
from handoff.policy_nodes import Node, Problem, Reader
from handoff.policy_sections import plain
from handoff.policy_yaml import YAMLProblemError, read_tree
from ticketing.domain.enums import Level, Priority, Severity, SlaMetric, TicketStatus
from ticketing.domain.sla.rules import (
    ALWAYS,
    AROUND_THE_CLOCK,
    PAUSING,
    Match,
    SlaPolicy,
    SlaRules,
    Target,
)

PROMISED = "promised"
"""As `minutes` of first_response: what `handoff.yml` promises to customers, by priority."""

QUEUES_OWN = "queue"
"""As `calendar`: that of the ticket's queue."""

MAX_MINUTES = 525_600  # a year around the clock; more is no promise
_LEAST_WARNING, _MOST_WARNING = 0.01, 0.99
_VERSION_LENGTH = 12
_WARNING = 0.7

_PRIORITIES = tuple(item.value for item in Priority)
_LEVELS = tuple(item.value for item in Level)
_SEVERITIES = tuple(item.value for item in Severity)
_METRICS = tuple(item.value for item in SlaMetric)


def parse_rules(
    text: str,
    *,
    policy: HandoffPolicy,
    warning: float = _WARNING,
    filename: str = "sla.yml",
) -> SlaRules:
    """The rules a YAML text describes.

    Args:
        text: The content of the file.
        policy: The handoff policy whose queues, calendars and promises it names.
        warning: Share of a target after which somebody is warned, where the file does not say.
        filename: For the messages.

    Raises:
        PolicyError: Something is wrong; lists all of it, with lines.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        problem = Problem(1, "file", f"is too long; expected at most {MAX_BYTES} bytes")
        raise PolicyError(filename, [problem])
    reader = Reader()
    try:
        root = read_tree(text, reader)
    except YAMLProblemError as err:
        raise PolicyError(filename, [*reader.problems, err.problem]) from err
    section = reader.section(root, required=("sla", "policies"), optional=("warning",))
    names = _Names(policy)
    policies = _policies(section["policies"], reader, names) if "policies" in section else ()
    if "warning" in section:
        warning = reader.number(section["warning"], low=_LEAST_WARNING, high=_MOST_WARNING)
    name = reader.text(section["sla"]) if "sla" in section else ""
    if reader.problems:
        raise PolicyError(filename, reader.problems)
    return SlaRules(
        name=name,
        version=_version(root, policy, warning),
        policies=policies,
        calendars=names.calendars,
        queue_calendars={key: queue.calendar for key, queue in policy.queues.items()},
        default_calendar=policy.queues[policy.defaults.queue].calendar
        if policy.defaults.queue in policy.queues
        else ALWAYS,
        warning=warning,
    )


class _Names:
    """What the file may name."""

    def __init__(self, policy: HandoffPolicy) -> None:
        self.calendars = {ALWAYS: AROUND_THE_CLOCK, **policy.calendars}
        self.queues = tuple(policy.queues)
        self.promised = dict(policy.first_response)


def _version(root: Node, policy: HandoffPolicy, warning: float) -> str:
    """Short hash of what the file says and of the promises it refers to."""
    promised = {key: value.total_seconds() for key, value in policy.first_response.items()}
    content = json.dumps([plain(root), promised, warning], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_LENGTH]


def _policies(node: Node, reader: Reader, names: _Names) -> tuple[SlaPolicy, ...]:
    found: list[SlaPolicy] = []
    for entry in reader.items(node):
        policy = _policy(entry, reader, names)
        if policy is None:
            continue
        if policy.id in {other.id for other in found}:
            reader.wrong(entry, f"id {policy.id!r} is given twice; expected each id once")
        shadow = next((other.id for other in found if other.when.fits_all), None)
        if shadow is not None:
            what = f"is never reached: {shadow!r} above has no conditions; expected it last"
            reader.wrong(entry, what)
        found.append(policy)
    if not found and not reader.problems:
        reader.wrong(node, "no policy; expected at least one")
    return tuple(found)


def _policy(node: Node, reader: Reader, names: _Names) -> SlaPolicy | None:
    section = reader.section(node, required=("id", "targets"), optional=("why", "when"))
    if not {"id", "targets"} <= set(section):
        return None
    policy_id = reader.text(section["id"])
    if "@" in policy_id or " " in policy_id:
        reader.wrong(section["id"], f"got {policy_id!r}; expected a name without spaces or @")
    if "why" in section:
        reader.text(section["why"])
    targets = reader.section(section["targets"], required=(), optional=_METRICS)
    if not targets and isinstance(section["targets"].value, Mapping):
        what = f"is empty; expected one or more of {', '.join(_METRICS)}"
        reader.wrong(section["targets"], what)
    return SlaPolicy(
        id=policy_id,
        when=_match(section["when"], reader, names) if "when" in section else Match(),
        targets={
            SlaMetric(metric): _target(SlaMetric(metric), entry, reader, names)
            for metric, entry in targets.items()
        },
    )


def _match(node: Node, reader: Reader, names: _Names) -> Match:
    known: Mapping[str, Collection[str] | None] = {
        "priority": _PRIORITIES,
        "severity": _SEVERITIES,
        "level": _LEVELS,
        "queue": names.queues,
        "channel": None,
        "company": None,
    }
    section = reader.section(node, required=(), optional=(*known, "vip", "tag"))
    return Match(
        fields={
            name: frozenset(reader.names(section[name], allowed=allowed, kind=name))
            for name, allowed in known.items()
            if name in section
        },
        vip=reader.flag(section["vip"]) if "vip" in section else None,
        tags=frozenset(reader.names(section["tag"])) if "tag" in section else frozenset(),
    )


def _target(metric: SlaMetric, node: Node, reader: Reader, names: _Names) -> Target:
    section = reader.section(
        node, required=("minutes",), optional=("calendar", "pause_on", "warning")
    )
    calendar = QUEUES_OWN
    if "calendar" in section:
        allowed = (QUEUES_OWN, *names.calendars)
        calendar = reader.one_of(section["calendar"], allowed, kind="calendar")
    return Target(
        durations=_durations(metric, section["minutes"], reader, names)
        if "minutes" in section
        else {},
        calendar=None if calendar == QUEUES_OWN else calendar,
        pause_on=_pauses(metric, section.get("pause_on"), reader),
        warning=reader.number(section["warning"], low=_LEAST_WARNING, high=_MOST_WARNING)
        if "warning" in section
        else None,
    )


def _durations(
    metric: SlaMetric, node: Node, reader: Reader, names: _Names
) -> dict[str, timedelta]:
    """One number for all, a number by priority (by level for `level`), or `promised`."""
    keys = _LEVELS if metric is SlaMetric.LEVEL else _PRIORITIES
    if node.value == PROMISED:
        if metric is SlaMetric.FIRST_RESPONSE:
            return names.promised
        reader.wrong(node, f"{PROMISED!r} is for first_response; expected minutes")
        return {}
    if isinstance(node.value, Mapping):
        entries = reader.section(node, required=(), optional=keys)
        if not entries and not node.value:
            reader.wrong(node, f"is empty; expected minutes by {', '.join(keys)}")
        return {key: _minutes(entry, reader) for key, entry in entries.items()}
    return dict.fromkeys(keys, _minutes(node, reader))


def _minutes(node: Node, reader: Reader) -> timedelta:
    return timedelta(minutes=reader.whole(node, low=1, high=MAX_MINUTES))


def _pauses(metric: SlaMetric, node: Node | None, reader: Reader) -> frozenset[TicketStatus]:
    if node is None:
        # A first answer is owed whatever the ticket waits for; the rest is not ours to speed up.
        return frozenset() if metric is SlaMetric.FIRST_RESPONSE else frozenset(PAUSING)
    allowed = tuple(status.value for status in PAUSING)
    named = reader.names(node, allowed=allowed, kind="status", may_be_empty=True)
    return frozenset(TicketStatus(name) for name in named)
