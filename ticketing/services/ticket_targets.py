"""Where a ticket may go: queues by name or level, and agents who serve them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.tables import Agent, Queue
from ticketing.domain.enums import Level, Role
from ticketing.domain.ticket import QueueChoice
from ticketing.services.serving import serves_queue, works_on_tickets


@dataclass(frozen=True, slots=True)
class Target:
    """Where a ticket shall go. Parts that are None are derived or stay."""

    queue: str | None = None
    level: Level | None = None
    agent_id: uuid.UUID | None = None


class UnknownTargetError(ValueError):
    """A queue or agent named by the caller is not there or does not fit."""

    def __init__(self, problem: str, *, field: str, allowed: list[str]) -> None:
        self.field = field
        self.allowed = allowed
        listed = f"; expected one of {', '.join(allowed)}" if allowed else ""
        super().__init__(f"{field}: {problem}{listed}")


def choose_queue(choices: list[QueueChoice], target: Target, *, present: str) -> QueueChoice:
    """The queue that is meant by a queue, a level, or both.

    A level alone is enough when one queue serves it.

    Raises:
        UnknownTargetError: when none or several fit.
    """
    keys = [choice.key for choice in choices]
    if target.queue is not None:
        found = next((choice for choice in choices if choice.key == target.queue), None)
        if found is None:
            problem = f"{target.queue!r} is not a queue"
            raise UnknownTargetError(problem, field="queue", allowed=keys)
        if target.level not in {None, found.level}:
            problem = f"{found.key} serves {found.level.value}, not {target.level}"
            fitting = [choice.key for choice in choices if choice.level == target.level]
            raise UnknownTargetError(problem, field="queue", allowed=fitting)
        return found
    if target.level is None:
        problem = "a queue or a level is needed"
        raise UnknownTargetError(problem, field="queue", allowed=keys)
    fitting_choices = [choice for choice in choices if choice.level == target.level]
    if len(fitting_choices) != 1:
        problem = (
            f"several queues serve {target.level.value}, name one"
            if fitting_choices
            else f"no queue serves {target.level.value}"
        )
        fitting = [item.key for item in fitting_choices if item.key != present]
        raise UnknownTargetError(problem, field="queue", allowed=fitting or keys)
    return fitting_choices[0]


async def check_agent(
    session: AsyncSession, agent_id: uuid.UUID | None, *, queue: QueueChoice
) -> None:
    """The named agent works here and serves the queue.

    Raises:
        UnknownTargetError: listing the e-mail addresses of those who do.
    """
    if agent_id is None:
        return
    supervises_all = ~Agent.scoped_to_teams & Agent.role.in_(
        [Role.SUPERVISOR.value, Role.ADMIN.value]
    )
    fitting = await session.execute(
        select(Agent.id, Agent.email)
        .join(Queue, Queue.id == queue.id)
        .where(works_on_tickets(), serves_queue() | supervises_all)
        .order_by(Agent.email)
    )
    emails = {row[0]: row[1] for row in fitting}
    if agent_id not in emails:
        problem = f"is not an active agent who serves {queue.key}"
        raise UnknownTargetError(problem, field="agent_id", allowed=list(emails.values()))
