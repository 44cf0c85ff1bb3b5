"""Worker and scheduler as real processes: killed, restarted, and cut off from Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from ponte.embedded.redis import EmbeddedRedis
from tests.notifications.conftest import World

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 30
PROGRAM = (
    "import sys; from ponte.processes import {name};"
    "from ponte.settings import Process, Settings;"
    "sys.exit({name}.run(Settings.from_environment(Process.WORKER)))"
)


class Mailbox:
    """Takes every mail; while `hang` is set it takes the body and never answers."""

    def __init__(self) -> None:
        self.taken = []
        self.hang = False
        self.hanging = asyncio.Event()
        self.release = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.arrived = asyncio.Queue()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = message_from_bytes(envelope.content, policy=default)
        self.loop.call_soon_threadsafe(self.arrived.put_nowait, message)
        if self.hang:
            await self.release.wait()
        return "250 2.0.0 Ok"

    async def next(self) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.arrived.get()


@pytest.fixture
async def mailbox() -> Any:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.port = port
    yield box
    controller.loop.call_soon_threadsafe(box.release.set)
    controller.stop()


@pytest.fixture
def launch(postgres_url: str, redis_url: str, mailbox: Mailbox, tmp_path: Path) -> Any:
    running = []

    def start(name: Any, **changes: Any) -> Any:
        environment = {
            "PATH": os.defpath,
            "PONTE_ENV_FILE": "",
            "PONTE_STATE_DIR": str(tmp_path / "state"),
            "PONTE_DATABASE_URL": postgres_url,
            "PONTE_REDIS_URL": redis_url,
            "PONTE_LOG_FORMAT": "json",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailbox.port),
            "SMTP_TLS": "none",
            "SMTP_FROM": "avisos@ponte.example",
            "NOTIFICATIONS_ADMIN_USER_ID": "chefe@example.com",
        } | changes
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(name=name)],
            cwd=ROOT,
            env=environment,
            stderr=(tmp_path / f"{name}-{len(running)}.log").open("w"),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def end(process: subprocess.Popen[bytes]) -> Any:
    """SIGTERM; the seconds it took and the exit code."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=PATIENCE_SECONDS)
    return time.monotonic() - began, code


async def test_an_opened_ticket_becomes_a_mail_and_both_processes_end_in_good_order(
    world: World, launch: Callable[..., subprocess.Popen[bytes]], mailbox: Mailbox
) -> None:
    scheduler, worker = launch("scheduler"), launch("worker")
    ticket = await world.make_ticket()
    await world.make_event(ticket)

    message = await mailbox.next()

    assert message["To"] == "chefe@example.com"
    assert f"#{ticket.number}" in message["Subject"]
    assert "Ninguém de plantão" in message.get_body(["plain"]).get_content()
    for process in (worker, scheduler):
        seconds, code = await asyncio.to_thread(end, process)
        assert code == 0
        assert seconds < 10
    (row,) = await world.notifications()
    assert row.state == "sent"


async def test_a_worker_killed_while_sending_is_made_up_for_with_the_same_message_id(
    world: World, launch: Callable[..., subprocess.Popen[bytes]], mailbox: Mailbox
) -> None:
    scheduler, worker = launch("scheduler"), launch("worker")
    mailbox.hang = True
    await world.make_event(await world.make_ticket())
    first = await mailbox.next()
    for process in (worker, scheduler):
        process.kill()
        process.wait()
    (row,) = await world.notifications()
    assert row.state == "sending"

    mailbox.hang = False
    launch("scheduler")
    launch("worker")
    assert first["Message-ID"] == f"<{row.id}@ponte.example>"
    async with asyncio.timeout(60):  # the lease is twice that: the lock is gone
        while (await mailbox.next())["Message-ID"] != first["Message-ID"]:
            pass  # the monitor has something to say about this ticket, too


async def test_a_redis_that_comes_late_and_goes_and_comes_back_loses_nothing(
    world: World, launch: Callable[..., subprocess.Popen[bytes]], mailbox: Mailbox, tmp_path: Path
) -> None:
    redis = EmbeddedRedis(tmp_path / "redis", tmp_path / "run", durable=False)
    await asyncio.to_thread(redis.start)
    url = {"PONTE_REDIS_URL": redis.url()}
    await asyncio.to_thread(redis.stop)
    scheduler, worker = launch("scheduler", **url), launch("worker", **url)
    await world.make_event(await world.make_ticket())
    await asyncio.to_thread(redis.start)
    try:
        await mailbox.next()

        await asyncio.to_thread(redis.stop)
        await world.make_event(await world.make_ticket())
        await asyncio.to_thread(redis.start)
        await mailbox.next()

        assert scheduler.poll() is None
        assert worker.poll() is None
    finally:
        for process in (worker, scheduler):
            await asyncio.to_thread(end, process)
        await asyncio.to_thread(redis.stop)


async def test_a_hanging_mail_server_does_not_hold_up_the_end(
    world: World, launch: Callable[..., subprocess.Popen[bytes]], mailbox: Mailbox
) -> None:
    mailbox.hang = True
    launch("scheduler")
    worker = launch("worker")
    await world.make_event(await world.make_ticket())
    await mailbox.next()

    seconds, code = await asyncio.to_thread(end, worker)

    assert code == 0
    assert seconds < 10.5
