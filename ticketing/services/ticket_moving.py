"""Move a locked ticket: up, down, to another queue, level or agent, or to another priority.

Each function works on a ticket that the caller has locked and commits nothing. People come here
through `services.tickets`, rules through `services.escalation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from ticketing.db.tables import Queue, TicketEvent
from ticketing.domain import ticket_moves, ticket_transitions
from ticketing.domain.enums import Level, Priority, Severity
from ticketing.domain.ticket import QueueChoice
from ticketing.services import ticket_work
from ticketing.services.ticket_targets import Target, check_agent, choose_queue
from ticketing.services.ticket_work import Work, tell_outside


async def escalate(
    work: Work,
    *,
    target: Target,
    reason: str,
    priority: Priority | None = None,
    data: Mapping[str, Any] | None = None,
) -> TicketEvent:
    """Hand the ticket up, or aside to another queue of its level; the policy's people are told.

    Raises:
        UnknownTargetError: when no queue, or several, are meant, or the agent does not fit.
        InvalidTransitionError: when the ticket cannot go there.
        NotAllowedError: when the actor may not send it.
    """
    queue = await queue_of(work, target)
    await check_agent(work.session, target.agent_id, queue=queue)
    change = ticket_moves.escalate(
        work.state,
        work.actor,
        queue=queue,
        reason=reason,
        now=work.now,
        priority=priority,
        agent_id=target.agent_id,
        data=data,
    )
    event = await ticket_work.apply(work, change)
    # One notice says both: a raised priority is part of the escalation's event.
    await tell_outside(work, event, topic=ticket_work.ESCALATED_TOPIC)
    return event


async def de_escalate(work: Work, *, target: Target, reason: str) -> TicketEvent:
    """Hand the ticket down to a lower level; those who get it are told."""
    queue = await queue_of(work, target)
    await check_agent(work.session, target.agent_id, queue=queue)
    change = ticket_moves.de_escalate(
        work.state,
        work.actor,
        queue=queue,
        reason=reason,
        agent_id=target.agent_id,
    )
    event = await ticket_work.apply(work, change)
    await tell_outside(work, event, topic=ticket_work.ASSIGNED_TOPIC)
    return event


async def assign(
    work: Work,
    *,
    target: Target,
    reason: str | None = None,
    severity: Severity | None = None,
) -> TicketEvent:
    """Give the ticket to an agent or a queue, or correct its severity; who gets it is told."""
    moves = target.queue is not None or target.level is not None
    queue = await queue_of(work, target) if moves else None
    present = QueueChoice(work.queue.id, work.queue.key, Level(work.ticket.level))
    await check_agent(work.session, target.agent_id, queue=queue or present)
    change = ticket_moves.reassign(
        work.state,
        work.actor,
        reason=reason,
        queue=queue,
        agent_id=target.agent_id,
        severity=severity,
    )
    event = await ticket_work.apply(work, change)
    if change.control is not None:  # not for a severity alone: nobody got anything
        await tell_outside(work, event, topic=ticket_work.ASSIGNED_TOPIC)
    return event


async def change_priority(
    work: Work, *, priority: Priority, reason: str | None = None
) -> TicketEvent:
    """Another priority; who is on duty is told of a high one."""
    change = ticket_transitions.change_priority(
        work.state,
        work.actor,
        priority=priority,
        reason=reason,
    )
    event = await ticket_work.apply(work, change)
    await tell_outside(work, event, topic=ticket_work.PRIORITY_CHANGED_TOPIC)
    return event


async def queue_of(work: Work, target: Target) -> QueueChoice:
    """The queue that a target means; its own queue is never meant by a level alone.

    Raises:
        UnknownTargetError: when none, or several, are meant.
    """
    queues = (await work.session.scalars(select(Queue).order_by(Queue.key))).all()
    choices = [QueueChoice(row.id, row.key, Level(row.level)) for row in queues]
    return choose_queue(choices, target, present=work.queue.key)
