"""The whole web application over a test database, and callers of every kind."""

from __future__ import annotations

import itertools
import re
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from sanic import Sanic

from kit.ids import new_id, new_token
from notifications.api.pages import notification_pages
from notifications.api.routes import notification_routes
from ponte.processes.simulator_proxy import create_blueprint as simulator_blueprint
from ponte.processes.wiring import ROOT
from tests.ticketing.desk import Desk
from ticketing.api.app import answer_what_is_too_large, create_blueprints
from ticketing.api.calls import Route
from ticketing.api.dispatch import Rates
from ticketing.api.health import create_blueprint as health_blueprint
from ticketing.api.metrics import create_blueprint as metrics_blueprint
from ticketing.api.openapi import PREFIX
from ticketing.api.routes import ROUTES
from ticketing.api.webhooks import WebhookDeps
from ticketing.api.webhooks import create_blueprint as webhook_blueprint
from ticketing.console.app import create_blueprints as console_blueprints
from ticketing.db import tables
from ticketing.domain.enums import Role
from ticketing.domain.permissions import Permission
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.rate_limit import Rate
from ticketing.services.agents import HASHER
from ticketing.services.api_tokens import create_token
from ticketing.services.people_acts import Act
from ticketing.services.sessions import hash_of
from training.api import training_routes
from training.nlu_files import NluFiles

SOME_ID = "019f2c3a-7d10-7c11-8a53-0242ac120002"
_PASSWORD_HASH = HASHER.hash("nobody logs in with it")
_MANY = Rate(burst=100_000, every=timedelta(milliseconds=1))
_names = itertools.count()


def all_routes() -> tuple[Route, ...]:
    """Every operation of the API, of other packages too."""
    return (*ROUTES, *training_routes(NluFiles(ROOT)), *notification_routes())


def make_whole_app(deps: Deps) -> Sanic[Any, Any]:
    """What the web process serves (`ponte.processes.web.make_app`), without its engines."""
    app: Sanic[Any, Any] = Sanic(f"whole-{next(_names)}", configure_logging=False)
    app.config.FALLBACK_ERROR_FORMAT = "json"

    async def accept(*_given: Any) -> None:
        return None

    webhooks = WebhookDeps(
        app_secrets=("x" * 32,), verify_token="v" * 16, clock=deps.clock, accept=accept
    )
    app.blueprint(health_blueprint({}))
    app.blueprint(metrics_blueprint("m" * 16))
    app.blueprint(webhook_blueprint(webhooks))
    browser.harden_the_rest(app, deps=deps)
    answer_what_is_too_large(app)
    further = (*training_routes(NluFiles(ROOT)), *notification_routes())
    rates = Rates(_MANY, _MANY, _MANY)
    for blueprint in (
        *create_blueprints(deps, further=further, rates=rates),
        *console_blueprints(deps, further=notification_pages()),
    ):
        app.blueprint(blueprint)
    there = httpx.MockTransport(lambda _request: httpx.Response(200, html="<p>simulator</p>"))
    http = httpx.AsyncClient(transport=there)
    app.blueprint(simulator_blueprint(http, base_url="http://simulator"))
    return app


@asynccontextmanager
async def serving(app: Sanic[Any, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """The app on a port of its own, and a client that keeps no cookies."""
    app.config.TOUCHUP = False  # Sanic rewrites its own classes, which works once a process
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = await app.create_server(sock=listener, return_asyncio_server=True)
        assert server is not None
        await server.startup()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            yield client
        server.close()
        await server.wait_closed()


@dataclass
class Callers:
    """People of every role and programs of every scope, asking the whole app."""

    desk: Desk
    client: httpx.AsyncClient
    people: dict[Role, uuid.UUID] = field(default_factory=dict)

    async def hire(self) -> None:
        """One person of each role, without the cost of hashing passwords."""
        async with self.desk.db.transaction() as session:
            for role in Role:
                row = tables.Agent(
                    id=new_id(),
                    email=f"{role.value}@example.com",
                    name=role.value.title(),
                    password_hash=_PASSWORD_HASH,
                    role=role.value,
                    created_at=self.desk.clock.now(),
                )
                session.add(row)
                self.people[role] = row.id

    async def session(self, role: Role) -> tuple[str, str]:
        """A fresh login: its token and its CSRF token."""
        token, csrf = new_token(), new_token()
        now = self.desk.clock.now()
        async with self.desk.db.transaction() as session:
            agent = await session.get_one(tables.Agent, self.people[role])
            agent.active = True
            session.add(
                tables.AgentSession(
                    token_hash=hash_of(token),
                    agent_id=agent.id,
                    csrf_token=csrf,
                    created_at=now,
                    last_seen_at=now,
                    expires_at=now + timedelta(hours=1),
                )
            )
        return token, csrf

    async def token(self, scope: Permission, *, role: Role = Role.ADMIN) -> str:
        """An API token with this scope alone."""
        now = self.desk.clock.now()
        async with self.desk.db.transaction() as session:
            made = await create_token(
                session,
                self.people[role],
                name=scope.value,
                scopes=[scope.value],
                expires_at=now + timedelta(days=1),
                act=Act(now),
            )
        return made.secret

    async def call(
        self,
        route: Route,
        *,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """Ask one operation of the API with this body, or its own example."""
        path = PREFIX + re.sub(r"{\w+}", SOME_ID, route.path)
        kwargs: dict[str, Any] = {}
        if route.method != "GET":
            kwargs = {"content": b"x"} if route.file_body else {"json": body or route.example}
        return await self.ask(route.method, path, headers=headers, **kwargs)

    async def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Ask any address; every request says itself which cookie it sends."""
        self.client.cookies.clear()
        self.desk.clock.advance(timedelta(seconds=10))  # the console's limits fill up again
        return await self.client.request(method, path, follow_redirects=False, **kwargs)
