"""Notices in the API: take a job, list what was made of jobs and events, look at one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from notifications.api import notification_schemas as schemas
from notifications.domain.contract import ContractError, ContractProblem, JobPayload, parse_job
from notifications.domain.jobs import Channel
from notifications.domain.policies import Policies
from notifications.policy_file import load_policies
from notifications.services.notification_views import (
    NotificationDetail,
    NotificationNotFoundError,
    NotificationPage,
    list_notifications,
    show_notification,
)
from notifications.services.production import Produced, produce
from ticketing.api.calls import Answer, Call, Route
from ticketing.domain.permissions import Permission
from ticketing.http.problems import Problem, ProblemError

_HEADER_OF = {"idempotency_key": "Idempotency-Key", "correlation_id": "X-Correlation-Id"}
"""Fields of the contract that a request says in its headers."""

_EXAMPLE = {
    "job_name": "notify-user",
    "user": "ana@example.com",
    "event": "user-notice",
    "context": {
        "source": "stock-import",
        "title": {"pt": "Importação terminada", "en": "Import is done", "es": "Importación hecha"},
        "body": "42 produtos novos.",
        "link": "/console/tickets",
    },
}


@dataclass(frozen=True, slots=True)
class Production:
    """What jobs are taken by.

    Attributes:
        policies: How urgent an event is, how long it is of use, what is told together.
        channels: Those that this installation has a sender for.
    """

    policies: Policies = field(default_factory=load_policies)
    channels: frozenset[Channel] = frozenset(Channel)


def notice_routes(production: Production | None = None) -> tuple[Route, ...]:
    """The routes.

    Args:
        production: None: the policies of the project, and every channel.

    Raises:
        PoliciesError: when it is None and `policies.yml` is not usable.
    """
    handlers = _Handlers(production or Production())
    needs = Permission.NOTIFICATIONS_MANAGE
    return (
        Route(
            "POST", "/notifications", "create_notification", "Notices",
            "Tell somebody: a job with its name, for a user or an address; `Idempotency-Key` is "
            "obligatory, and the same key makes one notice",
            needs, _telling(handlers.create), Produced, body=schemas.JobBody, status=202,
            takes_key=True, example=_EXAMPLE,
        ),
        Route(
            "GET", "/notifications", "list_notifications", "Notices",
            "Notices, the newest first; recipients are masked",
            needs, _telling(handlers.list), NotificationPage, query=schemas.NotificationQuery,
        ),
        Route(
            "GET", "/notifications/{notification_id}", "get_notification", "Notices",
            "A notice: its attempts, its last error, what is told with it, its dead letter",
            needs, _telling(handlers.show), NotificationDetail,
            codes=("notification_not_found",),
        ),
    )  # fmt: skip


Handler = Callable[[Call], Awaitable[Answer]]


def _telling(handler: Handler) -> Handler:
    """The handler, with this package's errors as problems of the API."""

    async def told(call: Call) -> Answer:
        try:
            return await handler(call)
        except ContractError as error:
            raise ProblemError(problem_of_contract(error)) from error
        except NotificationNotFoundError as error:
            raise ProblemError(Problem("notification_not_found", str(error))) from error

    return told


class _Handlers:
    def __init__(self, production: Production) -> None:
        self._production = production

    async def create(self, call: Call) -> Answer:
        body: schemas.JobBody = call.body
        job = _job(body.root, call)
        deps = call.desk.deps
        async with deps.db.transaction() as session:
            produced = await produce(
                session,
                job,
                producer=call.actor.label,
                policies=self._production.policies,
                channels=self._production.channels,
                now=deps.clock.now(),
            )
            if call.seal is not None:
                await call.seal(session, produced)
        return Answer(produced)

    async def list(self, call: Call) -> Answer:
        query: schemas.NotificationQuery = call.query
        async with call.desk.deps.db.transaction() as session:
            return Answer(
                await list_notifications(
                    session, query.wanted(), cursor=query.cursor, limit=query.limit
                )
            )

    async def show(self, call: Call) -> Answer:
        async with call.desk.deps.db.transaction() as session:
            return Answer(await show_notification(session, call.ids["notification_id"]))


def _job(body: dict[str, Any], call: Call) -> JobPayload:
    """The job, with what the headers say of it.

    Raises:
        ContractError: naming every mistake, those of the headers too.
    """
    in_headers = {
        "idempotency_key": call.idempotency_key,
        "correlation_id": call.correlation_id,
    }
    twice = tuple(
        ContractProblem(name, f"expected in the header {_HEADER_OF[name]}, not in the body")
        for name in in_headers
        if name in body
    )
    try:
        job = parse_job({**body, **in_headers})
    except ContractError as error:
        named = (replace(one, field=_HEADER_OF.get(one.field, one.field)) for one in error.problems)
        raise ContractError(*named, *twice) from error
    if twice:
        raise ContractError(*twice)
    return job


def problem_of_contract(error: ContractError) -> Problem:
    """A job that is not as the contract wants it, as a problem that names every wrong field."""
    errors: list[dict[str, Any]] = []
    for one in error.problems:
        found: dict[str, Any] = {"field": one.field, "detail": one.detail}
        if one.allowed:
            found["allowed"] = list(one.allowed)
        errors.append(found)
    first = error.problems[0]
    return Problem(
        "invalid_value",
        str(error),
        field=first.field,
        allowed=first.allowed or None,
        errors=tuple(errors),
    )
