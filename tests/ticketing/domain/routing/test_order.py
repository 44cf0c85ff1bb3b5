"""Which ticket is next: by priority, VIP and time to breach, and nobody starves."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.enums import Level, PresenceState, Priority
from ticketing.domain.routing.choice import Candidate, Needs
from ticketing.domain.routing.order import (
    STARVES_NEVER_AFTER,
    WaitingTicket,
    in_order,
    next_ticket,
    serve_by,
)

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
QUEUE = uuid.UUID(int=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AGENT = Candidate(
    agent_id=uuid.UUID(int=9),
    presence=PresenceState.OFFLINE,
    capacity=1,
    load=1,
    languages=frozenset({"pt"}),
)


def ticket(
    number: int,
    priority: Priority = Priority.NORMAL,
    *,
    opened: timedelta = timedelta(0),
    due: timedelta | None = None,
    vip: bool = False,
) -> WaitingTicket:
    return WaitingTicket(
        ticket_id=uuid.UUID(int=number),
        number=number,
        opened_at=NOW + opened,
        needs=Needs(queue_id=QUEUE, level=Level.N1, priority=priority, vip=vip),
        due_at=None if due is None else NOW + due,
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ticket(2, due=HOUR), ticket(1, due=2 * HOUR)),  # the one that breaches first
        (ticket(2, Priority.URGENT, due=HOUR), ticket(1, due=30 * MINUTE)),  # an hour's head start
        (ticket(1, due=-2 * HOUR), ticket(2, Priority.URGENT, due=15 * MINUTE)),  # not for ever
        (ticket(2, vip=True, due=HOUR), ticket(1, due=45 * MINUTE)),
        (ticket(2, Priority.URGENT, due=HOUR), ticket(1, vip=True, due=45 * MINUTE)),
        (ticket(1, due=HOUR), ticket(2, due=HOUR)),  # of equals the older number
        (ticket(2, due=HOUR), ticket(1)),  # without a clock: a day at most
        (ticket(1, opened=-24 * HOUR), ticket(2, due=HOUR)),
        (ticket(2, Priority.HIGH), ticket(1, Priority.LOW)),
    ],
)
def test_the_first_is_served_before_the_second(first: WaitingTicket, second: WaitingTicket) -> None:
    assert in_order([second, first]) == [first, second]


def test_a_low_ticket_is_served_although_urgent_ones_keep_coming() -> None:
    low = ticket(1, Priority.LOW)
    waiting, served = [low], 0
    for minute in range(5 * 24 * 60):
        now = NOW + minute * MINUTE
        waiting.append(
            ticket(minute + 2, Priority.URGENT, opened=minute * MINUTE, due=(minute + 15) * MINUTE)
        )
        chosen = next_ticket(AGENT, waiting, now=now)
        assert chosen is not None
        waiting.remove(chosen)
        served += 1
        if chosen is low:
            break
    assert low not in waiting
    # Three days, less nothing, plus the urgent ones' head start.
    assert served <= (72 * 60) + round(STARVES_NEVER_AFTER / MINUTE) + 1


def test_what_is_not_for_the_agent_is_passed_over() -> None:
    foreign = ticket(1, Priority.URGENT)
    foreign = replace(foreign, needs=replace(foreign.needs, language="es"))
    lost = ticket(2, Priority.URGENT)
    lost = replace(lost, needs=replace(lost.needs, excluded={AGENT.agent_id: NOW + HOUR}))
    mine = ticket(3)
    assert next_ticket(AGENT, [foreign, lost, mine], now=NOW) is mine
    assert next_ticket(AGENT, [foreign, lost, mine], now=NOW + HOUR) is lost
    assert next_ticket(AGENT, [foreign], now=NOW) is None


moments = st.integers(-10_000, 10_000).map(lambda minutes: NOW + minutes * MINUTE)


@given(
    st.sampled_from(Priority),
    st.booleans(),
    moments,
    st.none() | moments,
    st.sampled_from(Priority),
)
def test_every_ticket_opened_later_than_the_bound_comes_after(
    priority: Priority, vip: bool, opened: datetime, due: datetime | None, other: Priority
) -> None:
    place = serve_by(priority, vip=vip, opened_at=opened, due_at=due)
    late = place + STARVES_NEVER_AFTER + MINUTE
    later = serve_by(other, vip=True, opened_at=late, due_at=late)
    assert later > place


@given(st.booleans(), moments, st.none() | moments)
def test_a_higher_priority_or_a_vip_never_comes_later(
    vip: bool, opened: datetime, due: datetime | None
) -> None:
    places = [
        serve_by(priority, vip=vip, opened_at=opened, due_at=due)
        for priority in (Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.LOW)
    ]
    assert places == sorted(places)
    plain = serve_by(Priority.NORMAL, vip=False, opened_at=opened, due_at=due)
    assert serve_by(Priority.NORMAL, vip=True, opened_at=opened, due_at=due) < plain
