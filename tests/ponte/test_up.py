"""`ponte up` from outside: real PostgreSQL, Redis, lock and supervisor; small programs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from ponte.embedded.child import is_running, start_time
from ponte.processes.ports import free_ports
from ponte.processes.state import Runtime, StateFolder
from tests.ponte.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Up:
    """A running `up_driver.py`."""

    def __init__(self, folder: Path, port: int, *, training: str = "pass") -> None:
        self.state = StateFolder(folder / "state")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/ponte/up_driver.py"), training],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "PONTE_ENV_FILE": "",
                "PONTE_STATE_DIR": str(folder / "state"),
                "PONTE_PORT": str(port),
            },
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    @property
    def runtime(self) -> Runtime:
        found = self.state.read_runtime()
        assert found is not None
        return found

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(how)
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One state folder for all: the cluster is made once."""
    path = Path(tempfile.mkdtemp(prefix="ponte-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def run(port: int, **more: str) -> Up:
        started.append(Up(folder, port, **more))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.end()
        for pipe in (one.process.stdout, one.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def test_everything_runs_when_ready_is_printed_and_nothing_after_sigterm(
    start: Callable[..., Up], port: int
) -> None:
    up = start(port)

    assert up.line() == f"ready http://127.0.0.1:{port}"
    runtime = up.runtime
    assert runtime.ready
    assert set(runtime.children) == {"postgres", "redis", "web", "bot"}
    with psycopg.connect(runtime.environment["PONTE_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (0,)
    with Redis.from_url(runtime.environment["PONTE_REDIS_URL"]) as client:
        assert client.ping()

    code, output, errors = up.end()

    assert (code, output) == (0, "")
    assert errors.endswith("[ponte] stopping\n")
    assert not any(is_running(child) for child in runtime.children.values())
    assert up.state.read_runtime() is None


def test_files_with_secrets_and_addresses_are_private(start: Callable[..., Up], port: int) -> None:
    up = start(port)
    up.line()

    for path in (up.state.path / "secrets.json", up.state.run / "runtime.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(up.state.run.stat().st_mode) == 0o700


def test_a_second_up_finds_the_first_and_ends_well(start: Callable[..., Up], port: int) -> None:
    first = start(port)
    second = start(port)  # at once: it has to wait for the first, or the other way round
    lines = {first.process.pid: first.line(), second.process.pid: second.line()}
    owner, other = (
        (first, second) if lines[first.process.pid].startswith("ready") else (second, first)
    )

    assert lines[owner.process.pid] == f"ready http://127.0.0.1:{port}"
    assert lines[other.process.pid] == f"already running (pid {owner.process.pid})"
    assert other.line() == f"ready http://127.0.0.1:{port}"
    assert other.process.wait(10) == 0
    assert owner.process.poll() is None


@pytest.mark.parametrize("name", ["web", "postgres", "redis"])
def test_what_is_killed_comes_back_at_the_same_address(
    start: Callable[..., Up], port: int, name: str
) -> None:
    up = start(port)
    up.line()
    before = up.runtime

    os.kill(before.children[name].pid, signal.SIGKILL)
    wait_until(
        lambda: up.runtime.children.get(name) not in (None, before.children[name]), f"a new {name}"
    )

    assert up.runtime.environment == before.environment
    with psycopg.connect(before.environment["PONTE_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM tickets").fetchone() == (0,)
    with Redis.from_url(before.environment["PONTE_REDIS_URL"]) as client:
        assert client.ping()
    _, _, errors = up.end()
    assert f"[ponte] {name} ended (killed by SIGKILL): starting it again in 0.2 s" in errors


def test_after_a_kill_of_up_itself_nothing_survives_and_the_next_up_works(
    start: Callable[..., Up], port: int
) -> None:
    first = start(port)
    first.line()
    children = first.runtime.children
    secrets = (first.state.path / "secrets.json").read_bytes()

    first.process.kill()
    second = start(port)

    assert second.line() == f"ready http://127.0.0.1:{port}"
    assert not any(is_running(child) for child in children.values())
    assert second.runtime.supervisor.pid == second.process.pid
    assert (second.state.path / "secrets.json").read_bytes() == secrets


def test_an_up_that_was_killed_while_starting_does_not_block_the_next(
    start: Callable[..., Up], port: int
) -> None:
    first = start(port, training="import time; time.sleep(600)")
    wait_until(
        lambda: (found := first.state.read_runtime()) is not None and "redis" in found.children,
        "the engines",
    )

    first.process.kill()

    assert start(port).line() == f"ready http://127.0.0.1:{port}"


def test_a_taken_port_is_said_and_the_next_one_used(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = start(port)

        line = up.line()

        assert line.startswith("ready http://127.0.0.1:")
        assert line != f"ready http://127.0.0.1:{port}"
        _, _, errors = up.end()
        assert f"[ponte] port {port} is taken: using " in errors


def test_a_failed_training_is_told_and_everything_is_stopped(
    start: Callable[..., Up], port: int
) -> None:
    up = start(port, training="raise SystemExit('no examples')")

    output, errors = up.process.communicate(timeout=30)

    assert up.process.returncode == 1
    assert output == ""
    assert "no examples" in errors
    assert "error: the assistant's model could not be trained" in errors
    assert up.state.read_runtime() is None


def test_sigterm_during_training_stops_at_once(start: Callable[..., Up], port: int) -> None:
    up = start(port, training="import time; time.sleep(600)")
    wait_until(
        lambda: (found := up.state.read_runtime()) is not None and "web" in found.children,
        "the web process",
    )
    web = up.runtime.children["web"]

    code, output, _ = up.end()

    assert (code, output) == (0, "")
    assert start_time(web.pid) != web.started
