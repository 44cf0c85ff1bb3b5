"""Ponte's side of the benchmark of notifications: real processes, with every guarantee on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from benchmarks.notification_sides import Bench
from benchmarks.peers.message import number
from kit.clock import SystemClock
from kit.ids import new_correlation_id, new_id
from notifications.broker import DramatiqJobQueue, PonteBroker, make_producer_broker
from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel, Job
from notifications.domain.recipients import Notice
from notifications.services.notices import insert_notices
from notifications.services.wake import wake_sweep
from ticketing.db.engine import Database, make_engine
from ticketing.db.tables import Contact, Conversation, Queue, Ticket
from ticketing.services.outbox import NewEvent, add_events

TRANSACTION = 50
"""Notices that the producer writes in one transaction: what the relay writes for a few events."""

EVENTS = 10
"""Outbox events in one transaction; a busy web process commits about so many together."""

ADMIN_PHONE = "+5511970000000"

_CLOCK = SystemClock()
_CONTEXT = {
    "ticket_number": 1,
    "ticket_id": "01900000-0000-7000-8000-000000000000",
    "queue_key": "n1",
    "queue_name": "Suporte",
    "level": "N1",
    "priority": "high",
    "severity": "S2",
    "reason": "customer_request",
    "from_level": None,
}


@dataclass(slots=True)
class Ponte:
    """`ponte worker` and `ponte scheduler`, PostgreSQL with fsync, every guarantee on.

    `straight` puts a lone job in the queue itself, as the relay does after its commit; otherwise
    the row is written and the scheduler's sweep is woken.
    """

    bench: Bench
    workers: int
    postgres_pid: int
    run: Any
    name: ClassVar[str] = "Ponte"
    straight: bool = True
    _db: Database = field(init=False)
    _broker: PonteBroker = field(init=False)
    _queue: DramatiqJobQueue = field(init=False)
    _scheduler: subprocess.Popen[str] = field(init=False)
    _working: list[subprocess.Popen[str]] = field(default_factory=list)

    def prepare(self) -> None:
        """See `Side`."""
        self._db = Database(make_engine(self.bench.database_url, pool_size=4))
        self._broker = make_producer_broker(self.bench.redis_url)
        self._queue = DramatiqJobQueue(self._broker)
        command = [sys.executable, "-m", "ponte", "scheduler"]
        self._scheduler = self.bench.start("scheduler", command, self._settings())

    def work(self) -> Mapping[str, int]:
        """See `Side`."""
        command = [sys.executable, "-m", "ponte", "worker"]
        self._working = [
            self.bench.start(f"worker-{one}", command, self._settings())
            for one in range(self.workers)
        ]
        found = {f"worker {one + 1}": child.pid for one, child in enumerate(self._working)}
        return found | {"scheduler": self._scheduler.pid, "postgres": self.postgres_pid}

    def rest(self) -> None:
        """See `Side`."""
        for process in self._working:
            self.bench.stop(process)
        self._working = []

    def produce(self, first: int, count: int) -> None:
        """See `Side`."""
        self.run(self._produce(first, count))

    def idle(self, first: int, count: int) -> Mapping[str, float]:
        """See `Side`."""
        found = {}
        for job in range(first, first + count):
            time.sleep(0.3)
            found[number(job)] = self.run(self._one(job))
        return dict(list(found.items())[1:])

    def close(self) -> None:
        """See `Side`."""
        self.rest()
        self.bench.stop(self._scheduler)
        self._broker.close()
        self.run(self._db.close())

    async def _produce(self, first: int, count: int) -> None:
        for start in range(first, first + count, TRANSACTION):
            await self._insert(range(start, min(start + TRANSACTION, first + count)))

    def produce_events(self, count: int) -> None:
        """Write outbox events, as tickets that open do; each is one notice to the admin."""
        self.run(self._produce_events(count))

    async def _produce_events(self, count: int) -> None:
        ticket = await self._ticket()
        now = _CLOCK.now()
        payload = _CONTEXT | {
            "ticket_id": str(ticket.id),
            "ticket_number": ticket.number,
            "conversation_id": str(ticket.conversation_id),
            "rule": "customer-request@1",
            "priority": "normal",
            "language": "pt",
            "opened_at": now.isoformat(),
        }
        for start in range(0, count, EVENTS):
            events = [NewEvent("ticket.opened", payload)] * min(EVENTS, count - start)
            async with self._db.transaction() as session:
                await add_events(session, events, now=now, correlation_id=new_correlation_id())

    async def _ticket(self) -> Ticket:
        now = _CLOCK.now()
        queue = Queue(id=new_id(), key=f"bench-{new_id()}", name="Suporte", level="N1")
        contact = Contact(id=new_id(), created_at=now)
        conversation = Conversation(
            id=new_id(),
            contact_id=contact.id,
            channel="whatsapp",
            account_id="1",
            address="+5511960000000",
            created_at=now,
        )
        ticket = Ticket(
            id=new_id(),
            conversation_id=conversation.id,
            contact_id=contact.id,
            queue_id=queue.id,
            channel="whatsapp",
            subject="Pedido",
            priority="normal",
            severity="S3",
            level="N1",
            opened_at=now,
            correlation_id=new_correlation_id(),
        )
        async with self._db.transaction() as session:
            for row in (queue, contact, conversation, ticket):
                session.add(row)
                await session.flush()
        return ticket

    async def _one(self, job: int) -> float:
        began = time.monotonic()
        if not self.straight:
            await self._insert([job])
            return began
        jobs = await self._insert([job], queued=True)
        began = time.monotonic()
        await self._queue.enqueue(jobs)
        return began

    async def _insert(self, numbers: Sequence[int], *, queued: bool = False) -> Sequence[Job]:
        notices = [
            Notice(
                PolicyEvent.TICKET_ESCALATION,
                Channel.WHATSAPP,
                f"+{number(job)}",
                "pt",
                urgent=False,
            )
            for job in numbers
        ]
        now = _CLOCK.now()
        async with self._db.transaction() as session:
            jobs = await insert_notices(
                session,
                notices,
                key=f"bench:{new_id()}",
                context=dict(_CONTEXT),
                ticket_id=None,
                now=now,
                correlation_id=new_correlation_id(),
                enqueued_at=now if queued else None,
            )
            if not queued:
                await wake_sweep(session)
        return jobs

    def _settings(self) -> dict[str, str]:
        return {
            "PONTE_ENV_FILE": "",
            "PONTE_DATABASE_URL": self.bench.database_url,
            "PONTE_REDIS_URL": self.bench.redis_url,
            "PONTE_STATE_DIR": str(self.bench.folder),
            "PONTE_LOG_FORMAT": "json",
            "WHATSAPP_API_BASE_URL": self.bench.sink_url,
            "WHATSAPP_ACCESS_TOKEN": "bench",
            "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
            "WHATSAPP_APP_SECRET": "bench" * 8,
            "WHATSAPP_VERIFY_TOKEN": "bench" * 8,
            "PONTE_BOT_URL": "http://127.0.0.1:9",
            "PONTE_BOT_SECRET": "bench" * 8,
            "NOTIFICATIONS_ADMIN_PHONE": ADMIN_PHONE,
            # Its alerts would go to the same sink.
            "NOTIFICATIONS_BACKLOG_THRESHOLD": "10000000",
            "PONTE_NOTIFICATIONS_OLDEST_SECONDS": "600",
        }
