"""Choose the agent for a ticket, and say of everybody else why not.

Hard filters come first. Whoever passes all of them is ranked: the preferred agent, then the
smallest share of the own capacity in use, then the longest time without a new ticket, then the id,
so that the same facts always give the same answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from ticketing.domain.enums import Level, PresenceState, Priority

_NEVER = datetime.min.replace(tzinfo=UTC)


class Refusal(StrEnum):
    """Why somebody does not get a ticket; stored and reported."""

    DISABLED = "disabled"
    OFF_DUTY = "off_duty"
    OFFLINE = "offline"
    AWAY = "away"
    BUSY = "busy"
    OUT_OF_SHIFT = "out_of_shift"
    FULL = "at_capacity"
    QUEUE = "other_queue"
    LEVEL = "other_level"
    SKILL = "skill_missing"
    LANGUAGE = "other_language"
    EXCLUDED = "just_lost_it"


class Relaxation(StrEnum):
    """A filter that may be left out when nobody passes all of them; named in `handoff.yml`."""

    LANGUAGE = "language"
    LEVEL = "level"
    SKILL = "skill"
    EXCLUDED = "excluded"

    @property
    def waives(self) -> Refusal:
        """The reason that no longer counts."""
        return _WAIVED[self]


_WAIVED = {
    Relaxation.LANGUAGE: Refusal.LANGUAGE,
    Relaxation.LEVEL: Refusal.LEVEL,
    Relaxation.SKILL: Refusal.SKILL,
    Relaxation.EXCLUDED: Refusal.EXCLUDED,
}

_PASSING = frozenset({Refusal.FULL, Refusal.BUSY})
"""Reasons that end by themselves soon: such a person works now and will have room."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a ticket asks of the person who gets it.

    Attributes:
        queue_id: They must serve it.
        level: They must work at it.
        skills: They must have all of these.
        queue_skills: Those of `skills` that come with the queue: who was appointed to the queue by
            name has them.
        language: They must speak it.
        priority: For the record; it decides which ticket is next, not who gets it.
        vip: The same.
        preferred: Agents who know the customer, the best first.
        excluded: Who just lost the ticket, until when.
    """

    queue_id: uuid.UUID
    level: Level
    skills: frozenset[str] = frozenset()
    queue_skills: frozenset[str] = frozenset()
    language: str = "pt"
    priority: Priority = Priority.NORMAL
    vip: bool = False
    preferred: tuple[uuid.UUID, ...] = ()
    excluded: Mapping[uuid.UUID, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of an agent at the moment of the choice.

    Attributes:
        agent_id: Who.
        presence: The state in force: a lease that ran out is `offline`.
        in_shift: True as well for people without a shift plan.
        capacity: Tickets they may work on at once, at least 1.
        load: Tickets they work on or are offered; those that wait for others do not count.
        queues: Queues they were appointed to; None serves all.
        levels: Levels they work at; empty is all.
        skills: What they can do.
        languages: What they speak.
        last_assigned_at: When they last got a ticket from the router.
        active: False once the account was disabled.
        on_duty: Whether they may work now at all.
    """

    agent_id: uuid.UUID
    presence: PresenceState
    capacity: int
    load: int
    in_shift: bool = True
    queues: frozenset[uuid.UUID] | None = None
    levels: frozenset[Level] = frozenset()
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    last_assigned_at: datetime | None = None
    active: bool = True
    on_duty: bool = True

    @property
    def load_ratio(self) -> Fraction:
        """Share of the capacity in use, exact."""
        return Fraction(self.load, max(self.capacity, 1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One candidate's result: a rank from 1, or the reasons against them.

    Attributes:
        waived: Reasons against them that were relaxed away.
    """

    agent_id: uuid.UUID
    rank: int | None
    refusals: tuple[Refusal, ...]
    waived: tuple[Refusal, ...]
    preferred: bool
    load: int
    capacity: int
    last_assigned_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """As it is stored and answered."""
        return {
            "agent_id": str(self.agent_id),
            "rank": self.rank,
            "refusals": [item.value for item in self.refusals],
            "waived": [item.value for item in self.waived],
            "preferred": self.preferred,
            "load": self.load,
            "capacity": self.capacity,
            "last_assigned_at": self.last_assigned_at and self.last_assigned_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class RoutingChoice:
    """Who gets it, and everybody's verdict: the ranked ones first, then the others by id.

    Attributes:
        agent_id: None when nobody passes.
        relaxed: The steps that were needed, in order.
        verdicts: One for each candidate.
    """

    agent_id: uuid.UUID | None
    relaxed: tuple[Relaxation, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def somebody_soon(self) -> bool:
        """Whether a person who works now would fit as soon as they have room."""
        return any(
            verdict.rank is not None or set(verdict.refusals) <= _PASSING
            for verdict in self.verdicts
        )


def choose_agent(
    needs: Needs,
    candidates: Iterable[Candidate],
    *,
    now: datetime,
    relax: Sequence[Relaxation] = (),
) -> RoutingChoice:
    """The agent for a ticket.

    Args:
        needs: What the ticket asks for.
        candidates: Everybody who might; the order does not matter.
        now: Exclusions that have run out count no more.
        relax: Steps to take, one after the other and each on top of those before, while nobody
            passes. Presence, shift, capacity and queue are never relaxed.
    """
    people = sorted(candidates, key=lambda item: item.agent_id)
    refusals = {item.agent_id: refusals_of(needs, item, now=now) for item in people}
    taken: tuple[Relaxation, ...] = ()
    for count in range(len(relax) + 1):
        waived = frozenset(step.waives for step in relax[:count])
        passing = [item for item in people if set(refusals[item.agent_id]) <= waived]
        if passing:
            taken = tuple(relax[:count])
            break
    else:
        waived, passing = frozenset(), []
    ranked = sorted(passing, key=lambda item: _rank_key(needs, item))
    places = {item.agent_id: place for place, item in enumerate(ranked, start=1)}
    verdicts = [
        _verdict(needs, item, refusals[item.agent_id], waived, places.get(item.agent_id))
        for item in people
    ]
    verdicts.sort(key=lambda verdict: verdict.rank or len(people) + 1)
    return RoutingChoice(ranked[0].agent_id if ranked else None, taken, tuple(verdicts))


def refusals_of(needs: Needs, candidate: Candidate, *, now: datetime) -> tuple[Refusal, ...]:
    """Everything that speaks against a candidate, in the order of `Refusal`."""
    found = {*_absent(candidate), *unfit(needs, candidate, now=now)}
    if candidate.load >= candidate.capacity:
        found.add(Refusal.FULL)
    return tuple(reason for reason in Refusal if reason in found)


def unfit(needs: Needs, candidate: Candidate, *, now: datetime) -> frozenset[Refusal]:
    """What a candidate lacks for the ticket, whether they are there or not."""
    appointed = candidate.queues is not None and needs.queue_id in candidate.queues
    wanted = needs.skills - needs.queue_skills if appointed else needs.skills
    until = needs.excluded.get(candidate.agent_id)
    checks = {
        Refusal.QUEUE: appointed or candidate.queues is None,
        Refusal.LEVEL: not candidate.levels or needs.level in candidate.levels,
        Refusal.SKILL: wanted <= candidate.skills,
        Refusal.LANGUAGE: needs.language in candidate.languages,
        Refusal.EXCLUDED: until is None or until <= now,
    }
    return frozenset(reason for reason, passed in checks.items() if not passed)


def _absent(candidate: Candidate) -> Iterable[Refusal]:
    if not candidate.active:
        yield Refusal.DISABLED
    if not candidate.on_duty:
        yield Refusal.OFF_DUTY
    if not candidate.in_shift:
        yield Refusal.OUT_OF_SHIFT
    match candidate.presence:
        case PresenceState.OFFLINE:
            yield Refusal.OFFLINE
        case PresenceState.AWAY:
            yield Refusal.AWAY
        case PresenceState.BUSY:
            yield Refusal.BUSY
        case PresenceState.ONLINE:
            pass


def _rank_key(needs: Needs, item: Candidate) -> tuple[int, Fraction, datetime, uuid.UUID]:
    known = needs.preferred
    acquainted = known.index(item.agent_id) if item.agent_id in known else len(known)
    return (acquainted, item.load_ratio, item.last_assigned_at or _NEVER, item.agent_id)


def _verdict(
    needs: Needs,
    item: Candidate,
    refusals: tuple[Refusal, ...],
    waived: frozenset[Refusal],
    rank: int | None,
) -> Verdict:
    passes = rank is not None
    return Verdict(
        agent_id=item.agent_id,
        rank=rank,
        refusals=() if passes else refusals,
        waived=tuple(reason for reason in refusals if reason in waived) if passes else (),
        preferred=item.agent_id in needs.preferred,
        load=item.load,
        capacity=item.capacity,
        last_assigned_at=item.last_assigned_at,
    )
