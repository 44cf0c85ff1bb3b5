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
    "sys.exit({name}.run(Settings.from_environment(Process.WORKER)))"
)
SHOW = (
    "import sys; from pathlib import Path; from kit import metrics;"
    "import notifications.shared_state.shared_gate, notifications.services.backlog;"
    "metrics.share(Path(sys.argv[1]), 'reader');"
    "sys.stdout.write(metrics.exposition().decode())"
)

Launch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def launch(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[Launch]:
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

        def start(name: str) -> subprocess.Popen[bytes]:
            log = (tmp_path / f"{name}-{len(running)}.log").open("w")
            process = subprocess.Popen(
                [sys.executable, "-c", RUN.format(name=name)],
                cwd=ROOT,
                env=environment,
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


def shown(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


async def test_a_dead_mail_server_is_told_once_and_asked_by_one(
    world: World, launch: Launch, tmp_path: Path
) -> None:
    for _ in range(12):
        await world.make_notification(JobName.SEND_EMAIL)
    launch("worker"), launch("worker"), launch("scheduler")

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
        return "ponte_notifications_queue_up 1.0" in await asyncio.to_thread(
            shown, tmp_path / "state" / "metrics"
        )

    await until(is_looked_at)
    (event,) = await opened()
    assert event.payload["subject"] == "send-email"
    assert event.payload["avoid_channel"] == "email"
    text = await asyncio.to_thread(shown, tmp_path / "state" / "metrics")
    assert 'ponte_breaker_state{job="send-email"} 2.0' in text
    assert 'ponte_breaker_transitions_total{job="send-email",to="open"} 1.0' in text
    rows = await world.notifications()
    mails = [row for row in rows if row.recipient == "ana@example.com"]
    # What was under way when it opened was tried; nothing is, after.
    assert all(row.state == "pending" for row in mails)
    assert max(row.attempts for row in mails) <= 2
