from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.jobs import JobName
from notifications.domain.suspects import MAX_LOST_WORKERS
from notifications.services.claims import LEASE, Claims
from notifications.services.deliver import CLAIM_HOLDS, SEND_DEADLINE
from notifications.services.freeing import Freeing
from notifications.services.ports import Accepted, Passage
from tests.notifications.conftest import Failing, FakeSender, World

EMAIL, WHATSAPP = JobName.SEND_EMAIL, JobName.SEND_WHATSAPP


async def take(world: World, notification_id: Any) -> Any:
    claims = Claims(world.db, world.give_up)
    taken = await claims.take([notification_id], EMAIL, now=world.clock.now(), worker=None)
    return taken[0] if taken else None


async def free(world: World) -> int:
    return await Freeing(world.db, world.give_up).run(now=world.clock.now())


async def test_a_notice_is_sent_and_recorded(world: World, fake_sender: type[FakeSender]) -> None:
    sender = fake_sender()
    notification_id = await world.make_notification()

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    row = await world.notification(notification_id)
    assert (row.state, row.provider_id, row.attempts) == ("sent", "id-1", 1)
    assert row.finished_at == world.clock.now()
    assert row.lease_until is None


async def test_a_repeated_job_sends_nothing_more(
    world: World, fake_sender: type[FakeSender]
) -> None:
    sender = fake_sender()
    notification_id = await world.make_notification()
    deliverer = world.deliverer(sender)

    await deliverer.deliver(notification_id, EMAIL)
    await deliverer.deliver(notification_id, EMAIL)

    assert len(sender.sent) == 1


async def test_two_workers_at_once_send_once(world: World, fake_sender: type[FakeSender]) -> None:
    sender = fake_sender()
    notification_id = await world.make_notification()
    deliverer = world.deliverer(sender)

    await asyncio.gather(*(deliverer.deliver(notification_id, EMAIL) for _ in range(6)))

    assert len(sender.sent) == 1
    assert (await world.notification(notification_id)).attempts == 1


async def test_a_worker_that_died_after_its_claim_is_replaced_when_the_lease_is_over(
    world: World, fake_sender: type[FakeSender]
) -> None:
    sender = fake_sender()
    notification_id = await world.make_notification()
    dead = await take(world, notification_id)

    world.clock.advance(LEASE - timedelta(seconds=1))
    await free(world)
    await world.deliverer(sender).deliver(notification_id, EMAIL)
    assert sender.sent == []

    world.clock.advance(timedelta(seconds=1))
    await free(world)
    await world.deliverer(sender).deliver(notification_id, EMAIL)
    assert [(one.notification_id, one.attempt) for one in sender.sent] == [
        (dead.notification_id, 2)
    ]
    assert (await world.notification(notification_id)).state == "sent"


@pytest.mark.parametrize("job_name", [EMAIL, WHATSAPP])
async def test_a_worker_that_slept_past_its_lease_does_not_send_what_another_has_sent(
    world: World, fake_sender: type[FakeSender], job_name: Any
) -> None:
    """It claimed, was stopped before its request left, and goes on when others have it."""
    sleeper, other = fake_sender(), fake_sender()
    notification_id = await world.make_notification(job_name)

    class StandsStill(OpenGate):
        async def admit(self, *_: Any) -> Any:
            world.clock.advance(LEASE)
            await free(world)
            world.clock.advance(timedelta(minutes=1))
            await world.deliverer(other, job_name).deliver(notification_id, job_name)
            return [Passage(allowed=True)]

    await world.deliverer(sleeper, job_name, gate=StandsStill()).deliver(notification_id, job_name)

    assert (len(sleeper.sent), len(other.sent)) == (0, 1)
    assert (await world.notification(notification_id)).state == "sent"


def test_a_send_that_begins_in_time_ends_before_its_lease() -> None:
    assert timedelta() < CLAIM_HOLDS < LEASE - SEND_DEADLINE


@pytest.mark.parametrize("seconds", [19, 20, -3600])
async def test_a_claim_that_is_old_is_given_back_and_spends_no_attempt(
    world: World, fake_sender: type[FakeSender], seconds: Any
) -> None:
    sender = fake_sender()
    notification_id = await world.make_notification()

    class Slow(OpenGate):
        async def admit(self, *_: Any) -> Any:
            world.clock.advance(timedelta(seconds=seconds))
            return [Passage(allowed=True)]

    await world.deliverer(sender, gate=Slow()).deliver(notification_id, EMAIL)

    row = await world.notification(notification_id)
    if seconds < CLAIM_HOLDS.total_seconds():
        assert (len(sender.sent), row.state) == (1, "sent")
    else:
        assert (sender.sent, row.state, row.attempts, row.deferrals) == ([], "pending", 0, 1)


async def test_a_question_that_is_not_answered_says_nothing_about_sending(
    world: World, fake_sender: type[FakeSender]
) -> None:
    """Twilio's list may be down, or closed to our key, while it takes messages as ever."""
    sms = JobName.SEND_SMS
    unknown = await world.make_notification(sms, state="unknown", attempts=1, recipient="+551190")
    fresh = await world.make_notification(sms, recipient="+551191")
    sender = fake_sender()
    seen: list[Any] = []
    told: list[Any] = []

    class Noting(OpenGate):
        async def admit(self, job_name: Any, recipients: Any) -> Any:
            seen.extend(recipients)
            return [Passage(allowed=True)] * len(recipients)

        async def report(self, job_name: Any, outcomes: Any) -> None:
            told.extend(outcomes)

    class Closed:
        async def look_up(self, outgoing: Any, *, now: Any) -> Any:
            raise SendFailedError(Failure(FailureKind.STOP_CHANNEL, "20003", 403))

    options = {"gate": Noting(), "reconcilers": {sms: Closed()}}
    await world.deliverer(sender, sms, **options).deliver_many([unknown, fresh], sms)

    assert seen == ["+551191", "+551190"]  # whichever is the probe, it sends
    assert [(one.recipient, one.failure) for one in told] == [("+551191", None)]
    assert (await world.notification(unknown)).state == "unknown"
    assert (await world.notification(fresh)).state == "sent"


class OpenGate:
    """Lets everything pass."""

    async def report(self, job_name: Any, outcomes: Any) -> None:
        """Forgotten."""

    async def closed_for(self, job_names: Any) -> Any:
        return {}


async def test_a_notice_that_kills_every_worker_is_given_up(world: World) -> None:
    notification_id = await world.make_notification()
    for _ in range(MAX_LOST_WORKERS):
        assert await take(world, notification_id) is not None
        world.clock.advance(LEASE)
        await free(world)

    assert await take(world, notification_id) is None

    row = await world.notification(notification_id)
    assert (row.state, row.error["code"]) == ("failed", "worker_lost")
    assert row.error["gave_up"] == "poison"


async def test_nothing_is_claimed_that_is_unknown_or_not_due(world: World) -> None:
    later = await world.make_notification(next_attempt_at=world.clock.now() + timedelta(seconds=1))

    assert await take(world, later) is None
    assert await take(world, later.__class__(int=0)) is None


@pytest.mark.parametrize(
    ("kind", "state", "seconds"),
    [
        (FailureKind.TRANSIENT, "pending", 5),
        (FailureKind.RATE_LIMITED, "pending", 5),
        (FailureKind.STOP_CHANNEL, "pending", 120),
        (FailureKind.UNKNOWN, "unknown", 5),
    ],
)
async def test_a_failed_attempt_waits_for_its_time(  # noqa: PLR0917 - a table's columns
    world: World,
    fake_sender: type[FakeSender],
    failing: Failing,
    kind: Any,
    state: Any,
    seconds: Any,
) -> None:
    sender = fake_sender(failing(kind, "x", 503))
    notification_id = await world.make_notification()
    deliverer = world.deliverer(sender)

    await deliverer.deliver(notification_id, EMAIL)

    row = await world.notification(notification_id)
    assert row.state == state
    assert row.next_attempt_at == world.clock.now() + timedelta(seconds=seconds)
    assert row.error == {
        "kind": kind.value,
        "code": "x",
        "http_status": 503,
        "detail": "",
        "job_name": "send-email",
        "attempt": 1,
        "failed_at": world.clock.now().isoformat(),
        "gave_up": None,
    }

    world.clock.advance(timedelta(seconds=seconds))
    await deliverer.deliver(notification_id, EMAIL)
    row = await world.notification(notification_id)
    spent = 1 if kind in {FailureKind.RATE_LIMITED, FailureKind.STOP_CHANNEL} else 2
    assert (row.state, row.attempts, row.error) == ("sent", spent, None)
    assert row.attempts + row.deferrals == 2


async def test_a_whatsapp_of_unknown_outcome_waits_for_its_status(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification(WHATSAPP, recipient="+5511912345678")
    sender = fake_sender(failing(FailureKind.UNKNOWN, "no_answer"))
    deliverer = world.deliverer(sender, WHATSAPP)

    await deliverer.deliver(notification_id, WHATSAPP)
    world.clock.advance(timedelta(seconds=44))
    await deliverer.deliver(notification_id, WHATSAPP)
    assert len(sender.sent) == 1

    world.clock.advance(timedelta(seconds=1))
    await deliverer.deliver(notification_id, WHATSAPP)
    assert len(sender.sent) == 2


async def test_a_permanent_failure_is_kept_and_told_to_the_admin_by_other_ways(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification()
    sender = fake_sender(failing(FailureKind.PERMANENT, "smtp_550_5.1.1"))

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    failed, *notices = await world.notifications()
    assert (failed.state, failed.error["gave_up"]) == ("failed", "permanent")
    assert [(row.event, row.recipient) for row in notices] == [
        ("notification-failed", "chefe@example.com"),
        ("notification-failed", "+5511912345678"),
    ]
    assert notices[0].context["failed_code"] == "smtp_550_5.1.1"
    assert notices[0].context["failed_channel"] == "email"


async def test_the_admin_is_not_told_by_the_way_that_failed(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification(WHATSAPP, recipient="+5511912345678")
    sender = fake_sender(failing(FailureKind.PERMANENT, "131047"))

    await world.deliverer(sender, WHATSAPP).deliver(notification_id, WHATSAPP)

    _, *notices = await world.notifications()
    assert [row.recipient for row in notices] == ["chefe@example.com"]


async def test_a_failed_notice_about_a_failure_causes_no_further_one(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification(event="notification-failed")
    sender = fake_sender(failing(FailureKind.PERMANENT, "smtp_550"))

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    assert len(await world.notifications()) == 1


async def test_the_last_attempt_gives_up(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification(attempts=11)
    sender = fake_sender(failing(FailureKind.TRANSIENT, "smtp_451"))

    await world.deliverer(sender).deliver(notification_id, EMAIL)

    row = await world.notification(notification_id)
    assert (row.state, row.error["gave_up"]) == ("failed", "attempts_exhausted")


async def test_a_job_without_a_sender_fails_and_says_so(world: World) -> None:
    notification_id = await world.make_notification(JobName.SEND_SMS)

    await world.deliverer(None).deliver(notification_id, JobName.SEND_SMS)

    row = await world.notification(notification_id)
    assert (row.state, row.error["code"]) == ("failed", "no_sender")


async def test_a_broken_sender_is_recorded_and_tried_again(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification()

    await world.deliverer(fake_sender(KeyError("x"))).deliver(notification_id, EMAIL)

    row = await world.notification(notification_id)
    assert (row.state, row.error["code"], row.error["detail"]) == (
        "unknown",  # it may have broken after the provider took it
        "internal_error",
        "KeyError",
    )


async def test_a_late_failure_of_a_lost_worker_changes_nothing(
    world: World, fake_sender: type[FakeSender], failing: Failing
) -> None:
    notification_id = await world.make_notification()
    deliverer = world.deliverer(fake_sender())
    lost = await take(world, notification_id)
    world.clock.advance(LEASE)
    await free(world)
    assert await take(world, notification_id) is not None

    await deliverer.record(lost, EMAIL, failing(FailureKind.PERMANENT, "x").failure)

    row = await world.notification(notification_id)
    assert (row.state, row.attempts) == ("sending", 2)


async def test_a_late_success_of_a_lost_worker_counts(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification()
    deliverer = world.deliverer(fake_sender())
    lost = await take(world, notification_id)
    world.clock.advance(LEASE)

    await deliverer.record(lost, EMAIL, Accepted("late"))

    row = await world.notification(notification_id)
    assert (row.state, row.provider_id) == ("sent", "late")


async def test_a_result_is_recorded_when_the_database_comes_back(
    world: World, fake_sender: type[FakeSender]
) -> None:
    notification_id = await world.make_notification()
    sender = fake_sender()
    real = world.deliverer(sender)
    flaky = FlakyDatabase(world.db, fail_on={2, 3})
    deliverer = type(real)(
        db=flaky,
        clock=real.clock,
        senders=real.senders,
        give_up=real.give_up,
        jitter=real.jitter,
        record_pauses=(0.0, 0.0),
    )

    await deliverer.deliver(notification_id, EMAIL)

    assert (await world.notification(notification_id)).state == "sent"
    assert len(sender.sent) == 1


class FlakyDatabase:
    """A database whose nth transactions fail."""

    def __init__(self, db: Any, *, fail_on: Any) -> None:
        self._db = db
        self._fail_on = fail_on
        self._count = 0

    def transaction(self) -> Any:
        self._count += 1
        if self._count in self._fail_on:
            statement = "SELECT 1"
            raise OperationalError(statement, {}, ConnectionError())
        return self._db.transaction()
