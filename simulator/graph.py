"""The Graph API side: what a business program calls."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any

from sanic import Blueprint, Request
from sanic.exceptions import SanicException
from sanic.response import HTTPResponse
from sanic.response import json as json_response
from sanic.response import raw as raw_response

from simulator.contract import check_message, check_read_mark
from simulator.faults import SENDING_FAULTS, Fault, take_fault
from simulator.graph_errors import GraphError, refuse
from simulator.numbers import digits_of
from simulator.store import Customer
from simulator.world import World

blueprint = Blueprint("graph", url_prefix="/simulator/graph")

_ALL_STATUSES = ("sent", "delivered", "read")


async def answer_graph_error(_request: Request, error: GraphError) -> HTTPResponse:
    """A refusal in Meta's words."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return json_response(error.answer(), status=error.status, headers=headers)


@blueprint.get("/<version:str>/<node_id:str>")
async def show_number(request: Request, version: str, node_id: str) -> HTTPResponse:
    """The business number: a cheap way to check address, token and id."""
    world: World = request.app.ctx.world
    _check_call(request, world, version=version, node_id=node_id)
    return json_response(
        {
            "id": node_id,
            "display_phone_number": world.settings.display_phone_number,
            "verified_name": "Ponte (simulador)",
            "quality_rating": "GREEN",
            "platform_type": "CLOUD_API",
        }
    )


@blueprint.post("/<version:str>/<node_id:str>/messages")
async def send_message(request: Request, version: str, node_id: str) -> HTTPResponse:
    """Send a message, or mark a customer's message as read."""
    world: World = request.app.ctx.world
    _check_call(request, world, version=version, node_id=node_id)
    body = _body(request)
    if "status" in body:
        message_id, typing = check_read_mark(body)
        if not world.mark_read(message_id, typing=typing):
            refuse(100, "message_id: no message of a customer has this id")
        return json_response({"success": True})
    kind = check_message(body)
    customer = _recipient(world, body)
    fault = take_fault(world.store, kinds=SENDING_FAULTS, customer=customer.key)
    if fault is None:
        return _accept(world, customer, body, kind)
    return await _with_fault(request, world, customer, body=body, kind=kind, fault=fault)


def _accept(
    world: World,
    customer: Customer,
    body: Mapping[str, Any],
    kind: str,
    *,
    failure: GraphError | None = None,
    statuses: tuple[str, ...] = _ALL_STATUSES,
) -> HTTPResponse:
    if failure is None and kind != "template" and not world.window_open(customer):
        failure = GraphError(
            131047, "More than 24 hours have passed since the customer last replied to this number."
        )
    identifier = world.accept(
        customer,
        kind=kind,
        view=view_of(body, kind),
        callback_data=body.get("biz_opaque_callback_data"),
        failure=failure.in_status() if failure is not None else None,
        statuses=statuses,
    )
    contact: dict[str, Any] = {"input": body.get("to") or body.get("recipient")}
    if customer.wa_id:
        contact["wa_id"] = customer.wa_id
    contact["user_id"] = customer.user_id
    return json_response(
        {
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": identifier}],
        }
    )


async def _with_fault(
    request: Request,
    world: World,
    customer: Customer,
    *,
    body: Mapping[str, Any],
    kind: str,
    fault: Fault,
) -> HTTPResponse:
    refusal = fault.refusal()
    if refusal is not None and fault.told_later():
        return _accept(world, customer, body, kind, failure=refusal)
    if refusal is not None:
        raise refusal
    if fault.kind in {"timeout_before_accept", "slow"}:
        await asyncio.sleep(fault.seconds)
    if fault.kind in {"timeout_before_accept", "drop_request"}:
        return _hang_up(request)
    statuses = {"no_delivered": ("sent", "read"), "no_status": ()}.get(fault.kind, _ALL_STATUSES)
    answer = _accept(world, customer, body, kind, statuses=statuses)
    if fault.kind == "timeout_after_accept":
        await asyncio.sleep(fault.seconds)
    if fault.kind in {"timeout_after_accept", "drop_reply"}:
        return _hang_up(request)
    if fault.kind == "garbage":
        return raw_response(b"<html>", status=200, content_type="text/html")
    return answer


def _hang_up(request: Request) -> HTTPResponse:
    """Close the connection; the answer returned here reaches nobody."""
    # Sanic's type leaves `abort` out; asyncio's and uvloop's transports have it.
    transport: Any = request.transport
    if transport is not None:
        transport.abort()
    return HTTPResponse(status=500)


def view_of(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What the customer sees of a checked body: words, options, sections, template."""
    view: dict[str, Any] = {"text": None, "buttons": [], "sections": [], "template": None}
    context = body.get("context")
    if context:
        view["context_id"] = context["message_id"]
    if kind == "text":
        view["text"] = body["text"]["body"]
        return view
    if kind == "template":
        return view | _template_view(body["template"])
    part = body["interactive"]
    view["text"] = part["body"]["text"]
    for name in ("header", "footer"):
        if name in part:
            view[name] = part[name]["text"]
    action = part["action"]
    if part["type"] == "button":
        view["buttons"] = [button["reply"] for button in action["buttons"]]
        return view
    view["list_button"] = action["button"]
    view["sections"] = action["sections"]
    # The rows stand here too, so that a reader need not know both shapes.
    view["buttons"] = [row for section in action["sections"] for row in section["rows"]]
    return view


def _template_view(template: Mapping[str, Any]) -> dict[str, Any]:
    """The simulator has no template texts, so it shows the name and the values."""
    values: list[str] = []
    buttons: list[dict[str, str]] = []
    for component in template.get("components", []):
        for parameter in component.get("parameters", []):
            if parameter.get("type") == "text":
                values.append(parameter["text"])
            elif parameter.get("type") == "payload":
                payload = str(parameter.get("payload", ""))
                buttons.append({"id": payload, "title": payload})
    shown = {
        "name": template["name"],
        "language": template["language"]["code"],
        "parameters": values,
    }
    return {"text": "\n".join(values) or None, "template": shown, "buttons": buttons}


def _recipient(world: World, body: Mapping[str, Any]) -> Customer:
    if "to" in body:
        digits = digits_of(body["to"])
        if digits == world.settings.display_phone_number.lstrip("+"):
            refuse(131021, "to: the business number cannot write to itself")
        return world.ensure_customer(phone=digits)
    found = world.store.customer(body["recipient"])
    if found is None:
        refuse(100, "recipient: no customer has this user id")
    return found


def _check_call(request: Request, world: World, *, version: str, node_id: str) -> None:
    given = request.headers.get("authorization", "")
    expected = f"Bearer {world.settings.access_token}"
    if not hmac.compare_digest(given.encode(), expected.encode()):
        refuse(190, "Authorization: expected the bearer token of the business", status=401)
    if not version.startswith("v"):
        refuse(100, f"version: expected one such as v25.0, got {version}")
    if node_id != world.settings.phone_number_id:
        details = "phone_number_id: unknown, or the token has no right to it"
        refuse(100, details)


def _body(request: Request) -> Mapping[str, Any]:
    try:
        body = request.json
    except SanicException:
        refuse(100, "body: expected JSON")
    if not isinstance(body, Mapping):
        refuse(100, "body: expected a JSON object")
    return body
