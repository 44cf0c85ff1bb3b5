"""What the bot waits for in a conversation, and when a silent customer is reminded of it.

Only an open question waits: a clarifying question, a form that asks, or an answer in which nothing
is done until the customer says yes or no. Everything else was answered; nobody is reminded of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from handoff.silence import CLOSE, REMIND, SilenceTimes

QUESTION, FORM, OFFER = "question", "form", "offer"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open question, kept with the conversation.

    Attributes:
        turn_id: The turn that asked; asking once more ("continue") is another turn.
        kind: `QUESTION`, `FORM` or `OFFER`.
        asked_at: When the turn ended.
        message: The message that asks (`OutboundMessage.to_json`), to be repeated.
        clarification: What must be kept to understand a typed answer; see `Conversation`.
        form: Name of the form that asks.
        intent: What was being talked about.
        reminded_at: When the customer was offered to continue; nobody is asked that twice.
        offers_choices: The last thing the customer read is "continue, a person, or cancel?".
        closed: The question has ended in silence. "Continue" still opens it again.
    """

    turn_id: str
    kind: str
    asked_at: datetime
    message: Mapping[str, Any]
    clarification: Mapping[str, Any] | None = None
    form: str | None = None
    intent: str | None = None
    reminded_at: datetime | None = None
    offers_choices: bool = False
    closed: bool = False

    def to_json(self) -> dict[str, Any]:
        """What is stored with the conversation."""
        return {
            **asdict(self),
            "asked_at": self.asked_at.isoformat(),
            "reminded_at": self.reminded_at and self.reminded_at.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Waiting:
        """Read what `to_json` wrote."""
        reminded_at = value.get("reminded_at")
        return cls(
            turn_id=value["turn_id"],
            kind=value["kind"],
            asked_at=datetime.fromisoformat(value["asked_at"]),
            message=value["message"],
            clarification=value.get("clarification"),
            form=value.get("form"),
            intent=value.get("intent"),
            reminded_at=datetime.fromisoformat(reminded_at) if reminded_at else None,
            offers_choices=bool(value.get("offers_choices")),
            closed=bool(value.get("closed")),
        )

    def due_at(self, times: SilenceTimes, *, last_heard: datetime | None = None) -> datetime | None:
        """When the next step comes; None when there is none any more.

        Args:
            times: The settings.
            last_heard: When the customer last did anything, a reaction included.
        """
        if self.closed:
            return None
        since = max(self.asked_at, last_heard or self.asked_at)
        if self.reminded_at is None:
            return since + (times.remind_after or times.close_after)
        # A reminder that came late (the process was down) leaves the same time to answer it.
        pause = times.close_after - (times.remind_after or times.close_after)
        return max(since + times.close_after, self.reminded_at + pause)

    def step_at(self, now: datetime, times: SilenceTimes) -> str:
        """Which step a due question is at: too late for the reminder, it just ends."""
        if self.reminded_at is not None or times.remind_after is None:
            return CLOSE
        return CLOSE if now >= self.asked_at + times.close_after else REMIND

    def asked_again(self, *, turn_id: str, now: datetime) -> Waiting:
        """The question repeated on the customer's wish; it is not reminded of once more."""
        return replace(
            self,
            turn_id=turn_id,
            asked_at=now,
            reminded_at=self.reminded_at or now,
            offers_choices=False,
            closed=False,
        )

    def reminded(self, now: datetime) -> Waiting:
        """After the offer to continue."""
        return replace(self, reminded_at=now, offers_choices=True)

    def ended(self) -> Waiting:
        """After the question has ended in silence."""
        return replace(self, closed=True, offers_choices=False)


def minutes_between(first: datetime, last: datetime) -> float:
    """Minutes from one moment to another, never less than 0."""
    return max((last - first).total_seconds() / 60, 0.0)
