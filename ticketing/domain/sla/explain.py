"""A clock in words: each stretch, what it added, and what follows from the sum."""

from __future__ import annotations

from datetime import datetime, timedelta

from ticketing.domain.enums import ClockState
from ticketing.domain.sla.clocks import NO_TARGET, RESOLVED, RUNNING, Clock, Stretch

_ONE_SECOND = timedelta(seconds=1)
_SECONDS_OF_HOUR, _SECONDS_OF_MINUTE = 3600, 60

_WHY = {
    RUNNING: "counts",
    RESOLVED: "does not count: the ticket was resolved",
    NO_TARGET: "does not count: no policy promises anything",
    "pending_customer": "paused: waiting for the customer",
    "pending_third_party": "paused: waiting for a third party",
    "returned_to_bot": "the ticket went back to the bot",
    "closed": "the ticket was closed",
    "merged": "the ticket was merged into another one",
    "calendar_never_opens": "its calendar has no working hours left",
}


def explain(clock: Clock) -> tuple[str, ...]:
    """The lines that lead from the clock's beginning to where it stands, times in UTC.

    The working times of the stretches add up to what is used up.
    """
    head = (
        f"{clock.metric.value} #{clock.cycle} is {clock.state.value}: "
        f"{_amount(clock.consumed)} of {_amount(clock.target)} used "
        f"(policy {clock.policy}, calendar {clock.calendar})"
    )
    return (head, *(_stretch(stretch) for stretch in clock.stretches), *_end(clock))


def _stretch(stretch: Stretch) -> str:
    why = _WHY.get(stretch.reason, stretch.reason)
    line = f"{_moment(stretch.begins)} to {_moment(stretch.ends)}: {why}"
    if not stretch.running or stretch.target is None:
        return line
    return (
        f"{line}, {_amount(stretch.worked)} of working time in {stretch.calendar} "
        f"(target {_amount(stretch.target)} by {stretch.policy})"
    )


def _end(clock: Clock) -> list[str]:
    lines: list[str] = []
    if clock.breached_at is not None:
        lines.append(f"{_moment(clock.breached_at)}: the target was used up")
    if clock.met_at is not None:
        late = clock.breached_at is not None
        lines.append(f"{_moment(clock.met_at)}: kept" + (", late" if late else ""))
    elif clock.ended_at is not None:
        reason = _WHY.get(clock.reason or "", clock.reason or "")
        lines.append(f"{_moment(clock.ended_at)}: void, {reason}")
    elif clock.state is ClockState.PAUSED:
        lines.append("no due time while it is paused")
    elif clock.due_at is None:
        lines.append(f"no due time: {_WHY.get(clock.reason or '', clock.reason or 'unknown')}")
    elif clock.breached_at is None:
        lines.append(f"{_moment(clock.due_at)}: due, if nothing changes")
    return lines


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _amount(duration: timedelta) -> str:
    total = duration // _ONE_SECOND
    hours, rest = divmod(total, _SECONDS_OF_HOUR)
    minutes, seconds = divmod(rest, _SECONDS_OF_MINUTE)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
