"""Routes about service levels."""

from __future__ import annotations

from ticketing.api import sla_handlers as handlers
from ticketing.api.calls import Route
from ticketing.domain.permissions import Permission
from ticketing.services.sla_views import TicketSlaView

SLA_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/tickets/{ticket_id}/sla", "get_ticket_sla", "Tickets",
        "What was promised: every SLA clock with the stretches that count, and who was warned",
        Permission.TICKETS_READ, handlers.get_ticket_sla, TicketSlaView,
        codes=("ticket_not_found", "not_visible"),
    ),
)  # fmt: skip
