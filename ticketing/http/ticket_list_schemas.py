"""Query of the ticket list and body of the bulk command."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from ticketing.domain.enums import Level, Priority, Severity, SlaState, TicketStatus
from ticketing.http.schemas import Key, Strict, readable
from ticketing.services.ticket_cursor import Sort
from ticketing.services.ticket_list import DEFAULT_PAGE, MAX_PAGE

MAX_BULK = 100
_MOST_VALUES = 50  # of one filter; more is not a question but a join


def _split(value: Any) -> Any:
    """`a,b` and repeated parameters alike."""
    parts = value if isinstance(value, list) else [value]
    return [word for part in parts for word in str(part).split(",") if word]


def _several(description: str) -> Any:
    return Field(max_length=_MOST_VALUES, description=description)


def _agent(value: str) -> str:
    if value in {"me", "none"}:
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        message = "expected an agent's id, me or none"
        raise ValueError(message) from error


_Several = BeforeValidator(_split)
_Agent = Annotated[str, Field(max_length=45), AfterValidator(_agent)]
_Language = Annotated[str, Field(pattern="^[a-z]{2,3}$", max_length=3)]
_Search = Annotated[
    str | None,
    Field(max_length=100),
    AfterValidator(lambda value: value if value is None else readable(value)),
]


def _written_out(value: Any) -> Any:
    """Not a bare number, which pydantic would read as seconds since 1970."""
    if isinstance(value, str) and not _DATE.match(value):
        message = "expected a time such as 2026-03-10T13:00:00Z"
        raise ValueError(message)
    return value


def _true_or_false(value: Any) -> Any:
    """Not the dozen other words that pydantic takes for a truth value."""
    if value not in ("true", "false", True, False):  # a tuple: a list may come, and has no hash
        message = "expected true or false"
        raise ValueError(message)
    return value


_DATE = re.compile(r"\d{4}-\d\d-\d\dT")
_Flag = Annotated[bool, BeforeValidator(_true_or_false)]
_Moment = Annotated[
    AwareDatetime | None,
    BeforeValidator(_written_out),
    Field(description="RFC 3339 with an offset."),
]


class TicketQuery(Strict):
    """Filters of the ticket list. Several values of one (`a,b`, or repeated) mean any of them."""

    q: Annotated[
        _Search,
        Field(
            description="Words of number, subject, messages and contact, without regard to "
            "accents and case; each may be the beginning of a word. Also a piece of a phone "
            "number. `#1234` is that ticket alone.",
        ),
    ] = None
    status: Annotated[tuple[TicketStatus, ...], _Several, _several("Where the work stands.")] = ()
    priority: Annotated[tuple[Priority, ...], _Several, _several("How soon.")] = ()
    severity: Annotated[tuple[Severity, ...], _Several, _several("How much harm.")] = ()
    level: Annotated[tuple[Level, ...], _Several, _several("Support level.")] = ()
    sla: Annotated[tuple[SlaState, ...], _Several, _several("How its clocks stand.")] = ()
    queue: Annotated[tuple[Key, ...], _Several, _several("Keys of queues (GET /queues).")] = ()
    team: Annotated[tuple[Key, ...], _Several, _several("Names or ids of teams.")] = ()
    company: Annotated[tuple[Key, ...], _Several, _several("Names or ids of companies.")] = ()
    tag: Annotated[tuple[Key, ...], _Several, _several("Has one of these tags.")] = ()
    channel: Annotated[tuple[Key, ...], _Several, _several("Such as `whatsapp`.")] = ()
    language: Annotated[tuple[_Language, ...], _Several, _several("Such as `pt`.")] = ()
    agent: Annotated[
        tuple[_Agent, ...],
        _Several,
        _several("Agents' ids, `me`, or `none` for tickets without an agent."),
    ] = ()
    contact: Annotated[uuid.UUID | None, Field(description="Id of a contact.")] = None
    opened_from: _Moment = None
    opened_to: Annotated[_Moment, Field(description="Exclusive.")] = None
    updated_from: _Moment = None
    updated_to: Annotated[_Moment, Field(description="Exclusive.")] = None
    mine: Annotated[_Flag, Field(description="The same as `agent=me`.")] = False
    open: Annotated[_Flag, Field(description="Neither resolved nor closed.")] = False
    text: Annotated[
        _Search,
        # Not pydantic's own mark, which warns whoever reads the field here.
        Field(description="The older name of `q`.", json_schema_extra={"deprecated": True}),
    ] = None
    sort: Annotated[
        Sort,
        Field(
            description="urgency: who must be served first, then what is resolved; newest and "
            "oldest: by number; due: the SLA that runs out first; updated: by the last event."
        ),
    ] = Sort.URGENCY
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[
        str | None, Field(max_length=400, description="`next_cursor` of the page before.")
    ] = None
    count: Annotated[_Flag, Field(description="Count the tickets that fit, up to a thousand.")] = (
        False
    )

    @model_validator(mode="after")
    def _ranges_go_forward(self) -> Self:
        for name in ("opened", "updated"):
            start, end = getattr(self, f"{name}_from"), getattr(self, f"{name}_to")
            if start is not None and end is not None and end <= start:
                message = f"{name}_to must be after {name}_from"
                raise ValueError(message)
        return self


class BulkBody(Strict):
    """The same command for several tickets, each on its own: what one refuses, others may do."""

    action: Annotated[str, Field(min_length=1, max_length=40)]
    ids: Annotated[
        tuple[uuid.UUID, ...],
        Field(min_length=1, max_length=MAX_BULK, description="Tickets, each once."),
    ]
    args: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="Body of the command, without expected_version."),
    ]
    expected_versions: Annotated[
        dict[uuid.UUID, Annotated[int, Field(ge=1, le=2**31 - 1)]],
        Field(
            default_factory=dict,
            max_length=MAX_BULK,
            description="Refuse a ticket that has changed since.",
        ),
    ]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.ids)) != len(self.ids):
            message = "ids: names a ticket twice; expected each once"
            raise ValueError(message)
        unknown = set(self.expected_versions) - set(self.ids)
        if unknown:
            message = f"expected_versions: {min(unknown)} is not among ids"
            raise ValueError(message)
        return self
