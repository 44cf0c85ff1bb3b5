from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest

from ticketing.domain.delivery import (
    MAX_ATTEMPTS,
    Failure,
    GiveUp,
    TryAgain,
    after_failure,
    raised,
    state_of_status,
)
from ticketing.domain.enums import DeliveryState

WAIT = timedelta(seconds=30)


def plan(
    kind: str, *, code: str = "x", attempt: int = 1, retry_after: float | None = None
) -> TryAgain | GiveUp:
    failure = Failure(
        kind,  # type: ignore[arg-type]  # the table's words
        code,
        "",
        retry_after=None if retry_after is None else timedelta(seconds=retry_after),
    )
    return after_failure(failure, attempt=attempt, jitter=0.5, unknown_wait=WAIT)


class TestAfterFailure:
    def test_a_permanent_failure_is_given_up(self) -> None:
        assert plan("permanent", code="131026") == GiveUp("131026")

    @pytest.mark.parametrize(
        ("attempt", "seconds"), [(1, 0.75), (2, 1.5), (3, 3.0), (4, 6.0), (5, 12.0)]
    )
    def test_a_transient_failure_backs_off_exponentially(
        self, attempt: int, seconds: float
    ) -> None:
        expected = TryAgain(timedelta(seconds=seconds), DeliveryState.PENDING, spends_attempt=True)

        assert plan("transient", attempt=attempt) == expected

    def test_attempts_end(self) -> None:
        assert isinstance(plan("transient", attempt=MAX_ATTEMPTS), GiveUp)

    def test_an_unknown_outcome_waits_for_a_status(self) -> None:
        assert plan("unknown") == TryAgain(WAIT, DeliveryState.UNKNOWN, spends_attempt=True)

    def test_a_stopped_channel_burns_no_attempts(self) -> None:
        stopped = plan("stop_channel", attempt=MAX_ATTEMPTS + 3)

        assert isinstance(stopped, TryAgain)
        assert not stopped.spends_attempt

    @pytest.mark.parametrize(("asked", "kept"), [(7, 7), (9000, 120), (0, 0)])
    def test_retry_after_is_honoured_up_to_two_minutes(self, asked: float, kept: float) -> None:
        answer = plan("transient", retry_after=asked)

        assert answer == TryAgain(
            timedelta(seconds=kept), DeliveryState.PENDING, spends_attempt=False
        )

    @pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 4), (3, 16), (4, 64)])
    def test_the_pair_limit_waits_powers_of_four(self, attempt: int, seconds: int) -> None:
        answer = plan("transient", code="131056", attempt=attempt)

        assert isinstance(answer, TryAgain)
        assert answer.delay == timedelta(seconds=seconds)


class TestRaised:
    @pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "read"])))
    def test_statuses_in_any_order_end_in_the_highest(self, order: tuple[str, ...]) -> None:
        state = DeliveryState.SENDING
        for word in order:
            reported = state_of_status(word)
            assert reported is not None
            state = raised(state, reported)

        assert state is DeliveryState.READ

    def test_sent_does_not_clear_failed(self) -> None:
        assert raised(DeliveryState.FAILED, DeliveryState.SENT) is DeliveryState.FAILED

    def test_a_word_we_do_not_know_says_nothing(self) -> None:
        assert state_of_status("teleported") is None
