"""Take a resolved ticket up again: a new stay of its conversation with people."""

from __future__ import annotations

from sqlalchemy import select

from kit.ids import new_id
from ticketing.db.tables import Handoff, Ticket, TicketEvent
from ticketing.domain import ticket_transitions
from ticketing.domain.enums import HandoffState, Lifecycle
from ticketing.domain.ticket import OPEN_STATUSES, InvalidTransitionError, Transition
from ticketing.services import ticket_work
from ticketing.services.ticket_work import Work


async def reopen(work: Work, *, reason: str) -> TicketEvent:
    """Give the ticket to the actor again, with a handoff of its own.

    Raises:
        InvalidTransitionError: when it is not resolved, its conversation is closed, or another
            ticket of the conversation is open.
    """
    change = ticket_transitions.reopen(work.state, work.actor, reason=reason)
    await _check(work)
    work.handoff = Handoff(
        id=new_id(),
        conversation_id=work.conversation.id,
        ticket_id=work.ticket.id,
        control_epoch=work.conversation.control_epoch,
        state=HandoffState.QUEUED.value,
        reason="reopened",
        evidence={"reason": reason},
        to_level=work.ticket.level,
        queue_id=work.ticket.queue_id,
        skills=list(work.ticket.skills),
        requested_at=work.now,
        queued_at=work.now,
    )
    work.session.add(work.handoff)
    return await ticket_work.apply(work, change)


async def _check(work: Work) -> None:
    if work.conversation.lifecycle != Lifecycle.OPEN.value:
        raise InvalidTransitionError(
            Transition.REOPEN, found="its conversation is closed", expected="an open conversation"
        )
    other = await work.session.scalar(
        select(Ticket.number).where(
            Ticket.conversation_id == work.conversation.id,
            Ticket.status.in_([status.value for status in OPEN_STATUSES]),
        )
    )
    if other is not None:
        raise InvalidTransitionError(
            Transition.REOPEN,
            found=f"the conversation has the open ticket #{other}",
            expected="a conversation without an open ticket",
        )
