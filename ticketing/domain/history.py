"""What is stored of a conversation, as a replay reads it, and how a difference is told."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from handoff.policy import HandoffPolicy

STATE = (
    "control",
    "control_epoch",
    "language",
    "language_state",
    "understanding",
    "clarification",
)
"""Columns of a conversation that a turn leaves behind and that a replay compares."""

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision as it is stored.

    Attributes:
        columns: The copies beside it, None where there is none.
        model: The model that read the message; "none" where Ponte decided without the bot.
    """

    turn_id: uuid.UUID
    at: datetime
    rule: str
    columns: Mapping[str, str | None]
    snapshot: JSON
    decision: JSON
    model: str = "unknown"


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A turn that ended; `after` is None in turns of older releases."""

    turn_id: uuid.UUID
    finished_at: datetime
    outcome: str
    after: JSON | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event of one of the conversation's tickets."""

    ticket: int
    kind: str
    at: datetime
    data: JSON


@dataclass(frozen=True, slots=True)
class History:
    """All that is stored of a conversation.

    Attributes:
        decisions: In order of time.
        turns: Those that ended.
        events: Of all its tickets.
        state: The conversation's columns `STATE` now.
        tickets: Number to status now.
        silent: Decisions of silent turns: turn to "remind" or "close".
        undelivered: Turns whose answer never reached the customer: their question is forgotten.
        policies: Version to policy, of all versions that decided and are stored.
    """

    decisions: Sequence[DecisionRecord]
    turns: Sequence[TurnRecord]
    events: Sequence[EventRecord]
    state: JSON
    tickets: Mapping[int, str]
    silent: Mapping[uuid.UUID, str] = field(default_factory=dict)
    undelivered: frozenset[uuid.UUID] = frozenset()
    policies: Mapping[str, HandoffPolicy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is stored otherwise than it is computed again."""

    where: str
    field: str
    stored: Any
    recomputed: Any

    def __str__(self) -> str:
        stored, again = _short(self.stored), _short(self.recomputed)
        return f"{self.where}: {self.field}: stored {stored}, recomputed {again}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


_MAX_SHOWN = 200  # characters of a value in one line
