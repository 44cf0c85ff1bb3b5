"""Tell repeated alerts together: the first at once, what follows within a while in one message.

A *digest key* is what is told together: one event, to one recipient, on one channel. The first
notice of a key goes at once. The next one within the window is held until the window is over and
becomes the *leader*; further ones are its followers and are told in its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MOST_ITEMS = 5
"""Notices of which a digest shows the facts; of the others it tells how many there are."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Nothing of this key was told within the window."""


@dataclass(frozen=True, slots=True)
class Lead:
    """It waits, and what follows joins it."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Follow:
    """It is told in the words of the one that waits already."""


Place = AtOnce | Lead | Follow


def digest_key(event: str, channel: str, recipient: str) -> str:
    """What is told together.

    >>> digest_key("sla-alert", "email", "ana@example.com")
    'sla-alert:email:ana@example.com'
    """
    return f"{event}:{channel}:{recipient}"


def place_of(
    *, last_told: datetime | None, leader_waits: bool, window: timedelta, now: datetime
) -> Place:
    """Where a new notice of a key stands.

    Args:
        last_told: When one of the key last went out, or was due to; None: never.
        leader_waits: Whether one of the key is held and nobody has claimed it.
        window: See the module.
        now: When the new one is made.
    """
    if leader_waits:
        return Follow()
    if last_told is None or last_told + window <= now:
        return AtOnce()
    return Lead(last_told + window)


def joined(leader: Mapping[str, Any], follower: Mapping[str, Any]) -> dict[str, Any]:
    """The leader's context after one more notice joined it.

    `digest` holds how many notices it tells, itself included, and the facts of the first of them,
    its own first.
    """
    digest = leader.get("digest") or {}
    own = {key: value for key, value in leader.items() if key != "digest"}
    items = list(digest.get("items") or [own])
    if len(items) < MOST_ITEMS:
        items.append({key: value for key, value in follower.items() if key != "digest"})
    count = int(digest.get("count", 1)) + 1
    return {**leader, "digest": {"count": count, "items": items}}
