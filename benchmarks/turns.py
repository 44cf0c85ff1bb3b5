"""`python -m benchmarks.turns`: Ponte beside plain Rasa, same machine, same model, same actions.

Ponte is measured from the outside: from a signed webhook to the reply's POST at Meta, everything in
between included (signature, database, language, Rasa, rules, outbound row, sending). Plain Rasa is
measured at its stock REST channel with its stock stores in memory: one HTTP round trip.

Exit code 0, also when it is slow; 1 when a message was lost or answered twice; 2 when a side did
not start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.dialects.postgresql import insert

from benchmarks import breakdown, processor, report
from benchmarks.customers import Customer, PlainCustomer, PonteCustomer
from benchmarks.measuring import Sample, many_at_once, one_at_a_time
from benchmarks.meta_sink import MetaSink
from benchmarks.processor import Watch
from benchmarks.running import (
    STATE,
    NotStartedError,
    PlainRasa,
    Ponte,
    start_plain_rasa,
    start_ponte,
)
from kit.clock import SystemClock
from kit.ids import new_id
from ticketing.db.engine import Database, make_engine
from ticketing.db.tables import Contact, Conversation

_IDLE_CUSTOMERS = 5
_CONCURRENT = (8, 32)
_PIECES = 4  # the idle part changes sides so often, so that a drift of the machine hits both
_LATE_SECONDS = 2.0  # a second answer would come within a few milliseconds


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    warm_up: int = 20
    idle: int = 100
    seconds: float = 15.0


QUICK = Scale(warm_up=10, idle=20, seconds=3.0)


@dataclass(slots=True)
class Bench:
    """Both sides running, and the customers made so far."""

    ponte: Ponte
    rasa: PlainRasa
    sink: MetaSink
    db: Database
    scale: Scale
    watch: Watch
    processor: dict[str, dict[str, float]] = field(default_factory=dict)
    writers: list[PonteCustomer] = field(default_factory=list)
    plain: list[PlainCustomer] = field(default_factory=list)

    async def run(self) -> report.Result:
        """Measure everything."""
        loads = {"one message at a time": await self._idle()}
        idle_times = [one for writer in self.writers for one in writer.times[-self._per_idle :]]
        for count in _CONCURRENT:
            loads[f"{count} customers at once"] = await self._loaded(count)
        await asyncio.sleep(_LATE_SECONDS)
        problems = [line for pair in loads.values() for sample in pair for line in sample.lost]
        customers: list[PonteCustomer | PlainCustomer] = [*self.writers, *self.plain]
        problems += [f"{one.name}: {one.problem}" for one in customers if one.problem is not None]
        parts = breakdown.parts(idle_times, STATE / "log")
        return report.Result(loads, parts, self.processor, problems)

    @property
    def _per_idle(self) -> int:
        return self.scale.idle // _IDLE_CUSTOMERS

    async def _idle(self) -> tuple[Sample, Sample]:
        ours, theirs = await self._customers(_IDLE_CUSTOMERS)
        for side in (ours, theirs):
            await one_at_a_time(side, self.scale.warm_up)
        ponte, plain = Sample(), Sample()
        for _ in range(_PIECES):
            ponte.add(await one_at_a_time(ours, self.scale.idle // _PIECES))
            plain.add(await one_at_a_time(theirs, self.scale.idle // _PIECES))
        return ponte, plain

    async def _loaded(self, count: int) -> tuple[Sample, Sample]:
        ours, theirs = await self._customers(count)
        found = []
        for name, side in (("Ponte", ours), ("plain Rasa", theirs)):
            say(f"{count} customers at once, {self.scale.seconds:g} s: {name}")
            await many_at_once(side, 0.5)  # everybody is known and every connection is open
            before = self.watch.seconds()
            sample = await many_at_once(side, self.scale.seconds)
            used = processor.spent(before, self.watch.seconds())
            turns = max(1, len(sample.seconds))
            self.processor[f"{name}, {count} customers at once"] = {
                part: seconds * 1000 / turns for part, seconds in used.items()
            }
            found.append(sample)
        return found[0], found[1]

    async def _customers(self, count: int) -> tuple[Sequence[Customer], Sequence[Customer]]:
        """So many new customers of each side."""
        first = len(self.writers)
        numbers = [f"55119{80000000 + first + number}" for number in range(count)]
        ours = [PonteCustomer(self.ponte, self.sink, number) for number in numbers]
        theirs = [PlainCustomer(self.rasa, await self._conversation()) for _ in range(count)]
        self.writers += ours
        self.plain += theirs
        return ours, theirs

    async def _conversation(self) -> str:
        """A conversation for decisions of plain Rasa's turns to belong to."""
        now = SystemClock().now()
        contact_id, conversation_id = new_id(), new_id()
        async with self.db.transaction() as session:
            await session.execute(insert(Contact).values(id=contact_id, created_at=now))
            await session.execute(
                insert(Conversation).values(
                    id=conversation_id,
                    contact_id=contact_id,
                    channel="whatsapp",
                    account_id="plain",
                    address="",
                    created_at=now,
                    language_state={},
                    understanding={},
                )
            )
        return str(conversation_id)


def main(arguments: Sequence[str]) -> int:
    """Start both sides, measure, print, write; the exit code."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else Scale()
    try:
        result = asyncio.run(_measure(scale))
    except NotStartedError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    command = " ".join(["python -m benchmarks.turns", *arguments])
    now = SystemClock().now()
    report.write(STATE / "result.json", result, now=now, command=command)
    print(f"\n{now:%Y-%m-%d}, {os.cpu_count()} CPUs, `{command}`:\n")
    print(report.markdown(result))
    for problem in result.problems:
        print(f"bench: {problem}", file=sys.stderr)
    turns = sum(len(ponte.seconds) for ponte, _ in result.loads.values())
    if not result.problems:
        print(f"\nevery message of {turns} measured turns of Ponte got exactly one answer")
    return 1 if result.problems else 0


async def _measure(scale: Scale) -> report.Result:
    sink = MetaSink()
    graph_url = await sink.start()
    say("starting Ponte (the model is trained first when it is not current)")
    ponte = await asyncio.to_thread(start_ponte, graph_url=graph_url)
    try:
        say("starting plain Rasa: same model, same actions, stock everything else")
        rasa = await asyncio.to_thread(start_plain_rasa, ponte)
        db = Database(make_engine(ponte.addresses["PONTE_DATABASE_URL"], pool_size=1))
        try:
            say(f"one message at a time, {scale.idle} turns of each side")
            watch = Watch(
                {**ponte.pids, "plain Rasa": rasa.process.pid, "this program": os.getpid()}
            )
            return await Bench(ponte, rasa, sink, db, scale, watch).run()
        finally:
            await db.close()
            rasa.stop()
    finally:
        ponte.stop()
        await sink.close()


def say(text: str) -> None:
    """Progress, for the person who waits."""
    print(f"[bench] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.turns",
        description="Measure Ponte beside plain Rasa with the same model and actions.",
        epilog="example: python -m benchmarks.turns --quick",
    )
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
