"""The simulator from outside: a real process, real HTTP, a real receiver."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from simulator_process import Receiver, Simulator, eventually, running, text_to

from channels.message import Button, OutboundMessage
from channels.whatsapp.client import SendFailedError, WhatsAppClient
from channels.whatsapp.payloads import build_mark_read, build_message

ANA = "+5531987654321"  # outside the area codes whose wa_id keeps the ninth digit


async def say(simulator: Simulator, message: OutboundMessage, **extra: Any) -> httpx.Response:
    return await simulator.graph(build_message(message, phone="+553187654321", **extra))


async def test_a_customers_message_arrives_as_meta_would_send_it(
    simulator: Simulator, receiver: Receiver
) -> None:
    sent = await simulator.write(
        **{
            "from": ANA,
            "text": "Olá, ação 😀 1/2",
            "name": "Ana",
            "at": "2026-11-22T03:00:00-03:00",
        }
    )

    await eventually(lambda: receiver.items)
    message = receiver.items[0]
    assert message.provider_id == sent["id"]
    assert message.text == "Olá, ação 😀 1/2"
    assert message.sender.phone == "+553187654321"
    assert message.sender.profile_name == "Ana"
    assert message.sender.user_id == sent["user_id"]
    assert message.timestamp.isoformat() == "2026-11-22T06:00:00+00:00"


async def test_an_answer_is_seen_by_the_customer_and_its_statuses_come_back(
    simulator: Simulator, receiver: Receiver
) -> None:
    await simulator.write(**{"from": ANA, "text": "oi"})

    answer = await say(simulator, OutboundMessage("Olá"), callback_data="m-1")

    assert answer.json()["contacts"][0]["wa_id"] == "553187654321"
    await eventually(lambda: len(receiver.of("StatusUpdate")) == 3)
    statuses = receiver.of("StatusUpdate")
    assert [status.status for status in statuses] == ["sent", "delivered", "read"]
    assert {status.callback_data for status in statuses} == {"m-1"}
    assert {status.provider_id for status in statuses} == {answer.json()["messages"][0]["id"]}
    for spelling in (ANA, "5531987654321", "553187654321", "+55 (31) 98765-4321"):
        (seen,) = await simulator.received(spelling)
        assert (seen["text"], seen["to"], seen["status"]) == ("Olá", ANA, "read")
        assert seen["callback_data"] == "m-1"


@pytest.mark.parametrize("button", ["/b", "NÃO", 2, "2"])
async def test_a_button_is_chosen_by_id_title_or_number(
    simulator: Simulator, receiver: Receiver, button: Any
) -> None:
    await simulator.write(**{"from": ANA, "text": "oi"})
    options = (Button("/a", "Sim"), Button("/b", "Não"))
    answer = await say(simulator, OutboundMessage("?", options))

    await simulator.write(**{"from": ANA, "button": button})

    await eventually(lambda: len(receiver.of("InboundMessage")) == 2)
    reply = receiver.of("InboundMessage")[1]
    assert (reply.kind, reply.reply_id, reply.text) == ("button_reply", "/b", "Não")
    assert reply.context_id == answer.json()["messages"][0]["id"]


async def test_a_row_of_a_list_is_chosen_and_a_wrong_choice_names_the_valid_ones(
    simulator: Simulator, receiver: Receiver
) -> None:
    none = await simulator.http.post("/api/messages", json={"from": ANA, "button": 1})
    assert none.status_code == 422
    await simulator.write(**{"from": ANA, "text": "oi"})
    rows = tuple(Button(f"/o{n}", f"Opção {n}", "d") for n in range(1, 5))
    await say(simulator, OutboundMessage("?", rows, list_button="Abrir"))

    wrong = await simulator.http.post("/api/messages", json={"from": ANA, "button": "9"})
    await simulator.write(**{"from": ANA, "button": "opção 4"})

    assert wrong.status_code == 422
    assert wrong.json()["error"]["field"] == "button"
    assert wrong.json()["error"]["allowed"] == ["/o1", "/o2", "/o3", "/o4"]
    await eventually(lambda: len(receiver.of("InboundMessage")) == 2)
    reply = receiver.of("InboundMessage")[1]
    assert (reply.kind, reply.reply_id) == ("list_reply", "/o4")
    (seen,) = await simulator.received(ANA)
    assert [button["id"] for button in seen["buttons"]] == ["/o1", "/o2", "/o3", "/o4"]
    assert seen["list_button"] == "Abrir"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("image", "image"),
        ("audio", "audio"),
        ("voice", "voice"),
        ("video", "video"),
        ("document", "document"),
        ("sticker", "sticker"),
        ("location", "location"),
        ("contacts", "contacts"),
        ("reaction", "reaction"),
        ("order", "order"),
        ("flow", "interactive_other"),
        ("unsupported", "unsupported"),
        ("edit", "edit"),
        ("revoke", "revoke"),
        ("request_welcome", "request_welcome"),
    ],
)
async def test_every_kind_can_be_sent(
    shared: tuple[Simulator, Receiver], kind: str, expected: str
) -> None:
    simulator, receiver = shared

    sent = await simulator.write(**{"from": ANA, "type": kind, "message_id": "wamid.0"})

    await eventually(lambda: any(item.dedup_key == sent["id"] for item in receiver.items))
    assert next(i for i in receiver.items if i.dedup_key == sent["id"]).kind == expected


async def test_a_customer_without_a_number_writes_and_is_answered_by_user_id(
    shared: tuple[Simulator, Receiver],
) -> None:
    simulator, receiver = shared
    sent = await simulator.write(user_id="BR.42", text="oi", name="Bia")

    answer = await simulator.graph(build_message(OutboundMessage("Olá"), user_id="BR.42"))

    assert answer.status_code == 200, answer.text
    await eventually(lambda: any(item.dedup_key == sent["id"] for item in receiver.items))
    message = next(item for item in receiver.items if item.dedup_key == sent["id"])
    assert (message.sender.user_id, message.sender.phone) == ("BR.42", None)
    assert [seen["text"] for seen in await simulator.received("BR.42")] == ["Olá"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "from"),
        ({"from": "123", "text": "a"}, "from"),
        ({"from": 5, "text": "a"}, "from"),
        ({"from": ANA}, "text"),
        ({"from": ANA, "text": "x" * 4097}, "text"),
        ({"from": ANA, "type": "hologram"}, "type"),
        ({"from": ANA, "text": "a", "at": "ontem"}, "at"),
        ({"from": ANA, "type": "reaction"}, "message_id"),
        ({"from": ANA, "raw": []}, "raw"),
        ({"from": ANA, "text": "a", "name": 5}, "name"),
        ({"user_id": "", "text": "a"}, "user_id"),
    ],
)
async def test_a_bad_request_names_the_field(
    shared: tuple[Simulator, Receiver], body: dict[str, Any], field: str
) -> None:
    response = await shared[0].http.post("/api/messages", json=body)

    assert response.status_code == 422
    assert response.json()["error"]["field"] == field


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (text_to("5531987654321"), 131009, 400),
        (text_to(ANA, "x" * 4097), 131009, 400),
        (text_to(ANA, ""), 131009, 400),
        (text_to(ANA, extra=1), 100, 400),
        (text_to("+551155501234"), 131021, 400),
        ({"messaging_product": "whatsapp", "to": ANA, "type": "video"}, 131051, 400),
        ({"to": ANA}, 100, 400),
        ([], 100, 400),
        ({"messaging_product": "whatsapp", "status": "read", "message_id": "w"}, 100, 400),
    ],
)
async def test_a_body_meta_would_refuse_is_refused(
    shared: tuple[Simulator, Receiver], body: Any, code: int, status: int
) -> None:
    response = await shared[0].graph(body)

    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["error_data"]["details"]


async def test_a_wrong_token_is_refused(shared: tuple[Simulator, Receiver]) -> None:
    response = await shared[0].graph(text_to(ANA), token="other")

    assert (response.status_code, response.json()["error"]["code"]) == (401, 190)


async def test_outside_the_window_the_failure_comes_as_a_status(
    simulator: Simulator, receiver: Receiver
) -> None:
    await simulator.write(**{"from": ANA, "text": "oi", "at": "2020-01-01T00:00:00Z"})

    answer = await say(simulator, OutboundMessage("Olá"))
    await eventually(lambda: receiver.of("StatusUpdate"))
    (status,) = receiver.of("StatusUpdate")

    assert answer.status_code == 200
    assert (status.status, status.errors[0].code) == ("failed", 131047)


async def test_a_read_mark_shows_typing(shared: tuple[Simulator, Receiver]) -> None:
    simulator, _ = shared
    sent = await simulator.write(**{"from": "+5511911112222", "text": "oi"})

    response = await simulator.graph(build_mark_read(sent["id"]))

    assert response.json() == {"success": True}
    chat = (await simulator.http.get("/api/chat", params={"customer": "+5511911112222"})).json()
    assert (chat["typing"], chat["messages"][0]["status"]) == (True, "read")


@pytest.mark.parametrize(
    ("fault", "kind", "code", "received"),
    [
        ({"kind": "429", "retry_after": 3}, "transient", 130429, 0),
        ({"kind": "500"}, "transient", 131000, 0),
        ({"kind": 131056}, "transient", 131056, 0),
        ({"kind": "190"}, "stop_channel", 190, 0),
        ({"kind": "error", "code": 100, "http_status": 400}, "permanent", 100, 0),
        ({"kind": "drop_reply"}, "unknown", None, 1),
        ({"kind": "garbage"}, "unknown", None, 1),
        ({"kind": "timeout_after_accept", "seconds": 0.05}, "unknown", None, 1),
        ({"kind": "timeout_before_accept", "seconds": 0.05}, "unknown", None, 0),
        ({"kind": "drop_request"}, "unknown", None, 0),
    ],
)
async def test_a_planned_fault_happens_once_and_our_client_names_it(
    shared: tuple[Simulator, Receiver],
    fault: dict[str, Any],
    kind: str,
    code: int | None,
    received: int,
) -> None:
    simulator, _ = shared
    if fault["kind"] == "190":
        fault = {"kind": "error", "code": 190, "http_status": 401}
    phone = f"+55119{abs(hash(str(fault))) % 10**8:08}"
    await simulator.write(**{"from": phone, "text": "oi"})
    planned = await simulator.http.post("/api/faults", json={**fault, "to": phone})
    assert planned.status_code == 201, planned.text
    async with httpx.AsyncClient(trust_env=False) as http:
        client = WhatsAppClient(
            http,
            base_url=f"{simulator.http.base_url}graph",
            version="v25.0",
            phone_number_id="106540352242922",
            access_token="access-token",
        )
        with pytest.raises(SendFailedError) as caught:
            await client.send(text_to(phone))
        assert len(await simulator.received(phone)) == received
        await client.send(text_to(phone))

    assert (caught.value.failure.kind, caught.value.failure.code) == (kind, code)
    assert len(await simulator.received(phone)) == received + 1


async def test_an_undeliverable_message_fails_later(
    simulator: Simulator, receiver: Receiver
) -> None:
    await simulator.write(**{"from": ANA, "text": "oi"})
    await simulator.http.post("/api/faults", json={"kind": "131026"})

    answer = await say(simulator, OutboundMessage("Olá"))
    await eventually(lambda: receiver.of("StatusUpdate"))

    assert answer.status_code == 200
    assert receiver.of("StatusUpdate")[0].errors[0].code == 131026


async def test_unknown_faults_are_refused_and_planned_ones_can_be_cleared(
    simulator: Simulator,
) -> None:
    wrong = await simulator.http.post("/api/faults", json={"kind": "magic"})
    none = await simulator.http.post("/api/faults", json={"kind": "500", "count": 0})
    await simulator.http.post("/api/faults", json={"kind": "500", "count": 4})

    cleared = await simulator.http.delete("/api/faults")

    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "kind")
    assert (none.status_code, none.json()["error"]["field"]) == (422, "count")
    assert cleared.json() == {"cleared": 1}


async def test_a_webhook_is_repeated_until_it_is_taken_and_order_is_kept(
    simulator: Simulator, receiver: Receiver
) -> None:
    refusals = iter([500, 404])
    receiver.decide = lambda _parsed: next(refusals, 200)

    ids = [(await simulator.write(**{"from": ANA, "text": str(n)}))["id"] for n in range(3)]

    await eventually(lambda: len(receiver.items) == 3)
    assert [item.provider_id for item in receiver.items] == ids
    assert receiver.posts == 5


async def test_a_fault_delivers_a_message_twice(simulator: Simulator, receiver: Receiver) -> None:
    await simulator.http.post("/api/faults", json={"kind": "duplicate_webhook"})

    await simulator.write(**{"from": ANA, "text": "a"})
    await simulator.write(**{"from": ANA, "text": "b"})

    await eventually(lambda: len(receiver.items) == 3)
    assert [item.text for item in receiver.items] == ["a", "a", "b"]


async def test_many_statuses_share_posts(simulator: Simulator, receiver: Receiver) -> None:
    phones = [f"+55119876500{n:02}" for n in range(60)]
    await asyncio.gather(*(simulator.write(**{"from": phone, "text": "oi"}) for phone in phones))

    await asyncio.gather(*(simulator.graph(text_to(phone)) for phone in phones))

    await eventually(lambda: len(receiver.of("StatusUpdate")) == 180)
    assert max(receiver.sizes) > 10
    assert max(receiver.sizes) <= 50


async def test_nothing_is_lost_when_the_simulator_is_killed(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.decide = lambda _parsed: 503
    async with running(tmp_path, receiver.url) as simulator:
        first = await simulator.write(**{"from": ANA, "text": "antes"})
        await say(simulator, OutboundMessage("?", (Button("/a", "Sim"),)))

        simulator.kill(signal.SIGKILL)
        receiver.decide = lambda _parsed: 200
        await simulator.start()

        # At least once: what was on its way when the process died may come twice.
        await eventually(lambda: len({item.dedup_key for item in receiver.items}) == 4)
        assert receiver.of("InboundMessage")[0].provider_id == first["id"]
        assert [seen["text"] for seen in await simulator.received(ANA)] == ["?"]
        await simulator.write(**{"from": ANA, "button": "1"})


async def test_the_handshake_is_made(simulator: Simulator) -> None:
    response = await simulator.http.post("/api/verify")

    assert response.json() == {"verified": True, "http_status": 200}


async def test_messages_can_be_asked_for_after_an_id_and_since_a_moment(
    simulator: Simulator,
) -> None:
    await simulator.write(**{"from": ANA, "text": "oi"})
    first = (await say(simulator, OutboundMessage("um"))).json()["messages"][0]["id"]
    await say(simulator, OutboundMessage("dois"))

    after = await simulator.received(ANA, after_id=first)
    later = await simulator.received(ANA, since="2999-01-01T00:00:00+00:00")
    mine = (await simulator.http.get("/api/messages", params={"from": ANA})).json()

    assert [seen["text"] for seen in after] == ["dois"]
    assert later == []
    assert [seen["text"] for seen in mine] == ["oi"]
    assert await simulator.received("+5511900000000") == []


async def test_the_page_is_served_with_a_strict_policy(
    shared: tuple[Simulator, Receiver],
) -> None:
    http = shared[0].http

    for path, kind in [
        ("", "text/html"),
        ("/static/chat.js", "text/javascript"),
        ("/static/chat.css", "text/css"),
    ]:
        response = await http.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert "script-src 'self'" in response.headers["content-security-policy"]
    assert (await http.get("/static/..%2fapp.py")).status_code == 404
    refused = await http.post(
        "/api/messages", json={"from": ANA, "text": "a"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert refused.status_code == 403


SECRETS = {"WHATSAPP_APP_SECRET": "a", "WHATSAPP_ACCESS_TOKEN": "b"}


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (
            ["--host", "192.0.2.1"],
            {"WHATSAPP_APP_SECRET": "a", "WHATSAPP_ACCESS_TOKEN": "b"},
            "host",
        ),
        ([], {"WHATSAPP_APP_SECRET": "a"}, "WHATSAPP_ACCESS_TOKEN"),
        ([], {}, "WHATSAPP_APP_SECRET, WHATSAPP_ACCESS_TOKEN"),
    ],
)
def test_it_does_not_start_open_or_without_secrets(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], named: str
) -> None:
    command = [sys.executable, "-m", "simulator", "--port", "1", "--db", str(tmp_path / "s.db")]
    command += ["--callback-url", "http://127.0.0.1:1/", *arguments]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert f"simulator: {named}: expected" in done.stderr
