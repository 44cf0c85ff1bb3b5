"""What the routes about service levels do."""

from __future__ import annotations

from ticketing.api.calls import Answer, Call
from ticketing.services.sla_views import ticket_sla


async def get_ticket_sla(call: Call) -> Answer:
    """Every clock of a ticket, with its stretches, and the alerts."""
    async with call.desk.deps.db.transaction() as session:
        return Answer(
            await ticket_sla(
                session,
                call.ids["ticket_id"],
                actor=call.actor,
                now=call.desk.deps.clock.now(),
            )
        )
