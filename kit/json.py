"""JSON that PostgreSQL can always store.

`jsonb` refuses NUL characters and lone surrogates, which JSON from outside may hold as escapes.
Losing such a character is better than losing the message around it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson


def storable(value: Any) -> Any:
    """The same value without what `jsonb` refuses: NUL, lone surrogates, NaN, infinity."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping):
        return {storable_text(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def storable_text(value: str) -> str:
    """Text without NUL and with lone surrogates replaced by U+FFFD."""
    if "\x00" in value:
        value = value.replace("\x00", "")
    # Two steps: a proper pair written as two escapes becomes one character, a lone half becomes
    # a question mark in UTF-16 terms and then U+FFFD.
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def dumps(value: Any) -> str:
    """Compact JSON text; integers beyond 64 bits take the slow road of the standard library."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
