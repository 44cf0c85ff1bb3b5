"""The inbox: list candidates, accept them into the training data, reject them.

Accepting writes the file first and marks the row in the same transaction afterwards. If the process
dies in between, the row is still new and accepting it again finds the example in the file and only
marks: nothing is written twice and nothing is lost.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandoffPolicy
from ticketing.db.engine import Database
from ticketing.db.review_tables import TrainingCandidate
from ticketing.domain.enums import UnknownValueError
from ticketing.domain.review import CandidateState
from training.nlu_files import Example, ExampleRefusedError, NluFiles

MOST = 500  # candidates in one list


class CandidateNotFoundError(LookupError):
    """No candidate or group has this id."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"{wanted}: no such candidate; `ponte training inbox` lists them")


class CandidateDecidedError(Exception):
    """The candidate was decided before, in another way."""

    def __init__(self, candidate_id: uuid.UUID, state: str, intent: str | None) -> None:
        self.candidate_id = candidate_id
        as_ = f" as {intent}" if intent else ""
        super().__init__(f"{candidate_id}: was {state}{as_} before; expected a new candidate")


@dataclass(frozen=True, slots=True)
class CandidateView:
    """A candidate as a line of the inbox.

    Attributes:
        source: Why it is here: `agent`, `chosen`, `marked`, `unsure`, `out_of_scope`,
            `low_confidence`.
        suggested_intent: By that source; of the last three it is the model's own best guess.
        nearest_intent: Intent of the most alike training example, with the similarity 0..1.
        sightings: How many turns said it.
    """

    id: uuid.UUID
    state: str
    language: str
    text: str
    source: str
    suggested_intent: str | None
    confidence: float | None
    nearest_intent: str | None
    similarity: float | None
    group_key: str
    sightings: int
    turn_id: uuid.UUID
    created_at: datetime
    intent: str | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that became an example. `added` is False when it stood in the file before."""

    candidate: CandidateView
    path: str
    line: str
    added: bool


@dataclass(frozen=True, slots=True)
class InboxFilter:
    """Which candidates to list."""

    language: str | None = None
    intent: str | None = None
    group: str | None = None
    state: CandidateState = CandidateState.NEW
    limit: int = 100


async def inbox(session: AsyncSession, wanted: InboxFilter) -> tuple[CandidateView, ...]:
    """Candidates, group by group; within a group what was said most often first."""
    rows = (await session.scalars(_statement(wanted))).all()
    return tuple(view(row) for row in rows)


def _statement(wanted: InboxFilter) -> Select[TrainingCandidate]:
    statement = select(TrainingCandidate).where(TrainingCandidate.state == wanted.state.value)
    if wanted.language is not None:
        statement = statement.where(TrainingCandidate.language == wanted.language)
    if wanted.intent is not None:
        statement = statement.where(TrainingCandidate.suggested_intent == wanted.intent)
    if wanted.group is not None:
        statement = statement.where(TrainingCandidate.group_key == wanted.group)
    return statement.order_by(
        TrainingCandidate.language,
        TrainingCandidate.group_key,
        TrainingCandidate.sightings.desc(),
        TrainingCandidate.id,
    ).limit(min(wanted.limit, MOST))


async def members(session: AsyncSession, ids: Sequence[str]) -> tuple[uuid.UUID, ...]:
    """Ids of candidates: as given, or all new ones of a group.

    Raises:
        CandidateNotFoundError: naming what is neither.
    """
    found: dict[uuid.UUID, None] = {}
    for wanted in ids:
        try:
            found[uuid.UUID(wanted)] = None
        except ValueError:
            of_group = await inbox(session, InboxFilter(group=wanted, limit=MOST))
            if not of_group:
                raise CandidateNotFoundError(wanted) from None
            found.update(dict.fromkeys(item.id for item in of_group))
    return tuple(found)


async def accept(
    db: Database,
    files: NluFiles,
    candidate_id: uuid.UUID,
    *,
    intent: str | None,
    text: str | None,
    policy: HandoffPolicy,
    by: str,
    now: datetime,
) -> Accepted:
    """Write a candidate into the training data, as this intent.

    Args:
        db: Ponte's database.
        files: The training data.
        candidate_id: The candidate.
        intent: What it means; None: the suggested intent.
        text: Other words for it; None: its own.
        policy: Names the known intents.
        by: Who decides.
        now: When.

    Raises:
        CandidateNotFoundError: there is no such candidate.
        CandidateDecidedError: it was decided before, in another way.
        ExampleRefusedError: the text or the intent cannot be taken.
        UnknownValueError: no such intent.
        TrainingDataError: the files cannot be written here.
    """
    async with db.transaction() as session:
        row = await _locked(session, candidate_id)
        chosen = intent or row.intent or row.suggested_intent
        if chosen is None:
            problem = "nothing is suggested; expected an intent"
            raise ExampleRefusedError(problem, field="intent")
        if chosen not in policy.intents:
            field = "intent"
            raise UnknownValueError(field, chosen, sorted(policy.intents))
        again = row.state == CandidateState.ACCEPTED.value and row.intent == chosen
        if row.state != CandidateState.NEW.value and not again:
            raise CandidateDecidedError(row.id, row.state, row.intent)
        example = Example(row.language, chosen, text or row.text)
        written = await asyncio.to_thread(files.add, example)
        if not again:
            _decide(row, CandidateState.ACCEPTED, by=by, now=now)
            row.intent = chosen
        await session.flush()
        return Accepted(view(row), written.path, written.line, written.added)


async def reject(
    db: Database, candidate_id: uuid.UUID, *, reason: str | None, by: str, now: datetime
) -> CandidateView:
    """Put a candidate away; its sentence does not come back. Rejecting twice changes nothing.

    Raises:
        CandidateNotFoundError: there is no such candidate.
        CandidateDecidedError: it was accepted before.
    """
    async with db.transaction() as session:
        row = await _locked(session, candidate_id)
        if row.state == CandidateState.ACCEPTED.value:
            raise CandidateDecidedError(row.id, row.state, row.intent)
        if row.state == CandidateState.NEW.value:
            _decide(row, CandidateState.REJECTED, by=by, now=now)
            row.reason = reason
        await session.flush()
        return view(row)


def _decide(row: TrainingCandidate, state: CandidateState, *, by: str, now: datetime) -> None:
    row.state = state.value
    row.decided_at = now
    row.decided_by = by


async def _locked(session: AsyncSession, candidate_id: uuid.UUID) -> TrainingCandidate:
    row = await session.get(TrainingCandidate, candidate_id, with_for_update=True)
    if row is None:
        raise CandidateNotFoundError(str(candidate_id))
    return row


def view(row: TrainingCandidate) -> CandidateView:
    """The row as a value."""
    return CandidateView(
        **{name: getattr(row, name) for name in CandidateView.__slots__}  # the same names
    )
