"""Routes of presence, shifts, the next ticket and what the router did (docs/routing.md)."""

from __future__ import annotations

from ticketing.api import routing_handlers as handlers
from ticketing.api.calls import Route
from ticketing.domain.permissions import Permission
from ticketing.http import routing_schemas as schemas
from ticketing.http.schemas import NoBody
from ticketing.services.presence import PresenceView
from ticketing.services.routing_views import TicketRouting
from ticketing.services.shifts import ShiftView

ROUTING_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/me/presence", "get_presence", "Routing", "Whether you count as there",
        Permission.ACCOUNT_OWN, handlers.get_presence, PresenceView,
    ),
    Route(
        "POST", "/me/presence", "set_presence", "Routing",
        "Say whether you are there; only who is online is offered tickets",
        Permission.ACCOUNT_OWN, handlers.set_presence, PresenceView, body=schemas.PresenceBody,
        example={"state": "online"}, repeatable=True,
    ),
    Route(
        "POST", "/me/heartbeat", "heartbeat", "Routing",
        "A sign that you are still there; brings nobody back whose time has run out",
        Permission.ACCOUNT_OWN, handlers.heartbeat, PresenceView, body=NoBody, repeatable=True,
    ),
    Route(
        "GET", "/presence", "list_presence", "Routing", "Who is there",
        Permission.PEOPLE_READ, handlers.list_presence, handlers.Presences,
    ),
    Route(
        "POST", "/agents/{agent_id}/presence", "set_others_presence", "Routing",
        "Say of somebody that they are busy, away or gone",
        Permission.TICKETS_SUPERVISE, handlers.set_others_presence, PresenceView,
        body=schemas.OthersPresenceBody, codes=("agent_not_found",),
        example={"state": "offline"}, repeatable=True,
    ),
    Route(
        "GET", "/agents/{agent_id}/shifts", "get_shifts", "Routing", "When somebody works",
        Permission.PEOPLE_READ, handlers.get_shifts, ShiftView, codes=("agent_not_found",),
    ),
    Route(
        "POST", "/agents/{agent_id}/shifts", "set_shifts", "Routing",
        "Say when somebody works, as a whole plan; an empty one takes it away",
        Permission.TICKETS_SUPERVISE, handlers.set_shifts, ShiftView, body=schemas.ShiftsBody,
        codes=("agent_not_found",), repeatable=True,
        example={
            "time_zone": "America/Sao_Paulo",
            "mon": ["08:00-12:00", "13:00-17:00"],
            "tue": ["08:00-12:00", "13:00-17:00"],
            "days_off": ["2026-12-24"],
        },
    ),
    Route(
        "POST", "/next-ticket", "next_ticket", "Routing",
        "Take the ticket you should serve next; of two who ask at once, each gets another",
        Permission.TICKETS_WRITE, handlers.next_ticket, handlers.NextTicket,
        body=schemas.NextTicketBody, codes=("at_capacity",), example={"queue": "n1_support"},
    ),
    Route(
        "GET", "/tickets/{ticket_id}/routing", "get_ticket_routing", "Routing",
        "Who got a ticket and why; who would get it now",
        Permission.TICKETS_READ, handlers.get_ticket_routing, TicketRouting,
        codes=("ticket_not_found", "not_visible"),
    ),
    Route(
        "GET", "/routing/queues", "get_routing_queues", "Routing",
        "What waits in each queue, next ticket first, and who is there for it",
        Permission.QUEUES_READ, handlers.get_standings, handlers.Standings,
    ),
)  # fmt: skip
