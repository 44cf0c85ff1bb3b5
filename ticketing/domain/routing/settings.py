"""How the router behaves in the whole installation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How the router behaves everywhere; what differs by queue stands in `handoff.yml`.

    Attributes:
        capacity: Tickets of an agent who has no number of their own.
        preferred_for: So long after a ticket its agent is the first choice for the contact.
        excluded_for: So long who just lost a ticket does not get it again. A quarter of an hour:
            by then somebody else has it, or nobody is there anyway.
        missed_offer_is_away: Whether who does not answer an offer is set to away.
        nobody_after: How long nobody is there before the customer is told. Two minutes: people who
            change places or whose browser starts again are back by then.
        presence_timeout: So long after the last sign of a browser its person counts as gone.
    """

    capacity: int = 10
    preferred_for: timedelta = timedelta(days=30)
    excluded_for: timedelta = timedelta(minutes=15)
    missed_offer_is_away: bool = True
    nobody_after: timedelta = timedelta(minutes=2)
    presence_timeout: timedelta = timedelta(minutes=3)
