from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from actions.opening_hours import hours_text
from handoff.business_hours import Calendar

DAY = ((time(8), time(12)), (time(13), time(18)))
CALENDAR = Calendar("c", "America/Sao_Paulo", dict.fromkeys(range(5), DAY))


@pytest.mark.parametrize(
    ("now", "language", "words"),
    [
        (datetime(2026, 3, 10, 13, 0, tzinfo=UTC), "pt", "até as 12:00"),
        (datetime(2026, 3, 10, 13, 0, tzinfo=UTC), "en", "until 12:00"),
        (datetime(2026, 3, 10, 23, 0, tzinfo=UTC), "pt", "amanhã às 08:00"),
        (datetime(2026, 3, 14, 13, 0, tzinfo=UTC), "es", "el lunes (16/03) a las 08:00"),
    ],
)
def test_says_whether_people_answer_now_or_when(now: datetime, language: str, words: str) -> None:
    assert words in hours_text(CALENDAR, now=now, language=language)


def test_days_with_equal_hours_stand_in_one_line() -> None:
    lines = hours_text(
        CALENDAR, now=datetime(2026, 3, 10, 13, 0, tzinfo=UTC), language="pt"
    ).splitlines()

    assert "• seg a sex: 08:00-12:00 · 13:00-18:00" in lines
    assert "• sáb a dom: fechado" in lines


def test_a_calendar_that_never_opens_is_said_honestly() -> None:
    text = hours_text(Calendar("n", "America/Sao_Paulo", {}), now=datetime.now(UTC), language="en")  # noqa: TID251 - any moment will do

    assert text == "Our opening hours are not set yet."
