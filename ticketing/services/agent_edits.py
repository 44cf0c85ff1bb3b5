"""Changing a person of the team: name, role, queues, teams, skills, languages, levels, capacity."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.policy import HandOff, HandoffPolicy
from ticketing.db.people_tables import Agent, AgentQueue, AgentTeam
from ticketing.domain.enums import Role, parse
from ticketing.domain.people import (
    AgentChanges,
    check_capacity,
    check_languages,
    check_levels,
    check_name,
    check_not_self,
    check_rights,
    check_scope,
    check_skills,
)
from ticketing.domain.permissions import PERMISSIONS_OF, Permission
from ticketing.services.agents import LastAdminError, end_logins, lock_agent
from ticketing.services.people_acts import Act, record_people_act
from ticketing.services.teams import queue_ids, team_ids

_RIGHTS = ("role", "scoped_to_teams")


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit did.

    Attributes:
        changed: Names of the values that differ now, sorted.
        lost_tickets: They may no longer work on tickets: release theirs after the commit.
    """

    changed: tuple[str, ...]
    lost_tickets: bool


@dataclass(frozen=True, slots=True)
class SkillView:
    """A skill: how many active agents have it, and whether the handoff policy asks for it."""

    skill: str
    agents: int
    asked_for: bool


async def edit_agent(
    session: AsyncSession, agent_id: uuid.UUID, changes: AgentChanges, *, act: Act
) -> Edited:
    """Write what differs; an edit that changes nothing writes nothing.

    A change of rights (role, limit to teams) ends every session of the person: the next login
    starts with the new rights. API tokens shrink with the role by themselves.

    Raises:
        AgentNotFoundError: when there is none with this id.
        InvalidAgentError: naming the field; `allowed` lists what may stand there.
        UnknownValueError: for a role or level that is none.
        OwnAccountError: when somebody would change their own rights.
        BeyondOwnRightsError: when the role, before or after, may do more than who changes it.
        LastAdminError: when nobody else could manage agents.
    """
    agent, last_admin = await lock_agent(session, agent_id)
    before = Role(agent.role)
    check_rights(act.actor, before)
    role = parse(Role, changes["role"], field="role") if "role" in changes else before
    scoped = changes.get("scoped_to_teams", agent.scoped_to_teams)
    if role is not before or scoped != agent.scoped_to_teams:
        if last_admin and role is not before:
            raise LastAdminError
        check_not_self(act.actor, agent_id, "change the rights of")
        check_rights(act.actor, role)
    if role is not before and "scoped_to_teams" not in changes:
        scoped = False  # the limit belongs to the role they had
    changed = _write(agent, changes, role=role, scoped=scoped)
    changed |= await _write_lists(session, agent, changes)
    teams = await session.scalars(select(AgentTeam.team_id).where(AgentTeam.agent_id == agent_id))
    check_scope(role, scoped=scoped, teams=teams.all())
    if changed:
        await session.flush()
        if not changed.isdisjoint(_RIGHTS):
            await end_logins(session, agent_id)
        data = {"changed": sorted(changed), "from_role": before.value, "to_role": role.value}
        await record_people_act(
            session, act, action="agent.changed", subject=f"agent:{agent_id}", data=data
        )
    works_on_tickets = Permission.TICKETS_WRITE in PERMISSIONS_OF[role]
    return Edited(tuple(sorted(changed)), lost_tickets=not works_on_tickets)


async def list_skills(session: AsyncSession, policy: HandoffPolicy) -> tuple[SkillView, ...]:
    """Every skill that an active agent has or the policy asks for, by name."""
    skill = func.unnest(Agent.skills).label("skill")
    held = select(skill).where(Agent.active).subquery()
    rows = await session.execute(select(held.c.skill, func.count()).group_by(held.c.skill))
    counts = {str(name): int(count) for name, count in rows}
    wanted = skills_asked_for(policy)
    return tuple(
        SkillView(name, counts.get(name, 0), name in wanted) for name in sorted(wanted | {*counts})
    )


def skills_asked_for(policy: HandoffPolicy) -> set[str]:
    """Skills named by the handoff policy: of queues, rules and languages."""
    asked = {skill for queue in policy.queues.values() for skill in queue.skills}
    outcomes = [rule.outcome for rule in policy.rules]
    asked |= {
        skill for outcome in outcomes if isinstance(outcome, HandOff) for skill in outcome.skills
    }
    return asked | {*policy.languages.skills.values()}


def _write(agent: Agent, changes: AgentChanges, *, role: Role, scoped: bool) -> set[str]:
    wanted: dict[str, object] = {"role": role.value, "scoped_to_teams": scoped}
    if "name" in changes:
        wanted["name"] = check_name(changes["name"])
    if "skills" in changes:
        wanted["skills"] = check_skills(changes["skills"])
    if "languages" in changes:
        wanted["languages"] = check_languages(changes["languages"])
    if "levels" in changes:
        wanted["levels"] = check_levels(changes["levels"])
    if "capacity" in changes:
        wanted["capacity"] = check_capacity(changes["capacity"])
    changed = {name for name, value in wanted.items() if getattr(agent, name) != value}
    for name in changed:
        setattr(agent, name, wanted[name])
    return changed


async def _write_lists(session: AsyncSession, agent: Agent, changes: AgentChanges) -> set[str]:
    changed: set[str] = set()
    if "queues" in changes:
        wanted = {*await queue_ids(session, changes["queues"])}
        of_agent = AgentQueue.agent_id == agent.id
        present = {*(await session.scalars(select(AgentQueue.queue_id).where(of_agent)))}
        if wanted != present:
            await session.execute(delete(AgentQueue).where(of_agent))
            session.add_all(AgentQueue(agent_id=agent.id, queue_id=item) for item in wanted)
            changed.add("queues")
    if "teams" in changes:
        wanted = {*await team_ids(session, changes["teams"])}
        in_team = AgentTeam.agent_id == agent.id
        present = {*(await session.scalars(select(AgentTeam.team_id).where(in_team)))}
        if wanted != present:
            await session.execute(delete(AgentTeam).where(in_team))
            session.add_all(AgentTeam(agent_id=agent.id, team_id=item) for item in wanted)
            changed.add("teams")
    await session.flush()
    return changed
