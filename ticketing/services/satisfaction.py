"""Record what the customer thinks of how a ticket was dealt with (CSAT); tell when it is low."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.satisfaction_tables import TicketSatisfaction
from ticketing.domain.ticket import Actor
from ticketing.services.audit import record as audit
from ticketing.services.outbox import add_event
from ticketing.services.ticket_work import lock_ticket, ticket_payload
from ticketing.services.visibility import NotVisibleError, may_see

LOW = "csat.low"
LOW_SCORE = 2
"""Of 1 to 5: "bad" and "very bad"."""
LOWEST, HIGHEST = 1, 5

CHANGEABLE = timedelta(hours=24)
"""A slip of the finger is corrected on the same day; later it would be a new opinion."""


class ScoreError(ValueError):
    """The score is none."""

    def __init__(self, score: int) -> None:
        self.field = "score"
        super().__init__(f"score: expected a number from {LOWEST} to {HIGHEST}, got {score}")


class SatisfactionFinalError(Exception):
    """The mark was given more than a day ago."""

    def __init__(self, recorded_at: datetime) -> None:
        self.recorded_at = recorded_at
        hours = CHANGEABLE // timedelta(hours=1)
        super().__init__(
            f"the customer's mark was recorded at {recorded_at.isoformat()}; expected a change "
            f"within {hours} hours"
        )


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """The customer's mark. `repeated`: it stood there already and nothing was written."""

    ticket_id: uuid.UUID
    score: int
    comment: str | None
    recorded_at: datetime
    changed_at: datetime
    repeated: bool = False


async def record(
    session: AsyncSession,
    ticket_id: uuid.UUID,
    score: int,
    comment: str | None,
    *,
    actor: Actor,
    now: datetime,
    correlation_id: str,
) -> Satisfaction:
    """Record the customer's mark of a ticket, or correct it within a day.

    A low one (1 or 2) is told: event `csat.low`, once, also when it was higher before.

    Args:
        session: The caller's.
        ticket_id: Of the ticket.
        score: 1 (very bad) to 5 (very good).
        comment: The customer's words.
        actor: Who records it.
        now: When.
        correlation_id: Of the request.

    Raises:
        ScoreError: the score is not from 1 to 5.
        TicketNotFoundError: there is no such ticket.
        NotVisibleError: it is not for this person.
        SatisfactionFinalError: another mark was recorded more than a day ago.
    """
    if not LOWEST <= score <= HIGHEST:
        raise ScoreError(score)
    work = await lock_ticket(
        session, ticket_id, actor=actor, now=now, correlation_id=correlation_id
    )
    if not may_see(work.ticket, actor):
        raise NotVisibleError
    row = await session.get(TicketSatisfaction, ticket_id)
    before = None if row is None else row.score
    if row is None:
        row = TicketSatisfaction(
            ticket_id=ticket_id,
            score=score,
            comment=comment,
            recorded_by=actor.label,
            recorded_at=now,
            changed_at=now,
        )
        session.add(row)
    elif (row.score, row.comment) == (score, comment):
        return _view(row, repeated=True)
    elif now - row.recorded_at > CHANGEABLE:
        raise SatisfactionFinalError(row.recorded_at)
    else:
        row.score, row.comment, row.recorded_by = score, comment, actor.label
        row.changed_at = max(now, row.recorded_at)
    await session.flush()
    if score <= LOW_SCORE and (before is None or before > LOW_SCORE):
        await add_event(
            session,
            topic=LOW,
            payload={**ticket_payload(work), "score": score},
            now=now,
            correlation_id=correlation_id,
        )
    await audit(
        session,
        actor=actor.label,
        action="ticket.satisfaction_recorded",
        subject=f"ticket:{ticket_id}",
        data={"score": score, "before": before},
        now=now,
        correlation_id=correlation_id,
    )
    return _view(row, repeated=False)


def _view(row: TicketSatisfaction, *, repeated: bool) -> Satisfaction:
    return Satisfaction(
        row.ticket_id, row.score, row.comment, row.recorded_at, row.changed_at, repeated
    )
