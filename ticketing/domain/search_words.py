"""Words as a search sees them: without accents, case and punctuation; digits of phones findable.

The same folding makes the words that are stored and the words that are looked for. It is done here
and not by PostgreSQL, whose `unaccent` is an extension that not every server has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_WORD = 40
"""Characters of a word that count: longer ones are links and hashes, and a prefix finds them."""
MAX_WORDS = 8
"""Words of a question; what stands behind them narrows nothing that anybody wants narrower."""

_WORD = re.compile(r"[^\W_]+")
_SHORTEST_TAIL = 4  # digits; "the number that ends in 5678" is what people remember
_PHONE = re.compile(r"[\d\s()+./-]+")
_PHONE_DIGITS = range(8, 16)  # from a local number without area to the longest of E.164
_BRAZIL = "55"


def fold(text: str) -> str:
    """Lower case without accents: `Índice de Ação` and `indice de acao` are one text."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    # Some letters fold once more after losing their accent (the Turkish dotted I).
    return unicodedata.normalize("NFKC", bare.casefold())


def words_of(*texts: str | None) -> set[str]:
    """The words of texts, folded; None and empty texts have none."""
    return {word[:MAX_WORD] for text in texts if text for word in _WORD.findall(fold(text))}


def phone_words(phone: str | None) -> set[str]:
    """What a phone number is found by: all its digits and every ending of them.

    With prefix search that finds any piece of the number. A Brazilian mobile number is found with
    and without the 9 that WhatsApp leaves out in some regions.
    """
    digits = re.sub(r"\D", "", phone or "")
    if not digits.isascii():
        return set()
    forms = {digits}
    if digits.startswith(_BRAZIL):
        if len(digits) == len("5511912345678") and digits[4] == "9":
            forms.add(digits[:4] + digits[5:])
        elif len(digits) == len("551112345678"):
            forms.add(f"{digits[:4]}9{digits[4:]}")
    return {
        form[start:]
        for form in forms
        for start in range(max(1, len(form) - _SHORTEST_TAIL + 1))
        if form
    }


def question(text: str) -> tuple[str, ...]:
    """The words somebody looks for, in their order; each may be the beginning of a word.

    A phone number written in groups is one word: its digits.
    """
    stripped = text.strip()
    digits = re.sub(r"\D", "", stripped)
    if _PHONE.fullmatch(stripped) and digits.isascii() and len(digits) in _PHONE_DIGITS:
        return (digits,)
    words = [word[:MAX_WORD] for word in _WORD.findall(fold(stripped))]
    return tuple(dict.fromkeys(words))[:MAX_WORDS]


def prefix_query(words: Iterable[str]) -> str:
    """The words as a `tsquery` text: all of them, each as a prefix.

    Words hold letters and digits only, so that quoting them is enough.
    """
    return " & ".join(f"'{word}':*" for word in words)
