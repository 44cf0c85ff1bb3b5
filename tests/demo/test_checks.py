from __future__ import annotations

import pytest

from demo.checks import differences
from demo.observer import TurnView
from demo.script import Expectation

TURN = TurnView(
    seconds=0.1,
    outcome="answered",
    decision={"outcome": "stay", "rule": "default_confident", "reason": "understood"},
    snapshot={"top_intent": "greet"},
)


@pytest.mark.parametrize(
    ("expected", "count"),
    [
        ({}, 0),
        ({"reply": ["OLÁ"], "buttons": 2, "intent": "greet", "outcome": "stay"}, 0),
        ({"reply": ["tchau"]}, 1),
        ({"no_reply": True}, 1),
        ({"buttons": 3}, 1),
        ({"intent": "refund", "reason": "vip"}, 2),
        ({"ticket": "none"}, 0),
        ({"ticket": "new", "control": "queued", "level": "N1"}, 3),
        ({"notified": ["email"]}, 1),
    ],
)
def test_every_expectation_that_does_not_hold_is_a_difference(
    expected: dict[str, object], count: int
) -> None:
    found = differences(
        Expectation.model_validate(expected), turn=TURN, replies=["Olá!"], buttons=2, view=None
    )

    assert len(found) == count
