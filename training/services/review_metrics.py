"""Over-handoff and under-handoff out of the stored marks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.review_tables import HandoffReview
from ticketing.db.tables import Decision
from training.domain.rates import Mark, Metrics, metrics

SAMPLING_NOTE = (
    "Only reviewed turns are counted, and agents review what they happen to see: mostly handed "
    "over conversations, and mostly striking ones. Read the rates as a comparison between periods "
    "or rules. For a rate of all conversations, review a random sample."
)


async def review_metrics(session: AsyncSession, *, since: datetime | None = None) -> Metrics:
    """The rates of the marks made since a moment; None: of all."""
    statement = select(HandoffReview, Decision.outcome, Decision.reason, Decision.snapshot).join(
        Decision, Decision.turn_id == HandoffReview.turn_id
    )
    if since is not None:
        statement = statement.where(HandoffReview.at >= since)
    rows = await session.execute(statement.order_by(HandoffReview.at, HandoffReview.id))
    return metrics(
        Mark(
            turn=str(review.turn_id),
            outcome=outcome,
            verdict=review.verdict,
            reason=reason,
            intent=snapshot.get("top_intent"),
            language=str(snapshot.get("language", "")),
            at=review.at,
        )
        for review, outcome, reason, snapshot in rows
    )
