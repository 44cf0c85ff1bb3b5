"""Take a stored decision again and compare it field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handoff.decide import decide
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot, SnapshotError
from ticketing.domain.history import JSON, DecisionRecord, Difference

_COLUMNS = ("outcome", "reason", "level", "queue", "priority", "understanding")


def decision_differences(
    record: DecisionRecord, policies: Mapping[str, HandoffPolicy]
) -> Iterator[Difference]:
    """Where a stored decision differs from the one taken again."""
    where = f"decision of turn {record.turn_id}"
    version = str(record.decision.get("policy_version", ""))
    policy = policies.get(version)
    if policy is None:
        yield Difference(where, "policy_version", version, "this version is not stored")
        return
    try:
        snapshot = ConversationSnapshot.from_json(record.snapshot)
    except SnapshotError as error:
        yield Difference(where, "snapshot", "unreadable", str(error))
        return
    decision = decide(snapshot, policy)
    again: JSON = json.loads(json.dumps(decision.to_json()))
    for name, stored in record.decision.items():
        # What a release did not know yet is not in its records.
        if name == "evaluations":
            yield from _evaluation_differences(where, stored, again[name])
        elif name in again and stored != again[name]:
            yield Difference(where, f"decision.{name}", stored, again[name])
    if record.rule != decision.rule_version:
        yield Difference(where, "rule", record.rule, decision.rule_version)
    for name in _COLUMNS:
        stored = record.columns.get(name)
        if stored is not None and stored != again[name]:
            yield Difference(where, name, stored, again[name])


def _evaluation_differences(
    where: str, stored: Sequence[JSON], again: Sequence[JSON]
) -> Iterator[Difference]:
    """Rule by rule; rules that came with a later release are not in the record."""
    by_rule = {item["rule"]: item for item in again}
    for item in stored:
        rule = item.get("rule")
        other = by_rule.get(rule)
        if other != item:
            seen = None if other is None else _first_unlike(item, other)
            yield Difference(where, f"decision.evaluations.{rule}", *(seen or (item, other)))


def _first_unlike(stored: JSON, again: JSON) -> tuple[Any, Any] | None:
    if stored.get("matched") != again["matched"]:
        return stored.get("matched"), again["matched"]
    pairs = zip(stored.get("conditions", ()), again["conditions"], strict=False)
    return next(((one, two) for one, two in pairs if one != two), None)
