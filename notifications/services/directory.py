"""Who can be told, looked up once for a batch of events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from notifications.domain.jobs import Channel
from notifications.domain.recipients import Holder, Recipient
from notifications.services.addresses import refusals
from notifications.services.recipients import (
    AdminContact,
    find_admin,
    find_holder,
    on_duty_agents,
)


@dataclass(slots=True)
class Directory:
    """Lookups of one transaction; each is made once."""

    session: AsyncSession
    contact: AdminContact
    _on_duty: dict[str, tuple[Recipient, ...]] = field(default_factory=dict)
    _holders: dict[uuid.UUID, Holder | None] = field(default_factory=dict)
    _admin: list[Recipient | None] = field(default_factory=list)

    async def on_duty(self, queue_key: str) -> tuple[Recipient, ...]:
        """Agents on duty who serve the queue."""
        if queue_key not in self._on_duty:
            self._on_duty[queue_key] = await on_duty_agents(self.session, queue_key)
        return self._on_duty[queue_key]

    async def holder(self, agent_id: uuid.UUID | None) -> Holder | None:
        """The agent who has a ticket."""
        if agent_id is None:
            return None
        if agent_id not in self._holders:
            self._holders[agent_id] = await find_holder(self.session, agent_id)
        return self._holders[agent_id]

    async def admin(self) -> Recipient | None:
        """The admin."""
        if not self._admin:
            self._admin.append(await find_admin(self.session, self.contact))
        return self._admin[0]

    async def refused(self, *, now: datetime) -> Mapping[tuple[Channel, str], str]:
        """Of the addresses of all who were looked up, those that may not be written to."""
        people = [person for some in self._on_duty.values() for person in some]
        people += [holder.person for holder in self._holders.values() if holder is not None]
        people += [person for person in self._admin if person is not None]
        pairs = {
            (channel, address)
            for person in people
            for channel in Channel
            for address in person.addresses(channel)
        }
        return await refusals(self.session, pairs, now=now) if pairs else {}
