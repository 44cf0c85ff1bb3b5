from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.burst import (
    ANSWERS_AT_ONCE,
    MERGE_BEYOND,
    PACE,
    PACE_WINDOW,
    Pace,
    reading,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def fire(piece: str) -> bool:
    return "pegou fogo" in piece


def test_texts_that_fit_are_read_whole_and_in_order() -> None:
    assert reading(["oi", " tudo bem? ", "", "oi"], limit=100, matters=fire) == "oi\ntudo bem?"


def test_of_too_many_texts_the_newest_are_read() -> None:
    texts = [f"mensagem {number}" for number in range(1000)]
    read = reading(texts, limit=100, matters=fire)
    assert len(read) <= 100
    assert read.splitlines() == [f"mensagem {number}" for number in range(993, 1000)]


@pytest.mark.parametrize("place", [0, 500, 999])
def test_a_phrase_of_the_rules_is_never_cut_away(place: int) -> None:
    texts = [f"mensagem {number}" for number in range(1000)]
    texts[place] = "socorro pegou fogo aqui"
    assert "socorro pegou fogo aqui" in reading(texts, limit=100, matters=fire)


@pytest.mark.parametrize("before", [0, 190, 195, 1500, 4000])
def test_a_phrase_deep_in_a_text_of_4096_characters_is_read(before: int) -> None:
    text = ("x " * before)[:before] + " pegou fogo " + "y " * 2048
    read = reading([text[:4096]], limit=1000, matters=fire)
    assert "pegou" in read
    assert "fogo" in read
    assert len(read) <= 1000


@given(st.lists(st.text(max_size=400), max_size=30), st.integers(200, 1000))
def test_reading_is_bounded_and_reading_it_again_changes_nothing(
    texts: list[str], limit: int
) -> None:
    read = reading(texts, limit=limit, matters=fire)
    assert len(read) <= limit
    assert reading([read], limit=limit, matters=fire) == read.strip()


def test_a_person_who_types_is_never_paced() -> None:
    pace, now = Pace(), NOW
    for _ in range(200):
        assert pace.next_at(now) is None
        assert pace.merge_beyond(now) == MERGE_BEYOND
        pace.began(now)
        now += PACE_WINDOW / ANSWERS_AT_ONCE


def test_after_a_burst_answers_come_at_metas_own_pace_and_merge_everything() -> None:
    pace = Pace()
    for _ in range(ANSWERS_AT_ONCE):
        assert pace.next_at(NOW) is None
        pace.began(NOW)
    assert pace.next_at(NOW) == NOW + PACE
    assert pace.merge_beyond(NOW) == 1
    assert pace.next_at(NOW + PACE) is None
    pace.began(NOW + PACE)
    assert pace.next_at(NOW + PACE) == NOW + 2 * PACE


def test_a_quiet_minute_ends_the_pace() -> None:
    pace = Pace()
    for _ in range(ANSWERS_AT_ONCE):
        pace.began(NOW)
    later = NOW + PACE_WINDOW + timedelta(seconds=1)
    assert pace.next_at(later) is None
    assert pace.is_idle(later)
    assert not pace.is_idle(NOW)
