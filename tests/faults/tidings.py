"""What the stand-in tells afterwards: status webhooks of Meta and Twilio, as badly as in life.

They come late, twice, in any order, or not at all, and are offered again until they are taken.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.faults.asking import CLOCK, Asked, twilio_sid, wamid

PATIENCE_SECONDS = {"whatsapp": 300.0, "sms": 15.0}
"""How long a status is offered again to a web process that does not answer 200: Meta for days,
Twilio five times within 15 s."""

SOON_SECONDS = 0.2
"""An answer usually comes before its status."""

_STAGES = {
    "whatsapp": ("sent", "delivered", "read"),
    "reply": ("delivered",),
    "sms": ("queued", "sent", "delivered"),
}


@dataclass(slots=True)
class Tidings:
    """How a channel tells what became of a message.

    Attributes:
        late: Seconds until a status is told, drawn between the two.
        missing: Part of the messages that nothing is ever told about.
        doubled: Part of the statuses that are told twice.
        shuffled: All stages are told, in any order; else the last one alone.
    """

    late: tuple[float, float] = (SOON_SECONDS, SOON_SECONDS)
    missing: float = 0.0
    doubled: float = 0.0
    shuffled: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """One status that is to be told."""

    asked: Asked
    times: int
    stage: str


class Teller:
    """Tells statuses. `note` gets what was accepted: key, `told`, and which message it was."""

    def __init__(self, draw: random.Random, note: Callable[[str, str, int], None]) -> None:
        self.tidings: dict[str, Tidings] = {}
        self.web = ""
        self.app_secret = ""
        self.phone_number_id = ""
        self.twilio_token = ""
        self._draw = draw
        self._note = note
        self._due: asyncio.Queue[Status] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    def promise(self, asked: Asked, times: int) -> None:
        """A message was taken: its statuses will come, or not."""
        stages = _STAGES.get(asked.channel)
        if stages is None or not asked.callback or not self.web:
            return
        how = self.tidings.get(asked.channel, Tidings())
        if self._draw.random() < how.missing:
            return
        for stage in stages if how.shuffled else stages[-1:]:
            copies = 2 if self._draw.random() < how.doubled else 1
            for _ in range(copies):
                status = Status(asked, times, stage)
                self._spawn(self._when_due(status, self._draw.uniform(*how.late)))

    async def run(self) -> None:
        """Send webhooks with up to fifty statuses, like Meta."""
        while True:
            batch = [await self._due.get()]
            await asyncio.sleep(0.05)
            while not self._due.empty() and len(batch) < 50:
                batch.append(self._due.get_nowait())
            self._spawn(self._tell_whatsapp(batch))

    async def _when_due(self, status: Status, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if status.asked.channel == "sms":
            await self._tell_sms(status)
        else:
            self._due.put_nowait(status)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_whatsapp(self, statuses: list[Status]) -> None:
        metadata = {"display_phone_number": "551140000000", "phone_number_id": self.phone_number_id}
        told = [_meta_status(one) for one in statuses]
        value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": told}
        change = {"value": value, "field": "messages"}
        body = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
        raw = json.dumps(body).encode()
        signature = hmac.new(self.app_secret.encode(), raw, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        url = f"{self.web}/webhooks/whatsapp"
        if await self._offer(url, headers, raw, PATIENCE_SECONDS["whatsapp"]):
            for one in statuses:
                self._note(one.asked.key, "told", one.times)

    async def _tell_sms(self, status: Status) -> None:
        sid = twilio_sid(status.asked.key, status.times)
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": status.stage,
            "SmsStatus": status.stage,
            "To": status.asked.recipient,
            "AccountSid": "AC" + "0" * 32,
            "ApiVersion": "2010-04-01",
        }
        callback = status.asked.callback
        signed = callback + "".join(name + form[name] for name in sorted(form))
        digest = hmac.new(self.twilio_token.encode(), signed.encode(), hashlib.sha1).digest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": base64.b64encode(digest).decode(),
        }
        body = "&".join(f"{name}={_quoted(value)}" for name, value in form.items())
        public, path = urlsplit(callback), urlsplit(self.web)
        url = f"{path.scheme}://{path.netloc}{public.path}?{public.query}"
        if await self._offer(url, headers, body.encode(), PATIENCE_SECONDS["sms"]):
            self._note(status.asked.key, "told", status.times)

    async def _offer(self, url: str, headers: dict[str, str], body: bytes, seconds: float) -> bool:
        """Whether it was taken within this time."""
        end = time.monotonic() + seconds
        pause = 0.5
        while time.monotonic() < end:
            try:
                async with asyncio.timeout(10):
                    if await post(url, headers, body) == 200:
                        return True
            except (OSError, TimeoutError, EOFError, ValueError):
                pass
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)
        return False


def _meta_status(status: Status) -> dict[str, Any]:
    return {
        "id": wamid(status.asked.key, status.times),
        "status": status.stage,
        "timestamp": str(int(CLOCK.now().timestamp())),
        "recipient_id": status.asked.recipient.lstrip("+"),
        "biz_opaque_callback_data": status.asked.callback,
    }


def _quoted(value: str) -> str:
    return value.replace("+", "%2B")


async def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """POST and the status of the answer."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        line = await reader.readline()
        return int(line.split()[1])
    except IndexError as error:
        message = "no status line"
        raise ValueError(message) from error
    finally:
        writer.close()
