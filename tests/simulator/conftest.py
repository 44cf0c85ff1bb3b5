"""A simulator and a receiver for each test, or one pair for those that disturb nobody."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# Test folders are no packages; `simulator_process` is imported by its plain name.
sys.path.insert(0, str(Path(__file__).parent))

from simulator_process import Receiver, Simulator, running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks/whatsapp"
    yield made
    server.close()


@pytest.fixture
async def simulator(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Simulator]:
    async with running(tmp_path, receiver.url) as made:
        yield made


@pytest.fixture(scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Simulator, Receiver]]:
    """One process for the tests that disturb nobody else."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with running(tmp_path_factory.mktemp("shared"), receiver.url) as made:
        yield made, receiver
    server.close()
