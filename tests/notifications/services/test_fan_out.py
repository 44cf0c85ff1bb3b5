from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifications.domain.events import EventPayloadError
from notifications.domain.jobs import Channel
from notifications.policy_file import load_policies
from notifications.services.addresses import opt_out
from notifications.services.fan_out import fan_out, unknown_events, waiting_events
from notifications.services.preferences import Wishes, save_preferences
from notifications.services.recipients import AdminContact, find_admin, on_duty_agents
from tests.notifications.conftest import World

ADMIN = AdminContact("chefe@example.com", "+5511912345678")


MAIL_AND_WHATSAPP = frozenset({Channel.EMAIL, Channel.WHATSAPP})


def spread(world: World, event: Any, admin: Any = ADMIN, channels: Any = MAIL_AND_WHATSAPP) -> Any:
    return fan_out(
        world.db,
        event.id,
        policies=load_policies(),
        admin=admin,
        now=world.clock.now(),
        channels=channels,
    )


def told(rows: Any) -> Any:
    return [(row.job_name, row.recipient, row.event) for row in rows]


async def test_an_opened_ticket_tells_the_agents_on_duty_and_the_admin(world: World) -> None:
    queue = await world.make_queue("n1")
    other = await world.make_queue("n2")
    await world.make_agent("todas@example.com")
    await world.make_agent("n1@example.com", queue)
    await world.make_agent("n2@example.com", other)
    await world.make_agent("folga@example.com", queue, on_duty=False)
    await world.make_agent("saiu@example.com", queue, active=False)
    event = await world.make_event(await world.make_ticket(queue))

    jobs = await spread(world, event)

    rows = await world.notifications()
    assert told(rows) == [
        ("send-email", "n1@example.com", "ticket-opened"),
        ("send-email", "todas@example.com", "ticket-opened"),
        ("send-whatsapp", "+5511912345678", "ticket-opened"),
    ]
    assert [job.notification_id for job in jobs] == [row.id for row in rows]
    assert {row.correlation_id for row in rows} == {"c-1"}
    assert (await world.event(event.id)).published_at == world.clock.now()


async def test_the_rows_hold_nothing_about_the_customer(world: World) -> None:
    event = await world.make_event(await world.make_ticket(), customer_name="Maria da Silva")

    await spread(world, event)

    assert all("Maria" not in str(row.context) for row in await world.notifications())


async def test_a_second_run_makes_nothing_new(world: World) -> None:
    event = await world.make_event(await world.make_ticket())
    first = await spread(world, event)

    assert await spread(world, event) == ()
    assert len(await world.notifications()) == len(first) == 2


async def test_rows_exist_once_even_when_the_event_was_never_marked(world: World) -> None:
    """The idempotency key holds by itself, whatever happened to `published_at`."""
    event = await world.make_event(await world.make_ticket())
    await spread(world, event)
    stored = await world.event(event.id)
    async with world.db.transaction() as session:
        (await session.merge(stored)).published_at = None

    assert await spread(world, event) == ()
    assert len(await world.notifications()) == 2


async def test_two_relays_at_once_make_the_rows_once(world: World) -> None:
    event = await world.make_event(await world.make_ticket())

    results = await asyncio.gather(*(spread(world, event) for _ in range(5)))

    assert sorted(len(jobs) for jobs in results) == [0, 0, 0, 0, 2]
    assert len(await world.notifications()) == 2


async def test_nobody_on_duty_is_told_to_the_admin_and_recorded(world: World) -> None:
    event = await world.make_event(await world.make_ticket())

    await spread(world, event)

    email, whatsapp = await world.notifications()
    assert (email.recipient, email.context["nobody_on_duty"]) == ("chefe@example.com", True)
    assert whatsapp.context["nobody_on_duty"] is False


async def test_with_nobody_to_tell_a_row_says_so(world: World) -> None:
    event = await world.make_event(await world.make_ticket())

    assert await spread(world, event, AdminContact()) == ()

    (row,) = await world.notifications()
    assert (row.state, row.error["code"]) == ("dropped", "no_recipient")
    assert (await world.event(event.id)).published_at is not None


async def test_a_high_priority_ticket_is_one_urgent_notice_per_recipient(world: World) -> None:
    await world.make_agent("ana@example.com")
    event = await world.make_event(await world.make_ticket(priority="urgent"))

    jobs = await spread(world, event)

    assert told(await world.notifications()) == [
        ("send-email", "ana@example.com", "ticket-priority-high"),
        ("send-whatsapp", "+5511912345678", "ticket-priority-high"),
    ]
    assert all(job.urgent for job in jobs)


async def test_an_escalation_says_from_where(world: World) -> None:
    ticket = await world.make_ticket()
    event = await world.make_event(
        ticket, "ticket.escalated", from_level="N1", level="N2", reason_text="CPF 123"
    )

    await spread(world, event)

    rows = await world.notifications()
    assert {row.event for row in rows} == {"ticket-escalation"}
    assert {row.context["from_level"] for row in rows} == {"N1"}
    assert all("CPF" not in str(row.context) for row in rows)


async def test_who_gets_a_ticket_is_told_and_who_gave_it_is_not(world: World) -> None:
    ana = await world.make_agent("ana@example.com")
    bia = await world.make_agent("bia@example.com")
    ticket = await world.make_ticket()
    given = await world.make_event(
        ticket, "ticket.assigned", agent_id=str(bia.id), actor=f"agent:{ana.id}"
    )
    taken = await world.make_event(
        ticket, "ticket.assigned", agent_id=str(ana.id), actor=f"agent:{ana.id}"
    )
    queued = await world.make_event(
        ticket, "ticket.assigned", agent_id=None, actor=f"agent:{ana.id}"
    )

    for event in (given, taken, queued):
        await spread(world, event)

    assert told(await world.notifications()) == [
        ("send-email", "bia@example.com", "ticket-assigned"),
        ("send-email", "bia@example.com", "ticket-assigned"),
    ]


async def test_who_did_it_is_told_on_no_channel(world: World) -> None:
    queue = await world.make_queue("n1")
    ana = await world.make_agent("ana@example.com", queue)
    bia = await world.make_agent("bia@example.com", queue)
    async with world.db.transaction() as session:
        for agent, phone in ((ana, "+5511911111111"), (bia, "+5511922222222")):
            wishes = Wishes(phone=phone, channels={}, quiet_from=None, quiet_to=None)
            await save_preferences(session, agent.id, wishes, now=world.clock.now())
    ticket = await world.make_ticket(queue)
    event = await world.make_event(
        ticket, "ticket.escalated", from_level="N1", actor=f"agent:{ana.id}"
    )

    await spread(world, event, AdminContact())

    assert [(row.job_name, row.recipient) for row in await world.notifications()] == [
        ("send-email", "bia@example.com"),
        ("send-whatsapp", "+5511922222222"),
    ]


async def test_when_nobody_may_be_written_to_a_row_says_so(
    world: World,
) -> None:
    queue = await world.make_queue("n1")
    await world.make_agent("nao@example.com", queue)
    async with world.db.transaction() as session:
        await opt_out(session, Channel.EMAIL, "nao@example.com", code="test", now=world.clock.now())
    event = await world.make_event(await world.make_ticket(queue))

    await spread(world, event, AdminContact())

    [row] = await world.notifications()
    assert (row.state, row.error["code"]) == ("dropped", "no_recipient")


async def test_a_priority_that_falls_tells_nobody_and_is_published(world: World) -> None:
    event = await world.make_event(await world.make_ticket(), "ticket.priority_changed")

    assert await spread(world, event) == ()

    assert await world.notifications() == []
    assert (await world.event(event.id)).published_at is not None


async def test_an_event_with_a_wrong_payload_stays_unpublished(world: World) -> None:
    event = await world.make_event(await world.make_ticket(), queue_key=None)

    with pytest.raises(EventPayloadError, match="queue_key"):
        await spread(world, event)

    assert (await world.event(event.id)).published_at is None


async def test_events_of_unknown_topic_or_version_wait_and_are_counted(world: World) -> None:
    ticket = await world.make_ticket()
    known = await world.make_event(ticket)
    await world.make_event(ticket, "ticket.eaten")
    await world.make_event(ticket, "ticket.opened", version=2)
    await world.make_event(ticket, "ticket.opened", version=2)

    async with world.db.transaction() as session:
        assert await waiting_events(session, limit=10) == (known.id,)
        assert await unknown_events(session) == (("ticket.eaten", 1, 1), ("ticket.opened", 2, 2))


async def test_events_come_oldest_first_without_those_that_stand_aside(world: World) -> None:
    ticket = await world.make_ticket()
    first, second, third = [await world.make_event(ticket) for _ in range(3)]

    async with world.db.transaction() as session:
        assert await waiting_events(session, limit=2) == (first.id, second.id)
        assert await waiting_events(session, limit=2, without=[first.id]) == (second.id, third.id)


async def test_an_agent_of_a_queue_that_is_gone_is_not_asked_but_one_of_all_queues_is(
    world: World,
) -> None:
    queue = await world.make_queue("n1")
    await world.make_agent("n1@example.com", queue)
    await world.make_agent("todas@example.com", languages=["es"])

    async with world.db.transaction() as session:
        people = await on_duty_agents(session, "fila-que-sumiu")

    assert [(person.email, person.language) for person in people] == [("todas@example.com", "es")]


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        ("Chefe@Example.com", "chefe@example.com"),
        ("fora@example.com", "fora@example.com"),
        ("saiu@example.com", None),
        ("not-a-uuid", None),
        ("01890000-0000-7000-8000-00000000ffff", None),
        ("", None),
        (None, None),
    ],
)
async def test_the_admin_is_an_agent_or_an_address(
    world: World, user_id: Any, expected: Any
) -> None:
    await world.make_agent("chefe@example.com")
    await world.make_agent("saiu@example.com", active=False)

    async with world.db.transaction() as session:
        admin = await find_admin(session, AdminContact(user_id))

    assert (admin.email if admin else None) == expected


async def test_the_admin_may_be_named_by_id(world: World) -> None:
    agent = await world.make_agent("chefe@example.com", languages=["en"])

    async with world.db.transaction() as session:
        admin = await find_admin(session, AdminContact(str(agent.id)))

    assert admin is not None
    assert (admin.email, admin.language) == ("chefe@example.com", "en")


async def test_who_sleeps_is_told_in_the_morning_and_who_said_no_is_not_told(world: World) -> None:
    queue = await world.make_queue("n1")
    sleeps = await world.make_agent("dorme@example.com", queue)
    await world.make_agent("nao@example.com", queue)
    now = world.clock.now()
    # Quiet from an hour ago to in two hours, on the wall of São Paulo.
    local = now.astimezone(ZoneInfo("America/Sao_Paulo"))
    begin, end = ((local + timedelta(hours=hours)).time().replace(second=0) for hours in (-1, 2))
    wishes = Wishes(phone=None, channels={}, quiet_from=begin, quiet_to=end)
    async with world.db.transaction() as session:
        await save_preferences(session, sleeps.id, wishes, now=now)
        await opt_out(session, Channel.EMAIL, "nao@example.com", code="test", now=now)
    event = await world.make_event(await world.make_ticket(queue))

    jobs = await spread(world, event, AdminContact())

    [row] = await world.notifications()
    assert row.recipient == "dorme@example.com"
    assert row.next_attempt_at is not None
    assert row.next_attempt_at > now + timedelta(hours=1)
    assert row.enqueued_at is None
    assert jobs == ()


async def test_what_is_to_be_acknowledged_says_so_where_there_is_a_button(world: World) -> None:
    queue = await world.make_queue("n1")
    await world.make_agent("n1@example.com", queue)
    ticket = await world.make_ticket(queue, priority="urgent")
    calm_ticket = await world.make_ticket(queue)
    urgent, calm = await world.make_event(ticket), await world.make_event(calm_ticket)

    await spread(world, urgent)
    await spread(world, calm)

    rows = await world.notifications()
    assert {(row.event, row.job_name) for row in rows if row.context.get("acknowledge")} == {
        ("ticket-priority-high", "send-whatsapp")
    }
