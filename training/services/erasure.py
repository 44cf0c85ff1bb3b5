"""Forget a customer: what the training loop holds of their words."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.review_tables import HandoffReview, TrainingCandidate, TrainingSighting
from ticketing.db.tables import Conversation, Message
from ticketing.domain.review import CandidateState


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased.

    Attributes:
        candidates: Candidates deleted, whatever their state.
        sightings: Notes that a turn was looked at.
        notes: Remarks of agents emptied; their verdicts stay, they say nothing of the customer.
        examples: (language, intent, text) of candidates that had been accepted. Their text stands,
            without personal data, in `data/nlu`; whoever wants it out removes that line.
    """

    candidates: int
    sightings: int
    notes: int
    examples: tuple[tuple[str, str, str], ...]


async def forget_contact(session: AsyncSession, contact_id: uuid.UUID) -> Forgotten:
    """Erase a contact's sentences from the inbox and agents' remarks on their conversations.

    The caller commits; doing it again finds nothing. Call it before the messages are erased.
    """
    conversations = select(Conversation.id).where(Conversation.contact_id == contact_id)
    own = TrainingCandidate.conversation_id.in_(conversations)
    accepted = await session.execute(
        select(TrainingCandidate.language, TrainingCandidate.intent, TrainingCandidate.text).where(
            own, TrainingCandidate.state == CandidateState.ACCEPTED.value
        )
    )
    examples = tuple((row.language, row.intent or "", row.text) for row in accepted)
    turns = select(Message.id).where(Message.conversation_id.in_(conversations))
    sightings = await session.execute(
        delete(TrainingSighting)
        .where(TrainingSighting.turn_id.in_(turns))
        .returning(TrainingSighting.turn_id)
    )
    candidates = await session.execute(
        delete(TrainingCandidate).where(own).returning(TrainingCandidate.id)
    )
    notes = await session.execute(
        update(HandoffReview)
        .where(HandoffReview.conversation_id.in_(conversations), HandoffReview.note.is_not(None))
        .values(note=None)
        .returning(HandoffReview.id)
    )
    return Forgotten(
        candidates=len(candidates.all()),
        sightings=len(sightings.all()),
        notes=len(notes.all()),
        examples=examples,
    )
