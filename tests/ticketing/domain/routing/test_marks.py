"""The router's marks follow whatever happens to a ticket."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.domain.enums import Control, PresenceState, RoutingState, TicketStatus
from ticketing.domain.routing.marks import WAITING_STATES, Marks, Standing, follow
from ticketing.domain.routing.presence import in_force, lease_end

THEN = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
NOW = THEN + timedelta(minutes=7)
ANA = uuid.UUID(int=1)
R = RoutingState


def standing(
    status: TicketStatus = TicketStatus.OPEN,
    agent: uuid.UUID | None = None,
    control: Control = Control.QUEUED,
    queue: str = "n1",
) -> Standing:
    return Standing(status, agent, control, queue)


HELD = standing(agent=ANA, control=Control.HUMAN)
OFFERED = standing(agent=ANA)
ENDED = standing(TicketStatus.RESOLVED, control=Control.BOT)


@pytest.mark.parametrize(
    ("before", "after", "state", "waiting_since"),
    [
        (R.WAITING, OFFERED, R.OFFERED, THEN),
        (R.OFFERED, standing(), R.WAITING, THEN),  # an offer that came to nothing: still waiting
        (R.OFFERED, HELD, R.HELD, THEN),
        (R.WAITING, HELD, R.HELD, THEN),
        (R.HELD, standing(), R.WAITING, NOW),
        (R.NOBODY_AVAILABLE, standing(), R.NOBODY_AVAILABLE, THEN),
        (R.OVERFLOWED, standing(), R.OVERFLOWED, THEN),
        (R.NOBODY_AVAILABLE, standing(queue="n2"), R.WAITING, NOW),
        (R.HELD, ENDED, R.DONE, THEN),
        (R.DONE, HELD, R.HELD, THEN),
        (R.HELD, standing(TicketStatus.PENDING_CUSTOMER, ANA, Control.HUMAN), R.HELD, THEN),
    ],
)
def test_state_and_waiting_time_after_a_change(
    before: RoutingState, after: Standing, state: RoutingState, waiting_since: datetime
) -> None:
    marks = follow(Marks(before, THEN, THEN), after, queue_before="n1", now=NOW)
    assert (marks.state, marks.waiting_since) == (state, waiting_since)
    assert marks.since == (THEN if state is before else NOW)


def test_overflow_is_remembered_until_somebody_else_moves_the_ticket() -> None:
    first = follow(
        Marks(R.NOBODY_AVAILABLE, THEN, THEN),
        standing(queue="n2"),
        queue_before="n1",
        by_overflow=True,
        now=NOW,
    )
    assert (first.state, first.overflowed_from) == (R.OVERFLOWED, "n1")
    again = follow(
        follow(first, standing(agent=ANA, queue="n2"), queue_before="n2", now=NOW),
        standing(queue="n2"),
        queue_before="n2",
        now=NOW,
    )
    assert (again.state, again.overflowed_from) == (R.OVERFLOWED, "n1")
    moved = follow(again, standing(queue="n3"), queue_before="n2", now=NOW)
    assert (moved.state, moved.overflowed_from) == (R.WAITING, None)


standings = st.builds(
    Standing,
    status=st.sampled_from(TicketStatus),
    agent_id=st.none() | st.just(ANA),
    control=st.sampled_from(Control),
    queue_key=st.sampled_from(["n1", "n2"]),
)


@given(st.lists(standings, max_size=8))
def test_the_state_always_says_whether_somebody_has_it(changes: list[Standing]) -> None:
    marks, queue = Marks(R.WAITING, None, None), "n1"
    for step, after in enumerate(changes):
        marks = follow(marks, after, queue_before=queue, now=THEN + timedelta(minutes=step))
        queue = after.queue_key
        over = after.status in {TicketStatus.RESOLVED, TicketStatus.CLOSED}
        assert (marks.state is R.DONE) == over
        if not over:
            assert (marks.state in WAITING_STATES) == (after.agent_id is None)


def test_a_lease_that_ran_out_means_offline() -> None:
    online = PresenceState.ONLINE
    ends = lease_end(online, lease=timedelta(minutes=3), now=THEN)
    assert ends is not None
    assert in_force(online, expires_at=ends, now=ends - timedelta(seconds=1)) is online
    assert in_force(online, expires_at=ends, now=ends) is PresenceState.OFFLINE
    assert lease_end(PresenceState.OFFLINE, lease=timedelta(minutes=3), now=THEN) is None
