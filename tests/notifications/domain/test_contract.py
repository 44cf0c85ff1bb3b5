"""What a job has to say: every mistake at once, with its field and what was expected."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.json import dumps, storable
from notifications.domain.contract import (
    EVENTS,
    JOB_NAMES,
    LONGEST_TOKEN,
    ContractError,
    ContractProblem,
    JobPayload,
    parse_job,
    problems_of_row,
)
from notifications.domain.job_context import DEEPEST_CONTEXT, LONGEST_CONTEXT, OWN_KEYS
from notifications.domain.jobs import Channel, JobName
from notifications.domain.occasions import PolicyEvent
from notifications.domain.texts import render

TICKET = "019f2c3a-7d10-7c11-8a53-0242ac120002"
TO_USER: dict[str, Any] = {
    "job_name": "notify-user",
    "user": "ana@example.com",
    "context": {"source": "import", "title": "Pronto"},
    "correlation_id": "c-1",
    "idempotency_key": "k-1",
}
BY_MAIL: dict[str, Any] = {
    "job_name": "send-email",
    "recipient": "ana@example.com",
    "event": "ticket-opened",
    "context": {"source": "crm", "ticket_number": 7},
    "correlation_id": "c-1",
    "idempotency_key": "k-1",
}


def without(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name not in names}


def fields_of(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(ContractError) as refused:
        parse_job(raw)
    return [problem.field for problem in refused.value.problems]


def test_a_job_for_a_user_is_read() -> None:
    context = {"source": "x", "body": {"pt": "a", "es": "b"}, "link": "/console", "n": [1, None]}

    job = parse_job(TO_USER | {"context": context | {"ticket_id": TICKET}})

    assert (job.job_name, job.channel, job.version) == (JobName.NOTIFY_USER, None, 1)
    assert (job.address, job.event, job.language) == (
        "ana@example.com",
        PolicyEvent.USER_NOTICE,
        None,
    )
    assert job.ticket_id == uuid.UUID(TICKET)
    assert (job.correlation_id, job.idempotency_key) == ("c-1", "k-1")


@pytest.mark.parametrize(
    ("job_name", "recipient", "channel"),
    [
        ("send-email", "Ana.b+c@Exämple.com", Channel.EMAIL),
        ("send-whatsapp", "+5511912345678", Channel.WHATSAPP),
        ("send-sms", " +14155550100 ", Channel.SMS),
        ("send-push", "dGhpcyBpcyBhbiBleGFtcGxl:APA91b", Channel.PUSH),
    ],
)
def test_a_job_for_an_address_is_read(job_name: str, recipient: str, channel: Channel) -> None:
    job = parse_job(BY_MAIL | {"job_name": job_name, "recipient": recipient, "language": "es"})

    assert (job.channel, job.address, job.language) == (channel, recipient.strip(), "es")


@pytest.mark.parametrize("user", ["admin", TICKET, "ana@example.com"])
def test_a_user_is_an_id_an_address_or_the_admin(user: str) -> None:
    assert parse_job(TO_USER | {"user": user}).address == user


@pytest.mark.parametrize("given", [None, "", "send-fax", 7, ["send-email"], "SEND-EMAIL"])
def test_a_job_name_that_is_missing_or_unknown_lists_those_that_exist(given: Any) -> None:
    with pytest.raises(ContractError) as refused:
        parse_job(BY_MAIL | {"job_name": given})

    (problem,) = refused.value.problems
    assert problem.field == "job_name"
    assert problem.allowed == JOB_NAMES
    assert all(name in problem.detail for name in JOB_NAMES)


def test_every_mistake_is_told_at_once() -> None:
    wrong = {
        "job_name": "send-sms",
        "version": 2,
        "recipient": "12345",
        "user": "admin",
        "event": "ticket-teleported",
        "language": "fr",
        "context": {"title": "", "link": "https://evil.example"},
        "priority": "high",
    }

    assert fields_of(wrong) == [
        "priority",
        "version",
        "event",
        "user",
        "recipient",
        "language",
        "context.source",
        "context.title",
        "context.link",
        "correlation_id",
        "idempotency_key",
    ]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"version": True}, ["version"]),
        ({"version": "1"}, ["version"]),
        ({"version": None}, ["version"]),
        ({"event": None}, ["event"]),
        ({"event": ["ticket-opened"]}, ["event"]),
        ({"recipient": None}, ["recipient"]),
        ({"recipient": "ana"}, ["recipient"]),
        ({"recipient": "ana@example.com\r\nBcc: x@example.com"}, ["recipient"]),
        ({"recipient": "a,b@example.com"}, ["recipient"]),
        ({"recipient": "joão@example.com"}, ["recipient"]),
        ({"recipient": "a@" + "x" * 64 + ".com"}, ["recipient"]),
        ({"job_name": "send-whatsapp", "recipient": "11912345678"}, ["recipient"]),
        ({"job_name": "send-sms", "recipient": "+0911912345678"}, ["recipient"]),
        ({"job_name": "send-push", "recipient": "short"}, ["recipient"]),
        ({"job_name": "send-push", "recipient": "x" * (LONGEST_TOKEN + 1)}, ["recipient"]),
        ({"job_name": "send-push", "recipient": "é" * 30}, ["recipient"]),
        ({"language": ["pt"]}, ["language"]),
        ({"context": None}, ["context"]),
        ({"context": ["source"]}, ["context"]),
        ({"idempotency_key": ""}, ["idempotency_key"]),
        ({"idempotency_key": "é"}, ["idempotency_key"]),
        ({"idempotency_key": "x" * 201}, ["idempotency_key"]),
        ({"correlation_id": "a\nb"}, ["correlation_id"]),
    ],
)
def test_a_wrong_field_of_a_job_for_an_address_is_named(
    changes: dict[str, Any], fields: list[str]
) -> None:
    assert fields_of(BY_MAIL | changes) == fields


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"user": None}, ["user"]),
        ({"user": "nobody"}, ["user"]),
        ({"user": "{" + TICKET + "}"}, ["user"]),
        ({"recipient": "ana@example.com"}, ["recipient"]),
        ({"language": "pt"}, ["language"]),
    ],
)
def test_a_wrong_field_of_a_job_for_a_user_is_named(
    changes: dict[str, Any], fields: list[str]
) -> None:
    assert fields_of(TO_USER | changes) == fields


DEEP: Any = "x"
for _ in range(DEEPEST_CONTEXT):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("context", "fields"),
    [
        ({}, ["context.source", "context.title"]),
        ({"source": " "}, ["context.source", "context.title"]),
        ({"source": "x" * 101, "title": "t"}, ["context.source"]),
        ({"source": 7, "title": "t"}, ["context.source"]),
        ({"source": "x"}, ["context.title"]),
        ({"source": "x", "title": "t" * 121}, ["context.title"]),
        ({"source": "x", "title": "\u200b"}, ["context.title"]),
        ({"source": "x", "title": {}}, ["context.title"]),
        ({"source": "x", "title": {"fr": "t"}}, ["context.title"]),
        ({"source": "x", "title": {"pt": "t", "en": 7}}, ["context.title.en"]),
        ({"source": "x", "body": "b" * 2001}, ["context.body"]),
        ({"source": "x", "body": "b", "link": "//evil.example"}, ["context.link"]),
        ({"source": "x", "body": "b", "link": "/" + "x" * 500}, ["context.link"]),
        ({"source": "x", "body": "b", "ticket_id": "7"}, ["context.ticket_id"]),
        ({"source": "x", "body": "b", "ticket_id": 7}, ["context.ticket_id"]),
        ({"source": "x", "body": "b", "fact": "\x00"}, ["context.fact"]),
        ({"source": "x", "body": "b", "fact": ["\ud800"]}, ["context.fact.0"]),
        ({"source": "x", "body": "b", "fact": float("nan")}, ["context.fact"]),
        ({"source": "x", "body": "b", "fact": {"a": b"x"}}, ["context.fact.a"]),
        ({"source": "x", "body": "b", "a\x00": 1}, ["context.a"]),
        ({"source": "x", "body": "b", 7: 1}, ["context.7"]),
        ({"source": "x", "body": "b", "fact": DEEP}, ["context.fact.0.0.0.0"]),
        ({"source": "x", "body": "b", "fact": "x" * LONGEST_CONTEXT}, ["context"]),
        *(({"source": "x", "body": "b", key: "x"}, [f"context.{key}"]) for key in OWN_KEYS),
    ],
)
def test_a_wrong_part_of_the_context_is_named(context: dict[Any, Any], fields: list[str]) -> None:
    assert fields_of(TO_USER | {"context": context}) == fields


def test_an_address_with_a_mistake_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ContractError) as refused:
        parse_job(BY_MAIL | {"recipient": "ana.souza@@example.com"})

    assert "souza" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
CONTEXTS = st.dictionaries(
    st.sampled_from(["source", "title", "body", "link", "ticket_id", "alert", "x"]), JSON
)


@settings(max_examples=200, deadline=None)
@given(
    raw=st.dictionaries(st.sampled_from([*TO_USER, *BY_MAIL, "version", "language"]), JSON),
    base=st.sampled_from([TO_USER, BY_MAIL, {}]),
    context=st.none() | CONTEXTS,
)
def test_whatever_is_given_is_read_or_refused_with_every_field(
    raw: dict[str, Any], base: dict[str, Any], context: dict[str, Any] | None
) -> None:
    given_job = {**base, **raw} | ({} if context is None else {"context": context})
    job, problems = read(given_job)
    assert (job is None) == bool(problems)
    assert all(problem.field and problem.detail for problem in problems)
    if job is None:
        return
    stored = dict(job.context)
    assert storable(stored) == stored
    assert json.loads(dumps(stored)) == json.loads(json.dumps(stored))
    for language in ("pt", "en", "es"):
        told = render(
            job.event.value, stored, language=language, frontend_url="https://ponte.example"
        )
        assert told.link.startswith("https://ponte.example/")


def read(raw: dict[str, Any]) -> tuple[JobPayload | None, tuple[ContractProblem, ...]]:
    try:
        return parse_job(raw), ()
    except ContractError as error:
        return None, error.problems


ROW: dict[str, Any] = {
    "job_name": "send-email",
    "version": 1,
    "event": "ticket-opened",
    "recipient": "ana@example.com",
    "context": {},
}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"job_name": "notify-user", "recipient": "", "context": {"user": "admin"}}, []),
        ({"job_name": "notify-user", "recipient": ""}, ["recipient"]),
        ({"job_name": "send-fax"}, ["job_name"]),
        ({"version": 2}, ["version"]),
        ({"event": "ticket-teleported"}, ["event"]),
        ({"recipient": ""}, ["recipient"]),
        ({"recipient": "+5511912345678"}, []),
        ({"context": []}, ["context"]),
        ({"job_name": "", "event": "", "recipient": ""}, ["job_name", "event", "recipient"]),
    ],
)
def test_a_stored_row_is_checked_for_what_sending_needs(
    changes: dict[str, Any], fields: list[str]
) -> None:
    assert [problem.field for problem in problems_of_row(**(ROW | changes))] == fields


def test_the_list_of_events_is_that_of_the_policies() -> None:
    assert set(EVENTS) == set(PolicyEvent)
