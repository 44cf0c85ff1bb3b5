"""Where a ticket stands in the router's eyes, after anything that happened to it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from ticketing.domain.enums import Control, RoutingState, TicketStatus

_ENDED = frozenset({TicketStatus.RESOLVED, TicketStatus.CLOSED})
WAITING_STATES = frozenset(
    {RoutingState.WAITING, RoutingState.NOBODY_AVAILABLE, RoutingState.OVERFLOWED}
)
"""States of a ticket that nobody has."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a change left of a ticket, as far as it matters here."""

    status: TicketStatus
    agent_id: uuid.UUID | None
    control: Control
    queue_key: str


@dataclass(frozen=True, slots=True)
class Marks:
    """The router's marks on a ticket.

    Attributes:
        state: See `RoutingState`.
        since: When that state began.
        waiting_since: When it began to wait in its present queue. An offer that came to nothing
            does not start it anew.
        overflowed_from: The queue it came from when nobody there took it in time.
    """

    state: RoutingState
    since: datetime | None
    waiting_since: datetime | None
    overflowed_from: str | None = None


def follow(
    before: Marks,
    standing: Standing,
    *,
    queue_before: str,
    by_overflow: bool = False,
    now: datetime,
) -> Marks:
    """The marks after a change, whoever made it.

    Args:
        before: The marks until now.
        standing: The ticket after the change.
        queue_before: Its queue before the change.
        by_overflow: Whether it was moved because nobody took it in time.
        now: When it was changed.
    """
    moved = standing.queue_key != queue_before
    overflowed_from = before.overflowed_from
    if moved:
        overflowed_from = queue_before if by_overflow else None
    state = _state(before, standing, moved=moved, overflowed=overflowed_from is not None)
    waits = state in WAITING_STATES
    waited = before.state in WAITING_STATES or before.state is RoutingState.OFFERED
    keeps_waiting = waits and waited and not moved
    waiting_since = before.waiting_since
    if waits and not keeps_waiting:
        waiting_since = now
    return Marks(
        state=state,
        since=before.since if state is before.state and not moved else now,
        waiting_since=waiting_since,
        overflowed_from=overflowed_from,
    )


def _state(before: Marks, standing: Standing, *, moved: bool, overflowed: bool) -> RoutingState:
    if standing.status in _ENDED:
        return RoutingState.DONE
    if standing.agent_id is not None:
        offered = standing.control is Control.QUEUED
        return RoutingState.OFFERED if offered else RoutingState.HELD
    if before.state in WAITING_STATES and not moved:
        return before.state
    return RoutingState.OVERFLOWED if overflowed else RoutingState.WAITING
