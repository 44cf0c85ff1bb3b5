"""A mail server that is down, two workers and a scheduler: one breaker, one alert, true metrics."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from notifications.domain.jobs import JobName
from tests.notifications.conftest import World
from ticketing.db.tables import OutboxEvent

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60
RUN = (
    "import sys; from ponte.processes import {name};"
    "from ponte.settings import Process, Settings;"
    "sys.exit({name}.run(Settings.from_environment(Process.{process})))"
)
TOKEN = "only for the tests of metrics"
WEB_SETTINGS = {
    "PONTE_BOT_URL": "http://127.0.0.1:9",
    "PONTE_BOT_SECRET": "a secret of the tests only",
    "PONTE_SIMULATOR": "off",
    "PONTE_METRICS_TOKEN": TOKEN,
    "WHATSAPP_APP_SECRET": "a secret of the tests only",
    "WHATSAPP_VERIFY_TOKEN": "a token of the tests only",
    "WHATSAPP_ACCESS_TOKEN": "a token of the tests only",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
}

Launch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def web_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def launch(postgres_url: str, redis_url: str, web_port: int, tmp_path: Path) -> Iterator[Launch]:
    running = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there: connections are refused
        environment = {
            "PATH": os.defpath,
            "PONTE_ENV_FILE": "",
            "PONTE_STATE_DIR": str(tmp_path / "state"),
            "PONTE_DATABASE_URL": postgres_url,
            "PONTE_REDIS_URL": redis_url,
            "PONTE_LOG_FORMAT": "json",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(taken.getsockname()[1]),
            "SMTP_TLS": "none",
            "SMTP_FROM": "avisos@ponte.example",
        }
        web = environment | WEB_SETTINGS | {"PONTE_PORT": str(web_port)}

        def start(name: str) -> subprocess.Popen[bytes]:
            log = (tmp_path / f"{name}-{len(running)}.log").open("w")
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c"),
                    RUN.format(name=name, process="WEB" if name == "web" else "WORKER"),
                ],
                cwd=ROOT,
                env=web if name == "web" else environment,
                stderr=log,
            )
            log.close()
            running.append(process)
            return process

        yield start
        for process in running:
            process.kill()
            process.wait()


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await question():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def scrape(port: int) -> str:
    """What Prometheus reads; nothing while the web process is not up."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient() as client:
        try:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers=headers)
        except httpx.TransportError:
            return ""
    assert answer.status_code == 200
    return answer.text


async def test_a_dead_mail_server_is_told_once_and_asked_by_one(
    world: World, launch: Launch, web_port: int
) -> None:
    for _ in range(12):
        await world.make_notification(JobName.SEND_EMAIL)
    for name in ("worker", "worker", "scheduler", "web"):
        launch(name)

    async def opened() -> list[OutboxEvent]:
        async with world.db.transaction() as session:
            found = await session.scalars(
                select(OutboxEvent).where(OutboxEvent.topic == "breaker.opened")
            )
            return list(found)

    async def is_told() -> bool:
        return bool(await opened())

    await until(is_told)

    async def is_looked_at() -> bool:
        return "ponte_notifications_queue_up 1.0" in await scrape(web_port)

    await until(is_looked_at)
    (event,) = await opened()
    assert event.payload["subject"] == "send-email"
    assert event.payload["avoid_channel"] == "email"
    text = await scrape(web_port)
    assert 'ponte_breaker_state{job="send-email"} 2.0' in text
    assert 'ponte_breaker_transitions_total{job="send-email",to="open"} 1.0' in text
    rows = await world.notifications()
    mails = [row for row in rows if row.recipient == "ana@example.com"]
    # What was under way when it opened was tried; nothing is, after.
    assert all(row.state == "pending" for row in mails)
    assert max(row.attempts for row in mails) <= 2
