from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.graphemes import clusters, split, truncate

FAMILY = "👨‍👩‍👧"
FLAG = "🇧🇷"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
THUMB = "👍🏽"
ACCENT = "a\u0303"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("abc", ["a", "b", "c"]),
        ("a\r\nb", ["a", "\r\n", "b"]),
        (ACCENT + "o", [ACCENT, "o"]),
        (FAMILY + THUMB, [FAMILY, THUMB]),
        (FLAG + FLAG + "x", [FLAG, FLAG, "x"]),
        (SCOTLAND + "!", [SCOTLAND, "!"]),
        ("❤️a", ["❤️", "a"]),
        ("각가", ["각", "가"]),
        ("\u1112\u1161\u11ab", ["\u1112\u1161\u11ab"]),
    ],
)
def test_a_character_is_what_a_person_sees(text: str, expected: list[str]) -> None:
    assert list(clusters(text)) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("curto", 5, "curto"),
        ("comprido", 5, "comp…"),
        ("uma frase", 5, "uma…"),
        ("ab" + FAMILY, 6, "ab…"),
        ("ab" + FLAG + "c", 4, "ab…"),
        ("ab" + FLAG + "cd", 5, "ab" + FLAG + "…"),
        (FAMILY * 2, 3, FAMILY[:2] + "…"),
        ("abc", 1, "a"),
    ],
)
def test_a_cut_never_goes_through_a_character(text: str, limit: int, expected: str) -> None:
    assert truncate(text, limit) == expected


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_a_truncated_text_fits_and_is_unchanged_when_it_fits(text: str, limit: int) -> None:
    cut = truncate(text, limit)

    assert len(cut) <= limit
    assert len(text) > limit or cut == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("um\n\ndois tres quatro!", ("um", "dois tres quatro!")),
        ("primeira frase. segunda aqui", ("primeira frase.", "segunda aqui")),
        ("palavra palavra palavras", ("palavra palavra", "palavras")),
        ("x" * 45, ("x" * 20, "x" * 20, "x" * 5)),
        ("  ", ()),
    ],
)
def test_a_long_text_is_cut_at_the_best_place(text: str, expected: tuple[str, ...]) -> None:
    assert split(text, 20) == expected


def test_the_last_part_keeps_its_own_limit() -> None:
    text = "explicação longa.\n\n" * 5 + "Qual delas?"

    parts = split(text, 200, last_limit=30)

    assert parts[-1] == "Qual delas?"
    assert len(parts) == 2


WORDS = st.text(alphabet=st.sampled_from("ab \n.é👍🏽\u200d"), max_size=300)


@given(WORDS, st.integers(min_value=4, max_value=60), st.integers(min_value=4, max_value=60))
def test_parts_fit_lose_no_word_and_are_as_few_as_can_be(text: str, limit: int, last: int) -> None:
    last = min(last, limit)

    parts = split(text, limit, last_limit=last)

    assert all(0 < len(part) <= limit for part in parts)
    assert not parts or len(parts[-1]) <= last
    assert "".join("".join(parts).split()) == "".join(text.split())
    stripped = len(text.strip())
    fewest = 1 + -(-max(stripped - last, 0) // limit)
    assert len(parts) <= fewest + 1
