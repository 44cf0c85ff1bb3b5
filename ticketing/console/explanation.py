"""A stored decision, read for people: the ranking, and every rule with what was seen and wanted.

The record may be of an older release, so missing parts are left out instead of failing the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ticketing.services.views import DecisionView

_RANKING = 5


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: the fact, what was seen, what was wanted, and whether it was met."""

    fact: str
    seen: str
    wanted: str
    met: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the policy on this turn."""

    name: str
    matched: bool
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the rules decided as they did."""

    ranking: tuple[tuple[str, float], ...]
    rules: tuple[Rule, ...]
    versions: Mapping[str, str]


def explain(record: DecisionView | None) -> Explanation | None:
    """What the record says; None without a record."""
    if record is None:
        return None
    ranking = [
        (str(item[0]), float(item[1]))
        for item in _list(record.snapshot.get("ranking"))
        if isinstance(item, list) and len(item) > 1 and isinstance(item[1], int | float)
    ]
    return Explanation(
        ranking=tuple(ranking[:_RANKING]),
        rules=tuple(
            _rule(item)
            for item in _list(record.decision.get("evaluations"))
            if isinstance(item, Mapping)
        ),
        versions={str(name): str(value) for name, value in record.versions.items()},
    )


def _rule(item: Mapping[str, Any]) -> Rule:
    return Rule(
        name=str(item.get("rule", "")),
        matched=bool(item.get("matched")),
        conditions=tuple(
            Condition(
                fact=str(part.get("fact", "")),
                seen=str(part.get("seen", "")),
                wanted=str(part.get("wanted", "")),
                met=bool(part.get("met")),
            )
            for part in _list(item.get("conditions"))
            if isinstance(part, Mapping)
        ),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
