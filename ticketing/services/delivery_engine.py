"""Send what waits to be sent, in the order of each conversation, and try again as planned."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select

from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.db.tables import Message
from ticketing.domain.delivery import Failure, GiveUp
from ticketing.domain.enums import DeliveryState, Direction
from ticketing.services import deliveries, leases
from ticketing.services.deliveries import Dispatch
from ticketing.services.due import has_come_in
from ticketing.services.ports import Sender, SendFailedError

log = structlog.get_logger()


ACKNOWLEDGE_AFTER_SECONDS = 0.01
"""The bot is asked first; the read mark is sent while it thinks."""


async def _after_a_moment(work: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.sleep(ACKNOWLEDGE_AFTER_SECONDS)
    except asyncio.CancelledError:
        work.close()
        raise
    await work


@dataclass(slots=True)
class DeliveryEngine:
    """One per process; several processes may run: every message is claimed by one of them.

    Attributes:
        senders: Channel name to its sender.
        owner: Name of this process, unique.
        jitter: Numbers in [0, 1).
        unknown_wait: How long a message that may have been sent waits for its status.
    """

    db: Database
    clock: Clock
    senders: Mapping[str, Sender]
    owner: str
    jitter: Callable[[], float]
    unknown_wait: timedelta
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def wake(self, id_: uuid.UUID) -> None:
        """A message waits to be sent; call from the engine's event loop."""
        self._spawn(self._send(id_))

    def wake_conversation(self, conversation_id: uuid.UUID) -> None:
        """A conversation may have further messages waiting behind one that has left."""
        self._spawn(self._send_rest(conversation_id))

    def acknowledge(self, channel: str, account_id: str, provider_id: str | None) -> None:
        """Show "read" and "typing" to the customer, without waiting and without promise."""
        sender = self.senders.get(channel)
        if sender is not None and provider_id is not None:
            self._spawn(_after_a_moment(sender.acknowledge(account_id, provider_id)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep(self) -> int:
        """Send what is due and free what a dead process held; returns how many were looked at."""
        now = self.clock.now()
        await deliveries.expire_leases(self.db, now=now, unknown_wait=self.unknown_wait)
        due = await deliveries.due(self.db, now=now)
        for message_id in due:
            self.wake(message_id)
        return len(due)

    async def take_back(self) -> None:
        """Free what a dead predecessor held; once, before the sweeps begin."""
        count = await leases.take_back(
            self.db, owner=self.owner, now=self.clock.now(), unknown_wait=self.unknown_wait
        )
        if count:
            log.warning("leases.taken_back", count=count)

    async def drain(self) -> None:
        """Wait until every send that is under way has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send_claimed(self, dispatch: Dispatch) -> None:
        """Send a message that is already claimed, and record what came of it."""
        sender = self.senders.get(dispatch.channel)
        try:
            if sender is None:
                detail = f"no sender for channel {dispatch.channel}"
                raise SendFailedError(Failure("permanent", "no_sender", detail))  # noqa: TRY301 - one place records
            provider_id = await sender.send(dispatch)
        except SendFailedError as error:
            await self._failed(dispatch, error.failure)
        except Exception as error:
            log.exception("delivery.fault", message_id=str(dispatch.message_id))
            failure = Failure("unknown", type(error).__name__, "an error of our own")
            await self._failed(dispatch, failure)
        else:
            await deliveries.record_sent(self.db, dispatch.message_id, provider_id=provider_id)
            log.info("delivery.sent", message_id=str(dispatch.message_id), attempt=dispatch.attempt)

    async def _failed(self, dispatch: Dispatch, failure: Failure) -> None:
        plan = await deliveries.record_failure(
            self.db,
            dispatch.message_id,
            failure=failure,
            now=self.clock.now(),
            jitter=self.jitter(),
            unknown_wait=self.unknown_wait,
        )
        log.warning(
            "delivery.failed",
            message_id=str(dispatch.message_id),
            attempt=dispatch.attempt,
            kind=failure.kind,
            code=failure.code,
            action="give_up" if isinstance(plan, GiveUp) else "retry",
        )

    async def _claim(self, message_id: uuid.UUID) -> Dispatch | None:
        return await deliveries.claim(
            self.db,
            message_id,
            owner=self.owner,
            now=self.clock.now(),
            unknown_wait=self.unknown_wait,
        )

    async def _send(self, message_id: uuid.UUID) -> None:
        try:
            dispatch = await self._claim(message_id)
            if dispatch is not None:
                await self.send_claimed(dispatch)
                await self._send_rest(dispatch.conversation_id)
        except Exception:
            log.exception("delivery.engine_fault", message_id=str(message_id))

    async def _send_rest(self, conversation_id: uuid.UUID) -> None:
        while True:
            async with self.db.transaction() as session:
                waiting = await session.scalar(
                    select(Message.id)
                    .where(
                        Message.conversation_id == conversation_id,
                        Message.direction == Direction.OUTBOUND.value,
                        Message.delivery == DeliveryState.PENDING.value,
                        has_come_in(Message.next_attempt_at, now=self.clock.now()),
                    )
                    .order_by(Message.id)
                    .limit(1)
                )
            if waiting is None:
                return
            dispatch = await self._claim(waiting)
            if dispatch is None:
                return
            await self.send_claimed(dispatch)
