"""Identifiers: made here and nowhere else."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

_COUNTER_BITS = 12
_SET_BACK = 10_000 << _COUNTER_BITS
"""A clock that was set back by more than 10 s is followed; by less, ids go on from the last one."""

_lock = threading.Lock()
_last = 0


def new_id() -> uuid.UUID:
    """A version 7 UUID: ordered by time, and in one process by the order in which they were made.

    Twelve bits beside the milliseconds are a counter that begins at random (RFC 9562, 6.2, method
    1), so rows that are written together can be listed in their order; 62 bits are random.
    """
    stamp = _next_stamp(time.time_ns() // 1_000_000)
    value = (stamp >> _COUNTER_BITS & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= (stamp & 0xFFF) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return uuid.UUID(int=value)


def _next_stamp(milliseconds: int) -> int:
    """Milliseconds and counter of the next id, above those of the last one."""
    global _last  # noqa: PLW0603 - one sequence a process
    fresh = milliseconds << _COUNTER_BITS | secrets.randbits(_COUNTER_BITS - 1)
    with _lock:
        follows = fresh <= _last < fresh + _SET_BACK
        _last = _last + 1 if follows else fresh
        return _last


def new_correlation_id() -> str:
    """A short random id that follows one message through every process."""
    return secrets.token_hex(8)


def new_token() -> str:
    """A secret of 256 bits, safe in a URL and in a cookie."""
    return secrets.token_urlsafe(32)


def new_worker_key() -> int:
    """A random number of 31 bits: names a worker process in PostgreSQL's advisory locks."""
    return secrets.randbits(31)
