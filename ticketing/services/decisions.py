"""Take the decision of a turn once, and keep its record."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.decide import decide
from handoff.decision import Decision
from handoff.policy import HandoffPolicy
from handoff.snapshot import ConversationSnapshot
from kit.ids import new_id
from kit.json import storable
from ticketing.db import tables
from ticketing.services.audit import record


async def decide_once(
    session: AsyncSession,
    snapshot: ConversationSnapshot,
    policy: HandoffPolicy,
    *,
    model_version: str,
    now: datetime,
    correlation_id: str,
) -> tuple[uuid.UUID, Decision]:
    """The decision of this turn and its id: a new one, or the stored one when there is one.

    A turn that runs again after a crash must not be decided differently: its first decision may
    have opened a ticket already.
    """
    decision = decide(snapshot, policy)
    inserted = await session.scalar(
        insert(tables.Decision)
        .values(
            id=new_id(),
            conversation_id=uuid.UUID(snapshot.conversation_id),
            turn_id=uuid.UUID(snapshot.turn_id),
            outcome=decision.outcome,
            reason=decision.reason,
            rule=decision.rule_version,
            level=decision.level,
            queue=decision.queue,
            priority=decision.priority,
            understanding=decision.understanding,
            snapshot=storable(snapshot.to_json()),
            decision=storable(decision.to_json()),
            versions={
                "policy": policy.version,
                "calendar": decision.calendar,
                "model": model_version,
            },
            created_at=now,
            correlation_id=correlation_id,
        )
        .on_conflict_do_nothing(index_elements=["turn_id"])
        .returning(tables.Decision.id)
    )
    if inserted is not None:
        return inserted, decision
    stored = await of_turn(session, uuid.UUID(snapshot.turn_id))
    if stored is None:
        message = f"the decision of turn {snapshot.turn_id} conflicted and is not there"
        raise LookupError(message)
    return stored.id, Decision.from_json(stored.decision)


async def revise(
    session: AsyncSession,
    snapshot: ConversationSnapshot,
    policy: HandoffPolicy,
) -> Decision | None:
    """Decide a turn again, with what the dialogue has found out meanwhile.

    The dialogue knows what a "yes" answers; the rules alone do not. The record keeps the revised
    snapshot, so that it explains itself. None when the turn was never decided.
    """
    record = await of_turn(session, uuid.UUID(snapshot.turn_id))
    if record is None:
        return None
    decision = decide(snapshot, policy)
    record.snapshot = storable(snapshot.to_json())
    record.decision = storable(decision.to_json())
    record.outcome = decision.outcome
    record.reason = decision.reason
    record.rule = decision.rule_version
    record.level = decision.level
    record.queue = decision.queue
    record.priority = decision.priority
    record.understanding = decision.understanding
    return decision


async def of_turn(session: AsyncSession, turn_id: uuid.UUID) -> tables.Decision | None:
    """The decision record of a turn."""
    found: tables.Decision | None = await session.scalar(
        select(tables.Decision).where(tables.Decision.turn_id == turn_id)
    )
    return found


async def remember_policy(
    session: AsyncSession, *, version: str, source: str, now: datetime
) -> None:
    """Keep the text of a policy version that is about to decide; once per version."""
    new = await session.scalar(
        insert(tables.PolicyVersion)
        .values(version=version, source=source, first_used_at=now)
        .on_conflict_do_nothing(index_elements=["version"])
        .returning(tables.PolicyVersion.version)
    )
    if new is not None:
        await record(
            session,
            actor="system",
            action="policy.in_force",
            subject=f"policy:{version}",
            data={},
            now=now,
            correlation_id="policy",
        )
