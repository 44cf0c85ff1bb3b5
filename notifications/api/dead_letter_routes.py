"""Dead letters in the API: look, send again, put away, and what operators did."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from notifications.api import dead_letter_schemas as schemas
from notifications.dead_letter_desk import DeadLetterDesk
from notifications.services.dead_letter_filter import ReversedPeriodError
from notifications.services.dead_letter_views import (
    DeadLetterCounts,
    DeadLetterCursorError,
    DeadLetterNotFoundError,
    DeadLetterPage,
    DeadLetterStory,
)
from notifications.services.dlq_actions import ActionResult, ActionView
from notifications.services.reprocess import DeadLetterActions
from notifications.services.reprocess_plan import MoreThanSeenError, Options, Preview
from ticketing.api.calls import Answer, Call, Route
from ticketing.domain.enums import DlqAction
from ticketing.domain.permissions import Permission
from ticketing.http.deps import Deps
from ticketing.http.problems import Problem, ProblemError

MAX_REPROCESSES = 3
"""Where no setting says otherwise (MAX_DLQ_ATTEMPT)."""

DeskOf = Callable[[Deps], DeadLetterDesk]


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of an action.

    Attributes:
        refused: How many stay dead, by reason.
        discarded: Of a reprocessing: were at their last attempt, put away instead.
        last_due_at: When the last notice is due.
        warnings: What went wrong beside the action, such as an audit file that is full.
    """

    action_id: uuid.UUID
    action: str
    result: str
    actor: str
    started_at: datetime
    matched: int
    done: int
    discarded: int
    refused: Mapping[str, int]
    last_due_at: datetime | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActedView:
    """A dry run's preview, or what was done."""

    preview: Preview | None
    done: Acted | None


@dataclass(frozen=True, slots=True)
class ActionPage:
    """Actions, the newest first, and the cursor of the next page."""

    actions: tuple[ActionView, ...]
    next_cursor: int | None


def plain_desk(deps: Deps) -> DeadLetterDesk:
    """A desk without breakers, key and file: what there is without settings."""
    return DeadLetterDesk(DeadLetterActions(deps.db, deps.clock, max_reprocesses=MAX_REPROCESSES))


def dead_letter_routes(desk_of: DeskOf = plain_desk) -> tuple[Route, ...]:
    """The routes; `desk_of` gives the services their settings."""
    handlers = _Handlers(desk_of)
    needs = Permission.NOTIFICATIONS_MANAGE
    filters = {"job_names": ["send-email"], "error_codes": ["connect"], "since": "24h"}
    return (
        Route(
            "GET", "/dead-letters", "list_dead_letters", "Dead letters",
            "Notices that were given up, the newest first; recipients are masked",
            needs, _telling(handlers.list), DeadLetterPage, query=schemas.DeadLetterQuery,
        ),
        Route(
            "GET", "/dead-letters/counts", "count_dead_letters", "Dead letters",
            "How many there are by state; the dead ones by job name, error code and age",
            needs, _telling(handlers.counts), DeadLetterCounts,
        ),
        Route(
            "GET", "/dead-letters/actions", "list_dead_letter_actions", "Dead letters",
            "What operators did with dead letters, the newest first",
            needs, _telling(handlers.actions), ActionPage, query=schemas.ActionQuery,
        ),
        Route(
            "GET", "/dead-letters/{entry_id}", "get_dead_letter", "Dead letters",
            "A dead letter: its error, what would be sent again, what operators did",
            needs, _telling(handlers.show), DeadLetterStory, codes=("dead_letter_not_found",),
        ),
        Route(
            "POST", "/dead-letters/reprocess", "reprocess_dead_letters", "Dead letters",
            "Send dead letters again; `dry_run` first, then with its `matched` as `expected`",
            needs, _telling(handlers.reprocess), ActedView, body=schemas.ReprocessBody,
            codes=("dead_letters_changed",), repeatable=True,
            example={"filters": filters, "limit": 100, "rate": 20.0, "dry_run": True},
        ),
        Route(
            "POST", "/dead-letters/discard", "discard_dead_letters", "Dead letters",
            "Put dead letters away; `dry_run` first, then with its `matched` as `expected`",
            needs, _telling(handlers.discard), ActedView, body=schemas.DiscardBody,
            codes=("dead_letters_changed",), repeatable=True,
            example={"filters": {"reasons": ["expired"]}, "dry_run": True},
        ),
    )  # fmt: skip


Handler = Callable[[Call], Awaitable[Answer]]


def _telling(handler: Handler) -> Handler:
    """The handler, with this package's errors as problems of the API."""

    async def told(call: Call) -> Answer:
        try:
            return await handler(call)
        except DeadLetterNotFoundError as error:
            raise ProblemError(Problem("dead_letter_not_found", str(error))) from error
        except DeadLetterCursorError as error:
            raise ProblemError(Problem("invalid_value", str(error), field="cursor")) from error
        except ReversedPeriodError as error:
            raise ProblemError(Problem("invalid_value", str(error), field="until")) from error
        except MoreThanSeenError as error:
            raise ProblemError(
                Problem(
                    "dead_letters_changed",
                    str(error),
                    field="expected",
                    extra={"expected": error.expected, "present": error.present},
                )
            ) from error

    return told


class _Handlers:
    def __init__(self, desk_of: DeskOf) -> None:
        self._desk_of = desk_of

    def _desk(self, call: Call) -> DeadLetterDesk:
        return self._desk_of(call.desk.deps)

    async def list(self, call: Call) -> Answer:
        query: schemas.DeadLetterQuery = call.query
        wanted = query.wanted(call.desk.deps.clock.now())
        return Answer(
            await self._desk(call).list_entries(wanted, cursor=query.cursor, limit=query.limit)
        )

    async def counts(self, call: Call) -> Answer:
        return Answer(await self._desk(call).counts())

    async def actions(self, call: Call) -> Answer:
        query: schemas.ActionQuery = call.query
        views, following = await self._desk(call).list_actions(
            limit=query.limit, before=query.cursor
        )
        return Answer(ActionPage(views, following))

    async def show(self, call: Call) -> Answer:
        return Answer(await self._desk(call).story(call.ids["entry_id"]))

    async def reprocess(self, call: Call) -> Answer:
        body: schemas.ReprocessBody = call.body
        options = Options(
            limit=body.limit,
            rate=body.rate,
            even_expired=body.even_expired,
            even_unknown=body.even_unknown,
            expected=body.expected,
        )
        return await self._act(call, DlqAction.REPROCESS, options)

    async def discard(self, call: Call) -> Answer:
        body: schemas.DiscardBody = call.body
        options = Options(limit=body.limit, expected=body.expected)
        return await self._act(call, DlqAction.DISCARD, options)

    async def _act(self, call: Call, action: DlqAction, options: Options) -> Answer:
        body: schemas.DiscardBody = call.body
        desk, wanted = self._desk(call), body.filters.wanted(call.desk.deps.clock.now())
        if body.dry_run:
            return Answer(ActedView(await desk.preview(action, wanted, options), None))
        if body.expected is None:
            detail = "expected: is missing; give `matched` of a dry run (dry_run: true)"
            raise ProblemError(Problem("invalid_value", detail, field="expected"))
        done = await desk.run(
            action, wanted, options, actor=call.actor.label, correlation_id=call.correlation_id
        )
        return Answer(ActedView(None, acted(done)))


def acted(done: ActionResult) -> Acted:
    """The result as the API gives it."""
    return Acted(
        action_id=done.action_id,
        action=done.action,
        result=done.result,
        actor=done.actor,
        started_at=done.started_at,
        matched=done.matched,
        done=done.done,
        discarded=done.discarded,
        refused=done.refused,
        last_due_at=done.last_due_at,
        warnings=done.warnings,
    )
