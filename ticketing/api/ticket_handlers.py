"""Handlers of tags, status, release and attachments."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.api.calls import Answer, Call, Download
from ticketing.domain.enums import TicketStatus
from ticketing.http.files import served
from ticketing.http.ticket_schemas import UploadQuery
from ticketing.services.attachments import AttachmentService, AttachmentView


@dataclass(frozen=True, slots=True)
class Attachments:
    """The files of a ticket."""

    attachments: tuple[AttachmentView, ...]


async def set_status(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/status."""
    done = await call.desk.tickets.set_status(
        call.order, status=TicketStatus(call.body.status), reason=call.body.reason
    )
    return Answer(done)


async def tag(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/tags."""
    done = await call.desk.tickets.tag(call.order, add=call.body.add, remove=call.body.remove)
    return Answer(done)


async def release(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/release."""
    return Answer(await call.desk.tickets.release(call.order, reason=call.body.reason))


async def attach(call: Call) -> Answer:
    """POST /tickets/{ticket_id}/attachments?filename=."""
    query: UploadQuery = call.query
    if call.upload is None:
        message = "this route lets nobody through without a file"
        raise LookupError(message)
    added = await _service(call).add(
        call.order,
        filename=query.filename,
        declared=call.upload.media_type,
        content=call.upload.content,
    )
    return Answer(added)


async def list_attachments(call: Call) -> Answer:
    """GET /tickets/{ticket_id}/attachments."""
    found = await _service(call).list_of(call.ids["ticket_id"], actor=call.actor)
    return Answer(Attachments(found))


async def download_attachment(call: Call) -> Answer:
    """GET /attachments/{attachment_id}."""
    found = await _service(call).get(call.ids["attachment_id"], actor=call.actor)
    file = served(found)
    return Answer(None, download=Download(file.content, file.media_type, file.headers))


def _service(call: Call) -> AttachmentService:
    deps = call.desk.deps
    return AttachmentService(deps.db, deps.clock, max_bytes=deps.attachment_max_bytes)
