"""The two hands of the demonstration: one types as the customer, one works as the agent."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from demo.script import Step

_ZONE = ZoneInfo("America/Sao_Paulo")


class HandError(Exception):
    """A step could not be done at all; the text has the server's answer."""


class CustomerHand:
    """Writes through the simulator's API."""

    def __init__(self, http: httpx.AsyncClient, base_url: str) -> None:
        self._http = http
        self._url = f"{base_url}/simulator/api/messages"

    async def do(self, step: Step, *, phone: str, name: str, now: datetime) -> str:
        """Do the customer's part of a step; returns the message's id."""
        body: dict[str, Any] = {"from": phone, "name": name}
        if step.customer is not None:
            body["text"] = step.customer
        elif step.button is not None:
            body["button"] = step.button
        else:
            body["type"] = step.sends
        if step.at is not None:
            body["at"] = last_moment(step.at, now=now).isoformat()
        return str((await _post(self._http, self._url, body))["id"])


class AgentHand:
    """Works through the agents' API."""

    def __init__(self, http: httpx.AsyncClient, base_url: str) -> None:
        self._http = http
        self._url = f"{base_url}/api/v1"
        self._headers: dict[str, str] = {}

    async def log_in(self, *, email: str, password: str) -> None:
        """Get a token."""
        answer = await _post(
            self._http, f"{self._url}/login", {"email": email, "password": password}
        )
        self._headers = {"Authorization": f"Bearer {answer['token']}"}

    async def do(self, step: Step, *, ticket_id: str) -> None:
        """Do the agent's part of a step."""
        verb = {"note": "notes"}.get(step.agent or "", step.agent)
        body: dict[str, Any] = {}
        if step.agent in {"reply", "note"}:
            body["text"] = step.text
        elif step.agent == "resolve" and step.text:
            body["closing_text"] = step.text
        elif step.agent == "escalate":
            body |= {"reason": step.text, "level": step.level or "N2"}
        await _post(
            self._http, f"{self._url}/tickets/{ticket_id}/{verb}", body, headers=self._headers
        )


def last_moment(clock: str, *, now: datetime) -> datetime:
    """The last moment not after `now` at which a clock in Sao Paulo showed this time.

    Written in the past and within the 24 hours in which WhatsApp lets a business answer freely.
    """
    local = now.astimezone(_ZONE)
    moment = datetime.combine(local.date(), time.fromisoformat(clock), _ZONE)
    return moment if moment <= local else moment - timedelta(days=1)


async def _post(
    http: httpx.AsyncClient,
    url: str,
    body: dict[str, Any],
    *,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    response = await http.post(url, json=body, headers=headers)
    if not response.is_success:
        message = f"POST {httpx.URL(url).path}: HTTP {response.status_code} {response.text}"
        raise HandError(message)
    return dict(response.json())
