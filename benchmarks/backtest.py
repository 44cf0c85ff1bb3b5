"""`python -m benchmarks.backtest`: how long the backtest takes over 1,000,000 stored turns.

A throwaway PostgreSQL is filled with turns of made-up conversations (the same ones every time),
with whole decision records; then the command itself is run. Filling is not counted.

Exit code 0; 1 when the backtest took longer than `--limit` or failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from sqlalchemy import create_engine

from handoff.decide import decide
from handoff.policy import HandoffPolicy
from handoff.policy_file import load_policy
from handoff.quick import QuickPolicy, QuickTurn, Verdict
from handoff.snapshot import ConversationSnapshot
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.holiday_dates import holiday_dates
from ponte.processes.wiring import ROOT
from ticketing.db.engine import with_driver
from ticketing.db.tables import Base

_SEED = 20261122
_DAYS = 30
_START = datetime(2026, 3, 1, tzinfo=UTC)
_TURNS_A_CONVERSATION = 4.5  # on average
_LIMIT_SECONDS = 60.0


class Writer:
    """Makes up turns: scores, failures and languages as a shop's customers give them."""

    def __init__(self, policy: HandoffPolicy) -> None:
        self._policy = policy
        self._quick = QuickPolicy(policy)
        self._random = random.Random(_SEED)  # noqa: S311 - the same turns every time
        self._intents = sorted(policy.intents)
        self._decisions: dict[Verdict, bytes] = {}

    def rows(self, turns: int) -> Iterator[tuple[Any, ...]]:
        """Rows of the table `decisions`, in the order of time; ids as UUIDv7 are made."""
        open_now = [self._conversation(0) for _ in range(200)]
        for number in range(turns):
            at = _START + timedelta(days=_DAYS) * (number / turns)
            place = self._random.randrange(len(open_now))
            if self._random.random() < 1 / _TURNS_A_CONVERSATION:
                open_now[place] = self._conversation(number)
            yield self._row(number, open_now[place], at)

    def _conversation(self, number: int) -> dict[str, Any]:
        return {
            "id": str(self._id(number)),
            "language": self._random.choices(["pt", "en", "es"], [90, 4, 6])[0],
            "vip": self._happens(0.04),
            "failures": 0,
        }

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def _id(self, number: int) -> uuid.UUID:
        milliseconds = int(_START.timestamp() * 1000) + number
        value = milliseconds << 80 | 0x7 << 76 | self._random.getrandbits(12) << 64
        return uuid.UUID(int=value | 0b10 << 62 | self._random.getrandbits(62))

    def _row(self, number: int, conversation: dict[str, Any], at: datetime) -> tuple[Any, ...]:
        turn_id = str(self._id(number))
        document = self._snapshot(turn_id, conversation, at)
        verdict = self._quick.decide(QuickTurn(document))
        understood = verdict.understanding in {"unsure", "out_of_scope", "unreadable"}
        conversation["failures"] = conversation["failures"] + 1 if understood else 0
        decision = self._decisions.get(verdict)
        if decision is None:
            whole = decide(ConversationSnapshot.from_json(document), self._policy)
            decision = self._decisions[verdict] = orjson.dumps(whole.to_json())
        return (
            self._id(number), conversation["id"], turn_id, verdict.outcome, verdict.reason,
            f"{verdict.rule}@{self._policy.version}", verdict.level, verdict.queue,
            verdict.priority, verdict.understanding, orjson.dumps(document).decode(),
            decision.decode(), orjson.dumps({"policy": self._policy.version}).decode(), at, "bench",
        )  # fmt: skip

    def _snapshot(self, turn_id: str, conversation: dict[str, Any], at: datetime) -> dict[str, Any]:
        draw = self._random
        scores = [draw.random() ** 6 for _ in self._intents]
        best = draw.randrange(len(scores))
        scores[best] = max(scores) + draw.random() ** 0.5 * 3
        total = sum(scores)
        ranking = sorted(
            ((name, score / total) for name, score in zip(self._intents, scores, strict=True)),
            key=lambda pair: -pair[1],
        )
        failures = conversation["failures"]
        return ConversationSnapshot(
            turn_id=turn_id,
            conversation_id=conversation["id"],
            channel="whatsapp",
            now=at,
            message_kind=draw.choices(["text", "button", "unreadable"], [88, 9, 3])[0],
            text_length=draw.randrange(3, 160),
            top_intent=ranking[0][0],
            ranking=tuple(ranking),
            entities={"order_number": (str(draw.randrange(10**6)),)} if self._happens(0.2) else {},
            keywords=("advogado",) if self._happens(0.005) else (),
            language=conversation["language"],
            language_confidence=0.98,
            failures=failures,
            clarifications_asked=min(failures, 2),
            clarification_open=failures > 0,
            repeated_question=self._happens(0.02),
            contact_vip=conversation["vip"],
            has_open_ticket=self._happens(0.02),
            active_form="order_status_form" if self._happens(0.08) else None,
            in_scope=draw.random() ** 0.2,
            sentiment=round(draw.uniform(-1, 1), 3),
            agents_available={name: draw.randrange(6) for name in self._policy.queues},
        ).to_json()


_COLUMNS = (
    "id, conversation_id, turn_id, outcome, reason, rule, level, queue, priority, understanding, "
    "snapshot, decision, versions, created_at, correlation_id"
)


def fill(url: str, policy: HandoffPolicy, turns: int) -> None:
    """All tables, and so many turns in them."""
    engine = create_engine(with_driver(url))
    Base.metadata.create_all(engine)
    engine.dispose()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        # The conversations' own rows play no part in a backtest.
        cursor.execute("ALTER TABLE decisions DROP CONSTRAINT decisions_conversation_id_fkey")
        with cursor.copy(f"COPY decisions ({_COLUMNS}) FROM STDIN") as copy:
            for number, row in enumerate(Writer(policy).rows(turns), start=1):
                copy.write_row(row)
                if number % 100_000 == 0:
                    say(f"{number:,} turns written")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE decisions")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: seconds on the clock, seconds of processor, megabytes of the largest process."""

    seconds: float
    processor: float
    peak: float
    printed: str


def measure(url: str, policy: Path, arguments: Sequence[str]) -> Measured:
    """Run the command. The processor time is the command's own, without PostgreSQL's."""
    command = [sys.executable, "-m", "ponte", "handoff", "backtest", "--policy", str(policy)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PONTE_ENV_FILE": "",
        "PONTE_DATABASE_URL": url,
        "PONTE_STATE_DIR": str(policy.parent),
    }
    command += ["--since", "2026-01-01", "--until", "2026-12-31", *arguments]
    began, used = time.perf_counter(), _processor()
    done = subprocess.run(  # noqa: PLW1510 - the code is looked at
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        message = f"the backtest ended with {done.returncode}"
        raise RuntimeError(message)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Measured(seconds, _processor() - used, peak, done.stdout)


def _processor() -> float:
    """Seconds of processor of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str]) -> int:
    """Fill, run, print; the exit code."""
    options = _parser().parse_args(arguments)
    looser = re.sub(r"(?m)^(  confident: )0\.\d+", r"\g<1>0.45", _source(), count=1)
    with tempfile.TemporaryDirectory(prefix="ponte-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        tried = folder / "looser.yml"
        tried.write_text(looser, encoding="utf-8")
        server = EmbeddedPostgres(
            folder / "data", folder / "run", durable=False, databases=("ponte",)
        )
        server.start()
        try:
            policy = load_policy(ROOT / "handoff.yml", holiday_dates=holiday_dates)
            began = time.perf_counter()
            fill(server.url(), policy, options.turns)
            say(f"filled in {time.perf_counter() - began:.0f} s")
            return _report(server.url(), tried, options)
        finally:
            server.stop()


def _report(url: str, tried: Path, options: argparse.Namespace) -> int:
    late = False
    jobs = [] if options.jobs is None else ["--jobs", str(options.jobs)]
    for title, more in (
        ("backtest", ["--json"]),
        ("with a sweep of 11 values", ["--json", "--sweep", "confidence=0.3..0.8:0.05"]),
    ):
        run = measure(url, tried, [*more, *jobs])
        document, seconds = json.loads(run.printed), run.seconds
        say(
            f"{title}: {document['turns']:,} turns of {document['conversations']:,} conversations "
            f"in {seconds:.1f} s ({document['turns'] / seconds:,.0f} turns/s), {os.cpu_count()} "
            f"cores, {run.processor:.0f} s of processor, largest process {run.peak:.0f} MB"
        )
        say(
            f"  handoffs {document['outcomes']['before']['handoff']['turns']:,} -> "
            f"{document['outcomes']['after']['handoff']['turns']:,}, "
            f"{document['flips']['conversations']:,} conversations flip"
        )
        late = late or (title == "backtest" and seconds > options.limit)
    return 1 if late else 0


def _source() -> str:
    return (ROOT / "handoff.yml").read_text(encoding="utf-8")


def say(text: str) -> None:
    """Progress, for the person who waits."""
    print(f"[bench] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backtest",
        description="Measure `ponte handoff backtest` over many stored turns.",
        epilog="example: python -m benchmarks.backtest --turns 100000",
    )
    parser.add_argument("--turns", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=None, help="processes; default: one a core")
    parser.add_argument(
        "--limit", type=float, default=_LIMIT_SECONDS, help="seconds that the backtest may take"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
