"""Who holds a lease, and taking back at once what a dead predecessor held.

A lease runs out by itself. But the one `web` process of a `ponte up` that starts again knows that
the one before it is dead, and need not let its customers wait for that.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import update

from ticketing.db.engine import Database
from ticketing.db.tables import Conversation, Message
from ticketing.domain.enums import DeliveryState, Direction


def owner_name(process: str, *, instance: str) -> str:
    """A name for this process's leases, different at every start.

    Args:
        process: Such as `web`.
        instance: Names the place of which there is one at a time; empty when nobody promises that.
    """
    return f"{process}@{instance}:{uuid.uuid4().hex[:12]}"


async def take_back(db: Database, *, owner: str, now: datetime, unknown_wait: timedelta) -> int:
    """Free what earlier processes of the same instance held; how many leases that were.

    Turns can run again now. Messages that were being sent may have been sent: they become
    `unknown` and wait for their status.
    """
    place, _, _ = owner.rpartition(":")
    if place.endswith("@"):
        return 0
    earlier = f"{place}:%"
    async with db.transaction() as session:
        turns = await session.execute(
            update(Conversation)
            .where(Conversation.lease_owner.like(earlier), Conversation.lease_owner != owner)
            .values(lease_owner=None, lease_until=None)
            .returning(Conversation.id)
        )
        messages = await session.execute(
            update(Message)
            .where(
                Message.direction == Direction.OUTBOUND.value,
                Message.delivery == DeliveryState.SENDING.value,
                Message.lease_owner.like(earlier),
                Message.lease_owner != owner,
            )
            .values(
                delivery=DeliveryState.UNKNOWN.value,
                lease_owner=None,
                lease_until=None,
                next_attempt_at=now + unknown_wait,
            )
            .returning(Message.id)
        )
        return len(turns.all()) + len(messages.all())
