"""Sampled tickets, feedback and averages, as people read them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from ticketing.db.quality_tables import QualityPeriod, QualityReview, QualitySample
from ticketing.db.tables import Agent, Team, Ticket
from ticketing.domain.quality import SampleState
from ticketing.domain.quality_score import Scorecard
from ticketing.domain.runbook import in_language
from ticketing.domain.ticket import Actor
from ticketing.services.quality_draw import card_of
from ticketing.services.visibility import NotVisibleError, may_see, visible_to

DEFAULT_SAMPLES = 50
MAX_SAMPLES = 200
JUDGED = (SampleState.DONE, SampleState.DISPUTED, SampleState.SETTLED)
FIRST, SECOND, SETTLEMENT = "first", "second", "settlement"


class SampleNotFoundError(Exception):
    """No sampled ticket has this id."""

    def __init__(self, sample_id: uuid.UUID) -> None:
        self.sample_id = sample_id
        super().__init__(f"sampled ticket {sample_id} does not exist")


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sampled ticket as a line. `weight`: how many tickets of its week it stands for."""

    id: uuid.UUID
    period: str
    ticket_id: uuid.UUID
    ticket_number: int
    subject: str
    agent_id: uuid.UUID
    agent_name: str
    stratum: str
    probability: float
    weight: float
    second: bool
    second_done: bool
    state: str
    version: int
    reviewer_id: uuid.UUID | None
    reviewer_name: str | None
    claimed_at: datetime | None
    done_at: datetime | None
    score: float | None


@dataclass(frozen=True, slots=True)
class CriterionView:
    """A question, and what may be answered."""

    criterion: str
    text: str
    answers: tuple[str, ...]
    weight: float
    critical: bool


@dataclass(frozen=True, slots=True)
class ReviewedView:
    """One person's answers. `critical` names the critical criteria answered with "no"."""

    part: str
    reviewer_id: uuid.UUID
    reviewer_name: str
    answers: dict[str, str]
    score: float | None
    critical: tuple[str, ...]
    comment: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SampleDetail:
    """A sampled ticket with its questions and what was answered.

    `hidden` says that answers exist which this person must not read yet, because theirs shall be
    independent.
    """

    sample: SampleView
    criteria: tuple[CriterionView, ...]
    reviews: tuple[ReviewedView, ...]
    hidden: bool
    dispute: str | None
    answered_at: datetime | None
    settlement: str | None
    settled_by: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Which sampled tickets; empty parts do not filter."""

    states: tuple[SampleState, ...] = ()
    period: str | None = None
    stratum: str | None = None
    agent_id: uuid.UUID | None = None
    second_wanted: bool = False
    """Only those that still want a second reviewer."""


@dataclass(frozen=True, slots=True)
class SamplePage:
    """Sampled tickets, oldest week first; `next_cursor` is None on the last page."""

    samples: tuple[SampleView, ...]
    next_cursor: uuid.UUID | None


async def list_samples(
    session: AsyncSession,
    *,
    actor: Actor,
    wanted: SampleFilter,
    limit: int = DEFAULT_SAMPLES,
    cursor: uuid.UUID | None = None,
) -> SamplePage:
    """A page of the sampled tickets that a reviewer may see; ids grow with time."""
    others = QualitySample.agent_id != actor.agent_id  # one's own work is no reviewer's business
    statement = _rows().where(visible_to(actor), others, *_conditions(wanted))
    if cursor is not None:
        statement = statement.where(QualitySample.id > cursor)
    size = max(1, min(limit, MAX_SAMPLES))
    rows = (await session.execute(statement.order_by(QualitySample.id).limit(size + 1))).all()
    shown = tuple(_sample(row) for row in rows[:size])
    return SamplePage(shown, shown[-1].id if len(rows) > size else None)


async def sample_detail(
    session: AsyncSession, sample_id: uuid.UUID, *, actor: Actor, language: str
) -> SampleDetail:
    """A sampled ticket as a reviewer sees it.

    Raises:
        SampleNotFoundError: there is none.
        NotVisibleError: its ticket is not for this person, or it is about their own work.
    """
    detail, ticket = await _detail(session, sample_id, language=language)
    if not may_see(ticket, actor) or detail.sample.agent_id == actor.agent_id:
        # One's own work is read as feedback, once it is judged.
        raise NotVisibleError
    if not _must_stay_independent(detail, actor):
        return detail
    own = tuple(review for review in detail.reviews if review.reviewer_id == actor.agent_id)
    hidden = len(own) < len(detail.reviews)
    shown = replace(detail.sample, score=None) if hidden else detail.sample
    return replace(detail, sample=shown, reviews=own, hidden=hidden)


async def own_feedback(
    session: AsyncSession,
    *,
    actor: Actor,
    language: str,
    limit: int = DEFAULT_SAMPLES,
) -> tuple[SampleDetail, ...]:
    """What was said of one's own work, newest first. A second, measuring judgement is not shown."""
    ids = await session.scalars(
        select(QualitySample.id)
        .where(
            QualitySample.agent_id == actor.agent_id,
            QualitySample.state.in_([state.value for state in JUDGED]),
        )
        .order_by(QualitySample.done_at.desc(), QualitySample.id.desc())
        .limit(max(1, min(limit, MAX_SAMPLES)))
    )
    return tuple([await feedback(session, one, actor=actor, language=language) for one in ids])


async def feedback(
    session: AsyncSession, sample_id: uuid.UUID, *, actor: Actor, language: str
) -> SampleDetail:
    """A judgement as the agent it is about reads it.

    Raises:
        SampleNotFoundError: there is none, or it is not judged yet: a draw is nobody's news.
        NotVisibleError: it is about somebody else's work.
    """
    detail, _ = await _detail(session, sample_id, language=language)
    if detail.sample.agent_id != actor.agent_id:
        raise NotVisibleError
    if detail.sample.state not in [state.value for state in JUDGED]:
        raise SampleNotFoundError(sample_id)
    reviews = tuple(review for review in detail.reviews if review.part != SECOND)
    return replace(detail, reviews=reviews)


async def review_state(session: AsyncSession, ticket_id: uuid.UUID) -> str | None:
    """State of the newest sample a ticket is in, for its page; None: in none."""
    found: str | None = await session.scalar(
        select(QualitySample.state)
        .where(QualitySample.ticket_id == ticket_id)
        .order_by(QualitySample.id.desc())
        .limit(1)
    )
    return found


def criteria_views(card: Scorecard, *, language: str) -> tuple[CriterionView, ...]:
    """The questions of a card in a language."""
    return tuple(
        CriterionView(
            item.key, in_language(item.texts, language), item.kind.answers, item.weight,
            item.critical,
        )
        for item in card.criteria
    )  # fmt: skip


def _must_stay_independent(detail: SampleDetail, actor: Actor) -> bool:
    """Whether this person could still give one of two judgements that must not know each other."""
    line = detail.sample
    if not line.second or line.state in {SampleState.DISPUTED, SampleState.SETTLED}:
        return False
    given = {review.reviewer_id for review in detail.reviews}
    return len(detail.reviews) == 1 and actor.agent_id not in given


_Reviewer = aliased(Agent)


def _second_done() -> ColumnElement[bool]:
    return (
        select(QualityReview.id)
        .where(QualityReview.sample_id == QualitySample.id, QualityReview.part == SECOND)
        .correlate(QualitySample)
        .exists()
    )


def _rows() -> Select[QualitySample, int, str, str, str, bool]:
    return (
        select(
            QualitySample,
            Ticket.number,
            Ticket.subject,
            Agent.name,
            _Reviewer.name,
            _second_done(),
        )
        .join(Ticket, Ticket.id == QualitySample.ticket_id)
        .join(Agent, Agent.id == QualitySample.agent_id)
        .outerjoin(_Reviewer, _Reviewer.id == QualitySample.reviewer_id)
    )


def _conditions(wanted: SampleFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(QualitySample.state.in_([state.value for state in wanted.states]))
    if wanted.period is not None:
        conditions.append(QualitySample.period == wanted.period)
    if wanted.stratum is not None:
        conditions.append(QualitySample.stratum == wanted.stratum)
    if wanted.agent_id is not None:
        conditions.append(QualitySample.agent_id == wanted.agent_id)
    if wanted.second_wanted:
        conditions += [QualitySample.second.is_(True), ~_second_done()]
    return conditions


def _sample(row: Sequence[Any]) -> SampleView:
    sample: QualitySample = row[0]
    return SampleView(
        id=sample.id,
        period=sample.period,
        ticket_id=sample.ticket_id,
        ticket_number=row[1],
        subject=row[2],
        agent_id=sample.agent_id,
        agent_name=row[3],
        stratum=sample.stratum,
        probability=sample.probability,
        weight=sample.weight,
        second=sample.second,
        second_done=row[5],
        state=sample.state,
        version=sample.version,
        reviewer_id=sample.reviewer_id,
        reviewer_name=row[4],
        claimed_at=sample.claimed_at,
        done_at=sample.done_at,
        score=sample.score,
    )


async def _detail(
    session: AsyncSession, sample_id: uuid.UUID, *, language: str
) -> tuple[SampleDetail, Ticket]:
    row = (await session.execute(_rows().where(QualitySample.id == sample_id))).one_or_none()
    if row is None:
        raise SampleNotFoundError(sample_id)
    sample: QualitySample = row[0]
    period = await session.get_one(QualityPeriod, sample.period)
    reviews = await session.execute(
        select(QualityReview, Agent.name)
        .join(Agent, Agent.id == QualityReview.reviewer_id)
        .where(QualityReview.sample_id == sample_id)
        .order_by(QualityReview.at, QualityReview.id)
    )
    settled_by = None
    if sample.settled_by is not None:
        settled_by = await session.scalar(select(Agent.name).where(Agent.id == sample.settled_by))
    detail = SampleDetail(
        sample=_sample(tuple(row)),
        criteria=criteria_views(card_of(period.scorecard), language=language),
        reviews=tuple(_reviewed(review, name) for review, name in reviews),
        hidden=False,
        dispute=sample.dispute,
        answered_at=sample.answered_at,
        settlement=sample.settlement,
        settled_by=settled_by,
        settled_at=sample.settled_at,
    )
    return detail, await session.get_one(Ticket, sample.ticket_id)


def _reviewed(row: QualityReview, name: str) -> ReviewedView:
    return ReviewedView(
        part=row.part,
        reviewer_id=row.reviewer_id,
        reviewer_name=name,
        answers=dict(row.answers),
        score=row.score,
        critical=tuple(row.critical),
        comment=row.comment,
        at=row.at,
    )


async def team_names(session: AsyncSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """Names of teams by id."""
    rows = await session.execute(select(Team.id, Team.name).where(Team.id.in_(ids)))
    return {row.id: row.name for row in rows}


async def agent_names(session: AsyncSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
    """Names of agents by id."""
    rows = await session.execute(select(Agent.id, Agent.name).where(Agent.id.in_(ids)))
    return {row.id: row.name for row in rows}
