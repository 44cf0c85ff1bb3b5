"""One request, checked: what a handler gets, and what it gives back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from ticketing.domain.permissions import Permission
from ticketing.domain.ticket import Actor
from ticketing.http.desk import Desk
from ticketing.services.sessions import LoggedIn, NewSession
from ticketing.services.tickets import Order


@dataclass(frozen=True, slots=True)
class Call:
    """A request after all checks.

    Attributes:
        desk: The services.
        who: Who calls; None only where the route is public.
        ids: Path parameters by name.
        body: The parsed body, of the route's model.
        query: The parsed query, of the route's model.
        token: The session token that came with it.
        idempotency_key: Of the `Idempotency-Key` header.
    """

    desk: Desk
    who: LoggedIn | None
    ids: dict[str, uuid.UUID]
    body: Any
    query: Any
    token: str | None
    idempotency_key: str | None
    correlation_id: str

    @property
    def actor(self) -> Actor:
        """Who acts; only for routes that want a login."""
        return self.login.actor

    @property
    def login(self) -> LoggedIn:
        """Who is logged in; only for routes that want a login."""
        if self.who is None:
            message = "this route let somebody through without a login"
            raise LookupError(message)
        return self.who

    @property
    def order(self) -> Order:
        """The command's frame: who, which ticket, which version."""
        return Order(
            actor=self.actor,
            ticket_id=self.ids["ticket_id"],
            correlation_id=self.correlation_id,
            expected_version=getattr(self.body, "expected_version", None),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's result: a value of the route's answer type, and changes of the session cookie."""

    value: Any
    started: NewSession | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: the dispatcher, the documentation and the tests all read this.

    Attributes:
        method: GET or POST.
        path: With `{name}` for ids, under `/api/v1`.
        name: Operation id.
        tag: Group in the documentation.
        summary: One line.
        needs: Permission it wants; None is public.
        handler: Does it.
        answer: Type of the answer, a dataclass.
        body: Model of the body, for POST.
        query: Model of the query, for GET.
        status: Of success.
        codes: Problem codes it may answer besides the general ones.
        example: Example of the body.
        takes_key: Whether `Idempotency-Key` makes a repetition harmless.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    needs: Permission | None
    handler: Callable[[Call], Awaitable[Answer]]
    answer: Any
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    codes: tuple[str, ...] = ()
    example: dict[str, Any] = field(default_factory=dict)
    takes_key: bool = False
