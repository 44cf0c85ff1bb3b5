"""What an agent wants to be told, on which channels, and when not; their phone and devices."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import available_timezones

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.ids import new_id
from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.phone import phone_number
from notifications.domain.recipients import DEFAULT_ZONE
from notifications.services.addresses import opt_in, refusals
from ticketing.db.notification_tables import NotificationPreference, PushDevice
from ticketing.db.tables import Agent

MOST_DEVICES = 10
"""Of one agent; of an eleventh the one that was used longest ago makes room. Each gets a copy of
every notice, so forgotten ones cost."""

LONGEST_DEVICE_NAME = 80
_TOKEN = re.compile(r"[!-~]{20,4096}")
"""What FCM calls a registration token: visible ASCII, some 160 characters, of no fixed length."""

_ZONES = frozenset(available_timezones())


class PreferenceError(ValueError):
    """A wish that cannot be kept; names the field and what was expected."""

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        self.expected = expected
        super().__init__(f"{field}: expected {expected}")


class DeviceNotFoundError(LookupError):
    """The agent has no such device."""


class NotRefusedError(LookupError):
    """The agent has not said no on this channel."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device of an agent, without its token."""

    id: uuid.UUID
    name: str
    created_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class PreferencesView:
    """What an agent is told, and where.

    Attributes:
        phone: For WhatsApp and SMS, E.164.
        channels: Every event with the channels that are on for it; which of them are used is said
            by the installation's policies.
        quiet_from: Begin of the quiet hours, `22:00`; None: there are none.
        quiet_to: Their end.
        time_zone: Of the quiet hours.
        quiet_for_urgent: Whether urgent notices wait too.
        devices: Where push goes.
        refused: Channels on which the agent's own address may not be written to, with the reason:
            `opted_out` (only the agent takes it back), `disabled`, `suspended`.
        updated_at: When the wishes were last changed; None: never.
    """

    phone: str | None
    channels: dict[str, tuple[str, ...]]
    quiet_from: str | None
    quiet_to: str | None
    time_zone: str
    quiet_for_urgent: bool
    devices: tuple[DeviceView, ...]
    refused: dict[str, str]
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wishes:
    """Preferences as they are to be. An event that is not in `channels` has all its channels on."""

    phone: str | None
    channels: Mapping[str, Collection[str]]
    quiet_from: time | None
    quiet_to: time | None
    time_zone: str = DEFAULT_ZONE
    quiet_for_urgent: bool = False


async def preferences_of(
    session: AsyncSession, agent_id: uuid.UUID, *, now: datetime
) -> PreferencesView:
    """The agent's preferences; the defaults when they have said nothing."""
    row = await session.get(NotificationPreference, agent_id)
    email = await session.scalar(select(Agent.email).where(Agent.id == agent_id))
    devices = await session.scalars(
        select(PushDevice).where(PushDevice.agent_id == agent_id).order_by(PushDevice.created_at)
    )
    stored = row.channels if row else {}
    phone = row.phone if row else None
    pairs = [(Channel.EMAIL, email)] if email else []
    if phone is not None:
        pairs += [(Channel.WHATSAPP, phone), (Channel.SMS, phone)]
    refused = await refusals(session, pairs, now=now)
    return PreferencesView(
        phone=phone,
        channels={event.value: _left_on(stored.get(event.value)) for event in PolicyEvent},
        quiet_from=_clock(row.quiet_from) if row else None,
        quiet_to=_clock(row.quiet_to) if row else None,
        time_zone=row.time_zone if row else DEFAULT_ZONE,
        quiet_for_urgent=row.quiet_for_urgent if row else False,
        devices=tuple(
            DeviceView(device.id, device.name, device.created_at, device.last_seen_at)
            for device in devices
        ),
        refused={channel.value: why for (channel, _), why in refused.items()},
        updated_at=row.updated_at if row else None,
    )


async def save_preferences(
    session: AsyncSession, agent_id: uuid.UUID, wishes: Wishes, *, now: datetime
) -> None:
    """Put the wishes in place of what was there.

    Raises:
        PreferenceError: naming the first wish that cannot be kept.
        InvalidPhoneError: when the phone number cannot exist.
    """
    values = {
        "phone": phone_number(wishes.phone) if wishes.phone else None,
        "channels": _checked_channels(wishes.channels),
        **_checked_quiet(wishes),
        "updated_at": now,
    }
    await session.execute(
        insert(NotificationPreference)
        .values(agent_id=agent_id, **values)
        .on_conflict_do_update(index_elements=["agent_id"], set_=values)
    )


async def turn_off_email(
    session: AsyncSession, agent_id: uuid.UUID, event: str, *, now: datetime
) -> bool:
    """Take e-mail out of the channels of one event. Whether it was on."""
    await session.execute(
        insert(NotificationPreference)
        .values(
            agent_id=agent_id,
            channels={},
            time_zone=DEFAULT_ZONE,
            quiet_for_urgent=False,
            updated_at=now,
        )
        .on_conflict_do_nothing()
    )
    row = (
        await session.scalars(
            select(NotificationPreference)
            .where(NotificationPreference.agent_id == agent_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    left_on = _left_on(row.channels.get(event))
    if Channel.EMAIL.value not in left_on:
        return False
    without = [channel for channel in left_on if channel != Channel.EMAIL.value]
    row.channels = {**row.channels, event: without}
    row.updated_at = now
    return True


async def resume(
    session: AsyncSession, agent_id: uuid.UUID, channel: Channel, *, now: datetime
) -> None:
    """The agent takes their own no back, and accepts messages on this channel again.

    What the provider keeps (Twilio's STOP list) ends only when START is sent from the phone.

    Raises:
        NotRefusedError: when they have not said no there.
    """
    seen = await preferences_of(session, agent_id, now=now)
    if seen.refused.get(channel.value) != "opted_out":
        raise NotRefusedError(channel.value)
    address = seen.phone
    if channel is Channel.EMAIL:
        address = await session.scalar(select(Agent.email).where(Agent.id == agent_id))
    if address is not None:
        await opt_in(session, channel, address)


async def add_device(
    session: AsyncSession, agent_id: uuid.UUID, *, token: str, name: str, now: datetime
) -> DeviceView:
    """Register a browser or phone for push; the same token again is the same device.

    A token belongs to whoever registered it last: two people may use one browser, one after the
    other, and the first shall not go on getting the second's notices.

    Raises:
        PreferenceError: when the token or the name cannot be one.
    """
    if not _TOKEN.fullmatch(token):
        problem = _wrong("token", "a registration token of FCM")
        raise problem
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_DEVICE_NAME:
        problem = _wrong("name", f"1 to {LONGEST_DEVICE_NAME} characters")
        raise problem
    await opt_in(session, Channel.PUSH, token)  # it was registered anew, so it lives
    values = {"agent_id": agent_id, "name": name, "last_seen_at": now}
    device = (
        await session.scalars(
            insert(PushDevice)
            .values(id=new_id(), token=token, created_at=now, **values)
            .on_conflict_do_update(index_elements=["token"], set_=values)
            .returning(PushDevice)
            .execution_options(populate_existing=True)
        )
    ).one()
    await _make_room(session, agent_id)
    return DeviceView(device.id, device.name, device.created_at, device.last_seen_at)


async def remove_device(session: AsyncSession, agent_id: uuid.UUID, device_id: uuid.UUID) -> None:
    """Forget one of the agent's own devices.

    Raises:
        DeviceNotFoundError: when they have no such device.
    """
    gone = await session.execute(
        delete(PushDevice)
        .where(PushDevice.id == device_id, PushDevice.agent_id == agent_id)
        .returning(PushDevice.id)
    )
    if gone.scalar_one_or_none() is None:
        raise DeviceNotFoundError(str(device_id))


async def _make_room(session: AsyncSession, agent_id: uuid.UUID) -> None:
    kept = (
        select(PushDevice.id)
        .where(PushDevice.agent_id == agent_id)
        .order_by(PushDevice.last_seen_at.desc(), PushDevice.id.desc())
        .limit(MOST_DEVICES)
    )
    await session.execute(
        delete(PushDevice).where(PushDevice.agent_id == agent_id, PushDevice.id.not_in(kept))
    )


def _left_on(stored: Collection[str] | None) -> tuple[str, ...]:
    return tuple(channel.value for channel in Channel if stored is None or channel.value in stored)


def _checked_channels(wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """As they are stored: an event with all channels on is left out, so that a new one is on."""
    events, channels = {event.value for event in PolicyEvent}, [one.value for one in Channel]
    checked: dict[str, list[str]] = {}
    for event, left_on in wanted.items():
        if event not in events:
            problem = _wrong("channels", f"events out of {', '.join(sorted(events))}")
            raise problem
        if unknown := [name for name in left_on if name not in channels]:
            expected = f"channels out of {', '.join(channels)}, got {len(unknown)} other"
            problem = _wrong(f"channels.{event}", expected)
            raise problem
        if set(left_on) != set(channels):
            checked[event] = [name for name in channels if name in left_on]
    return checked


def _checked_quiet(wishes: Wishes) -> dict[str, object]:
    begin, end = wishes.quiet_from, wishes.quiet_to
    if (begin is None) != (end is None):
        field = "quiet_from" if begin is None else "quiet_to"
        problem = _wrong(field, "both times, or neither")
        raise problem
    if begin is not None and begin == end:
        expected = "another time than quiet_from; to hear nothing at all, turn the channels off"
        problem = _wrong("quiet_to", expected)
        raise problem
    if wishes.time_zone not in _ZONES:
        problem = _wrong("time_zone", "an IANA name such as America/Sao_Paulo")
        raise problem
    return {
        "quiet_from": begin,
        "quiet_to": end,
        "time_zone": wishes.time_zone,
        "quiet_for_urgent": wishes.quiet_for_urgent,
    }


def _wrong(field: str, expected: str) -> PreferenceError:
    return PreferenceError(field, expected)


def _clock(value: time | None) -> str | None:
    return None if value is None else f"{value:%H:%M}"
