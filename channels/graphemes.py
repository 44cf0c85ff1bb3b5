"""Cut text without cutting a character as a person sees it.

A flag, a family emoji or a letter with a combining accent is several code points; a cut inside one
shows the reader a different character. The rules are those of Unicode UAX #29 that matter in chat
text (CR LF, marks, joiners, emoji modifiers and tags, flags, Hangul), on the standard library's
character data. Lengths are code points, as in the `maxLength` of Meta's OpenAPI description.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

ELLIPSIS = "…"
_ZERO_WIDTH_JOINER = "\u200d"
_REGIONAL_FIRST, _REGIONAL_LAST = "\U0001f1e6", "\U0001f1ff"
# Best places to cut a long text, best first: paragraph, line, end of a sentence, word.
_BOUNDARIES = tuple(re.compile(p) for p in (r"\n\s*\n", r"\n", r"(?<=[.!?…;:])\s+", r"\s+"))


def clusters(text: str) -> Iterator[str]:
    r"""The user-perceived characters of `text`, in order; joined again they are `text`."""
    start = 0
    for position in range(1, len(text)):
        if _breaks(text, start, position):
            yield text[start:position]
            start = position
    if text:
        yield text[start:]


def truncate(text: str, limit: int, *, ellipsis: str = ELLIPSIS) -> str:
    """`text` in at most `limit` code points, the ellipsis included when something was cut."""
    if len(text) <= limit:
        return text
    room = limit - len(ellipsis)
    if room <= 0:
        return text[:limit]
    head = text[: _safe_cut(text, room)].rstrip()
    return (head or text[:room]) + ellipsis


def split(text: str, limit: int, *, last_limit: int | None = None) -> tuple[str, ...]:
    """`text` in as few parts of at most `limit` code points as can be, cut at the best places.

    Args:
        text: What to cut; outer blanks are removed.
        limit: Longest part, in code points.
        last_limit: Longest last part, when it differs (a body above buttons is shorter).

    Returns:
        The parts, none of them blank; nothing for a blank text.
    """
    rest = text.strip()
    end_limit = limit if last_limit is None else last_limit
    parts: list[str] = []
    while len(rest) > end_limit:
        # So many further parts are needed after this one; a cut before `shortest` would add one.
        further = -(-max(len(rest) - limit - end_limit, 0) // limit)
        shortest = max(len(rest) - end_limit - further * limit, 1)
        cut = _best_cut(rest, shortest, min(limit, len(rest) - 1))
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest:
        parts.append(rest)
    return tuple(part for part in parts if part)


def _best_cut(text: str, shortest: int, longest: int) -> int:
    for boundary in _BOUNDARIES:
        last = None
        for match in boundary.finditer(text, 0, longest + 1):
            if shortest <= match.end() and match.start() <= longest:
                last = match
        if last is not None:
            return max(last.start(), 1)
    return _safe_cut(text, longest)


def _safe_cut(text: str, longest: int) -> int:
    """The last cluster boundary at or before `longest`; `longest` itself inside a giant cluster."""
    # No cluster of ordinary text is longer than this window, so a boundary lies inside it.
    start = max(0, longest - 64)
    position = start
    last = 0
    for cluster in clusters(text[start : longest + 64]):
        if position > longest:
            break
        last = position if position > start or start == 0 else last
        position += len(cluster)
    if position <= longest:
        last = position
    return last or longest


def _breaks(text: str, start: int, position: int) -> bool:
    before, after = text[position - 1], text[position]
    if before == "\r" and after == "\n":
        return False
    if unicodedata.category(before) == "Cc" or unicodedata.category(after) == "Cc":
        return True
    if _extends(after):
        return False
    if before == _ZERO_WIDTH_JOINER:
        # Emoji sequence: the joiner binds two pictographs, not two letters.
        return unicodedata.category(after) != "So"
    if _is_regional(before) and _is_regional(after):
        return (position - start) % 2 == 0
    return not _hangul_joins(before, after)


def _extends(character: str) -> bool:
    if unicodedata.category(character) in {"Mn", "Mc", "Me"}:
        return True
    return (
        character in {"\u200c", _ZERO_WIDTH_JOINER}
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags of sub-national flags
    )


def _is_regional(character: str) -> bool:
    return _REGIONAL_FIRST <= character <= _REGIONAL_LAST


def _hangul_joins(before: str, after: str) -> bool:
    leading = "\u1100" <= before <= "\u115f"
    vowel = "\u1160" <= before <= "\u11a7"
    syllable = "\uac00" <= before <= "\ud7a3"
    after_vowel = "\u1160" <= after <= "\u11a7"
    after_tail = "\u11a8" <= after <= "\u11ff"
    if leading:
        return after_vowel or "\u1100" <= after <= "\u115f" or "\uac00" <= after <= "\ud7a3"
    if syllable:
        # An LV syllable takes a vowel or a tail, an LVT syllable a tail only.
        return after_tail or (after_vowel and (ord(before) - 0xAC00) % 28 == 0)
    if vowel:
        return after_vowel or after_tail
    return "\u11a8" <= before <= "\u11ff" and after_tail
