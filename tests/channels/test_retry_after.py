from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from channels.retry_after import LONGEST, retry_after

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("2.5", 2.5),
        (" 7 ", 7),
        ("-5", 0),
        ("1e400", 86_400),
        ("9" * 40, 86_400),
        ("7, 9", 9),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 14:01:00 +0200", 60),
        ("Sun, 22 Nov 2026 12:01:00 -0000", 60),
        ("Sun, 22 Nov 1996 12:01:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("0x10", None),
        ("Mon, 99 Foo 99999 99:99:99 +9999", None),
    ],
)
def test_a_header_is_read_or_left_aside(value: str, seconds: float | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert retry_after({"rEtRy-AfTeR": value}, now=NOW) == expected


def test_of_several_headers_the_longest_wait_holds() -> None:
    headers: Any = CIMultiDict([("Retry-After", "7"), ("Retry-After", "9"), ("Retry-After", "x")])

    assert retry_after(headers, now=NOW) == timedelta(seconds=9)


def test_a_date_without_a_clock_says_nothing() -> None:
    assert retry_after({"Retry-After": "Sun, 22 Nov 2026 12:01:00 GMT"}, now=None) is None


@given(
    st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} \d\d:\d\d:\d\d [+-]\d{4}")
)
def test_whatever_is_written_there_is_a_bounded_wait_or_none(value: str) -> None:
    found = retry_after({"Retry-After": value}, now=NOW)

    assert found is None or timedelta() <= found <= LONGEST
