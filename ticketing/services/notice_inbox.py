"""What arrives by WhatsApp and is about notices to agents, not about a conversation: the port."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from channels.message import InboundMessage, StatusUpdate


class NoticeInbox(Protocol):
    """Whoever sends notices; called in the transaction that takes the item off the list."""

    async def status(self, session: AsyncSession, status: StatusUpdate) -> bool:
        """Apply a status that belongs to no message of a conversation; whether somebody knew it."""
        ...

    async def pressed(self, session: AsyncSession, message: InboundMessage) -> bool:
        """Whether the message is the press of a notice's button; then it was dealt with.

        Such a message belongs to no conversation: whoever pressed is no customer.
        """
        ...
