"""The console's words in Portuguese, English and Spanish; one JSON file each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

from ticketing.console.display import Say

LANGUAGES = ("pt", "en", "es")
NAMES: Mapping[str, str] = {"pt": "Português", "en": "English", "es": "Español"}
HTML_CODES: Mapping[str, str] = {"pt": "pt-BR", "en": "en", "es": "es"}

_FOLDER = Path(__file__).parent / "texts"


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """All words of a language by key."""
    words: Mapping[str, str] = json.loads(
        (_FOLDER / f"{language}.json").read_text(encoding="utf-8")
    )
    return words


def speak(language: str) -> Say:
    """A function that says a key in this language."""
    return partial(_say, catalogue(language))


def has(language: str, key: str) -> bool:
    """Whether the language has words for the key."""
    return key in catalogue(language)


def choose_language(*, asked: str | None, kept: str | None, accepted: str) -> str:
    """The language of a page: asked for now, else kept in the cookie, else the browser's.

    Args:
        asked: Of `?lang=`.
        kept: Of the cookie.
        accepted: The `Accept-Language` header (RFC 9110, 12.5.4).
    """
    for wish in (asked, kept):
        if wish in LANGUAGES:
            return wish
    wishes: list[tuple[float, str]] = []
    for part in accepted.split(","):
        code, _, quality = part.strip().partition(";")
        language = code.strip().lower().split("-")[0]
        if language in LANGUAGES:
            wishes.append((-_quality(quality), language))
    return min(wishes, default=(0.0, "pt"), key=lambda wish: wish[0])[1]


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _say(words: Mapping[str, str], key: str, /, **values: object) -> str:
    return words[key].format(**values) if values else words[key]
