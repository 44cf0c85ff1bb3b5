"""The services behind the API and the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ticketing.http.deps import Deps
from ticketing.services.api_tokens import ApiTokenService
from ticketing.services.sessions import SessionService
from ticketing.services.tickets import TicketService


@dataclass(frozen=True, slots=True)
class Desk:
    """The services behind the routes."""

    deps: Deps
    tickets: TicketService
    sessions: SessionService
    tokens: ApiTokenService

    @classmethod
    def of(cls, deps: Deps) -> Self:
        """The services over these dependencies."""
        return cls(
            deps=deps,
            tickets=TicketService(deps.db, deps.clock, deps.wake, runbooks=deps.runbooks),
            sessions=SessionService(
                deps.db, deps.clock, idle=deps.session_idle, absolute=deps.session_absolute
            ),
            tokens=ApiTokenService(deps.db, deps.clock),
        )
