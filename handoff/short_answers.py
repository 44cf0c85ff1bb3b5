"""Short answers word by word: a number or a place in a list, "let it be", "I don't understand"."""

from __future__ import annotations

from collections.abc import Sequence

from handoff.answer_words import (
    BOTTOM,
    CANCEL_WORDS,
    DROP_IT,
    FILLERS,
    LAST,
    MIDDLE,
    NO,
    NO_COMPANIONS,
    NOT_UNDERSTOOD,
    NUMBERS,
    PENULTIMATE,
    SKIN_TONES,
    SOFT_NUMBERS,
    THUMBS_DOWN,
    THUMBS_UP,
    TOP,
    YES,
)
from handoff.edit_distance import is_phrase_with_slips, is_typo_of
from handoff.text import fold, words

MAX_ANSWER_WORDS = 8
"""More is a sentence of its own."""

_MIN_PHRASE_LENGTH = 8  # of one that may have slips: "parar" is one letter from "pagar"
_OF = frozenset(words("de do da del"))
_AROUND_PLACE = _OF | frozenset(
    words("o a el la the one opção opción option é eh e quero essa esse esa ese that mesmo"),
)
_POLITE = frozenset(words("por favor please pf pfv obrigado obrigada thanks gracias então ok tá"))


def is_not_understood(text: str) -> bool:
    """Whether a message says, and says only, that the bot was not understood; slips allowed."""
    return _is_phrase(words(text), NOT_UNDERSTOOD)


def is_drop(text: str, *, also_cancel: bool = False) -> bool:
    """Whether a message says, and says only, to let it be: "deixa pra lá", "forget it".

    Args:
        text: As typed.
        also_cancel: A bare "cancelar" or "stop" counts too; not where it may name an option.
    """
    typed = words(text)
    polite = tuple(word for word in typed if word not in _POLITE)
    known = DROP_IT | CANCEL_WORDS if also_cancel else DROP_IT
    return _is_phrase(typed, known) or _is_phrase(polite, known)


def number_in(typed: Sequence[str], *, count: int) -> int | None:
    """The one number, ordinal or place in a list that an answer names when it says nothing else.

    Args:
        typed: Folded words.
        count: Length of the list, for "the last".
    """
    rest = [word for word in typed if word not in FILLERS and word not in YES]
    place = _place(typed, count)
    if place is not None:
        return place
    numbers = [_named(word, count) for word in rest]
    if not rest or any(number is None for number in numbers):
        return None
    firm = {number for word, number in zip(rest, numbers, strict=True) if word not in SOFT_NUMBERS}
    named = firm or set(numbers)
    return named.pop() if len(named) == 1 else None


def signs_in(text: str) -> frozenset[str] | None:
    """`THUMBS_UP` or `THUMBS_DOWN` when a text is made of such signs only, else None."""
    signs = {char for char in fold(text) if not char.isspace() and ord(char) not in SKIN_TONES}
    for kind in (THUMBS_UP, THUMBS_DOWN):
        if signs and signs <= kind:
            return kind
    return None


def _place(typed: Sequence[str], count: int) -> int | None:
    """A place in words ("o de cima", "the bottom one"); those around the place say nothing."""
    bare = tuple(word for word in typed if word not in _AROUND_PLACE)
    with_of = tuple(word for word in typed if word not in _AROUND_PLACE - _OF)
    for said in (bare, with_of):
        if said in TOP:
            return 1
        if said in BOTTOM:
            return count
        if said in MIDDLE and count % 2:
            return (count + 1) // 2
    return None


def _named(word: str, count: int) -> int | None:
    if word in LAST:
        return count
    if word in PENULTIMATE:
        return count - 1 if count > 1 else None
    if word in NUMBERS:
        return NUMBERS[word]
    meant = {
        count if known in LAST else NUMBERS[known]
        for known in (*NUMBERS, *LAST)
        if is_typo_of(word, known)
    }
    return meant.pop() if len(meant) == 1 else None


def _is_phrase(typed: tuple[str, ...], known: frozenset[tuple[str, ...]]) -> bool:
    if not typed or len(typed) > MAX_ANSWER_WORDS:
        return False
    if typed in known:
        return True
    if len("".join(typed)) < _MIN_PHRASE_LENGTH:
        return False
    return any(is_phrase_with_slips(typed, phrase) for phrase in known)


def with_no_mended(typed: Sequence[str]) -> tuple[str, ...]:
    """The words with slips in "none of these" put right."""
    meant = NO | NO_COMPANIONS
    return tuple(
        word if word in meant else next((known for known in meant if is_typo_of(word, known)), word)
        for word in typed
    )


def is_made_of(typed: Sequence[str], core: frozenset[str], companions: frozenset[str]) -> bool:
    """Whether the words are some of `core`, with nothing but `companions` beside them."""
    known = core | companions
    return not core.isdisjoint(typed) and known.issuperset(typed)
