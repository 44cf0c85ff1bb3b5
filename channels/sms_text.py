"""How long a text is as SMS, and how it is cut without breaking a character.

A text whose every character is in the GSM 7-bit alphabet (3GPP TS 23.038) has 160 characters in a
segment, 153 in each of several; one other character makes all of it UCS-2: 70 and 67 units of
UTF-16. Characters of the extension table count twice. Every segment is paid for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from channels.graphemes import clusters

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""Table 6.2.1. Of Portuguese only à and é are in it, and Ç and É as capitals."""

GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Table 6.2.1.1: an escape and a character, two septets, never parted."""

_QUOTES = "\u201c\u201d\u201e\u00ab\u00bb"
_APOSTROPHES = "\u2018\u2019\u00b4`"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2022\u00b7"
_BLANKS = "\u00a0\u2009\u202f\t"
_NOTHING = "\u200b\ufeff"
TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys(_QUOTES, '"'),
        **dict.fromkeys(_APOSTROPHES, "'"),
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_BLANKS, " "),
        **dict.fromkeys(_NOTHING, ""),
        "\u2026": "...",
        "\u2192": ">",
    }
)
"""Marks a reader does not miss: one of them would make a segment of 160 into three of 67."""

PORTUGUESE = str.maketrans("áâãíóôõúçêÁÂÃÀÍÓÔÕÚÊºª", "aaaiooouceAAAAIOOOUEoa")
"""Letters of Portuguese and Spanish that GSM-7 lacks, without their mark: people write SMS so."""

GSM_SINGLE, GSM_PART = 160, 153
UCS2_SINGLE, UCS2_PART = 70, 67
"""A segment alone, and one of several: the header that joins them takes 7 septets or 3 units."""

TWILIO_LONGEST = 1600
"""Characters that Twilio takes in a body (error 21617)."""


@dataclass(frozen=True, slots=True)
class SmsText:
    """A text as it is sent.

    Attributes:
        body: What is sent.
        segments: How many SMS it costs.
        gsm: Whether it is in the GSM 7-bit alphabet; else UCS-2.
        cut: Whether something was left out.
    """

    body: str
    segments: int
    gsm: bool
    cut: bool


def is_gsm(text: str) -> bool:
    """Whether every character is in the GSM 7-bit alphabet or its extension."""
    return all(character in GSM_BASIC or character in GSM_EXTENSION for character in text)


def septets(text: str) -> int:
    """Length in septets of a text that `is_gsm`."""
    return sum(2 if character in GSM_EXTENSION else 1 for character in text)


def utf16_units(text: str) -> int:
    """Length in UTF-16 code units: an emoji counts two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def segments_of(text: str) -> int:
    """How many SMS a text costs; an empty one costs one.

    A pair (escape and character, or the halves of a surrogate pair) is never parted, so a segment
    may hold one unit less than it could.
    """
    if is_gsm(text):
        return _count(text, septets, GSM_SINGLE, GSM_PART)
    return _count(text, utf16_units, UCS2_SINGLE, UCS2_PART)


def _count(text: str, size: Callable[[str], int], single: int, part: int) -> int:
    if size(text) <= single:
        return 1
    segments, used = 1, 0
    for character in text:
        length = size(character)
        if used + length > part:
            segments, used = segments + 1, 0
        used += length
    return segments


def compose(
    words: str, link: str = "", *, max_segments: int, longest: int = TWILIO_LONGEST
) -> SmsText:
    """Words and a link as one SMS of at most `max_segments`; the words are cut, the link never.

    Typography that GSM-7 lacks is replaced always. Letters lose their marks only when that makes
    the text GSM-7 and fewer segments: a mark costs nothing where there is room for it.

    Args:
        words: The text; outer blanks are removed.
        link: Put behind it, after a blank. A link that alone is too long is left out.
        max_segments: Most SMS that may be paid for.
        longest: Most characters the provider takes.
    """
    plain = _printable(words).translate(TYPOGRAPHY)
    whole = _join(plain, link)
    candidates = [whole]
    without_marks = _join(plain.translate(PORTUGUESE), link)
    if not is_gsm(whole) and is_gsm(without_marks):
        candidates.append(without_marks)
    best = min(candidates, key=segments_of)  # the first of equals: with its marks
    if segments_of(best) <= max_segments and len(best) <= longest:
        return SmsText(best, segments_of(best), is_gsm(best), cut=False)
    shortest = plain.translate(PORTUGUESE) if best is not whole else plain
    return _cut(shortest, link, max_segments=max_segments, longest=longest)


def _printable(text: str) -> str:
    """Composed, without control characters and lone surrogates, which no telephone shows."""
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    # A letter and a combining mark are two characters, and the mark is not in GSM-7.
    return unicodedata.normalize("NFC", kept.strip())


def _join(words: str, link: str) -> str:
    return f"{words} {link}".strip() if link else words


def _cut(words: str, link: str, *, max_segments: int, longest: int) -> SmsText:
    def fits(text: str) -> bool:
        return segments_of(text) <= max_segments and len(text) <= longest

    if link and not fits(link):
        link = ""  # a part of a link leads nowhere
    pieces = tuple(clusters(words))

    def shown(count: int) -> str:
        head = "".join(pieces[:count]).rstrip()
        return _join(f"{head}..." if count < len(pieces) else head, link)

    kept = _longest_fit(pieces, lambda count: fits(shown(count)))
    body = shown(kept) if fits(shown(kept)) else link
    return SmsText(body, segments_of(body), is_gsm(body), cut=True)


def _longest_fit(pieces: Sequence[str], fits: Callable[[int], bool]) -> int:
    """Most pieces that fit, by halves.

    A longer beginning never needs less room: 67 units of UCS-2 hold at most 67 characters, and so
    many take at most 134 septets of the 153 they would have as GSM-7.
    """
    low, high = 0, len(pieces)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
