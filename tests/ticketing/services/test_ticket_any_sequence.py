"""Whatever people do to a ticket, in any order: the row is what its events say, and may exist."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kit.clock import FakeClock
from tests.ticketing.desk import Desk, make_desk, order
from ticketing.db.engine import Database, make_engine
from ticketing.domain.enums import Level, Priority, Role, Severity, TicketStatus
from ticketing.domain.ticket import Actor, InvalidTransitionError, NotAllowedError
from ticketing.domain.ticket_tags import InvalidTagError
from ticketing.services.ticket_targets import Target, UnknownTargetError
from ticketing.services.ticket_verification import verify_tickets

REFUSED = (InvalidTransitionError, NotAllowedError, UnknownTargetError, InvalidTagError)
WHO = st.sampled_from(["ana", "bia", "sofia"])
REASON = st.sampled_from(["porque sim", "cliente pediu", "ação: café"])
TAGS = st.lists(st.sampled_from(["vip", "reembolso", "triagem"]), max_size=2)


def _steps() -> st.SearchStrategy[tuple[str, str, dict[str, Any]]]:
    queue = st.sampled_from(["n1_support", "n1_spanish", "n2_technical", "n3_risk"])
    target = st.builds(
        Target,
        queue=st.none() | queue,
        level=st.none() | st.sampled_from(list(Level)),
    )
    status = st.sampled_from(
        [
            TicketStatus.OPEN,
            TicketStatus.PENDING_CUSTOMER,
            TicketStatus.PENDING_THIRD_PARTY,
        ]
    )
    arguments: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "take": {},
        "reply": {"text": st.just("Olá"), "status": status},
        "note": {"text": st.just("anotado")},
        "set_status": {"status": status, "reason": st.none() | REASON},
        "tag": {"add": TAGS, "remove": TAGS},
        "escalate": {
            "target": target,
            "reason": REASON,
            "priority": st.none() | st.sampled_from(list(Priority)),
        },
        "de_escalate": {"target": target, "reason": REASON},
        "assign": {"target": target, "severity": st.none() | st.sampled_from(list(Severity))},
        "release": {"reason": REASON},
        "change_priority": {"priority": st.sampled_from(list(Priority))},
        "resolve": {"closing_text": st.none() | st.just("Resolvido")},
        "return_to_bot": {"reason": st.none() | REASON},
        "close": {},
        "reopen": {"reason": REASON},
    }
    return st.one_of(
        st.tuples(WHO, st.just(act), st.fixed_dictionaries(values))
        for act, values in arguments.items()
    )


async def _everybody(desk: Desk) -> dict[str, Actor]:
    return {
        "ana": await desk.agent("ana", queues=("n1_support", "n1_spanish", "n2_technical")),
        "bia": await desk.agent("bia"),
        "sofia": await desk.agent("sofia", role=Role.SUPERVISOR),
    }


Script = list[tuple[tuple[str, str, dict[str, Any]], int]]


def test_any_sequence_of_work_leaves_a_row_that_its_events_lead_to(
    db_url: str, clock: FakeClock
) -> None:
    with asyncio.Runner() as runner:
        db = Database(make_engine(db_url))
        desk = runner.run(make_desk(db, clock))
        people = runner.run(_everybody(desk))

        @given(script=st.lists(st.tuples(_steps(), st.integers(0, 3)), min_size=1, max_size=14))
        @settings(max_examples=40, deadline=None)
        def play(script: Script) -> None:
            runner.run(_play(script, desk, people))

        play()
        runner.run(db.close())


async def _play(script: Script, desk: Desk, people: dict[str, Actor]) -> None:
    """Do what the script says to a new ticket; what is refused changes nothing."""
    ticket_id = await desk.ticket()
    for (who, act, arguments), minutes in script:
        desk.clock.advance(timedelta(minutes=minutes))
        command: Callable[..., Any] = getattr(desk.service, act)
        with contextlib.suppress(*REFUSED):
            await command(order(people[who], ticket_id), **arguments)
    number = (await desk.row(ticket_id)).number
    (found,) = [one async for one in verify_tickets(desk.db, number=number)]
    assert found.differences == ()
    assert found.note is None
