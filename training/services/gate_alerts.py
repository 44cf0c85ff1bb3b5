"""Tell the admin that the gate refused a new model: once for each model."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_correlation_id
from ticketing.db.notification_tables import OperationAlert
from ticketing.services.outbox import add_event

REFUSED = "training.gate_refused"
_SOURCE = "training-gate"
_SHOWN = 12
"""Characters of the model's hash: enough to tell models apart, short enough to be read out."""


async def tell_refused(session: AsyncSession, *, model: str, problems: int, now: datetime) -> bool:
    """Write the event, in the caller's transaction; False when this model was told of before.

    Args:
        session: The caller's.
        model: Hash of the model; empty when it has none: then it is told each time.
        problems: How many reasons there were.
        now: When.
    """
    subject = model[:_SHOWN] or "unnamed"
    if model:
        # Not an alert that fires: there is no end to it, the next model has a row of its own.
        made = await session.scalar(
            insert(OperationAlert)
            .values(
                name=f"training_gate:{subject}",
                firing=False,
                since=now,
                told_at=now,
                value=problems,
            )
            .on_conflict_do_nothing(index_elements=["name"])
            .returning(OperationAlert.name)
        )
        if made is None:
            return False
    await add_event(
        session,
        topic=REFUSED,
        payload={
            "source": _SOURCE,
            "subject": subject,
            "count": problems,
            "since": now.isoformat(),
        },
        now=now,
        correlation_id=new_correlation_id(),
    )
    return True
