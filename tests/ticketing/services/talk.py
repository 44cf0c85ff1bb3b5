"""A small world for tests of turns: real database and rules, a scripted bot, a recording sender."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from channels.message import InboundMessage, MessageKind, SenderIdentity, StatusUpdate
from handoff.policy_file import load_policy
from handoff.policy_holder import PolicyHolder
from handoff.silence import SilenceTimes
from kit.clock import FakeClock
from ponte.holiday_dates import holiday_dates
from ticketing.db.engine import Database
from ticketing.db.tables import Base, Conversation, Message
from ticketing.domain.delivery import Failure
from ticketing.domain.language import Guess
from ticketing.domain.turn import Parse, TurnFacts, snapshot_of
from ticketing.services import rulings
from ticketing.services.deliveries import Dispatch
from ticketing.services.delivery_engine import DeliveryEngine
from ticketing.services.inbound_engine import InboundEngine
from ticketing.services.ports import BotReply, BotUnavailableError, SendFailedError
from ticketing.services.silence import SilenceSweep
from ticketing.services.turn_engine import EngineSettings, TurnEngine

POLICY = load_policy(
    Path(__file__).resolve().parents[3] / "handoff.yml", holiday_dates=holiday_dates
)
TIMES = SilenceTimes(timedelta(minutes=5), timedelta(minutes=10))
CUSTOMER = "+5511987654321"

_wamids = itertools.count(1)


def inbound_text(
    text: str | None,
    *,
    at: datetime,
    phone: str | None = CUSTOMER,
    user_id: str | None = None,
    wamid: str | None = None,
    kind: MessageKind = MessageKind.TEXT,
    reply_id: str | None = None,
) -> InboundMessage:
    """A customer's message as the WhatsApp parser would give it."""
    return InboundMessage(
        channel="whatsapp",
        provider_id=wamid or f"wamid.{next(_wamids)}",
        account_id="1000",
        sender=SenderIdentity(user_id=user_id, phone=phone, profile_name="Maria"),
        kind=kind,
        timestamp=at,
        raw={"text": text},
        text=text,
        reply_id=reply_id,
    )


def status(wamid: str, word: str, *, callback_data: str | None = None) -> StatusUpdate:
    """A status webhook's item."""
    return StatusUpdate(
        channel="whatsapp",
        provider_id=wamid,
        account_id="1000",
        status=word,
        timestamp=None,
        recipient=SenderIdentity(),
        raw={"id": wamid, "status": word},
        callback_data=callback_data,
    )


@dataclass
class ScriptedBot:
    """Answers by a table text -> (intent, confidence), and lets the real rules decide, as Rasa's
    action server does. It keeps every answer by message id and replays it, as `bot/` does."""

    db: Database
    clock: FakeClock
    understands: dict[str, tuple[str, float]] = field(default_factory=dict)
    down: bool = False
    skip_actions: bool = False
    dies_after_deciding: bool = False
    says_nothing: bool = False
    form: str | None = None
    """The form that asks after every turn."""
    utter_action: str | None = None
    buttons: list[dict[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str | None, TurnFacts]] = field(default_factory=list)
    answers: dict[str, BotReply] = field(default_factory=dict)

    async def turn(self, facts: TurnFacts, *, text: str, payload: str | None) -> BotReply:
        self.asked.append((text, payload, facts))
        if self.down:
            message = "ConnectError"
            raise BotUnavailableError(message, reachable=False)
        if facts.message_id in self.answers:
            return self.answers[facts.message_id]
        if payload is not None:
            intent, score = payload[1:].split("{")[0], 1.0
        else:
            intent, score = self.understands.get(text, ("order_status", 0.2))
        others = [name for name in ("refund", "cancel", "invoice_copy") if name != intent]
        rest = [(name, (1 - score) / len(others)) for name in others]
        parse = Parse(intent, tuple(sorted([(intent, score), *rest], key=lambda pair: -pair[1])))
        if not self.skip_actions:
            ruling = await rulings.rule(
                self.db,
                snapshot_of(facts, parse, POLICY, text=text),
                POLICY,
                model_version="scripted",
                now=self.clock.now(),
                correlation_id=facts.correlation_id,
            )
            if ruling.decision.is_handoff:
                await rulings.hand_over(
                    self.db,
                    ruling,
                    POLICY,
                    now=self.clock.now(),
                    correlation_id=facts.correlation_id,
                )
        if self.dies_after_deciding:
            message = "RemoteProtocolError"
            raise BotUnavailableError(message, reachable=True)
        replies: list[dict[str, Any]] = [
            {"text": f"answer to {intent}"},
            {"text": "and more", "buttons": self.buttons, "utter_action": self.utter_action},
        ]
        if self.says_nothing:
            replies = []
        reply = BotReply(replies, parse, self.form, "scripted", replayed=False)
        self.answers[facts.message_id] = reply
        return reply


@dataclass
class RecordingSender:
    """Remembers what was sent; fails as told."""

    sent: list[Dispatch] = field(default_factory=list)
    failures: list[Failure | None] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    async def send(self, dispatch: Dispatch) -> str:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None and failure.kind != "unknown":
            raise SendFailedError(failure)
        self.sent.append(dispatch)
        if failure is not None:
            raise SendFailedError(failure)
        return f"wamid.out.{dispatch.message_id}"

    async def acknowledge(self, account_id: str, provider_id: str) -> None:
        self.read.append(provider_id)

    @property
    def texts(self) -> list[str]:
        return [dispatch.message.text for dispatch in self.sent]


class PortugueseOnly:
    """A language detector that never doubts."""

    def guess(self, text: str) -> Guess | None:
        return Guess("pt", 0.99, "pt", 0.99, len(text.split()))


@dataclass
class World:
    """Everything a test of turns needs."""

    db: Database
    clock: FakeClock
    bot: ScriptedBot
    sender: RecordingSender
    inbound: InboundEngine
    turns: TurnEngine
    delivery: DeliveryEngine
    silence: SilenceSweep

    async def say(self, text: str | None, **kwargs: Any) -> uuid.UUID:
        """The customer writes and everything that follows at once happens; the message's id."""
        item = inbound_text(text, at=self.clock.now(), **kwargs)
        await self.receive(item)
        found = await self.row(select(Message).where(Message.provider_id == item.provider_id))
        assert isinstance(found, Message)
        return found.id

    async def receive(self, *items: Any) -> None:
        await self.inbound.accept(items, "c0ffee")
        await self.settle()

    async def settle(self) -> None:
        await self.inbound.drain()
        await self.turns.drain()
        await self.delivery.drain()
        await self.turns.drain()

    async def later(self, seconds: float) -> None:
        """Time passes, and the sweeps run."""
        self.clock.advance(timedelta(seconds=seconds))
        await self.inbound.sweep()
        await self.turns.sweep()
        await self.silence.sweep()
        await self.delivery.sweep()
        await self.settle()

    async def row(self, statement: Any) -> Any:
        async with self.db.transaction() as session:
            return await session.scalar(statement)

    async def rows(self, table: type[Base]) -> list[Any]:
        async with self.db.transaction() as session:
            return list(await session.scalars(select(table)))

    async def conversation(self) -> Conversation:
        (only,) = await self.rows(Conversation)
        assert isinstance(only, Conversation)
        return only


def make_world(db: Database, clock: FakeClock, *, owner: str = "web:test") -> World:
    sender = RecordingSender()
    bot = ScriptedBot(db, clock)
    delivery = DeliveryEngine(
        db=db,
        clock=clock,
        senders={"whatsapp": sender},
        owner=owner,
        jitter=lambda: 0.5,
        unknown_wait=timedelta(seconds=30),
    )
    turns = TurnEngine(
        db=db,
        clock=clock,
        bot=bot,
        detector=PortugueseOnly(),
        policies=PolicyHolder(POLICY),
        delivery=delivery,
        settings=EngineSettings(owner=owner, startup_grace=timedelta(seconds=5), silence=TIMES),
    )
    inbound = InboundEngine(db=db, clock=clock, wake_conversation=turns.wake)
    silence = SilenceSweep(
        db=db,
        clock=clock,
        policy=turns.policies.current,
        times=TIMES,
        wake=delivery.wake_conversation,
    )
    return World(db, clock, bot, sender, inbound, turns, delivery, silence)
