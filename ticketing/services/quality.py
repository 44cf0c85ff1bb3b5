"""What reviewers and agents do with sampled tickets, one transaction each.

The sample's row is locked first, so of two who begin at once one begins; everything is written once
whatever runs twice.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.clock import Clock
from kit.ids import new_id
from ticketing.db.engine import Database
from ticketing.db.quality_tables import QualityPeriod, QualityReview, QualitySample
from ticketing.db.tables import Agent, Ticket, TicketEvent
from ticketing.domain import quality as domain
from ticketing.domain.quality import (
    Case,
    QualityPersonError,
    QualityStateError,
    SampleAct,
    SampleState,
)
from ticketing.domain.quality_score import check_answers, score
from ticketing.domain.ticket import Actor
from ticketing.services.audit import record
from ticketing.services.quality_draw import card_of
from ticketing.services.quality_views import (
    FIRST,
    SECOND,
    SETTLEMENT,
    SampleDetail,
    SampleNotFoundError,
    feedback,
    sample_detail,
)
from ticketing.services.ticket_orders import ActorGoneError
from ticketing.services.visibility import NotVisibleError, may_see

log = structlog.get_logger()

_WORK = ("taken", "replied", "resolved", "returned_to_bot", "reopened")
"""Ticket events that make a person part of the work, and so unfit to judge it."""


@dataclass(frozen=True, slots=True)
class QualityOrder:
    """Who asks, about which sampled ticket.

    Attributes:
        actor: The person.
        sample_id: The sampled ticket.
        correlation_id: Of the request.
        language: Of the questions in the answer.
    """

    actor: Actor
    sample_id: uuid.UUID
    correlation_id: str
    language: str = "pt"

    @property
    def person(self) -> uuid.UUID:
        """Their id; only people judge."""
        if self.actor.agent_id is None:
            message = "a review needs a person as its author"
            raise ValueError(message)
        return self.actor.agent_id


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reviewer's answers: criterion to answer, and words for the agent."""

    answers: Mapping[str, str]
    comment: str | None = None


@dataclass(slots=True)
class _Held:
    """A sampled ticket, locked."""

    session: AsyncSession
    sample: QualitySample
    order: QualityOrder
    now: datetime
    case: Case
    second_id: uuid.UUID | None


class QualityService:
    """Acts on sampled tickets."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def start(self, order: QualityOrder) -> SampleDetail:
        """Begin the first review; nobody else begins it for a day.

        Raises:
            SampleNotFoundError: there is no such sampled ticket.
            NotVisibleError: its ticket is not for this person.
            QualityPersonError: they worked on it, or give the second review.
            QualityStateError: it is judged, or somebody else has begun.
        """
        async with self._hold(order, for_reviewers=True) as held:
            if order.person == held.second_id:
                raise QualityPersonError(SampleAct.START, "somebody other than its second reviewer")
            state = domain.start(held.case, order.person, now=held.now)
            if held.sample.reviewer_id != order.person:
                held.sample.reviewer_id = order.person
                held.sample.claimed_at = held.now
                _move(held, state)
                await _note(held, "quality.started")
            return await _read(held)

    async def submit(self, order: QualityOrder, judgement: Judgement) -> SampleDetail:
        """Hand in the first review, which the agent gets to read. The same again changes nothing.

        Raises:
            AnswerError: a question without an answer, or with a wrong one.
            QualityPersonError: they have not begun.
            QualityStateError: it is judged already, in other words.
        """
        async with self._hold(order, for_reviewers=True) as held:
            if await _said_before(held, FIRST, judgement):
                return await _read(held)
            state = domain.submit(held.case, order.person)
            row = await _write(held, FIRST, judgement)
            held.sample.done_at = held.now
            held.sample.score = row.score
            _move(held, state)
            await _note(held, "quality.submitted")
            return await _read(held)

    async def submit_second(self, order: QualityOrder, judgement: Judgement) -> SampleDetail:
        """Hand in the second review: it measures the reviewers and is not shown to the agent.

        Raises:
            AnswerError: a question without an answer, or with a wrong one.
            QualityPersonError: they worked on it, or gave the first review.
            QualityStateError: none is wanted, one was given, or a dispute has shown the first one.
        """
        async with self._hold(order, for_reviewers=True) as held:
            if await _said_before(held, SECOND, judgement):
                return await _read(held)
            self._check_second(held)
            await _write(held, SECOND, judgement)
            held.sample.version += 1
            await _note(held, "quality.second_submitted")
            return await _read(held)

    async def acknowledge(self, order: QualityOrder) -> SampleDetail:
        """The agent agrees; that settles it. Agreeing again changes nothing.

        Raises:
            QualityPersonError: it is somebody else's work.
            QualityStateError: it is not judged, or was disputed.
        """
        async with self._hold(order, for_reviewers=False) as held:
            agreed = held.sample.state == SampleState.SETTLED and held.sample.dispute is None
            if not (agreed and order.person == held.case.agent_id):
                state = domain.answer(held.case, order.person, SampleAct.ACKNOWLEDGE)
                held.sample.answered_at = held.now
                held.sample.settled_at = held.now
                held.sample.settled_by = order.person
                _move(held, state)
                await _note(held, "quality.acknowledged")
            return await feedback(
                held.session, order.sample_id, actor=order.actor, language=order.language
            )

    async def dispute(self, order: QualityOrder, *, reply: str) -> SampleDetail:
        """The agent disagrees, once, and says why.

        Raises:
            QualityPersonError: it is somebody else's work.
            QualityStateError: it is not judged, or was answered already.
        """
        async with self._hold(order, for_reviewers=False) as held:
            again = held.sample.state == SampleState.DISPUTED and held.sample.dispute == reply
            if not (again and order.person == held.case.agent_id):
                state = domain.answer(held.case, order.person, SampleAct.DISPUTE)
                held.sample.answered_at = held.now
                held.sample.dispute = reply
                _move(held, state)
                await _note(held, "quality.disputed")
            return await feedback(
                held.session, order.sample_id, actor=order.actor, language=order.language
            )

    async def settle(
        self, order: QualityOrder, *, answer: str, answers: Mapping[str, str] | None = None
    ) -> SampleDetail:
        """Answer a dispute, for good; with other answers to the questions the score changes.

        Raises:
            AnswerError: a question without an answer, or with a wrong one.
            QualityPersonError: they worked on it.
            QualityStateError: there is no dispute.
        """
        async with self._hold(order, for_reviewers=True) as held:
            sample = held.sample
            again = sample.settled_by == order.person and sample.settlement == answer
            if again:
                return await _read(held)
            state = domain.settle(held.case, order.person)
            if answers is not None:
                row = await _write(held, SETTLEMENT, Judgement(answers, answer))
                sample.score = row.score
            sample.settled_at = held.now
            sample.settled_by = order.person
            sample.settlement = answer
            _move(held, state)
            await _note(held, "quality.settled")
            return await _read(held)

    def _check_second(self, held: _Held) -> None:
        state = held.case.state
        if not held.sample.second:
            found, expected = "it has one reviewer", "a sampled ticket with two"
            raise QualityStateError(SampleAct.SUBMIT, found=found, expected=expected)
        domain.may_review_second(
            held.case, held.order.person, second_id=held.second_id, act=SampleAct.SUBMIT
        )
        if held.second_id is not None:
            found, expected = "the second review is there", "one without a second review"
            raise QualityStateError(SampleAct.SUBMIT, found=found, expected=expected)
        if state is SampleState.DISPUTED or held.sample.dispute is not None:
            # Who reads a dispute knows the first review; what they say is not independent.
            found, expected = "the first review was disputed", "one without a dispute"
            raise QualityStateError(SampleAct.SUBMIT, found=found, expected=expected)

    @asynccontextmanager
    async def _hold(self, order: QualityOrder, *, for_reviewers: bool) -> AsyncIterator[_Held]:
        async with self._db.transaction() as session:
            sample = await session.get(QualitySample, order.sample_id, with_for_update=True)
            if sample is None:
                raise SampleNotFoundError(order.sample_id)
            await _check_active(session, order.person)
            if for_reviewers:
                ticket = await session.get_one(Ticket, sample.ticket_id)
                if not may_see(ticket, order.actor):
                    raise NotVisibleError
            second_id = await session.scalar(
                select(QualityReview.reviewer_id).where(
                    QualityReview.sample_id == sample.id, QualityReview.part == SECOND
                )
            )
            case = Case(
                state=SampleState(sample.state),
                agent_id=sample.agent_id,
                involved=await _involved(session, sample.ticket_id),
                reviewer_id=sample.reviewer_id,
                claimed_at=sample.claimed_at,
            )
            yield _Held(session, sample, order, self._clock.now(), case, second_id)


async def _involved(session: AsyncSession, ticket_id: uuid.UUID) -> frozenset[uuid.UUID]:
    """Everybody who answered or took this ticket."""
    labels = await session.scalars(
        select(TicketEvent.actor)
        .where(TicketEvent.ticket_id == ticket_id, TicketEvent.kind.in_(_WORK))
        .distinct()
    )
    return frozenset(
        uuid.UUID(label.removeprefix("agent:")) for label in labels if label.startswith("agent:")
    )


async def _check_active(session: AsyncSession, person: uuid.UUID) -> None:
    active = await session.scalar(
        select(Agent.active).where(Agent.id == person).with_for_update(read=True)
    )
    if not active:
        raise ActorGoneError


async def _said_before(held: _Held, part: str, judgement: Judgement) -> bool:
    """Whether this person has handed in this very review: then a repeated request is answered."""
    row = await held.session.scalar(
        select(QualityReview).where(
            QualityReview.sample_id == held.sample.id, QualityReview.part == part
        )
    )
    return (
        row is not None
        and row.reviewer_id == held.order.person
        and row.answers == dict(judgement.answers)
        and row.comment == judgement.comment
    )


async def _write(held: _Held, part: str, judgement: Judgement) -> QualityReview:
    period = await held.session.get_one(QualityPeriod, held.sample.period)
    card = card_of(period.scorecard)
    answers = check_answers(card, judgement.answers)
    worth = score(card, answers)
    row = QualityReview(
        id=new_id(),
        sample_id=held.sample.id,
        part=part,
        reviewer_id=held.order.person,
        answers=answers,
        score=worth.value,
        critical=list(worth.critical),
        comment=judgement.comment,
        at=held.now,
        correlation_id=held.order.correlation_id,
    )
    held.session.add(row)
    await held.session.flush()
    return row


def _move(held: _Held, state: SampleState) -> None:
    held.sample.state = state.value
    held.sample.version += 1


async def _note(held: _Held, action: str) -> None:
    """Who did it: in the audit log and in the log."""
    data: dict[str, Any] = {"state": held.sample.state, "ticket_id": str(held.sample.ticket_id)}
    await held.session.flush()
    await record(
        held.session,
        actor=held.order.actor.label,
        action=action,
        subject=f"quality_sample:{held.sample.id}",
        data=data,
        now=held.now,
        correlation_id=held.order.correlation_id,
    )
    log.info(
        "quality.changed",
        action=action,
        state=held.sample.state,
        ticket_id=str(held.sample.ticket_id),
        agent_id=str(held.order.person),
        correlation_id=held.order.correlation_id,
    )


async def _read(held: _Held) -> SampleDetail:
    await held.session.flush()
    return await sample_detail(
        held.session,
        held.order.sample_id,
        actor=held.order.actor,
        language=held.order.language,
    )
