"""What a side of the benchmark of notifications is, and the peers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from benchmarks.peers.message import number
from ponte.settings import ROOT

PEERS = ROOT / ".ponte" / "bench-peers"
"""Peers are installed here at the first run: Celery in an environment of its own, BullMQ by npm."""


class MissingError(Exception):
    """What a side needs is not on this machine."""


@dataclass(slots=True)
class Bench:
    """What all sides share."""

    folder: Path
    redis_url: str
    sink_url: str
    database_url: str = field(repr=False)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def redis_socket(self) -> str:
        """The path of Redis' socket."""
        return unquote(urlsplit(self.redis_url).path)

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, cwd: Path = ROOT
    ) -> subprocess.Popen[str]:
        """Start a process; its words go to a file."""
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=cwd, env=self._environment(env), stdout=log, stderr=log, text=True
            )
        self.running.append(process)
        return process

    def check(self) -> None:
        """See that all that was started still runs.

        Raises:
            MissingError: one has ended.
        """
        for process in self.running:
            if process.poll() is not None:
                message = f"{process.args!r} ended with {process.returncode}, see {self.folder}"
                raise MissingError(message)

    def ask(self, command: Sequence[str], env: Mapping[str, str], *, cwd: Path = ROOT) -> str:
        """Run a process to its end; what it said."""
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self._environment(env),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def stop(self, process: subprocess.Popen[str]) -> None:
        """End it in good order."""
        self.running.remove(process)
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG")
        own = {name: value for name, value in os.environ.items() if name in kept}  # noqa: TID251
        addresses = {
            "BENCH_SINK_URL": self.sink_url,
            "BENCH_REDIS_SOCKET": self.redis_socket,
            "BENCH_REDIS_URL": f"unix://{self.redis_socket}",
            "PYTHONPATH": str(ROOT),
        }
        return own | addresses | dict(more)


class Side(Protocol):
    """One job system."""

    @property
    def name(self) -> str:
        """In the table."""
        ...

    def prepare(self) -> None:
        """Install or start what is there before the first job.

        Raises:
            MissingError: it cannot be measured here; says why.
        """
        ...

    def work(self) -> Mapping[str, int]:
        """Start the workers; their process ids by name, with what else only this side runs."""
        ...

    def rest(self) -> None:
        """Stop the workers."""
        ...

    def produce(self, first: int, count: int) -> None:
        """Put jobs in as quickly as possible; returns when workers could fetch the last one."""
        ...

    def idle(self, first: int, count: int) -> Mapping[str, float]:
        """Put single jobs in, with pauses; when each was put in (the first is a warm-up)."""
        ...

    def close(self) -> None:
        """Stop everything."""
        ...


@dataclass(slots=True)
class Peer:
    """A side that consists of a worker command and a producer command."""

    name: str
    bench: Bench
    worker: Sequence[str]
    producer: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    install: Sequence[Sequence[str]] = ()
    needs: Sequence[str] = ()
    cwd: Path = ROOT
    _workers: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """See `Side`."""
        for program in self.needs:
            if shutil.which(program) is None:
                message = f"{program} is not installed"
                raise MissingError(message)
        for command in self.install:
            done = subprocess.run(
                command, cwd=self.cwd, capture_output=True, text=True, check=False
            )
            if done.returncode:
                message = f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-200:]}"
                raise MissingError(message)

    def work(self) -> Mapping[str, int]:
        """See `Side`."""
        self._workers = self.bench.start(self.name, self.worker, self.env, cwd=self.cwd)
        return {"workers": self._workers.pid}

    def rest(self) -> None:
        """See `Side`."""
        if self._workers is not None:
            self.bench.stop(self._workers)
            self._workers = None

    def produce(self, first: int, count: int) -> None:
        """See `Side`."""
        self.bench.ask([*self.producer, "produce", str(first), str(count)], self.env, cwd=self.cwd)

    def idle(self, first: int, count: int) -> Mapping[str, float]:
        """See `Side`."""
        said = self.bench.ask(
            [*self.producer, "idle", str(first), str(count)], self.env, cwd=self.cwd
        )
        pairs = (line.split() for line in said.splitlines())
        return {number(int(job)): float(at) for job, at in pairs}

    def close(self) -> None:
        """See `Side`."""
        self.rest()


def peers(bench: Bench) -> list[Peer]:
    """The three, with the settings that were quickest on two processors."""
    python, uv = sys.executable, str(ROOT / ".ponte" / "tools" / "bin" / "uv")
    celery_python = str(PEERS / "celery" / "bin" / "python")
    bull = PEERS / "bullmq"
    source = Path(__file__).parent / "peers" / "bullmq"
    for folder in (PEERS, bull):
        folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        shutil.copy2(path, bull / path.name)
    module = "benchmarks.peers.plain_dramatiq"
    return [
        Peer(
            "BullMQ 6",
            bench,
            ["node", "bench.mjs", "work"],
            ["node", "bench.mjs"],
            install=[["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]],
            needs=["node", "npm"],
            cwd=bull,
        ),
        Peer(
            "Dramatiq 2.2, tuned",
            bench,
            [python, "-m", "dramatiq", module, "--processes", "2", "--threads", "8"],
            [python, "-m", module],
            {"dramatiq_worker_timeout": "20", "dramatiq_queue_prefetch": "100"},
        ),
        Peer(
            "Dramatiq 2.2, as it comes",
            bench,
            [python, "-m", "dramatiq", module, "--processes", "2", "--threads", "8"],
            [python, "-m", module],
        ),
        Peer(
            "Celery 5.7",
            bench,
            [
                *(celery_python, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker"),
                *("--concurrency", "2", "--without-gossip", "--without-mingle", "-l", "WARNING"),
            ],
            [celery_python, "-m", "benchmarks.peers.celery_app"],
            {"BENCH_REDIS_URL": f"redis+socket://{bench.redis_socket}"},
            install=[
                [uv, "venv", "-q", "--allow-existing", str(PEERS / "celery")],
                [
                    *(uv, "pip", "install", "-q", "--python", celery_python),
                    *("celery[redis]>=5.7,<5.8", "requests>=2.32"),
                ],
            ],
        ),
    ]


def as_json(value: object) -> str:
    """For files."""
    return json.dumps(value, indent=2) + "\n"
