"""What is asked of a provider, and how it was told to behave: the words of the stand-in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from kit.clock import SystemClock

CLOCK = SystemClock()


@dataclass(slots=True)
class Rule:
    """What to do with a part of the requests of a channel.

    Attributes:
        do: `error`, `drop` (take it, close without an answer), `reset` (close, not taken),
            `hang` (no answer, not taken), `garbage` (take it, answer nonsense), `late` (take it,
            answer after `seconds`), `drip` (take it, answer byte by byte over `seconds`), `kill`
            (SIGKILL to the process that asks, not taken).
        share: Part of the requests, drawn by chance with a fixed seed.
        status: HTTP status, or the SMTP reply, of an error.
        code: The provider's code of an error.
        retry_after: The header's value.
        first_only: Only the first request of each key.
        recipient: All requests to this address and no others; empty: a share of all.
        seconds: Of `late` and `drip`.
    """

    do: str
    share: float = 1.0
    status: int = 500
    code: int = 0
    retry_after: str = ""
    first_only: bool = False
    recipient: str = ""
    seconds: float = 40.0


@dataclass(slots=True)
class Behaviour:
    """How a channel behaves now."""

    delay_seconds: float = 0.0
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to send, whatever its channel; `pid` is of the process that asks, or 0."""

    channel: str
    key: str
    recipient: str
    pid: int
    callback: str = ""
    body: str = ""


def wamid(key: str, times: int) -> str:
    """Meta's id of a message."""
    return f"wamid.{key}.{times}"


def twilio_sid(key: str, times: int) -> str:
    """Twilio's id of a message."""
    return "SM" + hashlib.md5(f"{key}.{times}".encode()).hexdigest()  # noqa: S324 - a name
