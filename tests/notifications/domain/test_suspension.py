from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.domain.suspension import LONGEST, suspended_for


@pytest.mark.parametrize(
    ("strikes", "hours"),
    [(0, None), (1, None), (2, None), (3, 24), (4, 48), (5, 96), (6, 168), (7, 168), (32767, 168)],
)
def test_three_strikes_suspend_for_a_day_and_each_further_one_doubles_it(
    strikes: int, hours: int | None
) -> None:
    assert suspended_for(strikes) == (None if hours is None else timedelta(hours=hours))


@given(st.integers(3, 10**6))
def test_a_further_strike_never_shortens_a_suspension(strikes: int) -> None:
    now, then = suspended_for(strikes), suspended_for(strikes + 1)
    assert now is not None
    assert then is not None
    assert now <= then <= LONGEST
