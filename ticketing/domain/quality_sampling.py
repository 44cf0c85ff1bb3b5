"""Which tickets are reviewed: a stratified random sample that anybody can draw again.

Every ticket of a period belongs to the first stratum whose condition it meets, and to that one
only, although it may meet several; so the strata divide the population, and a ticket's chance to be
drawn is known: sample size by size of its stratum. Its weight (Horvitz and Thompson, 1952) is one
by that chance. The order of drawing is a hash of the recorded seed and the ticket's id: no random
number, no order of rows, the same tickets whenever it is done again.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What of a ticket the strata look at. None: not known, and then no condition on it is met.

    Attributes:
        confidence: Score of the bot's intent at the handoff, 0 to 1.
        sla_missed: Whether a promise to the customer was broken.
        reopened: Whether it had to be taken up again.
        after_hours: Whether it was handed over while the team was closed.
        satisfaction: The customer's mark, 1 to 5.
    """

    ticket_id: uuid.UUID
    confidence: float | None = None
    sla_missed: bool | None = None
    reopened: bool | None = None
    after_hours: bool | None = None
    satisfaction: int | None = None


@dataclass(frozen=True, slots=True)
class Stratum:
    """One part of the population.

    All its conditions must hold; without conditions it takes what is left.

    Attributes:
        key: Its name.
        take: How many to draw at least, fewer when there are fewer.
        share: Or this share of it, when that is more; 0 to 1.
        confidence_below: The bot was less sure than this.
        sla_missed: A promise was broken.
        reopened: It was taken up again.
        after_hours: It came while the team was closed.
        satisfaction_at_most: The customer's mark was this or lower.
    """

    key: str
    take: int
    share: float = 0.0
    confidence_below: float | None = None
    sla_missed: bool = False
    reopened: bool = False
    after_hours: bool = False
    satisfaction_at_most: int | None = None

    @property
    def takes_the_rest(self) -> bool:
        """Whether it has no condition."""
        return not (
            self.sla_missed
            or self.reopened
            or self.after_hours
            or self.confidence_below is not None
            or self.satisfaction_at_most is not None
        )

    def holds(self, facts: TicketFacts) -> bool:
        """Whether the ticket meets all conditions."""
        below, at_most = self.confidence_below, self.satisfaction_at_most
        return (
            (not self.sla_missed or facts.sla_missed is True)
            and (not self.reopened or facts.reopened is True)
            and (not self.after_hours or facts.after_hours is True)
            and (below is None or (facts.confidence is not None and facts.confidence < below))
            and (
                at_most is None
                or (facts.satisfaction is not None and facts.satisfaction <= at_most)
            )
        )

    def size(self, population: int) -> int:
        """How many of so many tickets are drawn."""
        # The product of two floats may lie a hair above a whole number: 0.1 * 30 is 3.0000000004.
        by_share = math.ceil(self.share * population - 1e-9)
        return min(population, max(self.take, by_share))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A ticket of the sample.

    Attributes:
        probability: Its chance to be drawn, above 0 to 1.
        weight: How many tickets of the population it stands for: one by the probability.
        second: Whether a second reviewer judges it too.
    """

    ticket_id: uuid.UUID
    stratum: str
    probability: float
    weight: float
    second: bool = False


@dataclass(frozen=True, slots=True)
class StratumCount:
    """How many tickets a stratum had, and how many were drawn."""

    stratum: str
    population: int
    sampled: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn, in the order of the hashes, and the strata in their order."""

    drawn: tuple[Drawn, ...]
    counts: tuple[StratumCount, ...]


def stratum_of(facts: TicketFacts, strata: Sequence[Stratum]) -> str | None:
    """The first stratum whose conditions hold; None when there is none for the rest."""
    return next((stratum.key for stratum in strata if stratum.holds(facts)), None)


def draw(
    population: Iterable[TicketFacts],
    strata: Sequence[Stratum],
    *,
    seed: str,
    second_share: float = 0.0,
) -> Sample:
    """Draw the sample of a period.

    Args:
        population: Every ticket of the period, in any order; a ticket given twice counts once.
        strata: In the order in which they are tried.
        seed: Decides the draw; recorded with it.
        second_share: Share of the sample that gets a second reviewer, 0 to 1, rounded up.
    """
    members: dict[str, set[uuid.UUID]] = {stratum.key: set() for stratum in strata}
    for facts in population:
        key = stratum_of(facts, strata)
        if key is not None:
            members[key].add(facts.ticket_id)
    drawn: list[Drawn] = []
    counts: list[StratumCount] = []
    for stratum in strata:
        ids = members[stratum.key]
        size = stratum.size(len(ids))
        counts.append(StratumCount(stratum.key, len(ids), size))
        chosen = sorted(ids, key=lambda ticket_id: place(seed, "first", ticket_id))[:size]
        drawn += [
            Drawn(ticket_id, stratum.key, size / len(ids), len(ids) / size) for ticket_id in chosen
        ]
    return Sample(_with_second(drawn, seed=seed, share=second_share), tuple(counts))


def place(seed: str, purpose: str, ticket_id: uuid.UUID) -> str:
    """The ticket's place in the order of drawing: SHA-256 of seed, purpose and id."""
    return hashlib.sha256(f"{seed}:{purpose}:{ticket_id}".encode()).hexdigest()


def _with_second(drawn: Sequence[Drawn], *, seed: str, share: float) -> tuple[Drawn, ...]:
    """Mark those for the second reviewer: a random part of the whole sample."""
    wanted = math.ceil(share * len(drawn) - 1e-9)
    ranked = sorted(drawn, key=lambda item: place(seed, "second", item.ticket_id))
    second: Mapping[uuid.UUID, bool] = {item.ticket_id: True for item in ranked[:wanted]}
    return tuple(
        Drawn(
            item.ticket_id,
            item.stratum,
            item.probability,
            item.weight,
            second.get(item.ticket_id, False),
        )
        for item in drawn
    )
