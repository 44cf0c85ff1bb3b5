"""Notifications: Ponte with all its guarantees beside BullMQ, plain Dramatiq and Celery.

    python -m benchmarks.notifications [--quick] [--only NAME] [--workers N]

Same machine, same Redis, same work: one HTTP POST a job to the same sink, whose log says what was
lost or doubled. Docs: docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis
from sqlalchemy import create_engine

from benchmarks.notification_ponte import ADMIN_PHONE, Ponte
from benchmarks.notification_sides import Bench, MissingError, Side, as_json, peers
from benchmarks.peers.message import number
from benchmarks.processor import Watch, spent
from kit.clock import SystemClock
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.embedded.redis import EmbeddedRedis
from ponte.settings import ROOT
from ticketing.db.engine import with_driver
from ticketing.db.tables import Base

STATE = ROOT / ".ponte" / "bench-notifications"
PATIENCE_SECONDS = 240.0
LATE_SECONDS = 3.0
"""After the last arrival: what comes doubled comes now."""


@dataclass(slots=True)
class Figures:
    """What one side reached.

    Attributes:
        drain: Jobs a second, from the first arrival to the last; all were in the queue before.
        whole: Jobs a second from the beginning of putting in to the last arrival.
        relayed: The same as `whole`, beginning with outbox events; 0 when the side knows none.
        idle_ms: From putting a lone job in to its arrival.
        processor_ms: Of each process for each job of the drain.
        idle_commands: Redis commands a second while there is nothing to do.
        idle_processor: Processor seconds of all workers in a second of doing nothing.
        lost: Jobs that never arrived, of all that were put in during the measuring.
        doubled: Messages that arrived more than once, or recipients that got more than one.
    """

    drain: float = 0.0
    whole: float = 0.0
    relayed: float = 0.0
    idle_ms: list[float] = field(default_factory=list)
    processor_ms: dict[str, float] = field(default_factory=dict)
    idle_commands: float = 0.0
    idle_processor: float = 0.0
    lost: int = 0
    doubled: int = 0

    def idle_at(self, part: float) -> float:
        """A quantile of the idle times."""
        ordered = sorted(self.idle_ms)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A line of the sink's log."""

    recipient: str
    name: str
    at: float


@dataclass(slots=True)
class Meter:
    """Measures a side."""

    bench: Bench
    shared: Mapping[str, int]
    jobs: int
    lone: int
    idle_seconds: float

    def measure(self, side: Side) -> Figures:
        """All figures of a side that is prepared."""
        found = Figures()
        with redis.Redis(unix_socket_path=self.bench.redis_socket) as client:
            client.flushall()
        self._get("/clear")
        side.produce(0, self.jobs)
        pids = dict(self.shared) | dict(side.work())
        watch = Watch(pids)
        self._until(1)
        before = watch.seconds()
        self._until(self.jobs)
        used = spent(before, watch.seconds())
        times = sorted(one.at for one in self._log())
        found.drain = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
        found.processor_ms = {name: took * 1000 / self.jobs for name, took in used.items()}

        began = time.monotonic()
        side.produce(self.jobs, self.jobs)
        self._until(2 * self.jobs)
        found.whole = self.jobs / (self._last() - began)

        found.idle_commands, found.idle_processor = self._nothing(watch)
        put_in = side.idle(2 * self.jobs, self.lone)
        count = 2 * self.jobs + self.lone
        self._until(count)
        arrived = {one.recipient: one.at for one in reversed(self._log())}
        found.idle_ms = [(arrived[one] - at) * 1000 for one, at in put_in.items() if one in arrived]
        relayed = 0
        if isinstance(side, Ponte):
            relayed = self.jobs
            began = time.monotonic()
            side.produce_events(relayed)
            self._until(count + relayed)
            found.relayed = relayed / (self._last() - began)
        time.sleep(LATE_SECONDS)
        self._check(found, {number(job) for job in range(count)}, relayed)
        return found

    def _check(self, found: Figures, wanted: set[str], relayed: int) -> None:
        """What the sink's log says was lost and doubled."""
        log = self._log()
        to_admin = ADMIN_PHONE.lstrip("+")
        names = Counter(one.name for one in log)
        recipients = Counter(one.recipient for one in log if one.recipient != to_admin)
        told = {one.name for one in log if one.recipient == to_admin}
        # Neither fewer nor more, or a lost one would hide behind an alert to the admin.
        found.lost = len(wanted - set(recipients)) + abs(relayed - len(told))
        found.doubled = max(
            sum(1 for count in counted.values() if count > 1) for counted in (names, recipients)
        )

    def _nothing(self, watch: Watch) -> tuple[float, float]:
        time.sleep(1.0)
        with redis.Redis(unix_socket_path=self.bench.redis_socket) as client:
            first, before = client.info("stats")["total_commands_processed"], watch.seconds()
            time.sleep(self.idle_seconds)
            last, after = client.info("stats")["total_commands_processed"], watch.seconds()
        used = spent(before, after)
        own = sum(took for name, took in used.items() if "worker" in name)
        return (last - first) / self.idle_seconds, own / self.idle_seconds

    def _until(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while int(self._get("/count")) < count:
            self.bench.check()
            if time.monotonic() > deadline:
                print(f"  only {self._get('/count')} of {count} arrived", flush=True)
                return
            time.sleep(0.02 if count == 1 else 0.1)

    def _last(self) -> float:
        return max(one.at for one in self._log())

    def _log(self) -> list[Arrival]:
        lines = (line.split(" ") for line in self._get("/log").splitlines())
        return [Arrival(recipient, name, float(at)) for recipient, name, at in lines]

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self.bench.sink_url + path, timeout=30) as answer:  # noqa: S310
            return str(answer.read().decode())


def table(all_figures: Mapping[str, Figures]) -> str:
    """For docs/performance.md."""
    lines = [
        (
            "| | drain, jobs/s | end to end, jobs/s | from outbox events, /s | idle p50 ms "
            "| idle p95 ms | processor ms a job | idle: Redis commands/s | idle: processor % "
            "| lost | doubled |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in all_figures.items():
        own = sum(took for part, took in one.processor_ms.items() if part != "sink")
        relayed = f"{one.relayed:.0f}" if one.relayed else ""
        lines.append(
            f"| {name} | {one.drain:.0f} | {one.whole:.0f} | {relayed} | {one.idle_at(0.5):.1f} "
            f"| {one.idle_at(0.95):.1f} | {own:.2f} | {one.idle_commands:.0f} "
            f"| {one.idle_processor * 100:.1f} | {one.lost} | {one.doubled} |"
        )
    lines.append("")
    for name, one in all_figures.items():
        parts = ", ".join(f"{part} {took:.2f}" for part, took in one.processor_ms.items())
        lines.append(f"Processor ms a job ({name}): {parts}.")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write the file; 1 when Ponte lost or doubled a job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs")
    parser.add_argument("--only", action="append", default=[], help="a side; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of Ponte")
    options = parser.parse_args(arguments)
    # Ended by force it shall stop what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    postgres = EmbeddedPostgres(STATE / "postgres", STATE / "run", databases=("ponte",))
    store = EmbeddedRedis(STATE / "redis", STATE / "run")
    sink = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.notification_sink"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    bench: Bench | None = None
    try:
        postgres.start()
        store.start()
        url = postgres.url("ponte")
        engine = create_engine(with_driver(url))
        Base.metadata.create_all(engine)
        engine.dispose()
        bench = Bench(STATE, store.url(), (sink.stdout or io.StringIO()).readline().strip(), url)
        figures = _measure_all(bench, options, postgres=postgres, store=store, sink=sink)
    finally:
        for process in list(bench.running) if bench is not None else ():
            process.kill()
            process.wait()
        sink.kill()
        sink.wait()
        store.stop()
        postgres.stop()
    print()
    print(table(figures))
    _write(STATE / "result.json", figures, arguments)
    ours = figures.get(Ponte.name)
    if ours is None:  # left out, unless it was not asked for
        return int(not options.only or any(one in Ponte.name for one in options.only))
    return int(bool(ours.lost or ours.doubled))


def _measure_all(
    bench: Bench,
    options: argparse.Namespace,
    *,
    postgres: EmbeddedPostgres,
    store: EmbeddedRedis,
    sink: subprocess.Popen[str],
) -> dict[str, Figures]:
    if store.process is None or postgres.process is None:
        message = f"another benchmark is running on {STATE}"
        raise SystemExit(message)
    shared = {"redis": store.process.pid, "sink": sink.pid}
    jobs, lone, seconds = (1000, 11, 3.0) if options.quick else (10_000, 41, 10.0)
    meter = Meter(bench, shared, jobs, lone, seconds)
    with asyncio.Runner() as runner:
        ponte = Ponte(bench, options.workers, postgres.process.pid, runner.run)
        sides: list[Side] = [*peers(bench), ponte]
        found = {}
        for side in sides:
            if options.only and not any(one in side.name for one in options.only):
                continue
            try:
                side.prepare()
            except MissingError as missing:
                print(f"{side.name}: left out, {missing}", flush=True)
                continue
            print(f"{side.name} ...", flush=True)
            try:
                found[side.name] = meter.measure(side)
            except MissingError as missing:
                print(f"{side.name}: left out, {missing}", flush=True)
                continue
            finally:
                side.close()
            print(f"  {found[side.name]}", flush=True)
    return found


def _write(path: Path, figures: Mapping[str, Figures], arguments: Sequence[str]) -> None:
    document = {
        "date": SystemClock().now().isoformat(timespec="seconds"),
        "command": f"python -m benchmarks.notifications {' '.join(arguments)}".strip(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "sides": {
            name: {
                "drain_per_second": round(one.drain, 1),
                "whole_per_second": round(one.whole, 1),
                "relayed_per_second": round(one.relayed, 1),
                "idle_p50_ms": round(one.idle_at(0.5), 2),
                "idle_p95_ms": round(one.idle_at(0.95), 2),
                "idle_mean_ms": round(statistics.fmean(one.idle_ms or [0.0]), 2),
                "processor_ms": {key: round(took, 3) for key, took in one.processor_ms.items()},
                "idle_redis_commands_per_second": round(one.idle_commands, 1),
                "idle_processor": round(one.idle_processor, 4),
                "lost": one.lost,
                "doubled": one.doubled,
            }
            for name, one in figures.items()
        },
    }
    path.write_text(as_json(document), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
