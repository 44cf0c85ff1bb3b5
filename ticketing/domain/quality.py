"""Quality assurance: the life of a sampled ticket, and what one review of it is worth."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

CLAIM = timedelta(hours=24)
"""How long a reviewer who has begun keeps the ticket for themselves; then another may begin."""


class SampleState(StrEnum):
    """Life of a sampled ticket."""

    PENDING = "pending"
    """Nobody has begun."""
    IN_REVIEW = "in_review"
    DONE = "done"
    """Judged; the agent has not answered."""
    DISPUTED = "disputed"
    """The agent disagrees; somebody must settle it."""
    SETTLED = "settled"
    """The agent agrees, or the dispute was answered. Nothing more happens."""


class SampleAct(StrEnum):
    """What people do to it."""

    START = "start"
    SUBMIT = "submit"
    ACKNOWLEDGE = "acknowledge"
    DISPUTE = "dispute"
    SETTLE = "settle"


_NEXT: Mapping[SampleAct, Mapping[SampleState, SampleState]] = {
    SampleAct.START: {
        SampleState.PENDING: SampleState.IN_REVIEW,
        SampleState.IN_REVIEW: SampleState.IN_REVIEW,
    },
    SampleAct.SUBMIT: {SampleState.IN_REVIEW: SampleState.DONE},
    SampleAct.ACKNOWLEDGE: {SampleState.DONE: SampleState.SETTLED},
    SampleAct.DISPUTE: {SampleState.DONE: SampleState.DISPUTED},
    SampleAct.SETTLE: {SampleState.DISPUTED: SampleState.SETTLED},
}


class QualityStateError(Exception):
    """The sampled ticket is not in a state that admits this."""

    def __init__(self, act: SampleAct, *, found: str, expected: str) -> None:
        self.act = act
        super().__init__(f"cannot {act.value} this review: {found}; expected {expected}")


class QualityPersonError(Exception):
    """This person may not do this to this sampled ticket."""

    def __init__(self, act: SampleAct, expected: str) -> None:
        self.act = act
        super().__init__(f"{act.value} is for {expected}")


def after(act: SampleAct, state: SampleState) -> SampleState:
    """The state afterwards.

    Raises:
        QualityStateError: the state does not admit it.
    """
    admitted = _NEXT[act]
    if state not in admitted:
        expected = " or ".join(item.value for item in admitted)
        raise QualityStateError(act, found=f"its state is {state.value}", expected=expected)
    return admitted[state]


@dataclass(frozen=True, slots=True)
class Case:
    """What decides who may do what to a sampled ticket.

    Attributes:
        state: Its state.
        agent_id: The agent whose work is judged.
        involved: Everybody who answered the customer on this ticket; they judge it neither.
        reviewer_id: Who has begun, or has done, the first review.
        claimed_at: When they began.
    """

    state: SampleState
    agent_id: uuid.UUID
    involved: Collection[uuid.UUID] = field(default_factory=frozenset)
    reviewer_id: uuid.UUID | None = None
    claimed_at: datetime | None = None


def start(case: Case, person: uuid.UUID, *, now: datetime) -> SampleState:
    """Begin to judge; beginning again changes nothing, and an old beginning of another gives way.

    Raises:
        QualityPersonError: their own work, or a ticket they worked on.
        QualityStateError: it is judged already, or another person has begun within `CLAIM`.
    """
    _check_reviewer(case, person, SampleAct.START)
    state = after(SampleAct.START, case.state)
    held = case.reviewer_id not in {None, person} and case.claimed_at is not None
    if held and case.claimed_at is not None and now < case.claimed_at + CLAIM:
        raise QualityStateError(
            SampleAct.START,
            found="another reviewer has begun",
            expected=f"one that nobody has begun within {CLAIM // timedelta(hours=1)} hours",
        )
    return state


def submit(case: Case, person: uuid.UUID) -> SampleState:
    """Hand the judgement in.

    Raises:
        QualityPersonError: not the one who has begun.
        QualityStateError: it is not being judged.
    """
    _check_reviewer(case, person, SampleAct.SUBMIT)
    state = after(SampleAct.SUBMIT, case.state)
    if case.reviewer_id != person:
        raise QualityPersonError(SampleAct.SUBMIT, "the reviewer who has begun")
    return state


def answer(case: Case, person: uuid.UUID, act: SampleAct) -> SampleState:
    """The agent agrees or, once, disagrees.

    Args:
        case: The sampled ticket.
        person: Who answers.
        act: `ACKNOWLEDGE` or `DISPUTE`.

    Raises:
        QualityPersonError: somebody else's work.
        QualityStateError: there is no judgement to answer, or it was answered.
    """
    if person != case.agent_id:
        raise QualityPersonError(act, "the agent whose work was judged")
    return after(act, case.state)


def settle(case: Case, person: uuid.UUID) -> SampleState:
    """Answer a dispute, for good.

    Raises:
        QualityPersonError: their own work, or a ticket they worked on.
        QualityStateError: there is no dispute.
    """
    _check_reviewer(case, person, SampleAct.SETTLE)
    return after(SampleAct.SETTLE, case.state)


def may_review_second(
    case: Case, person: uuid.UUID, *, second_id: uuid.UUID | None, act: SampleAct
) -> None:
    """Whether this person may give the second, independent judgement.

    Raises:
        QualityPersonError: the first reviewer, or somebody who worked on the ticket.
        QualityStateError: somebody else gives it already.
    """
    _check_reviewer(case, person, act)
    if person == case.reviewer_id:
        raise QualityPersonError(act, "somebody other than the first reviewer")
    if second_id is not None and second_id != person:
        raise QualityStateError(
            act, found="another second reviewer has begun", expected="one without a second review"
        )


def _check_reviewer(case: Case, person: uuid.UUID, act: SampleAct) -> None:
    if person == case.agent_id or person in case.involved:
        raise QualityPersonError(act, "somebody who did not work on the ticket")
