"""Files, tags, status and release on a ticket's page."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sanic import HTTPResponse, Request
from sanic.response import raw, redirect

from ticketing.console.forms import Form
from ticketing.console.pages import Visit
from ticketing.console.people import Host
from ticketing.domain.enums import TicketStatus
from ticketing.domain.permissions import Permission
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.files import served
from ticketing.http.problems import Problem, ProblemError
from ticketing.http.ticket_schemas import ReleaseBody, StatusBody, TagsBody
from ticketing.services.attachments import AttachmentService
from ticketing.services.tickets import Order

AnyRequest = Request[Any, Any]

_FORM_AROUND = 64 * 1024
"""Bytes of a form besides its file: boundaries, names, the token."""


async def set_status(form: Form) -> None:
    """Wait for somebody, or go on."""
    body = form.read(StatusBody, "status", "reason")
    await form.tickets.set_status(form.order, status=TicketStatus(body.status), reason=body.reason)


async def tag(form: Form) -> None:
    """The tags as they shall be, in one line with commas."""
    wanted = [item for item in form.fields.get("tags", "").split(",") if item.strip()]
    present = form.ticket.tags
    add = [item for item in wanted if item.strip().casefold() not in present]
    kept = {item.strip().casefold() for item in wanted}
    remove = [item for item in present if item not in kept]
    if add or remove:
        body = TagsBody(add=tuple(add), remove=tuple(remove))
        await form.tickets.tag(form.order, add=body.add, remove=body.remove)


async def release(form: Form) -> None:
    """Give the ticket back to its queue."""
    body = form.read(ReleaseBody, "reason")
    await form.tickets.release(form.order, reason=body.reason)


async def upload(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """POST /console/upload/<ticket_id>: put a file on the ticket."""
    who = console.allowed(visit, Permission.TICKETS_WRITE)
    deps = console.deps
    console.check_form(request, visit, max_bytes=deps.attachment_max_bytes + _FORM_AROUND)
    ticket_id = _id(request, "ticket_id", "ticket_not_found")
    file = request.files.get("file") if request.files else None
    if file is None or not file.body:
        raise ProblemError(Problem("invalid_value", "file: expected a file", field="file"))
    order = Order(
        actor=who.actor, ticket_id=ticket_id, correlation_id=browser.correlation_id(request)
    )
    await _files(deps).add(order, filename=file.name or "", declared="", content=file.body)
    return redirect(f"/console/tickets/{ticket_id}?done=attach", status=303)


async def file(console: Host, request: AnyRequest, visit: Visit) -> HTTPResponse:
    """GET /console/files/<attachment_id>: a file, to be saved."""
    who = console.allowed(visit, Permission.TICKETS_READ)
    attachment_id = _id(request, "attachment_id", "attachment_not_found")
    found = await _files(console.deps).get(attachment_id, actor=who.actor)
    answer = served(found)
    return raw(answer.content, headers=dict(answer.headers), content_type=answer.media_type)


ACTIONS: Mapping[str, Callable[[Form], Awaitable[None]]] = {
    "status": set_status,
    "tags": tag,
    "release": release,
}
"""Further actions of the ticket's forms, beside `console.forms.ACTIONS`."""

PAGES = (
    ("POST", "/console/upload/<ticket_id:str>", "upload", upload),
    ("GET", "/console/files/<attachment_id:str>", "file", file),
)


def _files(deps: Deps) -> AttachmentService:
    return AttachmentService(deps.db, deps.clock, max_bytes=deps.attachment_max_bytes)


def _id(request: AnyRequest, name: str, code: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.match_info[name])
    except ValueError as error:
        raise ProblemError(Problem(code, "expected an id", field=name)) from error
