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


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt. `detail` is in our words: provider texts may hold addresses."""

    kind: FailureKind
    code: str
    http_status: int | None = None
    retry_after: timedelta | None = None
    detail: str = ""


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
