"""Bodies and queries of quality reviews."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ticketing.domain.quality import SampleState
from ticketing.http.runbook_schemas import Language
from ticketing.http.schemas import Key, Reason, Strict, Words
from ticketing.services.quality_report import MAX_PERIODS, By
from ticketing.services.quality_views import DEFAULT_SAMPLES, MAX_SAMPLES


def _split(value: Any) -> Any:
    """`a,b` and repeated parameters alike."""
    parts = value if isinstance(value, list) else [value]
    return [word for part in parts for word in str(part).split(",") if word]


PeriodName = Annotated[
    str, Field(pattern=r"^\d{4}-W\d{2}$", description="ISO week, such as 2026-W11.")
]
Answers = Annotated[
    dict[Key, Key],
    Field(max_length=30, description="Criterion to answer: yes, no, 1 to 5, or na."),
]


class SampleQuery(Strict):
    """Filters of the sampled tickets."""

    state: Annotated[tuple[SampleState, ...], BeforeValidator(_split)] = ()
    period: PeriodName | None = None
    stratum: Key | None = None
    agent: uuid.UUID | None = None
    second_wanted: Annotated[
        bool, Field(description="Only those that still want a second reviewer.")
    ] = False
    limit: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = DEFAULT_SAMPLES
    cursor: Annotated[uuid.UUID | None, Field(description="`next_cursor` of the page before.")] = (
        None
    )


class FeedbackQuery(Strict):
    """How much of one's feedback, and in which language."""

    language: Language = "pt"
    limit: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = DEFAULT_SAMPLES


class JudgementBody(Strict):
    """A review: an answer to every question, and words for the agent."""

    answers: Answers
    comment: Words | None = None
    part: Literal["first", "second"] = Field(
        default="first", description="second: the independent judgement of a second reviewer."
    )


class DisputeBody(Strict):
    """Why the agent disagrees; it can be said once."""

    reply: Reason


class SettleBody(Strict):
    """The answer to a dispute. With `answers` the score is computed again from these."""

    answer: Reason
    answers: Answers | None = None


class DrawBody(Strict):
    """Draw the sample of a week; the same week again changes nothing."""

    period: Annotated[
        PeriodName | None, Field(description="Without: the last week that is over.")
    ] = None


class ReportQuery(Strict):
    """Whose averages, of which weeks."""

    by: By = By.AGENT
    period: Annotated[
        tuple[PeriodName, ...], BeforeValidator(_split), Field(max_length=MAX_PERIODS)
    ] = ()
