"""Notices by the doors that Ponte itself uses: `insert_notices`, and events in the outbox."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from kit.clock import FakeClock, SystemClock
from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.recipients import Notice
from notifications.services.fan_out import insert_notices
from tests.notifications.conftest import World
from ticketing.db.engine import Database, make_engine
from ticketing.domain.enums import DeliveryGuarantee
from ticketing.services.outbox import add_event

BATCH = 200
CONTEXT = {
    "source": "faults",
    "ticket_number": 7,
    "queue_key": "n1",
    "queue_name": "Suporte",
    "level": "N1",
    "priority": "high",
    "severity": "S2",
    "reason": "customer_request",
    "from_level": None,
}
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to produce.

    Attributes:
        count: How many notices; every one to another recipient.
        channels: Taken in turn.
        at_most_once: Whether a notice of unknown fate may not be repeated.
        first: Number of the first recipient.
    """

    count: int
    channels: Sequence[Channel] = (Channel.EMAIL, Channel.WHATSAPP)
    at_most_once: bool = False
    first: int = 0

    def notices(self) -> list[Notice]:
        """One for each number."""
        once, again = DeliveryGuarantee.AT_MOST_ONCE, DeliveryGuarantee.AT_LEAST_ONCE
        return [
            _notice(number, self.channels[number % len(self.channels)], guarantee)
            for number in range(self.first, self.first + self.count)
            for guarantee in [once if self.at_most_once else again]
        ]


def address(number: int, channel: Channel) -> str:
    """Of the recipient with this number."""
    match channel:
        case Channel.EMAIL:
            return f"p{number}@example.com"
        case Channel.PUSH:
            return f"token-{number}"
        case Channel.WHATSAPP | Channel.SMS:
            return f"+55119{80000000 + number}"


def _notice(number: int, channel: Channel, guarantee: DeliveryGuarantee) -> Notice:
    event = PolicyEvent.TICKET_ESCALATION
    to = address(number, channel)
    return Notice(event, channel, to, "pt", urgent=number % 10 == 0, guarantee=guarantee)


async def store(db: Database, notices: Sequence[Notice]) -> set[str]:
    """Insert them in one transaction; the ids, when the commit was seen."""
    async with db.transaction() as session:
        jobs = await insert_notices(
            session,
            notices,
            key=f"fault:{uuid.uuid4()}",
            context=dict(CONTEXT),
            ticket_id=None,
            now=CLOCK.now(),
            correlation_id="faults",
            enqueued_at=None,
        )
    return {str(job.notification_id) for job in jobs}


async def tell(db: Database, payload: Mapping[str, Any]) -> str:
    """Put an escalation of the ticket in the outbox; the event's id, when the commit was seen."""
    async with db.transaction() as session:
        event = await add_event(
            session,
            topic="ticket.escalated",
            payload=dict(payload),
            now=CLOCK.now(),
            correlation_id="faults",
        )
        return str(event.id)


def ticket_payload(url: str) -> dict[str, Any]:
    """A ticket, as the events about it describe it."""

    async def run() -> dict[str, Any]:
        db = Database(make_engine(url))
        try:
            world = World(db, FakeClock(CLOCK.now()))
            queue = await world.make_queue("faults")
            ticket = await world.make_ticket(queue)
            given = {"queue_key": queue.key, "queue_name": queue.name}
            ids = {"ticket_id": str(ticket.id), "ticket_number": ticket.number}
            return CONTEXT | given | ids
        finally:
            await db.close()

    return asyncio.run(run())


def produce(url: str, wanted: Wanted) -> set[str]:
    """All at once, in transactions of some hundred; their ids."""

    async def run() -> set[str]:
        db = Database(make_engine(url))
        try:
            found: set[str] = set()
            notices = wanted.notices()
            for start in range(0, len(notices), BATCH):
                part = notices[start : start + BATCH]
                found |= await store(db, part)
            return found
        finally:
            await db.close()

    return asyncio.run(run())


@dataclass(slots=True)
class Steady:
    """Produces at a rate in a thread of its own until told to stop, whatever dies meanwhile."""

    url: str
    per_second: int
    channels: Sequence[Channel] = (Channel.EMAIL, Channel.WHATSAPP)
    accepted: set[str] = field(default_factory=set)
    event: Mapping[str, Any] | None = None
    """Payload of an event that is put in the outbox with every step, see `ticket_payload`."""
    events: set[str] = field(default_factory=set)
    """Events whose commit was seen."""
    refused: int = 0
    """Transactions whose commit was not seen: their notices count when their rows are there."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="producer")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    async def _run(self) -> None:
        db = Database(make_engine(self.url))
        step_seconds = 0.2
        size = max(1, round(self.per_second * step_seconds))
        number = 0
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stop.is_set():
            part = Wanted(size, self.channels, first=number).notices()
            number += size
            try:
                async with asyncio.timeout(20):
                    self.accepted |= await store(db, part)
                    if self.event is not None:
                        self.events.add(await tell(db, self.event))
            except (SQLAlchemyError, OSError, TimeoutError):
                self.refused += 1
            due = max(due + step_seconds, loop.time() - 2)
            await asyncio.sleep(max(0.0, due - loop.time()))
        await db.close()
