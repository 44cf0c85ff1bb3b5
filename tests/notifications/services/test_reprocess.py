"""Reprocessing and discarding: bounded, spread, once whoever does it at once, and audited."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from kit.ids import new_id
from notifications.domain.failure import Failure, FailureKind
from notifications.domain.jobs import Channel, JobName
from notifications.services import addresses
from notifications.services.dead_letter_filter import DeadLetterFilter
from notifications.services.dead_letters import bury, hash_of, recovered
from notifications.services.dlq_actions import (
    ActionResult,
    end_interrupted,
    list_actions,
)
from notifications.services.ports import Outcome, Passage
from notifications.services.reprocess import DeadLetterActions
from notifications.services.reprocess_plan import (
    InvalidOptionError,
    MoreThanSeenError,
    Options,
    Preview,
)
from tests.notifications.conftest import World
from ticketing.db.audit_tables import AuditEntry
from ticketing.db.notification_tables import (
    DeadLetter,
    DlqReprocessAudit,
    DlqWebhookCall,
    Notification,
)
from ticketing.db.tables import OutboxEvent
from ticketing.domain.enums import DeadLetterState, DlqAction

ALL = DeadLetterFilter()
TRANSIENT = Failure(FailureKind.TRANSIENT, "connect", http_status=503)


class FakeGate:
    """A gate whose closed job names are set by the test."""

    def __init__(self, *closed: JobName) -> None:
        self.closed = list(closed)

    async def admit(self, job_name: JobName, recipients: Sequence[str]) -> Sequence[Passage]:
        return [Passage(job_name not in self.closed) for _ in recipients]

    async def report(self, job_name: JobName, outcomes: Sequence[Outcome]) -> None:
        return None

    async def closed_for(self, job_names: Sequence[JobName]) -> Mapping[JobName, timedelta]:
        return {name: timedelta(seconds=60) for name in job_names if name in self.closed}


class Dlq:
    """Short ways to kill notices and to act upon them."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def kill(
        self,
        job_name: JobName = JobName.SEND_EMAIL,
        *,
        failure: Failure = TRANSIENT,
        reason: str = "attempts_exhausted",
        **changes: Any,
    ) -> uuid.UUID:
        notice = await self.world.make_notification(job_name, **changes)
        await self.kill_again(notice, failure=failure, reason=reason)
        return notice

    async def kill_again(
        self, notice: uuid.UUID, *, failure: Failure = TRANSIENT, reason: str = "permanent"
    ) -> None:
        async with self.world.db.transaction() as session:
            row = await session.get_one(Notification, notice, with_for_update=True)
            row.state = "failed"
            row.finished_at = self.world.clock.now()
            row.next_attempt_at = None
            await bury(
                session,
                row,
                failure,
                reason=reason,
                origin_queue="notifications",
                now=self.world.clock.now(),
                recipient_key="k",
            )

    async def kill_many(self, count: int) -> None:
        """Many at once, without the cost of a ticket each."""
        now = self.world.clock.now()
        notices = [
            {
                "id": new_id(),
                "idempotency_key": f"key-{number}",
                "job_name": "send-email",
                "event": "ticket-opened",
                "recipient": f"a{number}@example.com",
                "context": {"ticket_number": number},
                "state": "failed",
                "attempts": 12,
                "created_at": now,
                "finished_at": now,
                "correlation_id": "c",
            }
            for number in range(count)
        ]
        entries = [
            {
                "id": new_id(),
                "notification_id": row["id"],
                "state": "dead",
                "job_name": "send-email",
                "origin_queue": "notifications",
                "event": "ticket-opened",
                "reason": "attempts_exhausted",
                "error_kind": "transient",
                "error_code": "connect",
                "detail": "",
                "attempts": 12,
                "payload": {},
                "payload_hash": "x",
                "correlation_id": "c",
                "first_failed_at": now,
                "failed_at": now,
            }
            for row in notices
        ]
        async with self.world.db.transaction() as session:
            await session.execute(insert(Notification), notices)
            await session.execute(insert(DeadLetter), entries)

    def actions(self, **changes: Any) -> DeadLetterActions:
        values: dict[str, Any] = {"max_reprocesses": 3, "recipient_key": "k"}
        return DeadLetterActions(self.world.db, self.world.clock, **(values | changes))

    async def reprocess(
        self, wanted: DeadLetterFilter = ALL, *, actor: str = "cli:ana", **options: Any
    ) -> ActionResult:
        return await self.actions().run(
            DlqAction.REPROCESS, wanted, Options(**options), actor=actor
        )

    async def preview(self, wanted: DeadLetterFilter = ALL, **options: Any) -> Preview:
        return await self.actions().preview(DlqAction.REPROCESS, wanted, Options(**options))

    async def entry(self, notice: uuid.UUID) -> DeadLetter:
        async with self.world.db.transaction() as session:
            found = await session.scalars(
                select(DeadLetter).where(DeadLetter.notification_id == notice)
            )
            return found.one()

    async def audit(self) -> list[DlqReprocessAudit]:
        async with self.world.db.transaction() as session:
            return list(
                await session.scalars(select(DlqReprocessAudit).order_by(DlqReprocessAudit.id))
            )


@pytest.fixture
def dlq(world: World) -> Dlq:
    return Dlq(world)


async def test_a_reprocessed_notice_is_the_same_row_with_the_same_key_and_payload(
    dlq: Dlq, world: World
) -> None:
    notice = await dlq.kill(attempts=12, lost_workers=2, deferrals=4, context={"form": "text"})
    before = await world.notification(notice)
    old_hash = (await dlq.entry(notice)).payload_hash
    done = await dlq.reprocess()
    row = await world.notification(notice)
    assert (done.done, done.result) == (1, "done")
    assert row.idempotency_key == before.idempotency_key
    assert (row.state, row.attempts, row.reprocess_count) == ("pending", 0, 1)
    assert (row.lost_workers, row.deferrals, row.finished_at) == (0, 0, None)
    assert row.next_attempt_at == world.clock.now()
    assert hash_of(row) == old_hash
    entry = await dlq.entry(notice)
    assert (entry.state, entry.reprocess_count) == ("reprocessing", 1)
    assert entry.last_action_id == done.action_id


async def test_a_dry_run_changes_nothing_and_says_what_would_be_refused(
    dlq: Dlq, world: World
) -> None:
    await dlq.kill()
    world.clock.advance(timedelta(hours=2))
    await dlq.kill(JobName.SEND_WHATSAPP, failure=Failure(FailureKind.PERMANENT, "131026"))
    await dlq.kill(reason="expired")
    await dlq.kill(reprocess_count=3)
    await dlq.kill(event="ticket-teleported")
    preview = await dlq.preview(rate=0.5)
    assert (preview.matched, preview.looked_at, preview.would_do) == (5, 5, 2)
    assert preview.would_discard == 1
    assert preview.refused == {"expired": 1, "invalid_job": 1}
    assert "expected one of" in preview.invalid[0]
    assert preview.by_job == {"send-email": 4, "send-whatsapp": 1}
    assert preview.by_code == {"connect": 4, "131026": 1}
    assert preview.by_age == {"1h": 4, "24h": 1}
    assert preview.seconds == 2.0
    assert await dlq.audit() == []
    assert {row.state for row in await world.notifications()} == {"failed"}


async def test_the_rate_is_kept_by_times_on_the_rows(dlq: Dlq, world: World) -> None:
    notices = []
    for _ in range(3):
        notices.append(await dlq.kill())
        world.clock.advance(timedelta(seconds=1))
    done = await dlq.reprocess(rate=2.0)
    now = world.clock.now()
    rows = [await world.notification(notice) for notice in notices]
    due = [row.next_attempt_at - now for row in rows if row.next_attempt_at]
    assert due == [timedelta(), timedelta(seconds=0.5), timedelta(seconds=1)]
    assert done.last_due_at == now + timedelta(seconds=1)


async def test_the_limit_takes_the_oldest(dlq: Dlq, world: World) -> None:
    first = await dlq.kill()
    world.clock.advance(timedelta(minutes=1))
    second = await dlq.kill()
    done = await dlq.reprocess(limit=1)
    assert (done.matched, done.done) == (2, 1)
    assert (await dlq.entry(first)).state == "reprocessing"
    assert (await dlq.entry(second)).state == "dead"


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (DeadLetterFilter(job_names=("send-whatsapp",)), 1),
        (DeadLetterFilter(job_names=("send-email", "send-whatsapp")), 2),
        (DeadLetterFilter(error_codes=("131026",)), 1),
        (DeadLetterFilter(http_status=503), 1),
        (DeadLetterFilter(reasons=("permanent",)), 1),
        (DeadLetterFilter(recipient="+55 31 98888-7777"), 1),
        (DeadLetterFilter(recipient="ANA@example.com"), 1),
        (DeadLetterFilter(recipient="nobody@example.com"), 0),
        (DeadLetterFilter(event="ticket-opened"), 2),
        (DeadLetterFilter(queue="notifications-urgent"), 0),
        (DeadLetterFilter(since=datetime.fromisoformat("2026-03-10T13:30:00+00:00")), 1),
        (DeadLetterFilter(until=datetime.fromisoformat("2026-03-10T13:30:00+00:00")), 1),
        (DeadLetterFilter(states=(DeadLetterState.RECOVERED,)), 0),
    ],
)
async def test_filters_choose_entries(
    dlq: Dlq, world: World, wanted: DeadLetterFilter, count: int
) -> None:
    await dlq.kill()
    world.clock.advance(timedelta(hours=1))
    refused = Failure(FailureKind.PERMANENT, "131026", http_status=400)
    await dlq.kill(
        JobName.SEND_WHATSAPP, failure=refused, reason="permanent", recipient="+5531988887777"
    )
    assert (await dlq.preview(wanted)).matched == count


async def test_entries_are_chosen_by_id(dlq: Dlq) -> None:
    wanted = await dlq.entry(await dlq.kill())
    await dlq.kill()
    assert (await dlq.reprocess(DeadLetterFilter(ids=(wanted.id,)))).done == 1
    assert (await dlq.preview(DeadLetterFilter(ids=(new_id(),)))).matched == 0


async def test_the_filter_of_an_entry_without_a_hash_asks_its_notice(dlq: Dlq) -> None:
    await dlq.kill()
    keyless = dlq.actions(recipient_key="")
    wanted = DeadLetterFilter(recipient="ana@example.com")
    assert (await keyless.preview(DlqAction.DISCARD, wanted, Options())).matched == 1


async def test_nothing_is_sent_again_while_its_breaker_is_open(dlq: Dlq, world: World) -> None:
    mail = await dlq.kill()
    chat = await dlq.kill(JobName.SEND_WHATSAPP, recipient="+5531988887777")
    actions = dlq.actions(gate=FakeGate(JobName.SEND_EMAIL))
    done = await actions.run(DlqAction.REPROCESS, ALL, Options(), actor="cli:ana")
    assert (done.done, done.refused, done.result) == (1, {"breaker_open": 1}, "partly")
    assert (await dlq.entry(mail)).state == "dead"
    assert (await dlq.entry(chat)).state == "reprocessing"


async def test_a_channel_without_a_sender_is_refused(dlq: Dlq) -> None:
    await dlq.kill(JobName.SEND_SMS, recipient="+5531988887777")
    actions = dlq.actions(job_names=frozenset({JobName.SEND_EMAIL}))
    done = await actions.run(DlqAction.REPROCESS, ALL, Options(), actor="cli:ana")
    assert done.refused == {"no_sender": 1}


async def test_a_recipient_that_said_no_is_refused(dlq: Dlq, world: World) -> None:
    notice = await dlq.kill(JobName.SEND_WHATSAPP, recipient="+5531988887777")
    async with world.db.transaction() as session:
        await addresses.opt_out(
            session, Channel.WHATSAPP, "+5531988887777", code="stop", now=world.clock.now()
        )
    assert (await dlq.reprocess()).refused == {"recipient_refuses": 1}
    assert (await dlq.entry(notice)).state == "dead"


async def test_what_is_over_or_may_have_been_sent_wants_the_operators_word(
    dlq: Dlq, world: World
) -> None:
    expired = await dlq.kill(expires_at=world.clock.now(), reason="expired")
    await dlq.kill(reason="unknown_outcome")
    refused = await dlq.reprocess()
    assert refused.refused == {"expired": 1, "unknown_outcome": 1}
    assert refused.result == "refused"
    done = await dlq.reprocess(even_expired=True, even_unknown=True)
    assert done.done == 2
    assert (await world.notification(expired)).expires_at is None


async def test_after_the_last_reprocessing_an_entry_is_discarded_and_the_admin_told(
    dlq: Dlq, world: World
) -> None:
    notice = await dlq.kill()
    for life in range(3):
        assert (await dlq.reprocess()).done == 1
        assert (await world.notification(notice)).reprocess_count == life + 1
        await dlq.kill_again(notice)
    last = await dlq.reprocess()
    assert (last.done, last.discarded, last.result) == (0, 1, "partly")
    entry = await dlq.entry(notice)
    assert (entry.state, entry.closed_at) == ("discarded", world.clock.now())
    assert [row.result for row in await dlq.audit()][-2:] == ["discarded", "partly"]
    async with world.db.transaction() as session:
        (event,) = await session.scalars(select(OutboxEvent))
    assert (event.topic, event.payload["count"]) == ("dlq.discarded", 1)
    assert (await dlq.reprocess()).matched == 0


async def test_discarding_keeps_the_notice_and_closes_the_entry(dlq: Dlq, world: World) -> None:
    notice = await dlq.kill(reason="unknown_outcome")
    done = await dlq.actions().run(DlqAction.DISCARD, ALL, Options(), actor="cli:ana")
    assert (done.done, done.discarded, done.result) == (1, 0, "done")
    assert (await dlq.entry(notice)).state == "discarded"
    assert (await world.notification(notice)).state == "failed"


async def test_more_entries_than_the_operator_saw_are_not_touched(dlq: Dlq) -> None:
    await dlq.kill()
    await dlq.kill()
    with pytest.raises(MoreThanSeenError, match="1 matched in the dry run, 2 match now"):
        await dlq.reprocess(expected=1)
    assert await dlq.audit() == []
    assert (await dlq.reprocess(expected=5)).done == 2


@pytest.mark.parametrize(
    ("options", "field"),
    [({"limit": 0}, "limit"), ({"limit": 10_001}, "limit"), ({"rate": 0}, "rate")],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"{field}: expected") as caught:
        Options(**options)
    assert caught.value.field == field


async def test_two_operators_at_once_take_every_entry_exactly_once(dlq: Dlq, world: World) -> None:
    await dlq.kill_many(1000)
    ana, bia = await asyncio.gather(
        dlq.reprocess(actor="cli:ana", limit=1000, rate=1000),
        dlq.reprocess(actor="cli:bia", limit=1000, rate=1000),
    )
    assert ana.done + bia.done == 1000
    async with world.db.transaction() as session:
        counts = await session.execute(
            select(Notification.state, Notification.reprocess_count, func.count()).group_by(
                Notification.state, Notification.reprocess_count
            )
        )
        assert list(counts) == [("pending", 1, 1000)]
        twice = await session.execute(
            select(DlqReprocessAudit.dead_letter_id)
            .where(
                DlqReprocessAudit.result == "done", DlqReprocessAudit.dead_letter_id.is_not(None)
            )
            .group_by(DlqReprocessAudit.dead_letter_id)
            .having(func.count() > 1)
        )
        assert twice.all() == []


async def test_an_entry_that_somebody_holds_is_left_alone_and_named_busy(
    dlq: Dlq, world: World
) -> None:
    held, free = await dlq.kill(), await dlq.kill()
    async with world.db.transaction() as other:
        await other.get_one(Notification, held, with_for_update=True)
        done = await dlq.reprocess()
    assert (done.done, done.refused) == (1, {"busy": 1})
    assert (await dlq.entry(held)).state == "dead"
    assert (await dlq.entry(free)).state == "reprocessing"


async def test_a_notice_that_a_late_status_delivered_is_not_sent_again(
    dlq: Dlq, world: World
) -> None:
    notice = await dlq.kill()
    async with world.db.transaction() as session:
        row = await session.get_one(Notification, notice)
        row.state = "delivered"  # the entry has not followed yet
    done = await dlq.reprocess()
    assert done.refused == {"not_dead": 1}
    async with world.db.transaction() as session:
        await recovered(session, [notice], now=world.clock.now())
    assert (await dlq.reprocess()).matched == 0


async def test_the_audit_tells_the_action_and_every_entry(dlq: Dlq, world: World) -> None:
    await dlq.kill()
    await dlq.kill(reason="expired")
    wanted = DeadLetterFilter(job_names=("send-email",), recipient="ana@example.com")
    done = await dlq.reprocess(wanted, actor="cli:ana")
    rows = await dlq.audit()
    assert [row.result for row in rows] == ["started", "done", "refused", "partly"]
    assert {row.actor for row in rows} == {"cli:ana"}
    assert {row.action_id for row in rows} == {done.action_id}
    end = rows[-1]
    assert (end.matched, end.done, end.refused, end.discarded) == (2, 1, 1, 0)
    assert "ana@" not in str(rows[0].filters)
    async with world.db.transaction() as session:
        chained = list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
        actions, following = await list_actions(session)
    assert {entry.action for entry in chained} == {
        "dead_letters.reprocess_started",
        "dead_letters.reprocess_ended",
    }
    assert following is None
    assert (actions[0].result, actions[0].done, actions[0].filters["job_names"]) == (
        "partly",
        1,
        ["send-email"],
    )


@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}"])
async def test_the_audit_cannot_be_rewritten(dlq: Dlq, world: World, statement: str) -> None:
    await dlq.kill()
    await dlq.reprocess()
    with pytest.raises(DBAPIError, match="append-only"):
        async with world.db.transaction() as session:
            await session.execute(text(statement.format("dlq_reprocess_audit")))


class DyingError(Exception):
    """The process dies here."""


class DyingGate(FakeGate):
    """Dies when it is asked for the second batch."""

    asked = 0

    async def closed_for(self, job_names: Sequence[JobName]) -> Mapping[JobName, timedelta]:
        self.asked += 1
        if self.asked > 1:
            raise DyingError
        return {}


async def test_a_command_that_dies_leaves_a_consistent_half_that_says_so(
    dlq: Dlq, world: World
) -> None:
    await dlq.kill_many(150)
    with pytest.raises(DyingError):
        await dlq.actions(gate=DyingGate()).run(
            DlqAction.REPROCESS, ALL, Options(limit=200), actor="cli:ana"
        )
    async with world.db.transaction() as session:
        ((begun,), _) = await list_actions(session)
    assert (begun.result, begun.matched) == ("started", 150)
    assert [row.state for row in await world.notifications()].count("pending") == 100

    async def finish() -> int:
        async with world.db.transaction() as session:
            return await end_interrupted(session, threshold=3, webhook=True, now=world.clock.now())

    assert await finish() == 0  # it may be at work still
    world.clock.advance(timedelta(minutes=11))
    assert await finish() == 1
    assert await finish() == 0
    async with world.db.transaction() as session:
        ((ended,), _) = await list_actions(session)
        (call,) = await session.scalars(select(DlqWebhookCall))
    assert (ended.result, ended.detail, ended.done) == ("partly", "interrupted", 100)
    assert call.body["action"]["refused_by_reason"] == {"not_reached": 50}
    again = await dlq.reprocess(limit=1000)
    assert again.done == 50
