"""How long what is kept: the kinds, and the checking of `retention.yml`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What has a period of its own."""

    RAW_WEBHOOKS = "raw_webhooks"
    MESSAGE_CONTENTS = "message_contents"
    DECISION_VALUES = "decision_values"
    BOT_TRACKERS = "bot_trackers"
    NOTIFICATIONS = "notifications"
    OUTBOX_EVENTS = "outbox_events"
    SESSIONS = "sessions"
    CONTACTS = "contacts"
    AUDIT = "audit"


LEAST_DAYS: Mapping[Kind, int] = {
    Kind.RAW_WEBHOOKS: 8,  # Meta repeats a webhook for 7 days; the row is what tells a repetition
    Kind.OUTBOX_EVENTS: 2,
    Kind.AUDIT: 180,  # Marco Civil, art. 15: six months of records of access
}
"""Below this something would break, or the law would be."""

LONGEST_DAYS = 36_500


class RetentionError(ValueError):
    """`retention.yml` is not usable; `problems` has a line for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long each kind is kept; a kind that is not named is kept for ever."""

    kept: Mapping[Kind, timedelta]


def parse_retention(document: Any, *, lines: Mapping[str, int] | None = None) -> RetentionPolicy:
    """The policy out of a parsed file.

    Args:
        document: `{"retention": {kind: days}}`.
        lines: Kind -> line in the file, for the messages.

    Raises:
        RetentionError: naming every wrong line.
    """
    found = document.get("retention") if isinstance(document, Mapping) else None
    if not isinstance(found, Mapping) or set(document) != {"retention"}:
        raise RetentionError(("expected one section `retention` with kinds and days",))
    problems, kept = [], {}
    for name, days in found.items():
        where = f"line {lines[name]}: " if lines and name in lines else ""
        if name not in set(Kind):
            allowed = ", ".join(Kind)
            problems.append(f"{where}retention.{name}: expected one of {allowed}")
            continue
        kind = Kind(name)
        least = LEAST_DAYS.get(kind, 1)
        if isinstance(days, bool) or not isinstance(days, int) or not least <= days <= LONGEST_DAYS:
            problems.append(
                f"{where}retention.{name}: expected days from {least} to {LONGEST_DAYS}, "
                f"got {days!r}"
            )
            continue
        kept[kind] = timedelta(days=days)
    if problems:
        raise RetentionError(tuple(problems))
    return RetentionPolicy(kept)
