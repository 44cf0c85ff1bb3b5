"""Turn records and marks into training candidates. May run at any time, twice, and at once.

A turn is counted once (`training_sightings`); a mark or a choice that comes later only improves
the suggestion. One collector works at a time: the watermark's row is locked for each batch.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Select, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.engine import Database
from ticketing.db.review_tables import HandoffReview, TrainingWatermark
from ticketing.db.tables import Agent, Contact, Conversation, Decision, Message
from training.domain.scrub import scrub
from training.domain.signals import Signal, Source, of_decision, of_review, question_behind
from training.services.candidate_book import CandidateBook, Seen

log = structlog.get_logger()

BATCH = 300  # records a transaction
OVERLAP = timedelta(minutes=10)
"""A transaction that began before the watermark may commit after it was moved; none is open so
long. Records inside the overlap are read again, which changes nothing."""
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_BEFORE_CHOICE = 6  # decisions looked at for the question behind a choice

Cursor = tuple[datetime, UUID]
Lead = tuple[Decision, Signal]


@dataclass(slots=True)
class Collected:
    """What a run did: turns looked at, and how many ended how."""

    looked_at: int = 0
    results: Counter[str] = field(default_factory=Counter)


async def collect(
    db: Database, book: CandidateBook, *, now: datetime, batch: int = BATCH
) -> Collected:
    """Look at every decision and mark since the last time.

    Args:
        db: Ponte's database.
        book: The training data and the candidates so far.
        now: The present moment; the watermark is set to it.
        batch: Records in one transaction.
    """
    done = Collected()
    for name, rows in (("decisions", _decisions), ("reviews", _reviews)):
        cursor: Cursor | None = None
        while True:
            async with db.transaction() as session:
                mark = await _locked_watermark(session, name)
                after = cursor or (mark.until - OVERLAP, UUID(int=0))
                found = (await session.execute(rows(after).limit(batch))).all()
                await book.refresh(session)
                names = await _agent_names(session)
                for row in found:
                    await _look(session, book, row, names, done, now=now)
                if len(found) < batch:
                    mark.until = max(mark.until, now)
                    break
                cursor = (found[-1].at, found[-1].id)
                mark.until = max(mark.until, found[-1].at)
    log.info("training.collected", count=done.looked_at)
    return done


def _decisions(after: Cursor) -> Select[Decision, datetime, UUID]:
    return (
        select(Decision, Decision.created_at.label("at"), Decision.id.label("id"))
        .where(tuple_(Decision.created_at, Decision.id) > after)
        .order_by(Decision.created_at, Decision.id)
    )


def _reviews(after: Cursor) -> Select[HandoffReview, datetime, UUID]:
    return (
        select(HandoffReview, HandoffReview.at.label("at"), HandoffReview.id.label("id"))
        .where(tuple_(HandoffReview.at, HandoffReview.id) > after)
        .order_by(HandoffReview.at, HandoffReview.id)
    )


async def _look(
    session: AsyncSession,
    book: CandidateBook,
    row: Any,
    names: Sequence[str],
    done: Collected,
    *,
    now: datetime,
) -> None:
    lead = await _lead(session, row[0])
    if lead is None:
        return
    decision, signal = lead
    seen = await _seen(session, book, decision, names)
    if seen is not None:
        done.looked_at += 1
        done.results[await book.take(session, seen, signal, now=now)] += 1


async def _lead(session: AsyncSession, row: Decision | HandoffReview) -> Lead | None:
    """The turn that a record is about, and what it says of it."""
    if isinstance(row, HandoffReview):
        decision = await session.scalar(select(Decision).where(Decision.turn_id == row.turn_id))
        if decision is None:
            return None
        verdict, intent = row.verdict, row.true_intent
        signal = of_review(_record(decision), verdict=verdict, true_intent=intent)
        return None if signal is None else (decision, signal)
    signal = of_decision(_record(row))
    if signal is not None:
        return row, signal
    return await _explained_by_choice(session, row)


async def _explained_by_choice(session: AsyncSession, choice: Decision) -> Lead | None:
    if choice.snapshot.get("clarification_answer") != "chosen":
        return None
    earlier = (
        await session.scalars(
            select(Decision)
            .where(
                Decision.conversation_id == choice.conversation_id,
                tuple_(Decision.created_at, Decision.id) < (choice.created_at, choice.id),
            )
            .order_by(Decision.created_at.desc(), Decision.id.desc())
            .limit(_BEFORE_CHOICE)
        )
    ).all()
    records = {str(record.turn_id): record for record in earlier}
    found = question_behind(_record(choice), [_record(record) for record in earlier])
    if found is None:
        return None
    question = records[found["turn_id"]]
    intent = choice.snapshot.get("top_intent")
    if intent is None:
        return None
    ranking = question.snapshot.get("ranking") or ()
    best = float(ranking[0][1]) if ranking else None
    return question, Signal(Source.CHOSEN, str(intent), best)


def _record(decision: Decision) -> dict[str, Any]:
    return {
        "turn_id": str(decision.turn_id),
        "outcome": decision.outcome,
        "snapshot": decision.snapshot,
        "decision": decision.decision,
    }


async def _seen(
    session: AsyncSession, book: CandidateBook, decision: Decision, names: Sequence[str]
) -> Seen | None:
    """The turn's text without personal data; None when it is not there any more."""
    row = (
        await session.execute(
            select(Message.text, Contact.name)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .join(Contact, Contact.id == Conversation.contact_id)
            .where(Message.id == decision.turn_id)
        )
    ).one_or_none()
    language = str(decision.snapshot.get("language") or "")
    if row is None or not row.text or language not in book.languages:
        return None
    people = [*names, row.name] if row.name else names
    clean = await asyncio.to_thread(scrub, row.text, names=people, known_words=book.known_words)
    return Seen(decision.turn_id, decision.conversation_id, language, clean.text)


async def _agent_names(session: AsyncSession) -> list[str]:
    return list((await session.scalars(select(Agent.name))).all())


async def _locked_watermark(session: AsyncSession, name: str) -> TrainingWatermark:
    await session.execute(
        insert(TrainingWatermark)
        .values(name=name, until=_BEGINNING)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return await session.get_one(TrainingWatermark, name, with_for_update=True)
