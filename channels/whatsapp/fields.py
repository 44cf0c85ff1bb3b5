"""Read single fields of a provider's JSON without trusting their types."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels.inbound import ProviderError, SenderIdentity
from channels.whatsapp.identity import normalise_phone

# Deeper than any documented webhook by far; deeper JSON would overflow the stack of whoever
# writes it again.
MAX_DEPTH = 64
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_MAPPING: Mapping[str, Any] = {}
# A webhook moment lies after the start of WhatsApp and before the year 2100 (seconds).
_FIRST_SECOND, _LAST_SECOND = 1_230_768_000, 4_102_444_800
_MILLISECONDS = 1000


class UnreadableItemError(ValueError):
    """An item lacks what makes it a message or a status; the text says what was expected."""


class TooDeepError(ValueError):
    """JSON nested deeper than `MAX_DEPTH`."""


def storable(value: Any, *, depth: int = 0) -> Any:
    """The JSON value with everything PostgreSQL cannot hold replaced.

    NUL characters go, lone surrogates become U+FFFD and numbers that are not finite become None:
    one such character would otherwise make the store fail on every redelivery.

    Raises:
        TooDeepError: The value is nested deeper than `MAX_DEPTH`.
    """
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value.replace("\x00", ""))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if depth > MAX_DEPTH:
        message = f"nested deeper than {MAX_DEPTH}"
        raise TooDeepError(message)
    if isinstance(value, dict):
        return {storable(key): storable(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, depth=depth + 1) for item in value]
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` when it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else _NO_MAPPING


def mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    """The objects in `value` when it is a list, else none."""
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, Mapping))


def text(value: Any) -> str | None:
    """`value` when it is text with something in it; a number as its digits; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def number(value: Any) -> float | None:
    """`value` as a finite number, also when written as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def timestamp(value: Any) -> datetime | None:
    """A moment given in seconds or, as some gateways do, in milliseconds; None when unreadable."""
    seconds = number(value)
    if seconds is None:
        return None
    if seconds > _LAST_SECOND:
        seconds /= _MILLISECONDS
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def errors(value: Any) -> tuple[ProviderError, ...]:
    """The `errors` list of a message, a status or a value."""
    return tuple(
        ProviderError(
            code=_code(item.get("code")),
            title=text(item.get("title")),
            message=text(item.get("message")),
            details=text(mapping(item.get("error_data")).get("details"))
            or text(item.get("details")),
        )
        for item in mappings(value)
    )


def identity(
    *, user_id: Any, phone: Any, contact: Mapping[str, Any] | None = None
) -> SenderIdentity:
    """A person out of the ids in an item and, when there is one, its entry in `contacts`.

    An address that is no phone number stands for the user id when there is no other.
    """
    card = contact or _NO_MAPPING
    profile = mapping(card.get("profile"))
    address = text(phone)
    number_of = normalise_phone(address) or normalise_phone(text(card.get("wa_id")))
    named = text(user_id) or text(card.get("user_id"))
    if named is None and number_of is None:
        named = address or text(card.get("wa_id"))
    return SenderIdentity(
        user_id=named,
        phone=number_of,
        username=text(profile.get("username")),
        profile_name=text(profile.get("name")),
    )


def _code(value: Any) -> int | None:
    code = number(value)
    return int(code) if code is not None else None
