"""How alike two sentences are, and an index that finds the alike ones fast.

A sentence is the counts of its character trigrams within word edges, rare ones weighted more
(TF-IDF over the training examples), scaled to length one; likeness is the cosine of two of them: 1
for the same words, 0 for nothing in common.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from handoff.text import fold, words

SAME = 0.9
"""From here on two sentences teach the same: "cade meu pedido" and "cadê meus pedidos??"."""
ALIKE = 0.55
"""From here on they belong in one group for a person's eyes."""

_GRAM = 3
_SLACK = 1e-9  # sums of floats
_ENOUGH = 0.5  # share of `least` at which the rest of a question is not worth walking the lists

Key = TypeVar("Key", bound=Hashable)
Vector = Mapping[str, float]


def key_of(text: str) -> str:
    """The sentence as the classifier sees it: no accents, capitals, punctuation.

    Equal keys are the same sentence.
    """
    return " ".join(words(text)) or fold(text).strip()


def trigrams(text: str) -> Counter[str]:
    """The trigrams of the folded words, with a space at both ends of each word."""
    counts: Counter[str] = Counter()
    for word in key_of(text).split():
        padded = f" {word} "
        counts.update(padded[at : at + _GRAM] for at in range(max(len(padded) - _GRAM + 1, 1)))
    return counts


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each trigram counts: the rarer in the training examples, the more.

    Attributes:
        sentences: How many examples were counted.
        frequency: In how many of them a trigram occurs.
    """

    sentences: int = 0
    frequency: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Weights:
        """The weights that a set of examples gives."""
        counts: Counter[str] = Counter()
        sentences = 0
        for text in texts:
            counts.update(trigrams(text).keys())
            sentences += 1
        return cls(sentences, counts)

    def vector(self, text: str) -> Vector:
        """The sentence's trigrams with their weights; the squares of the weights sum to 1."""
        raw = {
            gram: count * math.log(2 + self.sentences / (1 + self.frequency.get(gram, 0)))
            for gram, count in trigrams(text).items()
        }
        length = math.sqrt(math.fsum(weight * weight for weight in raw.values()))
        return {gram: weight / length for gram, weight in raw.items()}


def cosine(left: Vector, right: Vector) -> float:
    """Likeness of two vectors, 0..1."""
    if len(left) > len(right):
        left, right = right, left
    return min(sum(weight * right.get(gram, 0.0) for gram, weight in left.items()), 1.0)


@dataclass(slots=True)
class Index(Generic[Key]):
    """Finds, among many sentences, the one most alike a given one, when it is alike enough.

    Exact and yet far from comparing everything: the trigrams of a question are walked from the
    heaviest to the lightest. As soon as the rest could not reach `least` by itself (the rest's
    length bounds its share of the cosine), no new sentence is taken up, and those that cannot
    reach it any more are dropped (Bayardo et al. 2007, "Scaling up all pairs similarity search").

    Attributes:
        least: Cosine from which a sentence is found.
    """

    least: float
    _keys: list[Key] = field(default_factory=list)
    _vectors: list[Vector] = field(default_factory=list)
    _known: set[Key] = field(default_factory=set)
    _lists: dict[str, dict[int, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def add(self, key: Key, vector: Vector) -> None:
        """List a sentence; the same key again is ignored."""
        if key in self._known:
            return
        place = len(self._keys)
        self._known.add(key)
        self._keys.append(key)
        self._vectors.append(vector)
        for gram, weight in vector.items():
            self._lists.setdefault(gram, {})[place] = weight

    def nearest(self, vector: Vector) -> tuple[Key, float] | None:
        """The most alike sentence and its cosine; of equals the one that was added first."""
        best: tuple[int, float] | None = None
        for place in sorted(self._possible(vector)):
            likeness = cosine(vector, self._vectors[place])
            if likeness >= self.least - _SLACK and (best is None or likeness > best[1] + _SLACK):
                best = place, likeness
        return None if best is None else (self._keys[best[0]], best[1])

    def _possible(self, vector: Vector) -> list[int]:
        """Places that may reach `least`."""
        partial: dict[int, float] = {}
        left = 1.0  # of the question's squared length
        least_square = self.least * self.least - _SLACK
        enough = _ENOUGH * _ENOUGH * least_square
        for gram, weight in sorted(vector.items(), key=lambda item: (-item[1], item[0])):
            listed = self._lists.get(gram)
            if listed is not None and left >= least_square:
                for place, other in listed.items():
                    partial[place] = partial.get(place, 0.0) + weight * other
            elif left < enough:
                break
            elif listed is not None:
                for place in partial.keys() & listed.keys():
                    partial[place] += weight * listed[place]
            left -= weight * weight
        rest = math.sqrt(max(left, 0.0))
        return [place for place, sum_ in partial.items() if sum_ + rest >= self.least - _SLACK]
