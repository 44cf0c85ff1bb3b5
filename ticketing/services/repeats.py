"""Requests that may come twice: the same key is the same request.

The key is kept in the ticket's event, which is written under the conversation's lock, so looking
first and writing afterwards cannot race. Keys are the client's (`Idempotency-Key`, IETF draft
httpapi-idempotency-key-header-07) and belong to one person and one ticket.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, select

from ticketing.db.tables import Message, TicketEvent
from ticketing.services.ticket_work import Work


class KeyReusedError(Exception):
    """The key was used before, for something else."""

    def __init__(self) -> None:
        super().__init__(
            "this idempotency key was used for a different request; "
            "expected a new key for a new request"
        )


@dataclass(frozen=True, slots=True)
class Repeats:
    """A request of `kind` with its key and words."""

    kind: str
    key: str | None
    text: str

    async def earlier(self, work: Work) -> uuid.UUID | None:
        """The message that an earlier request with this key wrote; None when there was none.

        Raises:
            KeyReusedError: when its words were others.
        """
        if self.key is None:
            return None
        row = (
            await work.session.execute(
                select(Message.id, Message.text)
                .join(TicketEvent, TicketEvent.data["message_id"].astext == cast(Message.id, Text))
                .where(
                    TicketEvent.ticket_id == work.ticket.id,
                    TicketEvent.kind == self.kind,
                    TicketEvent.actor == work.actor.label,
                    TicketEvent.data["idempotency_key"].astext == self.key,
                )
            )
        ).first()
        if row is None:
            return None
        if row.text != self.text:
            raise KeyReusedError
        message_id: uuid.UUID = row.id
        return message_id

    def data(self, message_id: uuid.UUID) -> dict[str, Any]:
        """What the event keeps of it."""
        kept: dict[str, Any] = {"message_id": str(message_id)}
        if self.key is not None:
            kept["idempotency_key"] = self.key
        return kept
