"""Bodies and queries about dead letters."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, StrictBool

from kit.periods import read_moment
from notifications.domain.dead_letters import Reason
from notifications.domain.jobs import JobName
from notifications.services.dead_letter_filter import DeadLetterFilter
from notifications.services.dead_letter_views import DEFAULT, MOST
from notifications.services.reprocess_plan import DEFAULT_LIMIT, DEFAULT_RATE, MAX_LIMIT, MAX_RATE
from ticketing.domain.enums import DeadLetterState
from ticketing.http.schemas import Key, Strict

_MOST_VALUES = 50
_MOST_IDS = 1_000


def _split(value: Any) -> Any:
    """`a,b` and repeated parameters alike."""
    parts = value if isinstance(value, list) else [value]
    return [word for part in parts for word in str(part).split(",") if word]


def _written_out(value: Any) -> Any:
    """Not a bare number, which pydantic would read as seconds since 1970."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\dT|\d{1,4}[mhdw]$", value):
        message = "expected a time such as 2026-03-10T13:00:00Z, or 24h before now"
        raise ValueError(message)
    return value


_Several = BeforeValidator(_split)
_Period = Annotated[str, Field(pattern=r"^[0-9]{1,4}[mhdw]$", max_length=5)]
_Moment = Annotated[
    AwareDatetime | _Period | None,
    BeforeValidator(lambda value: value if value is None else _written_out(value)),
    Field(description="RFC 3339 with an offset, or `24h`, `30d`, `45m`, `2w` before now."),
]
_Recipient = Annotated[
    str | None,
    Field(
        min_length=3,
        max_length=4096,
        pattern=r"^[!-~ ]+$",
        description="The whole address; it is compared by a keyed hash and stored nowhere.",
    ),
]
_Status = Annotated[int | None, Field(ge=100, le=599, description="Of the provider's answer.")]


def _moment(value: datetime | str | None, now: datetime) -> datetime | None:
    return read_moment(value, now=now, zone="UTC") if isinstance(value, str) else value


class DeadLetterQuery(Strict):
    """Filters of the list. Several values of one (`a,b`, or repeated) mean any of them."""

    state: Annotated[
        tuple[DeadLetterState, ...],
        _Several,
        Field(max_length=4, description="Without: dead ones."),
    ] = (DeadLetterState.DEAD,)
    job_name: Annotated[tuple[JobName, ...], _Several, Field(max_length=5)] = ()
    error_code: Annotated[tuple[Key, ...], _Several, Field(max_length=_MOST_VALUES)] = ()
    reason: Annotated[tuple[Reason, ...], _Several, Field(max_length=_MOST_VALUES)] = ()
    http_status: _Status = None
    since: _Moment = None
    until: Annotated[_Moment, Field(description="Not included.")] = None
    queue: Key | None = None
    event: Key | None = None
    recipient: _Recipient = None
    ticket_id: uuid.UUID | None = None
    cursor: Annotated[Key | None, Field(description="`next_cursor` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = DEFAULT

    def wanted(self, now: datetime) -> DeadLetterFilter:
        """The filter."""
        return DeadLetterFilter(
            states=self.state,
            job_names=tuple(name.value for name in self.job_name),
            error_codes=self.error_code,
            reasons=tuple(reason.value for reason in self.reason),
            http_status=self.http_status,
            since=_moment(self.since, now),
            until=_moment(self.until, now),
            queue=self.queue,
            event=self.event,
            recipient=self.recipient,
            ticket_id=self.ticket_id,
        )


class Filters(Strict):
    """Which dead ones are meant. What is left out filters nothing; an empty list is refused.

    A program whose search found no ids would otherwise act upon all there are.
    """

    job_names: Annotated[tuple[JobName, ...], Field(min_length=1, max_length=5)] = ()
    error_codes: Annotated[tuple[Key, ...], Field(min_length=1, max_length=_MOST_VALUES)] = ()
    reasons: Annotated[tuple[Reason, ...], Field(min_length=1, max_length=_MOST_VALUES)] = ()
    http_status: _Status = None
    since: _Moment = None
    until: Annotated[_Moment, Field(description="Not included.")] = None
    queue: Key | None = None
    event: Key | None = None
    recipient: _Recipient = None
    ticket_id: uuid.UUID | None = None
    ids: Annotated[tuple[uuid.UUID, ...], Field(min_length=1, max_length=_MOST_IDS)] = ()

    def wanted(self, now: datetime) -> DeadLetterFilter:
        """The filter."""
        return DeadLetterFilter(
            job_names=tuple(name.value for name in self.job_names),
            error_codes=self.error_codes,
            reasons=tuple(reason.value for reason in self.reasons),
            http_status=self.http_status,
            since=_moment(self.since, now),
            until=_moment(self.until, now),
            queue=self.queue,
            event=self.event,
            recipient=self.recipient,
            ticket_id=self.ticket_id,
            ids=self.ids,
        )


class DiscardBody(Strict):
    """Put dead letters away."""

    filters: Filters = Filters()
    limit: Annotated[
        int, Field(ge=1, le=MAX_LIMIT, description="Most entries, the oldest first.")
    ] = DEFAULT_LIMIT
    dry_run: Annotated[StrictBool, Field(description="Say what would happen; change nothing.")] = (
        False
    )
    expected: Annotated[
        int | None,
        Field(ge=0, description="`matched` of the dry run; more than that is refused. Needed."),
    ] = None


class ReprocessBody(DiscardBody):
    """Send dead letters again."""

    rate: Annotated[float, Field(gt=0, le=MAX_RATE, description="Notices a second.")] = DEFAULT_RATE
    even_expired: Annotated[StrictBool, Field(description="Also those whose time is over.")] = False
    even_unknown: Annotated[
        StrictBool, Field(description="Also those that may have been sent, and would come twice.")
    ] = False


class ActionQuery(Strict):
    """Which actions."""

    cursor: Annotated[
        int | None, Field(ge=1, le=2**31 - 1, description="`next_cursor` of the page before.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = DEFAULT
