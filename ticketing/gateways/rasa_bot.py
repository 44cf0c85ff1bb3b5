"""Ask Rasa for one turn, through the project's own input channel (`bot.channels`)."""

from __future__ import annotations

from typing import Any

import httpx
import structlog

from ticketing.domain.turn import Parse, TurnFacts
from ticketing.services.ports import BotReply, BotUnavailableError

log = structlog.get_logger()

# A turn takes about 20 ms; ten seconds leave room for a loaded machine and stay well under the
# lease of a turn, so that nobody else runs the turn meanwhile.
TIMEOUT = httpx.Timeout(10.0, connect=1.0)
_UNPROCESSABLE = 422


class RasaBot:
    """`ticketing.services.ports.Bot` over HTTP."""

    def __init__(self, http: httpx.AsyncClient, *, base_url: str, secret: str) -> None:
        self._http = http
        self._url = f"{base_url.rstrip('/')}/webhooks/ponte/turn"
        self._headers = {"X-Ponte-Secret": secret}

    async def turn(self, facts: TurnFacts, *, text: str, payload: str | None) -> BotReply:
        """Run one turn; asking again with the same message id gives the same answer.

        Raises:
            BotUnavailableError: no answer in time, an error, or not the agreed form.
        """
        body: dict[str, Any] = {
            "conversation_id": facts.conversation_id,
            "message_id": facts.message_id,
            "text": text,
            "payload": payload,
            "metadata": facts.to_json(),
        }
        response = await self._post(body)
        if response.status_code == _UNPROCESSABLE and payload is not None:
            # A button of an older model: its intent is gone. Its title says what was meant.
            log.warning("bot.payload_refused")
            response = await self._post({**body, "payload": None})
        if response.status_code != httpx.codes.OK:
            message = f"HTTP {response.status_code}"
            raise BotUnavailableError(message, reachable=True)
        return _read(response)

    async def _post(self, body: dict[str, Any]) -> httpx.Response:
        try:
            return await self._http.post(
                self._url, json=body, headers=self._headers, timeout=TIMEOUT
            )
        except httpx.HTTPError as error:
            reachable = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise BotUnavailableError(type(error).__name__, reachable=reachable) from error


def _read(response: httpx.Response) -> BotReply:
    try:
        answer = response.json()
        slots = answer.get("slots") or {}
        return BotReply(
            replies=[reply for reply in answer["replies"] if isinstance(reply, dict)],
            parse=Parse.from_rasa(answer["parse"]),
            active_form=answer.get("active_loop"),
            model=str((answer.get("model") or {}).get("id") or "unknown"),
            replayed=bool(answer.get("replayed")),
            # The channel reports this slot only when the present turn has set it.
            stays=slots.get("handoff_outcome") == "stay",
            counts_as_failure=bool(slots.get("failures")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"malformed answer: {type(error).__name__}"
        raise BotUnavailableError(message, reachable=True) from error
