"""What `ponte doctor` says of SMS and push, against servers that answer as the vendors do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ponte.diagnosis import Check, State, _push, _sms
from ponte.settings import Process, Settings
from tests.fakes import fcm_server as fcm
from tests.fakes import twilio_server as twilio
from tests.fakes.vendor_server import Reply, VendorServer, serving


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with serving(VendorServer(), [Reply(200, {"sid": twilio.ACCOUNT, "status": "active"})]) as it:
        yield it


def settings(**environment: str) -> Settings:
    return Settings.from_environment(Process.UP, environment=environment)


def sms(url: str, public: str = "https://ponte.example") -> Check:
    [check] = _sms(
        settings(
            TWILIO_ACCOUNT_SID=twilio.ACCOUNT,
            TWILIO_AUTH_TOKEN="secret",
            TWILIO_FROM="+15005550006",
            TWILIO_API_BASE_URL=url,
            PONTE_PUBLIC_URL=public,
        )
    )
    return check


def push(url: str, **changes: Any) -> Check:
    account = fcm.service_account(url) | changes
    [check] = _push(
        settings(
            FCM_PROJECT_ID=fcm.PROJECT,
            FCM_SERVICE_ACCOUNT_JSON=json.dumps(account),
            FCM_API_BASE_URL=url,
        )
    )
    return check


def test_what_is_not_configured_is_a_warning() -> None:
    checks = [*_sms(settings()), *_push(settings())]

    assert [check.state for check in checks] == [State.WARNING, State.WARNING]
    assert ["is not set" in check.detail for check in checks] == [True, True]


def test_an_active_account_is_fine_and_nothing_is_sent(server: VendorServer) -> None:
    assert sms(server.url).state is State.OK

    [asked] = server.asked
    assert (asked.method, asked.path) == ("GET", f"/2010-04-01/Accounts/{twilio.ACCOUNT}.json")


def test_an_address_that_twilio_cannot_reach_is_a_warning(server: VendorServer) -> None:
    check = sms(server.url, "http://127.0.0.1:8080")

    assert (check.state, "PONTE_PUBLIC_URL" in check.detail) == (State.WARNING, True)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {"status": "suspended"}),
        twilio.refused(20003, 401),
        Reply(502, b"<html>"),
        Reply(200, b"<html>"),
    ],
)
def test_an_account_of_no_use_is_a_failure(server: VendorServer, reply: Reply) -> None:
    server.will(reply)

    assert sms(server.url).state is State.FAILED


def test_a_twilio_that_is_away_is_a_failure() -> None:
    assert sms("http://127.0.0.1:1").state is State.FAILED


def test_a_service_account_that_gets_a_token_is_fine_and_nothing_is_sent(
    server: VendorServer,
) -> None:
    server.by_path[fcm.TOKEN_PATH] = fcm.ACCESS

    assert push(server.url).state is State.OK
    assert server.asked == []


def test_a_service_account_of_no_use_is_a_failure(server: VendorServer) -> None:
    server.by_path[fcm.TOKEN_PATH] = Reply(400, {"error": "invalid_grant"})

    assert push(server.url).state is State.FAILED
    assert push(server.url, private_key="no key").state is State.FAILED
