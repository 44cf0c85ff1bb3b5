"""Which SLA rules held when, as every process agrees on it: the database is the truth."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from ticketing.db.sla_tables import SlaRulePeriod
from ticketing.domain.sla.rules import InForce, SlaRules, Timeline
from ticketing.domain.sla.rules_json import content_version, rules_from_json, rules_to_json

MOST_PERIODS = 200
"""Edits that are looked back upon; what is older is measured by the oldest of them."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('ponte.sla_rule_periods'))"
_ONE_MICROSECOND = timedelta(microseconds=1)


async def put_in_force(session: AsyncSession, rules: SlaRules, *, now: datetime) -> bool:
    """Let these rules hold from now on. False when they do already, whoever put them in force.

    A process calls this when it starts and when its files change, not again and again: two
    processes with different files would take turns.
    """
    await session.execute(text(_LOCK))
    version = content_version(rules)
    latest = (
        await session.execute(
            select(SlaRulePeriod.version, SlaRulePeriod.since)
            .order_by(SlaRulePeriod.since.desc())
            .limit(1)
        )
    ).first()
    if latest is not None and latest.version == version:
        return False
    since = now if latest is None else max(now, latest.since + _ONE_MICROSECOND)
    session.add(
        SlaRulePeriod(id=new_id(), version=version, since=since, content=rules_to_json(rules))
    )
    await session.flush()
    return True


async def latest_since(session: AsyncSession) -> datetime | None:
    """When the rules in force began to hold; None before the first ones."""
    found: datetime | None = await session.scalar(
        select(SlaRulePeriod.since).order_by(SlaRulePeriod.since.desc()).limit(1)
    )
    return found


async def load_timeline(session: AsyncSession) -> Timeline | None:
    """All rules that are looked back upon; None before the first ones."""
    rows = (
        await session.execute(
            select(SlaRulePeriod.since, SlaRulePeriod.content)
            .order_by(SlaRulePeriod.since.desc())
            .limit(MOST_PERIODS)
        )
    ).all()
    periods = tuple(InForce(since, rules_from_json(content)) for since, content in reversed(rows))
    return Timeline(periods) if periods else None
