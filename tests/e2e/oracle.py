"""What must be true after every fault: nothing lost, nothing answered twice. Pure.

The simulator's store says what customers wrote and what they received; it is no part of Ponte. The
database says what Ponte believes. The two are compared by set difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ACCEPTED = {"accepted", "sent", "delivered", "read"}


@dataclass(frozen=True, slots=True)
class Written:
    """A message a customer wrote, as the simulator has it."""

    wamid: str
    phone: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message a customer received, as the simulator has it."""

    wamid: str
    phone: str
    callback_data: str | None
    status: str


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A customer's message in the database, with its turn.

    Attributes:
        on_ticket: The message stands on a ticket: a person has it.
        opened_handoff: This very turn handed the conversation over; its customer has to be told.
    """

    wamid: str
    turn_id: str
    state: str | None
    outcome: str | None
    on_ticket: bool
    opened_handoff: bool = False


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """An outbound message in the database."""

    message_id: str
    turn_id: str | None
    delivery: str


def faults(
    written: Sequence[Written],
    received: Sequence[Received],
    turns: Sequence[TurnRow],
    answers: Sequence[AnswerRow],
) -> list[str]:
    """One sentence for everything that was lost, repeated or is not explained; empty when sound."""
    return [
        *_lost(written, turns),
        *_not_told_once(received, answers),
        *_not_answered_once(received, turns, answers),
    ]


def _lost(written: Sequence[Written], turns: Sequence[TurnRow]) -> list[str]:
    wrote = {message.wamid for message in written}
    has = Counter(turn.wamid for turn in turns)
    return [
        *(f"{wamid}: written, and not in the database" for wamid in sorted(wrote - set(has))),
        *(f"{wamid}: in the database, and nobody wrote it" for wamid in sorted(set(has) - wrote)),
        *(f"{wamid}: {count} times in the database" for wamid, count in has.items() if count > 1),
        *(
            f"{turn.wamid}: its turn is {turn.state or 'missing'}"
            for turn in turns
            if turn.state != "done"
        ),
    ]


def _not_told_once(received: Sequence[Received], answers: Sequence[AnswerRow]) -> list[str]:
    ours = {answer.message_id for answer in answers}
    got = Counter(_ids(received))
    return [
        *(
            f"{message.wamid}: received, and no message of ours"
            for message in received
            if message.callback_data not in ours
        ),
        *(f"{ours_id}: received {count} times" for ours_id, count in got.items() if count > 1),
        *(
            f"{answer.message_id}: {answer.delivery}, and nobody received it"
            for answer in answers
            if answer.delivery in {"sent", "delivered", "read"} and answer.message_id not in got
        ),
        *(
            f"{answer.message_id}: left in {answer.delivery}"
            for answer in answers
            if answer.delivery in {"pending", "sending", "unknown", "failed"}
        ),
    ]


def _not_answered_once(
    received: Sequence[Received], turns: Sequence[TurnRow], answers: Sequence[AnswerRow]
) -> list[str]:
    turn_of = {answer.message_id: answer.turn_id for answer in answers}
    told = Counter(turn_of.get(ours_id) for ours_id in _ids(received))
    found = []
    for turn in turns:
        count = told[turn.turn_id]
        if count > 1:
            found.append(f"{turn.wamid}: answered {count} times ({turn.outcome})")
        if count == 0 and not turn.on_ticket:
            found.append(f"{turn.wamid}: not answered and on no ticket ({turn.outcome})")
        if count == 0 and turn.opened_handoff:
            found.append(f"{turn.wamid}: handed over, and the customer was not told")
    return found


def _ids(received: Iterable[Received]) -> list[str]:
    return [
        message.callback_data
        for message in received
        if message.callback_data is not None and message.status in _ACCEPTED
    ]
