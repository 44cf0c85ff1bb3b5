"""Every operation of the API, asked by a machine that reads only its description.

schemathesis makes valid and invalid requests out of the OpenAPI document and sends them over HTTP
to the app on a real PostgreSQL. An answer must have a described status, content type and schema;
what the schema forbids must be refused; without a login nothing is let in; nothing may end in a
500.

Short by default. With `PONTE_SCHEMATHESIS_EXAMPLES=200` it makes so many requests of each kind
and asks as every role.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import schemathesis
from sanic import Sanic
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from sqlalchemy import select

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.api.routes import notification_routes
from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import Channel, JobName
from notifications.services.addresses import opt_out
from notifications.services.dead_letters import bury
from ponte.embedded.postgres import EmbeddedPostgres
from tests.conftest import create_all
from tests.ticketing.desk import PASSWORD, Desk, make_desk
from ticketing.api.app import answer_what_is_too_large, create_blueprints
from ticketing.api.dispatch import Rates
from ticketing.api.openapi import openapi_document
from ticketing.api.routes import ROUTES
from ticketing.db import tables
from ticketing.db.engine import Database, make_engine
from ticketing.db.notification_tables import RecipientAddress
from ticketing.domain.enums import DeliveryState, Role
from ticketing.http.rate_limit import Rate

_ASKED = int(os.environ.get("PONTE_SCHEMATHESIS_EXAMPLES", "0"))  # noqa: TID251 - a test's own
_LONG = _ASKED > 0
_EXAMPLES = _ASKED or 3
_ROLES = tuple(Role) if _LONG else (Role.ADMIN,)

_START = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
_LEFT_OUT = frozenset({"log_out"})
"""The login that asks must last."""

_REFUSED = ["400", "401", "403", "404", "409", "412", "413", "415", "422", "429"]
_CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 20261122,
        "generation": {
            "max-examples": _EXAMPLES,
            "deterministic": True,
            "no-shrink": not _LONG,
            "database": "none",
        },
        "phases": {
            "coverage": {"enabled": True, "generate-duplicate-query-parameters": _LONG},
            "stateful": {"enabled": False},
        },
        "checks": {
            # A well-formed id, name or version may still name nothing that exists.
            "positive_data_acceptance": {"expected-statuses": ["2xx", "304", *_REFUSED]},
            "negative_data_rejection": {"expected-statuses": _REFUSED},
            # 503 is an answer: this installation has no key to erase people with.
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
        },
    }
)
_NOTICES = notification_routes()
_SCHEMA = schemathesis.openapi.from_dict(
    openapi_document(tuple(one for one in (*ROUTES, *_NOTICES) if one.name not in _LEFT_OUT)),
    config=_CONFIG,
)


@dataclass(frozen=True, slots=True)
class Live:
    """The app behind a socket, with something in every table that can be asked for."""

    url: str
    tokens: dict[Role, str]
    ids: dict[str, str]


class _Server(threading.Thread):
    """Runs the app in a loop of its own, so that tests may wait for it without one."""

    def __init__(self, database_url: str) -> None:
        super().__init__(daemon=True)
        self._database_url = database_url
        self._ending = asyncio.Event()
        self.ready: Future[tuple[str, dict[str, str]]] = Future()
        self._loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Serve until `end`."""
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            if not self.ready.done():
                self.ready.set_exception(error)

    def end(self) -> None:
        """Stop serving and wait."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self.join(timeout=20)

    async def _serve(self) -> None:
        database = Database(make_engine(self._database_url))
        desk = await make_desk(database, FakeClock(_START))
        for role in Role:
            await desk.agent(role.value, role=role)
        await desk.agent("victim")
        ticket_id = await desk.ticket()
        ticket = await desk.row(ticket_id)
        messages = await desk.all(tables.Message, ticket_id=ticket_id)
        ids = {
            "ticket_id": str(ticket_id),
            "conversation_id": str(ticket.conversation_id),
            "contact_id": str(ticket.contact_id),
            "agent_id": str(desk.people["victim"]),
            "turn_id": str(messages[0].id),
            "queue_id": str(ticket.queue_id),
        } | await _notices(desk)
        app: Sanic[Any, Any] = Sanic("api-schemathesis", configure_logging=False)
        answer_what_is_too_large(app)
        fast = Rate(burst=10**9, every=timedelta(microseconds=1))
        for blueprint in create_blueprints(
            desk.deps, further=_NOTICES, rates=Rates(fast, fast, fast)
        ):
            app.blueprint(blueprint)
        free = socket.create_server(("127.0.0.1", 0))  # Sanic takes port 0 for its own default
        server = await app.create_server(sock=free, return_asyncio_server=True, access_log=False)
        assert server is not None
        await server.startup()
        await server.start_serving()
        host, port = free.getsockname()[:2]
        self.ready.set_result((f"http://{host}:{port}", ids))
        await self._ending.wait()
        server.close()
        await server.wait_closed()
        await database.close()


async def _notices(desk: Desk) -> dict[str, str]:
    """A notice that was given up, an address that said no, a device: what can be asked for."""
    now = desk.clock.now()
    notice = tables.Notification(
        id=new_id(),
        idempotency_key="given-up",
        job_name=JobName.SEND_EMAIL.value,
        event="ticket-opened",
        recipient="ninguem@example.com",
        context={"source": "test"},
        state=DeliveryState.FAILED.value,
        attempts=1,
        created_at=now,
        finished_at=now,
        correlation_id="c-1",
    )
    failure = Failure(FailureKind.PERMANENT, "550")
    async with desk.db.transaction() as session:
        session.add(notice)
        await session.flush()
        letter = await bury(
            session, notice, failure, reason="permanent", origin_queue="notifications", now=now
        )
        await opt_out(session, Channel.SMS, "+5511981234567", code="21610", now=now)
        address = await session.scalar(select(RecipientAddress.id))
        return {
            "notification_id": str(notice.id),
            "entry_id": str(letter.id),
            "address_id": str(address),
        }


@pytest.fixture(scope="module")
def live(postgres_server: EmbeddedPostgres) -> Iterator[Live]:
    """The running app on a database of its own."""
    import requests  # noqa: PLC0415 - schemathesis brings it

    with psycopg.connect(postgres_server.url("ponte"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS schemathesis WITH (FORCE)")
        connection.execute("CREATE DATABASE schemathesis")
    url = re.sub(r"/ponte(\?|$)", r"/schemathesis\1", postgres_server.url("ponte"))
    create_all(url)
    server = _Server(url)
    server.start()
    address, ids = server.ready.result(timeout=60)
    tokens = {}
    for role in Role:
        body = {"email": f"{role.value}@example.com", "password": PASSWORD}
        answer = requests.post(f"{address}/api/v1/login", json=body, timeout=20)
        tokens[role] = answer.json()["token"]
    yield Live(address, tokens, ids)
    server.end()


@pytest.mark.parametrize("role", _ROLES, ids=str)
@_SCHEMA.parametrize()
def test_every_answer_is_as_described(case: Case, live: Live, role: Role) -> None:
    _name_what_exists(case, live.ids)
    response = case.call(
        base_url=live.url, headers={"Authorization": f"Bearer {live.tokens[role]}"}, timeout=20
    )
    assert response.status_code != 500, (case.as_curl_command(), response.text)
    case.validate_response(response)


def _name_what_exists(case: Case, ids: dict[str, str]) -> None:
    """Well-formed ids become ids of things that exist: behind a 404 nothing else is tried."""
    for name, value in case.path_parameters.items():
        if name in ids and _UUID.fullmatch(str(value)):
            case.path_parameters[name] = ids[name]


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
