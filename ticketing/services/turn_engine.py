"""Run the turns of all conversations: many at once, one at a time in each.

The engine lives in the `web` process so that an answer needs no further hop. Everything it knows is
in the database: `wake` is only a hint, and `sweep` finds what a hint was lost for.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from handoff.policy import HandoffPolicy
from handoff.policy_holder import PolicyHolder
from handoff.silence import SilenceTimes
from kit.clock import Clock
from ticketing.db.engine import Database
from ticketing.domain.burst import Pace
from ticketing.domain.enums import Control
from ticketing.domain.turn import TurnFacts
from ticketing.services import turns
from ticketing.services.availability import Availability
from ticketing.services.bot_outage import BotOutage, HeardBot
from ticketing.services.delivery_engine import DeliveryEngine
from ticketing.services.ports import Bot, BotReply, BotUnavailableError, LanguageDetector
from ticketing.services.turn_runner import TurnRunner
from ticketing.services.turns import ClaimedTurn, Conclusion, NothingToDo

log = structlog.get_logger()

_BOT_RETRY_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (0.3, 0.7, 1.5, 2.5))
_FAULT_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (1, 5, 20, 60))
_HANDOFF_SHARE = 5
"""A fifth of the patience with the bot is left for the handoff itself: the setting says when the
customer has a person, and a second of five covers a busy machine."""
_LEAST_PATIENCE = timedelta(seconds=1)
"""A turn that waited for something else (a database that was away) still asks the bot."""
_MAX_FAULTS = 5  # about a minute and a half of our own errors, then a person answers


@dataclass(slots=True)
class EngineSettings:
    """How long the engine waits for the bot.

    Attributes:
        owner: Name of this process, unique.
        bot_unavailable_after: A turn the bot has not answered goes to a person by then.
        startup_grace: After the engine's start the bot may still be loading its model.
        concurrency: Turns at the same time in this process.
        silence: When a customer who does not answer is reminded; None: never.
    """

    owner: str
    bot_unavailable_after: timedelta = timedelta(seconds=5)
    startup_grace: timedelta = timedelta(seconds=60)
    concurrency: int = 32
    silence: SilenceTimes | None = None


@dataclass(frozen=True, slots=True)
class PunctualBot:
    """The bot; it counts as unavailable when it does not answer within its time."""

    bot: Bot
    within: timedelta

    async def turn(self, facts: TurnFacts, *, text: str, payload: str | None) -> BotReply:
        """Run one turn in time.

        Raises:
            BotUnavailableError: as the bot itself, and when the time is over.
        """
        try:
            async with asyncio.timeout(self.within.total_seconds()):
                return await self.bot.turn(facts, text=text, payload=payload)
        except TimeoutError as error:
            message = "no answer in time"
            raise BotUnavailableError(message, reachable=True) from error


@dataclass(slots=True)
class TurnEngine:
    """See the module's text."""

    db: Database
    clock: Clock
    bot: Bot
    detector: LanguageDetector
    policies: PolicyHolder
    delivery: DeliveryEngine
    settings: EngineSettings
    availability: Availability | None = None
    """None: nobody counts who is there."""
    _tasks: dict[uuid.UUID, asyncio.Task[None]] = field(default_factory=dict)
    _again: set[uuid.UUID] = field(default_factory=set)
    _later: dict[uuid.UUID, asyncio.TimerHandle] = field(default_factory=dict)
    _pace: dict[uuid.UUID, Pace] = field(default_factory=dict)
    _slots: asyncio.Semaphore | None = None
    _started_at: datetime | None = None
    _bot_seen: bool = False
    _outage: BotOutage = field(default_factory=BotOutage)

    @property
    def policy(self) -> HandoffPolicy:
        """The policy in force."""
        return self.policies.current()

    @property
    def runner(self) -> TurnRunner:
        """The part that thinks about one turn, from its beginning to its end by one policy."""
        return TurnRunner(
            self.db, self.clock, self.bot, self.detector, self.policy, self.availability
        )

    def wake(self, id_: uuid.UUID) -> None:
        """A conversation has a turn waiting; call from the engine's event loop."""
        if id_ in self._tasks:
            self._again.add(id_)
            return
        task = asyncio.get_running_loop().create_task(self._run(id_))
        self._tasks[id_] = task
        task.add_done_callback(lambda _: self._ended(id_))

    def _ended(self, conversation_id: uuid.UUID) -> None:
        self._tasks.pop(conversation_id, None)
        if conversation_id in self._again:
            self._again.discard(conversation_id)
            self.wake(conversation_id)

    async def sweep(self) -> int:
        """Wake every conversation whose turn nobody is running; returns how many."""
        now = self.clock.now()
        for conversation_id in [id_ for id_, pace in self._pace.items() if pace.is_idle(now)]:
            if conversation_id not in self._tasks:
                del self._pace[conversation_id]
        waiting = await turns.waiting_conversations(self.db, now=now)
        for conversation_id in waiting:
            self.wake(conversation_id)
        return len(waiting)

    async def drain(self) -> None:
        """Wait until every turn that is running has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop; turns that were running are found again by the next process."""
        for handle in self._later.values():
            handle.cancel()
        self._again.clear()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, conversation_id: uuid.UUID) -> None:
        if self._slots is None:
            self._slots = asyncio.Semaphore(self.settings.concurrency)
        if self._started_at is None:
            self._started_at = self.clock.now()
        owner = self.settings.owner
        try:
            async with self._slots:
                while True:
                    now = self.clock.now()
                    pace = self._pace.setdefault(conversation_id, Pace())
                    if (at := pace.next_at(now)) is not None:
                        await turns.let_go(self.db, conversation_id, owner=owner)
                        self._come_back(conversation_id, NothingToDo(at=at), now=now)
                        return
                    claimed = await turns.claim_next(
                        self.db,
                        conversation_id,
                        owner=owner,
                        now=now,
                        merge_beyond=pace.merge_beyond(now),
                    )
                    if isinstance(claimed, NothingToDo):
                        self._come_back(conversation_id, claimed, now=now)
                        return
                    self._remember_pace(claimed, pace, now=now)
                    await self._one(claimed)
        except Exception:
            # The database is away or a bug: the lease runs out and the sweep comes back.
            log.exception("turn.engine_fault", conversation_id=str(conversation_id))
            now = self.clock.now()
            soon = NothingToDo(at=now + timedelta(seconds=1))  # the lease is ours: no need to wait
            self._come_back(conversation_id, soon, now=now)

    def _remember_pace(self, turn: ClaimedTurn, pace: Pace, *, now: datetime) -> None:
        """Only the bot's answers are paced: what goes to an agent is never held back."""
        if turn.control.control is not Control.BOT:
            self._pace.pop(turn.conversation_id, None)
        elif turn.attempts == 1:
            pace.began(now)

    def _come_back(
        self, conversation_id: uuid.UUID, nothing: NothingToDo, *, now: datetime
    ) -> None:
        if nothing.at is None:
            return
        delay = max((nothing.at - now).total_seconds(), 0.05)
        loop = asyncio.get_running_loop()
        earlier = self._later.pop(conversation_id, None)
        if earlier is not None:
            earlier.cancel()

        def call() -> None:
            self._later.pop(conversation_id, None)
            self.wake(conversation_id)

        self._later[conversation_id] = loop.call_later(delay, call)

    async def _one(self, turn: ClaimedTurn) -> None:
        with structlog.contextvars.bound_contextvars(
            correlation_id=turn.correlation_id,
            conversation_id=str(turn.conversation_id),
            turn_id=str(turn.turn_id),
        ):
            started = self.clock.now()
            try:
                conclusion = await self._conclude(turn)
            except Exception:
                log.exception("turn.fault", attempt=turn.attempts)
                if turn.attempts < _MAX_FAULTS:
                    delay = _FAULT_DELAYS[min(turn.attempts, len(_FAULT_DELAYS)) - 1]
                    await self._postpone(turn, delay)
                    return
                conclusion = await self.runner.without_bot(turn)
            if conclusion is None:
                delay = _BOT_RETRY_DELAYS[min(turn.attempts, len(_BOT_RETRY_DELAYS)) - 1]
                left = self._time_left(turn, reachable=False)
                await self._postpone(turn, min(delay, max(left, timedelta())))
                return
            now = self.clock.now()
            claimed = await turns.finish(
                self.db,
                turn,
                conclusion,
                owner=self.settings.owner,
                now=now,
                silence=self.settings.silence,
                also=self._outage.writer(turn.turn_id, now=now),
            )
            log.info(
                "turn.finished",
                outcome=conclusion.outcome,
                milliseconds=round((now - started).total_seconds() * 1000),
            )
            for dispatch in claimed or ():
                await self.delivery.send_claimed(dispatch)
            if conclusion.messages and (len(conclusion.messages) > 1 or not claimed):
                self.delivery.wake_conversation(turn.conversation_id)

    async def _conclude(self, turn: ClaimedTurn) -> Conclusion | None:
        """The turn's conclusion; None when the bot should be asked again later."""
        if turn.control.control is not Control.BOT and not turn.own_handoff:
            return Conclusion(
                "to_agent", (), turn.language, turn.understanding, leave_form=turn.leave_form
            )
        self.delivery.acknowledge(turn.channel, turn.account_id, turn.provider_id)
        try:
            runner = self._punctual_runner(turn)
            heard = HeardBot(runner.bot)
            conclusion = await replace(runner, bot=heard).with_bot(turn)
        except BotUnavailableError as error:
            log.warning("turn.bot_unavailable", attempt=turn.attempts, error=str(error))
            return await self._unavailable(turn, reachable=error.reachable)
        self._bot_seen = True
        if heard.answered:
            self._outage.answered(
                turn.turn_id, now=self.clock.now(), correlation_id=turn.correlation_id
            )
        return conclusion

    def _punctual_runner(self, turn: ClaimedTurn) -> TurnRunner:
        """The runner, whose bot has to answer in time.

        A bot that has answered nothing yet may still be waking up: its gateway's own limit holds.
        """
        runner = self.runner
        if not self._bot_seen:
            return runner
        left = max(self._time_left(turn, reachable=True), _LEAST_PATIENCE)
        return replace(runner, bot=PunctualBot(self.bot, left))

    async def _unavailable(self, turn: ClaimedTurn, *, reachable: bool) -> Conclusion | None:
        if self._time_left(turn, reachable=reachable) > timedelta():
            return None
        self._outage.missed(
            turn.turn_id,
            first_tried_at=turn.first_tried_at,
            correlation_id=turn.correlation_id,
        )
        return await self.runner.without_bot(turn)

    def _time_left(self, turn: ClaimedTurn, *, reachable: bool) -> timedelta:
        """How long the bot may still take for the turn before a person gets it."""
        patience = self.settings.bot_unavailable_after
        since = turn.first_tried_at
        if not (self._bot_seen or reachable) and self._started_at is not None:
            since = max(since, self._started_at)
            patience = max(patience, self.settings.startup_grace)
        return since + patience - patience / _HANDOFF_SHARE - self.clock.now()

    async def _postpone(self, turn: ClaimedTurn, delay: timedelta) -> None:
        await turns.postpone(
            self.db, turn, owner=self.settings.owner, now=self.clock.now(), delay=delay
        )
