"""A support desk in the database: queues, people, and conversations that wait for a person."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from handoff.business_hours import Calendar
from handoff.policy import HandoffPolicy
from handoff.policy_file import load_policy
from handoff.policy_holder import PolicyHolder
from kit.clock import FakeClock
from kit.ids import new_id
from ticketing.db import tables
from ticketing.db.engine import Database
from ticketing.domain.enums import Role
from ticketing.domain.ticket import Actor
from ticketing.http.deps import Deps
from ticketing.services import agents, ticket_search
from ticketing.services.tickets import Order, TicketService

PASSWORD = "nove gatos no telhado"
ROOT = Path(__file__).resolve().parents[2]

QUEUES = {
    "n1_support": ("Suporte", "N1"),
    "n1_spanish": ("Atención en español", "N1"),
    "n2_technical": ("Técnico", "N2"),
    "n2_billing": ("Financeiro", "N2"),
    "n3_risk": ("Risco", "N3"),
}


@cache
def make_policy() -> HandoffPolicy:
    """The project's policy, with these queues open around the clock and these SLA targets."""
    midnight = (time(0, 0), time(0, 0))
    always = Calendar("always", "America/Sao_Paulo", dict.fromkeys(range(7), (midnight,)))
    policy = load_policy(ROOT / "handoff.yml", holiday_dates=lambda *_: set())
    some_queue = next(iter(policy.queues.values()))
    return replace(
        policy,
        calendars={"always": always},
        queues={
            key: replace(
                some_queue,
                key=key,
                names=dict.fromkeys(("pt", "en", "es"), name),
                level=level,
                calendar="always",
            )
            for key, (name, level) in QUEUES.items()
        },
        first_response={
            "low": timedelta(hours=8),
            "normal": timedelta(hours=4),
            "high": timedelta(hours=1),
            "urgent": timedelta(minutes=15),
        },
    )


@dataclass
class Desk:
    """The desk and short ways to make and look at things."""

    db: Database
    clock: FakeClock
    woken: list[uuid.UUID] = field(default_factory=list)
    queues: dict[str, uuid.UUID] = field(default_factory=dict)
    people: dict[str, uuid.UUID] = field(default_factory=dict)

    @property
    def deps(self) -> Deps:
        return Deps(
            db=self.db, clock=self.clock, wake=self.woken.append, policy=PolicyHolder(make_policy())
        )

    @property
    def service(self) -> TicketService:
        return TicketService(self.db, self.clock, self.woken.append)

    async def agent(
        self, name: str, *, role: Role = Role.AGENT, queues: tuple[str, ...] = ()
    ) -> Actor:
        """Add a person; their address is `name@example.com`."""
        async with self.db.transaction() as session:
            row = await agents.create_agent(
                session,
                email=f"{name}@example.com",
                name=name.title(),
                password=PASSWORD,
                role=role.value,
                queues=queues,
                now=self.clock.now(),
            )
        self.people[name] = row.id
        ids = frozenset(self.queues[key] for key in queues) or None
        return Actor(agent_id=row.id, role=role, queue_ids=ids)

    async def ticket(
        self,
        *,
        queue: str = "n1_support",
        priority: str = "normal",
        name: str = "Carlos Lima",
        text: str = "Quero falar com uma pessoa",
        language: str = "pt",
        subject: str = "Reembolso",
        control: str = "queued",
    ) -> uuid.UUID:
        """A conversation that was handed over: ticket, handoff and decision."""
        now = self.clock.now()
        contact_id, conversation_id, ticket_id = new_id(), new_id(), new_id()
        message_id, decision_id = new_id(), new_id()
        level = QUEUES[queue][1]
        phone = f"+55119{contact_id.int % 10**8:08d}"
        async with self.db.transaction() as session:
            session.add(
                tables.Contact(id=contact_id, name=name, phone=phone, vip=False, created_at=now)
            )
            await session.flush()
            session.add(
                tables.Conversation(
                    id=conversation_id,
                    contact_id=contact_id,
                    channel="whatsapp",
                    account_id="106540352242922",
                    address=phone,
                    control=control,
                    control_epoch=1,
                    language=language,
                    last_customer_message_at=now,
                    last_message_at=now,
                    created_at=now,
                )
            )
            await session.flush()
            session.add(
                tables.Ticket(
                    id=ticket_id,
                    conversation_id=conversation_id,
                    contact_id=contact_id,
                    queue_id=self.queues[queue],
                    channel="whatsapp",
                    subject=subject,
                    priority=priority,
                    severity="S3",
                    level=level,
                    language=language,
                    escalation_reason="customer_request",
                    escalated_at=now,
                    unanswered_since=now,
                    sla_target_minutes=240,
                    sla_expires_at=now + timedelta(minutes=240),
                    opened_at=now,
                    last_message_at=now,
                    correlation_id="c0ffee",
                )
            )
            session.add(
                tables.Decision(
                    id=decision_id,
                    conversation_id=conversation_id,
                    turn_id=message_id,
                    outcome="handoff",
                    reason="customer_request",
                    rule="asked_for_person@v1",
                    snapshot=SNAPSHOT,
                    decision=DECISION,
                    versions={"policy": "v1", "calendar": "always@v1", "model": "m1"},
                    created_at=now,
                    correlation_id="c0ffee",
                )
            )
            await session.flush()
            session.add(
                tables.Handoff(
                    id=new_id(),
                    conversation_id=conversation_id,
                    ticket_id=ticket_id,
                    turn_id=message_id,
                    decision_id=decision_id,
                    control_epoch=1,
                    state="queued",
                    reason="customer_request",
                    rule="asked_for_person@v1",
                    evidence={"intent": "talk_to_person", "confidence": 0.91, "margin": 0.4},
                    to_level=level,
                    queue_id=self.queues[queue],
                    requested_at=now,
                    queued_at=now,
                )
            )
            session.add(
                tables.TicketEvent(
                    ticket_id=ticket_id,
                    kind="opened",
                    actor="bot",
                    reason="customer_request",
                    data={
                        "queue_key": queue,
                        "level": level,
                        "to_status": "new",
                        "to_priority": priority,
                        "to_severity": "S3",
                        "to_level": level,
                        "to_queue": queue,
                        "to_agent": None,
                        "to_tags": [],
                        "status": "new",
                        "version": 1,
                    },
                    at=now,
                    correlation_id="c0ffee",
                )
            )
            session.add(
                tables.Message(
                    id=message_id,
                    conversation_id=conversation_id,
                    channel="whatsapp",
                    direction="inbound",
                    author="customer",
                    ticket_id=ticket_id,
                    kind="text",
                    text=text,
                    provider_id=f"wamid.{message_id}",
                    sent_at=now,
                    created_at=now,
                    correlation_id="c0ffee",
                )
            )
            await ticket_search.index_tickets(session, [ticket_id])
        return ticket_id

    async def row(self, ticket_id: uuid.UUID) -> tables.Ticket:
        async with self.db.transaction() as session:
            return await session.get_one(tables.Ticket, ticket_id)

    async def conversation(self, ticket_id: uuid.UUID) -> tables.Conversation:
        ticket = await self.row(ticket_id)
        async with self.db.transaction() as session:
            return await session.get_one(tables.Conversation, ticket.conversation_id)

    async def all(self, table: Any, **equal: Any) -> list[Any]:
        async with self.db.transaction() as session:
            found = await session.scalars(select(table).filter_by(**equal).order_by(table.id))
            return list(found.all())

    async def all_sessions(self) -> list[tables.AgentSession]:
        async with self.db.transaction() as session:
            return list((await session.scalars(select(tables.AgentSession))).all())


def order(actor: Actor, ticket_id: uuid.UUID, *, version: int | None = None) -> Order:
    return Order(
        actor=actor, ticket_id=ticket_id, correlation_id="abc123", expected_version=version
    )


async def make_desk(db: Database, clock: FakeClock) -> Desk:
    """A desk with its queues and nobody in it."""
    desk = Desk(db, clock)
    async with db.transaction() as session:
        for key, (name, level) in QUEUES.items():
            row = tables.Queue(id=new_id(), key=key, name=name, level=level)
            session.add(row)
            desk.queues[key] = row.id
    return desk


SNAPSHOT: dict[str, Any] = {
    "schema": 1,
    "turn_id": "t",
    "conversation_id": "c",
    "channel": "whatsapp",
    "now": "2026-03-10T13:00:00+00:00",
    "top_intent": "talk_to_person",
    "ranking": [["talk_to_person", 0.91], ["complaint", 0.05], ["refund", 0.02]],
    "language": "pt",
    "failures": 1,
}
DECISION: dict[str, Any] = {
    "turn_id": "t",
    "decided_at": "2026-03-10T13:00:00+00:00",
    "outcome": "handoff",
    "rule": "asked_for_person",
    "rule_version": "asked_for_person@v1",
    "policy": "test",
    "policy_version": "v1",
    "reason": "customer_request",
    "understanding": "confident",
    "counts_as_failure": False,
    "message_key": "person_soon",
    "level": "N1",
    "queue": "n1_support",
    "priority": "normal",
    "severity": "S3",
    "skills": [],
    "sla_target_minutes": 240,
    "needed_by": None,
    "hours_open": True,
    "expected_opening": None,
    "calendar": "always@v1",
    "options": [],
    "evaluations": [
        {
            "rule": "critical_intents",
            "outcome": "handoff",
            "matched": False,
            "conditions": [
                {
                    "alternative": 0,
                    "fact": "intent",
                    "seen": "talk_to_person",
                    "wanted": "one of report_fraud, safety_incident",
                    "met": False,
                }
            ],
        },
        {
            "rule": "asked_for_person",
            "outcome": "handoff",
            "matched": True,
            "conditions": [
                {
                    "alternative": 0,
                    "fact": "intent",
                    "seen": "talk_to_person",
                    "wanted": "one of talk_to_person",
                    "met": True,
                },
                {
                    "alternative": 0,
                    "fact": "confidence",
                    "seen": "0.91",
                    "wanted": "at least 0.55",
                    "met": True,
                },
            ],
        },
    ],
}
