from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.language import SERVED, Guess, LanguageState, update
from ticketing.domain.language_model import LanguageModel, posterior, words_of
from ticketing.domain.language_signs import language_of_script, requested_language

SETTLED = LanguageState("pt", settled=True)


def served(language: str, confidence: float, words: int, telling: int | None = None) -> Guess:
    return Guess(language, confidence, language, confidence, words, telling=telling)


def test_a_conversation_starts_in_portuguese_and_nothing_to_judge_by_leaves_it_there() -> None:
    assert update(LanguageState(), None) == LanguageState("pt")


def test_one_clear_word_is_enough_at_the_first_message() -> None:
    state = update(LanguageState(), served("en", 0.99, 1, telling=1))
    assert state.language == "en"


def test_one_foreign_greeting_does_not_settle_so_the_next_portuguese_word_brings_it_back() -> None:
    state = update(LanguageState(), served("en", 0.99, 1, telling=1))
    assert not state.settled
    assert update(state, served("pt", 0.99, 1, telling=1)).language == "pt"


def test_after_one_foreign_word_two_portuguese_words_are_enough_and_a_neutral_one_is_not() -> None:
    state = update(LanguageState(), served("en", 0.99, 1, telling=1))
    assert update(state, served("pt", 0.95, 2, telling=0)).language == "pt"
    assert update(state, served("pt", 0.34, 1, telling=0)).language == "en"


@pytest.mark.parametrize("words", [1, 2])
def test_a_short_message_never_changes_a_settled_language_alone(words: int) -> None:
    state = update(SETTLED, served("en", 0.999, words, telling=words))
    assert (state.language, state.candidate) == ("pt", "en")


def test_two_messages_in_a_row_change_a_settled_language() -> None:
    once = update(SETTLED, served("en", 0.99, 1, telling=1))
    assert update(once, served("en", 0.99, 2, telling=1)).language == "en"


def test_two_hints_with_portuguese_between_them_change_nothing() -> None:
    state = SETTLED
    for guess in (served("en", 0.99, 1, 1), served("pt", 0.99, 3, 2), served("en", 0.99, 1, 1)):
        state = update(state, guess)
    assert state.language == "pt"


def test_a_word_that_says_nothing_between_two_hints_does_not_break_the_row() -> None:
    once = update(SETTLED, served("en", 0.99, 1, telling=1))
    neutral = Guess("pt", 0.34, "pt", 0.34, 1, telling=0, evidence=dict.fromkeys(SERVED, 1 / 3))
    assert update(update(once, neutral), served("en", 0.99, 1, telling=1)).language == "en"


def test_two_hints_at_different_languages_change_nothing() -> None:
    once = update(SETTLED, served("en", 0.99, 1, telling=1))
    state = update(once, served("es", 0.99, 1, telling=1))
    assert (state.language, state.candidate) == ("pt", "es")


def test_one_clear_message_of_three_words_changes_a_settled_language() -> None:
    assert update(SETTLED, served("es", 0.999, 3, telling=2)).language == "es"


def test_three_words_of_which_none_is_known_change_nothing() -> None:
    assert update(SETTLED, served("en", 0.999, 3, telling=0)).language == "pt"


@pytest.mark.parametrize(("telling", "language"), [(3, "pt"), (4, "pt"), (5, "en")])
def test_a_quotation_inside_a_portuguese_message_changes_nothing(
    telling: int, language: str
) -> None:
    guess = Guess("en", 0.99, "en", 0.999, 6, telling=telling, contrary=1)
    assert update(LanguageState(), guess).language == language
    assert update(SETTLED, guess).language == language


def test_evidence_that_only_beats_an_even_start_does_not_beat_the_prior() -> None:
    assert update(LanguageState(), served("es", 0.80, 1, telling=1)).language == "pt"


@pytest.mark.parametrize("language", SERVED)
def test_an_explicit_request_always_changes_the_language(language: str) -> None:
    guess = Guess("pt", 0.99, "pt", 0.99, 2, requested=language)
    state = update(LanguageState("pt", candidate="es", settled=True), guess)
    assert state == LanguageState(language, settled=True)


def test_a_language_not_served_is_reported_and_the_conversation_keeps_its_own() -> None:
    state = update(SETTLED, Guess("fr", 0.95, "en", 0.9, 5))
    assert (state.foreign, state.foreign_confidence, state.language) == ("fr", 0.95, "pt")


@pytest.mark.parametrize(("confidence", "words"), [(0.95, 2), (0.80, 6)])
def test_a_short_or_doubtful_foreign_guess_is_not_foreign(confidence: float, words: int) -> None:
    assert update(SETTLED, Guess("it", confidence, "pt", 0.6, words)).foreign is None


def test_another_script_is_foreign_at_the_first_word() -> None:
    assert update(SETTLED, Guess("ru", 0.99, "pt", 0.0, 1, script=True)).foreign == "ru"


def test_a_request_for_a_language_not_served_is_foreign() -> None:
    guess = Guess("fr", 0.99, "pt", 0.5, 2, requested="fr")
    assert update(SETTLED, guess).foreign == "fr"


def test_the_next_message_is_foreign_no_more() -> None:
    state = update(SETTLED, Guess("fr", 0.95, "en", 0.9, 5))
    assert update(state, served("pt", 0.99, 3, telling=3)).foreign is None
    assert update(state, None).foreign is None


guesses = st.builds(
    Guess,
    st.sampled_from([*SERVED, "fr", "ru"]),
    st.floats(0, 1),
    st.sampled_from(SERVED),
    st.floats(0, 1),
    st.integers(1, 40),
    telling=st.none() | st.integers(0, 40),
    requested=st.none() | st.sampled_from([*SERVED, "fr"]),
    script=st.booleans(),
)


@given(st.lists(st.none() | guesses, max_size=8))
def test_the_language_is_always_one_we_serve_and_survives_being_stored(
    messages: list[Guess | None],
) -> None:
    state = LanguageState()
    for guess in messages:
        state = update(state, guess)
        assert state.language in SERVED
        assert state.candidate != state.language
        stored = json.loads(json.dumps(state.to_json()))
        read = LanguageState.from_json(state.language, stored)
        assert (read.candidate, read.settled) == (state.candidate, state.settled)


@given(st.lists(guesses.filter(lambda guess: guess.requested is None), min_size=1, max_size=8))
def test_single_words_without_a_telling_one_never_change_the_language(
    messages: list[Guess | None],
) -> None:
    state = LanguageState()
    for guess in messages:
        state = update(state, Guess("en", 0.99, "en", guess.served_confidence, 1, telling=0))
    assert state.language == "pt"


@pytest.mark.parametrize("value", [{}, {"candidate": "xx", "settled": "yes"}, {"candidate": "pt"}])
def test_what_an_older_version_stored_is_read_as_not_seen_yet(value: dict[str, Any]) -> None:
    assert LanguageState.from_json("pt", value) == LanguageState("pt")


def test_a_stored_language_that_is_served_no_more_starts_again() -> None:
    assert LanguageState.from_json("fr", {"settled": True}) == LanguageState()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("in english please", "en"),
        ("English please!", "en"),
        ("english?", "en"),
        ("Hi, can we speak in English please?", "en"),
        ("do you speak english?", "en"),
        ("sorry, I don't speak Portuguese", "en"),
        ("I need help with my order, in english please", "en"),
        ("em inglês por favor", "en"),
        ("en español", "es"),
        ("en español por favor", "es"),
        ("¿podemos hablar en español?", "es"),
        ("¿hablan español?", "es"),
        ("no hablo portugués", "es"),
        ("em português", "pt"),
        ("fala português", "pt"),
        ("quero falar em português pfv", "pt"),
        ("portuguese please", "pt"),
        ("en français s'il vous plaît", "fr"),
        ("auf Deutsch bitte", "de"),
        ("in italiano per favore", "it"),
        ("o manual veio em inglês", None),
        ("comprei um curso de inglês", None),
        ("vocês falam inglês?", None),
        ("não falo inglês", None),
        ("nao entendo nada em ingles por favor", None),
        ("traduz isso pra inglês", None),
        ("traduz isso pra inglês por favor", None),
        ("manda o manual em inglês por favor", None),
        ("alemão", None),
        ("italiano", None),
        ("Deutsch", None),
        ("me chamo Ana Deutsch", None),
        ("faz uma piada de português", None),
        ("cadê meu pedido", None),
        ("", None),
        ("¿?", None),
    ],
)
def test_a_request_for_a_language_is_told_from_a_mention_of_one(
    text: str, language: str | None
) -> None:
    assert requested_language(text) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Здравствуйте", "ru"),
        ("де моє замовлення", "uk"),
        ("我的订单在哪里", "zh"),
        ("注文した商品", "ja"),
        ("안녕하세요", "ko"),
        ("أين طلبي", "ar"),
        ("سفارش من کجاست پس چرا", "fa"),
        ("איפה ההזמנה", "he"),
        ("που είναι η παραγγελία μου", "el"),
        ("मेरा ऑर्डर कहाँ है", "hi"),
        ("สวัสดีครับ", "th"),
        ("订单 BR20311", "zh"),
        ("oi bom dia", None),
        ("(ノಠ益ಠ)ノ", None),  # noqa: RUF001
        ("¯\\_(ツ)_/¯ cadê meu pedido", None),
        ("Σ(゚Д゚)", None),
        ("𝓸𝓵𝓪 𝓫𝓸𝓶 𝓭𝓲𝓪", None),  # noqa: RUF001
        ("ⓞⓘ", None),
        ("tudo bem 你好 com vocês", None),
        ("👍👍", None),
        ("", None),
    ],
)
def test_the_script_tells_a_language_and_decoration_does_not(
    text: str, language: str | None
) -> None:
    assert language_of_script(text) == language


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Oi, TUDO bem?", ["oi", "tudo", "bem"]),
        ("oiiiii", ["oii"]),
        ("kkkkkk rsrsrs haha", ["kkk"]),
        ("BR20311 4521 a1b2", []),
        ("https://www.example.com/where/is me@example.com", []),
        ("la la la la", ["la"]),
        ("I\u2019m waiting", ["i'm", "waiting"]),
        ("👍 123", []),
    ],
)
def test_words_leave_codes_links_and_laughter_out(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text(max_size=3000))
def test_no_text_breaks_the_signs_or_the_words(text: str) -> None:
    requested_language(text)
    language_of_script(text)
    assert len(words_of(text)) <= 40


def small_model() -> LanguageModel:
    return LanguageModel(
        {"pt": ["cadê meu pedido"], "en": ["where is my order"]},
        common={"pt": "oi não você", "en": "hello not you"},
        neutral=frozenset({"ok"}),
        leaning={"no": 0.9},
    )


def test_a_model_knows_what_it_was_told_and_nothing_of_neutral_words() -> None:
    weighed = small_model().weigh(["hello", "ok"])
    assert weighed.scores["en"] > weighed.scores["pt"]
    assert (weighed.telling, weighed.known, weighed.words) == ({"pt": 0, "en": 1}, 2, 2)
    assert set(small_model().weigh(["ok"]).scores.values()) == {0.0}


def test_a_word_without_its_accents_is_the_same_word() -> None:
    assert small_model().weigh(["nao", "cade"]).telling["pt"] == 2


def test_an_unknown_word_leans_by_its_letters_and_never_tells() -> None:
    weighed = small_model().weigh(["ordering"])
    assert weighed.scores["en"] > weighed.scores["pt"]
    assert weighed.telling == {"pt": 0, "en": 0}


@given(st.text(alphabet=st.characters(categories=["L"]), min_size=1, max_size=500))
def test_any_word_gives_probabilities_that_sum_to_one(word: str) -> None:
    shares = posterior(small_model().weigh([word]).scores)
    assert sum(shares.values()) == pytest.approx(1.0)
