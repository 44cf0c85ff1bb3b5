from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.domain.digest import MOST_ITEMS, AtOnce, Follow, Lead, joined, place_of

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("last_told", "leader_waits", "place"),
    [
        (None, False, AtOnce()),
        (NOON - timedelta(minutes=10), False, AtOnce()),
        (NOON - timedelta(minutes=11), False, AtOnce()),
        (NOON - timedelta(minutes=9), False, Lead(NOON + timedelta(minutes=1))),
        (NOON, False, Lead(NOON + timedelta(minutes=10))),
        # Told later than now: the one that is due at the end of the window.
        (NOON + timedelta(minutes=2), False, Lead(NOON + timedelta(minutes=12))),
        (NOON, True, Follow()),
        (None, True, Follow()),
    ],
)
def test_the_first_goes_at_once_the_second_waits_and_the_others_join_it(
    last_told: Any, leader_waits: Any, place: Any
) -> None:
    assert (
        place_of(last_told=last_told, leader_waits=leader_waits, window=WINDOW, now=NOON) == place
    )


def test_a_digest_counts_all_and_shows_the_first_of_them() -> None:
    context: dict[str, Any] = {"ticket_number": 1}
    for number in range(2, 9):
        context = joined(context, {"ticket_number": number})

    assert context["ticket_number"] == 1
    assert context["digest"]["count"] == 8
    shown = [item["ticket_number"] for item in context["digest"]["items"]]
    assert shown == list(range(1, MOST_ITEMS + 1))
