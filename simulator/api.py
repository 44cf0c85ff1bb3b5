"""The customers' side: write as a customer, read what customers received, plan faults."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import httpx
from sanic import Blueprint, Request
from sanic.exceptions import SanicException
from sanic.response import HTTPResponse
from sanic.response import json as json_response

from simulator.customer_messages import CustomerMessageError, build_item, moment_of
from simulator.faults import KNOWN, WEBHOOK_FAULTS, FaultError, read_fault, take_fault
from simulator.numbers import digits_of
from simulator.store import Customer, Message
from simulator.world import World

blueprint = Blueprint("customers", url_prefix="/simulator/api")

_MAX_LIMIT = 5000
_MAX_NAME = 100
_MAX_USER_ID = 150


class ApiError(Exception):
    """A request that cannot be served; the answer names the field and what was expected."""

    def __init__(
        self, field: str, message: str, *, status: int = 422, allowed: list[str] | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.status = status
        self.allowed = allowed


async def answer_api_error(_request: Request, error: ApiError) -> HTTPResponse:
    """One shape for every refusal."""
    body: dict[str, Any] = {"field": error.field, "message": f"{error.field}: {error.message}"}
    if error.allowed is not None:
        body["allowed"] = error.allowed
    return json_response({"error": body}, status=error.status)


async def refuse_other_sites(request: Request) -> None:
    """A page of another site must not play customers through this browser."""
    if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        _refuse("origin", "expected a request of the simulator's own page", status=403)


blueprint.on_request(refuse_other_sites)


@blueprint.post("/messages")
async def write_message(request: Request) -> HTTPResponse:
    """Write as a customer: `from` or `user_id`, and `text`, `button`, `type` or `raw`.

    `button` answers the last message with options, or the one named by `message_id`.
    """
    world: World = request.app.ctx.world
    body = _body(request)
    digits, user_id, name = _author(body)
    key = world.key_for(user_id or f"+{digits}")
    if user_id and digits and world.store.customer(user_id) is None:
        key = world.key_for(f"+{digits}")
    try:
        moment = moment_of(body, world.now())
        item, shown = build_item(body, _offered(world, key, body.get("message_id")))
    except CustomerMessageError as error:
        raise ApiError(error.field, str(error), allowed=error.allowed) from error
    customer = world.ensure_customer(phone=digits, user_id=user_id, name=name)
    fault = take_fault(world.store, kinds=WEBHOOK_FAULTS, customer=customer.key)
    identifier = world.receive(
        customer,
        item=item,
        view={"text": shown or None, "buttons": [], "sections": [], "template": None},
        moment=moment,
        copies=2 if fault is not None else 1,
    )
    answer = {
        "id": identifier,
        "from": customer.address,
        "wa_id": customer.wa_id,
        "user_id": customer.user_id,
        "type": item.get("type"),
        "timestamp": _iso(moment),
    }
    return json_response(answer, status=202)


@blueprint.get("/messages")
async def list_messages(request: Request) -> HTTPResponse:
    """Messages, oldest first: `to` a customer, or `from` one; `since`, `after_id`, `limit`."""
    world: World = request.app.ctx.world
    to, author = _address(request, "to"), _address(request, "from")
    if to is not None and author is not None:
        _refuse("to", "expected either to or from")
    after_seq = 0
    after_id = request.args.get("after_id")
    if after_id:
        known = world.store.message(after_id)
        if known is None:
            _refuse("after_id", "no message has this id")
        after_seq = known.seq
    address = to or author
    messages = world.store.messages(
        customer=world.key_for(address) if address is not None else None,
        direction="in" if author is not None else "out",
        after_seq=after_seq,
        since=_since(request),
        limit=_number(request, "limit", default=1000, most=_MAX_LIMIT),
    )
    people = {person.key: person for person in world.store.customers()} if messages else {}
    return json_response([_shown(message, people[message.customer]) for message in messages])


@blueprint.get("/chat")
async def show_chat(request: Request) -> HTTPResponse:
    """What changed in one customer's chat after a revision; for the page."""
    world: World = request.app.ctx.world
    address = _address(request, "customer")
    if address is None:
        _refuse("customer", "expected a phone number or a user id")
    after = _number(request, "after", default=0, most=2**53)
    customer = world.store.customer(world.key_for(address))
    if customer is None:
        return json_response({"revision": after, "messages": [], "typing": False})
    changed = world.store.messages(customer=customer.key, after_revision=after, limit=500)
    return json_response(
        {
            "revision": max([after, *(message.revision for message in changed)]),
            "messages": [_shown(message, customer) for message in changed],
            "typing": customer.typing_until > world.now(),
        }
    )


@blueprint.get("/customers")
async def list_customers(request: Request) -> HTTPResponse:
    """Everybody who wrote or was written to, the latest first."""
    world: World = request.app.ctx.world
    return json_response(
        [
            {
                "address": customer.address,
                "phone": f"+{customer.phone}" if customer.phone else None,
                "wa_id": customer.wa_id,
                "user_id": customer.user_id,
                "name": customer.name,
                "last_message_at": _iso(customer.window_from),
                "window_open": world.window_open(customer),
            }
            for customer in world.store.customers()
        ]
    )


@blueprint.post("/faults")
async def plan_fault(request: Request) -> HTTPResponse:
    """Plan a fault: `kind`, `count` (1), `to` (all), and the numbers the kind takes."""
    world: World = request.app.ctx.world
    body = _body(request)
    try:
        fault = read_fault(body)
    except FaultError as error:
        raise ApiError(error.field, str(error), allowed=[*KNOWN]) from error
    count = body.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        _refuse("count", "expected a whole number from 1")
    to = body.get("to")
    customer = world.key_for(str(to)) if to is not None else None
    number = world.store.add_fault(
        fault.kind, count=count, customer=customer, parameters=fault.parameters
    )
    planned = {"id": number, "kind": fault.kind, "remaining": count, **fault.parameters}
    return json_response(planned, status=201)


@blueprint.get("/faults")
async def list_faults(request: Request) -> HTTPResponse:
    """The faults still planned, and the kinds there are."""
    world: World = request.app.ctx.world
    return json_response({"planned": world.store.faults(), "kinds": dict(KNOWN)})


@blueprint.delete("/faults")
async def clear_faults(request: Request) -> HTTPResponse:
    """Forget all planned faults."""
    world: World = request.app.ctx.world
    return json_response({"cleared": world.store.clear_faults()})


@blueprint.get("/deliveries")
async def show_deliveries(request: Request) -> HTTPResponse:
    """How many webhook items wait, how many the callback took, and in how many attempts."""
    world: World = request.app.ctx.world
    return json_response(world.store.delivery_counts())


@blueprint.post("/verify")
async def verify_callback(request: Request) -> HTTPResponse:
    """The handshake Meta makes when a webhook is registered; says whether the callback passed."""
    world: World = request.app.ctx.world
    challenge = secrets.token_hex(8)
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": challenge,
        "hub.verify_token": world.settings.verify_token,
    }
    try:
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            response = await http.get(world.settings.callback_url, params=query)
    except httpx.HTTPError as error:
        return json_response({"verified": False, "reason": type(error).__name__})
    passed = response.status_code == httpx.codes.OK and response.text == challenge
    return json_response({"verified": passed, "http_status": response.status_code})


def _author(body: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    phone, user_id, name = body.get("from"), body.get("user_id"), body.get("name")
    digits = digits_of(phone) if isinstance(phone, str) else None
    if phone is not None and digits is None:
        _refuse("from", "expected a phone number with country code, such as +5511987654321")
    if user_id is not None and not (isinstance(user_id, str) and 0 < len(user_id) <= _MAX_USER_ID):
        _refuse("user_id", f"expected text of 1 to {_MAX_USER_ID} characters")
    if digits is None and user_id is None:
        _refuse("from", "expected a phone number, or a user_id")
    if name is not None and not (isinstance(name, str) and len(name) <= _MAX_NAME):
        _refuse("name", f"expected text of at most {_MAX_NAME} characters")
    return digits, user_id, name or None


def _offered(world: World, key: str, message_id: Any) -> Message | None:
    """The message whose options can be chosen: the named one, else the last with options."""
    if isinstance(message_id, str):
        named = world.store.message(message_id)
        if named is not None and named.customer == key and named.view["buttons"]:
            return named
    return world.store.last_with_options(key)


def _shown(message: Message, customer: Customer) -> dict[str, Any]:
    ours = message.direction == "out"
    return {
        "id": message.id,
        "direction": message.direction,
        "to": customer.address if ours else None,
        "from": None if ours else customer.address,
        "type": message.type,
        **message.view,
        "status": message.status,
        "errors": message.errors,
        "timestamp": _iso(message.timestamp),
        "callback_data": message.callback_data,
    }


def _body(request: Request) -> Mapping[str, Any]:
    try:
        body = request.json
    except SanicException:
        _refuse("body", "expected a JSON object", status=400)
    if not isinstance(body, Mapping):
        _refuse("body", "expected a JSON object", status=400)
    return body


def _address(request: Request, name: str) -> str | None:
    """A number or user id of the query; an unescaped "+" arrives as a blank."""
    value = request.args.get(name)
    return value.strip() if value and value.strip() else None


def _since(request: Request) -> float:
    value = request.args.get("since")
    if not value:
        return 0.0
    try:
        # The "+" of an offset arrives as a blank when it was not escaped.
        return moment_of({"at": value.replace(" ", "+") if "T" in value else value}, 0.0)
    except CustomerMessageError:
        _refuse("since", "expected an ISO 8601 time such as 2026-11-22T03:00:00Z")


def _number(request: Request, name: str, *, default: int, most: int) -> int:
    value = request.args.get(name)
    if not value:
        return default
    if not (value.isascii() and value.isdecimal() and int(value) <= most):
        message = f"expected a whole number from 0 to {most}"
        raise ApiError(name, message)
    return int(value)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _refuse(field: str, message: str, *, status: int = 422) -> NoReturn:
    raise ApiError(field, message, status=status)
