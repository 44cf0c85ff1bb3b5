"""Builders and fakes for notifications: real database rows, senders that do as they are told."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.domain.failure import Failure, SendFailedError
from notifications.domain.jobs import Job, JobName
from notifications.policy_file import load_policies
from notifications.services.deliver import Deliverer
from notifications.services.failures import FailureNotices
from notifications.services.ports import Accepted, Outgoing, QueueUnavailableError
from notifications.services.recipients import AdminContact
from ticketing.db.engine import Database
from ticketing.db.tables import (
    Agent,
    AgentQueue,
    Contact,
    Conversation,
    Notification,
    OutboxEvent,
    Queue,
    Ticket,
)
from ticketing.services.outbox import add_event

Failing = Callable[..., SendFailedError]
"""Builds a `SendFailedError` from the fields of a `Failure`."""

ADMIN_EMAIL = "chefe@example.com"
ADMIN_PHONE = "+5511912345678"
ADMIN = AdminContact(user_id=ADMIN_EMAIL, phone=ADMIN_PHONE)


class FakeSender:
    """Follows a script: an exception is raised, anything else accepts. Then it accepts for ever."""

    def __init__(self, *script: Exception | Accepted) -> None:
        self.script = list(script)
        self.sent: list[Outgoing] = []

    async def send(self, outgoing: Outgoing, *, now: datetime) -> Accepted:
        self.sent.append(outgoing)
        step = self.script.pop(0) if self.script else Accepted(f"id-{len(self.sent)}")
        if isinstance(step, Exception):
            raise step
        return step


class FakeQueue:
    """Keeps jobs in a list; may be down."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.down = False

    async def enqueue(self, jobs: Sequence[Job]) -> None:
        if self.down:
            raise QueueUnavailableError
        self.jobs.extend(jobs)

    async def waiting(self) -> int:
        if self.down:
            raise QueueUnavailableError
        return len(self.jobs)


class World:
    """The database with short ways to fill it and to look at it."""

    def __init__(self, db: Database, clock: FakeClock) -> None:
        self.db = db
        self.clock = clock
        self.queue = FakeQueue()
        self._queue: Queue | None = None
        self.give_up = FailureNotices(load_policies(), ADMIN)

    async def add(self, *rows: Any) -> None:
        async with self.db.transaction() as session:
            for row in rows:
                session.add(row)
                await session.flush()

    async def make_queue(self, key: str = "n1") -> Queue:
        queue = Queue(id=new_id(), key=key, name=f"Fila {key}", level="N1")
        await self.add(queue)
        return queue

    async def make_ticket(self, queue: Queue | None = None, *, priority: str = "normal") -> Ticket:
        if queue is None:
            self._queue = self._queue or await self.make_queue()
            queue = self._queue
        now = self.clock.now()
        contact = Contact(id=new_id(), name="Maria da Silva", created_at=now)
        conversation = Conversation(
            id=new_id(),
            contact_id=contact.id,
            channel="whatsapp",
            account_id="1",
            address="+5531988887777",
            created_at=now,
        )
        ticket = Ticket(
            id=new_id(),
            conversation_id=conversation.id,
            contact_id=contact.id,
            queue_id=queue.id,
            channel="whatsapp",
            subject="Pedido atrasado",
            priority=priority,
            severity="S3",
            level="N1",
            opened_at=now,
            correlation_id="c-1",
        )
        await self.add(contact, conversation, ticket)
        return ticket

    async def make_agent(
        self,
        email: str,
        *queues: Queue,
        active: bool = True,
        on_duty: bool = True,
        languages: Sequence[str] = (),
    ) -> Agent:
        agent = Agent(
            id=new_id(),
            email=email,
            name=email,
            password_hash="-",
            role="agent",
            active=active,
            on_duty=on_duty,
            languages=list(languages),
            created_at=self.clock.now(),
        )
        served = [AgentQueue(agent_id=agent.id, queue_id=queue.id) for queue in queues]
        await self.add(agent, *served)
        return agent

    async def make_event(
        self, ticket: Ticket, topic: str = "ticket.opened", *, version: int = 1, **changes: Any
    ) -> OutboxEvent:
        payload = {
            "ticket_id": str(ticket.id),
            "ticket_number": ticket.number,
            "conversation_id": str(ticket.conversation_id),
            "queue_key": "n1",
            "queue_name": "Primeiro nível",
            "level": "N1",
            "priority": ticket.priority,
            "severity": "S3",
            "reason": "customer_request",
            "rule": "customer-request@1",
            "language": "pt",
            "opened_at": self.clock.now().isoformat(),
        } | changes
        async with self.db.transaction() as session:
            return await add_event(
                session,
                topic=topic,
                payload=payload,
                now=self.clock.now(),
                correlation_id="c-1",
                version=version,
            )

    async def make_notification(
        self, job_name: JobName = JobName.SEND_EMAIL, **changes: Any
    ) -> uuid.UUID:
        ticket = await self.make_ticket()
        values: dict[str, Any] = {
            "id": new_id(),
            "idempotency_key": str(new_id()),
            "job_name": job_name.value,
            "event": "ticket-opened",
            "recipient": "ana@example.com",
            "context": {"ticket_number": ticket.number, "ticket_id": str(ticket.id)},
            "ticket_id": ticket.id,
            "next_attempt_at": self.clock.now(),
            "created_at": self.clock.now(),
            "correlation_id": "c-1",
        }
        row = Notification(**(values | changes))
        await self.add(row)
        return row.id

    async def notifications(self) -> list[Notification]:
        async with self.db.transaction() as session:
            rows = list(await session.scalars(select(Notification)))
        # Ids of one millisecond come in any order: sort by what the tests talk about.
        return sorted(
            rows, key=lambda row: (row.event == "notification-failed", row.job_name, row.recipient)
        )

    async def notification(self, notification_id: uuid.UUID) -> Notification:
        async with self.db.transaction() as session:
            return await session.get_one(Notification, notification_id)

    async def event(self, event_id: uuid.UUID) -> OutboxEvent:
        async with self.db.transaction() as session:
            return await session.get_one(OutboxEvent, event_id)

    def deliverer(
        self, sender: Any, job_name: JobName = JobName.SEND_EMAIL, **options: Any
    ) -> Deliverer:
        values: dict[str, Any] = {
            "db": self.db,
            "clock": self.clock,
            "senders": {job_name: sender},
            "give_up": self.give_up,
            "jitter": lambda: 1.0,
            "record_pauses": (),
        }
        return Deliverer(**(values | options))


@pytest.fixture
def world(db: Database, clock: FakeClock) -> World:
    return World(db, clock)


@pytest.fixture
def fake_sender() -> Callable[..., FakeSender]:
    return FakeSender


@pytest.fixture
def failing() -> Failing:
    return lambda *args, **kwargs: SendFailedError(Failure(*args, **kwargs))
