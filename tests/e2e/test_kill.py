"""Kill a process in the middle of the work, go on, and count: nothing lost, nothing said twice.

Every process that can die has a cohort of customers of its own, who write before, while and after
it is killed. In the short form the next cohort begins while the last one's leases still run out;
the long form lets everything settle in between, kills every process, and takes minutes:

    PONTE_KILL_CONVERSATIONS=200 .venv/bin/python -m pytest tests/e2e/test_kill.py
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.e2e.cohort import Cohort
from tests.e2e.oracle import AnswerRow, Received, TurnRow, Written, faults
from tests.e2e.running_set import SUPERVISOR, RunningSet
from tests.ponte.waiting import wait_until

_LONG = os.environ.get("PONTE_KILL_CONVERSATIONS", "")  # noqa: TID251 - chooses the long form
CONVERSATIONS = int(_LONG or 40)
SHORT = ("web", "postgres", SUPERVISOR)
VICTIMS = (
    ("web", "bot", "actions", "worker", "scheduler", "simulator", "postgres", "redis", SUPERVISOR)
    if _LONG
    else SHORT
)
# A message of unknown fate waits so long for its status, after its lease of 20 s. Shorter than a
# restart of everything on a busy machine, and a repeat would be the right thing to do (decision 4).
_UNKNOWN_SECONDS = "60" if _LONG else "45"
_SETTLE_SECONDS = 240

_TURNS = """
SELECT m.provider_id, m.id::text, t.state, t.outcome, m.ticket_id IS NOT NULL AS on_ticket,
  EXISTS (SELECT 1 FROM handoffs h WHERE h.turn_id = m.id) AS opened_handoff
FROM messages m LEFT JOIN turns t ON t.id = m.id
WHERE m.direction = 'inbound'
"""
_ANSWERS = """
SELECT m.id::text, m.turn_id::text, m.delivery FROM messages m WHERE m.direction = 'outbound'
"""
_UNDER_WAY = "SELECT 1 FROM turns WHERE state <> 'done' LIMIT 1"
_RECEPTION = """
SELECT since < seen_at AS steady, seen_at > now() - interval '30 s' AS fresh FROM webhook_reception
"""
_UNSETTLED = """
SELECT 1 FROM turns WHERE state <> 'done'
UNION ALL SELECT 1 FROM messages WHERE delivery IN ('pending', 'sending', 'unknown')
UNION ALL SELECT 1 FROM webhook_items WHERE done_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one cohort at the end."""

    cohort: Cohort
    written: list[Written]
    received: list[Received]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at the end, by victim."""

    cases: dict[str, Case]
    turns: list[TurnRow]
    answers: list[AnswerRow]
    reception: list[dict[str, object]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def evidence() -> AsyncIterator[Evidence]:
    """The whole story, played once."""
    folder = Path(tempfile.mkdtemp(prefix="ponte-kill-"))
    ponte = RunningSet(
        folder / "state", settings={"PONTE_UNKNOWN_RESEND_SECONDS": _UNKNOWN_SECONDS}
    )
    try:
        await asyncio.to_thread(ponte.start)
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(timeout=10, limits=limits, trust_env=False) as http:
            yield await _play(ponte, http)
    finally:
        await asyncio.to_thread(ponte.stop)
        shutil.rmtree(folder, ignore_errors=True)


async def _play(ponte: RunningSet, http: httpx.AsyncClient) -> Evidence:
    cohorts = {}
    running = []
    for number, victim in enumerate(VICTIMS):
        cohort = Cohort(http, lambda: ponte.simulator_api, number, CONVERSATIONS)
        cohorts[victim] = cohort
        running.append(asyncio.create_task(cohort.converse()))
        await cohort.half_begun.wait()
        await asyncio.to_thread(_kill_and_start_again, ponte, victim)
        await cohort.all_begun.wait()
        if _LONG:
            await running[-1]
            await asyncio.to_thread(_settle, ponte)
    await asyncio.gather(*running)
    await asyncio.to_thread(_settle, ponte)
    cases = {victim: await _case(ponte, http, cohort) for victim, cohort in cohorts.items()}
    return Evidence(cases, _turn_rows(ponte), _answer_rows(ponte), ponte.query(_RECEPTION))


def _kill_and_start_again(ponte: RunningSet, name: str) -> None:
    """Kill while a turn is under way; then do what an operator does, `ponte up`."""
    wait_until(lambda: ponte.query(_UNDER_WAY), "a turn under way")
    victim = ponte.identity(name)
    ponte.kill(name)
    if name != SUPERVISOR:
        wait_until(lambda: ponte.is_replaced(name, victim), f"a new {name}", seconds=60)
    ponte.start()
    assert ponte.is_replaced(name, victim)


def _settle(ponte: RunningSet) -> None:
    """Wait until nothing waits any more, on either side."""

    def settled() -> bool:
        return not ponte.query(_UNSETTLED) and ponte.webhooks_waiting() == 0

    wait_until(settled, "everything to be settled", seconds=_SETTLE_SECONDS)


async def _case(ponte: RunningSet, http: httpx.AsyncClient, cohort: Cohort) -> Case:
    written: list[Written] = []
    received: list[Received] = []
    for phone in cohort.phones:
        url = f"{ponte.simulator_api}/messages"
        wrote = (await http.get(url, params={"from": phone})).raise_for_status().json()
        got = (await http.get(url, params={"to": phone})).raise_for_status().json()
        written += [Written(one["id"], phone) for one in wrote]
        received += [Received(one["id"], phone, one["callback_data"], one["status"]) for one in got]
    return Case(cohort, written, received)


def _turn_rows(ponte: RunningSet) -> list[TurnRow]:
    return [
        TurnRow(
            wamid=str(row["provider_id"]),
            turn_id=str(row["id"]),
            state=None if row["state"] is None else str(row["state"]),
            outcome=None if row["outcome"] is None else str(row["outcome"]),
            on_ticket=bool(row["on_ticket"]),
            opened_handoff=bool(row["opened_handoff"]),
        )
        for row in ponte.query(_TURNS)
    ]


def _answer_rows(ponte: RunningSet) -> list[AnswerRow]:
    return [
        AnswerRow(
            message_id=str(row["id"]),
            turn_id=None if row["turn_id"] is None else str(row["turn_id"]),
            delivery=str(row["delivery"]),
        )
        for row in ponte.query(_ANSWERS)
    ]


@pytest.mark.parametrize("victim", VICTIMS)
async def test_nothing_is_lost_and_nothing_is_answered_twice(
    evidence: Evidence, victim: str
) -> None:
    case = evidence.cases[victim]
    wrote = {message.wamid for message in case.written}
    turns = [turn for turn in evidence.turns if turn.wamid in wrote]
    ids = {turn.turn_id for turn in turns}
    got = {message.callback_data for message in case.received}
    answers = [a for a in evidence.answers if a.turn_id in ids or a.message_id in got]

    assert len(wrote) == case.cohort.written > 2 * CONVERSATIONS
    assert faults(case.written, case.received, turns, answers) == []


async def test_every_kind_of_outcome_was_under_way(evidence: Evidence) -> None:
    outcomes = Counter(turn.outcome for turn in evidence.turns)

    assert {"answered", "clarified", "handed_off", "to_agent"} <= set(outcomes)


async def test_the_two_stores_hold_the_same_messages(evidence: Evidence) -> None:
    written = [message for case in evidence.cases.values() for message in case.written]
    received = [message for case in evidence.cases.values() for message in case.received]

    assert faults(written, received, evidence.turns, evidence.answers) == []


async def test_the_web_process_says_since_when_it_receives(evidence: Evidence) -> None:
    (only,) = evidence.reception

    assert only == {"steady": True, "fresh": True}
