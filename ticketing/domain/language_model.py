"""A small statistical model of the served languages: words, and letters for unknown words.

Naive Bayes over words. The probability of a word in a language is its count among the examples,
smoothed by a letter model of that language (interpolated n-grams, Witten and Bell 1991), so a typo
or an inflected form still leans to where its letters belong. Pure Python, no dependency: it learns
from about two thousand sentences in a tenth of a second and weighs a message in microseconds.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ticketing.domain.language_words import LAUGHTER

_CODE_OR_LINK = re.compile(r"\d|://|www\.|@|\.(?:com|net|org|br)\b")
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_LAUGHTER = re.compile(r"(?:k{2,}|(?:rs){2,}r?|(?:[ks]{2}){2,}[ks]?|[hu]*(?:ua){2,}h?)")
_LAUGH_OF_ALL = re.compile(r"a?(?:h[aeiou]){2,}h?|hm+|m{2,}|z{2,}|rs")

LONGEST = 40  # words looked at: nothing is learnt from more, and time stays bounded
_ORDER = 4  # letters of context plus one: more gains nothing with so few examples
_SMOOTHING = 150.0  # tokens that the letter model weighs in a word's probability
_COMMON_COUNT = 6  # how often a word of the built-in lists counts as seen
_PLAIN_COUNT = 0.7  # weight of the copy without accents: phones write both
# A word that no language knows is a typo, a name or a code: its letters are weak evidence.
_UNKNOWN_WEIGHT = 0.35
_UNKNOWN_LIMIT = 2.0  # natural log units from the best to any other language, per unknown word
# A known word proves at most this much: seen once it may be missing from the other languages by
# chance alone ("gato" is Spanish too), seen twenty times hardly. One word never proves more than
# 400 to 1.
_SEEN_ONCE_LIMIT = 1.5
_SEEN_GROWTH = 1.5
_KNOWN_LIMIT = 6.0
_TELLING = 1.0  # natural log units by which a telling word's language leads
_EDGE = "\x02"
_LONGEST_WORD = 32  # letters; longer is gibberish, and must not take long


def plain(word: str) -> str:
    """A word without accents and cedillas."""
    split = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in split if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """The different words of a message, lower case; links, addresses and codes left out.

    A Brazilian's laugh becomes `LAUGHTER`, everybody's ("haha") is left out. A repeated word counts
    once: "la la la la" proves no more than "la".
    """
    folded = unicodedata.normalize("NFKC", text).replace("\u2019", "'").lower()
    folded = " ".join(part for part in folded.split() if not _CODE_OR_LINK.search(part))
    folded = _STRETCHED.sub(r"\1\1", folded)
    found = (
        LAUGHTER if _LAUGHTER.fullmatch(word) else word
        for word in _WORD.findall(folded)
        if not _LAUGH_OF_ALL.fullmatch(word)
    )
    return list(dict.fromkeys(found))[:LONGEST]


class _Letters:
    """Interpolated letter n-grams of one language."""

    def __init__(self) -> None:
        self._counts: dict[str, float] = defaultdict(float)
        self._totals: dict[str, float] = defaultdict(float)
        self._kinds: dict[str, int] = defaultdict(int)

    def learn(self, word: str, count: float) -> None:
        padded = _EDGE + word + _EDGE
        for at in range(1, len(padded)):
            for start in range(max(0, at - _ORDER + 1), at + 1):
                gram, context = padded[start : at + 1], padded[start:at]
                if gram not in self._counts:
                    self._kinds[context] += 1
                self._counts[gram] += count
                self._totals[context] += count

    def probability(self, word: str) -> float:
        padded = _EDGE + word[:_LONGEST_WORD] + _EDGE
        product = 1.0
        for at in range(1, len(padded)):
            probability = 1 / 64  # about as many letters as the three languages use
            for start in range(at, max(0, at - _ORDER + 1) - 1, -1):
                context = padded[start:at]
                seen = self._totals.get(context)
                if seen is None:
                    break
                kinds = self._kinds[context]
                count = self._counts.get(padded[start : at + 1], 0.0)
                probability = (count + kinds * probability) / (seen + kinds)
            product *= probability
        return product


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a model says of one message.

    Attributes:
        scores: Log likelihood per language, up to one constant; 0.0 for all when nothing is known.
        words: Words in the message.
        telling: Known words per language that speak for it and against each of the others.
        known: Words that some served language knows, the neutral ones included.
    """

    scores: Mapping[str, float]
    words: int
    telling: Mapping[str, int]
    known: int


class LanguageModel:
    """Tells languages apart; learnt once, then only read, so threads may share it."""

    def __init__(
        self,
        examples: Mapping[str, Iterable[str]],
        *,
        common: Mapping[str, str],
        neutral: frozenset[str],
        leaning: Mapping[str, float],
    ) -> None:
        """Learn from sentences.

        Args:
            examples: Sentences per language; may be empty.
            common: Words per language, separated by blanks, that count as often seen.
            neutral: Words that are no evidence at all.
            leaning: Words that are weak evidence, with the most each may count.
        """
        self._neutral = neutral
        self._leaning = leaning
        self._counts: dict[str, dict[str, float]] = {}
        self._letters: dict[str, _Letters] = {}
        for language, listed in common.items():
            counts: defaultdict[str, float] = defaultdict(float)
            for word in set(listed.split()):
                counts[word] += _COMMON_COUNT
            for word, seen in _count(examples.get(language, ())).items():
                counts[word] += seen
            for word, count in list(counts.items()):
                if (bare := plain(word)) != word:
                    counts[bare] += _PLAIN_COUNT * count
            letters = _Letters()
            for word, count in counts.items():
                letters.learn(word, math.sqrt(count))
            self._counts[language] = dict(counts)
            self._letters[language] = letters
        self._totals = {name: sum(counts.values()) for name, counts in self._counts.items()}

    def knows(self, word: str) -> bool:
        """Whether any of the languages has the word, or it is neutral."""
        return word in self._neutral or any(word in counts for counts in self._counts.values())

    def weigh(self, words: Sequence[str]) -> Weighed:
        """How likely the words of a message (`words_of`) are in each language."""
        scores = dict.fromkeys(self._counts, 0.0)
        telling = dict.fromkeys(self._counts, 0)
        known = 0
        for word in words:
            if word in self._neutral:
                known += 1
                continue
            is_known, relative = self._word(word)
            known += is_known
            if is_known and word not in self._leaning and (speaks_for := _leader(relative)):
                telling[speaks_for] += 1
            for language, value in relative.items():
                scores[language] += value
        return Weighed(scores, len(words) - (LAUGHTER in words), telling, known)

    def _word(self, word: str) -> tuple[bool, dict[str, float]]:
        """Whether a word is known, and its log likelihoods relative to the best language."""
        seen = max(counts.get(word, 0.0) for counts in self._counts.values())
        if not seen and len(word) == 1:
            return False, dict.fromkeys(self._counts, 0.0)
        values = {
            language: math.log(
                (counts.get(word, 0.0) + _SMOOTHING * self._letters[language].probability(word))
                / (self._totals[language] + _SMOOTHING)
            )
            for language, counts in self._counts.items()
        }
        best = max(values.values())
        weight, limit = _UNKNOWN_WEIGHT, _UNKNOWN_LIMIT
        if seen:
            weight = 1.0
            limit = min(_KNOWN_LIMIT, _SEEN_ONCE_LIMIT + _SEEN_GROWTH * math.log1p(seen))
        limit = min(limit, self._leaning.get(word, limit))
        return bool(seen), {
            language: max(-limit, weight * (value - best)) for language, value in values.items()
        }


def _leader(relative: Mapping[str, float]) -> str | None:
    """The language that a word speaks for; None when two are about as likely."""
    first, second = sorted(relative, key=relative.__getitem__, reverse=True)[:2]
    return first if relative[first] - relative[second] >= _TELLING else None


def posterior(
    scores: Mapping[str, float], prior: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Probabilities from log likelihoods; every language weighs the same without a prior."""
    joint = {
        language: score + (math.log(prior[language]) if prior else 0.0)
        for language, score in scores.items()
    }
    best = max(joint.values())
    shares = {language: math.exp(value - best) for language, value in joint.items()}
    total = sum(shares.values())
    return {language: share / total for language, share in shares.items()}


def _count(sentences: Iterable[str]) -> Counter[str]:
    return Counter(word for sentence in sentences for word in words_of(sentence))
