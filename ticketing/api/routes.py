"""The one table of routes: method, path, least role, models, errors, examples.

The dispatcher serves it, `openapi.py` documents it, and the tests walk through it role by role, so
a route cannot exist without its permission.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ticketing.api import handlers, ticket_list_handlers
from ticketing.api.bulk import bulk_route
from ticketing.api.calls import Answer, Call, Route
from ticketing.api.people_routes import PEOPLE_ROUTES
from ticketing.api.privacy_routes import PRIVACY_ROUTES
from ticketing.api.quality_routes import QUALITY_ROUTES
from ticketing.api.routing_routes import ROUTING_ROUTES
from ticketing.api.runbook_routes import RUNBOOK_ROUTES
from ticketing.api.sla_routes import SLA_ROUTES
from ticketing.api.ticket_routes import TICKET_ROUTES
from ticketing.domain.permissions import Permission
from ticketing.http import schemas
from ticketing.http.ticket_list_schemas import TicketQuery
from ticketing.services.explanations import DecisionPage
from ticketing.services.reviews import ReviewView
from ticketing.services.satisfaction import Satisfaction
from ticketing.services.ticket_list import TicketPage
from ticketing.services.tickets import Done
from ticketing.services.views import ConversationView, TicketDetail

_WRITE = ("ticket_not_found", "not_allowed", "invalid_transition", "version_conflict")


def _ticket_command(
    verb: str,
    name: str,
    summary: str,
    body: type[BaseModel],
    *,
    needs: Permission = Permission.TICKETS_WRITE,
    codes: tuple[str, ...] = (),
    example: dict[str, Any] | None = None,
    takes_key: bool = False,
) -> Route:
    return Route(
        method="POST",
        path=f"/tickets/{{ticket_id}}/{verb}",
        name=name,
        tag="Tickets",
        summary=summary,
        needs=needs,
        handler=getattr(handlers, name),
        answer=Done,
        body=body,
        codes=(*_WRITE, *codes),
        example=example or {},
        takes_key=takes_key,
    )


ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/login", "log_in", "Session",
        "Log in; answers with a token and sets the session cookie",
        None, handlers.log_in, handlers.Login, body=schemas.LoginBody,
        codes=("login_refused",),
        example={"email": "ana@example.com", "password": "correct horse battery"},
    ),
    Route(
        "POST", "/logout", "log_out", "Session", "End this session",
        Permission.ACCOUNT_OWN, handlers.log_out, handlers.LoggedOut, body=schemas.NoBody,
        session_only=True,
    ),
    Route(
        "GET", "/me", "me", "Session", "Who is logged in",
        Permission.ACCOUNT_OWN, handlers.me, handlers.Me,
    ),
    Route(
        "GET", "/tickets", "list_tickets", "Tickets",
        "The tickets you may see: filtered, searched, in one of five orders, page by page",
        Permission.TICKETS_READ, ticket_list_handlers.list_tickets, TicketPage,
        query=TicketQuery,
    ),
    Route(
        "GET", "/tickets/{ticket_id}", "get_ticket", "Tickets",
        "A ticket with messages, history, handoffs and the decision behind them",
        Permission.TICKETS_READ, handlers.get_ticket, TicketDetail,
        codes=("ticket_not_found", "not_visible"),
    ),
    _ticket_command(
        "take", "take",
        "Answer this customer from now on; of two who take at once, one wins",
        schemas.TakeBody, codes=("already_taken",), example={"expected_version": 1},
    ),
    _ticket_command(
        "reply", "reply",
        "Write to the customer; a ticket that nobody has is taken with it",
        schemas.ReplyBody, codes=("idempotency_key_reused",), takes_key=True,
        example={"text": "Olá! Já estou vendo o seu pedido.", "status": "pending_customer"},
    ),
    _ticket_command(
        "notes", "note", "Write a remark that the customer never sees",
        schemas.NoteBody, codes=("idempotency_key_reused",), takes_key=True,
        example={"text": "Cliente ligou também pelo 0800."},
    ),
    _ticket_command(
        "escalate", "escalate",
        "Hand the ticket to a higher level, or to another queue of the same level",
        schemas.EscalateBody,
        example={"level": "N2", "queue": "n2_technical", "reason": "Precisa de acesso ao servidor"},
    ),
    _ticket_command(
        "de-escalate", "de_escalate", "Hand the ticket to a lower level",
        schemas.DeEscalateBody,
        example={"level": "N1", "queue": "n1_support", "reason": "Dúvida simples de cadastro"},
    ),
    _ticket_command(
        "priority", "change_priority",
        "Change the priority; the SLA still counts from the opening",
        schemas.PriorityBody, needs=Permission.TICKETS_SUPERVISE,
        example={"priority": "high", "reason": "Cliente sem acesso"},
    ),
    _ticket_command(
        "assign", "assign", "Give the ticket to an agent or a queue, or correct its severity",
        schemas.AssignBody, needs=Permission.TICKETS_SUPERVISE, example={"queue": "n1_support"},
    ),
    _ticket_command(
        "resolve", "resolve",
        "Settle the matter; the customer is told and the bot answers again",
        schemas.ResolveBody, example={"closing_text": "Reembolso feito, cai em até 5 dias úteis."},
    ),
    _ticket_command(
        "return-to-bot", "return_to_bot",
        "Let the bot go on; the ticket ends as resolved",
        schemas.ReturnBody, example={"reason": "Só queria a segunda via"},
    ),
    _ticket_command(
        "close", "close", "Put a resolved ticket away for good",
        schemas.CloseBody, needs=Permission.TICKETS_SUPERVISE, example={"expected_version": 7},
    ),
    _ticket_command(
        "reopen", "reopen", "Take a resolved ticket up again",
        schemas.ReopenBody, example={"reason": "O problema voltou"},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/review", "review_ticket", "Reviews",
        "Judge the handoff that opened a ticket: right, needless or late; harmless to repeat",
        Permission.TICKETS_WRITE, handlers.review_ticket, ReviewView, body=schemas.ReviewBody,
        codes=("ticket_not_found", "not_visible"),
        example={"verdict": "wrong", "true_intent": "order_status"},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/satisfaction", "record_satisfaction", "Tickets",
        "Record the customer's mark of a ticket, 1 to 5; a low one is told to its agent",
        Permission.TICKETS_WRITE, handlers.record_satisfaction, Satisfaction,
        body=schemas.SatisfactionBody,
        codes=("ticket_not_found", "not_visible", "satisfaction_final"),
        example={"score": 2, "comment": "Demorou três dias."},
    ),
    Route(
        "POST", "/conversations/{conversation_id}/turns/{turn_id}/review",
        "review_turn", "Reviews",
        "Judge any decided turn, also one that the bot kept",
        Permission.TICKETS_WRITE, handlers.review_turn, ReviewView, body=schemas.ReviewBody,
        codes=("conversation_not_found", "turn_not_found", "not_visible"),
        example={"verdict": "late", "note": "Cliente pediu ajuda duas vezes"},
    ),
    Route(
        "GET", "/conversations/{conversation_id}", "get_conversation", "Conversations",
        "A conversation: control, messages, decisions",
        Permission.TICKETS_READ, handlers.get_conversation, ConversationView,
        codes=("conversation_not_found", "not_visible"),
    ),
    Route(
        "GET", "/conversations/{conversation_id}/decisions", "get_decisions", "Conversations",
        "What the handoff rules decided on each turn, with every rule's values, and why",
        Permission.DECISIONS_READ, handlers.get_decisions, DecisionPage,
        query=schemas.DecisionQuery, codes=("conversation_not_found", "not_visible"),
    ),
    Route(
        "GET", "/tickets/{ticket_id}/decisions", "get_ticket_decisions", "Tickets",
        "Why this ticket: the decisions of its conversation, explained",
        Permission.DECISIONS_READ, handlers.get_ticket_decisions, DecisionPage,
        query=schemas.DecisionQuery, codes=("ticket_not_found", "not_visible"),
    ),
    Route(
        "GET", "/queues", "list_queues", "Queues", "The queues, with what waits in them",
        Permission.QUEUES_READ, handlers.list_queues, handlers.Queues,
    ),
    *TICKET_ROUTES,
    *PEOPLE_ROUTES,
    *RUNBOOK_ROUTES,
    *QUALITY_ROUTES,
    *ROUTING_ROUTES,
    *SLA_ROUTES,
    *PRIVACY_ROUTES,
)  # fmt: skip

ROUTES = (*ROUTES, bulk_route(ROUTES))
"""Last: a bulk command is made of the commands above."""

__all__ = ["ROUTES", "Answer", "Call", "Route"]
