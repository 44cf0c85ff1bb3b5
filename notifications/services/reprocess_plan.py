"""How a reprocessing or discarding is done, and what it would do: values without a database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
"""More at once is nobody's considered decision, and its dry run would be slow."""

DEFAULT_RATE = 20.0
"""Notices a second: below what every provider here takes, so that a reprocessing does not trip the
breaker that the failures have just closed."""

MAX_RATE = 1_000.0


@dataclass(frozen=True, slots=True)
class Options:
    """How an action is done.

    Attributes:
        limit: Most entries it looks at, the oldest first.
        rate: Notices a second that become due.
        even_expired: Also those whose time is over; they do not expire any more.
        even_unknown: Also those that may have been sent and must not be sent twice.
        expected: The number of matching entries that the operator has seen; more are refused.
    """

    limit: int = DEFAULT_LIMIT
    rate: float = DEFAULT_RATE
    even_expired: bool = False
    even_unknown: bool = False
    expected: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            message = f"limit: expected 1 to {MAX_LIMIT}, got {self.limit}"
            raise InvalidOptionError(message, field="limit")
        if not 0 < self.rate <= MAX_RATE:
            message = f"rate: expected more than 0 and at most {MAX_RATE:g}, got {self.rate:g}"
            raise InvalidOptionError(message, field="rate")


class InvalidOptionError(ValueError):
    """An option of an action is out of its range."""

    def __init__(self, message: str, *, field: str) -> None:
        self.field = field
        super().__init__(message)


class MoreThanSeenError(Exception):
    """More entries match than the operator was shown: a new dry run is due."""

    def __init__(self, expected: int, present: int) -> None:
        self.expected = expected
        self.present = present
        super().__init__(
            f"expected: {expected} matched in the dry run, {present} match now; look again"
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would do now. Counts by job name, error code and age are of all it looks at.

    Attributes:
        matched: Entries that match; give it back as `expected`.
        looked_at: The oldest of them, up to the limit.
        would_do: Would be sent again, or discarded.
        would_discard: Of a reprocessing: were at their last attempt already.
        refused: The others, by reason.
        invalid: What is wrong with those of invalid job or payload, each problem once.
        seconds: How long it takes until the last one is due.
    """

    action: str
    as_of: datetime
    matched: int
    looked_at: int
    would_do: int
    would_discard: int
    refused: Mapping[str, int]
    invalid: tuple[str, ...]
    by_job: Mapping[str, int]
    by_code: Mapping[str, int]
    by_age: Mapping[str, int]
    seconds: float
    sample: tuple[uuid.UUID, ...]
