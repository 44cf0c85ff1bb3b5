"""The action server: Rasa asks it on every turn. Private, loopback by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sanic import Sanic

from actions.app import create_app
from actions.opening_hours import ActionOpeningHours
from actions.orders import (
    ActionOrderStatus,
    FileOrders,
    HTTPOrders,
    Orders,
    ValidateOrderStatusForm,
)
from actions.rules import ActionClarify, ActionHandoff, ActionValidateSlotMappings, RuleTools
from ponte.processes.wiring import (
    configure_process,
    make_clock,
    make_database,
    read_policy,
    serve,
    until_done,
)
from ponte.settings import Settings
from ticketing.services import decisions, handoffs


def run(settings: Settings) -> int:
    """Serve until told to stop."""
    configure_process(settings, "actions")
    address = urlsplit(settings.ponte_actions_url or "http://127.0.0.1:5055")
    app = make_app(settings)
    return serve(app, host=address.hostname or "127.0.0.1", port=address.port or 5055)


def make_app(settings: Settings) -> Sanic[Any, Any]:
    """The app with everything it needs."""
    clock = make_clock(settings)
    db = make_database(settings)
    loaded = read_policy()
    tools = RuleTools(db, loaded.policy, clock)
    http = httpx.AsyncClient()
    actions = [
        ActionValidateSlotMappings(tools),
        ActionHandoff(tools),
        ActionClarify(tools),
        ActionClarify(tools, name="action_default_fallback"),
        ActionOpeningHours(loaded.policy),
        ValidateOrderStatusForm(),
        ActionOrderStatus(_orders(settings, http)),
    ]
    app = create_app(actions, secret=settings.ponte_bot_secret.get_secret_value())

    async def remember_policy() -> None:
        async with db.transaction() as session:
            await handoffs.sync_queues(session, policy=loaded.policy)
            await decisions.remember_policy(
                session, version=loaded.policy.version, source=loaded.source, now=clock.now()
            )

    @app.after_server_start
    async def prepare(server: Sanic[Any, Any]) -> None:
        server.add_task(until_done("remember_policy", remember_policy))

    @app.after_server_stop
    async def release(_app: Sanic[Any, Any]) -> None:
        await http.aclose()
        await db.close()

    return app


def _orders(settings: Settings, http: httpx.AsyncClient) -> Orders:
    if settings.ponte_orders_url:
        return HTTPOrders(http, settings.ponte_orders_url)
    return FileOrders(Path(settings.ponte_orders_file))
