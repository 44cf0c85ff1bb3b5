from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import Channel
from notifications.domain.retry import (
    CHANNEL_STOPPED,
    RATE_LIMIT,
    RETRY_AFTER_CAP,
    TRANSIENT,
    UNKNOWN_OUTCOME,
    GiveUp,
    RetryIn,
    plan_retry,
    preset_for,
)

TIMEOUT = Failure(FailureKind.TRANSIENT, "timeout")
LIMITED = Failure(FailureKind.RATE_LIMITED, "429", 429)
REFUSED = Failure(FailureKind.PERMANENT, "smtp_550_5.1.1")
STOPPED = Failure(FailureKind.STOP_CHANNEL, "190")
UNKNOWN = Failure(FailureKind.UNKNOWN, "smtp_no_answer")


def after(seconds: float) -> RetryIn:
    return RetryIn(timedelta(seconds=seconds))


def limited(seconds: float) -> Failure:
    return Failure(FailureKind.RATE_LIMITED, "429", 429, timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("attempt", "failure", "preset", "jitter", "expected"),
    [
        (1, TIMEOUT, TRANSIENT, 1.0, after(5)),
        (2, TIMEOUT, TRANSIENT, 1.0, after(10)),
        (3, TIMEOUT, TRANSIENT, 1.0, after(20)),
        (3, TIMEOUT, TRANSIENT, 0.5, after(10)),
        (3, TIMEOUT, TRANSIENT, 0.0, after(0)),
        (11, TIMEOUT, TRANSIENT, 1.0, after(1800)),
        (12, TIMEOUT, TRANSIENT, 1.0, GiveUp("attempts_exhausted")),
        (13, TIMEOUT, TRANSIENT, 1.0, GiveUp("attempts_exhausted")),
        (1, LIMITED, RATE_LIMIT, 1.0, after(5)),
        (8, LIMITED, RATE_LIMIT, 1.0, after(600)),
        (1, limited(30), RATE_LIMIT, 0.0, after(30)),
        (1, limited(30), RATE_LIMIT, 1.0, after(35)),
        (1, limited(3600), RATE_LIMIT, 0.0, after(120)),
        (1, limited(-5), RATE_LIMIT, 0.0, after(0)),
        (16, limited(30), RATE_LIMIT, 0.0, GiveUp("attempts_exhausted")),
        (1, REFUSED, TRANSIENT, 1.0, GiveUp("permanent")),
        (1, STOPPED, CHANNEL_STOPPED, 0.0, after(600)),
        (35, STOPPED, CHANNEL_STOPPED, 0.0, after(600)),
        (36, STOPPED, CHANNEL_STOPPED, 0.0, GiveUp("attempts_exhausted")),
        (1, UNKNOWN, UNKNOWN_OUTCOME, 0.0, after(60)),
        (5, UNKNOWN, UNKNOWN_OUTCOME, 0.0, GiveUp("attempts_exhausted")),
    ],
)
def test_the_plan_follows_attempt_failure_preset_and_jitter(
    attempt: Any, failure: Any, preset: Any, jitter: Any, expected: Any
) -> None:
    assert plan_retry(attempt, failure, preset=preset, jitter=jitter) == expected


@given(
    attempt=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
    asked=st.none() | st.timedeltas(timedelta(days=-1), timedelta(days=400)),
    kind=st.sampled_from(FailureKind),
    channel=st.none() | st.sampled_from(Channel),
)
def test_every_plan_is_bounded(
    attempt: Any, jitter: Any, asked: Any, kind: Any, channel: Any
) -> None:
    failure = Failure(kind, "x", retry_after=asked)
    preset = preset_for(failure, channel=channel)

    plan = plan_retry(attempt, failure, preset=preset, jitter=jitter)

    if isinstance(plan, RetryIn):
        assert timedelta() <= plan.delay <= max(preset.cap, RETRY_AFTER_CAP)
        assert attempt < preset.max_attempts


@pytest.mark.parametrize(
    ("attempt", "jitter", "field"),
    [(0, 0.5, "attempt"), (-1, 0.5, "attempt"), (1, -0.1, "jitter"), (1, 1.1, "jitter")],
)
def test_a_wrong_argument_is_named(attempt: Any, jitter: Any, field: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        plan_retry(attempt, TIMEOUT, preset=TRANSIENT, jitter=jitter)


@pytest.mark.parametrize(
    ("failure", "channel", "preset"),
    [
        (TIMEOUT, Channel.EMAIL, TRANSIENT),
        (LIMITED, Channel.WHATSAPP, RATE_LIMIT),
        (STOPPED, Channel.EMAIL, CHANNEL_STOPPED),
        (UNKNOWN, Channel.EMAIL, TRANSIENT),
        (UNKNOWN, Channel.WHATSAPP, UNKNOWN_OUTCOME),
        (UNKNOWN, None, UNKNOWN_OUTCOME),
    ],
)
def test_an_email_of_unknown_outcome_is_repeated_and_a_whatsapp_waits_for_its_status(
    failure: Any, channel: Any, preset: Any
) -> None:
    assert preset_for(failure, channel=channel) is preset
