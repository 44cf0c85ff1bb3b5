from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain import control
from ticketing.domain.control import ControlError, ControlState
from ticketing.domain.enums import Author, Control

Change = Callable[[ControlState], ControlState]
CHANGES: list[Change] = [control.queue, control.requeue, control.take, control.return_to_bot]


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (control.queue, "bot", "queued"),
        (control.requeue, "human", "queued"),
        (control.requeue, "queued", "queued"),
        (control.take, "bot", "human"),
        (control.take, "queued", "human"),
        (control.take, "human", "human"),
        (control.return_to_bot, "queued", "bot"),
        (control.return_to_bot, "human", "bot"),
    ],
)
def test_a_change_starts_a_new_epoch(change: Change, before: str, after: str) -> None:
    assert change(ControlState(Control(before), 4)) == ControlState(Control(after), 5)


@pytest.mark.parametrize(
    ("change", "present"),
    [
        (control.queue, "queued"),
        (control.queue, "human"),
        (control.requeue, "bot"),
        (control.return_to_bot, "bot"),
    ],
)
def test_an_impossible_change_says_who_has_control(change: Change, present: str) -> None:
    with pytest.raises(ControlError, match=f"control is {present}"):
        change(ControlState(Control(present), 0))


@pytest.mark.parametrize(
    ("author", "epoch", "leaves"),
    [
        (Author.BOT, 3, True),
        (Author.BOT, 2, False),
        (Author.BOT, None, False),
        (Author.AGENT, 2, True),
        (Author.SYSTEM, None, True),
    ],
)
def test_only_the_bots_words_of_an_old_epoch_are_held_back(
    author: Author, epoch: int | None, leaves: bool
) -> None:
    state = ControlState(Control.HUMAN, 3)

    assert control.may_leave(state, author=author, epoch=epoch) is leaves


@given(st.lists(st.sampled_from(CHANGES), max_size=30))
def test_the_epoch_only_grows_whatever_is_tried(changes: list[Change]) -> None:
    state = ControlState(Control.BOT, 0)
    for change in changes:
        try:
            after = change(state)
        except ControlError:
            continue
        assert after.epoch == state.epoch + 1
        state = after
