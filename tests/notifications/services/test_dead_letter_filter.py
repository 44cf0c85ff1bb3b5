"""What the audit keeps of a filter, and which period is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from kit.ids import new_id
from notifications.dead_letter_desk import MOST_LINES
from notifications.dlq_audit_file import LOOKED_THROUGH, MAX_BYTES
from notifications.services.dead_letter_filter import (
    MOST_LISTED,
    DeadLetterFilter,
    ReversedPeriodError,
)

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def test_many_ids_are_counted_and_the_lines_of_a_week_fit_into_the_files_looked_through() -> None:
    ids = tuple(new_id() for _ in range(10_000))
    codes = tuple("x" * 5_000 for _ in range(100))
    record = DeadLetterFilter(ids=ids, error_codes=codes).as_record(recipient_key="k")
    assert record["ids"] == [str(value) for value in ids[:MOST_LISTED]]
    assert (record["ids_count"], record["error_codes_count"]) == (10_000, 100)
    # The scheduler writes lines that it does not find: none may have left the files it reads.
    assert len(json.dumps(record)) * MOST_LINES < LOOKED_THROUGH * MAX_BYTES


def test_a_short_filter_is_kept_whole() -> None:
    assert DeadLetterFilter(job_names=("send-email",)).as_record(recipient_key="k") == {
        "job_names": ["send-email"]
    }


@pytest.mark.parametrize("until", [NOON, NOON - timedelta(hours=1)])
def test_a_period_that_ends_before_it_begins_is_refused(until: datetime) -> None:
    with pytest.raises(ReversedPeriodError, match="after since"):
        DeadLetterFilter(since=NOON, until=until)
