"""The customers of both sides: the same texts, in the same order, one turn at a time each."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.meta_sink import MetaSink
from benchmarks.running import PlainRasa, Ponte
from benchmarks.wire import Connection
from channels.whatsapp.signature import sign
from kit.clock import Clock, SystemClock
from ticketing.domain.turn import TurnFacts

# Every one is answered by the bot; the order status opens a form, which the number fills.
TEXTS = (
    "oi, bom dia",
    "qual o horario de atendimento de vcs?",
    "vlw obrigada",
    "cade meu pedido que nao chegou ainda",
    "é o pedido 12345",
)
PATIENCE_SECONDS = 20.0
_OK = 200


class LostError(Exception):
    """A message got no answer, or not exactly one."""


class Customer(Protocol):
    """One who writes, waits for the answer, and writes again."""

    async def turn(self) -> float:
        """One message and its answer; seconds between the two.

        Raises:
            LostError: there was no answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """Wall-clock times of one turn, to be matched with the logs.

    Attributes:
        correlation_id: As the webhook's answer tells.
        sent: When the webhook was posted, epoch seconds.
        answered: When the reply reached Meta.
    """

    correlation_id: str
    sent: float
    answered: float


@dataclass(slots=True)
class PonteCustomer:
    """Writes by signed webhooks; answers arrive at the sink."""

    ponte: Ponte
    sink: MetaSink
    number: str
    clock: Clock = field(default_factory=SystemClock)
    sent: int = 0
    times: list[TurnTimes] = field(default_factory=list)
    _connection: Connection | None = None

    async def turn(self) -> float:
        """One webhook, until the reply's POST has arrived."""
        if self._connection is None:
            self._connection = Connection(self.ponte.url)
        wall = self.clock.now()
        body = self._webhook(TEXTS[self.sent % len(TEXTS)], int(wall.timestamp()))
        signature = sign(body, self.ponte.secrets["WHATSAPP_APP_SECRET"])
        number = self.sent
        self.sent += 1
        began = time.perf_counter()
        answer = await self._connection.post(
            "/webhooks/whatsapp", body, {"X-Hub-Signature-256": signature}
        )
        if answer.status != _OK:
            message = f"webhook: HTTP {answer.status}"
            raise LostError(message)
        try:
            arrived = await self.sink.arrival(self.number, number, patience=PATIENCE_SECONDS)
        except TimeoutError as error:
            message = f"message {number + 1} had no answer within {PATIENCE_SECONDS:g} s"
            raise LostError(message) from error
        correlation_id = answer.headers.get("x-correlation-id", "")
        took = arrived - began
        self.times.append(TurnTimes(correlation_id, wall.timestamp(), wall.timestamp() + took))
        return took

    @property
    def name(self) -> str:
        """Who this is, in a message about a problem."""
        return f"customer {self.number} of Ponte"

    @property
    def problem(self) -> str | None:
        """What is wrong when answers and messages are counted; None when all is well."""
        got = len(self.sink.arrivals[self.number])
        return None if got == self.sent else f"{self.sent} messages, {got} answers"

    def _webhook(self, text: str, seconds: int) -> bytes:
        message = {
            "from": self.number,
            "id": f"wamid.{uuid.uuid4().hex}",
            "timestamp": str(seconds),
            "type": "text",
            "text": {"body": text},
        }
        value = {
            "messaging_product": "whatsapp",
            "metadata": {
                "display_phone_number": "551155501234",
                "phone_number_id": self.ponte.secrets["WHATSAPP_PHONE_NUMBER_ID"],
            },
            "contacts": [{"profile": {"name": "Cliente"}, "wa_id": self.number}],
            "messages": [message],
        }
        change = {"field": "messages", "value": value}
        entry = {"id": "102290129340398", "changes": [change]}
        return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


@dataclass(slots=True)
class PlainCustomer:
    """Writes to Rasa's REST channel, with the facts our actions need as metadata."""

    rasa: PlainRasa
    conversation_id: str
    clock: Clock = field(default_factory=SystemClock)
    sent: int = 0
    answers: int = 0
    _connection: Connection | None = None

    async def turn(self) -> float:
        """One POST, until its answer is there."""
        if self._connection is None:
            self._connection = Connection(self.rasa.url)
        facts = TurnFacts(
            message_id=str(uuid.uuid4()),
            conversation_id=self.conversation_id,
            correlation_id=uuid.uuid4().hex[:16],
            channel="whatsapp",
            sent_at=self.clock.now().isoformat(),
        )
        body = json.dumps(
            {
                "sender": self.conversation_id,
                "message": TEXTS[self.sent % len(TEXTS)],
                "metadata": facts.to_json(),
            }
        ).encode()
        self.sent += 1
        began = time.perf_counter()
        answer = await self._connection.post("/webhooks/rest/webhook", body, {})
        took = time.perf_counter() - began
        replies: list[Any] = json.loads(answer.body) if answer.status == _OK else []
        self.answers += bool(replies)
        if not replies:
            message = f"plain Rasa: HTTP {answer.status} and {len(replies)} replies"
            raise LostError(message)
        return took

    @property
    def name(self) -> str:
        """Who this is, in a message about a problem."""
        return f"customer {self.conversation_id} of plain Rasa"

    @property
    def problem(self) -> str | None:
        """What is wrong when answers and messages are counted; None when all is well."""
        if self.answers == self.sent:
            return None
        return f"{self.sent} messages, {self.answers} answers"
