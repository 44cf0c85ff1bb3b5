from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.message import ProviderError
from channels.whatsapp.errors import Action, classify, classify_provider_error

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def body(code: Any, **extra: Any) -> bytes:
    error = {"message": "m", "code": code, "error_data": {"details": "d"}, **extra}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("codes", "kind", "action"),
    [
        ([2, 131000, 131016, 133004, 131057], "transient", Action.RETRY),
        ([1, 131053], "transient", Action.RETRY_ONCE),
        ([4, 80007, 130429], "transient", Action.SLOW_NUMBER),
        ([131056], "transient", Action.PAIR_LIMIT),
        ([134101], "transient", Action.RETRY_LATER),
        ([131047], "permanent", Action.USE_TEMPLATE),
        ([131049, 131026, 130472], "permanent", Action.FALL_BACK),
        ([131050, 130403], "permanent", Action.DISABLE_CONTACT),
        ([131062], "permanent", Action.USE_PHONE),
        ([131030], "permanent", Action.DROP),
        (
            [131021, 131008, 131009, 100, 131051, 132000, 132001, 132005, 132007, 132012, 132018],
            "permanent",
            Action.DROP,
        ),
        ([135000, 33, 132015, 132016, 132068, 132069], "permanent", Action.DROP),
        (
            [0, 3, 10, 190, 200, 299, 131005, 131045, 131037, 133010],
            "stop_channel",
            Action.STOP_CHANNEL,
        ),
        (
            [368, 131031, 130497, 131042, 131048, 131064, 134011],
            "stop_channel",
            Action.STOP_CHANNEL,
        ),
    ],
)
@pytest.mark.parametrize("http_status", [400, 403, 429])
def test_a_known_code_decides_whatever_the_http_status(
    codes: list[int], kind: str, action: Action, http_status: int
) -> None:
    for code in codes:
        failure = classify(http_status, body(code), {})
        assert (failure.kind, failure.action, failure.code) == (kind, action, code)


@pytest.mark.parametrize(
    ("http_status", "code", "kind", "action"),
    [
        (429, 999, "transient", Action.SLOW_NUMBER),
        (429, None, "transient", Action.SLOW_NUMBER),
        (500, 999, "transient", Action.RETRY),
        (500, 0, "transient", Action.RETRY),
        (503, None, "transient", Action.RETRY),
        (408, None, "transient", Action.RETRY),
        (401, 999, "stop_channel", Action.STOP_CHANNEL),
        (403, None, "stop_channel", Action.STOP_CHANNEL),
        (403, 999, "permanent", Action.DROP),
        (400, 999, "permanent", Action.DROP),
        (404, None, "permanent", Action.DROP),
        (200, None, "unknown", Action.CHECK_STATUS),
    ],
)
def test_an_unknown_code_has_a_safe_default(
    http_status: int, code: int | None, kind: str, action: Action
) -> None:
    failure = classify(http_status, body(code), {})

    assert (failure.kind, failure.action) == (kind, action)


def test_meta_may_say_itself_that_an_unknown_error_is_transient() -> None:
    assert classify(400, body(999_999, is_transient=True), {}).kind == "transient"
    assert classify(400, body(131009, is_transient=True), {}).kind == "permanent"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"retry-after": "2"}, timedelta(seconds=5)),  # never sooner than the table says
        ({"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT"}, timedelta(seconds=30)),
        ({"Retry-After": "Sun, 22 Nov 2026 11:00:00 GMT"}, timedelta(seconds=5)),
        ({"Retry-After": "soon"}, timedelta(seconds=5)),
        ({"Retry-After": "-3"}, timedelta(seconds=5)),
        ({"Retry-After": "1e99"}, timedelta(days=1)),
        ({}, timedelta(seconds=5)),
    ],
)
def test_retry_after_is_honoured(header: dict[str, str], expected: timedelta) -> None:
    assert classify(429, body(130429), header, now=NOW).retry_after == expected


def test_a_permanent_failure_has_nothing_to_wait_for() -> None:
    assert classify(400, body(131009), {"Retry-After": "7"}).retry_after is None


def test_a_failed_status_with_an_unknown_code_is_final() -> None:
    failure = classify_provider_error(ProviderError(code=999, title="t", details="d"))

    assert (failure.kind, failure.http_status, failure.detail) == ("permanent", None, "t - d")


@given(
    st.integers(100, 599), st.binary() | st.text().map(lambda t: json.dumps({"error": t}).encode())
)
def test_any_answer_is_classified(http_status: int, raw: bytes) -> None:
    assert classify(http_status, raw, {}).detail
