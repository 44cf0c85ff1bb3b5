"""Routes of runbooks. They are edited as files (docs/runbooks.md); here they are read and used."""

from __future__ import annotations

from ticketing.api import runbook_handlers as handlers
from ticketing.api.calls import Route
from ticketing.domain.permissions import Permission
from ticketing.http import runbook_schemas as schemas
from ticketing.services.runbook_replies import ReplyOffers
from ticketing.services.runbook_views import TicketRunbookView
from ticketing.services.runbooks import Marked
from ticketing.services.tickets import Done

_READ = ("ticket_not_found", "not_visible")
_MARK = (
    "ticket_not_found",
    "not_allowed",
    "runbook_not_found",
    "runbook_changed",
    "invalid_transition",
)

RUNBOOK_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/runbooks", "list_runbooks", "Runbooks",
        "The runbooks in force: steps, texts, and which tickets they are for",
        Permission.RUNBOOKS_READ, handlers.list_runbooks, handlers.Runbooks,
        query=schemas.LanguageQuery,
    ),
    Route(
        "GET", "/tickets/{ticket_id}/runbook", "get_ticket_runbook", "Runbooks",
        "The runbook of a ticket with its ticks and notes, and those of earlier levels",
        Permission.TICKETS_READ, handlers.get_ticket_runbook, TicketRunbookView,
        query=schemas.LanguageQuery, codes=_READ,
    ),
    Route(
        "POST", "/tickets/{ticket_id}/runbook/tick", "tick_step", "Runbooks",
        "Tick a step off; harmless to repeat",
        Permission.TICKETS_WRITE, handlers.tick_step, Marked, body=schemas.StepBody, codes=_MARK,
        example={"step": "find_order"},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/runbook/untick", "untick_step", "Runbooks",
        "Take a tick back; the history keeps both",
        Permission.TICKETS_WRITE, handlers.untick_step, Marked, body=schemas.StepBody, codes=_MARK,
        example={"step": "find_order", "note": "Era outro pedido"},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/runbook/notes", "note_step", "Runbooks",
        "Write something down at a step",
        Permission.TICKETS_WRITE, handlers.note_step, Marked, body=schemas.StepNoteBody,
        codes=_MARK, example={"step": "find_order", "note": "Pedido em nome da esposa"},
    ),
    Route(
        "GET", "/tickets/{ticket_id}/templates", "list_templates", "Runbooks",
        "Texts for this ticket, filled in, with what leaves when the 24 h window is closed",
        Permission.TICKETS_READ, handlers.list_templates, ReplyOffers, query=schemas.OffersQuery,
        codes=_READ,
    ),
    Route(
        "POST", "/tickets/{ticket_id}/template-reply", "reply_with_template", "Runbooks",
        "Send a text of a runbook, as it is or edited",
        Permission.TICKETS_WRITE, handlers.reply_with_template, Done,
        body=schemas.TemplateReplyBody, takes_key=True,
        codes=(
            *_READ, "not_allowed", "invalid_transition", "version_conflict",
            "idempotency_key_reused",
        ),
        example={"template": "general.hello", "status": "pending_customer"},
    ),
)  # fmt: skip
