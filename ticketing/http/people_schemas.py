"""Bodies and queries about people: agents, teams, sessions, passwords, API tokens."""

from __future__ import annotations

import uuid
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StrictBool

from ticketing.domain.enums import Level, Role
from ticketing.domain.login import MAX_PASSWORD
from ticketing.domain.people import MAX_CAPACITY, MAX_LISTED, MAX_NAME
from ticketing.domain.permissions import Permission
from ticketing.http.schemas import Key, Strict, readable

Password = Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD), AfterValidator(readable)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(readable)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Keys = Annotated[tuple[Key, ...], Field(max_length=MAX_LISTED)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_LISTED)]
Slugs = Annotated[tuple[Slug, ...], Field(max_length=MAX_LISTED)]
Languages = Annotated[tuple[Language, ...], Field(max_length=MAX_LISTED)]
Levels = Annotated[tuple[Level, ...], Field(max_length=len(Level))]
Capacity = Annotated[
    int | None,
    Field(ge=1, le=MAX_CAPACITY, description="Open tickets at once; null: the setting's number."),
]
Scoped = Annotated[
    StrictBool, Field(description="A supervisor who sees and supervises only their teams' queues.")
]


class NewAgentBody(BaseModel):
    """A new person of the team."""

    # Not Strict: a password keeps its spaces.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    email: Annotated[str, Field(min_length=3, max_length=254), AfterValidator(readable)]
    name: Name
    password: Annotated[
        Password | None,
        Field(description="Without: they choose one with a code of .../password-reset."),
    ] = None
    role: Role
    queues: Annotated[Keys, Field(description="They serve these; none means all.")] = ()
    teams: Names = ()
    scoped_to_teams: Scoped = False
    skills: Slugs = ()
    languages: Languages = ()
    levels: Levels = ()
    capacity: Capacity = None


class EditAgentBody(Strict):
    """What shall be different; fields that are not sent stay as they are."""

    name: Name | None = None
    role: Role | None = None
    queues: Keys | None = None
    teams: Names | None = None
    scoped_to_teams: Scoped | None = None
    skills: Slugs | None = None
    languages: Languages | None = None
    levels: Levels | None = None
    capacity: Capacity = None


class AgentQuery(Strict):
    """Filters of the list of people."""

    role: Role | None = None
    active: bool | None = None
    team: Name | None = None
    queue: Key | None = None
    skill: Slug | None = None
    language: Language | None = None
    level: Level | None = None
    text: Annotated[Key | None, Field(description="Part of the name or the address.")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 500
    cursor: Annotated[
        Annotated[str, Field(max_length=254), AfterValidator(readable)] | None,
        Field(description="`next_cursor` of the page before."),
    ] = None


class NewTeamBody(Strict):
    """A new team; its queues leave the team they had."""

    name: Name
    queues: Keys = ()


class EditTeamBody(Strict):
    """What shall be different; fields that are not sent stay as they are."""

    name: Name | None = None
    queues: Keys | None = None


class ChangePasswordBody(BaseModel):
    """Another password for oneself."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    present_password: Password
    new_password: Password


class FinishResetBody(BaseModel):
    """A new password, with the one-time code of an admin."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    code: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(readable)]
    password: Password


class NewTokenBody(Strict):
    """A new API token of one's own."""

    name: Annotated[Name, Field(description="What it is for, such as `reports of the CRM`.")]
    scopes: Annotated[
        tuple[Permission, ...],
        Field(min_length=1, max_length=len(Permission), description="Some of your permissions."),
    ]
    expires_at: Annotated[AwareDatetime, Field(description="At most 366 days ahead.")]


class TokenQuery(Strict):
    """Whose tokens."""

    agent: Annotated[
        uuid.UUID | None, Field(description="Another person's; wants people:manage.")
    ] = None
    all: Annotated[bool, Field(description="Everybody's; wants people:manage.")] = False
