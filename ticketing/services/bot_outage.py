"""Tell the admin that the bot does not answer, and that it answers again; once for each outage.

It is written in the transaction that ends a turn, so it is told when (and only when) the customer
has a person instead of the bot.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.domain.operation_alerts import AlertState, Decision, broke, mended
from ticketing.domain.turn import TurnFacts
from ticketing.services.operation_alerts import follow
from ticketing.services.ports import Bot, BotReply

ALERT = "bot"
UNAVAILABLE, RECOVERED = "bot.unavailable", "bot.recovered"
_SOURCE = "turn-engine"

LOOK_AGAIN = timedelta(minutes=1)
"""How long this process believes what it knows: another one may have told of an outage and died."""

Write = Callable[[AsyncSession], Awaitable[None]]


@dataclass(slots=True)
class HeardBot:
    """The bot, and whether it answered: many turns are concluded without asking it."""

    bot: Bot
    answered: bool = False

    async def turn(self, facts: TurnFacts, *, text: str, payload: str | None) -> BotReply:
        """See `Bot.turn`."""
        reply = await self.bot.turn(facts, text=text, payload=payload)
        self.answered = True
        return reply


@dataclass(frozen=True, slots=True)
class _News:
    """What a turn found out: the bot answered, or did not since `missed_since`."""

    missed_since: datetime | None
    correlation_id: str


@dataclass(slots=True)
class BotOutage:
    """What one process knows of the bot; the row of the alert is the truth."""

    _news: dict[uuid.UUID, _News] = field(default_factory=dict)
    _answered_at: datetime | None = None
    _answers_since: datetime | None = None
    _down: bool | None = None
    _looked_at: datetime | None = None

    def answered(self, turn_id: uuid.UUID, *, now: datetime, correlation_id: str) -> None:
        """The bot answered this turn."""
        self._answered_at = now
        self._answers_since = self._answers_since or now
        self._news[turn_id] = _News(None, correlation_id)

    def missed(self, turn_id: uuid.UUID, *, first_tried_at: datetime, correlation_id: str) -> None:
        """This turn goes to a person because the bot did not answer it."""
        if self._answered_at is not None and self._answered_at >= first_tried_at:
            return  # it answers others meanwhile: this message is what it cannot do
        self._answers_since = None
        self._news[turn_id] = _News(first_tried_at, correlation_id)

    def writer(self, turn_id: uuid.UUID, *, now: datetime) -> Write | None:
        """What is to be written with the turn's end; None: nothing new."""
        news = self._news.pop(turn_id, None)
        if news is None:
            return None
        looked = self._looked_at
        is_fresh = looked is not None and timedelta() <= now - looked < LOOK_AGAIN
        if is_fresh and self._down is (news.missed_since is not None):
            return None

        async def write(session: AsyncSession) -> None:
            await self._write(session, news, now)

        return write

    async def _write(self, session: AsyncSession, news: _News, now: datetime) -> None:
        since = self._answers_since or now
        firing = False

        def decide(before: AlertState | None) -> Decision:
            nonlocal firing
            if news.missed_since is not None:
                decision = broke(before, at=now, now=now)
            else:
                decision = mended(before, at=since, now=now, seen_at=now)
            firing = decision.state.firing
            return decision

        payload: dict[str, object] = {"source": _SOURCE, "subject": ALERT}
        if news.missed_since is not None:
            payload["seconds"] = max(int((now - news.missed_since).total_seconds()), 0)
        await follow(
            session,
            ALERT,
            decide,
            topics=(UNAVAILABLE, RECOVERED),
            payload=payload,
            now=now,
            correlation_id=news.correlation_id,
        )
        # If the transaction fails the row is as before, and a minute later it is looked at again.
        self._down, self._looked_at = firing, now
