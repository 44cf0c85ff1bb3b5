"""Fetch jobs of one queue: woken when one is put in, and leaving none stranded.

Dramatiq's consumer sleeps when it finds nothing, so a lone job waits for half of that sleep. This
one waits for a word of `notifications.broker.wake`; it looks by itself only as a net.

A fetch whose answer is lost (Redis stalled or restarted), or an acknowledgement that was not taken,
leaves an id in this process's set of unacknowledged messages for as long as the process lives
(reproduced on Dramatiq 2.2.1). Such ids are put back: the row decides whether anything is to be
done about them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

import redis
import structlog
from dramatiq import Message, MessageProxy
from dramatiq.brokers.redis import _RedisConsumer
from dramatiq.errors import ConnectionClosed, DecodeError

if TYPE_CHECKING:
    from notifications.broker.queues import PonteBroker

log = structlog.get_logger()


class ReadyConsumer(_RedisConsumer):
    """Consumer of one queue in one process; there is no other of that queue on its broker."""

    broker: PonteBroker
    message_cache: list[bytes | None]

    def __init__(self, broker: PonteBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        # No sleep of its own: `timeout` is how long it waits here for a word.
        super().__init__(broker, queue_name, prefetch, 0)  # type: ignore[no-untyped-call]
        self._wait_seconds = timeout / 1000
        self._ready = broker.ready(queue_name)
        # Of the broker, not of this object: after a lost connection there is a new consumer, and
        # what the threads have from the old one is still in their hands.
        self._in_hand = broker.in_hand(queue_name)
        self._suspects: set[str] = set()
        self._next_look = time.monotonic() + broker.stranded_look.total_seconds()

    def __next__(self) -> MessageProxy | None:
        """The next message; None when there was none for a while.

        Raises:
            ConnectionClosed: Redis does not answer; Dramatiq makes a new consumer.
        """
        # Before the fetch: a word that comes after it is not lost.
        self._ready.clear()
        try:
            message = self._next_fetched()
            if message is not None:
                return message
            if time.monotonic() >= self._next_look:
                self._take_back_stranded()
        except redis.RedisError as error:
            raise _closed(error) from error
        self._ready.wait(self._wait_seconds)
        return None

    def _next_fetched(self) -> MessageProxy | None:
        room = self.prefetch - len(self._in_hand)
        if not self.message_cache and room > 0:
            self.message_cache = self.broker.do_fetch(self.queue_name, room)
        while self.message_cache:
            body = self.message_cache.pop(0)
            message = None if body is None else self._read(body)
            if message is not None:
                self._in_hand.add(message.options["redis_message_id"])
                return MessageProxy(message)
            if body is not None:
                self._put_aside_unreadable()
        return None

    def ack(self, message: MessageProxy) -> None:
        """Done with it; there is room for another.

        Raises:
            ConnectionClosed: Redis does not answer; Dramatiq tries again.
        """
        try:
            self.broker.do_ack(self.queue_name, message.options["redis_message_id"])
        except redis.RedisError as error:
            raise _closed(error) from error
        self._let_go(message)

    def nack(self, message: MessageProxy) -> None:
        """It goes to the dead set; there is room for another.

        Raises:
            ConnectionClosed: Redis does not answer; Dramatiq tries again.
        """
        try:
            self.broker.do_nack(self.queue_name, message.options["redis_message_id"])
        except redis.RedisError as error:
            raise _closed(error) from error
        self._let_go(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put back what no thread has begun with."""
        messages = list(messages)
        self._put_back([message.options["redis_message_id"] for message in messages])
        for message in messages:
            self._let_go(message)

    def close(self) -> None:
        """Put back what was fetched and not handed out."""
        if not self.message_cache:
            return
        self.message_cache = []
        try:
            self._put_back(self._loose())
        except redis.RedisError as error:
            raise _closed(error) from error

    def _let_go(self, message: MessageProxy) -> None:
        self._in_hand.discard(message.options["redis_message_id"])
        self._ready.set()

    def _take_back_stranded(self) -> None:
        """Put ids back that are noted as ours and are in nobody's hands, at two looks running."""
        self._next_look = time.monotonic() + self.broker.stranded_look.total_seconds()
        # Also a sign of life: with all threads busy for a minute nothing is fetched, and the others
        # would take this process for dead and run what it has in hand.
        self.broker.do_fetch(self.queue_name, 0)
        loose = self._loose()
        stranded = loose & self._suspects
        self._suspects = loose - stranded
        if stranded:
            self._put_back(stranded)
            log.warning("jobs.stranded_put_back", queue=self.queue_name, count=len(stranded))

    def _loose(self) -> set[str]:
        """Ids that are noted as fetched by us and that no thread has."""
        key = f"{self.broker.namespace}:__acks__.{self.broker.broker_id}.{self.queue_name}"
        noted: Any = self.broker.client.smembers(key)
        return {one.decode() for one in noted} - self._in_hand

    def _put_back(self, ids: Collection[str]) -> None:
        if ids:
            self.broker.do_requeue(self.queue_name, *ids)

    def _put_aside_unreadable(self) -> None:
        """Move what is no message to the dead set, and put the rest of the fetch back.

        Which id it was stands nowhere but in the body, so all are looked at.
        """
        self.message_cache = []
        loose = self._loose()
        key = f"{self.broker.namespace}:{self.queue_name}.msgs"
        for one in loose:
            body: Any = self.broker.client.hget(key, one)
            message = None if body is None else self._read(body)
            if body is not None and (message is None or message.options["redis_message_id"] != one):
                self.broker.do_nack(self.queue_name, one)
                log.error("jobs.unreadable", queue=self.queue_name)
            else:
                self._put_back([one])

    def _read(self, body: bytes) -> Message[None] | None:
        """The message; None when it is none, or one that would end Dramatiq's threads."""
        try:
            message: Any = Message.decode(body)
        except DecodeError:
            return None
        sound = (
            message.queue_name == self.queue_name
            and isinstance(message.actor_name, str)
            and isinstance(message.kwargs, dict)
            and isinstance(message.options, dict)
            and isinstance(message.options.get("redis_message_id"), str)
            and isinstance(message.message_timestamp, int | float)
            # Nothing of ours is delayed, and nobody looks for what Dramatiq would put aside.
            and "eta" not in message.options
        )
        found: Message[None] | None = message if sound else None
        return found


def _closed(error: redis.RedisError) -> ConnectionClosed:
    """Dramatiq's word for it: a time-out, or a Redis that is loading, is none to it otherwise."""
    return ConnectionClosed(error)  # type: ignore[no-untyped-call]
