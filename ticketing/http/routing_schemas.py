"""Bodies of the routes about presence, shifts and the next ticket."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from ticketing.domain.enums import PresenceState
from ticketing.domain.routing.presence import LONGEST_LEASE
from ticketing.domain.routing.shifts import MAX_DAYS_OFF, MAX_INTERVALS
from ticketing.http.schemas import Key, Strict
from ticketing.services.presence import SHORTEST_LEASE

_Hours = Annotated[
    str, Field(min_length=1, max_length=11, description="Such as 09:00-18:00; 24:00 is midnight.")
]
_Day = Annotated[tuple[_Hours, ...], Field(max_length=MAX_INTERVALS)]


class PresenceBody(Strict):
    """Say whether you are there."""

    state: PresenceState = Field(description="Only `online` gets new tickets by itself.")
    lease_seconds: Annotated[
        int | None,
        Field(
            ge=round(SHORTEST_LEASE.total_seconds()),
            le=round(LONGEST_LEASE.total_seconds()),
            description="Holds so long without a heartbeat; a program may ask for longer than a "
            "browser's few minutes.",
        ),
    ] = None


class OthersPresenceBody(Strict):
    """Say of somebody that they are away or gone; only they themselves say that they are there."""

    state: Annotated[
        PresenceState, Field(description="busy, away or offline.", examples=["offline"])
    ]


class NextTicketBody(Strict):
    """Ask for the ticket that you should serve next."""

    queue: Annotated[
        Key | None, Field(description="Key of one of your queues; without: of all of them.")
    ] = None


class ShiftsBody(Strict):
    """A whole plan; without any hours the plan is taken away."""

    time_zone: Annotated[
        str, Field(min_length=1, max_length=64, description="Such as America/Sao_Paulo.")
    ]
    mon: _Day = ()
    tue: _Day = ()
    wed: _Day = ()
    thu: _Day = ()
    fri: _Day = ()
    sat: _Day = ()
    sun: _Day = ()
    days_off: Annotated[tuple[date, ...], Field(max_length=MAX_DAYS_OFF)] = ()
