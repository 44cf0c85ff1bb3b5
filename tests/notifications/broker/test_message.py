from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.ids import new_id
from notifications.broker.malformed import MalformedMessageError
from notifications.broker.message import MOST_IN_ONE, read_notices, to_messages
from notifications.domain.jobs import QUEUE, URGENT_QUEUE, Job, JobName

ONE = new_id()

jobs = st.lists(
    st.builds(
        Job,
        job_name=st.sampled_from(JobName).map(str),
        notification_id=st.uuids(),
        correlation_id=st.text(max_size=8),
        urgent=st.booleans(),
        alone=st.booleans(),
    ),
    max_size=3 * MOST_IN_ONE,
)


@given(jobs)
def test_every_notice_is_in_one_message_of_its_name_and_urgency(given_jobs: list[Job]) -> None:
    messages = to_messages(given_jobs)

    found = [
        (message.actor_name, message.queue_name, notice)
        for message in messages
        for notice in read_notices(message.kwargs) or ()
    ]
    wanted = [
        (
            job.job_name,
            URGENT_QUEUE if job.urgent else QUEUE,
            (job.notification_id, job.correlation_id),
        )
        for job in given_jobs
    ]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert all(1 <= len(message.kwargs["jobs"]) <= MOST_IN_ONE for message in messages)
    queues = [message.queue_name for message in messages]
    assert queues == sorted(queues, key=lambda queue: queue != URGENT_QUEUE)


def test_the_first_version_is_still_understood() -> None:
    arguments = {"notification_id": str(ONE), "correlation_id": "c-1", "version": 1}

    assert read_notices(arguments) == ((ONE, "c-1"),)
    assert read_notices({"notification_id": str(ONE)}) == ((ONE, ""),)


def test_a_newer_version_is_left_to_a_newer_worker() -> None:
    assert read_notices({"version": 3, "whatever": 1}) is None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "jobs"),
        ({"version": 0}, "version"),
        ({"version": "2", "jobs": [[str(ONE), "c"]]}, "version"),
        ({"version": True, "jobs": [[str(ONE), "c"]]}, "version"),
        ({"version": 2}, "jobs"),
        ({"version": 2, "jobs": []}, "jobs"),
        ({"version": 2, "jobs": [str(ONE)]}, "jobs"),
        ({"version": 2, "jobs": [[str(ONE)]]}, "jobs"),
        ({"version": 2, "jobs": [["not an id", "c"]]}, "jobs"),
        ({"version": 2, "jobs": [[str(ONE), 7]]}, "jobs"),
        ({"version": 1, "notification_id": None}, "jobs"),
        ({"version": 1, "notification_id": 7, "correlation_id": "c"}, "jobs"),
    ],
)
def test_what_is_no_job_is_refused_with_the_name_of_the_field(
    arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(MalformedMessageError, match=f"^{field}: expected"):
        read_notices(arguments)


def test_ids_are_read_in_any_spelling() -> None:
    arguments = {"version": 2, "jobs": [[str(ONE).upper(), "c"]]}

    assert read_notices(arguments) == ((uuid.UUID(str(ONE)), "c"),)
