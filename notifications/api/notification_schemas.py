"""Bodies and queries about notices."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, RootModel, WithJsonSchema

from notifications.api.job_schema import job_schema
from notifications.domain.jobs import JobName
from notifications.domain.occasions import PolicyEvent
from notifications.services.notification_views import (
    DEFAULT,
    MOST,
    NotificationFilter,
)
from ticketing.domain.enums import DeliveryState
from ticketing.http.schemas import Key, Strict


def _split(value: Any) -> Any:
    """`a,b` and repeated parameters alike."""
    parts = value if isinstance(value, list) else [value]
    return [word for part in parts for word in str(part).split(",") if word]


_Several = BeforeValidator(_split)


class JobBody(RootModel[Annotated[dict[str, Any], WithJsonSchema(job_schema())]]):
    """A job: what is to be done, for whom, with which words.

    Here it is only an object: `notifications.domain.contract` reads it, so that a producer inside
    and one outside are told the same, and of every mistake at once.
    """


class NotificationQuery(Strict):
    """Filters of the list. Several values of one (`a,b`, or repeated) mean any of them."""

    state: Annotated[tuple[DeliveryState, ...], _Several, Field(max_length=8)] = ()
    job_name: Annotated[tuple[JobName, ...], _Several, Field(max_length=5)] = ()
    event: Annotated[tuple[PolicyEvent, ...], _Several, Field(max_length=20)] = ()
    ticket_id: uuid.UUID | None = None
    correlation_id: Key | None = None
    urgent: Annotated[bool | None, Field(description="Only those that are, or are not.")] = None
    cursor: Annotated[
        uuid.UUID | None, Field(description="`next_cursor` of the page before: older ones.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST)] = DEFAULT

    def wanted(self) -> NotificationFilter:
        """The filter."""
        return NotificationFilter(
            states=self.state,
            job_names=self.job_name,
            events=tuple(event.value for event in self.event),
            ticket_id=self.ticket_id,
            correlation_id=self.correlation_id,
            urgent=self.urgent,
        )
