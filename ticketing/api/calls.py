"""One request, checked: what a handler gets, and what it gives back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.domain.permissions import Permission
from ticketing.domain.ticket import Actor
from ticketing.http.desk import Desk
from ticketing.services.sessions import LoggedIn, NewSession
from ticketing.services.tickets import Order

MAX_BODY = 64 * 1024  # bytes; the longest allowed text is 4096 characters, at most 16 KB of UTF-8

Seal = Callable[[AsyncSession, Any], Awaitable[None]]
"""Stores an answer in the transaction that makes it true (`ticketing.services.idempotency`)."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is a file: its bytes and what the sender calls their type."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Download:
    """An answer that is a file."""

    content: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


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
        if_match: Version that the `If-Match` header wants.
        seal: Stores the answer in the transaction of the act; None when there is no key.
        upload: The body, where the route takes a file.
        user_agent: What the caller says of itself.
    """

    desk: Desk
    who: LoggedIn | None
    ids: dict[str, uuid.UUID]
    body: Any
    query: Any
    token: str | None
    idempotency_key: str | None
    correlation_id: str
    if_match: int | None = None
    seal: Seal | None = None
    upload: Upload | None = None
    user_agent: str | None = None

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
        in_body = getattr(self.body, "expected_version", None)
        return Order(
            actor=self.actor,
            ticket_id=self.ids["ticket_id"],
            correlation_id=self.correlation_id,
            expected_version=in_body if self.if_match is None else self.if_match,
            seal=self.seal,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's result: a value of the route's answer type, and changes of the session cookie.

    A `download` is sent instead of the value.
    """

    value: Any
    started: NewSession | None = None
    ended: bool = False
    download: Download | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One operation: the dispatcher, the documentation and the tests all read this.

    It equals nothing but itself, so that what is worked out from routes can be kept.

    Attributes:
        method: GET or POST.
        path: With `{name}` for ids, under `/api/v1`.
        name: Operation id.
        tag: Group in the documentation.
        summary: One line.
        needs: Permission it wants; None is public.
        session_only: For people who have logged in, not for API tokens.
        secret: Body or answer holds a password or token, so nothing of it is kept for repetitions.
        handler: Does it.
        answer: Type of the answer, a dataclass.
        body: Model of the body, for POST.
        query: Model of the query, for GET.
        status: Of success.
        codes: Problem codes it may answer besides the general ones.
        example: Example of the body.
        answer_example: Example of the answer; without, one is made from the answer's type.
        takes_key: Whether the handler itself knows repetitions (`Repeats`). Every POST of a person
            takes `Idempotency-Key`; this one's service remembers it for ever, not for a day.
        repeatable: Doing it twice leads to the same end, so a repetition after a death half-way
            does it again.
        max_body: Most bytes of the body.
        file_body: The body is a file of any type (`Call.upload`), not JSON.
        file_answer: The answer is a file (`Answer.download`), not JSON.
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
    session_only: bool = False
    secret: bool = False
    takes_key: bool = False
    answer_example: Any = None
    repeatable: bool = False
    max_body: int = MAX_BODY
    file_body: bool = False
    file_answer: bool = False

    @property
    def keyed(self) -> bool:
        """Whether a repetition with the same `Idempotency-Key` is harmless."""
        return self.method == "POST" and self.needs is not None and not self.secret
