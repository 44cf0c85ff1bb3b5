"""The sides of the benchmark of notifications: start, put jobs in, stop; all do the same work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from benchmarks.peers.message import number
from kit.clock import SystemClock
from kit.ids import new_correlation_id, new_id
from notifications.broker import DramatiqJobQueue, PonteBroker, make_producer_broker
from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel, Job
from notifications.domain.recipients import Notice
from notifications.services.notices import insert_notices
from notifications.services.wake import wake_sweep
from ponte.settings import ROOT
from ticketing.db.engine import Database, make_engine

PEERS = ROOT / ".ponte" / "bench-peers"
"""Peers are installed here at the first run: Celery in an environment of its own, BullMQ by npm."""

TRANSACTION = 50
"""Notices that the producer writes in one transaction: what the relay writes for a few events."""

_CLOCK = SystemClock()
_CONTEXT = {
    "ticket_number": 1,
    "ticket_id": "01900000-0000-7000-8000-000000000000",
    "queue_key": "n1",
    "queue_name": "Suporte",
    "level": "N1",
    "priority": "high",
    "severity": "S2",
    "reason": "customer_request",
    "from_level": None,
}


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

    name: str

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
            "Dramatiq 2.2",
            bench,
            [python, "-m", "dramatiq", module, "--processes", "2", "--threads", "8"],
            [python, "-m", module],
            {"dramatiq_worker_timeout": "20", "dramatiq_queue_prefetch": "100"},
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


@dataclass(slots=True)
class Ponte:
    """`ponte worker` and `ponte scheduler`, PostgreSQL with fsync, every guarantee on.

    `straight` puts a lone job in the queue itself, as the relay does after its commit; otherwise
    the row is written and the scheduler's sweep is woken.
    """

    bench: Bench
    workers: int
    postgres_pid: int
    run: Any
    name: str = "Ponte"
    straight: bool = True
    _db: Database = field(init=False)
    _broker: PonteBroker = field(init=False)
    _queue: DramatiqJobQueue = field(init=False)
    _scheduler: subprocess.Popen[str] = field(init=False)
    _working: list[subprocess.Popen[str]] = field(default_factory=list)

    def prepare(self) -> None:
        """See `Side`."""
        self._db = Database(make_engine(self.bench.database_url, pool_size=4))
        self._broker = make_producer_broker(self.bench.redis_url)
        self._queue = DramatiqJobQueue(self._broker)
        command = [sys.executable, "-m", "ponte", "scheduler"]
        self._scheduler = self.bench.start("scheduler", command, self._settings())

    def work(self) -> Mapping[str, int]:
        """See `Side`."""
        command = [sys.executable, "-m", "ponte", "worker"]
        self._working = [
            self.bench.start(f"worker-{one}", command, self._settings())
            for one in range(self.workers)
        ]
        found = {f"worker {one + 1}": child.pid for one, child in enumerate(self._working)}
        return found | {"scheduler": self._scheduler.pid, "postgres": self.postgres_pid}

    def rest(self) -> None:
        """See `Side`."""
        for process in self._working:
            self.bench.stop(process)
        self._working = []

    def produce(self, first: int, count: int) -> None:
        """See `Side`."""
        self.run(self._produce(first, count))

    def idle(self, first: int, count: int) -> Mapping[str, float]:
        """See `Side`."""
        found = {}
        for job in range(first, first + count):
            time.sleep(0.3)
            found[number(job)] = self.run(self._one(job))
        return dict(list(found.items())[1:])

    def close(self) -> None:
        """See `Side`."""
        self.rest()
        self.bench.stop(self._scheduler)
        self._broker.close()
        self.run(self._db.close())

    async def _produce(self, first: int, count: int) -> None:
        for start in range(first, first + count, TRANSACTION):
            await self._insert(range(start, min(start + TRANSACTION, first + count)))

    async def _one(self, job: int) -> float:
        began = time.monotonic()
        if not self.straight:
            await self._insert([job])
            return began
        jobs = await self._insert([job], queued=True)
        began = time.monotonic()
        await self._queue.enqueue(jobs)
        return began

    async def _insert(self, numbers: Sequence[int], *, queued: bool = False) -> Sequence[Job]:
        notices = [
            Notice(
                PolicyEvent.TICKET_ESCALATION,
                Channel.WHATSAPP,
                f"+{number(job)}",
                "pt",
                urgent=False,
            )
            for job in numbers
        ]
        now = _CLOCK.now()
        async with self._db.transaction() as session:
            jobs = await insert_notices(
                session,
                notices,
                key=f"bench:{new_id()}",
                context=dict(_CONTEXT),
                ticket_id=None,
                now=now,
                correlation_id=new_correlation_id(),
                enqueued_at=now if queued else None,
            )
            if not queued:
                await wake_sweep(session)
        return jobs

    def _settings(self) -> dict[str, str]:
        return {
            "PONTE_ENV_FILE": "",
            "PONTE_DATABASE_URL": self.bench.database_url,
            "PONTE_REDIS_URL": self.bench.redis_url,
            "PONTE_STATE_DIR": str(self.bench.folder),
            "PONTE_LOG_FORMAT": "json",
            "WHATSAPP_API_BASE_URL": self.bench.sink_url,
            "WHATSAPP_ACCESS_TOKEN": "bench",
            "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
            "WHATSAPP_APP_SECRET": "bench" * 8,
            "WHATSAPP_VERIFY_TOKEN": "bench" * 8,
            "PONTE_BOT_URL": "http://127.0.0.1:9",
            "PONTE_BOT_SECRET": "bench" * 8,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": "9",
            "SMTP_TLS": "none",
            "SMTP_FROM": "bench@example.com",
            "NOTIFICATIONS_ADMIN_USER_ID": "bench@example.com",
        }


def as_json(value: object) -> str:
    """For files."""
    return json.dumps(value, indent=2) + "\n"
