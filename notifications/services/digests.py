"""Find the place of new notices in their digests: told at once, waiting as leader, or joining one.

See `notifications.domain.digest`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, DateTime, String, any_, bindparam, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.digest import AtOnce, Follow, Lead, joined, place_of
from ticketing.db.tables import Notification
from ticketing.domain.enums import DeliveryState

LONGEST_HELD = timedelta(days=1)
"""A notice goes out at most so long after it was made, as far as digests look back: quiet hours."""

Row = dict[str, Any]
"""Values of a row that is not there yet."""


async def gather_digests(
    session: AsyncSession,
    rows: Sequence[Row],
    *,
    windows: Mapping[str, timedelta],
    now: datetime,
) -> list[Row]:
    """The rows to insert, those with a digest key in their places; leaders that wait are updated.

    What exists already is left out: it must be counted once. Makers of one event are served one
    after the other until the caller's transaction ends: two would each see that nothing was told
    yet. A lock for each event, not for each key: a transaction that gives up several notices takes
    it several times, and in one order only.

    Args:
        session: The caller's transaction.
        rows: Values of new rows, in the order they happened; with their `digest_key` or None.
        windows: Digest key to the time within which what follows is told together.
        now: When.
    """
    for event in sorted({row["event"] for row in rows if row["digest_key"] is not None}):
        await session.execute(_LOCK, {"event": f"digest:{event}"})
    known = await _known_keys(session, rows)
    keys = sorted(windows)
    leaders = await _leaders(session, keys, longest=max(windows.values()), now=now)
    last_told = await _last_told(session, keys, since=now - max(windows.values()) - LONGEST_HELD)
    threads = {
        key: _Thread(window, now, leaders.get(key), last_told.get(key))
        for key, window in windows.items()
    }
    chosen: list[Row] = []
    for row in rows:
        if row["idempotency_key"] in known:
            continue
        if row["digest_key"] is not None:
            known.add(row["idempotency_key"])
            threads[row["digest_key"]].place(row)
        chosen.append(row)
    return chosen


@dataclass(slots=True)
class _Thread:
    """The notices of one key, as they are while new ones take their places."""

    window: timedelta
    now: datetime
    leader: Notification | Row | None
    last_told: datetime | None

    def place(self, row: Row) -> None:
        """Give a new row its place; what joins a leader changes that one."""
        place = place_of(
            last_told=self.last_told,
            leader_waits=self.leader is not None,
            window=self.window,
            now=self.now,
        )
        match place:
            case AtOnce():
                self.last_told = row["next_attempt_at"]
                if row["next_attempt_at"] > self.now:  # quiet hours: what follows joins it
                    self.leader = row
            case Lead(until):
                row["next_attempt_at"] = max(until, row["next_attempt_at"])
                row["enqueued_at"] = None
                self.leader = row
            case Follow():
                self._join(row)

    def _join(self, row: Row) -> None:
        row["enqueued_at"] = None
        leader = self.leader
        if isinstance(leader, Notification):
            row["digest_id"] = leader.id
            leader.context = joined(leader.context, row["context"])
        elif leader is not None:
            row["digest_id"] = leader["id"]
            leader["context"] = joined(leader["context"], row["context"])


async def _known_keys(session: AsyncSession, rows: Sequence[Row]) -> set[str]:
    """Of the rows with a digest, the idempotency keys that exist already."""
    keys = [row["idempotency_key"] for row in rows if row["digest_key"] is not None]
    return set((await session.execute(_KNOWN, {"keys": keys})).scalars())


async def _leaders(
    session: AsyncSession, keys: Collection[str], *, longest: timedelta, now: datetime
) -> dict[str, Notification]:
    """Key to the notice that still waits and that nobody has claimed; the rows are locked."""
    found = await session.scalars(
        _LEADERS, {"keys": list(keys), "now": now, "stuck_since": now - longest}
    )
    leaders: dict[str, Notification] = {}
    for row in found:
        if row.digest_key is not None:
            leaders.setdefault(row.digest_key, row)
    return leaders


async def _last_told(
    session: AsyncSession, keys: Collection[str], *, since: datetime
) -> dict[str, datetime]:
    """Key to when one of it last went out, or was due."""
    told = await session.execute(_LAST_TOLD, {"keys": list(keys), "since": since})
    return {row.digest_key: row.at for row in told}


_KEYS = bindparam("keys", type_=ARRAY(String()))
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:event, 0))")
_KNOWN = text(
    "SELECT idempotency_key FROM notifications WHERE idempotency_key = ANY(:keys)"
).bindparams(_KEYS)
_WHEN = DateTime(timezone=True)
_LEADERS = (
    select(Notification)
    .where(
        Notification.digest_key == any_(_KEYS),
        Notification.state == DeliveryState.PENDING.value,
        Notification.digest_id.is_(None),
        Notification.claimed_at.is_(None),
        Notification.attempts == 0,
        or_(
            Notification.next_attempt_at > bindparam("now", type_=_WHEN),
            # Due for long, and nobody took it: its way is closed, or many wait before it.
            Notification.next_attempt_at <= bindparam("stuck_since", type_=_WHEN),
        ),
    )
    .order_by(Notification.id)
    # A claim that comes at this moment is faster: then the next one leads.
    .with_for_update(skip_locked=True)
)
_LAST_TOLD = text(
    """
    SELECT digest_key, max(coalesce(finished_at, claimed_at, next_attempt_at, created_at)) AS at
    FROM notifications
    WHERE digest_key = ANY(:keys) AND digest_id IS NULL AND created_at > :since
    GROUP BY digest_key
    """
).bindparams(_KEYS, bindparam("since", type_=_WHEN))
