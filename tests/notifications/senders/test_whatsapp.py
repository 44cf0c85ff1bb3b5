"""Against an HTTP server that speaks the Cloud API's contract and answers by a script."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from channels.whatsapp.client import WhatsAppClient
from kit.clock import FakeClock
from notifications.domain.failure import Consequence, FailureKind, SendFailedError
from notifications.senders.whatsapp import WhatsAppSender
from notifications.services.ports import Outgoing
from notifications.services.statuses import callback_data
from notifications.services.window import last_whatsapp_message
from tests.notifications.conftest import World
from ticketing.db.tables import Contact, ContactIdentity, Conversation

NOTICE = uuid.UUID("01890000-0000-7000-8000-000000000001")
PHONE = "+5511912345678"


class Meta:
    """A tiny HTTP/1.1 server: keeps the bodies, answers (status, body, headers) by its script."""

    def __init__(self) -> None:
        self.script = []
        self.bodies = []
        self.url = ""

    async def __aenter__(self) -> Any:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> Any:
        self._server.close()

    async def _serve(self, reader: Any, writer: Any) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
        self.bodies.append(json.loads(await reader.readexactly(length)))
        step = self.script.pop(0) if self.script else ok(len(self.bodies))
        if step is not None:
            status, body, headers = step
            content = json.dumps(body).encode()
            lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", *headers]
            writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + content)
            await writer.drain()
        writer.close()


def ok(number: Any) -> Any:
    return 200, {"messages": [{"id": f"wamid.{number}"}], "contacts": []}, []


def error(status: Any, code: Any, *headers: Any) -> Any:
    return (
        status,
        {"error": {"code": code, "message": "(#x) no", "type": "OAuthException"}},
        headers,
    )


@pytest.fixture
async def meta() -> Any:
    async with Meta() as server:
        yield server


@pytest.fixture
async def http() -> Any:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
def make_sender(meta: Meta, http: httpx.AsyncClient) -> Any:
    def make(*, template: Any = "aviso_ponte", last: Any = None) -> Any:
        async def last_message(phone: Any) -> Any:
            return last

        client = WhatsAppClient(
            http, base_url=meta.url, version="v25.0", phone_number_id="1", access_token="t"
        )
        return WhatsAppSender(client, last_message, template, "https://ponte.example")

    return make


def outgoing(clock: FakeClock, **changes: Any) -> Any:
    values = {
        "notification_id": NOTICE,
        "attempt": 1,
        "recipient": PHONE,
        "language": "pt",
        "event": "ticket-opened",
        "context": {
            "ticket_number": 1001,
            "ticket_id": "t-1",
            "queue_name": "Fila",
            "reason": "vip",
        },
        "created_at": clock.now(),
        "correlation_id": "c-1",
    }
    return Outgoing(**(values | changes))


async def test_within_the_window_the_admin_gets_a_text(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    sender = make_sender(last=clock.now() - timedelta(hours=23))

    accepted = await sender.send(outgoing(clock), now=clock.now())

    (body,) = meta.bodies
    assert (accepted.provider_id, accepted.form) == ("wamid.1", "text")
    assert body["to"] == PHONE
    assert body["biz_opaque_callback_data"] == callback_data(NOTICE)
    assert "https://ponte.example/console/tickets/t-1" in body["text"]["body"]


@pytest.mark.parametrize("hours", [None, 23.95, 24, 48])
async def test_outside_the_window_the_admin_gets_the_template(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock, hours: Any
) -> None:
    last = None if hours is None else clock.now() - timedelta(hours=hours)

    accepted = await make_sender(last=last).send(outgoing(clock), now=clock.now())

    (body,) = meta.bodies
    assert accepted.form == "template"
    assert body["template"]["name"] == "aviso_ponte"
    assert body["template"]["language"]["code"] == "pt_BR"
    parameters = [part["text"] for part in body["template"]["components"][0]["parameters"]]
    assert parameters[1:] == ["cliente VIP", "https://ponte.example/console/tickets/t-1"]


async def test_a_refused_text_is_followed_by_the_template_at_once(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    meta.script = [error(400, 131047)]

    accepted = await make_sender(last=clock.now()).send(outgoing(clock), now=clock.now())

    assert accepted.form == "template"
    assert [body["type"] for body in meta.bodies] == ["text", "template"]


async def test_without_a_template_a_closed_window_is_a_clear_failure(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    meta.script = [error(400, 131047)]

    with pytest.raises(SendFailedError) as caught:
        await make_sender(template=None).send(outgoing(clock), now=clock.now())

    failure = caught.value.failure
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "131047")
    assert "NOTIFICATIONS_WHATSAPP_TEMPLATE is not set" in failure.detail


async def test_a_notice_that_a_status_sent_back_goes_out_as_template(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    sender = make_sender(last=clock.now())

    await sender.send(outgoing(clock, context={"form": "template"}), now=clock.now())

    assert meta.bodies[0]["type"] == "template"


@pytest.mark.parametrize(
    ("answer", "attempt", "kind", "code", "retry_after"),
    [
        (error(500, 131000), 1, FailureKind.TRANSIENT, "131000", None),
        (error(400, 130429), 1, FailureKind.RATE_LIMITED, "130429", None),
        (error(429, 130429, "Retry-After: 90"), 1, FailureKind.RATE_LIMITED, "130429", 90),
        (error(400, 131056), 1, FailureKind.RATE_LIMITED, "131056", None),
        (error(400, 1), 1, FailureKind.TRANSIENT, "1", None),
        (error(400, 1), 2, FailureKind.TRANSIENT, "1", None),
        (error(400, 131026), 1, FailureKind.PERMANENT, "131026", None),
        (error(401, 190), 1, FailureKind.STOP_CHANNEL, "190", None),
        ((502, {}, []), 1, FailureKind.TRANSIENT, "http_502", None),
        (None, 1, FailureKind.UNKNOWN, "no_answer", None),
    ],
)
async def test_a_refusal_keeps_its_code_and_kind(  # noqa: PLR0917 - a table's columns
    make_sender: Callable[..., WhatsAppSender],
    meta: Meta,
    clock: FakeClock,
    answer: Any,
    attempt: Any,
    kind: Any,
    code: Any,
    retry_after: Any,
) -> None:
    meta.script = [answer]

    with pytest.raises(SendFailedError) as caught:
        await make_sender(last=clock.now()).send(outgoing(clock, attempt=attempt), now=clock.now())

    failure = caught.value.failure
    asked = failure.retry_after.total_seconds() if failure.retry_after else None
    assert (failure.kind, failure.code, asked) == (kind, code, retry_after)
    assert PHONE not in failure.detail


async def test_a_number_that_is_none_is_given_up(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    with pytest.raises(SendFailedError) as caught:
        await make_sender().send(outgoing(clock, recipient="chefe"), now=clock.now())

    assert (caught.value.failure.kind, caught.value.failure.code) == (
        FailureKind.PERMANENT,
        "phone_invalid",
    )
    assert meta.bodies == []


async def test_the_window_is_read_from_what_this_number_wrote(world: World) -> None:
    now = world.clock.now()
    phone = "+5511987654321"
    contact = Contact(created_at=now)
    await world.add(contact)
    await world.add(
        ContactIdentity(
            contact_id=contact.id,
            channel="whatsapp",
            kind="phone",
            value=phone,
            address=phone,
            created_at=now,
        ),
        *(
            Conversation(
                contact_id=contact.id,
                channel="whatsapp",
                account_id=str(number),
                address=phone,
                created_at=now,
                last_customer_message_at=now - timedelta(hours=number),
            )
            for number in (5, 2, 9)
        ),
    )

    # WhatsApp knows older Brazilian numbers without the ninth digit.
    for spelling in (phone, "+551187654321"):
        assert await last_whatsapp_message(world.db, spelling) == now - timedelta(hours=2)
    assert await last_whatsapp_message(world.db, "+5521999999999") is None


@pytest.mark.parametrize(
    ("code", "consequence", "attempts"),
    [
        (131026, Consequence.STRIKE_RECIPIENT, None),
        (131050, Consequence.OPT_OUT_RECIPIENT, None),
        (131056, Consequence.SLOW_RECIPIENT, None),
        (130429, Consequence.SLOW_NUMBER, None),
        (1, Consequence.NONE, 2),
        (190, Consequence.ALERT, None),
    ],
)
async def test_a_refusal_says_what_it_means_for_others(  # noqa: PLR0917 - a table's columns
    make_sender: Callable[..., WhatsAppSender],
    meta: Meta,
    clock: FakeClock,
    code: Any,
    consequence: Any,
    attempts: Any,
) -> None:
    meta.script = [error(400, code)]

    with pytest.raises(SendFailedError) as caught:
        await make_sender(last=clock.now()).send(outgoing(clock), now=clock.now())

    failure = caught.value.failure
    assert failure.consequence is consequence
    assert failure.attempts_allowed == attempts


@pytest.mark.parametrize("recipient", ["", "5511912345678", "+55", "+5511912345678901", "ana@x"])
async def test_what_is_no_number_is_not_sent_to(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock, recipient: Any
) -> None:
    with pytest.raises(SendFailedError) as caught:
        await make_sender().send(outgoing(clock, recipient=recipient), now=clock.now())

    assert caught.value.failure.code == "phone_invalid"
    assert caught.value.failure.consequence is Consequence.DISABLE_RECIPIENT
    assert meta.bodies == []


async def test_a_very_long_notice_is_cut_before_its_link(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    context = {"title": "t", "body": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 400}
    context["body"] *= 4
    sender = make_sender(last=clock.now())

    await sender.send(outgoing(clock, event="user-notice", context=context), now=clock.now())

    words = meta.bodies[0]["text"]["body"]
    assert len(words) <= 4096
    assert words.endswith("\nhttps://ponte.example/console")


@pytest.mark.parametrize(
    ("language", "title"), [("pt", "Recebi"), ("en", "Got it"), ("es", "Recibido")]
)
async def test_a_notice_to_be_acknowledged_carries_a_button(
    make_sender: Callable[..., WhatsAppSender],
    meta: Meta,
    clock: FakeClock,
    language: str,
    title: str,
) -> None:
    notice = outgoing(clock, language=language)
    notice.context["acknowledge"] = True

    accepted = await make_sender(last=clock.now()).send(notice, now=clock.now())

    (body,) = meta.bodies
    assert (accepted.form, body["type"]) == ("interactive", "interactive")
    assert body["interactive"]["action"]["buttons"] == [
        {"type": "reply", "reply": {"id": f"ack:{NOTICE}", "title": title}}
    ]
    assert "https://ponte.example/console/tickets/t-1" in body["interactive"]["body"]["text"]


async def test_the_words_above_a_button_are_cut_and_the_link_is_not(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    words = {"title": "Aviso", "body": "👩‍👩‍👧‍👦 " * 900, "link": "/console/tickets/t-1"}
    notice = outgoing(clock, event="user-notice", context={**words, "acknowledge": True})

    await make_sender(last=clock.now()).send(notice, now=clock.now())

    text = meta.bodies[0]["interactive"]["body"]["text"]
    assert len(text) <= 1024
    assert text.endswith("\nhttps://ponte.example/console/tickets/t-1")


async def test_a_refused_button_is_followed_by_the_template_too(
    make_sender: Callable[..., WhatsAppSender], meta: Meta, clock: FakeClock
) -> None:
    meta.script = [error(400, 131047)]
    notice = outgoing(clock)
    notice.context["acknowledge"] = True

    accepted = await make_sender(last=clock.now()).send(notice, now=clock.now())

    assert accepted.form == "template"
    assert [body["type"] for body in meta.bodies] == ["interactive", "template"]
