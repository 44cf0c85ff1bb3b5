"""The router on a real database: who gets what, who loses what, and nothing twice."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select, update

from handoff.policy import HandoffPolicy
from handoff.queue_routing import Overflow, QueueRouting
from kit.clock import FakeClock
from kit.ids import new_id
from tests.ticketing.desk import Desk, make_desk, make_policy, order
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.db.routing_tables import AgentPresence, RoutingDecision, RoutingExclusion
from ticketing.domain.enums import PresenceState, Role, TicketStatus
from ticketing.domain.ticket import SYSTEM, Actor, AlreadyTakenError
from ticketing.services import presence, shifts
from ticketing.services.routing_engine import RoutingEngine, RoutingReport
from ticketing.services.routing_facts import RoutingSettings
from ticketing.services.ticket_release import release_tickets

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR = timedelta(hours=1)
LEASE = timedelta(hours=12)


@dataclass
class Router:
    """A desk with a router, and short ways to say who is there."""

    desk: Desk
    routing: dict[str, QueueRouting] = field(default_factory=dict)
    settings: RoutingSettings = field(default_factory=RoutingSettings)
    languages: tuple[str, ...] = ()

    @property
    def clock(self) -> FakeClock:
        return self.desk.clock

    def policy(self) -> HandoffPolicy:
        policy = make_policy()
        queues = {
            key: replace(queue, skills=(), routing=self.routing.get(key, QueueRouting()))
            for key, queue in policy.queues.items()
        }
        return replace(policy, queues=queues)

    @property
    def engine(self) -> RoutingEngine:
        return RoutingEngine(self.desk.db, self.clock, self.policy, self.settings)

    async def run(self) -> RoutingReport:
        report = await self.engine.run()
        assert report.failed == 0
        return report

    async def person(
        self,
        name: str,
        *,
        state: PresenceState | None = PresenceState.ONLINE,
        lease: timedelta = LEASE,
        role: Role = Role.AGENT,
        queues: tuple[str, ...] = (),
        **values: object,
    ) -> Actor:
        actor = await self.desk.agent(name, role=role, queues=queues)
        if values:
            await self.change(name, **values)
        if state is not None:
            await self.says(actor, state, lease=lease)
        return actor

    async def says(self, actor: Actor, state: PresenceState, *, lease: timedelta = LEASE) -> None:
        assert actor.agent_id is not None
        async with self.desk.db.transaction() as session:
            await presence.say(
                session, actor.agent_id, state, actor=actor, now=self.clock.now(), lease=lease
            )

    async def change(self, name: str, **values: object) -> None:
        async with self.desk.db.transaction() as session:
            await session.execute(
                update(tables.Agent)
                .where(tables.Agent.id == self.desk.people[name])
                .values(**values)
            )

    async def presence(self, actor: Actor) -> AgentPresence:
        async with self.desk.db.transaction() as session:
            return await session.get_one(AgentPresence, actor.agent_id)

    async def holders(self, tickets: list[uuid.UUID]) -> list[uuid.UUID | None]:
        return [(await self.desk.row(ticket)).agent_id for ticket in tickets]

    async def customer_writes(self, ticket_id: uuid.UUID, text: str = "Alguém?") -> None:
        ticket, now = await self.desk.row(ticket_id), self.clock.now()
        async with self.desk.db.transaction() as session:
            session.add(
                tables.Message(
                    id=new_id(),
                    conversation_id=ticket.conversation_id,
                    channel="whatsapp",
                    direction="inbound",
                    author="customer",
                    ticket_id=ticket_id,
                    kind="text",
                    text=text,
                    provider_id=f"wamid.{new_id()}",
                    sent_at=now,
                    created_at=now,
                    correlation_id="c0ffee",
                )
            )
            await session.execute(
                update(tables.Conversation)
                .where(tables.Conversation.id == ticket.conversation_id)
                .values(last_customer_message_at=now)
            )

    async def said_to(self, ticket_id: uuid.UUID) -> list[str]:
        rows = await self.desk.all(tables.Message, ticket_id=ticket_id, author="system")
        return [row.text for row in rows]

    async def kinds(self, ticket_id: uuid.UUID) -> list[str]:
        return [row.kind for row in await self.desk.all(tables.TicketEvent, ticket_id=ticket_id)]


@pytest_asyncio.fixture(loop_scope="session")
async def router(db: Database, clock: FakeClock) -> Router:
    return Router(await make_desk(db, clock))


# -- giving out --------------------------------------------------------------------------------


async def test_where_nobody_ever_said_online_people_take_tickets_themselves(
    router: Router,
) -> None:
    await router.person("ana", state=None)
    ticket = await router.desk.ticket()
    router.clock.advance(HOUR)

    assert (await router.run()).changed == 0
    row = await router.desk.row(ticket)
    assert (row.routing_state, row.agent_id) == ("waiting", None)
    assert await router.said_to(ticket) == []


async def test_a_waiting_ticket_is_offered_to_who_is_online(router: Router) -> None:
    ana = await router.person("ana")
    await router.person("rui", state=PresenceState.AWAY)
    ticket = await router.desk.ticket()

    assert (await router.run()).offered == 1
    row = await router.desk.row(ticket)
    assert (row.agent_id, row.status, row.routing_state) == (ana.agent_id, "open", "offered")
    assert row.offer_expires_at == router.clock.now() + timedelta(minutes=3)
    assert (await router.desk.conversation(ticket)).control == "queued"
    assert (await router.kinds(ticket))[-1] == "offered"
    assert (await router.run()).changed == 0, "a second run has nothing to do"


async def test_the_decision_says_of_everybody_why_or_why_not(router: Router) -> None:
    ana = await router.person("ana")
    rui = await router.person("rui", state=PresenceState.AWAY)
    eva = await router.person("eva", languages=["en"])
    ticket = await router.desk.ticket()
    await router.run()

    [decision] = await router.desk.all(RoutingDecision, ticket_id=ticket)
    assert (decision.outcome, decision.agent_id) == ("offered", ana.agent_id)
    verdicts = {item["agent_id"]: item for item in decision.candidates["listed"]}
    assert verdicts[str(ana.agent_id)]["rank"] == 1
    assert verdicts[str(rui.agent_id)]["refusals"] == ["away"]
    assert verdicts[str(eva.agent_id)]["refusals"] == ["other_language"]


async def test_who_was_asked_accepts_by_taking_or_by_replying(router: Router) -> None:
    ana = await router.person("ana")
    taken, replied = await router.desk.ticket(), await router.desk.ticket(name="Bia")
    await router.run()

    await router.desk.service.take(order(ana, taken))
    await router.desk.service.reply(order(ana, replied), text="Olá!")

    for ticket in (taken, replied):
        row = await router.desk.row(ticket)
        assert (row.routing_state, row.offer_expires_at) == ("held", None)
        assert (await router.desk.conversation(ticket)).control == "human"


async def test_nobody_else_takes_a_ticket_that_is_being_offered(router: Router) -> None:
    await router.person("ana")
    rui = await router.person("rui", state=None)
    ticket = await router.desk.ticket()
    await router.run()

    with pytest.raises(AlreadyTakenError):
        await router.desk.service.take(order(rui, ticket))


async def test_a_queue_of_pull_is_left_alone(router: Router) -> None:
    await router.person("ana")
    router.routing = {"n1_support": QueueRouting(assignment="pull")}
    ticket = await router.desk.ticket()

    assert (await router.run()).changed == 0
    assert (await router.desk.row(ticket)).agent_id is None


async def test_capacity_is_kept_and_the_rest_waits_for_room(router: Router) -> None:
    ana = await router.person("ana", capacity=2)
    tickets = [await router.desk.ticket(name=f"Cliente {n}") for n in range(4)]
    await router.run()

    assert (await router.holders(tickets)).count(ana.agent_id) == 2
    states = [(await router.desk.row(ticket)).routing_state for ticket in tickets]
    assert states.count("waiting") == 2, "somebody works and will have room: not nobody_available"
    held = await router.holders(tickets)
    done = tickets[held.index(ana.agent_id)]
    await router.desk.service.take(order(ana, done))
    await router.desk.service.resolve(order(ana, done))
    assert (await router.run()).offered == 1


async def test_the_most_urgent_goes_first_when_there_is_room_for_one(router: Router) -> None:
    ana = await router.person("ana", capacity=1)
    await router.desk.ticket(priority="normal")
    router.clock.advance(timedelta(minutes=5))
    urgent = await router.desk.ticket(priority="urgent", name="Urgente")
    await router.run()

    assert (await router.desk.row(urgent)).agent_id == ana.agent_id


async def test_tickets_are_spread_by_load_and_idle_time(router: Router) -> None:
    people = [await router.person(name) for name in ("ana", "bia", "caio")]
    tickets = [await router.desk.ticket(name=f"Cliente {n}") for n in range(6)]
    await router.run()

    held = await router.holders(tickets)
    assert [held.count(person.agent_id) for person in people] == [2, 2, 2]


async def test_the_contacts_last_agent_is_preferred(router: Router) -> None:
    ana = await router.person("ana")
    bia = await router.person("bia")
    before = await router.desk.ticket()
    await router.desk.service.take(order(bia, before))
    await router.desk.service.resolve(order(bia, before))
    router.clock.advance(timedelta(days=2))
    for person in (ana, bia):
        await router.says(person, PresenceState.ONLINE)
    again = await router.desk.ticket(name="Outra conversa")
    old = await router.desk.row(before)
    async with router.desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket).where(tables.Ticket.id == again).values(contact_id=old.contact_id)
        )
    await router.run()
    assert (await router.desk.row(again)).agent_id == bia.agent_id


@pytest.mark.parametrize("minutes", [4, 6])
async def test_a_filter_is_relaxed_only_where_and_when_the_queue_says_so(
    router: Router, minutes: int
) -> None:
    router.routing = {
        "n1_support": QueueRouting(relax=("language",), relax_after=timedelta(minutes=5))
    }
    ana = await router.person("ana", languages=["pt"])
    ticket = await router.desk.ticket(language="es")
    router.clock.advance(timedelta(minutes=minutes))
    await router.run()

    row = await router.desk.row(ticket)
    assert row.agent_id == (ana.agent_id if minutes > 5 else None)
    if minutes > 5:
        decisions = await router.desk.all(RoutingDecision, ticket_id=ticket, outcome="offered")
        assert decisions[0].relaxed == ["language"]


async def test_off_shift_and_off_duty_people_get_nothing(router: Router) -> None:
    night = await router.person("ana")
    await router.person("bia", on_duty=False)
    async with router.desk.db.transaction() as session:
        assert night.agent_id is not None
        await shifts.set_shifts(
            session,
            night.agent_id,
            time_zone="America/Sao_Paulo",
            weekly={"mon": ["22:00-06:00"], "tue": ["22:00-06:00"]},
            days_off=(),
            actor=SYSTEM,
            now=router.clock.now(),
        )
    ticket = await router.desk.ticket()
    await router.run()
    assert (await router.desk.row(ticket)).agent_id is None
    router.clock.advance(timedelta(hours=13))  # Tuesday, 23:00 in São Paulo
    await router.says(night, PresenceState.ONLINE)
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == night.agent_id


# -- taking back -------------------------------------------------------------------------------


async def test_who_does_not_accept_loses_it_is_set_away_and_the_next_one_is_asked(
    router: Router,
) -> None:
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    await router.run()
    bia = await router.person("bia")
    before = await router.desk.row(ticket)
    router.clock.advance(timedelta(minutes=3))
    await router.run()

    after = await router.desk.row(ticket)
    assert after.agent_id == bia.agent_id
    assert (after.opened_at, after.priority, after.sla_expires_at) == (
        before.opened_at,
        before.priority,
        before.sla_expires_at,
    )
    said = await router.presence(ana)
    assert (said.state, said.reason) == ("away", "not_accepted")
    assert (await router.kinds(ticket))[-3:] == ["offered", "released", "offered"]
    released = (await router.desk.all(tables.TicketEvent, ticket_id=ticket, kind="released"))[-1]
    assert released.reason == "not_accepted"
    assert released.data["from_agent"] == str(ana.agent_id)


async def test_who_just_lost_it_is_not_asked_again_until_they_say_online_themselves(
    router: Router,
) -> None:
    router.settings = RoutingSettings(missed_offer_is_away=False)
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    await router.run()
    router.clock.advance(timedelta(minutes=3))
    await router.run()
    assert (await router.presence(ana)).state == "online"
    assert (await router.desk.row(ticket)).agent_id is None

    await router.says(ana, PresenceState.ONLINE)
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == ana.agent_id


async def test_an_agent_who_disappears_with_three_chats_loses_those_that_wait_for_us(
    router: Router,
) -> None:
    ana = await router.person("ana", lease=timedelta(minutes=3))
    open_, pending, offered = [
        await router.desk.ticket(name=f"Cliente {n}", priority=priority)
        for n, priority in enumerate(("high", "normal", "urgent"))
    ]
    await router.desk.service.take(order(ana, open_))
    await router.desk.service.reply(
        order(ana, pending), text="Qual é o número?", status=TicketStatus.PENDING_CUSTOMER
    )
    await router.run()
    before = {ticket: await router.desk.row(ticket) for ticket in (open_, pending, offered)}
    router.clock.advance(timedelta(minutes=2))
    assert (await router.run()).taken_back == 0, "the lease has not run out"
    router.clock.advance(timedelta(minutes=1))
    assert (await router.run()).taken_back == 2

    for ticket in (open_, offered):
        row = await router.desk.row(ticket)
        assert row.agent_id is None
        assert row.preferred_agent_id == ana.agent_id or ticket == offered
        assert row.serve_rank == before[ticket].serve_rank, "same clock, same priority"
        assert row.sla_expires_at == before[ticket].sla_expires_at
        assert (await router.desk.conversation(ticket)).control == "queued"
    assert (await router.desk.row(pending)).agent_id == ana.agent_id

    # The customer answers: the next step is ours again, and nobody is there.
    async with router.desk.db.transaction() as session:
        await session.execute(
            update(tables.Ticket).where(tables.Ticket.id == pending).values(status="open")
        )
    bia = await router.person("bia")
    await router.run()
    assert await router.holders([open_, pending, offered]) == [bia.agent_id] * 3


async def test_who_comes_back_gets_their_own_customers_again(router: Router) -> None:
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    await router.desk.service.take(order(ana, ticket))
    router.clock.advance(timedelta(minutes=1))
    await router.says(ana, PresenceState.OFFLINE)
    await router.run()
    assert (await router.desk.row(ticket)).agent_id is None
    await router.person("bia")
    await router.says(ana, PresenceState.ONLINE)
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == ana.agent_id


@pytest.mark.parametrize("state", [PresenceState.BUSY, PresenceState.AWAY])
async def test_who_is_busy_or_away_keeps_their_chats(router: Router, state: PresenceState) -> None:
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    await router.desk.service.take(order(ana, ticket))
    await router.says(ana, state)
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == ana.agent_id


async def test_who_takes_a_ticket_while_offline_keeps_it(router: Router) -> None:
    ana = await router.person("ana")
    await router.says(ana, PresenceState.OFFLINE)
    router.clock.advance(timedelta(minutes=1))
    ticket = await router.desk.ticket()
    await router.desk.service.take(order(ana, ticket))
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == ana.agent_id


async def test_what_a_disabled_agent_left_behind_is_found(router: Router) -> None:
    await router.person("chefe", role=Role.ADMIN)
    ana = await router.person("ana", state=None)
    ticket = await router.desk.ticket()
    await router.desk.service.take(order(ana, ticket))
    await router.change("ana", active=False)  # and the process died before it gave them back
    await router.run()
    assert (await router.kinds(ticket))[2:4] == ["released", "offered"]


async def test_after_the_shift_tickets_are_given_on_but_not_within_the_grace(
    router: Router,
) -> None:
    ana = await router.person("ana")
    assert ana.agent_id is not None
    async with router.desk.db.transaction() as session:
        await shifts.set_shifts(
            session,
            ana.agent_id,
            time_zone="America/Sao_Paulo",
            weekly={"tue": ["08:00-10:30"]},
            days_off=(),
            actor=SYSTEM,
            now=router.clock.now(),
        )
    ticket = await router.desk.ticket()
    await router.desk.service.reply(order(ana, ticket), text="Olá!")
    router.clock.advance(timedelta(minutes=40))  # 10:40, ten minutes after the end
    assert (await router.run()).taken_back == 0
    router.clock.advance(timedelta(minutes=6))
    assert (await router.run()).taken_back == 1
    events = await router.desk.all(tables.TicketEvent, ticket_id=ticket, kind="released")
    assert events[-1].reason == "shift_over"


async def test_a_silent_agent_loses_the_ticket_to_somebody_who_answers(router: Router) -> None:
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    await router.desk.service.reply(order(ana, ticket), text="Olá!")
    router.clock.advance(timedelta(minutes=1))
    await router.customer_writes(ticket, "E o meu reembolso?")
    for _ in range(29):
        router.clock.advance(timedelta(minutes=1))
        await router.customer_writes(ticket)
    bia = await router.person("bia")
    assert (await router.run()).taken_back == 0
    router.clock.advance(timedelta(minutes=1))
    await router.run()

    assert (await router.desk.row(ticket)).agent_id == bia.agent_id
    [excluded] = await _rows(router, RoutingExclusion)
    assert (excluded.agent_id, excluded.reason) == (ana.agent_id, "agent_silent")


@pytest.mark.parametrize("text", ["obrigado, tchau!", "valeu!"])
async def test_a_thank_you_is_not_left_unanswered(router: Router, text: str) -> None:
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    await router.desk.service.reply(order(ana, ticket), text="Feito!")
    router.clock.advance(timedelta(minutes=1))
    await router.customer_writes(ticket, text)
    router.clock.advance(HOUR)
    assert (await router.run()).taken_back == 0


async def test_an_answered_customer_is_not_waiting(router: Router) -> None:
    ana = await router.person("ana")
    ticket = await router.desk.ticket()
    router.clock.advance(timedelta(minutes=1))
    await router.desk.service.reply(order(ana, ticket), text="Olá!")
    router.clock.advance(HOUR)
    assert (await router.run()).taken_back == 0


async def test_released_tickets_of_a_disabled_agent_keep_their_place(router: Router) -> None:
    ana = await router.person("ana", state=None)
    ticket = await router.desk.ticket()
    rank = (await router.desk.row(ticket)).serve_rank
    await router.desk.service.take(order(ana, ticket))
    assert ana.agent_id is not None
    await release_tickets(
        router.desk.db,
        ana.agent_id,
        actor=SYSTEM,
        reason="agent_disabled",
        now=router.clock.now(),
        correlation_id="x",
    )
    row = await router.desk.row(ticket)
    assert (row.serve_rank, row.routing_state) == (rank, "waiting")


# -- nobody there, overflow --------------------------------------------------------------------


async def test_when_nobody_is_there_the_customer_is_told_once(router: Router) -> None:
    await router.person("ana", state=PresenceState.OFFLINE)
    ticket = await router.desk.ticket()
    await router.run()
    assert (await router.desk.row(ticket)).routing_state == "nobody_available"
    assert await router.said_to(ticket) == []
    router.clock.advance(timedelta(minutes=2))
    assert (await router.run()).told == 1
    router.clock.advance(HOUR)
    assert (await router.run()).told == 0

    [said] = await router.said_to(ticket)
    number = (await router.desk.row(ticket)).number
    assert said.startswith("No momento não há ninguém da equipe (Suporte) disponível.")
    assert f"protocolo {number}" in said


async def test_somebody_who_comes_in_time_spares_the_message(router: Router) -> None:
    ana = await router.person("ana", state=PresenceState.OFFLINE)
    ticket = await router.desk.ticket()
    await router.run()
    await router.says(ana, PresenceState.ONLINE)
    router.clock.advance(timedelta(minutes=2))
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == ana.agent_id
    assert await router.said_to(ticket) == []


async def test_nothing_is_written_outside_the_24_hour_window(router: Router) -> None:
    await router.person("ana", state=PresenceState.OFFLINE)
    ticket = await router.desk.ticket()
    router.clock.advance(timedelta(hours=24))
    await router.run()
    router.clock.advance(timedelta(minutes=2))
    assert (await router.run()).told == 0
    assert await router.said_to(ticket) == []


async def test_who_was_told_at_the_handoff_that_the_team_is_closed_is_not_told_again(
    router: Router,
) -> None:
    await router.person("ana", state=PresenceState.OFFLINE)
    ticket = await router.desk.ticket()
    async with router.desk.db.transaction() as session:
        await session.execute(update(tables.Handoff).values(evidence={"hours_open": False}))
    await router.run()
    router.clock.advance(timedelta(minutes=2))
    assert (await router.run()).told == 0
    assert await router.said_to(ticket) == []


async def test_a_ticket_nobody_took_goes_to_the_queue_named_for_it_with_its_clock(
    router: Router,
) -> None:
    router.routing = {
        "n2_technical": QueueRouting(overflow=Overflow("n1_support", timedelta(minutes=20)))
    }
    await router.person("ana", state=PresenceState.OFFLINE)
    ticket = await router.desk.ticket(queue="n2_technical", priority="high")
    before = await router.desk.row(ticket)
    router.clock.advance(timedelta(minutes=19))
    assert (await router.run()).overflowed == 0
    router.clock.advance(timedelta(minutes=1))
    assert (await router.run()).overflowed == 1

    row = await router.desk.row(ticket)
    assert (row.level, row.overflowed_from) == ("N1", "n2_technical")
    assert (row.opened_at, row.priority, row.serve_rank) == (
        before.opened_at,
        "high",
        before.serve_rank,
    )
    event = (await router.desk.all(tables.TicketEvent, ticket_id=ticket))[-1]
    assert (event.kind, event.reason, event.actor) == ("reassigned", "overflow", "system")
    assert (event.data["from_queue"], event.data["to_queue"]) == ("n2_technical", "n1_support")
    bia = await router.person("bia", queues=("n1_support",))
    await router.run()
    assert (await router.desk.row(ticket)).agent_id == bia.agent_id


async def test_an_offer_that_came_to_nothing_does_not_start_the_overflow_anew(
    router: Router,
) -> None:
    router.routing = {
        "n1_support": QueueRouting(overflow=Overflow("n2_technical", timedelta(minutes=5)))
    }
    await router.person("ana", queues=("n1_support",))
    ticket = await router.desk.ticket()
    await router.run()
    router.clock.advance(timedelta(minutes=3))
    await router.run()
    router.clock.advance(timedelta(minutes=2))
    assert (await router.run()).overflowed == 1
    assert (await router.desk.row(ticket)).routing_state == "overflowed"


# -- twice, at once, half done -----------------------------------------------------------------


async def test_two_routers_at_once_give_every_ticket_once_and_keep_the_capacity(
    router: Router,
) -> None:
    people = [await router.person(name, capacity=3) for name in ("ana", "bia", "caio")]
    tickets = [await router.desk.ticket(name=f"Cliente {n}") for n in range(12)]
    reports = await asyncio.gather(*(router.run() for _ in range(4)))
    reports.append(await router.run())

    assert sum(report.offered for report in reports) == 9
    held = await router.holders(tickets)
    assert [held.count(person.agent_id) for person in people] == [3, 3, 3]
    for ticket in tickets:
        assert (await router.kinds(ticket)).count("offered") <= 1


async def test_two_routers_at_once_take_a_ticket_back_once(router: Router) -> None:
    await router.person("ana")
    ticket = await router.desk.ticket()
    await router.run()
    router.clock.advance(timedelta(minutes=3))
    reports = await asyncio.gather(*(router.run() for _ in range(4)))
    assert sum(report.taken_back for report in reports) == 1
    assert (await router.kinds(ticket)).count("released") == 1


async def test_routers_and_people_at_once_never_break_the_capacity_of_offers(
    router: Router,
) -> None:
    ana = await router.person("ana", capacity=4)
    tickets = [await router.desk.ticket(name=f"Cliente {n}") for n in range(10)]

    async def take(ticket: uuid.UUID) -> None:
        await router.desk.service.take(order(ana, ticket))

    await asyncio.gather(router.run(), *(take(ticket) for ticket in tickets[:3]), router.run())
    await router.run()
    held = (await router.holders(tickets)).count(ana.agent_id)
    assert held == 4


async def test_one_ticket_that_fails_does_not_stop_the_others(router: Router) -> None:
    await router.person("ana")
    bad = await router.desk.ticket(name="A", priority="urgent")
    good = await router.desk.ticket(name="B")
    async with router.desk.db.transaction() as session:
        # An offer of it breaks a constraint of the database: the time of its last event is in
        # the far future, so the offer would end before it begins.
        await session.execute(
            update(tables.Ticket)
            .where(tables.Ticket.id == bad)
            .values(updated_at=datetime.max.replace(tzinfo=UTC))
        )
    report = await router.engine.run()
    assert (report.offered, report.failed) == (1, 1)
    assert (await router.desk.row(good)).agent_id is not None
    assert (await router.desk.row(bad)).agent_id is None


async def _rows(router: Router, table: type) -> list:  # type: ignore[type-arg]
    async with router.desk.db.transaction() as session:
        return list(await session.scalars(select(table)))
