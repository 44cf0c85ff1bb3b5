from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk, order
from tests.ticketing.sla_desk import sla_in_force
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Level, Priority, Role, Severity, TicketStatus
from ticketing.domain.ticket import AlreadyTakenError, InvalidTransitionError, NotAllowedError
from ticketing.services.agents import disable_agent
from ticketing.services.repeats import KeyReusedError
from ticketing.services.ticket_release import release_tickets
from ticketing.services.ticket_targets import Target, UnknownTargetError
from ticketing.services.ticket_work import TicketNotFoundError, VersionConflictError
from ticketing.services.tickets import ActorGoneError


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    return await make_desk(db, clock)


async def test_taking_gives_a_person_control_under_a_new_epoch_and_accepts_the_handoff(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    desk.clock.advance(timedelta(minutes=3))
    done = await desk.service.take(order(ana, ticket_id))
    assert done.ticket.agent_name == "Ana"
    assert done.ticket.status == "open"
    assert (done.ticket.control, done.ticket.control_epoch) == ("human", 2)
    assert done.ticket.version == 2
    (handoff,) = await desk.all(tables.Handoff, ticket_id=ticket_id)
    assert (handoff.state, handoff.accepted_at) == ("accepted", desk.clock.now())
    events = await desk.all(tables.TicketEvent, ticket_id=ticket_id)
    assert [event.kind for event in events] == ["opened", "taken"]
    assert events[1].actor == f"agent:{ana.agent_id}"
    assert events[1].correlation_id == "abc123"


async def test_of_two_who_take_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    ana, bia = await desk.agent("ana"), await desk.agent("bia")
    ticket_id = await desk.ticket()
    results = await asyncio.gather(
        *(desk.service.take(order(who, ticket_id, version=1)) for who in (ana, bia) * 4),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, AlreadyTakenError)]
    ticket = await desk.row(ticket_id)
    assert len(refused) == 4
    assert ticket.version == 2
    assert (await desk.conversation(ticket_id)).control_epoch == 2
    assert {error.agent_id for error in refused} == {ticket.agent_id}


async def test_taking_twice_by_the_same_person_happens_once(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    again = await desk.service.take(order(ana, ticket_id))
    assert again.repeated
    assert again.ticket.version == 2


async def test_a_reply_is_a_row_to_deliver_and_wakes_the_delivery(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    desk.clock.advance(timedelta(minutes=2))
    done = await desk.service.reply(
        order(ana, ticket_id), text="Olá!", status=TicketStatus.PENDING_CUSTOMER
    )
    message = (await desk.all(tables.Message, author="agent"))[0]
    assert (message.text, message.delivery, message.direction) == ("Olá!", "pending", "outbound")
    assert desk.woken == [message.id] == [done.message_id]
    assert done.ticket.first_response_at == desk.clock.now()
    assert done.ticket.status == "pending_customer"


async def test_replying_to_a_ticket_that_nobody_has_takes_it(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    done = await desk.service.reply(order(ana, ticket_id), text="Oi")
    assert done.ticket.agent_id == ana.agent_id
    assert done.ticket.control == "human"
    kinds = [event.kind for event in await desk.all(tables.TicketEvent, ticket_id=ticket_id)]
    assert kinds == ["opened", "taken", "replied"]


async def test_two_who_reply_at_once_to_a_free_ticket_are_one_reply(desk: Desk) -> None:
    ana, bia = await desk.agent("ana"), await desk.agent("bia")
    ticket_id = await desk.ticket()
    results = await asyncio.gather(
        *(desk.service.reply(order(who, ticket_id), text="Oi") for who in (ana, bia)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, NotAllowedError) for result in results) == 1
    assert len(await desk.all(tables.Message, author="agent")) == 1


async def test_a_colleague_cannot_reply_but_a_supervisor_can(desk: Desk) -> None:
    ana, bia = await desk.agent("ana"), await desk.agent("bia")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    with pytest.raises(NotAllowedError):
        await desk.service.reply(order(bia, ticket_id), text="Oi")
    done = await desk.service.reply(order(sofia, ticket_id), text="Aqui é a supervisora")
    assert done.ticket.agent_id == ana.agent_id


async def test_the_same_idempotency_key_writes_one_message_even_at_once(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    replies = [
        desk.service.reply(order(ana, ticket_id), text="Oi", idempotency_key="k1") for _ in range(5)
    ]
    done = await asyncio.gather(*replies)
    assert len({item.message_id for item in done}) == 1
    assert sum(item.repeated for item in done) == 4
    assert len(await desk.all(tables.Message, author="agent")) == 1
    assert len(desk.woken) == 1


async def test_a_key_with_other_words_is_refused(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.reply(order(ana, ticket_id), text="Oi", idempotency_key="k1")
    with pytest.raises(KeyReusedError):
        await desk.service.reply(order(ana, ticket_id), text="Tchau", idempotency_key="k1")


async def test_a_note_is_internal_and_never_delivered(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.note(order(ana, ticket_id), text="ligou também")
    note = (await desk.all(tables.Message, direction="internal"))[0]
    assert (note.delivery, note.text) == (None, "ligou também")
    assert desk.woken == []
    assert (await desk.row(ticket_id)).first_response_at is None


async def test_escalating_requeues_and_tells_the_outside(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    with sla_in_force(desk.db):
        done = await desk.service.escalate(
            order(ana, ticket_id),
            target=Target(queue="n2_technical"),
            reason="precisa de acesso",
            priority=Priority.HIGH,
        )
    assert (done.ticket.level, done.ticket.queue) == ("N2", "n2_technical")
    assert (done.ticket.agent_id, done.ticket.control) == (None, "queued")
    assert done.ticket.escalation_reason == "precisa de acesso"
    assert done.ticket.sla_target_minutes == 60
    assert done.ticket.sla_expires_at == done.ticket.opened_at + timedelta(hours=1)
    (handoff,) = await desk.all(tables.Handoff, ticket_id=ticket_id)
    assert (handoff.state, handoff.from_level, handoff.to_level) == ("queued", "N1", "N2")
    assert handoff.accepted_at is not None
    events = await desk.all(tables.OutboxEvent)
    assert [event.topic for event in events] == ["ticket.escalated"]
    payload = events[0].payload
    assert (payload["from_level"], payload["level"]) == ("N1", "N2")
    assert payload["reason"] == "customer_request"
    assert payload["reason_text"] == "precisa de acesso"
    assert payload["actor"] == f"agent:{ana.agent_id}"


async def test_the_outbox_payloads_are_what_the_notifications_read(desk: Desk) -> None:
    events = pytest.importorskip("notifications.domain.events")
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    await desk.service.escalate(
        order(sofia, ticket_id), target=Target(queue="n2_billing"), reason="x"
    )
    await desk.service.change_priority(order(sofia, ticket_id), priority=Priority.URGENT)
    for event in await desk.all(tables.OutboxEvent):
        assert (event.topic, event.version) in events.KNOWN_EVENTS
        facts = events.ticket_facts(event.payload)
        assert events.policy_events(event.topic, facts)


async def test_a_level_alone_is_enough_when_one_queue_serves_it(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    done = await desk.service.escalate(
        order(ana, ticket_id), target=Target(level=Level.N3), reason="fraude"
    )
    assert done.ticket.queue == "n3_risk"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(level=Level.N2), "several queues serve N2, name one; expected one of n2_billing"),
        (Target(queue="nope"), "'nope' is not a queue; expected one of n1_spanish"),
        (Target(queue="n2_billing", level=Level.N3), "n2_billing serves N2, not N3"),
        (Target(), "a queue or a level is needed"),
    ],
)
async def test_a_wrong_target_is_named_with_what_was_expected(
    desk: Desk, target: Any, expected: str
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    with pytest.raises(UnknownTargetError, match=expected):
        await desk.service.escalate(order(ana, ticket_id), target=target, reason="x")


async def test_assigning_to_somebody_who_does_not_serve_the_queue_is_refused(desk: Desk) -> None:
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    outsider = await desk.agent("rui", queues=("n2_billing",))
    bia = await desk.agent("bia", queues=("n1_support",))
    ticket_id = await desk.ticket()
    with pytest.raises(UnknownTargetError, match=r"bia@example\.com"):
        await desk.service.assign(
            order(sofia, ticket_id), target=Target(agent_id=outsider.agent_id)
        )
    done = await desk.service.assign(
        order(sofia, ticket_id), target=Target(agent_id=bia.agent_id), severity=Severity.S1
    )
    assert (done.ticket.agent_id, done.ticket.control) == (bia.agent_id, "human")
    assert done.ticket.severity == "S1"


@pytest.mark.parametrize(
    ("language", "words"), [("pt", "encerrado"), ("en", "closed"), ("es", "finalizada")]
)
async def test_resolving_tells_the_customer_once_in_their_language(
    desk: Desk, language: str, words: str
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket(language=language)
    await desk.service.take(order(ana, ticket_id))
    done = await desk.service.resolve(order(ana, ticket_id))
    (message,) = await desk.all(tables.Message, direction="outbound")
    assert words in message.text
    assert str(done.ticket.number) in message.text
    assert (done.ticket.status, done.ticket.control) == ("resolved", "bot")
    assert done.ticket.control_epoch == 3
    (handoff,) = await desk.all(tables.Handoff, ticket_id=ticket_id)
    assert (handoff.state, handoff.ended_as) == ("ended", "resolved")


async def test_closing_words_and_the_standard_ones_are_one_message(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    done = await desk.service.resolve(order(ana, ticket_id), closing_text="Reembolso feito.")
    (message,) = await desk.all(tables.Message, direction="outbound")
    assert message.text.startswith("Reembolso feito.\n\nAtendimento encerrado")
    assert done.ticket.first_response_at is not None


async def test_outside_the_window_nothing_is_said_by_itself(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    desk.clock.advance(timedelta(hours=30))
    done = await desk.service.resolve(order(ana, ticket_id))
    assert done.message_id is None
    assert await desk.all(tables.Message, direction="outbound") == []


async def test_resolving_twice_says_that_it_is_resolved(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    results = await asyncio.gather(
        *(desk.service.resolve(order(ana, ticket_id)) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(result, InvalidTransitionError) for result in results) == 1
    assert len(await desk.all(tables.Message, direction="outbound")) == 1


async def test_returning_to_the_bot_ends_the_ticket_and_clears_the_open_question(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    async with desk.db.transaction() as session:
        conversation = (await session.scalars(select(tables.Conversation))).one()
        conversation.clarification = {"options": []}
    done = await desk.service.return_to_bot(order(ana, ticket_id), reason="só segunda via")
    assert (done.ticket.status, done.ticket.control) == ("resolved", "bot")
    conversation = await desk.conversation(ticket_id)
    assert conversation.clarification is None
    (message,) = await desk.all(tables.Message, direction="outbound")
    assert "O assistente voltou" in message.text
    assert (message.author, message.delivery) == ("system", "pending")
    (handoff,) = await desk.all(tables.Handoff, ticket_id=ticket_id)
    assert handoff.ended_as == "returned_to_bot"


async def test_reopening_is_a_new_handoff_and_refused_beside_another_open_ticket(
    desk: Desk,
) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    await desk.service.resolve(order(ana, ticket_id))
    done = await desk.service.reopen(order(ana, ticket_id), reason="voltou")
    assert (done.ticket.status, done.ticket.control) == ("open", "human")
    assert done.ticket.resolved_at is None
    handoffs = await desk.all(tables.Handoff, ticket_id=ticket_id)
    assert [item.state for item in handoffs] == ["ended", "accepted"]


async def test_closing_is_final(desk: Desk) -> None:
    sofia = await desk.agent("sofia", role=Role.SUPERVISOR)
    ticket_id = await desk.ticket()
    await desk.service.take(order(sofia, ticket_id))
    await desk.service.resolve(order(sofia, ticket_id))
    done = await desk.service.close(order(sofia, ticket_id))
    assert done.ticket.status == "closed"
    with pytest.raises(InvalidTransitionError):
        await desk.service.reopen(order(sofia, ticket_id), reason="x")


async def test_a_stale_version_is_refused_with_the_present_one(desk: Desk) -> None:
    ana = await desk.agent("ana")
    ticket_id = await desk.ticket()
    await desk.service.take(order(ana, ticket_id))
    with pytest.raises(VersionConflictError, match="expected version 1, it is at 2"):
        await desk.service.resolve(order(ana, ticket_id, version=1))
    assert (await desk.row(ticket_id)).status == "open"


async def test_a_ticket_that_is_not_there_is_named(desk: Desk) -> None:
    ana = await desk.agent("ana")
    with pytest.raises(TicketNotFoundError):
        await desk.service.take(order(ana, ana.agent_id))


async def test_a_failing_command_leaves_nothing_behind(desk: Desk) -> None:
    ana = await desk.agent("ana", queues=("n2_billing",))
    ticket_id = await desk.ticket()
    with pytest.raises(NotAllowedError):
        await desk.service.reply(order(ana, ticket_id), text="Oi")
    assert (await desk.row(ticket_id)).version == 1
    assert await desk.all(tables.Message, direction="outbound") == []
    assert desk.woken == []


async def test_a_disabled_agents_tickets_wait_again_with_the_same_clock(desk: Desk) -> None:
    ana, bia = await desk.agent("ana"), await desk.agent("bia")
    ticket_id = await desk.ticket(priority="high")
    await desk.service.take(order(ana, ticket_id))
    before = await desk.row(ticket_id)
    async with desk.db.transaction() as session:
        await disable_agent(session, "ana@example.com", desk.clock.now())
    for _ in range(2):  # twice changes nothing more
        await release_tickets(
            desk.db,
            desk.people["ana"],
            actor=bia,
            reason="agent_disabled",
            now=desk.clock.now(),
            correlation_id="x",
        )
    after = await desk.row(ticket_id)
    assert after.agent_id is None
    assert (after.priority, after.sla_expires_at) == (before.priority, before.sla_expires_at)
    assert after.version == before.version + 1
    assert (await desk.conversation(ticket_id)).control == "queued"
    with pytest.raises(ActorGoneError):
        await desk.service.take(order(ana, ticket_id))


async def test_taking_while_being_disabled_never_leaves_a_ticket_with_nobody(desk: Desk) -> None:
    ana = await desk.agent("ana")
    tickets = [await desk.ticket() for _ in range(4)]

    async def shut_out() -> None:
        async with desk.db.transaction() as session:
            await disable_agent(session, "ana@example.com", desk.clock.now())
        await release_tickets(
            desk.db,
            desk.people["ana"],
            actor=ana,
            reason="agent_disabled",
            now=desk.clock.now(),
            correlation_id="x",
        )

    takes = [desk.service.take(order(ana, ticket_id)) for ticket_id in tickets]
    await asyncio.gather(*takes[:2], shut_out(), *takes[2:], return_exceptions=True)
    assert [(await desk.row(ticket_id)).agent_id for ticket_id in tickets] == [None] * 4
