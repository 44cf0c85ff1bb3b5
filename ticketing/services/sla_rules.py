"""The SLA rules in force, carried by every session of the database.

What happens to a ticket is written in many places; each of them lets the clocks follow. So the
rules travel with the unit of work and not as an argument through all callers.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.db.engine import Database
from ticketing.domain.sla.rules import Timeline

_KEY: Final = "sla_rules"


class SlaRulesHolder:
    """Holds which rules held when; a new timeline takes the old one's place as a whole."""

    __slots__ = ("_timeline",)

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def current(self) -> Timeline:
        """The rules of all times up to now."""
        return self._timeline

    def replace(self, timeline: Timeline) -> None:
        """Put another timeline in force."""
        self._timeline = timeline


def use_rules(db: Database, holder: SlaRulesHolder | None) -> None:
    """Every session of this database knows these rules from now on; None: no rules."""
    if holder is None:
        db.session_info.pop(_KEY, None)
    else:
        db.session_info[_KEY] = holder


def rules_of(session: AsyncSession) -> Timeline | None:
    """The rules that a session knows; None in a process that has none."""
    holder = session.info.get(_KEY)
    return holder.current() if isinstance(holder, SlaRulesHolder) else None
