from __future__ import annotations

from typing import Any

import pytest

from notifications.domain.jobs import InvalidJobNameError, JobName, parse_job_name


@pytest.mark.parametrize("name", [member.value for member in JobName])
def test_a_known_name_is_read(name: Any) -> None:
    assert parse_job_name(name) == name


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("send-fax", "'send-fax' is not a job name"),
        ("SEND-EMAIL", "'SEND-EMAIL' is not a job name"),
        (7, "7 is not a job name"),
    ],
)
def test_a_missing_or_invalid_name_is_refused_with_the_valid_ones(value: Any, words: Any) -> None:
    with pytest.raises(InvalidJobNameError) as caught:
        parse_job_name(value)

    assert words in str(caught.value)
    for name in ("notify-user", "send-email", "send-whatsapp", "send-sms", "send-push"):
        assert name in str(caught.value)
