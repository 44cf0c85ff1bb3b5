"""Many at once: claimed together, sent beside each other, recorded in groups."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from notifications.domain.failure import Consequence, FailureKind
from notifications.domain.jobs import Channel, JobName
from notifications.domain.retry import MAX_DEFERRALS
from notifications.services.addresses import note, opt_out
from notifications.services.claims import Claims
from notifications.services.ports import Accepted, Outcome, Passage
from notifications.services.sweep import Sweep
from tests.notifications.conftest import Failing, FakeSender, World
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter, RecipientAddress

EMAIL, WHATSAPP, SMS = JobName.SEND_EMAIL, JobName.SEND_WHATSAPP, JobName.SEND_SMS
MINUTE = timedelta(minutes=1)
SHUT = Passage(allowed=False, wait=MINUTE, reason="breaker_open")


class FakeGate:
    """Answers as it is told; remembers what it was told."""

    def __init__(self, *passages: Passage) -> None:
        self.passages = list(passages)
        self.asked: list[int] = []
        self.told: list[Outcome] = []
        self.closed: dict[JobName, timedelta] = {}

    async def admit(self, job_name: JobName, recipients: Sequence[str]) -> Sequence[Passage]:
        self.asked.append(len(recipients))
        return [
            self.passages.pop(0) if self.passages else Passage(allowed=True) for _ in recipients
        ]

    async def report(self, job_name: JobName, outcomes: Sequence[Outcome]) -> None:
        self.told.extend(outcomes)

    async def closed_for(self, job_names: Sequence[JobName]) -> Mapping[JobName, timedelta]:
        return self.closed


class Counting(Database):
    """A database that counts its transactions."""

    def __init__(self, db: Database) -> None:
        self._real = db
        self.count = 0

    def transaction(self) -> Any:
        self.count += 1
        return self._real.transaction()


class Crowd:
    """A sender that lets a test see how many it has at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def send(self, outgoing: Any, *, now: Any) -> Accepted:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return Accepted(str(outgoing.notification_id))


async def make_many(world: World, count: int, **values: Any) -> list[uuid.UUID]:
    return [await world.make_notification(**values) for _ in range(count)]


async def states(world: World) -> list[str]:
    return [row.state for row in await world.notifications()]


async def dead_letters(world: World) -> list[DeadLetter]:
    async with world.db.transaction() as session:
        return list(await session.scalars(select(DeadLetter)))


async def test_a_batch_is_claimed_sent_and_recorded_in_few_transactions(
    world: World, fake_sender: type[FakeSender]
) -> None:
    ids = await make_many(world, 40)
    sender, db = fake_sender(), Counting(world.db)

    await world.deliverer(sender, db=db, concurrency={EMAIL: 100}).deliver_many(ids, EMAIL)

    assert await states(world) == ["sent"] * 40
    assert {one.notification_id for one in sender.sent} == set(ids)
    assert db.count == 2  # one claim, one record


async def test_batches_that_overlap_send_each_once(
    world: World, fake_sender: type[FakeSender]
) -> None:
    ids = await make_many(world, 30)
    sender = fake_sender()
    deliverer, other = world.deliverer(sender), world.deliverer(sender)

    await asyncio.gather(
        deliverer.deliver_many(ids, EMAIL),
        other.deliver_many(ids[::-1], EMAIL),
        deliverer.deliver_many(ids[10:20] * 2, EMAIL),
    )

    assert len(sender.sent) == 30
    assert await states(world) == ["sent"] * 30


async def test_no_more_are_claimed_than_may_be_sent_at_once(world: World) -> None:
    ids = await make_many(world, 25)
    crowd = Crowd()
    deliverer = world.deliverer(crowd, concurrency={EMAIL: 4})

    await asyncio.gather(
        deliverer.deliver_many(ids[:20], EMAIL), deliverer.deliver_many(ids[20:], EMAIL)
    )

    assert crowd.most == 4
    assert await states(world) == ["sent"] * 25


async def test_a_slow_channel_does_not_hold_up_another(world: World) -> None:
    release = asyncio.Event()

    class Hangs:
        async def send(self, outgoing: Any, *, now: Any) -> Accepted:
            await release.wait()
            return Accepted("late")

    emails = await make_many(world, 6)
    whatsapp = await world.make_notification(WHATSAPP)
    deliverer = world.deliverer(
        None, senders={EMAIL: Hangs(), WHATSAPP: FakeSender()}, concurrency={EMAIL: 2, WHATSAPP: 2}
    )
    hanging = asyncio.create_task(deliverer.deliver_many(emails, EMAIL))

    async with asyncio.timeout(5):
        await deliverer.deliver(whatsapp, WHATSAPP)

    assert (await world.notification(whatsapp)).state == "sent"
    release.set()
    await hanging


async def test_good_and_bad_ends_of_one_batch_are_each_recorded(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    ids = await make_many(world, 4)
    sender = fake_sender(
        Accepted("x"),
        failing(FailureKind.TRANSIENT, "smtp_451"),
        failing(FailureKind.PERMANENT, "smtp_550"),
        failing(FailureKind.RATE_LIMITED, "429", 429),
    )

    await world.deliverer(sender).deliver_many(ids, EMAIL)

    by_id = {one.notification_id: number for number, one in enumerate(sender.sent)}
    rows = {by_id[row.id]: row for row in await world.notifications() if row.id in by_id}
    found = [(rows[n].state, rows[n].attempts, rows[n].deferrals) for n in range(4)]
    assert found == [("sent", 1, 0), ("pending", 1, 0), ("failed", 1, 0), ("pending", 0, 1)]
    assert [entry.reason for entry in await dead_letters(world)] == ["permanent"]


async def test_a_text_that_the_database_refuses_hurts_no_other(
    world: World, fake_sender: type[FakeSender]
) -> None:
    ids = await make_many(world, 3)
    sender = fake_sender(Accepted("nul \x00 here"), Accepted("\ud800"), Accepted("fine"))

    await world.deliverer(sender).deliver_many(ids, EMAIL)

    assert await states(world) == ["sent"] * 3


async def test_a_job_by_the_wrong_name_claims_nothing(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification(EMAIL)
    sender = fake_sender()

    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)

    assert sender.sent == []
    assert (await world.notification(notification_id)).attempts == 0


# --- the gate ------------------------------------------------------------------------------------


async def test_what_the_gate_turns_back_waits_and_spends_no_attempt(
    world: World, fake_sender: type[FakeSender]
) -> None:
    ids = await make_many(world, 3)
    gate = FakeGate(Passage(allowed=True, probe=True), SHUT, SHUT)
    sender = fake_sender()

    await world.deliverer(sender, gate=gate).deliver_many(ids, EMAIL)

    assert gate.asked == [3]
    assert len(sender.sent) == 1
    assert [outcome.probe for outcome in gate.told] == [True]
    waiting = [row for row in await world.notifications() if row.state == "pending"]
    assert [(row.attempts, row.deferrals, row.enqueued_at) for row in waiting] == [(0, 1, None)] * 2
    assert all(row.next_attempt_at >= world.clock.now() + MINUTE for row in waiting)


async def test_the_gate_hears_what_came_of_each_send(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    ids = await make_many(world, 2)
    gate = FakeGate()
    sender = fake_sender(Accepted("x"), failing(FailureKind.TRANSIENT, "500", 500))

    await world.deliverer(sender, gate=gate).deliver_many(ids, EMAIL)

    assert [outcome.failure and outcome.failure.code for outcome in gate.told] == [None, "500"]


async def test_after_a_closed_breaker_the_rest_of_the_queue_is_not_even_claimed(
    world: World, fake_sender: type[FakeSender]
) -> None:
    first, second = await make_many(world, 2, enqueued_at=world.clock.now())
    gate = FakeGate(SHUT)
    deliverer = world.deliverer(fake_sender(), gate=gate)

    await deliverer.deliver(first, EMAIL)
    await deliverer.deliver(second, EMAIL)

    row = await world.notification(second)
    assert (row.state, row.deferrals, row.enqueued_at) == ("pending", 0, None)
    assert gate.asked == [1]


async def test_one_recipient_that_is_slowed_does_not_stop_the_others(
    world: World, fake_sender: type[FakeSender]
) -> None:
    slowed = Passage(allowed=False, wait=MINUTE, reason="recipient_slowed")
    first, second = await make_many(world, 2)
    deliverer = world.deliverer(fake_sender(), gate=FakeGate(slowed))

    await deliverer.deliver(first, EMAIL)
    await deliverer.deliver(second, EMAIL)

    assert (await world.notification(second)).state == "sent"


async def test_a_notice_is_not_put_off_for_ever(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification(deferrals=MAX_DEFERRALS)

    await world.deliverer(fake_sender(), gate=FakeGate(SHUT)).deliver(notification_id, EMAIL)

    assert (await world.notification(notification_id)).state == "failed"
    assert [entry.error_code for entry in await dead_letters(world)] == ["breaker_open"]


async def test_a_put_off_repeat_stays_unknown(world: World, fake_sender: type[FakeSender]) -> None:
    notification_id = await world.make_notification(WHATSAPP, state="unknown", attempts=1)
    deliverer = world.deliverer(fake_sender(), WHATSAPP, gate=FakeGate(SHUT))

    await deliverer.deliver(notification_id, WHATSAPP)

    row = await world.notification(notification_id)
    assert (row.state, row.attempts, row.deferrals) == ("unknown", 1, 1)


async def test_the_sweep_leaves_a_closed_job_name_alone_and_comes_back_with_care(
    world: World,
) -> None:
    await make_many(world, 35)
    whatsapp = await world.make_notification(WHATSAPP)
    gate = FakeGate()
    gate.closed = {EMAIL: MINUTE}
    sweep = Sweep(world.db, world.queue, gate)

    counts = [await sweep.run(now=world.clock.now())]
    assert [job.notification_id for job in world.queue.jobs] == [whatsapp]
    gate.closed = {}
    counts += [await sweep.run(now=world.clock.now()) for _ in range(3)]

    assert counts == [1, 10, 20, 5]


# --- what may not be sent ------------------------------------------------------------------------


async def test_what_is_expired_at_its_claim_is_given_up_and_not_sent(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification(expires_at=world.clock.now())
    sender = fake_sender()

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    assert sender.sent == []
    assert [entry.reason for entry in await dead_letters(world)] == ["expired"]


async def test_a_retry_that_would_come_too_late_is_given_up_now(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    soon = world.clock.now() + timedelta(seconds=4)
    notification_id = await world.make_notification(expires_at=soon)
    sender = fake_sender(failing(FailureKind.TRANSIENT, "smtp_451"))

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    (entry,) = await dead_letters(world)
    assert (entry.reason, entry.error_code) == ("expired", "smtp_451")


@pytest.mark.parametrize(
    ("refused", "written"),
    [
        ("ana@example.com", "ana@example.com"),
        ("ana@example.com", "ANA@Example.com"),
        ("ANA@Example.com", "ana@example.com"),
        ("ana@example.com", "\u00a0 ana@example.com\n"),
        ("\u00e1na@example.com", "\u00c1NA@example.com"),
        ("\u0130@example.com", "\u0130@example.com"),
    ],
)
async def test_a_recipient_that_refuses_gets_nothing_however_the_address_is_spelt(
    world: World, fake_sender: type[FakeSender], refused: str, written: str
) -> None:
    notification_id = await world.make_notification(recipient=written)
    async with world.db.transaction() as session:
        await opt_out(session, Channel.EMAIL, refused, code="stop", now=world.clock.now())
    sender = fake_sender()

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    assert sender.sent == []
    (entry,) = await dead_letters(world)
    assert (entry.reason, entry.error_code) == ("recipient_refuses", "opted_out")


async def test_sends_teach_what_is_known_of_an_address(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    gone = await world.make_notification(recipient="gone@example.com")
    good = await world.make_notification(recipient="good@example.com")
    strike = failing(FailureKind.PERMANENT, "x", consequence=Consequence.STRIKE_RECIPIENT).failure
    async with world.db.transaction() as session:
        await note(session, Channel.EMAIL, "good@example.com", strike, now=world.clock.now())
    refused = failing(
        FailureKind.PERMANENT, "smtp_550_5.1.1", consequence=Consequence.DISABLE_RECIPIENT
    )

    await world.deliverer(fake_sender(refused)).deliver(gone, EMAIL)
    await world.deliverer(fake_sender()).deliver(good, EMAIL)

    async with world.db.transaction() as session:
        known = list(await session.scalars(select(RecipientAddress)))
    assert [(one.address, one.state) for one in known] == [("gone@example.com", "disabled")]


# --- unknown outcomes ----------------------------------------------------------------------------


class FakeReconciler:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    async def look_up(self, outgoing: Any, *, now: Any) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def unknown_sms(world: World, **values: Any) -> uuid.UUID:
    return await world.make_notification(
        SMS, state="unknown", attempts=1, recipient="+5511912345678", **values
    )


async def test_before_an_sms_is_repeated_the_provider_is_asked(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await unknown_sms(world)
    sender, asked = fake_sender(), FakeReconciler(Accepted("SM1"))

    await world.deliverer(sender, SMS, reconcilers={SMS: asked}).deliver(notification_id, SMS)

    row = await world.notification(notification_id)
    assert (row.state, row.provider_id, sender.sent) == ("sent", "SM1", [])


@pytest.mark.parametrize(
    ("guarantee", "sent", "state"), [("at-least-once", 1, "sent"), ("at-most-once", 0, "failed")]
)
async def test_an_sms_that_the_provider_does_not_know_is_repeated_if_it_may(
    world: World, fake_sender: type[FakeSender], guarantee: Any, sent: Any, state: Any
) -> None:
    notification_id = await unknown_sms(world, guarantee=guarantee)
    sender = fake_sender()
    deliverer = world.deliverer(sender, SMS, reconcilers={SMS: FakeReconciler(None)})

    await deliverer.deliver(notification_id, SMS)

    assert len(sender.sent) == sent
    assert (await world.notification(notification_id)).state == state


async def test_an_sms_stays_unknown_while_the_provider_cannot_be_asked(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await unknown_sms(world)
    away = FakeReconciler(failing(FailureKind.TRANSIENT, "http_503", 503))
    sender = fake_sender()

    await world.deliverer(sender, SMS, reconcilers={SMS: away}).deliver(notification_id, SMS)

    row = await world.notification(notification_id)
    assert (row.state, sender.sent) == ("unknown", [])
    assert row.next_attempt_at == world.clock.now() + timedelta(seconds=45)


async def test_a_fresh_sms_is_sent_without_asking(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification(SMS)
    asked = FakeReconciler(None)

    await world.deliverer(fake_sender(), SMS, reconcilers={SMS: asked}).deliver(
        notification_id, SMS
    )

    assert asked.asked == 0


async def test_at_most_once_is_never_repeated_whatever_the_provider_does(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification(guarantee="at-most-once")
    sender = fake_sender(failing(FailureKind.UNKNOWN, "no_answer"))
    deliverer = world.deliverer(sender)

    for _ in range(5):
        await deliverer.deliver(notification_id, EMAIL)
        world.clock.advance(MINUTE)

    assert len(sender.sent) == 1
    assert [entry.reason for entry in await dead_letters(world)] == ["unknown_outcome"]


# --- digests -------------------------------------------------------------------------------------


async def test_what_is_told_in_anothers_words_shares_its_end_and_is_never_claimed(
    world: World, fake_sender: type[FakeSender]
) -> None:
    leader = await world.make_notification()
    follower = await world.make_notification(digest_id=leader)
    sender = fake_sender()
    deliverer = world.deliverer(sender)

    await deliverer.deliver(follower, EMAIL)
    assert sender.sent == []
    await deliverer.deliver_many([leader, follower], EMAIL)

    assert len(sender.sent) == 1
    assert (await world.notification(follower)).state == "sent"


async def test_followers_of_a_leader_that_is_given_up_become_dead_letters_of_their_own(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    leader = await world.make_notification()
    follower = await world.make_notification(digest_id=leader)
    sender = fake_sender(failing(FailureKind.PERMANENT, "smtp_550"))

    await world.deliverer(sender).deliver(leader, EMAIL)

    row = await world.notification(follower)
    assert (row.state, row.digest_id) == ("failed", None)
    assert {entry.notification_id for entry in await dead_letters(world)} == {leader, follower}


# --- fences --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"reprocess_count": 1, "attempts": 0},
        {"attempts": 2},
        {"attempts": 0, "deferrals": 2},
        {"state": "pending"},
        {"state": "sent"},
    ],
)
async def test_a_failure_of_an_earlier_claim_changes_nothing(
    world: World, failing: Failing, changes: Any
) -> None:
    notification_id = await world.make_notification()
    claims = Claims(world.db, world.give_up)
    (old,) = await claims.take([notification_id], EMAIL, now=world.clock.now(), worker=None)
    async with world.db.transaction() as session:
        row = await session.get_one(
            type(await world.notification(notification_id)), old.notification_id
        )
        for name, value in changes.items():
            setattr(row, name, value)
    before = await world.notification(notification_id)

    deliverer = world.deliverer(None)
    for kind in (FailureKind.TRANSIENT, FailureKind.PERMANENT):
        await deliverer.record(old, EMAIL, failing(kind, "old").failure)

    after = await world.notification(notification_id)
    assert (after.state, after.attempts, after.error) == (before.state, before.attempts, None)
    assert await dead_letters(world) == []


async def test_a_success_of_a_reprocessed_notice_closes_its_dead_letter(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification()
    refused = failing(FailureKind.PERMANENT, "smtp_550")
    await world.deliverer(fake_sender(refused)).deliver(notification_id, EMAIL)
    async with world.db.transaction() as session:
        row = await session.get_one(
            type(await world.notification(notification_id)), notification_id
        )
        row.state, row.attempts, row.reprocess_count = "pending", 0, 1
        row.next_attempt_at = world.clock.now()

    await world.deliverer(fake_sender()).deliver(notification_id, EMAIL)

    assert (await world.notification(notification_id)).state == "sent"
    assert [entry.state for entry in await dead_letters(world)] == ["recovered"]


async def test_whoever_stops_leaves_what_it_has_not_claimed_to_the_sweep(
    world: World, fake_sender: type[FakeSender]
) -> None:
    ids = await make_many(world, 3, enqueued_at=world.clock.now())
    sender = fake_sender()
    deliverer = world.deliverer(sender)
    deliverer.begin_stop()

    await deliverer.deliver_many(ids, EMAIL)

    assert sender.sent == []
    assert [row.enqueued_at for row in await world.notifications()] == [None] * 3
