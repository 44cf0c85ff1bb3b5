"""Play conversations one after the other and compare what happens with what the files expect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from demo.checks import differences, told
from demo.customer import AgentHand, CustomerHand, HandError
from demo.observer import ConversationView, Observer, TurnView
from demo.script import Conversation, Step
from demo.timeline import Timeline
from kit.clock import Clock
from ticketing.db.tables import Message

PATIENCE = timedelta(seconds=20)  # for one step; an ordinary one takes a tenth of a second
_POLL_SECONDS = 0.05

T = TypeVar("T")


@dataclass(slots=True)
class Result:
    """How a conversation went."""

    title: str
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class Player:
    """Plays; everything it needs is given."""

    clock: Clock
    observer: Observer
    customer: CustomerHand
    agent: AgentHand
    timeline: Timeline

    async def play(self, conversations: Sequence[Conversation]) -> list[Result]:
        """Play all; one that fails does not stop the others."""
        results = []
        for number, conversation in enumerate(conversations, start=1):
            self.timeline.title(number, len(conversations), conversation.title, conversation.shows)
            results.append(await self._one(conversation))
        return results

    async def _one(self, conversation: Conversation) -> Result:
        result = Result(conversation.title)
        began = time.monotonic()
        for number, step in enumerate(conversation.steps, start=1):
            try:
                problems = await self._step(conversation, step, began=began)
            except (HandError, TimeoutError) as error:
                problems = [str(error) or f"nothing happened within {PATIENCE.seconds} s"]
            self.timeline.checked(problems)
            result.problems += [f"step {number}: {problem}" for problem in problems]
        result.seconds = time.monotonic() - began
        return result

    async def _step(self, conversation: Conversation, step: Step, *, began: float) -> list[str]:
        now = self.clock.now()
        if step.agent is not None:
            turn, replies = None, await self._agent_step(conversation, step, began=began, now=now)
        elif step.silence:
            turn, replies = None, await self._silence(conversation, began=began, now=now)
        else:
            turn = await self._customer_step(conversation, step, began=began, now=now)
            replies = turn.replies
        view = await self._settled_view(conversation, step)
        seconds = time.monotonic() - began
        opened = turn is not None and turn.outcome == "handed_off"
        if view is not None and (opened or step.agent is not None):
            self.timeline.ticket(seconds, view)
            if step.expect.notified:
                self.timeline.notices(seconds, view)
        return differences(
            step.expect,
            turn=turn,
            replies=[reply.text or "" for reply in replies],
            buttons=max((len(reply.data.get("buttons", [])) for reply in replies), default=0),
            view=view,
        )

    async def _customer_step(
        self, conversation: Conversation, step: Step, *, began: float, now: datetime
    ) -> TurnView:
        said = step.customer or (f"[{step.button}]" if step.button else f"<{step.sends}>")
        when = f"  (at {step.at})" if step.at else ""
        self.timeline.line(time.monotonic() - began, "customer", f"{said}{when}")
        wamid = await self.customer.do(
            step, phone=conversation.phone, name=conversation.name, now=now
        )
        turn = await _until(lambda: self.observer.turn(wamid))
        self.timeline.turn(time.monotonic() - began, turn)
        return turn

    async def _silence(
        self, conversation: Conversation, *, began: float, now: datetime
    ) -> list[Message]:
        """Wait until the bot says something by itself."""
        self.timeline.line(time.monotonic() - began, "customer", "... says nothing ...")

        async def said() -> list[Message] | None:
            phone = conversation.phone
            return await self.observer.last_outbound(phone, after=now, by_bot=True) or None

        replies = await _until(said)
        for reply in replies:
            self.timeline.line(time.monotonic() - began, "bot", f"to the customer: {reply.text}")
        return replies

    async def _agent_step(
        self, conversation: Conversation, step: Step, *, began: float, now: datetime
    ) -> list[Message]:
        view = await self.observer.conversation(conversation.phone)
        if view is None or view.ticket is None:
            message = f"agent: {step.agent}: there is no ticket"
            raise HandError(message)
        self.timeline.line(
            time.monotonic() - began, "agent", f"{step.agent}: {step.text or ''}".rstrip(": ")
        )
        await self.agent.do(step, ticket_id=str(view.ticket.id))
        if not step.expect.reply:
            return []

        async def written() -> list[Message] | None:
            return await self.observer.last_outbound(conversation.phone, after=now) or None

        replies = await _until(written)
        for reply in replies:
            self.timeline.line(time.monotonic() - began, "bot", f"to the customer: {reply.text}")
        return replies

    async def _settled_view(
        self, conversation: Conversation, step: Step
    ) -> ConversationView | None:
        """The conversation, after the notices that are expected have left."""
        if not step.expect.notified:
            return await self.observer.conversation(conversation.phone)

        async def notified() -> ConversationView | None:
            view = await self.observer.conversation(conversation.phone)
            if view is None:
                return None
            sent = {notice.job_name for notice in view.notifications if told(notice.state)}
            return view if len(sent) >= len(step.expect.notified) else None

        try:
            return await _until(notified)
        except TimeoutError:
            return await self.observer.conversation(conversation.phone)


async def _until(look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds, as soon as it finds something.

    Raises:
        TimeoutError: when `PATIENCE` is over.
    """
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while (found := await look()) is None:  # noqa: ASYNC110 - it watches another process
            await asyncio.sleep(_POLL_SECONDS)
        return found
