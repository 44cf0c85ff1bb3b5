"""What the router does to a ticket, as changes like any other."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from ticketing.domain.enums import Control, TicketStatus
from ticketing.domain.ticket import Change, QueueChoice, TicketState

OURS = frozenset({TicketStatus.NEW, TicketStatus.OPEN})
"""Statuses in which the next step is ours; a ticket that waits for others needs nobody now."""


class TakenBack(StrEnum):
    """Why an agent loses a ticket: `reason` of the event, counted and reported."""

    NOT_ACCEPTED = "not_accepted"
    SILENT = "agent_silent"
    OFFLINE = "agent_offline"
    SHIFT_OVER = "shift_over"
    DISABLED = "agent_disabled"


OVERFLOW = "overflow"
"""`reason` of the event when a ticket goes to the queue named for it."""


def offer(state: TicketState, agent_id: uuid.UUID) -> Change:
    """The agent is asked to take it. Control stays where it is until they take it or reply."""
    return Change(
        kind="offered",
        fields={"agent_id": agent_id, "status": TicketStatus.OPEN},
        data={"from_agent": _text(state.agent_id), "to_agent": str(agent_id)},
    )


def take_back(state: TicketState, reason: TakenBack) -> Change:
    """It waits in its queue again, clock, priority and history as they were."""
    fields: dict[str, uuid.UUID | None] = {"agent_id": None}
    if state.agent_id is not None and reason in _COMES_BACK:
        # They know the customer; if they are back when it is given out again, it is theirs.
        fields["preferred_agent_id"] = state.agent_id
    return Change(
        kind="released",
        fields=fields,
        data={"from_agent": _text(state.agent_id), "to_agent": None, "code": reason.value},
        reason=reason.value,
        control=Control.QUEUED,
    )


def overflow(state: TicketState, queue: QueueChoice, *, waited_since: datetime) -> Change:
    """Nobody took it in time: another queue gets it, with the clock and priority it has."""
    return Change(
        kind="reassigned",
        fields={"queue_id": queue.id, "level": queue.level},
        data={
            "from_queue": state.queue_key,
            "to_queue": queue.key,
            "from_level": state.level.value,
            "to_level": queue.level.value,
            "from_agent": None,
            "to_agent": None,
            "code": OVERFLOW,
            "waited_since": waited_since.isoformat(),
        },
        reason=OVERFLOW,
        control=Control.QUEUED,
    )


_COMES_BACK = frozenset({TakenBack.OFFLINE, TakenBack.SHIFT_OVER})
"""Who just did not answer is no first choice for the same customer."""


def _text(agent_id: uuid.UUID | None) -> str | None:
    return None if agent_id is None else str(agent_id)
