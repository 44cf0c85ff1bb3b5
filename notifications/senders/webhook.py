"""Posts JSON to an operator's address: `notifications.services.dlq_webhook.Post` over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from notifications.services.dlq_webhook import TIMEOUT, WebhookUnreachableError


@dataclass(frozen=True, slots=True)
class HttpPost:
    """Posts by an HTTP client that its owner closes."""

    http: httpx.AsyncClient

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The HTTP status of the answer.

        Raises:
            WebhookUnreachableError: when there was none.
        """
        try:
            answer = await self.http.post(
                url,
                content=body,
                headers=dict(headers),
                timeout=TIMEOUT.total_seconds(),
                # A redirect would carry the signed body to whoever the first receiver names.
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WebhookUnreachableError(type(error).__name__) from error
        return answer.status_code
