"""Average scores by agent or team, weighted back to all the work of the weeks asked for."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from ticketing.db.quality_tables import QualityPeriod, QualityReview, QualitySample
from ticketing.domain.quality import SampleState
from ticketing.domain.quality_estimates import (
    Agreement,
    Estimate,
    Scored,
    cohen_kappa,
    estimate,
)
from ticketing.domain.quality_file import QualityPlan
from ticketing.domain.quality_score import FULL, SCALE, CriterionKind
from ticketing.services.quality_draw import card_of
from ticketing.services.quality_views import FIRST, SECOND, agent_names, team_names

MAX_PERIODS = 53
_BANDS = ("0-20", "20-40", "40-60", "60-80", "80-100")
_JUDGED = [SampleState.DONE.value, SampleState.DISPUTED.value, SampleState.SETTLED.value]

NOTE = (
    "Averages are weighted with the sampling weights, so they describe all tickets of the weeks, "
    "not the sample. Tickets that are sampled and not yet judged are stood in for by the judged "
    "ones of their stratum."
)


class By(StrEnum):
    """Whose averages."""

    AGENT = "agent"
    TEAM = "team"


class UnknownPeriodError(ValueError):
    """No sample was drawn for this week."""

    def __init__(self, period: str, known: list[str]) -> None:
        self.field = "period"
        self.allowed = known
        super().__init__(
            f"period: no sample was drawn for {period!r}; "
            f"expected one of {', '.join(known) or 'none yet'}"
        )


@dataclass(frozen=True, slots=True)
class GroupAverage:
    """One agent's or team's average. `id` None: tickets of queues without a team."""

    id: uuid.UUID | None
    name: str | None
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class CriterionAgreement:
    """How two reviewers agree on one question; `criterion` "score": on the score in fifths."""

    criterion: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The averages of some weeks.

    Attributes:
        periods: The weeks, oldest first.
        by: Agents or teams.
        population: Tickets that people resolved in them.
        sampled: Of these drawn.
        judged: Of these judged.
        unscorable: Of these without a score, because no question applied.
        least: Scored tickets below which an average is refused.
        confidence_level: Of the intervals.
        overall: Everybody's average.
        groups: By agent or team, by name.
        second_wanted: Sampled for a second reviewer.
        second_done: Judged by both.
        agreement: Cohen's kappa by question, quadratic weights on scales.
        note: How to read it.
    """

    periods: tuple[str, ...]
    by: By
    population: int
    sampled: int
    judged: int
    unscorable: int
    least: int
    confidence_level: float
    overall: Estimate
    groups: tuple[GroupAverage, ...]
    second_wanted: int
    second_done: int
    agreement: tuple[CriterionAgreement, ...]
    note: str = NOTE


async def quality_report(
    session: AsyncSession, *, plan: QualityPlan, by: By, periods: tuple[str, ...]
) -> QualityReport:
    """The averages of these weeks; of the newest one when none is named.

    Raises:
        UnknownPeriodError: a week without a sample.
    """
    rows = await _periods(session, periods)
    names = [row.period for row in rows]
    populations: dict[Hashable, int] = {
        (row.period, item["stratum"]): item["population"] for row in rows for item in row.strata
    }
    samples = list(
        await session.scalars(select(QualitySample).where(QualitySample.period.in_(names)))
    )
    judged = [sample for sample in samples if sample.state in _JUDGED]
    scored = [
        Scored(
            stratum=(sample.period, sample.stratum),
            group=sample.agent_id if by is By.AGENT else (sample.team_id or _NO_TEAM),
            score=sample.score,
        )
        for sample in judged
        if sample.score is not None
    ]
    least, level = plan.least, plan.confidence_level
    pairs = await _pairs(session, names)
    return QualityReport(
        periods=tuple(names),
        by=by,
        population=sum(populations.values()),
        sampled=len(samples),
        judged=len(judged),
        unscorable=len(judged) - len(scored),
        least=least,
        confidence_level=level,
        overall=estimate(scored, populations, least=least, confidence=level),
        groups=await _groups(session, scored, populations, by=by, least=least, level=level),
        second_wanted=sum(sample.second for sample in samples),
        second_done=len(pairs),
        agreement=_agreement(pairs, _kinds(rows), least=least),
    )


_NO_TEAM = "no team"


async def list_periods(session: AsyncSession, *, limit: int = MAX_PERIODS) -> list[QualityPeriod]:
    """The weeks that were drawn, newest first."""
    rows = await session.scalars(
        select(QualityPeriod).order_by(QualityPeriod.starts_at.desc()).limit(limit)
    )
    return list(rows)


async def _periods(session: AsyncSession, names: tuple[str, ...]) -> list[QualityPeriod]:
    known = await list_periods(session)
    if not names:
        return known[:1]
    by_name = {row.period: row for row in known}
    for name in names:
        if name not in by_name:
            raise UnknownPeriodError(name, sorted(by_name))
    return sorted({by_name[name] for name in names}, key=lambda row: row.starts_at)


async def _groups(
    session: AsyncSession,
    scored: list[Scored],
    populations: Mapping[Hashable, int],
    *,
    by: By,
    least: int,
    level: float,
) -> tuple[GroupAverage, ...]:
    keys = {item.group for item in scored}
    ids = [key for key in keys if isinstance(key, uuid.UUID)]
    names = await (agent_names if by is By.AGENT else team_names)(session, ids)
    averages = [
        GroupAverage(
            id=key if isinstance(key, uuid.UUID) else None,
            name=names.get(key) if isinstance(key, uuid.UUID) else None,
            estimate=estimate(scored, populations, group=key, least=least, confidence=level),
        )
        for key in keys
    ]
    return tuple(sorted(averages, key=lambda item: (item.name or "", str(item.id))))


_Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two independent judgements of one ticket: answers and scores."""

    first: _Answers
    second: _Answers
    scores: tuple[float | None, float | None]


async def _pairs(session: AsyncSession, names: list[str]) -> list[_Pair]:
    first, second = aliased(QualityReview), aliased(QualityReview)
    rows = await session.execute(
        select(first.answers, second.answers, first.score, second.score)
        .join(second, second.sample_id == first.sample_id)
        .join(QualitySample, QualitySample.id == first.sample_id)
        .where(first.part == FIRST, second.part == SECOND, QualitySample.period.in_(names))
    )
    return [_Pair(row[0], row[1], (row[2], row[3])) for row in rows]


def _kinds(rows: list[QualityPeriod]) -> dict[str, CriterionKind]:
    """The questions of these weeks; a question whose kind has changed counts by its newest."""
    return {
        criterion.key: criterion.kind
        for row in rows
        for criterion in card_of(row.scorecard).criteria
    }


def _agreement(
    pairs: list[_Pair], kinds: Mapping[str, CriterionKind], *, least: int
) -> tuple[CriterionAgreement, ...]:
    found = []
    for key, kind in kinds.items():
        both = [
            (pair.first[key], pair.second[key])
            for pair in pairs
            if key in pair.first and key in pair.second
        ]
        scale = SCALE if kind is CriterionKind.SCALE else None
        found.append(CriterionAgreement(key, cohen_kappa(both, scale=scale, least=least)))
    bands = [
        (_band(pair.scores[0]), _band(pair.scores[1]))
        for pair in pairs
        if pair.scores[0] is not None and pair.scores[1] is not None
    ]
    found.append(CriterionAgreement("score", cohen_kappa(bands, scale=_BANDS, least=least)))
    return tuple(found)


def _band(score: float | None) -> str:
    """The fifth a score lies in."""
    fifth = int((score or 0.0) / (FULL / len(_BANDS)))
    return _BANDS[min(fifth, len(_BANDS) - 1)]
