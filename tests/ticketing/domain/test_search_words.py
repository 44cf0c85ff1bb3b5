from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.search_words import (
    MAX_WORD,
    MAX_WORDS,
    fold,
    phone_words,
    prefix_query,
    question,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Reclamação", "reclamacao"),
        ("NÃO", "nao"),
        ("não", "nao"),
        ("Müller Straße", "muller strasse"),
        ("ﬁm", "fim"),
        ("İstanbul", "istanbul"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("", ""),
    ],
)
def test_accents_case_and_spelling_of_letters_do_not_matter(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text(max_size=60))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=200))
def test_every_word_of_a_text_finds_it_and_needs_no_escaping(text: str) -> None:
    words = words_of(text)
    assert set(question(text)[:1]) <= words | phone_words(text) | set(question(text))
    for word in words:
        assert word
        assert len(word) <= MAX_WORD
        assert word.isalnum()
        assert question(word)


def test_words_are_split_at_everything_that_is_no_letter_or_digit() -> None:
    assert words_of("carlos.lima@example.com, pedido_77821!", None, "") == {
        "carlos", "lima", "example", "com", "pedido", "77821"
    }  # fmt: skip


@pytest.mark.parametrize(
    "piece",
    [
        "+55 11 91234-5678",
        "5511912345678",
        "11912345678",
        "912345678",
        "5678",
        "1234",
        "1112345678",
    ],
)
def test_a_brazilian_phone_is_found_by_any_piece_and_without_its_ninth_digit(piece: str) -> None:
    known = phone_words("+5511912345678")
    assert all(any(word.startswith(part) for word in known) for part in question(piece))


def test_a_phone_without_the_ninth_digit_is_found_with_it() -> None:
    assert "11912345678" in phone_words("551112345678")


def test_a_phone_that_is_none_has_no_words() -> None:
    assert phone_words(None) == phone_words("") == phone_words("unknown") == set()


def test_a_question_keeps_its_first_words_and_asks_for_beginnings() -> None:
    assert question("a b c d e f g h i j") == tuple("abcdefgh")
    assert len(question("a b c d e f g h i j")) == MAX_WORDS
    assert prefix_query(question("Reclamação  da Ana, ana")) == "'reclamacao':* & 'da':* & 'ana':*"
    assert question("!?' \\ :*&|") == ()
