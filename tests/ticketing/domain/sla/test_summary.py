from __future__ import annotations

import pytest

from tests.ticketing.domain.sla.worlds import HOUR, MINUTE, RULES, T0, Story
from ticketing.domain.enums import SlaState
from ticketing.domain.sla.clocks import evaluate
from ticketing.domain.sla.summary import TicketSla, summary_of


def of(story: Story, minutes: float) -> TicketSla:
    now = story.at(minutes)
    return summary_of(evaluate(story.history, RULES, now), now=now)


def test_the_most_urgent_clock_is_the_one_that_is_due_first() -> None:
    story = Story().replied(10).wrote(20)
    assert of(story, 30) == TicketSla(SlaState.OK, 240, T0 + 20 * MINUTE + 4 * HOUR)


@pytest.mark.parametrize(
    ("story", "minutes", "state"),
    [
        (Story(), 10, SlaState.OK),
        (Story(), 167, SlaState.OK),
        (Story(), 168, SlaState.WARNING),
        (Story(), 240, SlaState.BREACHED),
        (Story().replied(300), 310, SlaState.OK),  # late once, but nothing is late now
        (Story().replied(10).pending(20), 9_000, SlaState.PAUSED),
        (Story().replied(10).resolved(20), 9_000, SlaState.MET),
        (Story().replied(300).resolved(310), 9_000, SlaState.BREACHED),
        (Story(level="N1").replied(5).tell(6), 541, SlaState.OK),  # late at its level only
    ],
)
def test_the_state_of_a_ticket(story: Story, minutes: float, state: SlaState) -> None:
    assert of(story, minutes).state is state


def test_a_ticket_without_promises_has_none() -> None:
    assert summary_of((), now=T0) == TicketSla(SlaState.NONE, None, None)


def test_a_paused_ticket_has_a_target_and_no_due_time() -> None:
    found = of(Story().replied(10).pending(20), 60)
    assert (found.target_minutes, found.due_at) == (1620, None)


def test_a_ticket_that_is_over_keeps_the_target_of_its_resolution() -> None:
    found = of(Story().replied(10).resolved(20), 60)
    assert (found.target_minutes, found.due_at) == (1620, T0 + 27 * HOUR)
