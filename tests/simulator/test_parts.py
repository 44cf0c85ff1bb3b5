from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.delivery import backoff
from simulator.faults import FaultError, read_fault
from simulator.numbers import digits_of, key_of, user_id_of, wa_id_of
from simulator.poster import Poster, PostError
from simulator.settings import SimulatorSettings, SimulatorSettingsError, check_host
from simulator.store import Store


@pytest.mark.parametrize(
    ("dialled", "wa_id", "key"),
    [
        ("+55 11 98765-4321", "5511987654321", "5511987654321"),
        ("+55 31 98765-4321", "553187654321", "5531987654321"),
        ("553187654321", "553187654321", "5531987654321"),
        ("551133334444", "551133334444", "551133334444"),
        ("5215512345678", "5215512345678", "525512345678"),
        ("16505551234", "16505551234", "16505551234"),
    ],
)
def test_numbers_are_written_as_whatsapp_does(dialled: str, wa_id: str, key: str) -> None:
    digits = digits_of(dialled)

    assert digits is not None
    assert (wa_id_of(digits, rewrite=True), key_of(digits)) == (wa_id, key)
    assert wa_id_of(digits, rewrite=False) == digits
    assert user_id_of(key) == user_id_of(key_of(wa_id))


@pytest.mark.parametrize("written", ["", "abc", "BR.123456789", "1234567", "0" * 10, "1" * 16])
def test_what_is_no_number_is_none(written: str) -> None:
    assert digits_of(written) is None


def test_the_wait_between_attempts_doubles_up_to_ten_seconds() -> None:
    waits = [backoff(attempts).total_seconds() for attempts in range(1, 9)]

    assert waits == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert backoff(10_000) == timedelta(seconds=10)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_is_allowed(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("host", ["", "192.168.0.1", "::", "example.org"])
def test_any_other_address_is_refused(host: str) -> None:
    with pytest.raises(SimulatorSettingsError, match="host: expected a loopback address"):
        check_host(host)


def test_a_setting_that_is_wrong_is_named_and_secrets_are_not_printed(tmp_path: Path) -> None:
    with pytest.raises(SimulatorSettingsError, match="callback_url"):
        SimulatorSettings(tmp_path, "ftp://x", "app", "token")
    assert "hidden" not in repr(SimulatorSettings(tmp_path, "http://x", "hidden1", "hidden2"))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "magic"}, "kind"),
        ({"kind": "error"}, "code"),
        ({"kind": "slow", "seconds": -1}, "seconds"),
        ({"kind": "slow", "seconds": "1"}, "seconds"),
    ],
)
def test_a_fault_that_is_wrong_names_the_field(body: dict[str, object], field: str) -> None:
    with pytest.raises(FaultError) as caught:
        read_fault(body)

    assert caught.value.field == field


def test_a_status_never_goes_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.db")
    store.add_message(
        "w", customer="c", direction="out", type_="text", view={}, status="accepted", timestamp=1.0
    )

    moves = [store.raise_status("w", status, []) for status in ("read", "delivered", "sent")]

    assert moves == [True, False, False]
    store.checkpoint()
    store.close()


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 2),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 2),
    ],
)
async def test_a_connection_is_used_again_when_it_can_be(answer: bytes, connections: int) -> None:
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        while await reader.read(10_000):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    poster = Poster(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")

    assert [await poster.post(b"a", {}), await poster.post(b"b", {})] == [200, 200]

    assert opened == connections
    poster.close()
    server.close()


async def test_a_connection_that_went_stale_is_replaced() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()  # without saying so beforehand

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    poster = Poster(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")

    assert [await poster.post(b"a", {}) for _ in range(3)] == [200] * 3
    poster.close()
    server.close()


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1\r\n\r\n"])
async def test_no_answer_is_an_error(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    poster = Poster(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")

    with pytest.raises(PostError):
        await poster.post(b"a", {})
    server.close()
