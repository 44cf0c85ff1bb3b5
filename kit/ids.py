"""Identifiers: made here and nowhere else."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> uuid.UUID:
    """A version 7 UUID (RFC 9562): ordered by time, so that indexes grow at one end."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= secrets.randbits(12) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return uuid.UUID(int=value)


def new_correlation_id() -> str:
    """A short random id that follows one message through every process."""
    return secrets.token_hex(8)


def new_token() -> str:
    """A secret of 256 bits, safe in a URL and in a cookie."""
    return secrets.token_urlsafe(32)


def new_worker_key() -> int:
    """A random number of 31 bits: names a worker process in PostgreSQL's advisory locks."""
    return secrets.randbits(31)
