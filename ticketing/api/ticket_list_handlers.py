"""GET /tickets: from the query to the filter of the list."""

from __future__ import annotations

import uuid

from ticketing.api.calls import Answer, Call
from ticketing.http.ticket_list_schemas import TicketQuery
from ticketing.services import ticket_list
from ticketing.services.ticket_list import Range, TicketFilter


async def list_tickets(call: Call) -> Answer:
    """GET /tickets."""
    query: TicketQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        page = await ticket_list.list_tickets(
            session,
            actor=call.actor,
            wanted=_filter(query, me=call.login.agent_id),
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
            count=query.count,
        )
    return Answer(page)


def _filter(query: TicketQuery, *, me: uuid.UUID) -> TicketFilter:
    agents = [me] if query.mine or "me" in query.agent else []
    agents += [uuid.UUID(value) for value in query.agent if value not in {"me", "none"}]
    return TicketFilter(
        statuses=query.status,
        priorities=query.priority,
        severities=query.severity,
        levels=query.level,
        queues=query.queue,
        teams=query.team,
        companies=query.company,
        agent_ids=tuple(agents),
        unassigned="none" in query.agent,
        tags=query.tag,
        channels=query.channel,
        languages=query.language,
        sla=query.sla,
        contact_id=query.contact,
        opened=Range(query.opened_from, query.opened_to),
        updated=Range(query.updated_from, query.updated_to),
        open_only=query.open,
        text=query.q or query.text,
    )
