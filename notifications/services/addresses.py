"""What is known of addresses: who said no, which do not exist, which are left alone for a while.

An address without a row is written to. Strikes are refusals that say "not now, perhaps never"
(131026: no WhatsApp there or not ours to tell; 30003: phone off): three in a row suspend it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from notifications.domain.failure import Consequence, Failure
from notifications.domain.jobs import Channel
from notifications.domain.suspension import suspended_for
from ticketing.db.notification_tables import PushDevice, RecipientAddress
from ticketing.domain.enums import AddressState

log = structlog.get_logger()

Pair = tuple[Channel, str]
"""A channel and an address on it."""

MATTERS = frozenset(
    {
        Consequence.STRIKE_RECIPIENT,
        Consequence.DISABLE_RECIPIENT,
        Consequence.OPT_OUT_RECIPIENT,
    }
)
"""Consequences that change what is known of an address."""

LONGEST_CODE = 64


def address_key(channel: Channel, address: str) -> str:
    """The one spelling under which an address is known: e-mail without regard to case."""
    return address.strip().lower() if channel is Channel.EMAIL else address.strip()


async def refusals(
    session: AsyncSession, pairs: Collection[Pair], *, now: datetime
) -> Mapping[Pair, str]:
    """Which of these addresses may not be written to now, and why.

    Returns:
        Pair to `opted_out`, `disabled` or `suspended`; a pair that is not there may be written to.
    """
    if not pairs:
        return {}
    wanted = {(channel.value, address_key(channel, address)) for channel, address in pairs}
    rows = await session.execute(_NOT_ACTIVE, _arrays(wanted))
    refused = {
        (channel, address): state for channel, address, state, until in rows if _holds(until, now)
    }
    return {
        (channel, address): refused[key]
        for channel, address in pairs
        if (key := (channel.value, address_key(channel, address))) in refused
    }


def _holds(until: datetime | None, now: datetime) -> bool:
    return until is None or until > now


async def note(
    session: AsyncSession, channel: Channel, address: str, failure: Failure | None, *, now: datetime
) -> None:
    """Learn from one send: see `note_many`."""
    await note_many(session, [(channel, address, failure)], now=now)


async def note_many(
    session: AsyncSession, results: Sequence[tuple[Channel, str, Failure | None]], *, now: datetime
) -> None:
    """Learn from sends, in the caller's transaction.

    A success (None) ends strikes and a suspension; it ends neither a refusal of the person nor a
    disabled address. A failure counts when its consequence is about the recipient; others change
    nothing. Rows are locked in the order of their key, so that two callers cannot block each other.
    """
    good = {
        (channel.value, address_key(channel, address))
        for channel, address, failure in results
        if failure is None
    }
    bad = [
        (channel, address_key(channel, address), failure)
        for channel, address, failure in results
        if failure is not None and failure.consequence in MATTERS
    ]
    if good:
        await _forget_strikes(session, good)
    for channel, address, failure in sorted(bad, key=lambda one: (one[0].value, one[1])):
        match failure.consequence:
            case Consequence.STRIKE_RECIPIENT:
                await _strike(session, channel, address, failure.code, now)
            case Consequence.DISABLE_RECIPIENT:
                await _disable(session, channel, address, failure.code, now)
            case _:
                await opt_out(session, channel, address, code=failure.code, now=now)


async def opt_out(
    session: AsyncSession, channel: Channel, address: str, *, code: str, now: datetime
) -> None:
    """The person wants nothing more here (STOP, 21610, 131050, their own page)."""
    key = address_key(channel, address)
    changed = await _put(session, channel, key, AddressState.OPTED_OUT, code, now)
    if changed:
        log.info("address.opted_out", channel=channel.value, code=code)


async def opt_in(session: AsyncSession, channel: Channel, address: str) -> bool:
    """The person takes their no back (START, their own page); strikes and all are forgotten.

    Only the person themselves may cause this. Returns whether anything was known.
    """
    gone = await session.execute(
        delete(RecipientAddress)
        .where(
            RecipientAddress.channel == channel.value,
            RecipientAddress.address == address_key(channel, address),
        )
        .returning(RecipientAddress.id)
    )
    return gone.scalar_one_or_none() is not None


async def _forget_strikes(session: AsyncSession, keys: Collection[tuple[str, str]]) -> None:
    """Nearly always there is nothing: a plain look first, so that a success writes nothing."""
    ids = list((await session.execute(_WITH_STRIKES, _arrays(keys))).scalars())
    if not ids:
        return
    these = RecipientAddress.id.in_(ids)
    wrote = RecipientAddress.last_inbound_at.is_not(None)
    await session.execute(delete(RecipientAddress).where(these, ~wrote))
    await session.execute(
        update(RecipientAddress)
        .where(these, wrote)
        .values(state=AddressState.ACTIVE.value, strikes=0, until=None)
    )


async def note_inbound(
    session: AsyncSession, channel: Channel, address: str, *, at: datetime
) -> None:
    """The person wrote from this address, and not in a conversation."""
    statement = insert(RecipientAddress).values(
        id=new_id(),
        channel=channel.value,
        address=address_key(channel, address),
        state=AddressState.ACTIVE.value,
        code="wrote",
        strikes=0,
        since=at,
        last_inbound_at=at,
    )
    latest = func.greatest(RecipientAddress.last_inbound_at, statement.excluded.last_inbound_at)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["channel", "address"], set_={"last_inbound_at": latest}
        )
    )


def _arrays(keys: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    ordered = sorted(keys)
    return {
        "channels": [channel for channel, _ in ordered],
        "addresses": [address for _, address in ordered],
    }


# Every batch asks both: two arrays instead of a list of pairs make one text, which is put together
# and planned once, for every number of addresses.
_ASKED = "unnest(CAST(:channels AS text[]), CAST(:addresses AS text[])) AS asked(channel, address)"
_NOT_ACTIVE = text(
    f"""
    SELECT known.channel, known.address, known.state, known.until
    FROM {_ASKED} JOIN recipient_addresses AS known USING (channel, address)
    WHERE known.state <> 'active'
    """  # noqa: S608 - no values in it
)
_WITH_STRIKES = text(
    f"""
    SELECT known.id FROM {_ASKED} JOIN recipient_addresses AS known USING (channel, address)
    WHERE known.state = 'suspended' OR known.state = 'active' AND known.strikes > 0
    ORDER BY known.channel, known.address FOR UPDATE OF known
    """  # noqa: S608 - no values in it
)


async def _strike(
    session: AsyncSession, channel: Channel, address: str, code: str, now: datetime
) -> None:
    """One strike more. While suspended none counts: those notices had left before."""
    row = await _locked(session, channel, address, code, now)
    if row.state == AddressState.SUSPENDED.value and _holds(row.until, now):
        return
    if row.state in {AddressState.DISABLED.value, AddressState.OPTED_OUT.value}:
        return
    row.strikes += 1
    row.code = code[:LONGEST_CODE]
    pause = suspended_for(row.strikes)
    row.state = (AddressState.ACTIVE if pause is None else AddressState.SUSPENDED).value
    row.since = now
    row.until = None if pause is None else now + pause
    if pause is not None:
        log.warning(
            "address.suspended",
            channel=channel.value,
            code=code,
            seconds=int(pause.total_seconds()),
        )


async def _disable(
    session: AsyncSession, channel: Channel, address: str, code: str, now: datetime
) -> None:
    if channel is Channel.PUSH:
        # A token never comes back: the app gets a new one and registers that.
        await session.execute(delete(PushDevice).where(PushDevice.token == address))
    if await _put(session, channel, address, AddressState.DISABLED, code, now):
        log.warning("address.disabled", channel=channel.value, code=code)


async def _put(  # noqa: PLR0917 - the columns of a row
    session: AsyncSession,
    channel: Channel,
    address: str,
    state: AddressState,
    code: str,
    now: datetime,
) -> bool:
    """Set a state without end; the person's own no is never overwritten. Whether it changed."""
    values = {"state": state.value, "code": code[:LONGEST_CODE], "since": now, "until": None}
    statement = insert(RecipientAddress).values(
        id=new_id(), channel=channel.value, address=address, strikes=0, **values
    )
    changed = await session.execute(
        statement.on_conflict_do_update(
            index_elements=["channel", "address"],
            set_=values,
            where=RecipientAddress.state.not_in({AddressState.OPTED_OUT.value, state.value}),
        ).returning(RecipientAddress.id)
    )
    return changed.scalar_one_or_none() is not None


async def _locked(
    session: AsyncSession, channel: Channel, address: str, code: str, now: datetime
) -> RecipientAddress:
    await session.execute(
        insert(RecipientAddress)
        .values(
            id=new_id(),
            channel=channel.value,
            address=address,
            state=AddressState.ACTIVE.value,
            code=code[:LONGEST_CODE],
            strikes=0,
            since=now,
        )
        .on_conflict_do_nothing()
    )
    return (
        await session.scalars(
            select(RecipientAddress)
            .where(RecipientAddress.channel == channel.value, RecipientAddress.address == address)
            .with_for_update()
            # Another row of this session may have read it before it was locked.
            .execution_options(populate_existing=True)
        )
    ).one()
