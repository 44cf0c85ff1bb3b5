"""Run one turn of Rasa exactly once for each message id, all or nothing.

Rasa stores the tracker once, at the end of a turn. So a turn that fails, or whose process dies,
leaves nothing behind and may be posted again; a turn that is stored is never run again, its answer
is rebuilt from the stored events. Custom actions may still be called twice for one turn (the
process can die between the action and the store): they are keyed by the message id themselves.

What may happen and what holds then:

* two posts of one message at once: the second waits and gets the replay;
* the same in two processes: the unique key of `bot.tracker_store` lets one of them store;
* the caller hangs up: the turn goes on, is stored, and the next post gets the replay;
* the action server or the tracker database fails: nothing is stored, the caller gets an error.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Optional

from rasa.core.agent import Agent
from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.processor import MessageProcessor
from rasa.shared.core.constants import ACTION_LISTEN_NAME, REQUESTED_SLOT
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActiveLoop, Event, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot import action_failures, fast_action_results, fast_event_types, short_session_starts
from bot.tracker_store import (
    ConversationChangedError,
    TurnAlreadyStoredError,
    TurnTrackerStore,
)
from bot.turn_events import Reply, find_turn, replies
from bot.turn_request import TurnRequest

log = logging.getLogger(__name__)

CHANNEL_NAME = "ponte"

# What the gateway may see of the slots; the rest stays inside. Those of the decision are reported
# only when this turn set them: the outcome of an earlier turn must not be taken for this one's.
DECISION_SLOTS = ("handoff_outcome", "handoff_reason", "decision_id")
STATE_SLOTS = ("failures", "order_number")
_RANKING_LENGTH = 10

# The wait for a lock held by another process; Rasa's own default of 1 s is felt by the customer.
_LOCK_POLL_SECONDS = 0.05
# A ticket of Rasa's lock must outlive the turn it stands for, or the next turn starts beside it.
_LOCK_MARGIN_SECONDS = 10.0


class TurnFailedError(Exception):
    """The turn was not run to its end, and nothing of it is stored.

    Attributes:
        code: action_failed | conversation_changed | turn_timed_out | turn_did_not_end |
            turn_failed.
        actions: names of the custom actions that failed.
    """

    def __init__(self, code: str, *, actions: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.actions = tuple(actions)


@dataclass(frozen=True)
class TurnResult:
    """What a turn came to. All values are JSON.

    Attributes:
        replies: what the bot said, one object for each utterance.
        parse: intent (name, confidence, in_scope), intent_ranking (at most 10), entities.
        slots: `DECISION_SLOTS` as this turn set them (null if it did not) and `STATE_SLOTS` as they
            were after the turn.
        active_loop: the form or loop that was open after the turn.
        replayed: True when the turn was stored before and not run now.
    """

    replies: list[Reply]
    parse: dict[str, Any]
    slots: dict[str, Any]
    active_loop: Optional[str]
    replayed: bool


class SilentOutput(OutputChannel):
    """Takes the utterances of a turn and sends nothing; the answer is read from the events.

    Its name selects channel-specific variations of responses in `domain.yml`.
    """

    @classmethod
    def name(cls) -> str:
        """The channel's name in Rasa."""
        return CHANNEL_NAME

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Keep quiet."""


class TurnRunner:
    """Runs the turns of one agent.

    Args:
        agent: a loaded agent; its tracker store is made to raise instead of falling back to memory.
        timeout_seconds: longest time of a turn, waiting for its predecessor included.
    """

    def __init__(self, agent: Agent, *, timeout_seconds: float) -> None:
        fast_action_results.apply()
        fast_event_types.apply()
        action_failures.apply()
        short_session_starts.apply()
        # Rasa's FailSafeTrackerStore answers a database error with an empty conversation in memory:
        # the bot would greet a customer in the middle of a complaint, and forget the turn.
        agent.tracker_store._on_tracker_store_error = _raise  # noqa: SLF001
        self._agent = agent
        self._timeout = timeout_seconds
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._running: set[asyncio.Task[TurnResult]] = set()

    async def run(self, request: TurnRequest) -> TurnResult:
        """The result of the turn, run now or stored before.

        Raises:
            TurnFailedError: nothing is stored; the same request may be sent again.
        """
        task = asyncio.ensure_future(self._within_time(request))
        self._running.add(task)
        task.add_done_callback(self._forget)
        # Sanic cancels the handler when the client hangs up; the turn itself goes on.
        return await asyncio.shield(task)

    async def finish(self, *, within_seconds: float) -> int:
        """Wait for the turns in progress before the process ends.

        Returns:
            How many were still running when the time was over.
        """
        if not self._running:
            return 0
        _, pending = await asyncio.wait(set(self._running), timeout=within_seconds)
        return len(pending)

    def _forget(self, task: asyncio.Task[TurnResult]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Read it, or asyncio prints the exception of a turn whose caller hung up.
            task.exception()

    async def _within_time(self, request: TurnRequest) -> TurnResult:
        try:
            return await asyncio.wait_for(self._one_at_a_time(request), self._timeout)
        except asyncio.TimeoutError:
            code = "turn_timed_out"
            raise TurnFailedError(code) from None

    async def _one_at_a_time(self, request: TurnRequest) -> TurnResult:
        """Take the conversation's lock in this process, then the one between processes.

        Rasa's ticket lock alone would do, but it polls, and a ticket's lifetime starts when it is
        drawn: behind a long queue it ends before its turn does.
        """
        conversation_id = request.conversation_id
        lock = self._locks.get(conversation_id)
        if lock is None:
            lock = self._locks[conversation_id] = asyncio.Lock()
        async with (
            lock,
            self._agent.lock_store.lock(
                conversation_id,
                lock_lifetime=self._timeout + _LOCK_MARGIN_SECONDS,
                wait_time_in_seconds=_LOCK_POLL_SECONDS,
            ),
        ):
            return await self._run_or_replay(request)

    async def _run_or_replay(self, request: TurnRequest) -> TurnResult:
        if await self._is_stored(request):
            return await self._replay(request)
        try:
            tracker = await self._run(request)
        except TurnAlreadyStoredError:
            return await self._replay(request)
        except ConversationChangedError:
            # Two processes and no common lock store; the next attempt starts from what is stored.
            code = "conversation_changed"
            raise TurnFailedError(code) from None
        return _result(tracker, list(tracker.events), request=request, replayed=False)

    async def _is_stored(self, request: TurnRequest) -> bool:
        store = self._primary_store()
        if isinstance(store, TurnTrackerStore):
            return await store.has_turn(request.conversation_id, message_id=request.message_id)
        tracker = await store.retrieve_full_tracker(request.conversation_id)
        events = list(tracker.events) if tracker else []
        return find_turn(events, message_id=request.message_id) is not None

    def _primary_store(self) -> Any:
        return self._agent.tracker_store._tracker_store  # noqa: SLF001

    async def _run(self, request: TurnRequest) -> DialogueStateTracker:
        """`MessageProcessor.handle_message`, except that a failed turn is not stored."""
        processor: MessageProcessor = self._agent.processor
        output = SilentOutput()
        message = UserMessage(
            request.rasa_text,
            output_channel=output,
            sender_id=request.conversation_id,
            input_channel=CHANNEL_NAME,
            message_id=request.message_id,
            metadata=request.metadata,
        )
        with action_failures.watch() as failed:
            # `MessageProcessor.log_message`, with a form left before the message is read.
            tracker = await processor.fetch_tracker_and_update_session(
                message.sender_id, message.output_channel, message.metadata
            )
            if request.metadata.get("leave_form") is True:
                leave_form(tracker, processor.domain)
            await processor._handle_message_with_tracker(message, tracker)  # noqa: SLF001
            tracker = await processor.run_action_extract_slots(output, tracker)
            _stop_if(failed)
            await processor._run_prediction_loop(output, tracker)  # noqa: SLF001
            _stop_if(failed)
        if not tracker.is_paused() and tracker.latest_action_name != ACTION_LISTEN_NAME:
            # Rasa's circuit breaker: ten actions and no end. Rules would not match afterwards.
            code = "turn_did_not_end"
            raise TurnFailedError(code)
        await processor.save_tracker(tracker)
        return tracker

    async def _replay(self, request: TurnRequest) -> TurnResult:
        """Rebuild the state as it was after the turn, whatever happened since."""
        full = await self._primary_store().retrieve_full_tracker(request.conversation_id)
        events = list(full.events) if full else []
        place = find_turn(events, message_id=request.message_id)
        if place is None:
            # The id is stored but its events are not: an erased or hand-edited conversation.
            code = "turn_failed"
            raise TurnFailedError(code)
        then = DialogueStateTracker.from_events(
            request.conversation_id, events[: place[1]], slots=self._agent.domain.slots
        )
        return _result(then, events, request=request, replayed=True)


def leave_form(tracker: DialogueStateTracker, domain: Domain) -> None:
    """Leave the form that is asking, if any, and forget what it has been told so far.

    The gateway ends a question without asking Rasa (the customer cancelled or fell silent, a person
    took over): what the customer writes next must not be taken for the form's answer. These events
    stand before the message, so slots are filled as without a form.
    """
    form = tracker.active_loop_name
    if form is None:
        return
    told = domain.required_slots_for_form(form) if form in domain.form_names else []
    forgotten = [SlotSet(name, None) for name in (REQUESTED_SLOT, *told)]
    tracker.update_with_events([ActiveLoop(None), *forgotten], domain)


def _raise(error: Exception) -> NoReturn:
    raise error


def _stop_if(failed: Sequence[str]) -> None:
    if failed:
        code = "action_failed"
        raise TurnFailedError(code, actions=failed)


def _result(
    tracker: DialogueStateTracker,
    events: Sequence[Event],
    *,
    request: TurnRequest,
    replayed: bool,
) -> TurnResult:
    """The answer from the events of a conversation and the state right after the turn."""
    place = find_turn(events, message_id=request.message_id)
    if place is None:
        # An action reverted the message away; nothing of the turn is left to answer with.
        code = "turn_did_not_end"
        raise TurnFailedError(code)
    start, end = place
    return TurnResult(
        replies=replies(events[start:end]),
        parse=_parse(events[start]),
        slots=_slots(tracker, events[start:end]),
        active_loop=tracker.active_loop_name,
        replayed=replayed,
    )


def _slots(tracker: DialogueStateTracker, turn: Sequence[Event]) -> dict[str, Any]:
    """The reported slots.

    Read from the turn's events first: Rasa's own `action_default_fallback` reverts the message, and
    with it every slot the decision has set.
    """
    set_now = {event.key: event.value for event in turn if isinstance(event, SlotSet)}
    slots = {name: set_now.get(name) for name in DECISION_SLOTS}
    for name in STATE_SLOTS:
        kept = tracker.slots[name].value if name in tracker.slots else None
        slots[name] = set_now.get(name, kept)
    return slots


def _parse(event: UserUttered) -> dict[str, Any]:
    data: dict[str, Any] = dict(event.parse_data or {})
    intent = data.get("intent") or {}
    return {
        "intent": {
            "name": intent.get("name"),
            "confidence": intent.get("confidence", 0.0),
            "in_scope": intent.get("in_scope"),  # None: a button, or a model that does not say
        },
        "intent_ranking": [
            {"name": item.get("name"), "confidence": item.get("confidence", 0.0)}
            for item in (data.get("intent_ranking") or [])[:_RANKING_LENGTH]
        ],
        "entities": list(data.get("entities") or []),
    }
