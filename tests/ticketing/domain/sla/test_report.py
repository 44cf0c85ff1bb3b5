from __future__ import annotations

from datetime import timedelta

from tests.ticketing.domain.sla.worlds import MINUTE, Story
from ticketing.domain.sla.report import MeanTime, mean_time


def test_case_18_the_mean_first_response_counts_late_and_open_late_tickets() -> None:
    stories = [
        Story(priority="urgent").replied(10),  # in time
        Story(priority="urgent").replied(50),  # late
        Story(priority="urgent"),  # late, and nobody has answered after 120 minutes
        Story(priority="low"),  # open, in time: nothing to say yet
        Story(priority="urgent").resolved(20),  # late and void: nobody ever answered
    ]
    found = mean_time([story.clock("first_response", 120) for story in stories])
    assert found == MeanTime(mean=60 * MINUTE, count=3, open_late=1)


def test_without_clocks_there_is_no_mean() -> None:
    assert mean_time([]) == MeanTime(None, 0, 0)
    assert mean_time([Story().clock("first_response", 1)]).mean is None


def test_pauses_and_closed_hours_are_not_in_the_mean() -> None:
    story = Story(queue="day").replied(11 * 60)  # 10:00 to 21:00, with lunch, until 18:00
    assert mean_time([story.clock("first_response", 700)]).mean == timedelta(hours=7)
