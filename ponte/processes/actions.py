"""The action server: Rasa asks it on every turn. Private, loopback by default."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sanic import Sanic

from actions.app import create_app
from actions.opening_hours import ActionOpeningHours
from actions.orders import (
    ActionAskOrderNumber,
    ActionOrderStatus,
    FileOrders,
    HTTPOrders,
    Orders,
    ValidateOrderStatusForm,
)
from actions.rules import ActionClarify, ActionHandoff, ActionValidateSlotMappings, RuleTools
from bot import private_address
from handoff.policy_holder import PolicyHolder
from ponte.processes.policy_watch import PolicyWatch
from ponte.processes.sla_watch import SlaWatch
from ponte.processes.wiring import (
    configure_process,
    make_clock,
    make_database,
    read_policy,
    serve,
)
from ponte.settings import Settings


def run(settings: Settings) -> int:
    """Serve until told to stop."""
    address = urlsplit(settings.ponte_actions_url or "http://127.0.0.1:5055")
    if not settings.ponte_allow_public_bind:
        problem = private_address.problem(address.hostname or "127.0.0.1")
        if problem is not None:
            sys.stderr.write(f"error: PONTE_ACTIONS_URL: {problem}\n")
            return 2
    configure_process(settings, "actions")
    app = make_app(settings)
    return serve(app, host=address.hostname or "127.0.0.1", port=address.port or 5055)


def make_app(settings: Settings) -> Sanic[Any, Any]:
    """The app with everything it needs."""
    clock = make_clock(settings)
    db = make_database(settings)
    loaded = read_policy()
    policies = PolicyHolder(loaded.policy)
    tools = RuleTools(db, policies, clock)
    http = httpx.AsyncClient()
    actions = [
        ActionValidateSlotMappings(tools),
        ActionHandoff(tools),
        ActionClarify(tools),
        ActionClarify(tools, name="action_default_fallback"),
        ActionOpeningHours(policies),
        ValidateOrderStatusForm(),
        ActionAskOrderNumber(),
        ActionOrderStatus(_orders(settings, http)),
    ]
    app = create_app(actions, secret=settings.ponte_bot_secret.get_secret_value())

    watch = PolicyWatch.after(loaded, policies, db=db, clock=clock)
    sla = SlaWatch.start(db, clock, warning=settings.sla_warning_threshold)

    looking: list[asyncio.Task[None]] = []

    @app.after_server_start
    async def prepare(_app: Sanic[Any, Any]) -> None:
        looking.append(asyncio.create_task(watch.run(every=settings.policy_check)))
        looking.append(asyncio.create_task(sla.run(every=settings.policy_check)))

    @app.before_server_stop
    async def stop_looking(_app: Sanic[Any, Any]) -> None:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    @app.after_server_stop
    async def release(_app: Sanic[Any, Any]) -> None:
        await http.aclose()
        await db.close()

    return app


def _orders(settings: Settings, http: httpx.AsyncClient) -> Orders:
    if settings.ponte_orders_url:
        return HTTPOrders(http, settings.ponte_orders_url)
    return FileOrders(Path(settings.ponte_orders_file))
