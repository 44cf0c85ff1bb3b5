"""The real policy of the repository, and snapshots of an ordinary turn to vary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handoff.policy import HandoffPolicy
from handoff.policy_file import load_policy
from handoff.snapshot import ConversationSnapshot
from ponte.holiday_dates import holiday_dates

POLICY_FILE = Path(__file__).parents[2] / "handoff.yml"
TUESDAY_MORNING = datetime(2026, 11, 24, 10, 0, tzinfo=ZoneInfo("America/Sao_Paulo"))

SnapshotMaker = Callable[..., ConversationSnapshot]


@pytest.fixture(scope="session")
def policy_text() -> str:
    return POLICY_FILE.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def policy() -> HandoffPolicy:
    return load_policy(POLICY_FILE, holiday_dates=holiday_dates)


@pytest.fixture(scope="session")
def turn() -> SnapshotMaker:
    """Makes the snapshot of a well understood turn on a Tuesday morning, with changes."""

    def make(**changes: Any) -> ConversationSnapshot:
        ordinary: dict[str, Any] = {
            "turn_id": "turn-1",
            "conversation_id": "conversation-1",
            "channel": "whatsapp",
            "now": TUESDAY_MORNING,
            "text_length": 42,
            "top_intent": "order_status",
            "ranking": (("order_status", 0.9), ("refund", 0.05), ("cancel", 0.05)),
            "language_confidence": 0.97,
        }
        return ConversationSnapshot(**{**ordinary, **changes})

    return make
