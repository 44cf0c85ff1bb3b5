"""A running set of its own: PostgreSQL, Redis, a provider, and Ponte's real processes to kill.

Rows come in by the real doors, processes end by real signals; nothing of Ponte is replaced.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
import redis as redis_client

from ponte.embedded.child import start_child, tail
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.embedded.redis import EmbeddedRedis
from tests.conftest import create_all, empty_all_tables
from tests.faults.authority import service_account
from tests.faults.causes import Stop, Story
from tests.faults.ledger import CHANNELS, Call, Row, Tally, read_log, read_notes, tally
from tests.faults.program import Program, now_seconds
from tests.ponte.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90
APP_SECRET, VERIFY_TOKEN = "faults-app-secret", "faults-verify"
TWILIO_TOKEN = "faults-twilio-token-0123456789abcd"
PHONE_NUMBER_ID = "106540352242922"
CALM: Mapping[str, Mapping[str, Any]] = {
    "whatsapp": {"late": (0.2, 5.0), "doubled": 0.05},
    "sms": {"late": (0.2, 5.0), "doubled": 0.05},
}
"""How statuses come when a scenario says nothing else."""

READY_LINES = {"worker": "worker.started", "scheduler": "scheduler.started"}

_ROWS = """
SELECT n.id::text AS key, n.state, coalesce(n.digest_id, n.id)::text AS told_by, d.reason AS dead,
  replace(n.job_name, 'send-', '') AS channel, n.idempotency_key LIKE 'fault:%%' AS ours,
  n.lost_workers, n.guarantee = 'at-most-once' AS once
FROM notifications n
LEFT JOIN dead_letters d ON d.notification_id = n.id AND d.state IN ('dead', 'discarded')
"""
_UNDER_WAY = """
SELECT count(*) FILTER (WHERE idempotency_key LIKE 'fault:%%') AS ours,
  count(*) FILTER (WHERE digest_key IS NULL OR attempts > 0) AS all
FROM notifications WHERE state IN ('pending', 'sending', 'unknown')
"""
"""Without alerts that wait for the end of their digest's window, which is up to ten minutes."""


@dataclass(slots=True)
class Lab:
    """Everything of one run. Use as a context."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ponte-faults-")))
    programs: list[Program] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    """Notices whose commit a producer has seen."""
    postgres: EmbeddedPostgres = field(init=False)
    redis: EmbeddedRedis = field(init=False)
    provider: subprocess.Popen[bytes] | None = None
    ports: dict[str, int] = field(default_factory=dict)
    web_port: int = 0
    modules: Mapping[str, str] = field(default_factory=dict)
    """Programs that take the place of Ponte's own, by kind: to see a test fail."""
    own_disk_mb: int = 0
    """Put the database on a small disk of its own; `disk` says where, or that it may not be."""
    disk: Path | None = None
    stops: list[Stop] = field(default_factory=list)
    _log_start: int = 0
    _starts: int = 0

    def __enter__(self) -> Self:
        run = self.folder / "run"
        if self.own_disk_mb:
            self.disk = mount_disk(self.folder / "disk", megabytes=self.own_disk_mb)
        self.postgres = EmbeddedPostgres(
            (self.disk or self.folder) / "postgres", run, durable=False, databases=("ponte",)
        )
        # The append-only file is on, fsync every second: as in operation.
        self.redis = EmbeddedRedis(self.folder / "redis", run)
        try:
            self.postgres.start()
            self.redis.start()
            create_all(self.database_url)
            self._start_provider()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything and remove the folder."""
        for program in self.programs:
            if program.alive:
                program.kill()
        if self.provider is not None:
            self.provider.kill()
            self.provider.wait()
        for engine in (self.redis, self.postgres):
            if engine.process is not None:
                engine.process.send_signal(signal.SIGCONT)
            engine.stop()
        if self.disk is not None:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)  # noqa: S607 - mount(8)
            self.disk = None
        if not os.environ.get("FAULTS_KEEP"):  # noqa: TID251 - for who looks into the logs
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- engines -------------------------------------------------------------------------------

    @property
    def database_url(self) -> str:
        return self.postgres.url("ponte")

    def sql(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows; waits while the database restarts."""
        found: list[dict[str, Any]] = []

        def ask() -> bool:
            nonlocal found
            try:
                with psycopg.connect(
                    self.database_url, row_factory=psycopg.rows.dict_row, autocommit=True
                ) as connection:
                    cursor = connection.execute(query.encode(), values)
                    found = cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                return False
            return True

        wait_until(ask, "the database to answer", seconds=60)
        return found

    def redis_do(self, work: Callable[[Any], Any]) -> Any:
        """Ask Redis."""
        with redis_client.Redis.from_url(self.redis.url()) as client:
            return work(client)

    def kill_engine(self, engine: EmbeddedPostgres | EmbeddedRedis) -> None:
        """SIGKILL to the server."""
        assert engine.process is not None
        engine.process.kill()
        engine.process.wait()

    def stall_database(self, seconds: float) -> None:
        """SIGSTOP to the server and to every process of it, and after a while SIGCONT."""
        server = self.postgres.process
        assert server is not None
        server.send_signal(signal.SIGSTOP)  # first: it starts no others then
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        pids = [int(pid) for pid in children.read_text(encoding="ascii").split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(seconds)
        for pid in (*pids, server.pid):
            os.kill(pid, signal.SIGCONT)

    def pause_process(self, process: subprocess.Popen[bytes]) -> None:
        """SIGSTOP."""
        process.send_signal(signal.SIGSTOP)

    def continue_process(self, process: subprocess.Popen[bytes]) -> None:
        """SIGCONT."""
        process.send_signal(signal.SIGCONT)

    # -- provider ------------------------------------------------------------------------------

    def _start_provider(self) -> None:
        with (self.folder / "provider.out").open("wb") as output:
            self.provider = start_child(
                [sys.executable, "-m", "tests.faults.provider", str(self.folder)],
                env={"PATH": os.defpath},
                output=output.fileno(),
                death_signal=signal.SIGKILL,
                cwd=ROOT,
            )
        facts = self.folder / "provider.json"
        wait_until(facts.exists, "the provider", seconds=START_SECONDS)
        self.ports = json.loads(facts.read_text(encoding="utf-8"))
        account = service_account(f"http://127.0.0.1:{self.ports['http']}/token")
        (self.folder / "account.json").write_text(json.dumps(account), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.web_port = probe.getsockname()[1]
        self.tell(app_secret=APP_SECRET, phone_number_id=PHONE_NUMBER_ID, twilio_token=TWILIO_TOKEN)

    def tell(self, **order: Any) -> None:
        """Give the provider an order; see `Provider.control`."""
        url = f"http://127.0.0.1:{self.ports['http']}/control"
        httpx.post(url, json=order, timeout=30, trust_env=False).raise_for_status()

    def behave(
        self, *rules: Mapping[str, Any], channels: Collection[str] = (), delay: float = 0.0
    ) -> None:
        """How these channels (none named: all) behave from now on; no rule: all is taken."""
        names = channels or ("email", "whatsapp", "sms", "push")
        told = {"delay_seconds": delay, "rules": [dict(rule) for rule in rules]}
        self.tell(channels=dict.fromkeys(names, told))

    def log(self) -> str:
        """What the provider wrote since the scenario began."""
        raw = (self.folder / "provider.jsonl").read_bytes()[self._log_start :]
        return raw.decode()

    def calls(self) -> list[Call]:
        """What reached the provider since the scenario began."""
        return read_log(self.log())

    def clock_seconds(self) -> float:
        """Now, as the provider's log writes it."""
        return now_seconds()

    def taken(self) -> int:
        """How many notices the provider has taken, each counted once."""
        return len({call.key for call in self.calls() if call.did == "taken"})

    # -- programs ------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """What every process gets."""
        http = f"http://127.0.0.1:{self.ports['http']}"
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "PONTE_ENV_FILE": "",
            "PONTE_STATE_DIR": str(self.folder / "state"),
            "PONTE_DATABASE_URL": self.database_url,
            "PONTE_REDIS_URL": self.redis.url(),
            "PONTE_LOG_FORMAT": "json",
            "PONTE_PORT": str(self.web_port),
            "PONTE_PUBLIC_URL": "https://ponte.faults.example",
            "PONTE_BOT_URL": http,
            "PONTE_BOT_SECRET": "faults-" + "s" * 32,
            "PONTE_SIMULATOR": "off",
            "WHATSAPP_APP_SECRET": APP_SECRET,
            "WHATSAPP_VERIFY_TOKEN": VERIFY_TOKEN,
            "WHATSAPP_ACCESS_TOKEN": "faults-access-token",
            "WHATSAPP_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
            "WHATSAPP_API_BASE_URL": http,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.ports["smtp"]),
            "SMTP_TLS": "none",
            "SMTP_FROM": "avisos@ponte.example",
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
            "TWILIO_FROM": "+15005550006",
            "FCM_PROJECT_ID": "ponte-faults",
            "FCM_SERVICE_ACCOUNT_JSON": (self.folder / "account.json").read_text(encoding="utf-8"),
            "NOTIFICATIONS_ADMIN_USER_ID": "chefe@example.com",
            # Twilio's and Google's addresses are part of their libraries: reached by this proxy.
            "HTTPS_PROXY": http,
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(self.folder / "ca.pem"),
            "SSL_CERT_FILE": str(self.folder / "ca.pem"),
        }

    def start(self, kind: str, **changes: str) -> Program:
        """Start `ponte KIND`; `wait_ready` waits for it."""
        self._starts += 1
        name = f"{kind}-{self._starts}"
        log = self.folder / f"{name}.log"
        program = self.modules.get(kind, f"ponte {kind}").split()
        with log.open("wb") as output:
            process = start_child(
                [sys.executable, "-m", *program],
                env=self.environment() | changes,
                output=output.fileno(),
                death_signal=signal.SIGKILL,
                cwd=ROOT,
            )
        started = Program(name, kind, log, changes, process, self.stops)
        self.programs.append(started)
        if kind == "worker":
            self.tell(killable=[one.process.pid for one in self.programs if one.kind == kind])
        return started

    def wait_ready(self, *programs: Program) -> None:
        for program in programs or tuple(self.programs):
            wait_until(
                lambda program=program: self._is_ready(program),
                f"{program.name} to be ready",
                seconds=START_SECONDS,
            )

    def _is_ready(self, program: Program) -> bool:
        if program.kind == "web":
            try:
                url = f"http://127.0.0.1:{self.web_port}/healthz"
                answers = httpx.get(url, timeout=5, trust_env=False).is_success
            except httpx.HTTPError:
                answers = False
        else:
            answers = READY_LINES[program.kind] in program.log.read_text(
                encoding="utf-8", errors="replace"
            )
        assert answers or program.alive, f"{program.name} ended:{tail(program.log, lines=20)}"
        return answers

    def running(self, kind: str) -> list[Program]:
        return [one for one in self.programs if one.kind == kind and one.alive]

    def ensure(self, *, workers: int = 2, schedulers: int = 1, web: bool = True) -> None:
        """Have so many unchanged processes of each kind, and no others."""
        wanted = {"worker": workers, "scheduler": schedulers, "web": int(web)}
        for program in self.programs:
            if program.alive and program.changes:
                program.kill()
        for kind, number in wanted.items():
            alive = self.running(kind)
            for program in alive[number:]:
                program.kill()
            for _ in range(number - len(alive)):
                self.start(kind)
        if web:
            self.tell(web=f"http://127.0.0.1:{self.web_port}")
        self.wait_ready(*[one for one in self.programs if one.alive])

    def kill_all(self, kind: str) -> None:
        """SIGKILL to all of a kind at once."""
        victims = self.running(kind)
        for program in victims:
            program.kill_soon()
        for program in victims:
            program.process.wait()

    # -- a scenario ----------------------------------------------------------------------------

    def begin(self, *, workers: int = 2, schedulers: int = 1, web: bool = True) -> None:
        """An empty house: rows, queue and provider of the scenario before are forgotten."""
        for engine in (self.postgres, self.redis):
            engine.start()
        self.behave()
        self.tell(web="", tidings=CALM, list_lag_seconds=2.0, list_fails=False)
        for program in self.programs:
            if program.alive:
                program.go_on()
        self._forget()
        self.ensure(workers=workers, schedulers=schedulers, web=web)
        self.accepted = set()
        self._log_start = (self.folder / "provider.jsonl").stat().st_size

    def alone(self) -> None:
        """No process of Ponte runs, and all rows are forgotten."""
        for kind in ("worker", "scheduler", "web"):
            self.kill_all(kind)
        self._forget()

    def _forget(self) -> None:
        def emptied() -> bool:
            try:
                empty_all_tables(self.database_url)
            except psycopg.errors.LockNotAvailable:
                return False
            return True

        wait_until(emptied, "the tables to be emptied", seconds=60)
        self.redis_do(lambda client: client.flushall())

    def rows(self) -> list[Row]:
        return [Row(**row) for row in self.sql(_ROWS)]

    def under_way(self, *, alerts: bool = False) -> int:
        """How many notices of the producers (or of everybody) are not at their end."""
        return int(self.sql(_UNDER_WAY)[0]["all" if alerts else "ours"])

    def settle(self, *, seconds: float, alerts: bool = False) -> bool:
        """Wait until nothing is under way any more; False when the time was over first."""
        try:
            wait_until(
                lambda: self.under_way(alerts=alerts) == 0, "everything to settle", seconds=seconds
            )
        except AssertionError:
            return False
        return True

    def tally(self) -> Tally:
        """What became of everything, with the causes of what was doubled or given up."""
        rows = self.rows()
        text = self.log()  # after the rows: what they call sent stands in it by then
        calls = read_log(text)
        killed = [Stop(call.pid, call.at) for call in calls if call.did == "kill"]
        story = Story(read_notes(text), [*self.stops, *killed])
        notices = [call for call in calls if call.channel in CHANNELS]
        return replace(
            tally(self.accepted, rows, calls),
            doublings=tuple(story.doublings(notices)),
            inexplicable=story.inexplicable(rows, notices),
        )


def mount_disk(place: Path, *, megabytes: int) -> Path | None:
    """A small disk in memory; None where that is not allowed (it takes root)."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, check=False, capture_output=True)
    except OSError:
        return None
    return place if done.returncode == 0 else None
