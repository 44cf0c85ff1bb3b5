from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.console import texts
from ticketing.console.display import Display, visible

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
DISPLAY = Display(texts.speak("pt"), "pt", ZoneInfo("America/Sao_Paulo"), NOW)


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("a\u202egpj.exe", "agpj.exe"),
        ("a\x00\x07\x1b[31mb", "a[31mb"),
        ("linha 1\r\nlinha 2\u2028linha 3", "linha 1\nlinha 2\nlinha 3"),
        ("👩\u200d💻 ok", "👩\u200d💻 ok"),
        ("\ufeffoi\u200b", "oi"),
    ],
)
def test_characters_that_hide_or_reorder_text_are_not_shown(given_text: str, shown: str) -> None:
    assert visible(given_text) == shown


@given(st.text())
def test_showing_twice_is_showing_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=59), "0 min"),
        (timedelta(minutes=61), "1 h 1 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=3, hours=4, minutes=9), "3 d 4 h"),
        (timedelta(minutes=-5), "0 min"),
    ],
)
def test_spans_are_told_by_their_largest_units(span: timedelta, words: str) -> None:
    assert DISPLAY.span(span) == words


def test_a_moment_of_today_is_a_time_and_another_a_date() -> None:
    assert DISPLAY.moment(NOW) == "10:00"
    assert DISPLAY.moment(NOW - timedelta(days=1)) == "09/03/2026 10:00"
