"""The candidates so far and the training data, in memory, to tell new sentences from known ones."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.text import words
from kit.ids import new_id
from ticketing.db.review_tables import TrainingCandidate, TrainingSighting
from ticketing.domain.review import CandidateState
from training.domain.scrub import PLACEHOLDER
from training.domain.signals import LABELS, STRENGTH, Signal, Source, is_worth_reading
from training.domain.similarity import ALIKE, SAME, Index, Weights, key_of
from training.nlu_files import Example, NluFiles

_ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A turn's text, free of personal data."""

    turn_id: uuid.UUID
    conversation_id: uuid.UUID
    language: str
    text: str


@dataclass(slots=True)
class _Language:
    """What is known in one language."""

    examples: dict[str, Example]
    likeness: Index[str]
    """Of the examples, by key; finds also weakly alike ones, for a second opinion."""
    candidates: Index[uuid.UUID] = field(default_factory=lambda: Index(SAME))
    leaders: Index[str] = field(default_factory=lambda: Index(ALIKE))


class CandidateBook:
    """Decides of each sentence: new, the same as another, or of no use.

    Args:
        examples: The training data.
        held_out: Keys of the sentences that are never trained on.
    """

    def __init__(self, examples: tuple[Example, ...], held_out: frozenset[str]) -> None:
        self._weights = Weights.of(example.text for example in examples)
        self._held_out = held_out
        self._loaded_until: datetime | None = None
        self.known_words = frozenset(word for example in examples for word in words(example.text))
        self._languages: dict[str, _Language] = {}
        for example in examples:
            known = self._languages.setdefault(example.language, _Language({}, Index(ALIKE)))
            key = key_of(example.text)
            known.examples.setdefault(key, example)
            known.likeness.add(key, self._weights.vector(example.text))

    @classmethod
    def of(cls, files: NluFiles) -> CandidateBook:
        """A book over a checkout's training data.

        Raises:
            TrainingDataError: it cannot be read.
        """
        return cls(files.examples(), files.held_out())

    @property
    def languages(self) -> frozenset[str]:
        """Languages that have training data."""
        return frozenset(self._languages)

    async def refresh(self, session: AsyncSession) -> None:
        """Take in the candidates that were stored since the last time, by anybody."""
        statement = select(TrainingCandidate).order_by(TrainingCandidate.id)
        if self._loaded_until is not None:
            statement = statement.where(
                TrainingCandidate.created_at >= self._loaded_until - _ONE_MINUTE
            )
        for row in (await session.scalars(statement)).all():
            self._note(row)
            newest = self._loaded_until
            self._loaded_until = row.created_at if newest is None else max(newest, row.created_at)

    async def take(
        self, session: AsyncSession, seen: Seen, signal: Signal, *, now: datetime
    ) -> str:
        """Store what a turn's text is worth; the result is kept with its sighting.

        Returns:
            `candidate`, `same` (as another candidate), `example` (known already), `held_out`,
            `unfit` (too short or too long), or `improved` for a turn that was seen before.
        """
        earlier = await session.get(TrainingSighting, seen.turn_id)
        if earlier is not None and earlier.candidate_id is not None:
            return await self._improve(session, earlier.candidate_id, signal)
        if earlier is not None and signal.source not in LABELS:
            return "repeated"
        result, candidate_id = await self._place(session, seen, signal, now=now)
        await session.execute(
            insert(TrainingSighting)
            .values(turn_id=seen.turn_id, candidate_id=candidate_id, result=result, at=now)
            .on_conflict_do_update(
                index_elements=["turn_id"], set_={"candidate_id": candidate_id, "result": result}
            )
        )
        return result

    async def _place(
        self, session: AsyncSession, seen: Seen, signal: Signal, *, now: datetime
    ) -> tuple[str, uuid.UUID | None]:
        if not is_worth_reading(seen.text, placeholder=PLACEHOLDER):
            return "unfit", None
        key = key_of(seen.text)
        if key in self._held_out:
            return "held_out", None
        known = self._languages[seen.language]
        vector = self._weights.vector(seen.text)
        nearest = await asyncio.to_thread(known.likeness.nearest, vector)
        example = None if nearest is None else known.examples[nearest[0]]
        likeness = None if nearest is None else nearest[1]
        if key in known.examples or (
            example is not None and likeness is not None and likeness >= SAME
            # A person who names another intent contradicts the example: that must be looked at.
            and not (signal.source in LABELS and signal.suggested_intent != example.intent)
        ):  # fmt: skip
            return "example", None
        same = await asyncio.to_thread(known.candidates.nearest, vector)
        if same is not None:
            row = await session.get(TrainingCandidate, same[0], with_for_update=True)
            if row is not None:  # it may have been erased with its customer
                row.sightings += 1
                _strengthen(row, signal)
                return "same", row.id
        leader = await asyncio.to_thread(known.leaders.nearest, vector)
        row = TrainingCandidate(
            id=new_id(),
            language=seen.language,
            text=seen.text,
            key=key,
            source=signal.source.value,
            suggested_intent=signal.suggested_intent,
            confidence=signal.confidence,
            nearest_intent=None if example is None else example.intent,
            similarity=likeness,
            group_key=_group(seen.language, key) if leader is None else leader[0],
            turn_id=seen.turn_id,
            conversation_id=seen.conversation_id,
            created_at=now,
        )
        session.add(row)
        await session.flush()
        self._note(row)
        return "candidate", row.id

    async def _improve(self, session: AsyncSession, candidate_id: uuid.UUID, signal: Signal) -> str:
        row = await session.get(TrainingCandidate, candidate_id, with_for_update=True)
        if row is None or not _strengthen(row, signal):
            return "repeated"
        return "improved"

    def _note(self, row: TrainingCandidate) -> None:
        known = self._languages.get(row.language)
        if known is None or row.id in known.candidates:
            return
        vector = self._weights.vector(row.text)
        known.candidates.add(row.id, vector)
        if row.group_key == _group(row.language, row.key):
            known.leaders.add(row.group_key, vector)


def _strengthen(row: TrainingCandidate, signal: Signal) -> bool:
    """Let a stronger signal replace the suggestion of an undecided candidate."""
    if row.state != CandidateState.NEW.value or signal.suggested_intent is None:
        return False
    now, was = STRENGTH[signal.source], STRENGTH[Source(row.source)]
    changes = now > was or (now == was and signal.source in LABELS)
    if not changes or (row.source, row.suggested_intent) == (
        signal.source.value,
        signal.suggested_intent,
    ):
        return False
    row.source = signal.source.value
    row.suggested_intent = signal.suggested_intent
    return True


def _group(language: str, key: str) -> str:
    """Name of the group that a sentence leads; the same sentence always gives the same name."""
    return hashlib.sha256(f"{language}\n{key}".encode()).hexdigest()[:8]
