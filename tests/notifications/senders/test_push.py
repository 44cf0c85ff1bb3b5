"""The push sender with Google's real SDK against a real socket; tokens come from there too."""

from __future__ import annotations

import asyncio
import json
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.fcm import FcmClient, encoded
from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.senders.push import PAYLOAD_LIMIT, PushSender, size_of
from notifications.services.ports import Accepted, Outgoing
from tests.fakes import fcm_server as fcm
from tests.fakes.vendor_server import Reply, VendorServer, serving

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKEN = "cB1:APA91bH_token"
FID = "cB1abcdefghijklmnopqrs"
ID = uuid.UUID(int=7)
TICKET = str(uuid.UUID(int=1))
OUTGOING = Outgoing(
    notification_id=ID,
    attempt=1,
    recipient=TOKEN,
    language="pt",
    event="ticket-opened",
    context={"ticket_number": 12, "ticket_id": TICKET, "reason": "angry_customer"},
    created_at=NOW,
    correlation_id="c-1",
    urgent=True,
    expires_at=NOW + timedelta(hours=2),
)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[VendorServer, FcmClient]]:
    with serving(VendorServer(), [fcm.ACCEPTED]) as server:
        server.by_path[fcm.TOKEN_PATH] = fcm.ACCESS
        client = FcmClient(
            project_id=fcm.PROJECT,
            service_account=fcm.service_account(server.url),
            base_url=server.url,
            timeout_seconds=1.0,
        )
        yield server, client
        client.close()


@pytest.fixture
def server(running: tuple[VendorServer, FcmClient]) -> VendorServer:
    running[0].asked.clear()
    running[0].will(fcm.ACCEPTED)
    return running[0]


def sender(client: Any = None) -> PushSender:
    return PushSender(client, frontend_url="https://console.example")


@pytest.fixture
def push(running: tuple[VendorServer, FcmClient]) -> PushSender:
    return sender(running[1])


async def failure_of(server: VendorServer, push: PushSender, reply: Reply) -> Failure:
    server.will(reply)
    with pytest.raises(SendFailedError) as caught:
        await push.send(OUTGOING, now=NOW)
    return caught.value.failure


class TestWhatIsSent:
    async def test_one_request_that_replaces_itself_when_it_comes_twice(
        self, server: VendorServer, push: PushSender
    ) -> None:
        accepted = await push.send(OUTGOING, now=NOW)

        assert accepted == Accepted(provider_id=fcm.NAME, form="push")
        [asked] = server.asked
        assert (asked.method, asked.path) == ("POST", fcm.PATH)
        assert asked.headers["authorization"] == "Bearer fake"
        message = asked.json["message"]
        assert message["token"] == TOKEN
        assert message["notification"]["title"]
        assert message["data"] == {
            "notification_id": str(ID),
            "event": "ticket-opened",
            "ticket_id": TICKET,
            "ticket_number": "12",
            "link": f"https://console.example/console/tickets/{TICKET}",
        }
        assert message["android"] == {
            "collapse_key": str(ID),
            "priority": "HIGH",
            "ttl": "7200s",
            "notification": {"tag": str(ID)},
        }
        assert message["apns"]["headers"] == {
            "apns-collapse-id": str(ID),
            "apns-priority": "10",
            "apns-expiration": str(int((NOW + timedelta(hours=2)).timestamp())),
        }
        assert message["webpush"]["headers"] == {"Topic": ID.hex, "Urgency": "high", "TTL": "7200"}
        assert message["webpush"]["fcm_options"]["link"].startswith("https://console.example/")

    def test_a_registration_token_and_an_installation_id_go_where_each_belongs(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            by_token = encoded(sender().message(OUTGOING, now=NOW))
            by_fid = encoded(sender().message(replace(OUTGOING, recipient=FID), now=NOW))

        assert ("token" in by_token, "fid" in by_token) == (True, False)
        assert ("token" in by_fid, by_fid["fid"]) == (False, FID)

    @pytest.mark.parametrize(
        ("left", "android", "web"),
        [(timedelta(days=90), "2419200s", "2419200"), (timedelta(days=-1), "0s", "0")],
    )
    def test_the_life_is_within_fcms_bounds(self, left: timedelta, android: str, web: str) -> None:
        message = encoded(sender().message(replace(OUTGOING, expires_at=NOW + left), now=NOW))

        assert message["android"]["ttl"] == android
        assert message["webpush"]["headers"]["TTL"] == web

    def test_a_plain_link_is_in_the_data_alone(self) -> None:
        local = PushSender(None, frontend_url="http://127.0.0.1:8080")  # type: ignore[arg-type]

        message = encoded(local.message(OUTGOING, now=NOW))

        assert "fcm_options" not in message["webpush"]
        assert message["data"]["link"].startswith("http://127.0.0.1")

    @given(
        words=st.text(max_size=4000),
        language=st.sampled_from(["pt", "en", "es"]),
        event=st.sampled_from(["user-notice", "ticket-opened", "dlq-alert"]),
        token=st.sampled_from([TOKEN, FID, "x" * 2500]),
    )
    def test_any_notice_fits_and_is_whole(
        self, words: str, language: str, event: str, token: str
    ) -> None:
        context = {**OUTGOING.context, "title": words, "body": words, "link": f"/{words}"}
        notice = replace(OUTGOING, event=event, language=language, context=context, recipient=token)

        message = sender().message(notice, now=NOW)

        assert size_of(message) <= PAYLOAD_LIMIT
        body = encoded(message)
        assert json.loads(json.dumps(body)) == body
        assert all(isinstance(value, str) for value in body["data"].values())

    def test_what_is_too_long_loses_the_end_of_its_body_first(self) -> None:
        notice = replace(OUTGOING, event="user-notice", recipient="x" * 2200)
        notice = replace(notice, context={"title": "Título", "body": "😀" * 240})

        body = encoded(sender().message(notice, now=NOW))["notification"]

        assert body["title"] == "Título"
        assert body["body"].endswith("😀…")

    @pytest.mark.parametrize("token", ["", " ", "ção", "a\nb", "x" * 5000])
    def test_what_is_no_token_is_refused(self, token: str) -> None:
        with pytest.raises(SendFailedError) as caught:
            sender().message(replace(OUTGOING, recipient=token), now=NOW)

        failure = caught.value.failure
        assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "recipient_invalid")


GONE, ALERT, NONE = Consequence.DISABLE_RECIPIENT, Consequence.ALERT, Consequence.NONE
PERMANENT, TRANSIENT = FailureKind.PERMANENT, FailureKind.TRANSIENT
STOP, UNKNOWN = FailureKind.STOP_CHANNEL, FailureKind.UNKNOWN
LIMIT, SLOW = FailureKind.RATE_LIMITED, Consequence.SLOW_NUMBER


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "kind", "consequence", "code"),
        [
            (fcm.refused(404, "NOT_FOUND", code="UNREGISTERED"), PERMANENT, GONE, "UNREGISTERED"),
            (
                fcm.refused(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT"),
                PERMANENT,
                GONE,
                "INVALID_ARGUMENT",
            ),
            (
                fcm.refused(
                    400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", fields=("message.token",)
                ),
                PERMANENT,
                GONE,
                "INVALID_ARGUMENT",
            ),
            (
                fcm.refused(400, "INVALID_ARGUMENT", fields=("message.data",)),
                PERMANENT,
                ALERT,
                "INVALID_ARGUMENT:payload",
            ),
            (
                fcm.refused(
                    400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", fields=("message.android",)
                ),
                PERMANENT,
                ALERT,
                "INVALID_ARGUMENT:payload",
            ),
            (fcm.refused(400, "INVALID_ARGUMENT"), PERMANENT, ALERT, "INVALID_ARGUMENT:payload"),
            (
                fcm.refused(403, "PERMISSION_DENIED", code="SENDER_ID_MISMATCH"),
                PERMANENT,
                GONE,
                "SENDER_ID_MISMATCH",
            ),
            (fcm.refused(403, "PERMISSION_DENIED"), STOP, ALERT, "PERMISSION_DENIED"),
            (
                fcm.refused(401, "UNAUTHENTICATED", code="THIRD_PARTY_AUTH_ERROR"),
                STOP,
                ALERT,
                "THIRD_PARTY_AUTH_ERROR",
            ),
            (fcm.refused(401, "UNAUTHENTICATED"), STOP, ALERT, "UNAUTHENTICATED"),
            (fcm.refused(404, "NOT_FOUND"), PERMANENT, ALERT, "NOT_FOUND"),
            (
                fcm.refused(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED"),
                LIMIT,
                SLOW,
                "QUOTA_EXCEEDED",
            ),
            (fcm.refused(503, "UNAVAILABLE", code="UNAVAILABLE"), TRANSIENT, NONE, "UNAVAILABLE"),
            (fcm.refused(500, "INTERNAL", code="INTERNAL"), TRANSIENT, NONE, "INTERNAL"),
            (Reply(502, b"<html>Bad Gateway</html>"), TRANSIENT, NONE, "http_502"),
            (Reply(503, b""), TRANSIENT, NONE, "http_503"),
            (Reply(504, b""), UNKNOWN, NONE, "http_504"),
            (Reply(302, b"", {"Location": "/x"}), TRANSIENT, NONE, "http_302"),
            (Reply(307, b"", {"Location": "/x"}), TRANSIENT, NONE, "http_307"),
            (fcm.refused(504, "DEADLINE_EXCEEDED"), UNKNOWN, NONE, "DEADLINE_EXCEEDED"),
            (Reply(429, b"slow down"), LIMIT, SLOW, "http_429"),
            (Reply(500, b"\xff\xfe"), TRANSIENT, NONE, "http_500"),
            (Reply(400, {"error": {"details": ["x"]}}), PERMANENT, ALERT, "http_400"),
            (Reply(400, {"error": {"details": 5}}), PERMANENT, ALERT, "http_400"),
            (Reply(400, {"error": "no"}), PERMANENT, ALERT, "http_400"),
            (Reply(400, [1]), PERMANENT, ALERT, "http_400"),
            (fcm.refused(400, "SOMETHING_NEW"), PERMANENT, ALERT, "SOMETHING_NEW"),
            (Reply(200, b"<html>"), UNKNOWN, NONE, "answer_unreadable"),
            (Reply(200, b""), UNKNOWN, NONE, "answer_unreadable"),
            (Reply(200, {}), UNKNOWN, NONE, "answer_unreadable"),
            (Reply(200, b"[" * 100_000), UNKNOWN, NONE, "answer_unreadable"),
            (Reply(400, b"[" * 100_000), PERMANENT, ALERT, "http_400"),
            (Reply(200, [1]), UNKNOWN, NONE, "answer_unreadable"),
            (Reply(200, {"name": 5}), UNKNOWN, NONE, "answer_unreadable"),
            (Reply(fault="hang_up"), UNKNOWN, NONE, "ConnectionError"),
            (Reply(200, {"name": "x"}, fault="half"), UNKNOWN, NONE, "ChunkedEncodingError"),
            (Reply(fault="silent"), UNKNOWN, NONE, "ReadTimeout"),
        ],
    )
    async def test_every_answer_is_what_the_table_says_after_one_request(  # noqa: PLR0917
        self,
        server: VendorServer,
        push: PushSender,
        reply: Reply,
        kind: FailureKind,
        consequence: Consequence,
        code: str,
    ) -> None:
        failure = await failure_of(server, push, reply)

        assert (failure.kind, failure.consequence, failure.code) == (kind, consequence, code)
        # 401 alone makes the SDK get a new access token and try again.
        assert len(server.asked) == (3 if reply.status == 401 else 1)

    @pytest.mark.parametrize(
        ("headers", "wait", "ours"),
        [
            ({}, timedelta(seconds=60), True),
            ({"Retry_After": "2"}, timedelta(seconds=60), True),
            ({"Retry_After": "90"}, timedelta(seconds=90), False),
        ],
    )
    async def test_a_quota_waits_a_minute_at_least(
        self,
        server: VendorServer,
        push: PushSender,
        headers: dict[str, str],
        wait: timedelta,
        ours: bool,
    ) -> None:
        reply = fcm.refused(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED", **headers)

        failure = await failure_of(server, push, reply)

        assert (failure.retry_after, failure.wait_is_ours) == (wait, ours)

    async def test_retry_after_of_a_server_error_is_honoured(
        self, server: VendorServer, push: PushSender
    ) -> None:
        reply = fcm.refused(503, "UNAVAILABLE", code="UNAVAILABLE", Retry_After="30")

        failure = await failure_of(server, push, reply)

        assert (failure.retry_after, failure.wait_is_ours) == (timedelta(seconds=30), False)


class TestCredentials:
    def client(self, url: str, **changes: Any) -> FcmClient:
        account = fcm.service_account(url) | changes
        return FcmClient(
            project_id=fcm.PROJECT, service_account=account, base_url=url, timeout_seconds=1.0
        )

    async def send(self, client: FcmClient) -> Failure:
        with pytest.raises(SendFailedError) as caught:
            await sender(client).send(OUTGOING, now=NOW)
        client.close()
        return caught.value.failure

    async def test_a_broken_service_account_stops_the_channel(self) -> None:
        failure = await self.send(self.client("http://127.0.0.1:1", private_key="no key"))

        assert (failure.kind, failure.consequence) == (STOP, ALERT)
        assert "FCM_SERVICE_ACCOUNT_JSON" in failure.detail

    async def test_a_refused_service_account_stops_the_channel(self) -> None:
        with serving(VendorServer(), [fcm.ACCEPTED]) as server:
            server.by_path[fcm.TOKEN_PATH] = Reply(400, {"error": "invalid_grant"})
            failure = await self.send(self.client(server.url))

            assert (failure.kind, failure.code) == (STOP, "service_account")
            assert server.asked == []

    async def test_a_token_server_that_is_away_is_worth_another_try(self) -> None:
        failure = await self.send(self.client("http://127.0.0.1:1"))

        assert (failure.kind, failure.code) == (TRANSIENT, "connection")

    async def test_many_threads_at_the_first_message_make_one_app(self) -> None:
        with serving(VendorServer(), [fcm.ACCEPTED]) as server:
            server.by_path[fcm.TOKEN_PATH] = fcm.ACCESS
            client = self.client(server.url)
            push = sender(client)

            sent = await asyncio.gather(*(push.send(OUTGOING, now=NOW) for _ in range(20)))

            assert len(sent) == len(server.asked) == 20
            client.close()
