"""The part of a ticket's history that the audit log keeps: who became responsible, who gave it up.

Everything about a ticket is in `ticket_events`; here goes what decides who has to answer for a
customer, so that it cannot be rewritten later.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import TicketEvent
from ticketing.services.audit import record

MOVES_RESPONSIBILITY = frozenset(
    {
        "opened",
        "taken",
        "escalated",
        "de_escalated",
        "reassigned",
        "released",
        "resolved",
        "returned_to_bot",
        "closed",
        "reopened",
    }
)
_KEPT = ("agent", "queue", "level", "status")


async def record_event(session: AsyncSession, event: TicketEvent) -> None:
    """Copy an event into the audit log when it moved responsibility; ids and codes only."""
    if event.kind not in MOVES_RESPONSIBILITY:
        return
    names = [f"{side}_{name}" for name in _KEPT for side in ("from", "to")]
    kept = {name: event.data[name] for name in (*names, "rule") if event.data.get(name)}
    await record(
        session,
        actor=event.actor,
        action=f"ticket.{event.kind}",
        subject=f"ticket:{event.ticket_id}",
        data=kept,
        now=event.at,
        correlation_id=event.correlation_id,
    )
