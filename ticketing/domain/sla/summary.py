"""What a ticket's own columns say about its clocks, for lists and filters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ticketing.domain.enums import ClockState, SlaMetric, SlaState
from ticketing.domain.sla.clocks import Clock

_ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TicketSla:
    """The SLA of a ticket in three columns.

    Attributes:
        state: How it stands.
        target_minutes: Target of the most urgent clock; None without clocks.
        due_at: When that target is used up; None while all clocks are paused.
    """

    state: SlaState
    target_minutes: int | None
    due_at: datetime | None


def summary_of(clocks: Iterable[Clock], *, now: datetime) -> TicketSla:
    """The promises to the customer in short; stays at a level are a matter between teams.

    The most urgent clock is the running one that is due first. When none goes on, it is the
    ticket's last one: the resolution, else the first response.
    """
    found = [clock for clock in clocks if clock.metric is not SlaMetric.LEVEL]
    going_on = [clock for clock in found if clock.goes_on]
    if going_on:
        urgent = min(going_on, key=_urgency)
        return TicketSla(_state_of(going_on, now=now), _minutes(urgent), urgent.due_at)
    if not found:
        return TicketSla(SlaState.NONE, None, None)
    last = max(found, key=lambda clock: (clock.metric is SlaMetric.RESOLUTION, clock.started_at))
    return TicketSla(_final_state(found), _minutes(last), last.due_at)


def _urgency(clock: Clock) -> tuple[bool, datetime]:
    return clock.due_at is None, clock.due_at or clock.started_at


def _minutes(clock: Clock) -> int:
    return max(1, clock.target // _ONE_MINUTE)


def _state_of(going_on: list[Clock], *, now: datetime) -> SlaState:
    states = {clock.state for clock in going_on}
    if ClockState.BREACHED in states:
        return SlaState.BREACHED
    if any(clock.warn_at is not None and clock.warn_at <= now for clock in going_on):
        return SlaState.WARNING
    return SlaState.OK if ClockState.RUNNING in states else SlaState.PAUSED


def _final_state(over: list[Clock]) -> SlaState:
    states = {clock.state for clock in over}
    if ClockState.BREACHED in states:
        return SlaState.BREACHED
    return SlaState.MET if ClockState.MET in states else SlaState.NONE
