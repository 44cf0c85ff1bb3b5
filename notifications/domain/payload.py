"""Read the fields of an outbox event's payload; each function raises `EventPayloadError`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


class EventPayloadError(ValueError):
    """The payload of an outbox event lacks a field or has a wrong one."""

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        self.expected = expected
        super().__init__(f"payload.{field}: expected {expected}")


def text(payload: Mapping[str, Any], field: str) -> str:
    """A text that is not empty."""
    value = payload.get(field)
    if not isinstance(value, str) or not value:
        raise EventPayloadError(field, "a text that is not empty")
    return value


def optional_text(payload: Mapping[str, Any], field: str) -> str | None:
    """A text, or None."""
    value = payload.get(field)
    if value is not None and not isinstance(value, str):
        raise EventPayloadError(field, "a text or null")
    return value or None


def number(payload: Mapping[str, Any], field: str) -> int:
    """A whole number."""
    value = payload.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise EventPayloadError(field, "a whole number")
    return value


def moment(payload: Mapping[str, Any], field: str) -> datetime | None:
    """A time with its offset from UTC, or None."""
    value = optional_text(payload, field)
    try:
        found = None if value is None else datetime.fromisoformat(value)
    except ValueError as error:
        raise EventPayloadError(field, "a time in ISO 8601, or null") from error
    if found is not None and found.tzinfo is None:
        raise EventPayloadError(field, "a time with its offset from UTC")
    return found


def optional_number(payload: Mapping[str, Any], field: str) -> int | None:
    """A whole number, or None."""
    return None if payload.get(field) is None else number(payload, field)
