"""Routes of quality reviews: the sample, reviews, feedback, averages."""

from __future__ import annotations

from ticketing.api import quality_handlers as handlers
from ticketing.api.calls import Route
from ticketing.domain.permissions import Permission
from ticketing.http import quality_schemas as schemas
from ticketing.http.runbook_schemas import LanguageQuery
from ticketing.http.schemas import NoBody
from ticketing.services.quality_draw import DrawnPeriod
from ticketing.services.quality_report import QualityReport
from ticketing.services.quality_views import SampleDetail, SamplePage

_ONE = ("sample_not_found", "not_visible")
_ACT = (*_ONE, "not_your_review", "review_state")
_ANSWERS = {
    "understood": "4", "solved": "5", "runbook": "yes", "tone": "4", "level": "yes",
    "data_protection": "yes",
}  # fmt: skip

QUALITY_ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/quality/samples", "list_samples", "Quality",
        "The sampled tickets, each with stratum, chance and weight; oldest first",
        Permission.QUALITY_REVIEW, handlers.list_samples, SamplePage, query=schemas.SampleQuery,
    ),
    Route(
        "GET", "/quality/samples/{sample_id}", "get_sample", "Quality",
        "A sampled ticket with its questions and reviews; yours is written before you see another",
        Permission.QUALITY_REVIEW, handlers.get_sample, SampleDetail, query=LanguageQuery,
        codes=_ONE,
    ),
    Route(
        "POST", "/quality/samples/{sample_id}/start", "start_review", "Quality",
        "Begin a review; nobody else begins it for a day",
        Permission.QUALITY_REVIEW, handlers.start_review, SampleDetail, body=NoBody, codes=_ACT,
    ),
    Route(
        "POST", "/quality/samples/{sample_id}/submit", "submit_review", "Quality",
        "Hand a review in: the first, which the agent reads, or an independent second",
        Permission.QUALITY_REVIEW, handlers.submit_review, SampleDetail,
        body=schemas.JudgementBody, codes=_ACT,
        example={"answers": _ANSWERS, "comment": "Boa condução; faltou dizer o prazo."},
    ),
    Route(
        "POST", "/quality/samples/{sample_id}/settle", "settle_dispute", "Quality",
        "Answer an agent's dispute, for good",
        Permission.QUALITY_REVIEW, handlers.settle_dispute, SampleDetail,
        body=schemas.SettleBody, codes=_ACT,
        example={"answer": "O prazo estava na segunda mensagem; nota corrigida."},
    ),
    Route(
        "GET", "/quality/feedback", "list_feedback", "Quality",
        "What was said of your own work",
        Permission.QUALITY_READ, handlers.list_feedback, handlers.Feedback,
        query=schemas.FeedbackQuery,
    ),
    Route(
        "POST", "/quality/samples/{sample_id}/acknowledge", "acknowledge_feedback", "Quality",
        "Agree with the review of your work",
        Permission.QUALITY_READ, handlers.acknowledge_feedback, SampleDetail, body=NoBody,
        codes=_ACT,
    ),
    Route(
        "POST", "/quality/samples/{sample_id}/dispute", "dispute_feedback", "Quality",
        "Disagree with the review of your work, once, and say why",
        Permission.QUALITY_READ, handlers.dispute_feedback, SampleDetail,
        body=schemas.DisputeBody, codes=_ACT,
        example={"reply": "O cliente pediu para esperar o marido, por isso não fechei antes."},
    ),
    Route(
        "GET", "/quality/periods", "list_periods", "Quality",
        "The weeks that were drawn, with seed and strata",
        Permission.QUALITY_REVIEW, handlers.list_periods, handlers.Periods,
    ),
    Route(
        "POST", "/quality/periods", "draw_period", "Quality",
        "Draw the sample of a week that is over; the same week again changes nothing",
        Permission.QUALITY_REVIEW, handlers.draw_period, DrawnPeriod, body=schemas.DrawBody,
        codes=("period_not_over", "quality_plan_missing"), example={"period": "2026-W10"},
    ),
    Route(
        "GET", "/quality/report", "get_quality_report", "Quality",
        "Weighted averages by agent or team with intervals, and how reviewers agree",
        Permission.QUALITY_REVIEW, handlers.get_report, QualityReport, query=schemas.ReportQuery,
        codes=("quality_plan_missing",),
    ),
)  # fmt: skip
