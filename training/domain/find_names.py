"""Where people's names stand in a text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from handoff.text import fold
from training.domain.names import (
    CLOSINGS,
    FUNCTION_WORDS,
    GIVEN_NAMES,
    PARTICLES,
    STRONG_INTRODUCTIONS,
    WEAK_INTRODUCTIONS,
)

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_MOST = 5  # words of one name
_SIGNATURE = 4  # words of a signature
_SHOUTED = 0.6  # share of capitalised words from which capitals say nothing
_INITIAL = 1
_STANDS_IN = "xxx"  # what scrub has put there already
_GREETING_TAIL = frozenset({"oi", "ola", "hi", "hello", "hey", "hola", "aqui", "here", "aca"})


@dataclass(frozen=True, slots=True)
class _Token:
    """A word and its place."""

    text: str
    folded: str
    start: int
    end: int

    @property
    def is_capitalised(self) -> bool:
        return self.text[0].isupper()


def name_spans(
    text: str, *, names: Collection[str], known_words: Collection[str]
) -> list[tuple[int, int]]:
    """The places of words that name a person, in order, not overlapping."""
    finder = _Finder(text, names, known_words)
    marked = sorted(finder.found())
    return [(finder.tokens[place].start, finder.tokens[place].end) for place in marked]


class _Finder:
    def __init__(self, text: str, names: Collection[str], known_words: Collection[str]) -> None:
        self._text = text
        self._known = known_words
        self.tokens = [
            _Token(match[0], fold(match[0]), match.start(), match.end())
            for match in _WORD.finditer(text)
        ]
        self._names = {
            part
            for name in names
            for part in _WORD.findall(fold(name))
            if len(part) > _INITIAL and part not in FUNCTION_WORDS
        }
        capitals = sum(token.is_capitalised for token in self.tokens)
        self._shouted = capitals > _SHOUTED * len(self.tokens)

    def found(self) -> set[int]:
        """Indexes of the tokens that are names."""
        marked = set(self._alone())
        for place in range(len(self.tokens)):
            for introductions, strong in (
                (STRONG_INTRODUCTIONS, True),
                (WEAK_INTRODUCTIONS, False),
            ):
                for introduction in introductions:
                    after = place + len(introduction)
                    if self._reads(introduction, place):
                        marked |= self._run(after, strong=strong)
        marked |= self._signature()
        return self._joined(marked)

    def _alone(self) -> Iterator[int]:
        """Words that are names wherever they stand."""
        for place, token in enumerate(self.tokens):
            parts = {token.folded, *_WORD.findall(token.folded.replace("-", " "))}
            listed = parts & GIVEN_NAMES and not self._is_common(token)
            first = place == 0 and self._introduces_itself()
            if parts & self._names or listed or first or self._mid_sentence_name(place):
                yield place

    def _mid_sentence_name(self, place: int) -> bool:
        """A capital inside a sentence, on a word that no example has."""
        token = self.tokens[place]
        if not token.is_capitalised or token.text.isupper() or self._shouted:
            return False
        before = self._text[: token.start].rstrip(" \"'(")
        begins = not before or before[-1] in ".!?:;\u2026"
        return not begins and not self._is_known(token)

    def _introduces_itself(self) -> bool:
        """'Jucilene aqui, meu pedido ...'."""
        if len(self.tokens) < 2:  # noqa: PLR2004 - a pair is asked for
            return False
        first, second = self.tokens[:2]
        return second.folded in {"aqui", "here", "aca"} and self._may_be_name(first)

    def _reads(self, words: tuple[str, ...], place: int) -> bool:
        part = self.tokens[place : place + len(words)]
        return tuple(token.folded for token in part) == words

    def _run(self, place: int, *, strong: bool) -> set[int]:
        """The name that begins at a place: words beside each other, particles inside."""
        taken: set[int] = set()
        for at in range(place, min(place + _MOST, len(self.tokens))):
            if at > 0 and not self._touches(at):
                break
            token = self.tokens[at]
            if token.folded in PARTICLES:
                continue
            if not self._may_be_name(token) and not (
                strong and not taken and not self._is_common(token)
            ):
                break
            taken.add(at)
        return taken

    def _signature(self) -> set[int]:
        for place in range(len(self.tokens) - 1, -1, -1):
            if self.tokens[place].folded not in CLOSINGS:
                continue
            rest = range(place + 1, len(self.tokens))
            if 0 < len(rest) <= _SIGNATURE:
                return {at for at in rest if self._may_be_name(self.tokens[at])}
            return set()
        return set()

    def _joined(self, marked: set[int]) -> set[int]:
        """With the particles between two names, and initials and surnames that touch one."""
        for at, token in enumerate(self.tokens):
            before = at - 1 in marked
            if not before or at in marked or not self._touches(at):
                continue
            inside = token.folded in PARTICLES and at + 1 in marked
            surname = token.is_capitalised and not self._shouted and not self._is_known(token)
            if inside or surname or (len(token.text) == _INITIAL and token.text.isupper()):
                marked.add(at)
        return marked

    def _touches(self, at: int) -> bool:
        """Whether only spaces (or an initial's dot) stand between a word and the one before."""
        between = self._text[self.tokens[at - 1].end : self.tokens[at].start]
        return between.strip(" .") == "" and between.count(".") <= 1

    def _may_be_name(self, token: _Token) -> bool:
        if token.folded in FUNCTION_WORDS or token.folded == _STANDS_IN:
            return False
        if token.folded in _GREETING_TAIL or token.folded in CLOSINGS:
            return False
        capital = token.is_capitalised and not self._shouted
        return token.folded in GIVEN_NAMES or capital or not self._is_known(token)

    def _is_known(self, token: _Token) -> bool:
        folded = token.folded
        return folded in self._known or folded in FUNCTION_WORDS or folded == _STANDS_IN

    def _is_common(self, token: _Token) -> bool:
        """An everyday word of the examples, written as one."""
        return self._is_known(token) and not (token.is_capitalised and not self._shouted)
