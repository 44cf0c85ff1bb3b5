from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.silence import CLOSE, REMIND, SilenceTimes
from ticketing.domain.waiting import QUESTION, Waiting

ASKED = datetime(2026, 3, 10, 13, tzinfo=UTC)
TIMES = SilenceTimes(timedelta(minutes=5), timedelta(minutes=10))
OPEN = Waiting("t", QUESTION, ASKED, {"text": "?"}, {"options": []}, "form", "refund")


def after(minutes: float) -> datetime:
    return ASKED + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "waiting",
    [OPEN, OPEN.reminded(after(5)), OPEN.ended(), OPEN.asked_again(turn_id="u", now=after(6))],
)
def test_survives_its_json(waiting: Waiting) -> None:
    assert Waiting.from_json(waiting.to_json()) == waiting


@pytest.mark.parametrize(
    ("waiting", "heard", "due"),
    [
        (OPEN, None, 5),
        (OPEN, -3, 5),
        (OPEN, 2, 7),  # a reaction: the customer is there
        (OPEN.reminded(after(5)), None, 10),
        (OPEN.reminded(after(9)), None, 14),  # late: the same time to answer
        (OPEN.asked_again(turn_id="u", now=after(6)), None, 16),
    ],
)
def test_when_the_next_step_comes(waiting: Waiting, heard: float | None, due: float) -> None:
    last_heard = None if heard is None else after(heard)
    assert waiting.due_at(TIMES, last_heard=last_heard) == after(due)


def test_what_has_ended_is_never_due() -> None:
    assert OPEN.ended().due_at(TIMES) is None


@pytest.mark.parametrize(
    ("waiting", "minutes", "step"),
    [
        (OPEN, 5, REMIND),
        (OPEN, 9.9, REMIND),
        (OPEN, 10, CLOSE),
        (OPEN.reminded(after(5)), 6, CLOSE),
    ],
)
def test_which_step_it_is(waiting: Waiting, minutes: float, step: str) -> None:
    assert waiting.step_at(after(minutes), TIMES) == step


def test_without_a_reminder_the_question_just_ends() -> None:
    times = SilenceTimes(None, timedelta(minutes=10))
    assert OPEN.due_at(times) == after(10)
    assert OPEN.step_at(after(10), times) == CLOSE


@given(
    remind=st.floats(0.01, 1000),
    more=st.floats(0.01, 1000),
    late=st.floats(0, 5000),
)
def test_every_question_ends_after_at_most_one_reminder(
    remind: float, more: float, late: float
) -> None:
    times = SilenceTimes(timedelta(minutes=remind), timedelta(minutes=remind + more))
    waiting, steps = OPEN, []
    while (due := waiting.due_at(times)) is not None:
        now = due + timedelta(minutes=late)
        steps.append(waiting.step_at(now, times))
        waiting = waiting.reminded(now) if steps[-1] == REMIND else waiting.ended()

    assert steps in ([CLOSE], [REMIND, CLOSE])
