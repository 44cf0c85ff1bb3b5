"""Routes of tags, status, release and attachments."""

from __future__ import annotations

from ticketing.api import ticket_handlers
from ticketing.api.calls import Route
from ticketing.domain.attachment import MEDIA_TYPES
from ticketing.domain.permissions import Permission
from ticketing.http import ticket_schemas
from ticketing.services.attachments import AttachmentView
from ticketing.services.tickets import Done

MAX_UPLOAD = 25 * 1024 * 1024
"""Bytes; above any PONTE_ATTACHMENT_MAX_MB, whose own answer says what is allowed."""

_WRITE = ("ticket_not_found", "not_allowed", "invalid_transition", "version_conflict")

TICKET_ROUTES: tuple[Route, ...] = (
    Route(
        "POST", "/tickets/{ticket_id}/status", "set_status", "Tickets",
        "Wait for the customer or a third party, or go on, without writing a reply",
        Permission.TICKETS_WRITE, ticket_handlers.set_status, Done,
        body=ticket_schemas.StatusBody, codes=_WRITE,
        example={"status": "pending_third_party", "reason": "Aguardando a transportadora"},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/tags", "tag", "Tickets",
        "Put tags on the ticket and take tags off; harmless to repeat",
        Permission.TICKETS_WRITE, ticket_handlers.tag, Done,
        body=ticket_schemas.TagsBody, codes=_WRITE, repeatable=True,
        example={"add": ["reembolso", "vip"], "remove": ["triagem"]},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/release", "release", "Tickets",
        "Give the ticket back to its queue; clock and priority stay",
        Permission.TICKETS_WRITE, ticket_handlers.release, Done,
        body=ticket_schemas.ReleaseBody, codes=_WRITE,
        example={"reason": "Fim do meu turno"},
    ),
    Route(
        "POST", "/tickets/{ticket_id}/attachments", "attach", "Attachments",
        "Put a file on the ticket: the body is the file. Allowed: " + ", ".join(MEDIA_TYPES),
        Permission.TICKETS_WRITE, ticket_handlers.attach, AttachmentView,
        query=ticket_schemas.UploadQuery, status=201, codes=_WRITE,
        file_body=True, max_body=MAX_UPLOAD, repeatable=True,
    ),
    Route(
        "GET", "/tickets/{ticket_id}/attachments", "list_attachments", "Attachments",
        "The files of a ticket, the oldest first",
        Permission.TICKETS_READ, ticket_handlers.list_attachments, ticket_handlers.Attachments,
        codes=("ticket_not_found", "not_visible"),
    ),
    Route(
        "GET", "/attachments/{attachment_id}", "download_attachment", "Attachments",
        "A file as it was put on the ticket, to be saved",
        Permission.TICKETS_READ, ticket_handlers.download_attachment, AttachmentView,
        file_answer=True, codes=("attachment_not_found", "not_visible"),
    ),
)  # fmt: skip
