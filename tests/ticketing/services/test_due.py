from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import DateTime, literal, select

from ticketing.db.engine import Database
from ticketing.services.due import LONGEST_WAIT, has_come, has_come_in

NOW = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("ahead", "come"),
    [
        pytest.param(-SECOND, True, id="a second ago"),
        pytest.param(timedelta(), True, id="now"),
        pytest.param(SECOND, False, id="in a second"),
        pytest.param(LONGEST_WAIT, False, id="as far ahead as anything waits"),
        pytest.param(LONGEST_WAIT + SECOND, True, id="further: a clock was ahead"),
    ],
)
async def test_a_time_has_come_or_was_written_by_a_clock_that_was_ahead(
    db: Database, ahead: timedelta, come: Any
) -> None:
    moment = NOW + ahead

    assert has_come(moment, now=NOW) is come
    column = literal(moment, DateTime(timezone=True))
    async with db.transaction() as session:
        assert await session.scalar(select(has_come_in(column, now=NOW))) is come
