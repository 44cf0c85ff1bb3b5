"""The SLA monitor on real rows: once, whatever runs twice, dies or fails."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.domain.texts import render
from notifications.policy_file import load_policies
from notifications.services.fan_out import fan_out
from notifications.services.recipients import AdminContact
from tests.ticketing.desk import Desk, make_desk, order
from tests.ticketing.sla_desk import sla_in_force
from ticketing.db import tables
from ticketing.db.engine import Database, make_engine
from ticketing.db.sla_tables import SlaAlert, SlaClock
from ticketing.domain.enums import TicketStatus
from ticketing.domain.ticket import SYSTEM
from ticketing.services import outbox, sla_follow
from ticketing.services.outbox import NewEvent
from ticketing.services.sla_due import due_statement
from ticketing.services.sla_sweep import SlaSweep, Swept
from ticketing.services.ticket_work import lock_ticket

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


def sweep_of(desk: Desk, **changes: Any) -> SlaSweep:
    settings: dict[str, Any] = {"batch": 200, "cooldown": 15 * MINUTE} | changes
    return SlaSweep(desk.db, desk.clock, **settings)


async def a_clock(
    desk: Desk,
    ticket_id: uuid.UUID,
    *,
    warn: int | None = 70,
    due: int | None = 100,
    metric: str = "first_response",
    cycle: int = 1,
    **changes: Any,
) -> uuid.UUID:
    """A clock that began now, with its times in minutes from now."""
    began = desk.clock.now()
    times = [None if at is None else began + at * MINUTE for at in (warn, due)]
    values: dict[str, Any] = {
        "id": new_id(),
        "ticket_id": ticket_id,
        "metric": metric,
        "cycle": cycle,
        "policy": "standard@v1",
        "calendar": "always@v1",
        "state": "running",
        "target_seconds": 6000,
        "consumed_seconds": 0,
        "started_at": began,
        "warn_at": times[0],
        "due_at": times[1],
        "next_check_at": min((at for at in times if at is not None), default=None),
        "updated_at": began,
    }
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket)
            .where(tables.Ticket.id == ticket_id)
            .values(sla_state="ok", sla_stale=False)
        )
        session.add(SlaClock(**values | changes))
    return uuid.UUID(str(values["id"]))


async def alerts_of(desk: Desk, ticket_id: uuid.UUID) -> list[tuple[str, bool, str | None]]:
    async with desk.db.transaction() as session:
        rows = await session.scalars(
            select(SlaAlert).where(SlaAlert.ticket_id == ticket_id).order_by(SlaAlert.passed_at)
        )
        return [(row.threshold, row.told, row.silence) for row in rows]


async def outbox_of(desk: Desk) -> list[tables.OutboxEvent]:
    return [row for row in await desk.all(tables.OutboxEvent) if row.topic.startswith("sla.")]


async def kinds_of(desk: Desk, ticket_id: uuid.UUID) -> list[str]:
    rows = await desk.all(tables.TicketEvent, ticket_id=ticket_id)
    return [row.kind for row in rows if row.kind.startswith("sla_")]


async def test_warning_and_breach_are_told_each_once(desk: Desk, clock: FakeClock) -> None:
    ticket_id = await desk.ticket()
    clock_id = await a_clock(desk, ticket_id)
    sweep = sweep_of(desk)

    assert await sweep.run() == Swept()
    clock.advance(71 * MINUTE)
    assert await sweep.run() == Swept(warnings=1, told=1)
    assert (await desk.row(ticket_id)).sla_state == "warning"
    assert await sweep.run() == Swept()
    clock.advance(30 * MINUTE)
    assert await sweep.run() == Swept(breaches=1, told=1)
    assert await sweep.run() == Swept()

    assert await alerts_of(desk, ticket_id) == [("warning", True, None), ("breach", True, None)]
    assert await kinds_of(desk, ticket_id) == ["sla_warning", "sla_breached"]
    (row,) = await desk.all(SlaClock, id=clock_id)
    assert (row.state, row.breached_at, row.next_check_at) == (
        "breached",
        NOW + 100 * MINUTE,  # the due time, not the moment somebody looked
        None,
    )
    assert (await desk.row(ticket_id)).sla_state == "breached"


async def test_what_is_told_names_the_monitor_and_holds_nothing_about_the_customer(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket(name="Carlos Lima", text="segredo")
    await a_clock(desk, ticket_id)
    clock.advance(101 * MINUTE)

    await sweep_of(desk).run()

    (event,) = await outbox_of(desk)
    ticket = await desk.row(ticket_id)
    assert (event.topic, event.version) == ("sla.breached", 1)
    assert (
        event.payload
        | {
            "source": "sla-monitor",
            "ticket_id": str(ticket_id),
            "ticket_number": ticket.number,
            "queue_key": "n1_support",
            "reason": "customer_request",
            "threshold": "breach",
            "metric": "first_response",
            "cycle": 1,
            "policy": "standard@v1",
            "due_at": (NOW + 100 * MINUTE).isoformat(),
            "target_seconds": 6000,
            "consumed_seconds": 6000,
            "also": [],
            "silenced": 0,
        }
        == event.payload
    )
    assert not any(word in str(event.payload) for word in ("Carlos", "segredo", "+55"))


async def test_after_a_downtime_both_rows_are_stored_and_only_the_breach_is_told(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    await a_clock(desk, ticket_id)
    clock.advance(timedelta(days=3))

    assert await sweep_of(desk).run() == Swept(warnings=1, breaches=1, told=1, silenced=1)

    assert await alerts_of(desk, ticket_id) == [
        ("warning", False, "breach_told"),
        ("breach", True, None),
    ]
    assert [event.topic for event in await outbox_of(desk)] == ["sla.breached"]
    assert await kinds_of(desk, ticket_id) == ["sla_breached"]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "paused", "paused_at": NOW, "due_at": None},
        {"state": "met", "met_at": NOW, "ended_at": NOW},
        {"state": "cancelled", "ended_at": NOW, "reason": "returned_to_bot"},
        {"state": "breached", "breached_at": NOW, "met_at": NOW, "ended_at": NOW},
    ],
)
async def test_a_clock_that_does_not_run_is_never_told_even_if_it_is_due(
    desk: Desk, clock: FakeClock, changes: dict[str, Any]
) -> None:
    ticket_id = await desk.ticket()
    clock_id = await a_clock(desk, ticket_id, **changes)
    clock.advance(101 * MINUTE)

    assert await sweep_of(desk).run() == Swept()

    assert await alerts_of(desk, ticket_id) == []
    (row,) = await desk.all(SlaClock, id=clock_id)
    assert row.next_check_at is None  # it does not come up in every sweep


async def test_a_resolved_ticket_is_not_told_while_its_clocks_have_not_followed(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    await a_clock(desk, ticket_id)
    clock.advance(101 * MINUTE)
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket)
            .where(tables.Ticket.id == ticket_id)
            .values(status=TicketStatus.RESOLVED.value, resolved_at=clock.now())
        )

    assert await sweep_of(desk).run() == Swept()
    assert await alerts_of(desk, ticket_id) == []


async def test_two_sweeps_at_once_tell_everything_once(desk: Desk, clock: FakeClock) -> None:
    tickets = [await desk.ticket() for _ in range(30)]
    for ticket_id in tickets:
        await a_clock(desk, ticket_id)
        await a_clock(desk, ticket_id, metric="resolution", warn=200, due=300)
    clock.advance(101 * MINUTE)
    others = [Database(make_engine(str_url(desk.db), pool_size=2)) for _ in range(4)]

    try:
        done = await asyncio.gather(
            *(SlaSweep(other, clock, batch=7, cooldown=15 * MINUTE).run() for other in others)
        )
    finally:
        for other in others:
            await other.close()
    rest = await sweep_of(desk).run()  # those that were passed by

    total = sum(done, rest)
    assert (total.warnings, total.breaches, total.told, total.failed) == (30, 30, 30, 0)
    assert len(await outbox_of(desk)) == 30
    for ticket_id in tickets:
        assert len(await alerts_of(desk, ticket_id)) == 2


async def test_a_ticket_that_somebody_works_on_is_passed_by_and_taken_next_time(
    desk: Desk, clock: FakeClock
) -> None:
    busy, free = await desk.ticket(), await desk.ticket()
    for ticket_id in (busy, free):
        await a_clock(desk, ticket_id)
    clock.advance(101 * MINUTE)
    sweep = sweep_of(desk)

    async with desk.db.transaction() as session:
        await lock_ticket(session, busy, actor=SYSTEM, now=clock.now(), correlation_id="c")
        assert await sweep.run() == Swept(warnings=1, breaches=1, told=1, silenced=1, busy=1)

    assert await sweep.run() == Swept(warnings=1, breaches=1, told=1, silenced=1)


async def test_a_sweep_does_not_hold_up_the_customers_messages(
    desk: Desk, clock: FakeClock
) -> None:
    """Its lock lets rows that point at the ticket come in."""
    ticket_id = await desk.ticket()
    await a_clock(desk, ticket_id)
    clock.advance(101 * MINUTE)

    async def publish(session: AsyncSession, events: Sequence[NewEvent], **more: Any) -> None:
        async with desk.db.transaction() as other:
            await other.execute(text("SET LOCAL lock_timeout = '2s'"))
            other.add(
                tables.TicketEvent(
                    ticket_id=ticket_id, kind="noted", actor="system", reason=None,
                    data={}, at=clock.now(), correlation_id="c",
                )
            )  # fmt: skip
        await outbox.add_events(session, events, **more)

    assert (await sweep_of(desk, publish=publish).run()).told == 1


class DiedError(BaseException):
    """The process ends here: nothing catches it."""


async def test_a_death_before_the_commit_leaves_nothing_and_the_next_sweep_does_it_all(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    clock_id = await a_clock(desk, ticket_id)
    clock.advance(101 * MINUTE)

    async def die(session: AsyncSession, events: Sequence[NewEvent], **more: Any) -> None:
        await outbox.add_events(session, events, **more)
        raise DiedError

    with pytest.raises(DiedError):
        await sweep_of(desk, publish=die).run()
    (row,) = await desk.all(SlaClock, id=clock_id)
    assert row.state == "running"
    assert await alerts_of(desk, ticket_id) == []
    assert await outbox_of(desk) == []

    assert (await sweep_of(desk).run()).told == 1
    assert len(await outbox_of(desk)) == 1


async def test_a_death_after_a_batch_repeats_nothing_of_it(desk: Desk, clock: FakeClock) -> None:
    for _ in range(5):
        await a_clock(desk, await desk.ticket())
    clock.advance(101 * MINUTE)
    written = 0

    async def die_at_the_third(
        session: AsyncSession, events: Sequence[NewEvent], **more: Any
    ) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise DiedError
        await outbox.add_events(session, events, **more)

    with pytest.raises(DiedError):
        await sweep_of(desk, batch=1, publish=die_at_the_third).run()
    assert len(await outbox_of(desk)) == 2

    assert (await sweep_of(desk, batch=1).run()).told == 3
    assert len(await outbox_of(desk)) == 5


async def test_one_that_cannot_be_told_keeps_its_state_stops_nobody_and_is_tried_again(
    desk: Desk, clock: FakeClock
) -> None:
    bad, good = await desk.ticket(), await desk.ticket()
    bad_clock = await a_clock(desk, bad)
    await a_clock(desk, good)
    clock.advance(101 * MINUTE)

    async def refuse(session: AsyncSession, events: Sequence[NewEvent], **more: Any) -> None:
        if any(event.payload["ticket_id"] == str(bad) for event in events):
            message = "the outbox does not take this one"
            raise ValueError(message)
        await outbox.add_events(session, events, **more)

    assert await sweep_of(desk, publish=refuse).run() == Swept(
        warnings=1, breaches=1, told=1, silenced=1, failed=1
    )
    (row,) = await desk.all(SlaClock, id=bad_clock)
    assert (row.state, row.breached_at) == ("breached", NOW + 100 * MINUTE)
    assert (await desk.row(bad)).sla_state == "breached"
    assert await alerts_of(desk, bad) == []
    assert len(await alerts_of(desk, good)) == 2

    assert (await sweep_of(desk).run()).told == 1
    assert await alerts_of(desk, bad) == [("warning", False, "breach_told"), ("breach", True, None)]


async def test_bad_rows_at_the_head_do_not_keep_the_others_waiting(
    desk: Desk, clock: FakeClock
) -> None:
    """More bad ones than fit in a batch: the sweep goes on behind them, and ends."""
    bad = [await desk.ticket() for _ in range(3)]
    for ticket_id in bad:
        await a_clock(desk, ticket_id, warn=10, due=20)
    good = await desk.ticket()
    await a_clock(desk, good)
    clock.advance(101 * MINUTE)
    refused = {str(ticket_id) for ticket_id in bad}

    async def refuse(session: AsyncSession, events: Sequence[NewEvent], **more: Any) -> None:
        if refused & {event.payload["ticket_id"] for event in events}:
            message = "no"
            raise ValueError(message)
        await outbox.add_events(session, events, **more)

    done = await sweep_of(desk, batch=2, publish=refuse).run()

    assert (done.failed, done.told) == (3, 1)


async def test_within_the_cooldown_alerts_are_stored_and_the_next_message_counts_them(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    for cycle, due in enumerate((10, 15, 20, 40), start=1):
        await a_clock(desk, ticket_id, metric="next_response", cycle=cycle, warn=None, due=due)
    sweep = sweep_of(desk)

    for _ in range(9):
        clock.advance(5 * MINUTE)
        await sweep.run()

    assert await alerts_of(desk, ticket_id) == [
        ("breach", True, None),
        ("breach", False, "cooldown"),
        ("breach", False, "cooldown"),
        ("breach", True, None),
    ]
    assert [event.payload["silenced"] for event in await outbox_of(desk)] == [0, 2]
    assert await kinds_of(desk, ticket_id) == ["sla_breached"] * 4


async def test_clocks_that_pass_together_make_one_message_that_names_all(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    for metric in ("total_resolution", "resolution"):
        await a_clock(desk, ticket_id, metric=metric, warn=None)
    clock.advance(101 * MINUTE)

    assert await sweep_of(desk).run() == Swept(breaches=2, told=1)

    (event,) = await outbox_of(desk)
    assert event.payload["metric"] == "resolution"
    assert [other["metric"] for other in event.payload["also"]] == ["total_resolution"]


async def test_a_clock_that_goes_back_an_hour_tells_nothing_twice_and_takes_nothing_back(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    clock_id = await a_clock(desk, ticket_id)
    clock.advance(101 * MINUTE)
    sweep = sweep_of(desk)
    await sweep.run()

    clock.advance(-60 * MINUTE)
    assert await sweep.run() == Swept()
    clock.advance(120 * MINUTE)
    assert await sweep.run() == Swept()

    (row,) = await desk.all(SlaClock, id=clock_id)
    assert row.state == "breached"
    assert len(await outbox_of(desk)) == 1


async def test_the_history_never_goes_back_behind_the_last_event(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    await a_clock(desk, ticket_id)
    later = NOW + timedelta(days=1)
    async with desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket).where(tables.Ticket.id == ticket_id).values(updated_at=later)
        )
    clock.advance(101 * MINUTE)

    await sweep_of(desk).run()

    (event,) = await desk.all(tables.TicketEvent, ticket_id=ticket_id, kind="sla_breached")
    assert event.at == later


async def test_a_sweep_ends_between_batches_when_it_is_asked_to(
    desk: Desk, clock: FakeClock
) -> None:
    for _ in range(3):
        await a_clock(desk, await desk.ticket())
    clock.advance(101 * MINUTE)
    answers = iter([True, True, False])

    done = await sweep_of(desk, batch=1, keep_going=lambda: next(answers)).run()

    assert done.breaches == 2


async def test_sweeps_and_people_who_work_on_the_same_tickets_never_wait_for_each_other_in_a_ring(
    desk: Desk, clock: FakeClock
) -> None:
    """Sweeps, takers and repairs at once: no deadlock, every alert once, every take done."""
    ana = await desk.agent("ana")
    tickets = [await desk.ticket() for _ in range(12)]
    for ticket_id in tickets:
        await a_clock(desk, ticket_id)
        await a_clock(desk, ticket_id, metric="resolution")
    clock.advance(101 * MINUTE)

    async def work(ticket_id: uuid.UUID) -> None:
        await desk.service.take(order(ana, ticket_id))
        await desk.service.reply(order(ana, ticket_id), text="Olá!")

    sweeps = [sweep_of(desk, batch=3).run() for _ in range(6)]
    await asyncio.gather(*sweeps, *(work(ticket_id) for ticket_id in tickets))
    while (await sweep_of(desk).run()).busy:
        pass

    for ticket_id in tickets:
        stored = await alerts_of(desk, ticket_id)
        assert sorted(kind for kind, *_ in stored) == ["breach", "breach", "warning", "warning"]
        assert await kinds_of(desk, ticket_id) == ["sla_breached", "sla_breached"]
    assert len(await outbox_of(desk)) == len(tickets)


async def test_following_the_history_later_neither_undoes_a_breach_nor_tells_it_again(
    desk: Desk, clock: FakeClock
) -> None:
    """The whole way with the project's rules; the machine's clock even goes back in between."""
    ticket_id = await desk.ticket()
    with sla_in_force(desk.db):

        async def follow() -> None:
            async with desk.db.transaction() as session:
                await lock_ticket(
                    session, ticket_id, actor=SYSTEM, now=clock.now(), correlation_id="c"
                )
                await sla_follow.follow(session, ticket_id, now=clock.now())

        await follow()
        clock.advance(241 * MINUTE)  # the desk promises a first response within 240 minutes
        assert (await sweep_of(desk).run()).breaches == 1
        for minutes in (0, -60, 120):
            clock.advance(minutes * MINUTE)
            await follow()
            row = await desk.row(ticket_id)
            assert row.sla_state == "breached"
            assert (await sweep_of(desk).run()).breaches == 0

    (first,) = await desk.all(SlaClock, ticket_id=ticket_id, metric="first_response")
    assert first.state == "breached"
    assert first.breached_at == NOW + 240 * MINUTE
    assert len(await outbox_of(desk)) == 1


async def test_a_warning_says_how_much_working_time_was_used_when_it_was_passed(
    desk: Desk, clock: FakeClock
) -> None:
    ticket_id = await desk.ticket()
    with sla_in_force(desk.db):
        async with desk.db.transaction() as session:
            await sla_follow.follow(session, ticket_id, now=clock.now())
        clock.advance(200 * MINUTE)

        assert (await sweep_of(desk).run()).warnings == 1

    (event,) = await outbox_of(desk)
    assert event.payload["consumed_seconds"] == 168 * 60  # 70 % of 240 minutes
    assert event.payload["time_zone"] == "America/Sao_Paulo"


async def test_an_alert_reaches_whoever_has_the_ticket_and_the_admin(
    desk: Desk, clock: FakeClock
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await a_clock(desk, ticket_id)
    async with desk.db.transaction() as session:
        await session.execute(update(tables.Agent).values(on_duty=True))
    clock.advance(101 * MINUTE)
    await sweep_of(desk).run()
    (event,) = await outbox_of(desk)

    await fan_out(
        desk.db,
        event.id,
        policies=load_policies(),
        admin=AdminContact("chefe@example.com", "+5511912345678"),
        now=clock.now(),
    )

    notices = await desk.all(tables.Notification)
    assert {(row.job_name, row.recipient) for row in notices} == {
        ("send-email", "ana@example.com"),
        ("send-email", "chefe@example.com"),
        ("send-whatsapp", "+5511912345678"),
        ("send-sms", "+5511912345678"),
    }
    assert {(row.event, row.context["source"]) for row in notices} == {("sla-alert", "sla-monitor")}
    text = render("sla-alert", notices[0].context, language="pt", frontend_url="http://x").text
    assert "O prazo deste atendimento venceu: primeira resposta." in text


async def test_due_clocks_are_found_by_their_index(db: Database) -> None:
    """A plan over 20,000 running clocks of which none is due."""
    statement = due_statement(now=NOW, after=None, limit=200)
    async with db.transaction() as session:
        await session.execute(text(_MANY_CLOCKS))
        await session.execute(text("ANALYZE sla_clocks"))
        sql = statement.compile(
            dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True}
        )
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {sql}")))
        await session.rollback()

    assert "Index Scan using ix_sla_clocks_due" in plan or (
        "Index Only Scan using ix_sla_clocks_due" in plan
    )
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


_MANY_CLOCKS = """
ALTER TABLE sla_clocks DROP CONSTRAINT sla_clocks_ticket_id_fkey;
INSERT INTO sla_clocks (id, ticket_id, metric, cycle, policy, calendar, state, target_seconds,
    consumed_seconds, started_at, due_at, warn_at, next_check_at, segments, updated_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'resolution', 1, 'p@1', 'c@1', 'running', 6000, 0,
    t, t + interval '2 days', t + interval '1 day', t + interval '1 day', '[]', t
FROM (SELECT timestamptz '2026-03-10 13:00+00' + n * interval '1 second' AS t
      FROM generate_series(1, 20000) AS n) AS s
"""


def str_url(db: Database) -> str:
    return db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
