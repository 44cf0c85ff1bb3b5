from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.suspects import MAX_LOST_WORKERS, SUSPECT_GROUP, room_for

MANY = [(number, 1) for number in range(100)]


@pytest.mark.parametrize(
    ("wanted", "sending", "expected"),
    [
        ([], [], ()),
        ([("a", 1)], [], ("a",)),
        ([("a", 1), ("b", 1)], [1], ("a", "b")),
        (MANY, [], tuple(range(SUSPECT_GROUP))),
        (MANY, [1] * 60, (0, 1, 2, 3)),
        (MANY, [1] * 70, ()),
        ([("a", 1)], [2], ()),
        ([("a", 2)], [], ("a",)),
        ([("a", 2), ("b", 2)], [], ("a",)),
        ([("a", 2)], [1], ()),
        ([("a", 2)], [2], ()),
        ([("a", 2), ("b", 1)], [], ("b",)),
    ],
)
def test_after_one_death_in_groups_after_two_alone(
    wanted: Any, sending: Any, expected: Any
) -> None:
    assert room_for(wanted, sending=sending) == expected


@given(
    guilty=st.sets(st.integers(0, 299), min_size=1, max_size=1),
    count=st.integers(1, 300),
)
def test_one_that_kills_its_worker_takes_no_innocent_with_it(guilty: Any, count: Any) -> None:
    """All are sent by one process that dies with everything in it whenever it meets the guilty."""
    deaths = dict.fromkeys(range(count), 0)
    done: set[int] = set()
    for _ in range(3 * count + 10):
        open_rows = [one for one in deaths if one not in done]
        fresh = [one for one in open_rows if deaths[one] == 0]
        wanted = sorted(
            ((one, deaths[one]) for one in open_rows if deaths[one]), key=lambda p: p[1]
        )
        going = set(fresh) | set(room_for(wanted, sending=()))
        if not guilty & going:
            done |= going
            continue
        for one in going:
            deaths[one] += 1
            if deaths[one] >= MAX_LOST_WORKERS:
                assert one in guilty
                done.add(one)

    assert done == set(deaths)
