"""The job notify-user: one job becomes a notice on every channel that reaches the user.

The notices are made in one transaction under the job's own id, so that doing it again makes none
twice: whatever dies, the job is simply done again.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.contract import ADMIN_USER
from notifications.domain.failure import Failure, FailureKind, SendFailedError
from notifications.domain.job_context import OWN_KEYS
from notifications.domain.jobs import Channel
from notifications.domain.occasions import PolicyEvent
from notifications.domain.policies import Audience, Policies, Policy, Route, by_channels
from notifications.domain.recipients import Recipient, choose_notices
from notifications.services.addresses import refusals
from notifications.services.notices import insert_notices
from notifications.services.ports import Outgoing
from notifications.services.recipients import AdminContact, find_admin, find_agent
from ticketing.db.tables import Ticket


def user_policies(
    policies: Policies, event: PolicyEvent, channels: Collection[Channel]
) -> Policies:
    """The policy of an event when it tells one person: each of its channels once, to them.

    `choose_notices` reads the person as the admin, the one audience that is one person.
    """
    usable = by_channels({event: policies[event]}, channels)[event]
    ways: dict[Channel, Route] = {}
    for route in usable.routes:
        ways.setdefault(route.channel, replace(route, to=Audience.ADMIN))
    return {event: replace(usable, routes=tuple(ways.values()))}


async def find_user(session: AsyncSession, user: str, admin: AdminContact) -> Recipient | None:
    """Whom notify-user names: an active agent by id or e-mail, or the admin."""
    if user == ADMIN_USER:
        return await find_admin(session, admin)
    return await find_agent(session, user)


async def expand(
    session: AsyncSession,
    outgoing: Outgoing,
    *,
    policies: Policies,
    admin: AdminContact,
    channels: Collection[Channel],
    now: datetime,
) -> int:
    """Make the notices of a claimed notify-user in the caller's transaction; how many are new.

    Raises:
        SendFailedError: permanent: the job is not readable (`invalid_job`), nobody or no address
            is there (`no_recipient`), the user turned its channels off (`turned_off`), or every
            address says no (`opted_out`, `disabled`, `suspended`).
    """
    user, event = _asked(outgoing)
    person = await find_user(session, user, admin)
    if person is None:
        detail = "no active agent has this id or address, or no admin is set"
        raise SendFailedError(_refusal("no_recipient", detail))
    own = user_policies(policies, event, channels)
    refused = await refusals(session, addresses_of(person), now=now)
    notices = choose_notices(
        [event], policies=own, on_duty=(), admin=person, now=now, refused=refused.keys()
    )
    if not notices:
        raise SendFailedError(_why_none(person, own[event], event, refused))
    ticket_id = await _ticket(session, outgoing.context)
    jobs = await insert_notices(
        session,
        notices,
        key=f"notify-user:{outgoing.notification_id}",
        context={key: value for key, value in outgoing.context.items() if key not in OWN_KEYS},
        ticket_id=ticket_id,
        now=now,
        correlation_id=outgoing.correlation_id,
        enqueued_at=None,
    )
    return len(jobs)


def _asked(outgoing: Outgoing) -> tuple[str, PolicyEvent]:
    context = outgoing.context
    user = context.get("user") or outgoing.recipient
    name = context.get("event") or outgoing.event
    if not isinstance(user, str) or not user:
        detail = "context.user: expected an agent's id, e-mail or admin"
        raise SendFailedError(_refusal("invalid_job", detail))
    try:
        return user, PolicyEvent(name)
    except ValueError as error:
        failure = _refusal("invalid_job", "context.event: is not known here")
        raise SendFailedError(failure) from error


def addresses_of(person: Recipient) -> set[tuple[Channel, str]]:
    """Every address of somebody, with its channel."""
    return {(channel, address) for channel in Channel for address in person.addresses(channel)}


def _why_none(
    person: Recipient,
    policy: Policy,
    event: PolicyEvent,
    refused: Mapping[tuple[Channel, str], str],
) -> Failure:
    ways = dict.fromkeys(
        way for route in policy.routes for way in (route.channel, route.otherwise) if way
    )
    if not ways:
        detail = "policies.yml names no channel for this event that has an account here"
        return _refusal("no_recipient", detail)
    there = [way for way in ways if person.addresses(way)]
    if not there:
        return _refusal("no_recipient", "the user has no address on the channels of this event")
    wanted = [way for way in there if policy.urgent or person.wants(event.value, way)]
    codes = [
        refused[way, address]
        for way in wanted
        for address in person.addresses(way)
        if (way, address) in refused
    ]
    if codes:
        return _refusal(codes[0], "no address of the user may be written to")
    return _refusal("turned_off", "the user turned the channels of this event off")


async def _ticket(session: AsyncSession, context: Mapping[str, Any]) -> uuid.UUID | None:
    """The ticket that the context names, when it is (still) there."""
    try:
        ticket_id = uuid.UUID(str(context.get("ticket_id")))
    except ValueError:
        return None
    found: uuid.UUID | None = await session.scalar(select(Ticket.id).where(Ticket.id == ticket_id))
    return found


def _refusal(code: str, detail: str) -> Failure:
    return Failure(FailureKind.PERMANENT, code, detail=detail)
