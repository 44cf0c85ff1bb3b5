"""A stand-in for every provider, in a process of its own; its log is the oracle of the fault tests.

    python -m tests.faults.provider FOLDER

It speaks WhatsApp (Meta), Twilio, FCM, Rasa's turn channel and SMTP, does what it was told to do
(`POST /control`), and writes one line of JSON for every request that it understood, before it
answers: what it took it has in its log, whatever becomes of the answer. Nothing here is Ponte's.

Twilio and FCM are reached as in operation, by `https://api.twilio.com` and
`https://fcm.googleapis.com`: through HTTPS_PROXY, with certificates of an authority made here.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import hmac
import json
import os
import random
import re
import signal
import ssl
import sys
import time
import uuid
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from aiosmtpd.smtp import SMTP

from kit.clock import SystemClock
from tests.faults.authority import HOSTS, make_authority
from tests.faults.peers import owner_of_port

HANG_SECONDS = 60.0
"""Longer than any time-out of a sender."""

STATUS_PATIENCE_SECONDS = 60.0
"""How long a status is offered again to a web process that does not answer 200."""

CLOCK = SystemClock()

GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n<html>oops</html>"


@dataclass(slots=True)
class Rule:
    """What to do with a part of the requests of a channel.

    Attributes:
        do: `error`, `drop` (take it, close without an answer), `reset` (close, not taken),
            `hang` (no answer, not taken), `garbage` (take it, answer nonsense), `kill` (SIGKILL
            to the process that asks, not taken).
        share: Part of the requests, drawn by chance with a fixed seed.
        status: HTTP status, or the SMTP reply, of an error.
        code: The provider's code of an error.
        retry_after: The header's value.
        first_only: Only the first request of each key.
        recipient: Only requests to this address; empty: all.
    """

    do: str
    share: float = 1.0
    status: int = 500
    code: int = 0
    retry_after: str = ""
    first_only: bool = False
    recipient: str = ""


@dataclass(slots=True)
class Behaviour:
    """How a channel behaves now."""

    delay_seconds: float = 0.0
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to send, whatever its channel."""

    channel: str
    key: str
    recipient: str
    peer_port: int
    callback: str = ""
    body: str = ""


class Provider:
    """State shared by all front ends."""

    def __init__(self, log_path: Path) -> None:
        self._log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.behaviours: dict[str, Behaviour] = {}
        self.seen: dict[str, int] = {}
        self.killable: set[int] = set()
        self.web = ""
        self.app_secret = ""
        self.phone_number_id = ""
        self.twilio_token = ""
        self.statuses = True
        self.taken: list[dict[str, Any]] = []
        self._draw = random.Random(20261123)  # the same story every time
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    def control(self, told: dict[str, Any]) -> None:
        """Follow an order: `{"channels": {NAME: {"delay_seconds", "rules"}}, "web": ..., ...}`."""
        for name, changes in told.get("channels", {}).items():
            rules = [Rule(**rule) for rule in changes.get("rules", [])]
            self.behaviours[name] = Behaviour(changes.get("delay_seconds", 0.0), rules)
        self.killable = set(told.get("killable", self.killable))
        for name in ("web", "app_secret", "phone_number_id", "twilio_token", "statuses"):
            setattr(self, name, told.get(name, getattr(self, name)))

    async def judge(self, asked: Asked) -> Rule | None:
        """What becomes of a request; what is taken stands in the log before this returns."""
        behaviour = self.behaviours.get(asked.channel, Behaviour())
        times = self.seen[asked.key] = self.seen.get(asked.key, 0) + 1
        rule = self._rule_for(behaviour, asked, times)
        if behaviour.delay_seconds:
            await asyncio.sleep(behaviour.delay_seconds)
        took = rule is None or rule.do in {"drop", "garbage"}
        self.note(asked, "taken" if took else rule.do if rule else "", times)
        if took and asked.channel == "sms":
            self.taken.append(twilio_message(asked, times))
        if took and self.statuses:
            self._promise_status(asked)
        if rule is not None and rule.do == "kill":
            self._kill(asked)
        if rule is not None and rule.do == "hang":
            await asyncio.sleep(HANG_SECONDS)
        return rule

    def note(self, asked: Asked, did: str, times: int) -> None:
        """One line, whole, at the end of the file: O_APPEND and one write."""
        line = {
            "at": CLOCK.now().timestamp(),
            "channel": asked.channel,
            "key": asked.key,
            "did": did,
            "times": times,
            "to": asked.recipient,
        }
        os.write(self._log, json.dumps(line).encode() + b"\n")

    def _rule_for(self, behaviour: Behaviour, asked: Asked, times: int) -> Rule | None:
        drawn = self._draw.random()
        for rule in behaviour.rules:
            if rule.recipient and rule.recipient != asked.recipient:
                continue
            if rule.first_only and times > 1:
                continue
            if drawn < rule.share:
                return rule
            drawn -= rule.share
        return None

    def _kill(self, asked: Asked) -> None:
        victim = owner_of_port(asked.peer_port, among=self.killable)
        if victim is not None:
            os.kill(victim, signal.SIGKILL)

    # -- statuses ------------------------------------------------------------------------------

    def _promise_status(self, asked: Asked) -> None:
        if asked.channel in {"whatsapp", "reply"} and asked.callback and self.web:
            self._waiting.put_nowait(
                {
                    "id": wamid(asked.key, self.seen[asked.key]),
                    "status": "delivered",
                    "timestamp": str(int(CLOCK.now().timestamp())),
                    "recipient_id": asked.recipient.lstrip("+"),
                    "biz_opaque_callback_data": asked.callback,
                }
            )
        if asked.channel == "sms" and asked.callback:
            self._spawn(self._call_back(asked))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def tell_statuses(self) -> None:
        """Send webhooks with up to fifty statuses, again until they are taken, like Meta."""
        while True:
            first = await self._waiting.get()
            await asyncio.sleep(0.2)  # an answer usually comes before its status
            batch = [first]
            while not self._waiting.empty() and len(batch) < 50:
                batch.append(self._waiting.get_nowait())
            self._spawn(self._tell(batch))

    async def _tell(self, statuses: list[dict[str, Any]]) -> None:
        metadata = {"display_phone_number": "551140000000", "phone_number_id": self.phone_number_id}
        value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses}
        change = {"value": value, "field": "messages"}
        body = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
        raw = json.dumps(body).encode()
        signature = hmac.new(self.app_secret.encode(), raw, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        await self._offer(f"{self.web}/webhooks/whatsapp", headers, raw)

    async def _call_back(self, asked: Asked) -> None:
        await asyncio.sleep(0.2)
        sid = twilio_sid(asked.key, self.seen[asked.key])
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": "delivered",
            "SmsStatus": "delivered",
            "To": asked.recipient,
            "AccountSid": "AC" + "0" * 32,
            "ApiVersion": "2010-04-01",
        }
        signed = asked.callback + "".join(name + form[name] for name in sorted(form))
        digest = hmac.new(self.twilio_token.encode(), signed.encode(), hashlib.sha1).digest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": base64.b64encode(digest).decode(),
        }
        body = "&".join(f"{name}={_quoted(value)}" for name, value in form.items())
        public, path = urlsplit(asked.callback), urlsplit(self.web)
        url = f"{path.scheme}://{path.netloc}{public.path}?{public.query}"
        await self._offer(url, headers, body.encode())

    async def _offer(self, url: str, headers: dict[str, str], body: bytes) -> None:
        end = time.monotonic() + STATUS_PATIENCE_SECONDS
        pause = 0.5
        while time.monotonic() < end:
            try:
                async with asyncio.timeout(10):
                    if await post(url, headers, body) == 200:
                        return
            except (OSError, TimeoutError, EOFError, ValueError):
                pass
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)


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


def wamid(key: str, times: int) -> str:
    """Meta's id of a message."""
    return f"wamid.{key}.{times}"


def twilio_sid(key: str, times: int) -> str:
    """Twilio's id of a message."""
    return "SM" + hashlib.md5(f"{key}.{times}".encode()).hexdigest()  # noqa: S324 - a name


def twilio_message(asked: Asked, times: int) -> dict[str, Any]:
    """A message as Twilio lists it."""
    now = format_datetime(CLOCK.now())
    return {
        "sid": twilio_sid(asked.key, times),
        "to": asked.recipient,
        "body": asked.body,
        "status": "delivered",
        "direction": "outbound-api",
        "date_created": now,
        "date_sent": now,
        "date_updated": now,
        "error_code": None,
        "error_message": None,
    }


# -- HTTP ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    peer_port: int


async def read_request(reader: asyncio.StreamReader, peer_port: int) -> Request | None:
    """The next request of a connection, None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        try:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, OSError):
            return None
    parts = urlsplit(target)
    return Request(method, parts.path, parse_qs(parts.query), headers, body, peer_port)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        found.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(found)


class Web:
    """The HTTP front ends, and the proxy that leads to those behind TLS."""

    def __init__(self, provider: Provider, tls: ssl.SSLContext) -> None:
        self._provider = provider
        self._tls = tls

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        peer = writer.get_extra_info("peername")
        peer_port = int(peer[1]) if peer else 0
        try:
            while (request := await read_request(reader, peer_port)) is not None:
                if request.method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await writer.drain()
                    await writer.start_tls(self._tls)
                    continue
                answer = await self._answer(request)
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(answer)
                await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request) -> bytes | None:
        if request.path == "/control":
            self._provider.control(json.loads(request.body))
            return plain(200, {})
        if request.path == "/token":
            return plain(200, {"access_token": "x", "expires_in": 3600, "token_type": "Bearer"})
        if request.path.startswith("/webhooks/ponte"):
            return await self._bot(request)
        if request.method == "GET" and request.path.endswith("/Messages.json"):
            return self._twilio_list(request)
        read = reader_for(request.path)
        if read is None or request.method != "POST":
            return plain(404, {"error": {"message": "no such address"}})
        return await self._send(read(request))

    async def _send(self, asked: Asked) -> bytes | None:
        rule = await self._provider.judge(asked)
        times = self._provider.seen[asked.key]
        if rule is None:
            return plain(*accepted(asked, times))
        if rule.do == "garbage":
            return GARBAGE
        if rule.do == "error":
            headers = {"Retry-After": rule.retry_after} if rule.retry_after else {}
            return plain(rule.status, refused(asked.channel, rule), headers)
        return None

    def _twilio_list(self, request: Request) -> bytes:
        wanted = request.query.get("To", [""])[0]
        found = [one for one in self._provider.taken if one["to"] == wanted]
        return plain(200, {"messages": found, "page": 0, "page_size": 50, "next_page_uri": None})

    async def _bot(self, request: Request) -> bytes | None:
        """Rasa's turn channel: it answers every turn with one sentence."""
        if request.method == "GET":
            return plain(200, {"ready": True})
        body = json.loads(request.body or b"{}")
        asked = Asked("bot", str(body.get("message_id")), "", request.peer_port)
        rule = await self._provider.judge(asked)
        if rule is None:
            parse = {"intent": {"name": "greet", "confidence": 0.99}, "intent_ranking": []}
            answer = {"replies": [{"text": "Oi"}], "parse": {"text": body.get("text"), **parse}}
            return plain(200, answer)
        if rule.do == "error":
            return plain(rule.status, {"error": "down"})
        return GARBAGE if rule.do == "garbage" else None


def reader_for(path: str) -> Any:
    """How a request at this address is read, None when nobody lives there."""
    if re.fullmatch(r"/v\d+\.\d+/\d+/messages", path):
        return _whatsapp
    if path.endswith("/Messages.json"):
        return _sms
    if path.endswith("/messages:send"):
        return _push
    return None


def _whatsapp(request: Request) -> Asked:
    body = json.loads(request.body)
    data = str(body.get("biz_opaque_callback_data", ""))
    key = data.removeprefix("notification:")
    # What goes to customers, and the marks of what was read, are not notices.
    channel = "whatsapp" if data.startswith("notification:") else "reply"
    return Asked(channel, key, str(body.get("to", "")), request.peer_port, callback=data)


def _sms(request: Request) -> Asked:
    form = dict(parse_qsl(request.body.decode()))
    callback = form.get("StatusCallback", "")
    key = parse_qs(urlsplit(callback).query).get("n", [""])[0]
    return Asked(
        "sms",
        key,
        form.get("To", ""),
        request.peer_port,
        callback=callback,
        body=form.get("Body", ""),
    )


def _push(request: Request) -> Asked:
    message = json.loads(request.body)["message"]
    found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", json.dumps(message))
    android = message.get("android", {})
    key = str(android.get("collapse_key") or (found[0] if found else ""))
    return Asked("push", key, str(message.get("token", "")), request.peer_port)


def accepted(asked: Asked, times: int) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer that says yes."""
    if asked.channel in {"whatsapp", "reply"}:
        contact = {"input": asked.recipient, "wa_id": asked.recipient.lstrip("+")}
        messages = [{"id": wamid(asked.key, times)}]
        body = {"messaging_product": "whatsapp", "contacts": [contact], "messages": messages}
        return 200, body
    if asked.channel == "sms":
        return 201, {
            "sid": twilio_sid(asked.key, times),
            "status": "queued",
            "to": asked.recipient,
            "error_code": None,
            "error_message": None,
        }
    return 200, {"name": f"projects/ponte/messages/{uuid.uuid4()}"}


def refused(channel: str, rule: Rule) -> dict[str, Any]:
    """The body of an answer that says no, as the provider words it."""
    if channel == "whatsapp":
        return {"error": {"message": "no", "type": "OAuthException", "code": rule.code or 131000}}
    if channel == "sms":
        return {"code": rule.code or 20500, "message": "no", "status": rule.status}
    status = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(rule.status, "INTERNAL")
    return {"error": {"code": rule.status, "message": "no", "status": status}}


def plain(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """A JSON answer."""
    raw = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


# -- SMTP ------------------------------------------------------------------------------------------


class Mail:
    """What aiosmtpd asks about each message."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse the message."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        key = str(message["Message-ID"]).strip("<> ").partition("@")[0]
        asked = Asked("email", key, envelope.rcpt_tos[0], int(session.peer[1]))
        rule = await self._provider.judge(asked)
        if rule is None:
            return "250 2.0.0 Ok"
        if rule.do == "error":
            status = rule.status if rule.status < 500 or rule.code else 451
            return f"{status} {'5' if status >= 500 else '4'}.3.0 no"
        if rule.do == "garbage":
            return "999 what"
        server.transport.abort()
        return "421 4.3.0 gone"


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    provider = Provider(folder / "provider.jsonl")
    web = Web(provider, make_authority(folder, HOSTS))
    loop = asyncio.get_running_loop()
    http = await asyncio.start_server(web.serve, "127.0.0.1", 0, backlog=1000)
    mail = Mail(provider)
    smtp = await loop.create_server(
        lambda: SMTP(mail, hostname="fake.example", loop=loop), "127.0.0.1", 0, backlog=1000
    )
    ports = {
        "http": http.sockets[0].getsockname()[1],
        "smtp": smtp.sockets[0].getsockname()[1],
    }
    part = folder / "provider.part"
    part.write_text(json.dumps(ports), encoding="utf-8")
    part.replace(folder / "provider.json")
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    telling = asyncio.create_task(provider.tell_statuses())
    await stop.wait()
    telling.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
