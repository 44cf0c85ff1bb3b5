"""The stand-in's HTTP: WhatsApp, Twilio, FCM, Rasa's turn channel, and a proxy to two of them."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.faults.asking import Asked, Rule, twilio_sid, wamid

if TYPE_CHECKING:
    from tests.faults.provider import Provider, Verdict

GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n<html>oops</html>"
DRIPS = 20
"""Pieces that an answer comes in, of a server that drips."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    pid: int


async def read_request(reader: asyncio.StreamReader, pid: int) -> Request | None:
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
    return Request(method, parts.path, parse_qs(parts.query), headers, body, pid)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        found.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(found)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is written back: nothing and the line closed, or bytes, perhaps slowly.

    Attributes:
        raw: None: close without a word.
        verdict: Of a request that is confirmed; None of any other.
        drip_seconds: How long it takes to write it.
    """

    raw: bytes | None
    verdict: Verdict | None = None
    drip_seconds: float = 0.0


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    raw = answer.raw or b""
    size = len(raw) // DRIPS + 1 if answer.drip_seconds else max(len(raw), 1)
    for start in range(0, len(raw), size):
        await asyncio.sleep(answer.drip_seconds / DRIPS)
        writer.write(raw[start : start + size])
        await writer.drain()


class Web:
    """The HTTP front ends, and the proxy that leads to those behind TLS."""

    def __init__(self, provider: Provider, tls: ssl.SSLContext) -> None:
        self._provider = provider
        self._tls = tls

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        peer = writer.get_extra_info("peername")
        pid = self._provider.owner(int(peer[1])) if peer else 0
        try:
            while (request := await read_request(reader, pid)) is not None:
                if request.method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await writer.drain()
                    await writer.start_tls(self._tls)
                    continue
                answer = await self._answer(request)
                if answer.raw is None:
                    writer.transport.abort()
                    return
                await _write(writer, answer)
                if answer.verdict is not None and not answer.drip_seconds:
                    self._provider.answered(answer.verdict)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request) -> Answer:
        if request.path == "/control":
            self._provider.control(json.loads(request.body))
            return Answer(plain(200, {}))
        if request.path == "/token":
            token = {"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}
            return Answer(plain(200, token))
        if request.path.startswith("/webhooks/ponte"):
            return Answer(await self._bot(request))
        if request.method == "GET" and request.path.endswith("/Messages.json"):
            return Answer(self._twilio_list(request))
        read = reader_for(request.path)
        if read is None or request.method != "POST":
            return Answer(plain(404, {"error": {"message": "no such address"}}))
        return await self._send(read(request))

    async def _send(self, asked: Asked) -> Answer:
        verdict = await self._provider.judge(asked)
        rule = verdict.rule
        yes = plain(*accepted(asked, verdict.times))
        match rule.do if rule is not None else "":
            case "":
                return Answer(yes, verdict)
            case "garbage":
                return Answer(GARBAGE)
            case "error" if rule is not None:
                headers = {"Retry-After": rule.retry_after} if rule.retry_after else {}
                return Answer(plain(rule.status, refused(asked.channel, rule), headers))
            case "late" if rule is not None:
                await asyncio.sleep(rule.seconds)
                return Answer(yes)
            case "drip" if rule is not None:
                return Answer(yes, drip_seconds=rule.seconds)
            case _:
                return Answer(None)

    def _twilio_list(self, request: Request) -> bytes:
        if self._provider.list_fails:
            return plain(503, {"code": 20503, "message": "no", "status": 503})
        found = self._provider.listed_to(request.query.get("To", [""])[0])
        return plain(200, {"messages": found, "page": 0, "page_size": 50, "next_page_uri": None})

    async def _bot(self, request: Request) -> bytes | None:
        """Rasa's turn channel: it answers every turn with one sentence."""
        if request.method == "GET":
            return plain(200, {"ready": True})
        body = json.loads(request.body or b"{}")
        asked = Asked("bot", str(body.get("message_id")), "", request.pid)
        rule = (await self._provider.judge(asked)).rule
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
    return Asked(channel, key, str(body.get("to", "")), request.pid, callback=data)


def _sms(request: Request) -> Asked:
    form = dict(parse_qsl(request.body.decode()))
    callback = form.get("StatusCallback", "")
    key = parse_qs(urlsplit(callback).query).get("n", [""])[0]
    return Asked(
        "sms",
        key,
        form.get("To", ""),
        request.pid,
        callback=callback,
        body=form.get("Body", ""),
    )


def _push(request: Request) -> Asked:
    message = json.loads(request.body)["message"]
    found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", json.dumps(message))
    android = message.get("android", {})
    key = str(android.get("collapse_key") or (found[0] if found else ""))
    return Asked("push", key, str(message.get("token", "")), request.pid)


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
    names = {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
    status = names.get(rule.status, "INTERNAL")
    error: dict[str, Any] = {"code": rule.status, "message": "no", "status": status}
    if rule.status == 404:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": "UNREGISTERED"}]
    return {"error": error}


def plain(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """A JSON answer."""
    raw = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}"
    return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw
