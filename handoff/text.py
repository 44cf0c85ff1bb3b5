"""Folding of written words, so that "Não", "nao" and "NÃO" compare equal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")

# Mn: accents left over by NFKD. Cf: zero-width and soft-hyphen characters that phones insert and
# that people use to dodge word filters.
_DROPPED_CATEGORIES = frozenset({"Mn", "Me", "Cf"})


def fold(text: str) -> str:
    """The text without accents, case, compatibility forms ("①") or invisible characters."""
    decomposed = unicodedata.normalize("NFKD", text)
    kept = (char for char in decomposed if unicodedata.category(char) not in _DROPPED_CATEGORIES)
    return "".join(kept).casefold()


def words(text: str) -> tuple[str, ...]:
    """The folded words of a text in order; punctuation and emoji separate words and vanish."""
    return tuple(_WORD.findall(fold(text)))


def phrases_in(text: str, phrases: Iterable[str]) -> tuple[str, ...]:
    """Which phrases occur in the text as whole words, in the order given, each once.

    Accents, case and the punctuation between words do not count: "choque elétrico" is found in
    "levei um CHOQUE-ELETRICO". A phrase without a letter or digit is never found.
    """
    haystack = f" {' '.join(words(text))} "
    found = (phrase for phrase in phrases if _occurs(phrase, haystack))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)  # the phrases of a policy, asked about on every turn
def _needle(phrase: str) -> str:
    return " ".join(words(phrase))


def _occurs(phrase: str, haystack: str) -> bool:
    needle = _needle(phrase)
    return bool(needle) and f" {needle} " in haystack
