"""A group of customers who write to Ponte while something of it is killed.

They write through the simulator, like people do: not minding whether anybody listens. A write whose
answer was lost is looked up in the simulator before it is written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

_POLL_SECONDS = 0.25
_BETWEEN_ARRIVALS_SECONDS = 0.15  # two cores carry about ten turns a second: always some under way
_WRITE_PATIENCE_SECONDS = 90.0  # everything may be down and starting
_REPLY_PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class Cohort:
    """Customers numbered within their cohort; every fourth behaves alike.

    Attributes:
        api: The simulator's address, asked anew each time.
        number: Of the cohort; makes the phone numbers different.
        size: How many customers.
        written: How many messages were written so far.
        half_written: Set when half of the customers have begun.
        all_begun: Set when all have.
    """

    http: httpx.AsyncClient
    api: Callable[[], str]
    number: int
    size: int
    written: int = 0
    half_begun: asyncio.Event = field(default_factory=asyncio.Event)
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)
    _count: dict[str, int] = field(default_factory=dict)

    @property
    def phones(self) -> list[str]:
        """The customers' numbers."""
        return [f"+55119{70000000 + self.number * 1000 + index}" for index in range(self.size)]

    async def converse(self) -> None:
        """All conversations, one begun after the other, none waiting for another."""
        async with asyncio.TaskGroup() as group:
            for index, phone in enumerate(self.phones):
                group.create_task(self._conversation(index, phone))
                if index == self.size // 2:
                    self.half_begun.set()
                await asyncio.sleep(_BETWEEN_ARRIVALS_SECONDS)
            self.all_begun.set()

    async def _conversation(self, index: int, phone: str) -> None:
        kinds = (self._answered, self._clarified, self._handed_over, self._form)
        await kinds[index % len(kinds)](phone)

    async def _answered(self, phone: str) -> None:
        """Three messages in a row, as people write who do not wait."""
        for text in ("oi, bom dia", "qual o horario de atendimento de vcs?", "vlw obrigada"):
            await self._write(phone, {"text": text})

    async def _clarified(self, phone: str) -> None:
        """Something unclear, then a button of the question."""
        await self._write(phone, {"text": "tenho um problema com aquilo que comprei"})
        reply = await self._reply(phone, 1)
        if reply is not None and reply["buttons"]:
            await self._write(phone, {"button": 1})
        else:
            await self._write(phone, {"text": "oi?"})

    async def _handed_over(self, phone: str) -> None:
        """A person is asked for, and told more before one has come."""
        await self._write(phone, {"text": "quero falar com um atendente"})
        await self._reply(phone, 1)
        await self._write(phone, {"text": "é sobre o pedido 12345"})

    async def _form(self, phone: str) -> None:
        """A question of the bot, and its answer."""
        await self._write(phone, {"text": "cade meu pedido que nao chegou ainda"})
        await self._reply(phone, 1)
        await self._write(phone, {"text": "é o pedido 12345"})

    async def _write(self, phone: str, body: dict[str, Any]) -> None:
        """Write one message, once."""
        known = self._count.get(phone, 0)
        async with asyncio.timeout(_WRITE_PATIENCE_SECONDS):
            while True:
                try:
                    answer = await self.http.post(
                        f"{self.api()}/messages", json={"from": phone, **body}
                    )
                    answer.raise_for_status()
                    break
                except (httpx.TransportError, httpx.InvalidURL):
                    await asyncio.sleep(_POLL_SECONDS)
                    if await self._messages("from", phone, known + 1):
                        break
        self._count[phone] = known + 1
        self.written += 1

    async def _reply(self, phone: str, number: int) -> dict[str, Any] | None:
        """The customer's reply with this number; None when it takes too long."""
        for _ in range(int(_REPLY_PATIENCE_SECONDS / _POLL_SECONDS)):
            found = await self._messages("to", phone, number)
            if found:
                return found[number - 1]
            await asyncio.sleep(_POLL_SECONDS)
        return None

    async def _messages(self, side: str, phone: str, at_least: int) -> list[dict[str, Any]]:
        """A customer's messages; empty when there are fewer, or nobody can say."""
        try:
            answer = await self.http.get(f"{self.api()}/messages", params={side: phone})
            found: list[dict[str, Any]] = answer.raise_for_status().json()
        except (httpx.TransportError, httpx.InvalidURL):
            return []
        return found if len(found) >= at_least else []
