"""The simulator's web application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sanic import Blueprint, Request, Sanic
from sanic.response import HTTPResponse
from sanic.response import raw as raw_response

from kit.clock import SystemClock
from simulator import api, graph
from simulator.delivery import Delivery
from simulator.graph_errors import GraphError
from simulator.settings import SimulatorSettings
from simulator.store import Store
from simulator.world import World

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# The page loads its own script and style and talks to its own origin; nothing else.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CHECKPOINT_SECONDS = 5.0
_KEEP_DELIVERED = timedelta(days=1)

page = Blueprint("page", url_prefix="/simulator")


def create_app(
    settings: SimulatorSettings,
    *,
    name: str = "simulator",
    on_ready: Callable[[], None] | None = None,
) -> Sanic[Any, Any]:
    """The application, ready to be served; it opens its store when it starts.

    Args:
        settings: What it is told.
        name: Sanic keeps one application per name in a process.
        on_ready: Called once requests are answered.
    """
    app: Sanic[Any, Any] = Sanic(name, configure_logging=False)
    # Meta's webhooks and messages are small; the longest fault holds an answer half a minute.
    app.config.RESPONSE_TIMEOUT = 120
    app.config.KEEP_ALIVE_TIMEOUT = 75
    # Nothing here needs a long goodbye: what is not told yet is in the store.
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 1.0
    app.config.FALLBACK_ERROR_FORMAT = "json"
    for part in (graph.blueprint, api.blueprint, page):
        app.blueprint(part)
    # Registered here and not by decorators, which lose their types.
    app.error_handler.add(GraphError, graph.answer_graph_error)
    app.error_handler.add(api.ApiError, api.answer_api_error)

    @app.before_server_start
    async def open_world(app: Sanic[Any, Any]) -> None:
        clock = SystemClock(settings.clock_offset)
        store = Store(settings.database)
        store.forget_delivered((clock.now() - _KEEP_DELIVERED).timestamp())
        delivery = Delivery(settings, store, clock)
        app.ctx.store, app.ctx.delivery = store, delivery
        app.ctx.world = World(settings, store, delivery, clock)
        delivery.start()
        app.ctx.checkpoints = asyncio.create_task(_checkpoint_for_ever(store))

    @app.after_server_start
    async def tell_ready(_app: Sanic[Any, Any]) -> None:
        if on_ready is not None:
            on_ready()

    @app.before_server_stop
    async def close_world(app: Sanic[Any, Any]) -> None:
        app.ctx.checkpoints.cancel()
        await asyncio.gather(app.ctx.checkpoints, return_exceptions=True)
        await app.ctx.delivery.stop()
        app.ctx.store.close()

    return app


async def _checkpoint_for_ever(store: Store) -> None:
    while True:
        await asyncio.sleep(_CHECKPOINT_SECONDS)
        await asyncio.to_thread(store.checkpoint)


@page.get("/")
async def show_page(_request: Request) -> HTTPResponse:
    """The chat page."""
    return _file("index.html")


@page.get("/static/<filename:str>")
async def show_file(_request: Request, filename: str) -> HTTPResponse:
    """The page's script and style."""
    return _file(filename)


@page.get("/healthz")
async def show_health(_request: Request) -> HTTPResponse:
    """Whether the simulator answers."""
    return raw_response(b'{"status": "ok"}', content_type="application/json")


def _file(filename: str) -> HTTPResponse:
    known = {path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES}
    path = known.get(filename)
    if path is None:
        return raw_response(b"not found", status=404, content_type="text/plain")
    return raw_response(
        path.read_bytes(),
        content_type=f"{_TYPES[path.suffix]}; charset=utf-8",
        headers={
            "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        },
    )
