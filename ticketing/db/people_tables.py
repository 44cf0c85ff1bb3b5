"""Who works here: teams, queues, agents and their logins."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, false
from sqlalchemy.orm import Mapped, mapped_column

from kit.ids import new_id
from ticketing.db.base import Base, one_of
from ticketing.domain.enums import Level, Role


class Team(Base):
    """A department of agents."""

    __tablename__ = "teams"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)


class Queue(Base):
    """Where a ticket waits for a person; mirrored from `handoff.yml` when a process starts."""

    __tablename__ = "queues"
    __table_args__ = (one_of("level", Level),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    level: Mapped[str]
    team_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("teams.id"))


class Agent(Base):
    """A person of the support team."""

    __tablename__ = "agents"
    __table_args__ = (
        one_of("role", Role),
        CheckConstraint("capacity IS NULL OR capacity > 0", name="capacity_is_positive"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(unique=True)
    """Lower case."""
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    scoped_to_teams: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """A supervisor who sees and supervises only the queues of their teams."""
    capacity: Mapped[int | None] = mapped_column(Integer)
    """Open tickets they work on at once; None is the setting's number."""
    levels: Mapped[list[str]] = mapped_column(default=list)
    skills: Mapped[list[str]] = mapped_column(default=list)
    languages: Mapped[list[str]] = mapped_column(default=list)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    on_duty: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[datetime]
    failed_logins: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None]


class AgentQueue(Base):
    """Which queues an agent serves; an agent with no row serves all."""

    __tablename__ = "agent_queues"

    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    queue_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("queues.id"), primary_key=True)


class AgentTeam(Base):
    """Which teams an agent belongs to."""

    __tablename__ = "agent_teams"

    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), primary_key=True)
    team_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True, index=True)


class AgentSession(Base):
    """A login. Only the hash of the token is stored; `id` names it in lists."""

    __tablename__ = "agent_sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(unique=True, default=new_id)
    user_agent: Mapped[str | None]
    """The browser's own name, cut short, so that people recognise their logins."""
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), index=True)
    csrf_token: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class PasswordReset(Base):
    """A one-time code with which a person chooses a new password; only its hash is stored."""

    __tablename__ = "password_resets"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"), unique=True)
    """Unique: a newer code takes the place of the one before."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ApiToken(Base):
    """A program's right to act for an agent; only the hash of the token is stored."""

    __tablename__ = "api_tokens"
    __table_args__ = (Index("ix_api_tokens_agent_id_created_at", "agent_id", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(unique=True)
    agent_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("agents.id"))
    name: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
