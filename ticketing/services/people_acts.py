"""Who changes people, and the trace each change leaves in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from ticketing.domain.ticket import SYSTEM, Actor
from ticketing.services import audit

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Act:
    """One change of people: when, by whom, under which correlation id.

    The command line acts as the system: who may run it owns the database anyway.
    """

    now: datetime
    actor: Actor = SYSTEM
    correlation_id: str = ""


async def record_people_act(
    session: AsyncSession,
    act: Act,
    *,
    action: str,
    subject: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry of the audit log, in the transaction of the change itself.

    Args:
        session: Its transaction.
        act: Who and when.
        action: Such as `agent.created`.
        subject: Kind and id, such as `agent:<uuid>`; never a name or an address.
        data: Ids, names of fields, enumerations, numbers: no personal data.
    """
    await audit.record(
        session,
        actor=act.actor.label,
        action=action,
        subject=subject,
        data=data or {},
        now=act.now,
        correlation_id=act.correlation_id,
    )
    log.info("people.changed", action=action, correlation_id=act.correlation_id)
