"""The SMS sender with Twilio's real SDK against a real socket."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.codes.twilio import RULES
from channels.sms_text import segments_of
from channels.twilio.client import TwilioClient
from notifications.domain.failure import Consequence, Failure, FailureKind, SendFailedError
from notifications.senders.sms import SmsSender, e164
from notifications.services.ports import Accepted, Outgoing
from tests.fakes import twilio_server as twilio
from tests.fakes.vendor_server import Reply, VendorServer, serving

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PHONE = "+5511987654321"
FROM = "+15557122661"
PUBLIC = "https://ponte.example"
OUTGOING = Outgoing(
    notification_id=uuid.UUID(int=7),
    attempt=1,
    recipient=PHONE,
    language="pt",
    event="ticket-opened",
    context={"ticket_number": 12, "ticket_id": str(uuid.UUID(int=1)), "reason": "angry_customer"},
    created_at=NOW,
    correlation_id="c-1",
)


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with serving(VendorServer(), [twilio.accepted()]) as running:
        yield running


def sender(url: str, *, taken: Collection[str] = (), timeout: float = 5.0) -> SmsSender:
    async def take(sids: Sequence[str], _outgoing: Outgoing) -> str | None:
        return next((sid for sid in sids if sid not in taken), None)

    client = TwilioClient(
        account_sid=twilio.ACCOUNT, auth_token="secret", base_url=url, timeout_seconds=timeout
    )
    return SmsSender(
        client,
        sender=FROM,
        public_url=PUBLIC,
        frontend_url="https://console.example",
        max_segments=3,
        take=take,
    )


async def failure_of(server: VendorServer, reply: Reply, **options: Any) -> Failure:
    server.will(reply)
    with pytest.raises(SendFailedError) as caught:
        await sender(server.url, **options).send(OUTGOING, now=NOW)
    return caught.value.failure


class TestWhatIsSent:
    async def test_one_request_with_the_words_the_link_and_the_way_back(
        self, server: VendorServer
    ) -> None:
        until = replace(OUTGOING, expires_at=NOW + timedelta(minutes=10))

        accepted = await sender(server.url).send(until, now=NOW)

        assert accepted == Accepted(provider_id=twilio.SID, form="sms")
        [asked] = server.asked
        assert (asked.method, asked.path) == ("POST", twilio.PATH)
        form = asked.form
        assert form.pop("Body").endswith(f"/console/tickets/{uuid.UUID(int=1)}")
        assert form == {
            "To": PHONE,
            "From": FROM,
            "ValidityPeriod": "600",
            "StatusCallback": (f"{PUBLIC}/webhooks/twilio/status?n={uuid.UUID(int=7)}#rc=4&rp=all"),
        }

    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            (timedelta(days=3), "36000"),
            (timedelta(seconds=90.7), "90"),
            (timedelta(0), "1"),
            (timedelta(days=-1), "1"),
        ],
    )
    async def test_the_validity_is_the_notices_own_within_twilios_bounds(
        self, server: VendorServer, left: timedelta, expected: str
    ) -> None:
        until = replace(OUTGOING, expires_at=NOW + left)

        await sender(server.url).send(until, now=NOW)

        assert server.asked[0].form["ValidityPeriod"] == expected

    async def test_a_notice_without_an_end_has_twilios_validity(self, server: VendorServer) -> None:
        await sender(server.url).send(OUTGOING, now=NOW)

        assert "ValidityPeriod" not in server.asked[0].form

    @given(
        event=st.sampled_from(["ticket-opened", "user-notice", "sla-alert", "csat-low"]),
        language=st.sampled_from(["pt", "en", "es", "xx"]),
        words=st.text(max_size=3000),
    )
    def test_any_notice_fits_the_segments_that_are_paid_for(
        self, event: str, language: str, words: str
    ) -> None:
        notice = replace(
            OUTGOING,
            event=event,
            language=language,
            context={**OUTGOING.context, "title": words, "body": words, "queue_name": words},
        )

        form = sender("http://127.0.0.1:1").form(notice, now=NOW)

        assert 1 <= len(form["body"]) <= 1600
        assert segments_of(form["body"]) <= 3
        assert "https://console.example" in form["body"]
        form["body"].encode("utf-8")


class TestNumbers:
    @pytest.mark.parametrize(
        ("given_as", "spelled"),
        [
            (PHONE, PHONE),
            (" +55 (11) 98765-4321 ", PHONE),
            ("+15005550006", "+15005550006"),
            ("+390612345678", "+390612345678"),
        ],
    )
    def test_a_number_is_spelled_as_e164(self, given_as: str, spelled: str) -> None:
        assert e164(given_as) == spelled

    @pytest.mark.parametrize(
        "number",
        [
            "",
            "abc",
            "5511987654321",
            "+5511",
            "+0000000000",
            "+551198765432199999",
            "a@b.com",
            "+5511987654321;ext=5",
            "+1 555 123 4567 ext 89",
            "\x00",
            "+\u0665\u0665\u0661\u0661\u0669\u0668\u0667\u0666\u0665\u0664\u0663",
            "+5511987654321x",
        ],
    )
    def test_what_is_no_number_is_refused_without_being_shown(self, number: str) -> None:
        with pytest.raises(SendFailedError) as caught:
            e164(number)

        failure = caught.value.failure
        assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "recipient_invalid")
        assert failure.consequence is Consequence.DISABLE_RECIPIENT
        assert not number or number not in str(caught.value)


class TestRefusals:
    @pytest.mark.parametrize("code", sorted(RULES))
    async def test_every_code_of_the_table_is_what_the_table_says(
        self, server: VendorServer, code: str
    ) -> None:
        failure = await failure_of(server, twilio.refused(int(code)))

        rule = RULES[code]
        assert (failure.kind.value, failure.consequence.value) == (rule.kind, rule.effect)
        assert (failure.code, failure.http_status) == (code, 400)
        assert failure.attempts_allowed == (rule.attempts if rule.wait else None)
        assert len(server.asked) == 1, "the SDK must not repeat it"
        assert "867" not in failure.detail

    async def test_a_rate_limit_says_how_long_to_wait(self, server: VendorServer) -> None:
        failure = await failure_of(server, twilio.refused(20429, 429, Retry_After="7"))

        assert failure.kind is FailureKind.RATE_LIMITED
        assert (failure.retry_after, failure.wait_is_ours) == (timedelta(seconds=7), False)

    async def test_a_wait_of_the_table_is_ours(self, server: VendorServer) -> None:
        failure = await failure_of(server, twilio.refused(30008))

        assert (failure.retry_after, failure.wait_is_ours) == (timedelta(minutes=15), True)

    @pytest.mark.parametrize(
        ("reply", "kind", "code"),
        [
            (Reply(429, b""), FailureKind.RATE_LIMITED, "http_429"),
            (Reply(500, b""), FailureKind.TRANSIENT, "http_500"),
            (Reply(502, b"<html>Bad Gateway</html>"), FailureKind.TRANSIENT, "http_502"),
            (Reply(503, {"status": 503}), FailureKind.TRANSIENT, "http_503"),
            (Reply(504, b"<html></html>"), FailureKind.UNKNOWN, "http_504"),
            (Reply(401, {"code": 20003}), FailureKind.STOP_CHANNEL, "20003"),
            (Reply(401, b""), FailureKind.STOP_CHANNEL, "http_401"),
            (Reply(403, b""), FailureKind.STOP_CHANNEL, "http_403"),
            (Reply(404, b"nothing here"), FailureKind.PERMANENT, "http_404"),
            (Reply(400, {"code": 99999}), FailureKind.PERMANENT, "99999"),
            (Reply(500, {"code": 99999}), FailureKind.TRANSIENT, "99999"),
            (Reply(400, {"code": "x" * 500}), FailureKind.PERMANENT, "unreadable"),
            (Reply(400, {"code": 5511987654321}), FailureKind.PERMANENT, "unreadable"),
            (Reply(400, [1]), FailureKind.PERMANENT, "http_400"),
            (Reply(302, b"", {"Location": "/x"}), FailureKind.TRANSIENT, "http_302"),
            (Reply(201, b""), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(201, b"<html>"), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(201, [1]), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(201, {}), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(201, b"[" * 100_000), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(400, {"code": [1]}), FailureKind.PERMANENT, "unreadable"),
            (Reply(400, {"code": None}), FailureKind.PERMANENT, "http_400"),
            (Reply(201, {"sid": 5}), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(200, b"\xff\xfe"), FailureKind.UNKNOWN, "answer_unreadable"),
            (Reply(fault="hang_up"), FailureKind.UNKNOWN, "ConnectionError"),
            (Reply(201, {"sid": "SM1"}, fault="half"), FailureKind.UNKNOWN, "ChunkedEncodingError"),
            (twilio.accepted(status="failed", error_code=30005), FailureKind.PERMANENT, "30005"),
        ],
    )
    async def test_answers_without_a_known_code_go_by_how_far_they_came(
        self, server: VendorServer, reply: Reply, kind: FailureKind, code: str
    ) -> None:
        failure = await failure_of(server, reply)

        assert (failure.kind, failure.code) == (kind, code)

    async def test_a_problem_document_is_read_too(self, server: VendorServer) -> None:
        document = {"type": "t", "title": "x", "status": 400, "code": 21610, "detail": "STOP"}

        failure = await failure_of(server, Reply(400, document))

        assert (failure.code, failure.consequence) == ("21610", Consequence.OPT_OUT_RECIPIENT)

    async def test_silence_after_the_request_is_unknown(self, server: VendorServer) -> None:
        begun = time.monotonic()

        failure = await failure_of(server, Reply(fault="silent"), timeout=0.3)

        assert (failure.kind, failure.code) == (FailureKind.UNKNOWN, "ReadTimeout")
        assert time.monotonic() - begun < 3

    async def test_without_a_connection_nothing_was_sent(self) -> None:
        with pytest.raises(SendFailedError) as caught:
            await sender("http://127.0.0.1:1").send(OUTGOING, now=NOW)

        assert caught.value.failure.kind is FailureKind.TRANSIENT
        assert caught.value.failure.code == "connection"

    async def test_a_name_that_does_not_exist_is_no_connection(self) -> None:
        with pytest.raises(SendFailedError) as caught:
            await sender("http://nowhere.invalid").send(OUTGOING, now=NOW)

        assert caught.value.failure.kind is FailureKind.TRANSIENT

    async def test_no_log_line_holds_the_number(
        self, server: VendorServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)

        await sender(server.url).send(OUTGOING, now=NOW)
        await failure_of(server, twilio.refused(21211))

        assert "987654321" not in caplog.text
        assert "8675310" not in caplog.text


class TestLookingUp:
    async def look_up(self, server: VendorServer, *replies: Reply, **options: Any) -> Any:
        server.will(*replies)
        return await sender(server.url, **options).look_up(OUTGOING, now=NOW)

    def taken(self, **changes: Any) -> dict[str, Any]:
        body = sender("http://127.0.0.1:1").text(OUTGOING).body
        created = "Sun, 22 Nov 2026 12:00:05 +0000"
        return twilio.message(**{"body": body, "to": PHONE, "date_created": created, **changes})

    async def test_a_message_with_the_same_words_to_the_same_number_is_it(
        self, server: VendorServer
    ) -> None:
        other = twilio.message("SM" + "b" * 32, body="something else")

        found = await self.look_up(server, twilio.listed(other, self.taken()))

        assert found == Accepted(provider_id=twilio.SID, form="sms")
        query = dict(server.asked[0].query)
        assert query["To"] == PHONE
        assert query["DateSent>"] == "2026-11-22T11:50:00Z"

    async def test_a_message_that_still_waits_has_no_time_of_sending_and_is_found_too(
        self, server: VendorServer
    ) -> None:
        found = await self.look_up(server, twilio.listed(), twilio.listed(self.taken()))

        assert found is not None
        assert [dict(asked.query).get("DateSent>") for asked in server.asked][1] is None

    async def test_a_trial_account_writes_something_before_the_words(
        self, server: VendorServer
    ) -> None:
        body = f"Sent from your Twilio trial account - {self.taken()['body']}"

        assert await self.look_up(server, twilio.listed(self.taken(body=body))) is not None

    @pytest.mark.parametrize(
        "changes",
        [
            {"body": "Hi"},
            {"date_created": "Sun, 22 Nov 2026 09:00:00 +0000"},
            {"status": "failed", "error_code": 30008},
            {"status": "undelivered"},
            {"sid": None},
        ],
    )
    async def test_an_older_other_or_failed_message_is_not_it(
        self, server: VendorServer, changes: dict[str, Any]
    ) -> None:
        assert await self.look_up(server, twilio.listed(self.taken(**changes))) is None

    async def test_a_message_of_another_notice_is_not_taken_for_this_one(
        self, server: VendorServer
    ) -> None:
        reply = twilio.listed(self.taken())

        assert await self.look_up(server, reply, taken=[twilio.SID]) is None

    @pytest.mark.parametrize(
        "reply",
        [Reply(503, b""), Reply(200, b"<html>"), Reply(200, {}), Reply(fault="hang_up")],
    )
    async def test_a_provider_that_cannot_be_asked_is_no_answer(
        self, server: VendorServer, reply: Reply
    ) -> None:
        with pytest.raises(SendFailedError) as caught:
            await self.look_up(server, reply)

        assert caught.value.failure.kind is FailureKind.TRANSIENT
