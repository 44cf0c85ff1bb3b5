"""Quality reviews over the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ticketing.api.calls import Answer, Call
from ticketing.http.quality_schemas import FeedbackQuery, ReportQuery, SampleQuery
from ticketing.http.runbook_schemas import LanguageQuery
from ticketing.services import quality_report, quality_views
from ticketing.services.quality import Judgement, QualityOrder, QualityService
from ticketing.services.quality_draw import NoQualityPlanError, QualityDraw
from ticketing.services.quality_views import SampleDetail, SampleFilter


@dataclass(frozen=True, slots=True)
class StratumView:
    """How many tickets a stratum had, and how many were drawn."""

    stratum: str
    population: int
    sampled: int


@dataclass(frozen=True, slots=True)
class PeriodView:
    """A week whose sample was drawn; with the seed anybody can draw it again."""

    period: str
    starts_at: datetime
    ends_at: datetime
    seed: str
    plan: str
    strata: tuple[StratumView, ...]
    drawn_at: datetime


@dataclass(frozen=True, slots=True)
class Periods:
    """The weeks that were drawn, newest first."""

    periods: tuple[PeriodView, ...]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What was said of one's own work, newest first."""

    feedback: tuple[SampleDetail, ...]


async def list_samples(call: Call) -> Answer:
    """GET /quality/samples."""
    query: SampleQuery = call.query
    wanted = SampleFilter(
        states=query.state,
        period=query.period,
        stratum=query.stratum,
        agent_id=query.agent,
        second_wanted=query.second_wanted,
    )
    async with call.desk.deps.db.transaction() as session:
        page = await quality_views.list_samples(
            session, actor=call.actor, wanted=wanted, limit=query.limit, cursor=query.cursor
        )
    return Answer(page)


async def get_sample(call: Call) -> Answer:
    """GET /quality/samples/{sample_id}."""
    query: LanguageQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        found = await quality_views.sample_detail(
            session, call.ids["sample_id"], actor=call.actor, language=query.language
        )
    return Answer(found)


async def start_review(call: Call) -> Answer:
    """POST /quality/samples/{sample_id}/start."""
    return Answer(await _service(call).start(_order(call)))


async def submit_review(call: Call) -> Answer:
    """POST /quality/samples/{sample_id}/submit."""
    body, service = call.body, _service(call)
    judgement = Judgement(body.answers, body.comment)
    submit = service.submit if body.part == "first" else service.submit_second
    return Answer(await submit(_order(call), judgement))


async def settle_dispute(call: Call) -> Answer:
    """POST /quality/samples/{sample_id}/settle."""
    body = call.body
    done = await _service(call).settle(_order(call), answer=body.answer, answers=body.answers)
    return Answer(done)


async def list_feedback(call: Call) -> Answer:
    """GET /quality/feedback."""
    query: FeedbackQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        found = await quality_views.own_feedback(
            session, actor=call.actor, language=query.language, limit=query.limit
        )
    return Answer(Feedback(found))


async def acknowledge_feedback(call: Call) -> Answer:
    """POST /quality/samples/{sample_id}/acknowledge."""
    return Answer(await _service(call).acknowledge(_order(call)))


async def dispute_feedback(call: Call) -> Answer:
    """POST /quality/samples/{sample_id}/dispute."""
    return Answer(await _service(call).dispute(_order(call), reply=call.body.reply))


async def draw_period(call: Call) -> Answer:
    """POST /quality/periods."""
    deps = call.desk.deps
    drawing = QualityDraw(deps.db, deps.clock, deps.quality.current)
    return Answer(await drawing.draw(call.body.period))


async def list_periods(call: Call) -> Answer:
    """GET /quality/periods."""
    async with call.desk.deps.db.transaction() as session:
        rows = await quality_report.list_periods(session)
    views = tuple(
        PeriodView(
            period=row.period,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            seed=row.seed,
            plan=row.plan,
            strata=tuple(StratumView(**item) for item in row.strata),
            drawn_at=row.drawn_at,
        )
        for row in rows
    )
    return Answer(Periods(views))


async def get_report(call: Call) -> Answer:
    """GET /quality/report."""
    query: ReportQuery = call.query
    plan = call.desk.deps.quality.current()
    if plan is None:
        raise NoQualityPlanError
    async with call.desk.deps.db.transaction() as session:
        report = await quality_report.quality_report(
            session, plan=plan, by=query.by, periods=query.period
        )
    return Answer(report)


def _service(call: Call) -> QualityService:
    return QualityService(call.desk.deps.db, call.desk.deps.clock)


def _order(call: Call) -> QualityOrder:
    return QualityOrder(
        actor=call.actor, sample_id=call.ids["sample_id"], correlation_id=call.correlation_id
    )
