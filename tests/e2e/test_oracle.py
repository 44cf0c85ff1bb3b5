"""The oracle of the kill test finds what it is there to find."""

from __future__ import annotations

import pytest

from tests.e2e.oracle import AnswerRow, Received, TurnRow, Written, faults

WROTE = Written("in-1", "+55")
GOT = Received("out-1", "+55", "m-1", "delivered")
TURN = TurnRow("in-1", "t-1", "done", "answered", on_ticket=False)
ANSWER = AnswerRow("m-1", "t-1", "delivered")
TO_AGENT = TurnRow("in-1", "t-1", "done", "to_agent", on_ticket=True)


def test_a_message_answered_once_is_sound() -> None:
    assert faults([WROTE], [GOT], [TURN], [ANSWER]) == []


def test_a_message_on_a_ticket_needs_no_answer() -> None:
    assert faults([WROTE], [], [TO_AGENT], []) == []


@pytest.mark.parametrize(
    ("written", "received", "turns", "answers", "says"),
    [
        ([WROTE], [], [], [], "not in the database"),
        ([], [GOT], [TURN], [ANSWER], "nobody wrote it"),
        ([WROTE], [GOT], [TURN, TURN], [ANSWER], "2 times in the database"),
        (
            [WROTE],
            [GOT],
            [TurnRow("in-1", "t-1", "running", None, on_ticket=False)],
            [ANSWER],
            "its turn is running",
        ),
        (
            [WROTE],
            [],
            [TurnRow("in-1", "t-1", None, None, on_ticket=True)],
            [],
            "its turn is missing",
        ),
        (
            [WROTE],
            [GOT, Received("out-2", "+55", "m-1", "sent")],
            [TURN],
            [ANSWER],
            "m-1: received 2 times",
        ),
        (
            [WROTE],
            [GOT, Received("out-2", "+55", "m-2", "sent")],
            [TURN],
            [ANSWER, AnswerRow("m-2", "t-1", "sent")],
            "answered 2 times",
        ),
        (
            [WROTE],
            [GOT, Received("out-2", "+55", None, "sent")],
            [TURN],
            [ANSWER],
            "no message of ours",
        ),
        ([WROTE], [], [TURN], [ANSWER], "nobody received it"),
        ([WROTE], [], [TURN], [AnswerRow("m-1", "t-1", "unknown")], "left in unknown"),
        ([WROTE], [], [TURN], [], "not answered and on no ticket"),
        (
            [WROTE],
            [],
            [TurnRow("in-1", "t-1", "done", "to_agent", on_ticket=True, opened_handoff=True)],
            [],
            "the customer was not told",
        ),
    ],
)
def test_every_kind_of_loss_and_repetition_is_named(
    written: list[Written],
    received: list[Received],
    turns: list[TurnRow],
    answers: list[AnswerRow],
    says: str,
) -> None:
    assert any(says in fault for fault in faults(written, received, turns, answers))
