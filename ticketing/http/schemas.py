"""Bodies and queries of the API. Unknown fields are refused; texts must be storable and visible."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from channels.message import MAX_TEXT
from ticketing.domain.enums import Level, Priority, Severity
from ticketing.domain.login import MAX_PASSWORD
from ticketing.domain.review import Verdict
from ticketing.services.explanations import DEFAULT_DECISIONS, MAX_DECISIONS

MAX_REASON = 500
MAX_CLOSING_TEXT = MAX_TEXT - 296
"""Leaves room for the standard words that follow it in the same message."""


def readable(value: str) -> str:
    """Text without control characters (line breaks and tabs may stay) and with something to see.

    Raises:
        ValueError: saying what is wrong.
    """
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t\r":
            message = f"must not contain the control character U+{ord(character):04X}"
            raise ValueError(message)
    if value and all(unicodedata.category(item)[0] in "CZ" for item in value):
        message = "must contain something visible"
        raise ValueError(message)
    return value


class Strict(BaseModel):
    """Base of every body and query."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True, frozen=True
    )


Words = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(readable)]
Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON), AfterValidator(readable)]
Key = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(readable)]
Version = Annotated[
    int | None,
    Field(ge=1, le=2**31 - 1, description="Refuse if the ticket has changed since this version."),
]
AgentId = Annotated[uuid.UUID | None, Field(description="Id of an active agent of the queue.")]


class LoginBody(BaseModel):
    """Who logs in."""

    # Not Strict: a password keeps its spaces.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    email: Annotated[str, Field(min_length=3, max_length=254), AfterValidator(readable)]
    password: Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD), AfterValidator(readable)]


class TakeBody(Strict):
    """Take a ticket."""

    expected_version: Version = None


class ReplyBody(Strict):
    """Write to the customer."""

    text: Words
    status: Literal["open", "pending_customer", "pending_third_party"] = Field(
        default="open", description="What the ticket waits for afterwards."
    )
    expected_version: Version = None


class NoteBody(Strict):
    """An internal remark."""

    text: Words
    expected_version: Version = None


class EscalateBody(Strict):
    """Hand the ticket up, or aside to another queue of its level. A queue or a level is needed."""

    reason: Reason
    queue: Key | None = None
    level: Level | None = None
    priority: Priority | None = None
    agent_id: AgentId = None
    expected_version: Version = None


class DeEscalateBody(Strict):
    """Hand the ticket down to a lower level. A queue or a level is needed."""

    reason: Reason
    queue: Key | None = None
    level: Level | None = None
    agent_id: AgentId = None
    expected_version: Version = None


class PriorityBody(Strict):
    """Another priority."""

    priority: Priority
    reason: Reason | None = None
    expected_version: Version = None


class AssignBody(Strict):
    """Give the ticket to an agent or a queue, or correct its severity."""

    agent_id: AgentId = None
    queue: Key | None = None
    level: Level | None = None
    severity: Severity | None = None
    reason: Reason | None = None
    expected_version: Version = None


OverrideReason = Annotated[
    Reason | None,
    Field(description="A supervisor's reason to leave obligatory steps of the runbook undone."),
]


class ResolveBody(Strict):
    """Settle the matter."""

    closing_text: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_CLOSING_TEXT,
            description="Said to the customer before the standard closing words.",
        ),
        AfterValidator(lambda value: value if value is None else readable(value)),
    ] = None
    reason: Reason | None = None
    override_reason: OverrideReason = None
    expected_version: Version = None


class ReturnBody(Strict):
    """Let the bot go on."""

    reason: Reason | None = None
    override_reason: OverrideReason = None
    expected_version: Version = None


class CloseBody(Strict):
    """Put a resolved ticket away."""

    expected_version: Version = None


class ReopenBody(Strict):
    """Take a resolved ticket up again."""

    reason: Reason
    expected_version: Version = None


class SatisfactionBody(Strict):
    """What the customer thinks of how the ticket was dealt with; changeable for 24 hours."""

    score: Annotated[int, Field(ge=1, le=5, description="1 (very bad) to 5 (very good).")]
    comment: Annotated[Reason | None, Field(description="In the customer's words.")] = None


class ReviewBody(Strict):
    """Judge a decision of the bot. A second judgement by the same person replaces the first."""

    verdict: Annotated[
        Verdict,
        Field(
            description="right; wrong: no person was needed; late: a person was needed earlier, "
            "or, of a turn that the bot kept, here."
        ),
    ]
    true_intent: Annotated[
        Key | None, Field(description="What the customer meant: an intent of handoff.yml.")
    ] = None
    note: Reason | None = None


class NoBody(Strict):
    """Nothing is wanted in the body."""


class DecisionQuery(Strict):
    """Which decisions, and in which language they are explained."""

    language: Annotated[
        Literal["pt", "en", "es"], Field(description="Language of the explanation.")
    ] = "pt"
    limit: Annotated[int, Field(ge=1, le=MAX_DECISIONS)] = DEFAULT_DECISIONS
    cursor: Annotated[
        uuid.UUID | None, Field(description="`next_cursor` of the page before: older decisions.")
    ] = None


class NoQuery(Strict):
    """No parameters are known."""
