"""The service levels on a ticket's page: every clock, its stretches, and who was warned."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.domain.enums import ClockState
from ticketing.services.sla_views import AlertView, ClockView, alert_views, clock_views

_SOON_SHARE = 0.7
"""From here on a running clock is coloured; whether somebody was warned stands below it."""


@dataclass(frozen=True, slots=True)
class SlaPanel:
    """What a ticket's page shows of its promises."""

    clocks: tuple[ClockView, ...]
    alerts: tuple[AlertView, ...]


async def load_panel(session: AsyncSession, ticket_id: uuid.UUID, *, now: datetime) -> SlaPanel:
    """The clocks as they stand now. The caller has checked that the person may see the ticket."""
    clocks = await clock_views(session, ticket_id, now=now)
    # What goes on first: that is what can still be kept.
    ordered = sorted(clocks, key=lambda clock: not clock.goes_on)
    return SlaPanel(tuple(ordered), await alert_views(session, ticket_id))


def tone(clock: ClockView) -> str:
    """The colour of a clock."""
    match ClockState(clock.state):
        case ClockState.BREACHED:
            return "late"
        case ClockState.MET:
            return "done"
        case ClockState.RUNNING:
            return "soon" if clock.share >= _SOON_SHARE else "ok"
        case ClockState.PAUSED | ClockState.CANCELLED:
            return "none"
