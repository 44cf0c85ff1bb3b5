"""Text as weighted counts of pieces: words, neighbouring words, parts of words.

No language model and no word list: what is not in the examples is not known. Pieces of words
survive typos ("boletoo", "vcs"); pairs of words keep some order; the marks at the beginning and
the end tell "cancelar" alone from "cancelar" in a long message.

Every message becomes two blocks, words and characters, each scaled to the same length, so that a
message of one word and one of five lines can be compared, and neither block drowns the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

# Longer messages are cut here: WhatsApp's own limit for a text, and it bounds the time of one.
MAX_CHARACTERS = 4096

_URL = re.compile(r"(?:https?://|www\.)\S+")
_EMAIL = re.compile(r"\S+@\S+\.\S+")
_WORD = re.compile(r"\w+")
# A laugh or a cry is one piece however long: "kkkkkk", "!!!!!", "oiiiii".
_REPEATED = re.compile(r"(.)\1{2,}")


def normalised(text: str) -> str:
    """The text in small letters without accents; digits as 0; addresses as one word each."""
    text = text[:MAX_CHARACTERS]
    decomposed = unicodedata.normalize("NFKD", text).lower()
    text = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    if "@" in text:
        text = _EMAIL.sub(" emailx ", text)
    if "://" in text or "www." in text:
        text = _URL.sub(" urlx ", text)
    text = "".join("0" if mark.isdigit() else mark for mark in text)
    return _REPEATED.sub(r"\1\1", text)


def word_pieces(text: str) -> Iterator[str]:
    """Words, pairs of neighbours and pairs with one word between, of a normalised text."""
    words = _WORD.findall(text)
    if not words:
        return
    yield from words
    marked = ["<", *words, ">"]
    for left, right in pairwise(marked):
        yield f"{left} {right}"
    for left, right in zip(marked, marked[2:], strict=False):
        yield f"{left} _ {right}"


def character_pieces(text: str) -> Iterator[str]:
    """Parts of 2 to 5 characters of each word, its edges marked by a space, of a normalised text.

    What stands between spaces counts as a word here, so punctuation and emoji are seen too.
    """
    for word in text.split():
        padded = f" {word} "
        size = len(padded)
        for width in range(2, 6):
            if width >= size:
                yield padded
                break
            for start in range(size - width + 1):
                yield padded[start : start + width]


PIECES: dict[str, Callable[[str], Iterator[str]]] = {
    "words": word_pieces,
    "characters": character_pieces,
}


@dataclass(frozen=True)
class Block:
    """One kind of pieces: which are known, and how much each weighs."""

    kind: str  # a key of PIECES
    columns: dict[str, int]
    weights: np.ndarray  # by column; rare pieces weigh more

    @classmethod
    def learn(cls, kind: str, texts: Sequence[str]) -> Block:
        """Know every piece of these normalised texts."""
        pieces_of = PIECES[kind]
        rows_with: Counter[str] = Counter()
        for text in texts:
            rows_with.update(set(pieces_of(text)))
        columns = {piece: column for column, piece in enumerate(sorted(rows_with))}
        counts = np.fromiter((rows_with[piece] for piece in columns), float, len(columns))
        weights = np.log((1 + len(texts)) / (1 + counts)) + 1
        return cls(kind, columns, weights.astype(np.float32))

    def row(self, text: str) -> tuple[list[int], np.ndarray]:
        """Columns and values of the known pieces; their length is 1 if no piece is unknown.

        Unknown pieces count in the length as the rarest known ones: who writes words that the
        examples never had looks less like every example.
        """
        columns: list[int] = []
        counts: list[int] = []
        unknown = 0.0
        for piece, count in Counter(PIECES[self.kind](text)).items():
            column = self.columns.get(piece)
            if column is None:
                unknown += 1.0
            else:
                columns.append(column)
                counts.append(count)
        if not columns:
            return columns, np.zeros(0, np.float32)
        values = (1 + np.log(np.array(counts, np.float32))) * self.weights[columns]
        rarest = float(self.weights.max())
        length = (float(values @ values) + unknown * rarest**2) ** 0.5
        return columns, values / np.float32(length)


class TextFeatures:
    """Turns messages into rows of numbers; knows the pieces of the examples.

    A row's two blocks (words, characters) have a squared length of at most 1/2 each: what is
    missing is the share of pieces that no example has. The product of two rows is how alike the
    messages are, 0..1.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        """Take blocks that were learnt or loaded."""
        self.blocks = tuple(blocks)
        self.starts = np.cumsum([0, *(len(block.columns) for block in self.blocks)])

    @classmethod
    def learn(cls, texts: Sequence[str]) -> TextFeatures:
        """Know every piece of these texts."""
        clean = [normalised(text) for text in texts]
        return cls([Block.learn(kind, clean) for kind in PIECES])

    @property
    def width(self) -> int:
        """How many columns a row has."""
        return int(self.starts[-1])

    def row(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Columns and values of one message."""
        clean = normalised(text)
        scale = np.float32(len(self.blocks) ** -0.5)
        found = [block.row(clean) for block in self.blocks]
        columns = [
            np.array(c, np.int64) + s for (c, _), s in zip(found, self.starts[:-1], strict=True)
        ]
        return np.concatenate(columns), np.concatenate([values * scale for _, values in found])

    def rows(self, texts: Sequence[str]) -> csr_matrix:
        """One row for each text: float32, (texts, width)."""
        found = [self.row(text) for text in texts]
        ends = np.cumsum([0, *(len(columns) for columns, _ in found)])
        columns = np.concatenate([c for c, _ in found]) if found else np.zeros(0, np.int64)
        values = np.concatenate([v for _, v in found]) if found else np.zeros(0, np.float32)
        return csr_matrix((values, columns, ends), shape=(len(texts), self.width))

    def to_parts(self) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """What JSON keeps and what NumPy keeps; `from_parts` reads both."""
        plain = [{"kind": b.kind, "pieces": list(b.columns)} for b in self.blocks]
        return plain, {f"weights_{block.kind}": block.weights for block in self.blocks}

    @classmethod
    def from_parts(
        cls, plain: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
    ) -> TextFeatures:
        """The features that `to_parts` wrote."""
        blocks = []
        for block in plain:
            columns = {piece: column for column, piece in enumerate(block["pieces"])}
            blocks.append(Block(block["kind"], columns, arrays[f"weights_{block['kind']}"]))
        return cls(blocks)
