"""Redis holds ids of jobs and nothing else, by design; this looks whether that is still so.

Every key and value of our prefixes is searched for the person's numbers and addresses. A whole key
is removed only when it is a plain value; out of a hash, a list or a set goes the member.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError

from ticketing.domain.privacy import Person
from ticketing.services.person_stores import Part, StoreError

TIMEOUT_SECONDS = 5.0
PREFIX = "ponte:"


@dataclass(frozen=True, slots=True)
class RedisStore:
    """The jobs' Redis; only keys under `prefix` are looked at, it may be shared."""

    url: str
    prefix: str = PREFIX

    @property
    def name(self) -> str:
        """For people."""
        return "redis"

    async def count(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return await self._walk(person, remove=False)

    async def erase(self, person: Person, *, cutoff: datetime) -> int:
        """See `PersonStore`."""
        del cutoff
        return await self._walk(person, remove=True)

    async def export(self, person: Person, *, cutoff: datetime) -> Sequence[Part]:
        """Nothing: whatever were found would be a copy."""
        del person, cutoff
        return ()

    async def _walk(self, person: Person, *, remove: bool) -> int:
        if not self.url:
            return 0
        needles = [form.encode() for form in person.addresses]
        found = 0
        client: Any = redis.Redis.from_url(
            self.url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )
        try:
            async for key in client.scan_iter(match=f"{self.prefix}*", count=500):
                if _holds(key, needles):
                    found += 1
                    if remove:
                        await client.delete(key)
                    continue
                async for value, take_out in _members(client, key):
                    if _holds(value, needles):
                        found += 1
                        if remove:
                            await client.execute_command(*take_out)
        except (RedisError, OSError) as error:
            message = f"Redis does not answer ({type(error).__name__})"
            raise StoreError(message) from error
        finally:
            await client.aclose()
        return found


def _holds(value: bytes, needles: Sequence[bytes]) -> bool:
    return any(needle in value for needle in needles)


async def _members(client: Any, key: bytes) -> AsyncIterator[tuple[bytes, tuple[Any, ...]]]:
    """Every part of a value, with the command that removes it."""
    kind = (await client.type(key)).decode()
    if kind == "hash":
        async for name, value in client.hscan_iter(key):
            yield name + b" " + value, ("HDEL", key, name)
        return
    for value in await _plain_members(client, key, kind):
        yield value, (*_TAKE_OUT[kind](key), value) if kind != "string" else ("DEL", key)


_TAKE_OUT: dict[str, Callable[[bytes], tuple[Any, ...]]] = {
    "list": lambda key: ("LREM", key, 0),
    "set": lambda key: ("SREM", key),
    "zset": lambda key: ("ZREM", key),
}


async def _plain_members(client: Any, key: bytes, kind: str) -> list[bytes]:
    if kind == "string":
        value = await client.get(key)
        return [] if value is None else [value]
    if kind == "list":
        return list(await client.lrange(key, 0, -1))
    if kind == "set":
        return [value async for value in client.sscan_iter(key)]
    if kind == "zset":
        return [value async for value, _ in client.zscan_iter(key)]
    return []  # streams and modules: Ponte uses none
