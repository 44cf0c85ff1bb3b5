"""Slips of the finger: whether a typed word is another one with a letter wrong."""

from __future__ import annotations

from collections.abc import Sequence

_LETTERS_FOR_ONE = 5  # shorter words turn into other words by one letter: "dos", "nos"
_LETTERS_FOR_TWO = 9


def distance(left: str, right: str, *, most: int) -> int:
    """Letters added, left out, changed or swapped with their neighbour (optimal alignment).

    Args:
        left: One word.
        right: Another.
        most: Beyond it the exact number does not matter: `most + 1` is returned.
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(right) + 1))
    for row, char in enumerate(left, start=1):
        this = [row]
        for column, other in enumerate(right, start=1):
            cost = min(
                last[column] + 1,
                this[column - 1] + 1,
                last[column - 1] + (char != other),
            )
            swapped = row > 1 and column > 1 and char == right[column - 2]
            if swapped and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            this.append(cost)
        if min(this) > most:
            return most + 1
        before, last = last, this
    return min(last[-1], most + 1)


def is_typo_of(typed: str, meant: str) -> bool:
    """Whether `typed` is `meant` with one slip (two in a long text), and not too short to tell.

    Digits are never slips: "12" is not "13".
    """
    if any(char.isdigit() for char in typed):
        return False
    shorter = min(len(typed), len(meant))
    if shorter < _LETTERS_FOR_ONE:
        return False
    most = 2 if shorter >= _LETTERS_FOR_TWO else 1
    return distance(typed, meant, most=most) <= most


def is_phrase_with_slips(typed: Sequence[str], meant: Sequence[str]) -> bool:
    """Whether the words are those of the phrase, the long ones perhaps with a slip.

    Word by word: over a whole phrase two slips would make "não atendi" of "não entendi".
    """
    if len(typed) != len(meant):
        return False
    return all(
        word == known or is_typo_of(word, known) for word, known in zip(typed, meant, strict=True)
    )
