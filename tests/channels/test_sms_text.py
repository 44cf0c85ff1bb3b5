from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.sms_text import (
    GSM_BASIC,
    GSM_EXTENSION,
    TWILIO_LONGEST,
    compose,
    is_gsm,
    segments_of,
    septets,
    utf16_units,
)

LINK = "https://console.example/console/tickets/00000000-0000-0000-0000-000000000001"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def test_the_alphabet_has_its_127_letters_and_ten_more() -> None:
    # 128 places less the escape; 3GPP TS 23.038 tables 6.2.1 and 6.2.1.1 (without the line break).
    assert (len(GSM_BASIC), len(GSM_EXTENSION)) == (127, 10)


@pytest.mark.parametrize("letter", "àéÇÉñÑüöäèùìò¡¿ø")
def test_letters_that_gsm_has(letter: str) -> None:
    assert is_gsm(letter)


@pytest.mark.parametrize("letter", "ãõçáíóúâêô—“”…😀ÃÕ\u20bf")
def test_letters_that_gsm_lacks(letter: str) -> None:
    assert not is_gsm(letter)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # An escape and its character stay together: 76 pairs in 153 septets, one septet is lost.
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("ã" * 70, 1),
        ("ã" * 71, 2),
        ("ã" * 134, 2),
        ("ã" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # 33 emoji are 66 units: the 67th holds half of one, so it stays empty.
        ("😀" * 66, 2),
        ("😀" * 67, 3),
        (FAMILY, 1),
    ],
)
def test_segments_are_counted_as_carriers_do(text: str, segments: int) -> None:
    assert segments_of(text) == segments


def test_lengths_are_in_septets_and_utf16_units() -> None:
    assert septets("a€[") == 5
    assert utf16_units("ã😀") == 3


class TestCompose:
    def test_typography_is_made_plain_and_letters_keep_their_marks_where_there_is_room(
        self,
    ) -> None:
        text = compose("Reclamação — “atrasado”…", "", max_segments=3)

        assert (text.body, text.segments, text.cut) == ('Reclamação - "atrasado"...', 1, False)

    def test_marks_go_when_that_saves_a_segment(self) -> None:
        words = "Atenção: " + "a" * 80

        text = compose(words, LINK, max_segments=3)

        assert text.body == f"Atencao: {'a' * 80} {LINK}"
        assert (text.segments, text.gsm) == (2, True)
        assert segments_of(f"{words} {LINK}") == 3

    def test_what_cannot_be_gsm_keeps_its_marks(self) -> None:
        assert "ção" in compose("Reclamação 😀 " + "a" * 60, "", max_segments=3).body

    def test_the_words_are_cut_and_the_link_is_whole(self) -> None:
        text = compose("palavra " * 100, LINK, max_segments=2)

        assert text.cut
        assert text.segments == 2
        assert text.body.endswith(f"... {LINK}")
        assert septets(text.body) > 290  # as much as fits

    def test_a_character_is_never_cut(self) -> None:
        text = compose(FAMILY * 50, LINK, max_segments=2)

        head = text.body.removesuffix(f"... {LINK}")
        assert head == FAMILY * (len(head) // len(FAMILY))
        assert head

    def test_a_link_that_is_too_long_is_left_out(self) -> None:
        text = compose("oi", "https://x.example/" + "a" * 400, max_segments=1)

        assert (text.body, text.cut) == ("oi", True)

    @pytest.mark.parametrize("words", ["", "   ", "\x00\x07", "\ud800"])
    def test_without_words_there_is_the_link_or_nothing(self, words: str) -> None:
        assert compose(words, LINK, max_segments=1).body == LINK
        assert compose(words, "", max_segments=1).body == ""

    def test_a_letter_and_its_mark_are_one(self) -> None:
        assert compose("e\u0301", "", max_segments=1).body == "é"

    @given(
        words=st.text(max_size=2500),
        link=st.sampled_from(["", LINK]),
        segments=st.integers(1, 10),
    )
    def test_any_text_fits_and_is_text(self, words: str, link: str, segments: int) -> None:
        text = compose(words, link, max_segments=segments)

        assert text.segments == segments_of(text.body) <= segments
        assert len(text.body) <= TWILIO_LONGEST
        assert text.gsm == is_gsm(text.body)
        assert text.body.encode("utf-16-le").decode("utf-16-le") == text.body
        assert link in text.body or is_gsm(link) is False
        assert "\x00" not in text.body

    @given(st.text(alphabet="abç €😀\u0301", max_size=400), st.integers(1, 3))
    def test_one_character_more_would_not_fit(self, words: str, segments: int) -> None:
        text = compose(words, "", max_segments=segments)

        if text.cut and text.body.endswith("..."):
            head = text.body.removesuffix("...")
            assert len(head) > 20, "something is left of a long text"
