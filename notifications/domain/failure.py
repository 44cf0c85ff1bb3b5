"""What can go wrong when a provider is asked to send, in five kinds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class FailureKind(StrEnum):
    """What a failure means for the next step."""

    TRANSIENT = "transient"
    """Nothing was sent; the same request may work later."""
    RATE_LIMITED = "rate_limited"
    """Nothing was sent; the provider asks for fewer requests."""
    PERMANENT = "permanent"
    """Nothing was sent, and the same request will never work."""
    STOP_CHANNEL = "stop_channel"
    """The account is refused (credentials, permission, billing): no notice can leave this way."""
    UNKNOWN = "unknown"
    """The request was written and no answer came: it may have been sent."""


class Consequence(StrEnum):
    """What a failure means for more than the one notice."""

    NONE = "none"
    SLOW_NUMBER = "slow_number"
    """Nothing more by this job name for a while (429, 130429)."""
    SLOW_RECIPIENT = "slow_recipient"
    """Nothing more to this recipient for a while, the others go on (131056)."""
    STRIKE_RECIPIENT = "strike_recipient"
    """Suspend the address after repeats (131026, 30003)."""
    DISABLE_RECIPIENT = "disable_recipient"
    """The address does not exist or cannot take this (21211, 550 5.1.1, UNREGISTERED)."""
    OPT_OUT_RECIPIENT = "opt_out_recipient"
    """The person said no (131050, 21610)."""
    ALERT = "alert"
    """Our request or our configuration is wrong: a person has to mend it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt. `detail` is in our words: provider texts may hold addresses.

    Attributes:
        kind: What it means for the notice.
        code: The provider's code (`131026`, `21610`, `smtp_550_5.1.1`, `UNREGISTERED`), or ours.
        http_status: HTTP status of the answer, when there was one.
        retry_after: What the provider asked for, not capped yet.
        detail: For the operator.
        consequence: What it means for others.
        wait_is_ours: True when `retry_after` is our table's word (30008: after a quarter of
            an hour) and not the provider's, so that the cap on providers does not hold.
        attempts_allowed: Attempts the table allows for this code; None: the preset's number.
        of_question: True when a question about an earlier attempt failed: nothing was sent by this
            one, and it says nothing of whether sending works.
    """

    kind: FailureKind
    code: str
    http_status: int | None = None
    retry_after: timedelta | None = None
    detail: str = ""
    consequence: Consequence = Consequence.NONE
    wait_is_ours: bool = False
    attempts_allowed: int | None = None
    of_question: bool = False


class SendFailedError(Exception):
    """A sender could not send."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(f"{failure.kind.value} {failure.code}: {failure.detail}")


def error_record(
    failure: Failure, *, job_name: str, attempt: int, at: datetime, gave_up: str | None = None
) -> dict[str, Any]:
    """The normalised error that is stored on the row.

    `attempt` counts from 1. `gave_up` says why there is no further attempt, and is None while there
    will be one.
    """
    return {
        "kind": failure.kind.value,
        "code": failure.code,
        "http_status": failure.http_status,
        "detail": failure.detail,
        "job_name": job_name,
        "attempt": attempt,
        "failed_at": at.isoformat(),
        "gave_up": gave_up,
    }
