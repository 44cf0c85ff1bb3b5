"""The webhooks of Twilio with the SDK's own signatures, and the database behind them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sanic import Sanic
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine
from twilio.request_validator import RequestValidator

from channels.twilio.signature import Form
from channels.twilio.webhooks import Wish, wish_of
from kit.clock import FakeClock
from kit.ids import new_id
from notifications.api.twilio_webhooks import TwilioWebhookDeps, create_blueprint
from notifications.domain.jobs import Channel, JobName
from notifications.senders.callback import CALLBACK_RETRIES
from notifications.services import twilio_inbox
from notifications.services.addresses import refusals
from notifications.services.twilio_inbox import TwilioInbox
from tests.notifications.conftest import World
from ticketing.db.engine import Database
from ticketing.db.notification_tables import DeadLetter
from ticketing.db.tables import WebhookItem
from ticketing.http.rate_limit import Rate
from ticketing.services import inbound

TOKEN = "the-auth-token"
PUBLIC = "https://ponte.example"
PHONE = "+5511987654321"
SID = "SM" + "a" * 32
OTHER_SID = "SM" + "b" * 32
STATUS, INCOMING = "/webhooks/twilio/status", "/webhooks/twilio/incoming"
Pairs = Sequence[tuple[str, str]]


class Door:
    """The webhooks with everything behind them."""

    def __init__(
        self,
        world: World,
        *,
        public: str = PUBLIC,
        forgeries: Rate | None = None,
        inbox: TwilioInbox | None = None,
    ) -> None:
        self.world = world
        self.inbox = inbox or TwilioInbox(world.db, world.clock, world.give_up)
        self.app: Sanic[Any, Any] = Sanic(f"door-{id(self)}", configure_logging=False)
        limits = {} if forgeries is None else {"forgeries": forgeries}
        deps = TwilioWebhookDeps(TOKEN, public, self.inbox, world.clock, **limits)
        self.app.blueprint(create_blueprint(deps))

    async def post(
        self,
        path: str,
        form: Pairs,
        *,
        signed_url: str | None = None,
        token: str = TOKEN,
        signature: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        body = urlencode(form)
        url = signed_url or PUBLIC + path
        signature = signature or RequestValidator(token).compute_signature(url, Form(form))
        sent = {
            "X-Twilio-Signature": signature,
            "Content-Type": "application/x-www-form-urlencoded",
            **(headers or {}),
        }
        _, response = await self.app.asgi_client.post(path, content=body, headers=sent)
        return response

    async def tell(
        self, notification_id: uuid.UUID | str, status: str, *, sid: str = SID, code: str = ""
    ) -> int:
        form = [("MessageSid", sid), ("MessageStatus", status), ("To", PHONE), ("AccountSid", "AC")]
        if code:
            form.append(("ErrorCode", code))
        return int((await self.post(f"{STATUS}?n={notification_id}", form)).status)

    async def write(self, text: str, *, sid: str, **fields: str) -> Any:
        form = [("MessageSid", sid), ("From", PHONE), ("To", "+15557122661"), ("Body", text)]
        return await self.post(INCOMING, form + list(fields.items()))

    async def items(self) -> list[WebhookItem]:
        async with self.world.db.transaction() as session:
            return list(await session.scalars(select(WebhookItem)))

    async def sms(self, **changes: Any) -> uuid.UUID:
        values = {"state": "sent", "provider_id": SID, "attempts": 1, "recipient": PHONE} | changes
        return await self.world.make_notification(JobName.SEND_SMS, **values)

    async def refusal(self) -> str | None:
        async with self.world.db.transaction() as session:
            pair = (Channel.SMS, PHONE)
            return (await refusals(session, [pair], now=self.world.clock.now())).get(pair)


@pytest.fixture
def door(world: World) -> Door:
    return Door(world)


class TestSignature:
    FORM = (("MessageSid", SID), ("MessageStatus", "sent"), ("Body", ""), ("A", "2"), ("A", "1"))

    async def test_every_field_counts_also_empty_and_repeated_ones(self, door: Door) -> None:
        assert (await door.post(f"{STATUS}?n=1", self.FORM)).status == 200

    @pytest.mark.parametrize(
        ("public", "signed"),
        [
            (PUBLIC, "https://ponte.example:443"),
            ("https://ponte.example/", PUBLIC),
            ("https://ponte.example:8443", "https://ponte.example:8443"),
            ("https://ponte.example:8443", "https://ponte.example"),
            ("https://ponte.example/under", "https://ponte.example/under"),
        ],
    )
    async def test_the_public_address_counts_with_its_port_or_without(
        self, world: World, public: str, signed: str
    ) -> None:
        door = Door(world, public=public)

        response = await door.post(f"{STATUS}?n=1", self.FORM, signed_url=f"{signed}{STATUS}?n=1")

        assert response.status == 200

    async def test_the_overrides_may_be_part_of_what_is_signed(self, door: Door) -> None:
        url = f"{PUBLIC}{STATUS}?n=1#{CALLBACK_RETRIES}"

        assert (await door.post(f"{STATUS}?n=1", self.FORM, signed_url=url)).status == 200

    @pytest.mark.parametrize(
        "wrong",
        [
            {"token": "another"},
            {"signature": "x"},
            {"signed_url": f"{PUBLIC}{STATUS}?n=2"},
            {"signed_url": f"http://ponte.example{STATUS}?n=1"},
            {"headers": {"X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_MD5"}},
        ],
    )
    async def test_anything_else_is_refused_and_not_stored(
        self, door: Door, wrong: dict[str, Any]
    ) -> None:
        response = await door.post(f"{STATUS}?n=1", self.FORM, **wrong)

        assert response.status == 403
        assert await door.items() == []

    async def test_a_changed_field_is_refused(self, door: Door) -> None:
        good = RequestValidator(TOKEN).compute_signature(f"{PUBLIC}{STATUS}", Form(self.FORM))
        form = [*self.FORM, ("MessageStatus", "delivered")]

        assert (await door.post(STATUS, form, signature=good)).status == 403

    async def test_a_body_that_is_far_too_long_is_refused(self, door: Door) -> None:
        assert (await door.post(STATUS, [("Body", "x" * 70_000)])).status == 403
        assert (await door.post(STATUS, [("a", "")] * 600)).status == 403

    async def test_forgers_are_slowed_down_and_twilio_is_not(self, world: World) -> None:
        door = Door(world, forgeries=Rate(burst=1, every=timedelta(minutes=1)))

        answers = [await door.post(STATUS, self.FORM, token="no") for _ in range(2)]

        assert [answer.status for answer in answers] == [403, 429]
        assert answers[1].headers["Retry-After"] == "60"
        assert (await door.post(STATUS, self.FORM)).status == 200


class TestStatus:
    @pytest.mark.parametrize(
        ("told", "state"),
        [
            (["queued"], "sent"),
            (["sending"], "sent"),
            (["sent", "delivered"], "delivered"),
            (["delivered", "sent", "queued"], "delivered"),
            (["delivered", "undelivered"], "delivered"),
            (["read", "delivered"], "read"),
            (["something-new"], "unknown"),
            (["receiving"], "unknown"),
        ],
    )
    async def test_a_state_only_rises_whatever_the_order(
        self, door: Door, told: list[str], state: str
    ) -> None:
        notice = await door.sms(state="unknown", provider_id=None)

        for status in told:
            assert await door.tell(notice, status) == 200

        assert (await door.world.notification(notice)).state == state

    async def test_a_callback_that_comes_before_the_answer_is_heard(self, door: Door) -> None:
        notice = await door.sms(state="sending", provider_id=None)

        await door.tell(notice, "sent")

        row = await door.world.notification(notice)
        assert (row.state, row.provider_id) == ("sent", SID)

    @pytest.mark.parametrize(
        ("code", "state", "reason", "refused"),
        [
            ("30005", "failed", "permanent", "disabled"),
            ("21610", "failed", "permanent", "opted_out"),
            ("30007", "failed", "permanent", None),
            ("30008", "pending", None, None),
            ("", "failed", "permanent", None),
            ("99999", "failed", "permanent", None),
        ],
    )
    async def test_a_failure_is_what_the_table_says(
        self, door: Door, code: str, state: str, reason: str | None, refused: str | None
    ) -> None:
        notice = await door.sms()

        await door.tell(notice, "undelivered", code=code)

        row = await door.world.notification(notice)
        assert row.state == state
        assert await door.refusal() == refused
        async with door.world.db.transaction() as session:
            letter = await session.scalar(
                select(DeadLetter).where(DeadLetter.notification_id == notice)
            )
        assert (letter and letter.reason) == reason
        if state == "pending":
            assert row.next_attempt_at is not None
            assert row.next_attempt_at - door.world.clock.now() >= timedelta(minutes=15)

    async def test_three_times_out_of_reach_suspend_the_number(self, door: Door) -> None:
        for _ in range(3):
            sid = f"SM{new_id().hex}"
            await door.tell(await door.sms(provider_id=sid), "undelivered", sid=sid, code="30003")

        assert await door.refusal() == "suspended"

    @pytest.mark.parametrize(("code", "state"), [("30008", "pending"), ("30005", "failed")])
    @pytest.mark.parametrize("late", ["queued", "sending", "sent"])
    async def test_a_failure_that_came_before_an_older_callback_stays(
        self, door: Door, code: str, state: str, late: str
    ) -> None:
        """They come in any order: taken for a success it would be lost."""
        notice = await door.sms(state="unknown", provider_id=None)

        await door.tell(notice, "undelivered", code=code)
        await door.tell(notice, late)

        assert (await door.world.notification(notice)).state == state
        await door.tell(notice, "delivered")
        assert (await door.world.notification(notice)).state == "delivered"

    async def test_a_failure_of_an_earlier_message_is_not_heard(self, door: Door) -> None:
        notice = await door.sms()

        await door.tell(notice, "failed", sid=OTHER_SID, code="30005")

        assert (await door.world.notification(notice)).state == "sent"

    async def test_a_callback_without_our_id_is_found_by_twilios(self, door: Door) -> None:
        notice = await door.sms()

        assert await door.tell("", "delivered") == 200

        assert (await door.world.notification(notice)).state == "delivered"

    @pytest.mark.parametrize("named", ["", "x", "é" * 900, str(uuid.UUID(int=9))])
    async def test_what_is_about_nobodys_notice_is_stored_and_done(
        self, door: Door, named: str
    ) -> None:
        form = [("MessageSid", SID), ("MessageStatus", "sent")]
        path = f"{STATUS}?{urlencode({'n': named})}"

        assert (await door.post(path, form)).status == 200

        [item] = await door.items()
        assert item.done_at is not None

    async def test_a_callback_about_another_channels_notice_changes_nothing(
        self, door: Door
    ) -> None:
        mail = await door.world.make_notification(state="sent")

        await door.tell(mail, "failed", code="30005")

        assert (await door.world.notification(mail)).state == "sent"

    async def test_a_callback_that_comes_twice_is_stored_once(self, door: Door) -> None:
        notice = await door.sms()

        answers = await asyncio.gather(*(door.tell(notice, "delivered") for _ in range(4)))

        assert set(answers) == {200}
        assert len(await door.items()) == 1

    async def test_callbacks_without_an_id_are_told_apart_by_what_they_say(
        self, door: Door
    ) -> None:
        for body in ("a", "b", "b"):
            await door.post(INCOMING, [("From", PHONE), ("Body", body)])

        assert len(await door.items()) == 2


FIELDS = st.sampled_from(
    ["MessageSid", "MessageStatus", "SmsStatus", "ErrorCode", "To", "From", "Body", "OptOutType"]
)
VALUES = st.sampled_from(["", "sent", "failed", "STOP", "30003", PHONE, SID, "\x00"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=200
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    form=st.lists(st.tuples(FIELDS, VALUES), max_size=12),
    named=VALUES,
    path=st.sampled_from([STATUS, INCOMING]),
)
async def test_whatever_twilio_signs_is_stored_and_done(
    door: Door, form: list[tuple[str, str]], named: str, path: str
) -> None:
    response = await door.post(f"{path}?{urlencode({'n': named})}", form)

    assert response.status == 200
    assert all(item.done_at is not None for item in await door.items())


class Broken(TwilioInbox):
    """Stores, and cannot apply."""

    async def _apply_status(self, *_args: object) -> None:
        message = "no"
        raise RuntimeError(message)


class TestNothingIsLost:
    async def test_what_cannot_be_applied_is_stored_and_applied_by_the_sweep(
        self, door: Door
    ) -> None:
        notice = await door.sms()
        broken = Door(door.world, inbox=Broken(door.inbox.db, door.inbox.clock, door.inbox.give_up))

        assert await broken.tell(notice, "delivered") == 200
        door.world.clock.advance(timedelta(seconds=6))
        assert await broken.inbox.sweep() == 1
        [item] = await door.items()
        assert (item.done_at, item.attempts, item.error) == (None, 1, "RuntimeError")

        assert await door.inbox.sweep() == 1

        [item] = await door.items()
        assert item.done_at is not None
        assert (await door.world.notification(notice)).state == "delivered"
        assert await door.inbox.sweep() == 0

    async def test_when_nothing_can_be_stored_twilio_is_asked_to_come_again(
        self, world: World, clock: FakeClock
    ) -> None:
        away = Database(create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
        door = Door(world, inbox=TwilioInbox(away, clock, world.give_up))

        assert await door.tell("", "delivered") == 500
        assert (await door.write("oi", sid=SID)).status == 500
        await away.close()

    async def test_the_sweep_of_conversations_leaves_these_items_alone(self, door: Door) -> None:
        row = WebhookItem(
            id=new_id(),
            channel=twilio_inbox.CHANNEL,
            dedup_key="x",
            kind="message",
            raw={"form": {"Body": ["oi"]}},
            item={},
            received_at=door.world.clock.now() - timedelta(hours=1),
            correlation_id="c",
        )
        await door.world.add(row)

        assert await inbound.waiting(door.world.db, before=door.world.clock.now()) == []
        assert await door.inbox.sweep() == 1


class TestIncoming:
    async def test_stop_and_start_hold_for_the_number(self, door: Door) -> None:
        response = await door.write(" Stop. ", sid="SM1")
        assert (response.status, response.content_type) == (200, "text/xml; charset=utf-8")
        assert response.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
        assert await door.refusal() == "opted_out"

        await door.write("oi, tudo bem?", sid="SM2")
        assert await door.refusal() == "opted_out"

        await door.write("START", sid="SM3")
        assert await door.refusal() is None

    async def test_what_twilio_says_it_is_decides(self, door: Door) -> None:
        await door.write("chega", sid="SM1", OptOutType="STOP")
        assert await door.refusal() == "opted_out"

        await door.write("stop", sid="SM2", OptOutType="HELP")
        await door.write("pode mandar", sid="SM3", OptOutType="START")
        assert await door.refusal() is None

    async def test_a_stop_that_comes_again_after_start_changes_nothing(self, door: Door) -> None:
        await door.write("STOP", sid="SM1")
        await door.write("START", sid="SM2")

        await door.write("STOP", sid="SM1")

        assert await door.refusal() is None

    async def test_other_texts_are_kept(self, door: Door) -> None:
        await door.write("quero falar com alguém 😀", sid="SM1")

        [item] = await door.items()
        assert item.raw["form"]["Body"] == ["quero falar com alguém 😀"]
        assert item.item == {"sender": {"phone": PHONE}}
        assert item.done_at is not None

    @pytest.mark.parametrize("sender", ["", "12345", "anonymous"])
    async def test_who_has_no_number_is_no_problem(self, door: Door, sender: str) -> None:
        form = [("MessageSid", "SM1"), ("From", sender), ("Body", "STOP")]

        assert (await door.post(INCOMING, form)).status == 200

    @pytest.mark.parametrize(
        ("text", "wish"),
        [
            ("STOP", Wish.STOP),
            ("stop!", Wish.STOP),
            ("Pare", Wish.STOP),
            ("SAIR", Wish.STOP),
            ("baja", Wish.STOP),
            ("Começar", Wish.START),
            ("unstop", Wish.START),
            ("help", Wish.HELP),
            ("não pare", Wish.NONE),
            ("please stop it", Wish.NONE),
            ("", Wish.NONE),
            ("sim", Wish.NONE),
        ],
    )
    def test_one_word_alone_is_a_wish(self, text: str, wish: Wish) -> None:
        assert wish_of(text) is wish
