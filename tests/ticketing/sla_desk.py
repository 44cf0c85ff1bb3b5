"""The project's SLA rules on a desk whose queues are open around the clock."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select

from tests.ticketing.desk import ROOT, make_policy
from ticketing.db.engine import Database
from ticketing.db.sla_tables import SlaClock
from ticketing.domain.sla.rules import SlaRules, Timeline
from ticketing.domain.sla.rules_file import parse_rules
from ticketing.services.sla_rules import SlaRulesHolder, use_rules


def make_rules(text: str | None = None) -> SlaRules:
    """`sla.yml`, or another text, with the desk's queues."""
    written = (ROOT / "sla.yml").read_text() if text is None else text
    return parse_rules(written, policy=make_policy())


@contextmanager
def sla_in_force(db: Database, rules: SlaRules | None = None) -> Iterator[SlaRulesHolder]:
    """Sessions of the database know the rules until the end of the block."""
    holder = SlaRulesHolder(Timeline.of(rules or make_rules()))
    use_rules(db, holder)
    try:
        yield holder
    finally:
        use_rules(db, None)


async def clock_rows(db: Database, ticket_id: uuid.UUID) -> dict[tuple[str, int], SlaClock]:
    """The clocks of a ticket by metric and cycle."""
    async with db.transaction() as session:
        found = await session.scalars(select(SlaClock).where(SlaClock.ticket_id == ticket_id))
        return {(row.metric, row.cycle): row for row in found}
