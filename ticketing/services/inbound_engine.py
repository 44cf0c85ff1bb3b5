"""Process stored webhook items at once, and find those that a dead process left."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from channels.message import InboundItem
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.services import inbound
from ticketing.services.notice_inbox import NoticeInbox

log = structlog.get_logger()

_ABANDONED_AFTER = timedelta(seconds=5)
_PARALLEL = 8  # customers at once; each takes a database connection


@dataclass(slots=True)
class InboundEngine:
    """Turns stored items into messages, turns and statuses.

    Attributes:
        wake_conversation: Called for a conversation that has a new turn.
        notices: What arrives about notices to agents is theirs.
        privacy_key: PONTE_PRIVACY_KEY; recognises late copies of who was erased. Empty: does not.
    """

    db: Database
    clock: Clock
    wake_conversation: Callable[[uuid.UUID], None]
    notices: NoticeInbox | None = None
    privacy_key: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PARALLEL))

    async def accept(self, items: Sequence[InboundItem], correlation_id: str) -> inbound.Stored:
        """Store the items of one webhook; when this returns they are safe.

        What they mean is worked out right after, while the caller answers; for a webhook of one
        item it is worked out with it.
        """
        if len(items) == 1:
            stored = await self._at_once(items[0], correlation_id)
            if stored is not None:
                return stored
        stored = await inbound.store(
            self.db, items, now=self.clock.now(), correlation_id=correlation_id
        )
        for group in stored.groups:
            task = asyncio.get_running_loop().create_task(self._process_group(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return stored

    async def _at_once(self, item: InboundItem, correlation_id: str) -> inbound.Stored | None:
        """Store and process in one transaction; None when that failed and nothing was stored."""
        try:
            done = await inbound.store_and_process(
                self.db,
                item,
                now=self.clock.now(),
                correlation_id=correlation_id,
                privacy_key=self.privacy_key,
                notices=self.notices,
            )
        except Exception:
            log.exception("inbound.not_at_once", correlation_id=correlation_id)
            return None
        if done is None:
            return inbound.Stored((), duplicates=1)
        if done.conversation_id is not None:
            self.wake_conversation(done.conversation_id)
        return inbound.Stored((), duplicates=0, processed=1)

    async def sweep(self) -> int:
        """Process what nobody has processed; returns how many items."""
        left = await inbound.waiting(self.db, before=self.clock.now() - _ABANDONED_AFTER)
        await self._process_group(left)
        return len(left)

    async def drain(self) -> None:
        """Wait until everything that was accepted has been processed."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _process_group(self, item_ids: Sequence[uuid.UUID]) -> None:
        """Process in order; wake conversations at the end, when all of their messages are there."""
        waiting: dict[uuid.UUID, None] = {}
        async with self._slots:
            for item_id in item_ids:
                try:
                    done = await inbound.process(
                        self.db,
                        item_id,
                        now=self.clock.now(),
                        privacy_key=self.privacy_key,
                        notices=self.notices,
                    )
                except Exception:
                    # The database went away: the sweep comes back to it.
                    log.exception("inbound.not_processed", message_id=str(item_id))
                    continue
                if done.conversation_id is not None:
                    waiting[done.conversation_id] = None
        for conversation_id in waiting:
            self.wake_conversation(conversation_id)
