"""Token buckets: so many requests at once, then so many a second. In this process only.

Several web processes each grant the whole rate; the limits are chosen to bear that.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

_MAX_KEYS = 20_000
"""Buckets kept; the longest unused goes first. About 5 MB."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` requests at once, refilled one every `every`."""

    burst: int
    every: timedelta


LOGIN = Rate(burst=10, every=timedelta(seconds=6))
"""Per address: a shift of colleagues behind one router can log in, a guesser gets 10 a minute."""
SESSION = Rate(burst=120, every=timedelta(milliseconds=100))
"""Per session: a console with several open tabs stays far below 10 a second."""
ANONYMOUS = Rate(burst=60, every=timedelta(milliseconds=500))
"""Per address, for requests without a valid session."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands after a request.

    Attributes:
        limit: Requests at once.
        remaining: Requests that are left now.
        reset_after: Until all are back.
    """

    limit: int
    remaining: int
    reset_after: timedelta


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class RateLimiter:
    """Buckets of one rate, by key."""

    def __init__(self, rate: Rate, *, max_keys: int = _MAX_KEYS) -> None:
        self._rate = rate
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, key: str, *, now: datetime) -> timedelta | None:
        """Take one token; None when there was one, else how long until the next."""
        bucket = self._buckets.pop(key, None) or _Bucket(float(self._rate.burst), now)
        self._buckets[key] = bucket
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        # A clock that steps back refills nothing and takes nothing.
        passed = max(now - bucket.at, timedelta())
        bucket.tokens = min(float(self._rate.burst), bucket.tokens + passed / self._rate.every)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return None
        return self._rate.every * (1 - bucket.tokens)

    def standing(self, key: str) -> Standing:
        """Where the key stands after its last request; for the `RateLimit-*` headers."""
        bucket = self._buckets.get(key)
        tokens = float(self._rate.burst) if bucket is None else bucket.tokens
        missing = self._rate.burst - tokens
        return Standing(self._rate.burst, math.floor(tokens), self._rate.every * missing)

    @property
    def policy(self) -> str:
        """The rate as the `RateLimit-Policy` header says it: so many, back within so many s."""
        window = max(1, math.ceil((self._rate.every * self._rate.burst).total_seconds()))
        return f"{self._rate.burst};w={window}"


def whole_seconds(wait: timedelta) -> int:
    """For a Retry-After header: rounded up, at least 1."""
    return max(1, math.ceil(wait.total_seconds()))
