from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import Channel
from notifications.domain.retry import (
    CHANNEL_STOPPED,
    LONGEST_OWN_WAIT,
    MAX_DEFERRALS,
    PAIR_LIMIT,
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


PAIR = Failure(FailureKind.RATE_LIMITED, "131056", 400, consequence=Consequence.SLOW_RECIPIENT)


def after(seconds: float) -> RetryIn:
    return RetryIn(timedelta(seconds=seconds))


def free(seconds: float) -> RetryIn:
    return RetryIn(timedelta(seconds=seconds), spends=False)


def allowing(attempts: int) -> Failure:
    return Failure(FailureKind.TRANSIENT, "1", 500, attempts_allowed=attempts)


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
        (1, REFUSED, TRANSIENT, 1.0, GiveUp("permanent")),
        (1, UNKNOWN, UNKNOWN_OUTCOME, 0.0, after(45)),
        (4, UNKNOWN, UNKNOWN_OUTCOME, 1.0, after(45)),
        (5, UNKNOWN, UNKNOWN_OUTCOME, 0.0, GiveUp("attempts_exhausted")),
        (1, allowing(1), TRANSIENT, 1.0, GiveUp("attempts_exhausted")),
        (1, allowing(2), TRANSIENT, 1.0, after(5)),
        (2, allowing(2), TRANSIENT, 1.0, GiveUp("attempts_exhausted")),
        (1, allowing(0), TRANSIENT, 1.0, GiveUp("attempts_exhausted")),
        (12, allowing(99), TRANSIENT, 1.0, GiveUp("attempts_exhausted")),
    ],
)
def test_the_plan_follows_attempt_failure_preset_and_jitter(
    attempt: Any, failure: Any, preset: Any, jitter: Any, expected: Any
) -> None:
    assert plan_retry(attempt, failure, preset=preset, jitter=jitter) == expected


@pytest.mark.parametrize(
    ("deferrals", "failure", "preset", "jitter", "expected"),
    [
        (0, LIMITED, RATE_LIMIT, 1.0, free(5)),
        (1, LIMITED, RATE_LIMIT, 1.0, free(10)),
        (7, LIMITED, RATE_LIMIT, 1.0, free(600)),
        (0, limited(30), RATE_LIMIT, 0.0, free(30)),
        (0, limited(30), RATE_LIMIT, 1.0, free(35)),
        (4, limited(1), RATE_LIMIT, 1.0, free(81)),
        (0, limited(3600), RATE_LIMIT, 1.0, free(120)),
        (0, limited(-5), RATE_LIMIT, 0.0, free(0)),
        (999, LIMITED, RATE_LIMIT, 0.0, free(0)),
        (1000, LIMITED, RATE_LIMIT, 0.0, GiveUp("attempts_exhausted")),
        (0, PAIR, PAIR_LIMIT, 0.0, free(1)),
        (1, PAIR, PAIR_LIMIT, 0.0, free(4)),
        (2, PAIR, PAIR_LIMIT, 1.0, free(17)),
        (5, PAIR, PAIR_LIMIT, 0.0, free(1024)),
        (900, PAIR, PAIR_LIMIT, 0.0, free(3600)),
        (0, STOPPED, CHANNEL_STOPPED, 0.0, free(60)),
        (35, STOPPED, CHANNEL_STOPPED, 1.0, free(120)),
        (1000, STOPPED, CHANNEL_STOPPED, 0.0, GiveUp("attempts_exhausted")),
    ],
)
def test_a_busy_provider_and_a_stopped_channel_spend_no_attempt(
    deferrals: Any, failure: Any, preset: Any, jitter: Any, expected: Any
) -> None:
    plan = plan_retry(30, failure, preset=preset, jitter=jitter, deferrals=deferrals)
    assert plan == expected


def test_a_wait_of_our_own_table_is_not_capped_like_a_providers() -> None:
    ours = Failure(
        FailureKind.TRANSIENT, "30008", retry_after=timedelta(minutes=15), wait_is_ours=True
    )
    assert plan_retry(1, ours, preset=TRANSIENT, jitter=0.0) == after(900)


@given(
    attempt=st.integers(1, 10_000),
    deferrals=st.integers(0, 10_000),
    jitter=st.floats(0, 1),
    asked=st.none() | st.timedeltas(timedelta(days=-1), timedelta(days=400)),
    ours=st.booleans(),
    allowed=st.none() | st.integers(-1, 40),
    kind=st.sampled_from(FailureKind),
    consequence=st.sampled_from(Consequence),
    channel=st.none() | st.sampled_from(Channel),
    once=st.booleans(),
)
def test_every_plan_is_bounded_and_keeps_to_what_was_asked(  # noqa: PLR0917 - what a plan depends on
    attempt: Any,
    deferrals: Any,
    jitter: Any,
    asked: Any,
    ours: Any,
    allowed: Any,
    kind: Any,
    consequence: Any,
    channel: Any,
    once: Any,
) -> None:
    failure = Failure(
        kind,
        "x",
        retry_after=asked,
        consequence=consequence,
        wait_is_ours=ours,
        attempts_allowed=allowed,
    )
    preset = preset_for(failure, channel=channel, at_most_once=once)

    plan = plan_retry(attempt, failure, preset=preset, jitter=jitter, deferrals=deferrals)

    if isinstance(plan, GiveUp):
        return
    cap = LONGEST_OWN_WAIT if ours else RETRY_AFTER_CAP
    assert timedelta() <= plan.delay <= max(preset.cap + preset.spread, cap)
    assert plan.delay >= min(asked or timedelta(), cap)
    assert plan.spends is (kind not in {FailureKind.RATE_LIMITED, FailureKind.STOP_CHANNEL})
    if plan.spends:
        assert attempt < preset.max_attempts
    else:
        assert deferrals < MAX_DEFERRALS
    assert kind is not FailureKind.PERMANENT


@pytest.mark.parametrize(
    ("attempt", "jitter", "field"),
    [(0, 0.5, "attempt"), (-1, 0.5, "attempt"), (1, -0.1, "jitter"), (1, 1.1, "jitter")],
)
def test_a_wrong_argument_is_named(attempt: Any, jitter: Any, field: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        plan_retry(attempt, TIMEOUT, preset=TRANSIENT, jitter=jitter)


@pytest.mark.parametrize(
    ("failure", "channel", "once", "preset"),
    [
        (TIMEOUT, Channel.EMAIL, False, TRANSIENT),
        (TIMEOUT, Channel.SMS, True, TRANSIENT),
        (LIMITED, Channel.WHATSAPP, False, RATE_LIMIT),
        (PAIR, Channel.WHATSAPP, False, PAIR_LIMIT),
        (STOPPED, Channel.EMAIL, False, CHANNEL_STOPPED),
        (UNKNOWN, Channel.EMAIL, False, TRANSIENT),
        (UNKNOWN, Channel.PUSH, False, TRANSIENT),
        (UNKNOWN, Channel.EMAIL, True, UNKNOWN_OUTCOME),
        (UNKNOWN, Channel.PUSH, True, UNKNOWN_OUTCOME),
        (UNKNOWN, Channel.WHATSAPP, False, UNKNOWN_OUTCOME),
        (UNKNOWN, Channel.SMS, False, UNKNOWN_OUTCOME),
        (UNKNOWN, None, False, TRANSIENT),
    ],
)
def test_what_replaces_its_first_copy_is_repeated_and_the_rest_waits_for_a_status(
    failure: Any, channel: Any, once: Any, preset: Any
) -> None:
    assert preset_for(failure, channel=channel, at_most_once=once) is preset
