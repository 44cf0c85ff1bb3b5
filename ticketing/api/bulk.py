"""One command for many tickets: each in its own transaction, with its own result.

The command is the route of a single ticket, so bulk has no rules of its own. With an
`Idempotency-Key` the whole request is done once, and each ticket under a key derived from it: when
the process dies at ticket 57, the repetition answers 1 to 56 from memory and goes on from there.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog
from pydantic import BaseModel, create_model

from ticketing.api.answer_types import adapter_of
from ticketing.api.calls import Answer, Call, Route
from ticketing.api.once import Once, Replay, within
from ticketing.api.reading import validated
from ticketing.domain.permissions import Permission, roles_with
from ticketing.http.problems import Problem, ProblemError, problem_of
from ticketing.http.schemas import NoBody
from ticketing.http.ticket_list_schemas import BulkBody
from ticketing.services.ticket_views import TicketSummary
from ticketing.services.tickets import Done

log = structlog.get_logger()

_ONE_TICKET = "/tickets/{ticket_id}/"
_NOT_IN_BULK = frozenset({"reply"})
"""The same words to many customers are a campaign, which WhatsApp wants as approved templates."""

_DONE = adapter_of(Done)


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What became of one ticket: `ticket` when it was done, else `problem` (RFC 9457)."""

    ticket_id: uuid.UUID
    status: int
    ticket: TicketSummary | None = None
    problem: dict[str, Any] | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class BulkDone:
    """One result for each ticket, in the order of the request."""

    action: str
    done: int
    failed: int
    items: tuple[BulkItem, ...]


def bulk_route(routes: tuple[Route, ...]) -> Route:
    """The route `POST /tickets/bulk` over all commands of a single ticket among `routes`."""
    commands = {
        route.path.removeprefix(_ONE_TICKET): route
        for route in routes
        if route.method == "POST" and route.path.startswith(_ONE_TICKET) and route.answer is Done
    }
    commands = {verb: route for verb, route in commands.items() if verb not in _NOT_IN_BULK}
    bulk = _Bulk(commands)
    # The names of the commands are part of the schema, and of the error for an unknown one.
    actions: Any = Literal.__getitem__(tuple(sorted(commands)))
    body: type[BaseModel] = create_model(
        "TicketBulk", __base__=BulkBody, __doc__=BulkBody.__doc__, action=(actions, ...)
    )
    example = "019f2c3a-7d10-7c11-8a53-0242ac120002"
    return Route(
        method="POST",
        path="/tickets/bulk",
        name="bulk",
        tag="Tickets",
        summary="The same command for up to 100 tickets; each is done or refused on its own",
        needs=Permission.TICKETS_WRITE,
        handler=bulk.run,
        answer=BulkDone,
        body=body,
        example={
            "action": "priority",
            "ids": [example],
            "args": {"priority": "high", "reason": "Instabilidade geral"},
            "expected_versions": {example: 3},
        },
        repeatable=True,
    )


class _Bulk:
    def __init__(self, commands: dict[str, Route]) -> None:
        self._commands = commands
        self._once = {verb: Once(route, _DONE) for verb, route in commands.items()}

    async def run(self, call: Call) -> Answer:
        """POST /tickets/bulk."""
        body: BulkBody = call.body
        command = self._commands[body.action]
        _check_permission(call, command)
        model = _arguments(command, body.args)
        items = [await self._one(call, body, model, ticket_id) for ticket_id in body.ids]
        done = sum(item.problem is None for item in items)
        return Answer(BulkDone(body.action, done, len(items) - done, tuple(items)))

    async def _one(
        self, call: Call, body: BulkBody, model: BaseModel, ticket_id: uuid.UUID
    ) -> BulkItem:
        version = body.expected_versions.get(ticket_id)
        key = call.idempotency_key
        single = replace(
            call,
            ids={"ticket_id": ticket_id},
            body=model.model_copy(update={"expected_version": version}),
            # No client can send this arrow, so no key of theirs meets one of these.
            idempotency_key=None if key is None else f"{key}→{ticket_id}",
            seal=None,
        )
        try:
            answer = await within(None, self._once[body.action].run, single)
        except Exception as error:  # noqa: BLE001 - the next ticket is not to suffer from it
            return _refused(ticket_id, error, correlation_id=call.correlation_id)
        if isinstance(answer, Replay):
            return BulkItem(ticket_id, answer.status, _DONE.validate_json(answer.body).ticket,
                            replayed=True)  # fmt: skip
        return BulkItem(ticket_id, self._commands[body.action].status, answer.value.ticket)


def _check_permission(call: Call, command: Route) -> None:
    needs = command.needs
    if needs is not None and needs not in call.login.permissions:
        roles = ", ".join(role.value for role in roles_with(needs))
        detail = f"expected {needs.value} (roles: {roles}), you are {call.login.role.value}"
        raise ProblemError(Problem("role_not_allowed", detail, field="action"))


def _arguments(command: Route, args: dict[str, Any]) -> BaseModel:
    """The command's body, checked once for all tickets."""
    if "expected_version" in args:
        detail = "args.expected_version: expected in expected_versions, by ticket"
        raise ProblemError(Problem("invalid_value", detail, field="args.expected_version"))
    try:
        model: BaseModel = validated(command.body or NoBody, args)
    except ProblemError as error:
        problem = error.problem
        errors = tuple({**item, "field": f"args.{item['field']}"} for item in problem.errors)
        field = f"args.{problem.field}"
        raise ProblemError(replace(problem, field=field, errors=errors)) from error
    return model


def _refused(ticket_id: uuid.UUID, error: Exception, *, correlation_id: str) -> BulkItem:
    problem = problem_of(error)
    if problem is None:
        log.error("api.failed", error_type=type(error).__name__, exc_info=error)
        problem = Problem("internal_error", "this ticket was not changed, or only in part")
    document = problem.to_json(instance=correlation_id)
    return BulkItem(ticket_id, problem.status, problem=document)
