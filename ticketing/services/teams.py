"""Teams (departments): who belongs to them and which queues are theirs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from ticketing.db.people_tables import Agent, AgentTeam, Queue, Team
from ticketing.db.tables import Ticket
from ticketing.domain.people import MAX_LISTED, InvalidAgentError, check_name
from ticketing.domain.ticket import OPEN_STATUSES
from ticketing.services.people_acts import Act, record_people_act


class TeamNotFoundError(Exception):
    """No team has this id."""

    def __init__(self) -> None:
        super().__init__("there is no such team")


class TeamExistsError(Exception):
    """There is a team with this name."""

    def __init__(self) -> None:
        super().__init__("name: a team with this name exists already")


class TeamInUseError(Exception):
    """A team that something refers to cannot go."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the team still has {what}; expected none of them")


@dataclass(frozen=True, slots=True)
class TeamView:
    """A team: keys of its queues, and how many active agents belong to it."""

    id: uuid.UUID
    name: str
    queues: tuple[str, ...]
    agents: int


async def list_teams(session: AsyncSession) -> tuple[TeamView, ...]:
    """All teams, by name."""
    queues = (
        select(func.array_agg(Queue.key))
        .where(Queue.team_id == Team.id)
        .correlate(Team)
        .scalar_subquery()
    )
    members = (
        select(func.count())
        .select_from(AgentTeam)
        .join(Agent, Agent.id == AgentTeam.agent_id)
        .where(AgentTeam.team_id == Team.id, Agent.active)
        .correlate(Team)
        .scalar_subquery()
    )
    rows = await session.execute(select(Team, queues, members).order_by(Team.name))
    return tuple(
        TeamView(id=team.id, name=team.name, queues=tuple(sorted(keys or ())), agents=count)
        for team, keys, count in rows
    )


async def team_view(session: AsyncSession, team_id: uuid.UUID) -> TeamView:
    """One team.

    Raises:
        TeamNotFoundError: when there is none with this id.
    """
    for team in await list_teams(session):
        if team.id == team_id:
            return team
    raise TeamNotFoundError


async def create_team(
    session: AsyncSession, *, name: str, queues: Sequence[str] = (), act: Act
) -> uuid.UUID:
    """Add a team; the queues named leave the team they had.

    Raises:
        InvalidAgentError: naming the field.
        TeamExistsError: when the name is taken.
    """
    team_id: uuid.UUID | None = await session.scalar(
        insert(Team)
        .values(id=new_id(), name=check_name(name))
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(Team.id)
    )
    if team_id is None:
        raise TeamExistsError
    await _set_queues(session, team_id, queues)
    await record_people_act(
        session, act, action="team.created", subject=f"team:{team_id}", data={"queues": [*queues]}
    )
    return team_id


async def edit_team(
    session: AsyncSession,
    team_id: uuid.UUID,
    *,
    name: str | None = None,
    queues: Sequence[str] | None = None,
    act: Act,
) -> None:
    """Rename a team or give it other queues; None leaves a part as it is.

    Raises:
        TeamNotFoundError: when there is none with this id.
        InvalidAgentError: naming the field.
        TeamExistsError: when the name is taken.
    """
    team = await _lock(session, team_id)
    changed: dict[str, object] = {}
    if name is not None and check_name(name) != team.name:
        team.name = check_name(name)
        changed["renamed"] = True
        try:
            await session.flush()
        except IntegrityError as error:
            raise TeamExistsError from error
    if queues is not None:
        await _set_queues(session, team_id, queues)
        changed["queues"] = list(queues)
    if changed:
        await record_people_act(
            session, act, action="team.changed", subject=f"team:{team_id}", data=changed
        )


async def delete_team(session: AsyncSession, team_id: uuid.UUID, *, act: Act) -> None:
    """Remove a team that nothing refers to.

    Raises:
        TeamNotFoundError: when there is none with this id.
        TeamInUseError: naming what refers to it.
    """
    await _lock(session, team_id)
    for what, refers in (
        ("queues", exists().where(Queue.team_id == team_id)),
        ("agents", exists().where(AgentTeam.team_id == team_id)),
        ("tickets", exists().where(Ticket.team_id == team_id)),
    ):
        if await session.scalar(select(refers)):
            raise TeamInUseError(what)
    await session.execute(delete(Team).where(Team.id == team_id))
    await record_people_act(session, act, action="team.deleted", subject=f"team:{team_id}")


async def queue_ids(session: AsyncSession, keys: Sequence[str]) -> list[uuid.UUID]:
    """Ids of queues, in the order of their keys, each once.

    Raises:
        InvalidAgentError: for a key that is none; lists those that are.
    """
    rows = await session.execute(select(Queue.key, Queue.id).order_by(Queue.key))
    return _known({row[0]: row[1] for row in rows} if keys else {}, keys, field="queues")


async def team_ids(session: AsyncSession, names: Sequence[str]) -> list[uuid.UUID]:
    """Ids of teams by name, each once.

    Raises:
        InvalidAgentError: for a name that is none; lists those that are.
    """
    rows = await session.execute(select(Team.name, Team.id).order_by(Team.name))
    return _known({row[0]: row[1] for row in rows} if names else {}, names, field="teams")


def _known(known: dict[str, uuid.UUID], names: Sequence[str], *, field: str) -> list[uuid.UUID]:
    wanted = list(dict.fromkeys(names))
    if len(wanted) > MAX_LISTED:
        problem = f"expected at most {MAX_LISTED}"
        raise InvalidAgentError(problem, field=field)
    for name in wanted:
        if name not in known:
            listed = ", ".join(known) or "(none yet)"
            problem = f"{name!r} is unknown; expected some of {listed}"
            raise InvalidAgentError(problem, field=field, allowed=list(known))
    return [known[name] for name in wanted]


async def _lock(session: AsyncSession, team_id: uuid.UUID) -> Team:
    team = await session.get(Team, team_id, with_for_update=True)
    if team is None:
        raise TeamNotFoundError
    return team


async def _set_queues(session: AsyncSession, team_id: uuid.UUID, keys: Sequence[str]) -> None:
    """These queues and no others; their open tickets follow, closed ones stay as they were."""
    ids = await queue_ids(session, keys)
    await session.execute(
        update(Queue).where(Queue.team_id == team_id, Queue.id.not_in(ids)).values(team_id=None)
    )
    await session.execute(update(Queue).where(Queue.id.in_(ids)).values(team_id=team_id))
    is_open = Ticket.status.in_([status.value for status in OPEN_STATUSES])
    await session.execute(
        update(Ticket)
        .where(
            is_open,
            Ticket.team_id.is_distinct_from(team_id),
            Ticket.queue_id.in_(ids),
        )
        .values(team_id=team_id)
    )
    await session.execute(
        update(Ticket)
        .where(is_open, Ticket.team_id == team_id, Ticket.queue_id.not_in(ids))
        .values(team_id=None)
    )
