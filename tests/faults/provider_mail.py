"""The stand-in's mail server."""

from __future__ import annotations

import asyncio
import email
import email.policy
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from tests.faults.asking import Asked

if TYPE_CHECKING:
    from tests.faults.provider import Provider

OK = "250 2.0.0 Ok"


class Mail:
    """What aiosmtpd asks about each message."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse the message."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        key = str(message["Message-ID"]).strip("<> ").partition("@")[0]
        asked = Asked("email", key, envelope.rcpt_tos[0], session.owner)
        verdict = await self._provider.judge(asked)
        rule = verdict.rule
        if rule is None:
            self._provider.answered(verdict)
            return OK
        if rule.do == "error":
            status = rule.status if rule.status < 500 or rule.code else 451
            return f"{status} {'5' if status >= 500 else '4'}.3.0 no"
        if rule.do == "garbage":
            return "999 what"
        if rule.do in {"late", "drip"}:
            await asyncio.sleep(rule.seconds)
            return OK
        server.transport.abort()
        return "421 4.3.0 gone"


class Line(SMTP):
    """One connection, which carries many messages. Whose it is is asked while they live."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(Mail(provider), hostname="fake.example", loop=asyncio.get_running_loop())
        self._provider = provider

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        super().connection_made(transport)
        assert self.session is not None
        peer = transport.get_extra_info("peername")
        self.session.owner = self._provider.owner(int(peer[1])) if peer else 0
