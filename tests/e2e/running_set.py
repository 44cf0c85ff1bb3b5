"""A whole `ponte up` in a folder of its own: started, killed in parts, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg

from ponte.embedded.child import ProcessIdentity, is_running, tail
from ponte.processes.state import Runtime, StateFolder
from tests.ponte.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SUPERVISOR = "supervisor"
READY_SECONDS = 300  # a training is included, on a machine that is busy with other tests
_PREFIXES = ("PONTE_", "WHATSAPP_", "SMTP_", "NOTIFICATIONS_", "TWILIO_", "FCM_", "SLA_")


class RunningSet:
    """All processes of Ponte with the simulator; ours to kill."""

    def __init__(self, folder: Path, *, settings: dict[str, str]) -> None:
        self.state = StateFolder(folder)
        self.state.prepare()
        self._environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith(_PREFIXES)},  # noqa: TID251 - handed down
            "PONTE_ENV_FILE": "",
            "PONTE_STATE_DIR": str(folder),
            "PONTE_PORT": "0",
            "PONTE_SIMULATOR": "on",
            **settings,
        }
        self._starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run `ponte up` and wait for its `ready` line.

        One that finds another running says so and ends; then the other is the one that counts.
        """
        self._starts += 1
        output = self.state.path / f"up-{self._starts}.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "ponte", "up"],
                cwd=ROOT,
                env=self._environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if self.process is None or self.process.poll() is not None:
            self.process = process

        def ready() -> bool:
            said = output.read_text(encoding="utf-8", errors="replace")
            if any(line.startswith("ready ") for line in said.splitlines()):
                return True
            assert process.poll() is None, f"`ponte up` ended:{tail(output, lines=20)}"
            return False

        wait_until(ready, "`ponte up` to become ready", seconds=READY_SECONDS)
        if process is not self.process:
            assert process.wait(30) == 0

    @property
    def runtime(self) -> Runtime:
        """What the running `ponte up` tells of itself."""
        found = self.state.read_runtime()
        assert found is not None, "there is no runtime file"
        return found

    @property
    def simulator_api(self) -> str:
        """The customers' side of the simulator; another address after a start."""
        runtime = self.state.read_runtime()
        base = runtime.environment.get("PONTE_SIMULATOR_URL", "") if runtime else ""
        return f"{base}/simulator/api"

    def query(self, statement: str) -> list[dict[str, object]]:
        """Rows of Ponte's database, by plain SQL: the oracle trusts no code of ours."""
        url = self.runtime.environment["PONTE_DATABASE_URL"]
        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(statement.encode()).fetchall()

    def kill(self, name: str) -> None:
        """SIGKILL, no warning; returns when the process is gone."""
        victim = self.identity(name)
        os.kill(victim.pid, signal.SIGKILL)
        if name == SUPERVISOR and self.process is not None:
            self.process.wait(30)
        wait_until(lambda: not is_running(victim), f"{name} to be gone")

    def is_replaced(self, name: str, victim: ProcessIdentity) -> bool:
        """Whether another process runs in the place of the killed one."""
        runtime = self.state.read_runtime()
        if runtime is None:
            return False
        now = runtime.supervisor if name == SUPERVISOR else runtime.children.get(name)
        return is_running(now) and now != victim

    def identity(self, name: str) -> ProcessIdentity:
        """Who runs under this name now."""
        return self.runtime.supervisor if name == SUPERVISOR else self.runtime.children[name]

    def webhooks_waiting(self) -> int:
        """How many webhooks the simulator has still to tell."""
        answer = httpx.get(f"{self.simulator_api}/deliveries", timeout=10, trust_env=False)
        return int(answer.raise_for_status().json()["pending"])

    def stop(self) -> None:
        """End everything."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
