"""The inbox and the rates as routes of the agents' API, for supervisors and admins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from ticketing.api.calls import Answer, Call, Route
from ticketing.domain.permissions import Permission
from ticketing.domain.review import CandidateState
from ticketing.http.problems import Problem, ProblemError
from ticketing.http.schemas import Key, NoBody, Reason, Strict, Words
from training.domain.rates import Metrics
from training.nlu_files import ExampleRefusedError, NluFiles, TrainingDataError
from training.services import candidates
from training.services.candidate_book import CandidateBook
from training.services.candidates import Accepted, CandidateView, InboxFilter
from training.services.collect import collect
from training.services.review_metrics import SAMPLING_NOTE, review_metrics

_MOST_AT_ONCE = 50
Ids = Annotated[
    tuple[Key, ...],
    Field(min_length=1, max_length=_MOST_AT_ONCE, description="Candidates' ids, or group keys."),
]


class InboxQuery(Strict):
    """Filters of the inbox."""

    language: Key | None = None
    intent: Annotated[Key | None, Field(description="The suggested intent.")] = None
    group: Key | None = None
    state: CandidateState = CandidateState.NEW
    limit: Annotated[int, Field(ge=1, le=candidates.MOST)] = 100


class AcceptBody(Strict):
    """Write candidates into the training data."""

    ids: Ids
    intent: Annotated[Key | None, Field(description="Without: the suggested intent.")] = None
    text: Annotated[
        Words | None, Field(description="Other words for it; only with one candidate.")
    ] = None


class RejectBody(Strict):
    """Put candidates away."""

    ids: Ids
    reason: Reason | None = None


class MetricsQuery(Strict):
    """Which marks to count."""

    since: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Inbox:
    """Candidates, alike ones beside each other."""

    candidates: tuple[CandidateView, ...]


@dataclass(frozen=True, slots=True)
class CollectedView:
    """Turns that were looked at, and how many ended how."""

    looked_at: int
    results: dict[str, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A candidate that was not accepted, and why."""

    id: str
    detail: str


@dataclass(frozen=True, slots=True)
class AcceptedView:
    """What was written, and what was refused."""

    accepted: tuple[Accepted, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The candidates afterwards."""

    rejected: tuple[CandidateView, ...]


@dataclass(frozen=True, slots=True)
class MetricsView:
    """The rates, and what they do not say."""

    since: datetime | None
    metrics: Metrics
    note: str


Handler = Callable[[Call], Awaitable[Answer]]


def training_routes(files: NluFiles) -> tuple[Route, ...]:
    """The routes over one checkout's training data.

    Reading works everywhere; accepting needs the files and answers 503 without them.
    """
    handlers = _Handlers(files)
    return (
        Route(
            "GET", "/training/inbox", "list_candidates", "Training",
            "Sentences that may become training examples, alike ones together",
            Permission.TRAINING_MANAGE, handlers.inbox, Inbox, query=InboxQuery,
        ),
        Route(
            "POST", "/training/collect", "collect_candidates", "Training",
            "Look at new decisions and marks for such sentences; harmless to repeat",
            Permission.TRAINING_MANAGE, _telling(handlers.collect), CollectedView, body=NoBody,
            codes=("training_data_missing",),
        ),
        Route(
            "POST", "/training/accept", "accept_candidates", "Training",
            "Write candidates into data/nlu as examples of an intent",
            Permission.TRAINING_MANAGE, _telling(handlers.accept), AcceptedView, body=AcceptBody,
            codes=("candidate_not_found", "training_data_missing"),
            example={"ids": ["1f9a03bc"], "intent": "refund"},
        ),
        Route(
            "POST", "/training/reject", "reject_candidates", "Training",
            "Put candidates away; their sentences do not come back",
            Permission.TRAINING_MANAGE, _telling(handlers.reject), Rejected, body=RejectBody,
            codes=("candidate_not_found", "candidate_decided"),
            example={"ids": ["1f9a03bc"], "reason": "not for us"},
        ),
        Route(
            "GET", "/training/metrics", "review_metrics", "Training",
            "Over-handoff and under-handoff out of agents' marks, with 95 % intervals",
            Permission.REPORTS_READ, handlers.metrics, MetricsView, query=MetricsQuery,
        ),
    )  # fmt: skip


def _telling(handler: Handler) -> Handler:
    """The handler, with this package's errors as problems of the API."""

    async def told(call: Call) -> Answer:
        try:
            return await handler(call)
        except candidates.CandidateNotFoundError as error:
            raise ProblemError(Problem("candidate_not_found", str(error), field="ids")) from error
        except candidates.CandidateDecidedError as error:
            raise ProblemError(Problem("candidate_decided", str(error), field="ids")) from error
        except TrainingDataError as error:
            raise ProblemError(Problem("training_data_missing", str(error))) from error

    return told


class _Handlers:
    def __init__(self, files: NluFiles) -> None:
        self._files = files

    async def inbox(self, call: Call) -> Answer:
        query: InboxQuery = call.query
        wanted = InboxFilter(query.language, query.intent, query.group, query.state, query.limit)
        async with call.desk.deps.db.transaction() as session:
            return Answer(Inbox(await candidates.inbox(session, wanted)))

    async def collect(self, call: Call) -> Answer:
        deps = call.desk.deps
        book = await asyncio.to_thread(CandidateBook.of, self._files)
        done = await collect(deps.db, book, now=deps.clock.now())
        return Answer(CollectedView(done.looked_at, dict(done.results)))

    async def accept(self, call: Call) -> Answer:
        deps, body = call.desk.deps, call.body
        async with deps.db.transaction() as session:
            chosen = await candidates.members(session, body.ids)
        if body.text is not None and len(chosen) != 1:
            detail = "text: expected one candidate, not several"
            raise ProblemError(Problem("invalid_value", detail, field="text"))
        accepted: list[Accepted] = []
        refused: list[Refusal] = []
        for candidate_id in chosen:
            try:
                accepted.append(
                    await candidates.accept(
                        deps.db,
                        self._files,
                        candidate_id,
                        intent=body.intent,
                        text=body.text,
                        policy=deps.policy.current(),
                        by=call.actor.label,
                        now=deps.clock.now(),
                    )
                )
            except (ExampleRefusedError, candidates.CandidateDecidedError) as error:
                refused.append(Refusal(str(candidate_id), str(error)))
        return Answer(AcceptedView(tuple(accepted), tuple(refused)))

    async def reject(self, call: Call) -> Answer:
        deps = call.desk.deps
        async with deps.db.transaction() as session:
            chosen = await candidates.members(session, call.body.ids)
        done = [
            await candidates.reject(
                deps.db,
                candidate_id,
                reason=call.body.reason,
                by=call.actor.label,
                now=deps.clock.now(),
            )
            for candidate_id in chosen
        ]
        return Answer(Rejected(tuple(done)))

    async def metrics(self, call: Call) -> Answer:
        since = call.query.since
        async with call.desk.deps.db.transaction() as session:
            return Answer(
                MetricsView(since, await review_metrics(session, since=since), SAMPLING_NOTE)
            )
