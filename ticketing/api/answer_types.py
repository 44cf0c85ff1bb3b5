"""Pydantic's view of the answers' types, made once for each: making one takes milliseconds."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter


@cache
def adapter_of(answer: Any) -> TypeAdapter[Any]:
    """The adapter of an answer's type."""
    return TypeAdapter(answer)
