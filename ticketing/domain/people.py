"""What may be written about a person of the team, and what one person may do to another."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from typing import NotRequired, TypedDict

from ticketing.domain.enums import Level, Role, parse
from ticketing.domain.permissions import PERMISSIONS_OF
from ticketing.domain.ticket import Actor

MAX_EMAIL = 254  # RFC 5321, a path without its brackets
MAX_NAME = 120
MAX_CAPACITY = 200
"""Nobody works on more conversations at once; more is a slip of the finger."""
MAX_LISTED = 100
"""Queues, teams, skills or languages of one person."""
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f.]{2,}")
_SKILL = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class InvalidAgentError(ValueError):
    """A value of an agent, team or token cannot be; names the field."""

    def __init__(self, problem: str, *, field: str, allowed: Sequence[str] = ()) -> None:
        self.field = field
        self.allowed = list(allowed)
        super().__init__(f"{field}: {problem}")


class BeyondOwnRightsError(Exception):
    """Somebody would give rights, or touch an account that has rights, which they lack."""

    def __init__(self, role: Role) -> None:
        super().__init__(
            f"the role {role.value} may do more than you may here; "
            "expected a role whose permissions you have all yourself"
        )


class OwnAccountError(Exception):
    """People do not change their own rights."""

    def __init__(self, act: str) -> None:
        super().__init__(f"you cannot {act} yourself; expected another admin to do it")


class AgentChanges(TypedDict):
    """What shall be different; a key that is missing stays as it is."""

    name: NotRequired[str]
    role: NotRequired[str]
    queues: NotRequired[Sequence[str]]
    teams: NotRequired[Sequence[str]]
    skills: NotRequired[Sequence[str]]
    languages: NotRequired[Sequence[str]]
    levels: NotRequired[Sequence[str]]
    capacity: NotRequired[int | None]
    scoped_to_teams: NotRequired[bool]


def normal_email(email: str) -> str:
    """The stored form of an address: without surrounding space, in lower case."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def check_email(email: str) -> str:
    """The stored form of an address that can be one.

    Raises:
        InvalidAgentError: when it cannot.
    """
    address = normal_email(email)
    if len(address) > MAX_EMAIL or not _EMAIL.fullmatch(address):
        problem = "expected an address such as ana@example.com"
        raise InvalidAgentError(problem, field="email")
    return address


def check_name(name: str) -> str:
    """A name with single spaces.

    Raises:
        InvalidAgentError: when it is empty, too long or holds unseen characters.
    """
    shown = " ".join(name.split())
    if not 1 <= len(shown) <= MAX_NAME or not shown.isprintable():
        problem = f"expected 1 to {MAX_NAME} printable characters"
        raise InvalidAgentError(problem, field="name")
    return shown


def check_skills(skills: Iterable[str]) -> list[str]:
    """Sorted skills, each once.

    >>> check_skills(["risk", "billing", "risk"])
    ['billing', 'risk']

    Raises:
        InvalidAgentError: for one that is no slug.
    """
    problem = "expected lower-case words of a to z, 0 to 9, - and _, such as billing"
    return _listed(skills, _SKILL, problem, field="skills")


def check_languages(languages: Iterable[str]) -> list[str]:
    """Sorted language codes, each once.

    Raises:
        InvalidAgentError: for one that is no ISO 639 code.
    """
    return _listed(
        languages, _LANGUAGE, "expected ISO 639 codes such as pt, en, es", field="languages"
    )


def check_levels(levels: Iterable[str]) -> list[str]:
    """Sorted levels, each once.

    Raises:
        UnknownValueError: for one that is none.
    """
    return sorted({parse(Level, level, field="levels").value for level in levels})


def check_capacity(capacity: int | None) -> int | None:
    """How many tickets at once; None is the setting's number.

    Raises:
        InvalidAgentError: when it is out of bounds.
    """
    if capacity is not None and not 1 <= capacity <= MAX_CAPACITY:
        problem = f"expected 1 to {MAX_CAPACITY}, or nothing for the setting PONTE_AGENT_CAPACITY"
        raise InvalidAgentError(problem, field="capacity")
    return capacity


def check_scope(role: Role, *, scoped: bool, teams: Sequence[object]) -> None:
    """A limit to teams belongs to supervisors, and needs a team.

    Raises:
        InvalidAgentError: naming what is missing.
    """
    if not scoped:
        return
    if role is not Role.SUPERVISOR:
        problem = f"is for supervisors, the role is {role.value}"
        raise InvalidAgentError(problem, field="scoped_to_teams")
    if not teams:
        problem = "expected at least one team; without one they would see nothing"
        raise InvalidAgentError(problem, field="teams")


def check_rights(actor: Actor, role: Role) -> None:
    """Nobody makes, or takes over, an account that may do what they may not.

    Raises:
        BeyondOwnRightsError: when the role has a permission that the actor lacks here.
    """
    if not PERMISSIONS_OF[role] <= actor.permissions:
        raise BeyondOwnRightsError(role)


def check_not_self(actor: Actor, agent_id: uuid.UUID, act: str) -> None:
    """Rights change by somebody else's hand.

    Raises:
        OwnAccountError: when actor and agent are the same person.
    """
    if actor.agent_id == agent_id:
        raise OwnAccountError(act)


def _listed(
    values: Iterable[str], pattern: re.Pattern[str], problem: str, *, field: str
) -> list[str]:
    found = sorted(set(values))
    if len(found) > MAX_LISTED:
        message = f"expected at most {MAX_LISTED}"
        raise InvalidAgentError(message, field=field)
    for value in found:
        if not pattern.fullmatch(value):
            raise InvalidAgentError(problem, field=field)
    return found
