"""Keep the state of alerts about the system itself, and tell of them once.

State and outbox event are one transaction with a locked row: two processes that see the same tell
it once, and a process that dies in between has told nothing and remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_correlation_id
from ticketing.db.notification_tables import OperationAlert
from ticketing.domain.operation_alerts import AlertState, Decision, Says
from ticketing.services.outbox import add_event

log = structlog.get_logger()

Decide = Callable[[AlertState | None], Decision]


async def follow(
    session: AsyncSession,
    name: str,
    decide: Decide,
    *,
    topics: tuple[str, str],
    payload: Mapping[str, Any],
    now: datetime,
    correlation_id: str | None = None,
) -> Says:
    """Decide about one alert and write what is told, in the caller's transaction.

    Args:
        session: The caller's.
        name: Of the alert; its row is locked until the transaction ends.
        decide: From what was remembered to what follows.
        topics: Of the outbox event when it fires, and when it is over.
        payload: Of the event; `since` is added.
        now: When.
        correlation_id: Of what was going on; None: a new one.
    """
    row = await _locked(session, name)
    before = _state(row) if row is not None else None
    decision = decide(before)
    state = decision.state
    if row is None:
        if not state.firing:
            return decision.says
        # Of two that make the row at once the second waits for the first, and decides again.
        made = await session.scalar(
            insert(OperationAlert)
            .values(name=name, **_values(state))
            .on_conflict_do_nothing(index_elements=["name"])
            .returning(OperationAlert.name)
        )
        if made is None:
            return await follow(
                session,
                name,
                decide,
                topics=topics,
                payload=payload,
                now=now,
                correlation_id=correlation_id,
            )
    else:
        for column, value in _values(state).items():
            setattr(row, column, value)
    if decision.says is not Says.NOTHING:
        topic = topics[0] if decision.says is Says.FIRING else topics[1]
        since = state.since if decision.says is Says.FIRING or before is None else before.since
        await add_event(
            session,
            topic=topic,
            payload={**payload, "since": since.isoformat()},
            now=now,
            correlation_id=correlation_id or new_correlation_id(),
        )
        write = log.error if decision.says is Says.FIRING else log.info
        write("operation.alert", topic=topic, name=name)
    return decision.says


async def firing_alerts(session: AsyncSession) -> frozenset[str]:
    """Names of the alerts that fire."""
    found = await session.scalars(select(OperationAlert.name).where(OperationAlert.firing))
    return frozenset(found)


async def _locked(session: AsyncSession, name: str) -> OperationAlert | None:
    found: OperationAlert | None = await session.scalar(
        select(OperationAlert)
        .where(OperationAlert.name == name)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


def _state(row: OperationAlert) -> AlertState:
    return AlertState(row.firing, row.since, row.told_at, row.value)


def _values(state: AlertState) -> dict[str, Any]:
    # The column holds 32 bits; nobody needs to know how many milliards wait.
    value = min(state.value, 2**31 - 1)
    return {
        "firing": state.firing,
        "since": state.since,
        "told_at": state.told_at,
        "value": value,
    }
