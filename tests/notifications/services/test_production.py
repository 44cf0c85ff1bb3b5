"""Jobs of producers become rows, once for each key, and everything about them is the policy's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from kit.ids import new_id
from notifications.domain.contract import ContractError, parse_job
from notifications.domain.jobs import Channel
from notifications.policy_file import load_policies
from notifications.services.production import Produced, produce
from notifications.services.wake import WAKE_CHANNEL
from tests.notifications.conftest import World
from ticketing.services.repeats import KeyReusedError

JOB: dict[str, Any] = {
    "job_name": "send-email",
    "recipient": "ana@example.com",
    "event": "ticket-escalation",
    "context": {"source": "crm", "ticket_number": 7, "facts": {"a": [1, None, "x"]}},
    "correlation_id": "c-9",
    "idempotency_key": "k-1",
}
USER_JOB: dict[str, Any] = {
    "job_name": "notify-user",
    "user": "admin",
    "context": {"source": "crm", "title": "Oi"},
    "correlation_id": "c-9",
    "idempotency_key": "k-1",
}


async def take(
    world: World,
    job: dict[str, Any],
    *,
    producer: str = "agent:1",
    channels: frozenset[Channel] = frozenset(Channel),
) -> Produced:
    async with world.db.transaction() as session:
        return await produce(
            session,
            parse_job(job),
            producer=producer,
            policies=load_policies(),
            channels=channels,
            now=world.clock.now(),
        )


async def test_a_job_for_an_address_is_a_row_as_its_events_policy_wants_it(world: World) -> None:
    taken = await take(world, JOB | {"language": "en"})

    (row,) = await world.notifications()
    assert (row.id, row.state, row.next_attempt_at) == (taken.id, "pending", world.clock.now())
    assert (row.job_name, row.recipient, row.language) == ("send-email", "ana@example.com", "en")
    assert row.context == JOB["context"] | {"nobody_on_duty": False}
    assert (row.urgent, row.guarantee, row.payload_version) == (True, "at-least-once", 1)
    assert row.expires_at == world.clock.now() + timedelta(hours=24)
    assert (row.correlation_id, row.enqueued_at, row.attempts) == ("c-9", None, 0)
    assert (taken.urgent, taken.repeated) == (True, False)


async def test_a_job_for_a_user_is_one_row_that_names_them(world: World) -> None:
    taken = await take(world, USER_JOB)

    (row,) = await world.notifications()
    assert (row.id, row.job_name, row.event) == (taken.id, "notify-user", "user-notice")
    assert (row.recipient, row.context) == ("admin", USER_JOB["context"] | {"user": "admin"})
    assert row.expires_at == world.clock.now() + timedelta(days=3)


@pytest.mark.parametrize("job", [JOB, USER_JOB])
async def test_a_repetition_is_the_same_row_whenever_it_comes(
    world: World, job: dict[str, Any]
) -> None:
    first = await take(world, job)
    async with world.db.transaction() as session:
        # As sending leaves it.
        await session.execute(
            text(
                "UPDATE notifications SET state = 'sent', context = context || '{\"form\": \"x\"}'"
            )
        )
    world.clock.advance(timedelta(days=40))

    again = await take(world, job | {"correlation_id": "another"})

    assert (again.id, again.state, again.repeated) == (first.id, "sent", True)
    assert again.correlation_id == "c-9"
    assert len(await world.notifications()) == 1


@pytest.mark.parametrize("job", [JOB, USER_JOB])
async def test_many_at_the_same_moment_make_one(world: World, job: dict[str, Any]) -> None:
    taken = await asyncio.gather(*(take(world, job) for _ in range(6)))

    assert len({one.id for one in taken}) == 1
    assert sorted(one.repeated for one in taken) == [False] + [True] * 5
    assert len(await world.notifications()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "ticket-opened"},
        {"language": "es"},
        {"context": {"source": "crm", "ticket_number": 8}},
        {"context": {"source": "crm"}},
    ],
)
async def test_a_key_that_stands_for_another_job_is_refused(
    world: World, changes: dict[str, Any]
) -> None:
    await take(world, JOB)

    with pytest.raises(KeyReusedError):
        await take(world, JOB | changes)

    assert len(await world.notifications()) == 1


async def test_the_same_key_of_two_producers_is_two_keys(world: World) -> None:
    first = await take(world, JOB, producer="agent:1")
    second = await take(world, JOB, producer="agent:2")

    assert first.id != second.id


async def test_the_longest_key_and_token_fit_the_index(world: World) -> None:
    push = {"job_name": "send-push", "recipient": _noise(2000), "idempotency_key": _noise(200)}

    await take(world, JOB | push, producer=f"agent:{new_id()}")
    await take(world, JOB | push | {"event": "sla-alert", "idempotency_key": "2"})

    assert len(await world.notifications()) == 2


def _noise(length: int) -> str:
    """Text that no compression makes shorter."""
    return "".join(str(new_id().hex) for _ in range(length // 32 + 1))[:length]


@pytest.mark.parametrize("job", [JOB, USER_JOB])
async def test_a_row_of_somebody_who_was_erased_is_still_the_same_job(
    world: World, job: dict[str, Any]
) -> None:
    first = await take(world, job)
    async with world.db.transaction() as session:
        await session.execute(text("UPDATE notifications SET context = '{}', state = 'dropped'"))

    assert (await take(world, job)).id == first.id


async def test_the_ticket_of_the_context_is_the_rows_and_has_to_be_there(world: World) -> None:
    ticket = await world.make_ticket()
    about = {"context": {"source": "crm", "ticket_id": str(ticket.id)}}
    await take(world, JOB | about)
    assert (await world.notifications())[0].ticket_id == ticket.id

    unknown = {"context": {"source": "crm", "ticket_id": str(new_id())}}
    with pytest.raises(ContractError, match=r"context\.ticket_id: there is no such ticket"):
        await take(world, JOB | unknown | {"idempotency_key": "k-2"})


async def test_a_channel_without_an_account_here_is_refused_with_those_that_have_one(
    world: World,
) -> None:
    sms = JOB | {"job_name": "send-sms", "recipient": "+5511912345678"}

    with pytest.raises(ContractError) as refused:
        await take(world, sms, channels=frozenset({Channel.EMAIL}))

    (problem,) = refused.value.problems
    assert (problem.field, problem.allowed) == ("job_name", ("notify-user", "send-email"))
    assert (await take(world, USER_JOB, channels=frozenset())).state == "pending"


async def test_the_sweep_is_woken_by_the_commit(world: World, db_url: str) -> None:
    for job in (JOB, USER_JOB):
        with psycopg.connect(db_url, autocommit=True) as listener:
            listener.execute(f"LISTEN {WAKE_CHANNEL}")
            await take(world, job)
            heard = list(listener.notifies(timeout=5, stop_after=1))
        assert [one.channel for one in heard] == [WAKE_CHANNEL]
