"""Whatever dies, answers late or is reprocessed, in any order: nothing is lost or said twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kit.clock import FakeClock
from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import JobName
from notifications.services.claims import Claims
from notifications.services.freeing import Freeing
from notifications.services.ports import Accepted, Outgoing, Passage
from notifications.services.results import turned_back
from notifications.services.statuses import apply_notice_status
from notifications.services.worker_presence import Attendance
from tests.conftest import empty_all_tables
from tests.notifications.conftest import World
from ticketing.db.engine import Database, make_engine
from ticketing.db.notification_tables import DeadLetter, Notification
from ticketing.domain.enums import DeliveryState

KEY = 11
FINAL = {"sent", "delivered", "read", "failed"}
ANSWERS: dict[str, Failure | None] = {
    "accepted": None,
    "transient": Failure(FailureKind.TRANSIENT, "500", 500),
    "limited": Failure(FailureKind.RATE_LIMITED, "429", 429),
    "pair": Failure(FailureKind.RATE_LIMITED, "131056", consequence=Consequence.SLOW_RECIPIENT),
    "permanent": Failure(FailureKind.PERMANENT, "400", 400),
    "stopped": Failure(FailureKind.STOP_CHANNEL, "190", 401),
    "taken_unknown": Failure(FailureKind.UNKNOWN, "no_answer"),
    "lost_unknown": Failure(FailureKind.UNKNOWN, "no_answer"),
}
STEPS = st.one_of(
    st.just(("claim", "")),
    st.tuples(st.just("answer"), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("die"), st.sampled_from(["before", "after"])),
    st.tuples(st.just("late"), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("status"), st.sampled_from(["delivered", "failed"])),
    st.tuples(st.just("wait"), st.sampled_from(["1", "50", "900"])),
    st.just(("put_off", "")),
    st.just(("reprocess", "")),
)


class Everybody(Attendance):
    """Every worker is gone."""

    async def gone(self, session: Any, *, now: Any) -> frozenset[int]:
        return frozenset({KEY})


@dataclass(slots=True)
class Play:
    """One notice, its workers and a provider that remembers what it took."""

    world: World
    job_name: JobName
    notification_id: uuid.UUID
    once: bool
    claims: list[Outgoing] = field(default_factory=list)
    dead: list[Outgoing] = field(default_factory=list)
    maybe: bool = False
    """Something may have been taken, as far as anybody but the provider knows."""
    taken: int = 0
    fence: tuple[int, int] = (0, 0)

    async def step(self, what: str, how: str) -> None:
        match what:
            case "claim":
                await self.claim()
            case "answer" if self.claims:
                await self.answer(self.claims.pop(), how)
            case "late" if self.dead:
                await self.answer(self.dead.pop(), how)
            case "die" if self.claims:
                self.taken += how == "after"
                self.maybe = True
                self.dead += self.claims
                self.claims = []
                await Freeing(self.world.db, self.world.give_up, Everybody()).run(
                    now=self.world.clock.now()
                )
            case "status" if self.taken:
                await self.status(how)
            case "wait":
                self.world.clock.advance(timedelta(seconds=int(how)))
            case "put_off" if self.claims:
                await self.put_off(self.claims.pop())
            case "reprocess":
                await self.reprocess()

    async def claim(self) -> None:
        taker = Claims(self.world.db, self.world.give_up)
        now = self.world.clock.now()
        for one in await taker.take([self.notification_id], self.job_name, now=now, worker=KEY):
            fence = (one.life, one.fence)
            assert fence > self.fence, "two claims cannot be told apart"
            self.fence = fence
            assert not (self.once and self.maybe), "sent again although it may have been taken"
            self.claims.append(one)

    async def answer(self, outgoing: Outgoing, how: str) -> None:
        failure = ANSWERS[how]
        self.taken += how in {"accepted", "taken_unknown"}
        self.maybe = self.maybe or how in {"accepted", "taken_unknown", "lost_unknown"}
        result = Accepted(f"p-{self.taken}") if failure is None else failure
        await self.world.deliverer(None).record(outgoing, self.job_name, result)

    async def put_off(self, outgoing: Outgoing) -> None:
        """The gate turned it back: nothing was sent."""
        passage = Passage(allowed=False, wait=timedelta(seconds=5), reason="breaker_open")
        now = self.world.clock.now()
        later = turned_back(outgoing, self.job_name, passage, now=now, jitter=0.5)
        results = self.world.deliverer(None)._results
        async with self.world.db.transaction() as session:
            await results.put_off(session, [later], now=now)

    async def status(self, how: str) -> None:
        failed = how == "failed"
        async with self.world.db.transaction() as session:
            await apply_notice_status(
                session,
                self.notification_id,
                reached=None if failed else DeliveryState.DELIVERED,
                failure=Failure(FailureKind.PERMANENT, "131026") if failed else None,
                provider_id=f"p-{self.taken}",
                now=self.world.clock.now(),
                give_up=self.world.give_up,
            )

    async def reprocess(self) -> None:
        """As an operator does with a dead letter."""
        async with self.world.db.transaction() as session:
            row = await session.get_one(Notification, self.notification_id, with_for_update=True)
            if row.state != "failed":
                return
            row.state, row.attempts, row.deferrals, row.lost_workers = "pending", 0, 0, 0
            row.reprocess_count += 1
            row.next_attempt_at = self.world.clock.now()
            entry = await session.scalar(
                select(DeadLetter).where(DeadLetter.notification_id == row.id)
            )
            assert entry is not None
            entry.state = "reprocessing"
            self.maybe = False  # an operator has decided that it may go out

    async def check(self) -> Notification:
        async with self.world.db.transaction() as session:
            row = await session.get_one(Notification, self.notification_id)
            entry = await session.scalar(
                select(DeadLetter).where(DeadLetter.notification_id == row.id)
            )
        if row.state == "failed":
            assert entry is not None, "given up without a dead letter"
            assert entry.state == "dead"
            assert row.error is not None
        elif entry is not None:
            assert entry.state == ("recovered" if row.state in FINAL else "reprocessing")
        if row.state in {"pending", "unknown"}:
            assert row.next_attempt_at is not None
            assert row.claimed_by is None
        if row.state in {"sent", "delivered"}:
            assert self.taken, "called sent, and nobody took it"
        return row

    async def end(self) -> None:
        """From here on everything works: it must come to an end."""
        self.dead += self.claims
        self.claims = []
        await Freeing(self.world.db, self.world.give_up, Everybody()).run(
            now=self.world.clock.now()
        )
        for _ in range(6):
            row = await self.check()
            if row.state in FINAL:
                return
            self.world.clock.advance(timedelta(hours=2))
            await self.claim()
            while self.claims:
                await self.answer(self.claims.pop(), "accepted")
        raise AssertionError((await self.check()).state)


async def _play(
    url: str, clock: FakeClock, job_name: JobName, guarantee: str, steps: Sequence[tuple[str, str]]
) -> None:
    empty_all_tables(url)
    db = Database(make_engine(url, pool_size=2))
    try:
        world = World(db, clock)
        notification_id = await world.make_notification(
            job_name, recipient="+5511912345678", guarantee=guarantee
        )
        play = Play(world, job_name, notification_id, once=guarantee == "at-most-once")
        for what, how in steps:
            await play.step(what, how)
            await play.check()
        await play.end()
    finally:
        await db.close()


def test_any_sequence_ends_with_a_notice_that_is_sent_or_a_dead_letter(
    db_url: str, clock: FakeClock
) -> None:
    @settings(max_examples=40, deadline=None)
    @given(
        job_name=st.sampled_from([JobName.SEND_EMAIL, JobName.SEND_WHATSAPP, JobName.SEND_PUSH]),
        guarantee=st.sampled_from(["at-least-once", "at-most-once"]),
        steps=st.lists(STEPS, max_size=25),
    )
    def run(job_name: JobName, guarantee: str, steps: list[tuple[str, str]]) -> None:
        asyncio.run(_play(db_url, FakeClock(clock.now()), job_name, guarantee, steps))

    run()
