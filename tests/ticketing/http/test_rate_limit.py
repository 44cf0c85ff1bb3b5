from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ticketing.http.rate_limit import Rate, RateLimiter, whole_seconds

START = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_burst_is_granted_and_then_one_at_a_time() -> None:
    limiter = RateLimiter(Rate(burst=3, every=SECOND))
    assert [limiter.spend("a", now=START) for _ in range(3)] == [None] * 3
    assert limiter.spend("a", now=START) == SECOND
    assert limiter.spend("a", now=START + SECOND / 2) == SECOND / 2
    assert limiter.spend("a", now=START + SECOND) is None


def test_one_key_does_not_spend_anothers_tokens() -> None:
    limiter = RateLimiter(Rate(burst=1, every=SECOND))
    assert limiter.spend("a", now=START) is None
    assert limiter.spend("b", now=START) is None


def test_a_clock_that_steps_back_refills_nothing() -> None:
    limiter = RateLimiter(Rate(burst=1, every=SECOND))
    limiter.spend("a", now=START)
    assert limiter.spend("a", now=START - timedelta(hours=1)) is not None


def test_the_longest_unused_bucket_is_forgotten_first() -> None:
    limiter = RateLimiter(Rate(burst=1, every=SECOND), max_keys=2)
    for key in ("a", "b", "a", "c"):
        limiter.spend(key, now=START)
    assert limiter.spend("a", now=START) is not None
    assert limiter.spend("b", now=START) is None


def test_retry_after_is_rounded_up_and_at_least_one() -> None:
    assert whole_seconds(timedelta(milliseconds=1)) == 1
    assert whole_seconds(timedelta(seconds=2, milliseconds=1)) == 3
