"""Who serves which queue, in SQL: the one place that says it.

An agent serves the queues they are named for; one who is named for none serves all, unless they
are limited to their teams: then it is the teams' queues. Designers and operators serve none.
The same answer as `sessions.actor_of` gives about one person.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from ticketing.db.people_tables import AgentTeam
from ticketing.db.tables import Agent, AgentQueue, Queue
from ticketing.domain.permissions import Permission, roles_with

WORKERS = tuple(role.value for role in roles_with(Permission.TICKETS_WRITE))
"""Roles that work on tickets."""


def works_on_tickets() -> ColumnElement[bool]:
    """Condition on `agents`: the account is active and its role works on tickets."""
    return Agent.active & Agent.role.in_(WORKERS)


def serves_queue() -> ColumnElement[bool]:
    """Condition on `agents` and `queues`, for a query that has both."""
    of_agent = select(AgentQueue.queue_id).where(AgentQueue.agent_id == Agent.id)
    of_teams = select(AgentTeam.team_id).where(
        AgentTeam.agent_id == Agent.id, AgentTeam.team_id == Queue.team_id
    )
    return or_(
        of_agent.where(AgentQueue.queue_id == Queue.id).correlate(Agent, Queue).exists(),
        ~Agent.scoped_to_teams & ~of_agent.correlate(Agent).exists(),
        Agent.scoped_to_teams & of_teams.correlate(Agent, Queue).exists(),
    )
