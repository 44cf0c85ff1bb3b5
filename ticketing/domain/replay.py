"""Play a stored conversation again and say where it went another way.

Every decision is taken again, under the policy version that took it and on the snapshot that was
stored. Beside it the state of the conversation (control, counters, open question, status of its
tickets) is followed from its beginning by the same functions that changed it, and compared with
what each turn and each event left, and with what is stored at the end.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from handoff.decision import Decision, DecisionError
from handoff.policy import HandoffPolicy
from handoff.silence import CLOSE
from handoff.snapshot import ConversationSnapshot, SnapshotError
from ticketing.domain import control
from ticketing.domain.control import ControlError, ControlState
from ticketing.domain.enums import Control, TicketStatus
from ticketing.domain.history import (
    JSON,
    DecisionRecord,
    Difference,
    EventRecord,
    History,
    TurnRecord,
)
from ticketing.domain.replay_decisions import decision_differences
from ticketing.domain.turn import Understanding, question_of
from ticketing.domain.turn_input import is_question

_BY_BOT = frozenset({"answered", "clarified", "handed_off"})


@dataclass(frozen=True, slots=True)
class Replay:
    """The result: differences (decisions first, each part in order of time) and what was left out.

    `notes` names what an older release did not keep, so that it could not be compared.
    """

    decisions: int
    turns: int
    events: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def is_identical(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def replay(history: History) -> Replay:
    """Play the history again."""
    follower = _Follower(history)
    differences = [
        difference
        for record in history.decisions
        for difference in decision_differences(record, history.policies)
    ]
    differences += follower.follow()
    return Replay(
        decisions=len(history.decisions),
        turns=len(history.turns),
        events=len(history.events),
        differences=tuple(differences),
        notes=tuple(follower.notes),
    )


_BEGINNING = ControlState(Control.BOT, 0)
_FRESH = Understanding()


@dataclass(frozen=True, slots=True)
class _State:
    """What is followed; a status for every ticket."""

    control: ControlState = _BEGINNING
    understanding: Understanding = _FRESH
    clarification: JSON | None = None
    statuses: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Follower:
    """Follows one conversation through its turns and events."""

    history: History
    notes: list[str] = field(default_factory=list)
    _state: _State = field(default_factory=_State)
    _last: JSON | None = None
    _last_turn: uuid.UUID | None = None
    _known: bool = True  # false after a turn that did not keep what it left

    def follow(self) -> Iterator[Difference]:
        decided = {record.turn_id: record for record in self.history.decisions}
        for item in _in_order(self.history):
            if isinstance(item, EventRecord):
                yield from self._event(item)
            elif isinstance(item, TurnRecord):
                yield from self._turn(item, decided.get(item.turn_id))
            else:
                self._silence(item)
        yield from self._end()

    def _event(self, event: EventRecord) -> Iterator[Difference]:
        where = f"ticket {event.ticket}, event {event.kind} at {event.at.isoformat()}"
        before = self._state
        after = _after_event(before, event)
        if after is None:
            yield Difference(where, "control", event.data.get("control"), "not possible here")
            after = before
        wanted = {
            "control": after.control.control.value,
            "control_epoch": after.control.epoch,
            "status": after.statuses.get(event.ticket),
        }
        if "control_epoch" not in event.data:
            self._unknown(where)
            self._state = after
            return
        for name, value in wanted.items():
            if event.data.get(name) != value:
                yield Difference(where, name, event.data.get(name), value)
        self._state = _with_stored(after, event)

    def _turn(self, turn: TurnRecord, record: DecisionRecord | None) -> Iterator[Difference]:
        where = f"turn {turn.turn_id}"
        if turn.outcome == "merged":
            return  # its text was read by another turn; it left nothing of its own
        if turn.after is None:
            self._unknown(where)
            self._known = False
            return
        decision = _read_decision(record)
        if self._known and decision is not None and turn.outcome in _BY_BOT:
            yield from self._seen(where, decision[1])
        after = turn.after
        state = self._state.control
        for name, value in (("control", state.control.value), ("control_epoch", state.epoch)):
            if after.get(name) != value:
                yield Difference(where, f"after.{name}", after.get(name), value)
        if self._known:
            yield from self._counters(where, turn, decision)
        if decision is not None and turn.outcome in _BY_BOT:
            yield from _words(where, turn, decision, policies=self.history.policies)
        self._leave(turn)

    def _seen(self, where: str, snapshot: ConversationSnapshot) -> Iterator[Difference]:
        """The counters that the rules saw are those that the turns before had left."""
        known = self._state.understanding.answered(snapshot.clarification_answer)
        wanted: dict[str, Any] = {
            "failures": known.failures,
            "clarifications_asked": known.clarifications_asked,
            "already_offered": known.not_to_offer,
        }
        for name, value in wanted.items():
            if getattr(snapshot, name) != value:
                yield Difference(where, f"snapshot.{name}", getattr(snapshot, name), value)

    def _counters(
        self, where: str, turn: TurnRecord, decision: _Read | None
    ) -> Iterator[Difference]:
        stored = Understanding.from_json((turn.after or {}).get("understanding") or {})
        possible = self._possible(turn, decision)
        if stored not in possible:
            yield Difference(where, "after.understanding", stored.to_json(), possible[0].to_json())

    def _possible(self, turn: TurnRecord, decision: _Read | None) -> tuple[Understanding, ...]:
        """The counters that the turn may have left, the likeliest first."""
        before, holder = self._state.understanding, self._state.control.control
        if turn.outcome not in _BY_BOT:
            # A message for a person: while it waits in a queue the counters are cleared.
            return (before,) if holder is Control.HUMAN else (Understanding(), before)
        if holder is not Control.BOT:
            return (Understanding(),)
        if decision is None:  # a question about the language: the counters stay
            return (before,)
        decided, snapshot, _ = decision
        known = before.answered(snapshot.clarification_answer)
        if _is_own(decision, self.history.policies):
            return (known, Understanding())
        question = question_of(snapshot.top_intent, snapshot.entities)
        after = known.after(
            outcome=decided.outcome,
            counts_as_failure=decided.counts_as_failure,
            offered=decided.options,
            question=None if decided.outcome != "stay" else question,
        )
        return (after,)

    def _leave(self, turn: TurnRecord) -> None:
        after = turn.after or {}
        statuses = dict(self._state.statuses)
        if self._state.control.control is Control.HUMAN:
            # The customer's words wake a ticket that waited for them.
            for number, status in statuses.items():
                if status == TicketStatus.PENDING_CUSTOMER.value:
                    statuses[number] = TicketStatus.OPEN.value
        self._state = _State(
            control=ControlState(Control(after["control"]), int(after["control_epoch"])),
            understanding=Understanding.from_json(after.get("understanding") or {}),
            clarification=after.get("clarification"),
            statuses=statuses,
        )
        self._last, self._last_turn, self._known = after, turn.turn_id, True

    def _silence(self, record: DecisionRecord) -> None:
        """A question that ended in silence is forgotten; a reminder changes no counters."""
        ends = self.history.silent.get(record.turn_id) == CLOSE
        if ends or record.decision.get("outcome") == "handoff":
            self._state = _forgotten(self._state)

    def _end(self) -> Iterator[Difference]:
        state, stored = self._state, self.history.state
        if self._last_turn in self.history.undelivered and not stored.get("understanding"):
            state = _forgotten(state)  # nobody answers a question that never arrived
        wanted: dict[str, Any] = {
            "control": state.control.control.value,
            "control_epoch": state.control.epoch,
        }
        if self._last is not None:
            wanted |= {name: self._last.get(name) for name in ("language", "language_state")}
        for name, value in wanted.items():
            if stored.get(name) != value:
                yield Difference("conversation", name, stored.get(name), value)
        if self._known:
            counters = Understanding.from_json(stored.get("understanding") or {})
            if counters != state.understanding:
                yield Difference(
                    "conversation",
                    "understanding",
                    counters.to_json(),
                    state.understanding.to_json(),
                )
            if stored.get("clarification") != state.clarification:
                yield Difference(
                    "conversation", "clarification", stored["clarification"], state.clarification
                )
        for number, status in self.history.tickets.items():
            if state.statuses.get(number) != status:
                yield Difference(f"ticket {number}", "status", status, state.statuses.get(number))

    def _unknown(self, where: str) -> None:
        self.notes.append(f"{where}: an older release did not keep the state it left")


_NO_MODEL = "none"  # as `services.turn_runner` stores it
_Read = tuple[Decision, ConversationSnapshot, str]
"""A decision, what it saw, and the model."""


def _read_decision(record: DecisionRecord | None) -> _Read | None:
    if record is None:
        return None
    try:
        return (
            Decision.from_json(record.decision),
            ConversationSnapshot.from_json(record.snapshot),
            record.model,
        )
    except (DecisionError, SnapshotError):
        return None  # reported with the decisions


def _words(
    where: str,
    turn: TurnRecord,
    decision: _Read,
    *,
    policies: Mapping[str, HandoffPolicy],
) -> Iterator[Difference]:
    """The language, and the question that a clarifying turn leaves open."""
    decided, snapshot, _ = decision
    after = turn.after or {}
    if snapshot.language_served and after.get("language") != snapshot.language:
        yield Difference(where, "after.language", after.get("language"), snapshot.language)
    asks = turn.outcome == "clarified" and decided.outcome == "clarify"
    if not asks or _is_own(decision, policies):
        return
    kept = after.get("clarification") or {}
    offered = [option.get("intent") for option in kept.get("options", ())]
    if not is_question(kept) or offered != list(decided.options):
        yield Difference(where, "after.clarification", offered, list(decided.options))


def _is_own(decision: _Read, policies: Mapping[str, HandoffPolicy]) -> bool:
    """Whether Ponte answered without the bot: "continue", "cancel", "what does the menu mean?".

    The intents are those of the bot too ("deny" is "cancel"), but no model read the message.
    """
    decided, snapshot, model = decision
    if model != _NO_MODEL:
        return False
    policy = policies.get(decided.policy_version)
    own = {"not_understood"}
    if policy is not None:
        own |= {policy.clarify.not_understood_intent or ""}
        own |= set(policy.silence.intents.values() if policy.silence is not None else ())
    return snapshot.top_intent in own


def _in_order(history: History) -> list[EventRecord | TurnRecord | DecisionRecord]:
    """Turns, events and silent decisions as they happened.

    Clocks of several processes and of waiting for locks do not tell for certain; the epoch does: it
    grows with every change of control, and the event that began one comes first in it.
    """
    silent = [record for record in history.decisions if record.turn_id in history.silent]
    items: list[EventRecord | TurnRecord | DecisionRecord] = sorted(
        [*history.events, *history.turns, *silent], key=_time_of
    )
    keyed = []
    present = 0
    begun = {0}
    for place, item in enumerate(items):
        stated = _epoch_of(item)
        epoch = present if stated is None else stated
        present = max(present, epoch)
        begins = isinstance(item, EventRecord) and epoch not in begun
        if begins:
            begun.add(epoch)
        keyed.append((epoch, not begins, place, item))
    return [item for *_, item in sorted(keyed, key=lambda key: key[:3])]


def _time_of(item: EventRecord | TurnRecord | DecisionRecord) -> tuple[datetime, int]:
    at = item.finished_at if isinstance(item, TurnRecord) else item.at
    return at, 1 if isinstance(item, TurnRecord) else 0


def _epoch_of(item: EventRecord | TurnRecord | DecisionRecord) -> int | None:
    if isinstance(item, DecisionRecord):
        return None
    kept = item.data if isinstance(item, EventRecord) else item.after
    found = (kept or {}).get("control_epoch")
    return found if isinstance(found, int) else None


def _forgotten(state: _State) -> _State:
    return replace(state, understanding=Understanding(), clarification=None)


def _with_stored(state: _State, event: EventRecord) -> _State:
    """Go on from what is stored, so that one difference is reported once."""
    stored = ControlState(Control(event.data["control"]), int(event.data["control_epoch"]))
    statuses = {**state.statuses, event.ticket: str(event.data.get("status"))}
    return replace(state, control=stored, statuses=statuses)


_MOVES = frozenset({"escalated", "de_escalated", "reassigned"})


def _after_event(state: _State, event: EventRecord) -> _State | None:
    """The state after an event, by the domain's own rules; None when they forbid it."""
    wanted = _wanted_control(state, event)
    status = _status_after(state.statuses.get(event.ticket), event)
    statuses = {**state.statuses, event.ticket: status}
    state = replace(state, statuses=statuses)
    try:
        if wanted is Control.HUMAN:
            return replace(state, control=control.take(state.control))
        if wanted is Control.QUEUED:
            is_bots = state.control.control is Control.BOT
            change = control.queue if is_bots else control.requeue
            return replace(state, control=change(state.control))
        if wanted is Control.BOT and state.control.control is not Control.BOT:
            return _forgotten(replace(state, control=control.return_to_bot(state.control)))
    except ControlError:
        return None
    return state


def _wanted_control(state: _State, event: EventRecord) -> Control | None:
    """Who gets control by an event; None leaves it."""
    if event.kind == "opened":
        return Control.QUEUED if state.control.control is Control.BOT else None
    if event.kind in {"resolved", "returned_to_bot"}:
        return Control.BOT
    if event.kind in {"taken", "reopened"}:
        return Control.HUMAN
    if event.kind == "released":
        return Control.QUEUED
    if event.kind in _MOVES and _is_moved(event):
        return Control.HUMAN if event.data.get("to_agent") else Control.QUEUED
    return None


def _is_moved(event: EventRecord) -> bool:
    data = event.data
    if event.kind != "reassigned":
        return True
    given = data.get("to_agent") is not None and data.get("to_agent") != data.get("from_agent")
    return given or data.get("from_queue") != data.get("to_queue")


_CHOSEN = _MOVES | {"status_changed", "customer_wrote"}
_STATUS_AFTER = {
    "resolved": TicketStatus.RESOLVED,
    "returned_to_bot": TicketStatus.RESOLVED,
    "closed": TicketStatus.CLOSED,
    "reopened": TicketStatus.OPEN,
}


def _status_after(before: str | None, event: EventRecord) -> str:
    if event.kind == "replied":  # the agent chooses what the ticket waits for
        return str(event.data.get("status", before))
    if event.kind in _STATUS_AFTER:
        return _STATUS_AFTER[event.kind].value
    if event.kind in _CHOSEN and "to_status" in event.data:
        return str(event.data["to_status"])  # older releases left the status in these
    present = before or TicketStatus.NEW.value
    has_agent = event.kind in {"taken", "offered"} or (
        event.kind in _MOVES and _is_moved(event) and event.data.get("to_agent")
    )
    is_new = present == TicketStatus.NEW.value
    return TicketStatus.OPEN.value if has_agent and is_new else present
