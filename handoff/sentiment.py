"""How pleased or angry a message sounds, by a small lexicon: -1 to 1.

Words carry weights; a negation before a word turns it round ("não gostei"), an intensifier, capital
letters and exclamation marks make it stronger, and none of these says anything on its own. It is a
hint for rules, not a classifier: what it does not know counts as neutral.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from handoff.sentiment_words import EMOJI, INTENSIFIERS, LEXICONS, NEGATIONS
from handoff.text import fold, words

MAX_WEIGHT = 3.0
"""Of one word, up or down."""

_NEGATION_REACH = 3  # words from "não" to what it turns round: "não é nada bom"
_INTENSIFIER_REACH = 2  # "muito", "muito muito ruim"
_TURNED_GOOD = -0.6  # "not good" is milder than "bad"
_TURNED_BAD = -0.4  # and "not bad" much milder than "good"
_STRONGER = 1.5
_SHOUTED = 1.3
_EXCLAIMED = 1.2
_LEAST_CAPITALS = 6  # letters; "OK" and "CPF" are not shouted
_CAPITAL_SHARE = 0.7
_LONGEST_PHRASE = 4  # words
_DIGITS = 4

_APOSTROPHE = re.compile("['`\\u2019\\u00b4]")
_STRETCHED = re.compile(r"(.)\1{2,}")
_EXCLAMATION = re.compile(r"!\s*!")


@dataclass(frozen=True, slots=True)
class _Part:
    """The words of one clause; a negation does not reach into the next one."""

    words: tuple[str, ...]


def sentiment(text: str, *, language: str, more: Mapping[str, float] | None = None) -> float:
    """How a message sounds: -1 (angry) over 0 (neutral) to 1 (pleased).

    Args:
        text: As written.
        language: Whose words are looked up; one without a lexicon has only its signs (emoji) and
            `more`.
        more: Weights of further words or phrases, keys as `lexicon_key` writes them; they win.
    """
    lexicon = {**LEXICONS.get(language, {}), **(more or {})}
    heard = [*_signs(text), *_spoken(text, lexicon, language)]
    total = sum(heard) * _loudness(text)
    # Two bad words are worse than one, and no number of them is worse than -1.
    return round(total / (1 + abs(total)), _DIGITS)


def lexicon_key(phrase: str) -> str:
    """A word or phrase as the lexicon has it: folded, without apostrophes and stretched letters."""
    return " ".join(_tidy(phrase))


def _tidy(text: str) -> tuple[str, ...]:
    plain = _APOSTROPHE.sub("", text)
    return words(_STRETCHED.sub(r"\1", fold(plain)))


def _signs(text: str) -> Iterator[float]:
    """One weight for each different sign; ten hearts are one."""
    for char in dict.fromkeys(text):
        if char in EMOJI:
            yield EMOJI[char]


def _spoken(text: str, lexicon: Mapping[str, float], language: str) -> Iterator[float]:
    for clause in re.split(r"[.,;:!?\n]+", text):
        part = _Part(_tidy(clause))
        for start, length, weight in _hits(part, lexicon):
            yield _in_context(part, start, length, weight, language)


def _hits(part: _Part, lexicon: Mapping[str, float]) -> Iterator[tuple[int, int, float]]:
    """(position, words, weight) of each known phrase, the longest first, none inside another."""
    start = 0
    while start < len(part.words):
        for length in range(min(_LONGEST_PHRASE, len(part.words) - start), 0, -1):
            weight = lexicon.get(" ".join(part.words[start : start + length]))
            if weight is not None:
                yield start, length, weight
                start += length - 1
                break
        start += 1


def _in_context(part: _Part, start: int, length: int, weight: float, language: str) -> float:
    negations = NEGATIONS.get(language, frozenset())
    stronger = INTENSIFIERS.get(language, frozenset())
    before = part.words[max(0, start - _NEGATION_REACH) : start]
    near = before[-_INTENSIFIER_REACH:]
    after = part.words[start + length : start + length + 1]
    if _any_of(near, stronger) or _any_of(after, stronger):
        weight *= _STRONGER
    if _any_of(before, negations):
        weight *= _TURNED_GOOD if weight > 0 else _TURNED_BAD
    return weight


def _any_of(said: Iterable[str], known: frozenset[str]) -> bool:
    return any(word in known for word in said)


def _loudness(text: str) -> float:
    letters = [char for char in text if char.isalpha()]
    capitals = sum(char.isupper() for char in letters)
    loud = 1.0
    if len(letters) >= _LEAST_CAPITALS and capitals >= _CAPITAL_SHARE * len(letters):
        loud *= _SHOUTED
    if _EXCLAMATION.search(text):
        loud *= _EXCLAIMED
    return loud
