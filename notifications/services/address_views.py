"""Addresses that are not written to, for operators: look, and lift what is not a person's no."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.dead_letters import masked_recipient
from notifications.domain.jobs import Channel
from ticketing.db.notification_tables import RecipientAddress
from ticketing.domain.enums import AddressState
from ticketing.domain.ticket import Actor
from ticketing.services.audit import record

MOST = 200


class AddressNotFoundError(LookupError):
    """There is no such address, or nothing is known of it any more."""


class AddressOptedOutError(PermissionError):
    """A person said no; only they can take it back."""


@dataclass(frozen=True, slots=True)
class AddressView:
    """An address that is not written to, or has strikes; masked.

    Attributes:
        id: Names it.
        channel: email, whatsapp, sms or push.
        address: So much of it that a person who knows it recognises it.
        state: active (with strikes), suspended, disabled or opted_out.
        code: The provider's code, or the cause.
        strikes: Refusals in a row.
        since: Since when.
        until: End of a suspension.
    """

    id: uuid.UUID
    channel: str
    address: str
    state: str
    code: str
    strikes: int
    since: datetime
    until: datetime | None


async def list_addresses(
    session: AsyncSession,
    *,
    state: AddressState | None = None,
    channel: Channel | None = None,
    after: uuid.UUID | None = None,
    limit: int = 50,
) -> tuple[AddressView, ...]:
    """Addresses that are not written to, or have strikes, the latest first.

    `after` is the id of the last one of the page before.
    """
    query = (
        select(RecipientAddress)
        # Somebody wrote from there, and nothing else is known of it.
        .where(
            or_(RecipientAddress.state != AddressState.ACTIVE.value, RecipientAddress.strikes > 0)
        )
        .order_by(RecipientAddress.id.desc())
        .limit(max(1, min(limit, MOST)))
    )
    if state is not None:
        query = query.where(RecipientAddress.state == state.value)
    if channel is not None:
        query = query.where(RecipientAddress.channel == channel.value)
    if after is not None:
        query = query.where(RecipientAddress.id < after)
    return tuple(_view(row) for row in await session.scalars(query))


async def lift(
    session: AsyncSession,
    address_id: uuid.UUID,
    *,
    actor: Actor,
    now: datetime,
    correlation_id: str,
) -> AddressView:
    """Write to the address again: the suspension, the strikes or the disabling are forgotten.

    Raises:
        AddressNotFoundError: when nothing is known of it (any more).
        AddressOptedOutError: when a person said no.
    """
    row = await session.scalar(
        select(RecipientAddress).where(RecipientAddress.id == address_id).with_for_update()
    )
    if row is None:
        raise AddressNotFoundError(str(address_id))
    if row.state == AddressState.OPTED_OUT.value:
        message = "address: only the person who said no can take it back"
        raise AddressOptedOutError(message)
    seen = _view(row)
    await session.delete(row)
    await record(
        session,
        actor=actor.label,
        action="address.lifted",
        subject=f"address:{address_id}",
        data={"channel": row.channel, "state": row.state, "code": row.code},
        now=now,
        correlation_id=correlation_id,
    )
    return seen


def _view(row: RecipientAddress) -> AddressView:
    return AddressView(
        id=row.id,
        channel=row.channel,
        address=masked_recipient(row.address),
        state=row.state,
        code=row.code,
        strikes=row.strikes,
        since=row.since,
        until=row.until,
    )
