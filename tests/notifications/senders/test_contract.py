"""Every body that leaves, against the vendors' own published descriptions.

Meta's OpenAPI (facebook/openapi), Twilio's (twilio/twilio-oai) and Google's discovery document of
FCM: a developer names the folder that has them.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from channels.fcm import encoded
from channels.twilio.client import TwilioClient, TwilioMessage
from channels.whatsapp import client as whatsapp
from notifications.domain.events import PolicyEvent
from notifications.senders.push import PAYLOAD_LIMIT, PushSender, size_of
from notifications.senders.sms import SmsSender
from notifications.senders.whatsapp import WhatsAppSender
from notifications.services.ports import Outgoing
from tests.channels.whatsapp.test_contract import flat
from tests.fakes import twilio_server as twilio
from tests.fakes.vendor_server import VendorServer, serving

FOLDER = Path(os.environ.get("PONTE_SPECS_DIR", "") or "/nowhere")  # noqa: TID251 - a developer's
META, TWILIO, FCM = "business-messaging-api_v23.0.yaml", "twilio_api_v2010.json", "fcm.v1.json"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PHONE, FROM = "+5511987654321", "+15557122661"
TOKEN, FID = "cB1:APA91bH_token", "cB1abcdefghijklmnopqrs"
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def needs(file: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (FOLDER / file).is_file(), reason=f"PONTE_SPECS_DIR names no folder with {file}"
    )


WORDS = st.text(max_size=1500) | st.text(alphabet="ãõç😀👨‍👩‍👧—“\u0301é€ a", max_size=1500)


@st.composite
def notices(draw: st.DrawFn) -> Outgoing:
    """Any notice: every event, language and length, emoji and all."""
    words = draw(WORDS)
    context = {
        "alert": draw(st.sampled_from(["breaker.opened", "dlq.growth", "bot.unavailable"])),
        "ticket_number": draw(st.integers(1, 10**9)),
        "ticket_id": str(uuid.UUID(int=1)),
        "reason": draw(st.sampled_from(["angry_customer", "newer_than_this"]) | WORDS),
        "queue_name": draw(WORDS),
        "priority": draw(st.sampled_from(["high", "urgent", ""])),
        "threshold": draw(st.sampled_from(["warning", "breach", None])),
        "metric": "first_response",
        "title": words,
        "body": words,
        "nobody_on_duty": draw(st.booleans()),
        "acknowledge": draw(st.booleans()),
    }
    return Outgoing(
        notification_id=uuid.UUID(int=draw(st.integers(1, 2**128 - 1))),
        attempt=1,
        recipient=PHONE,
        language=draw(st.sampled_from(["pt", "en", "es", "xx"])),
        event=draw(st.sampled_from([event.value for event in PolicyEvent])),
        context=context,
        created_at=NOW,
        correlation_id="c-1",
        urgent=draw(st.booleans()),
        expires_at=draw(
            st.none() | st.timedeltas(timedelta(days=-2), timedelta(days=90)).map(NOW.__add__)
        ),
    )


# -- WhatsApp ------------------------------------------------------------------------------------


class KeepsBodies:
    """A client of the Cloud API that keeps what it is given."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []

    async def send(self, payload: Mapping[str, Any]) -> whatsapp.Sent:
        self.bodies.append(payload)
        return whatsapp.Sent("wamid.1", None, None)


@cache
def meta_validators() -> dict[str, Draft202012Validator]:
    from ruamel.yaml import YAML  # noqa: PLC0415 - only where the file is

    with (FOLDER / META).open(encoding="utf-8") as file:
        schemas = YAML(typ="safe").load(file)["components"]["schemas"]
    mapping = schemas["Message"]["discriminator"]["mapping"]
    return {
        kind: Draft202012Validator(flat({"$ref": mapping[kind]}, schemas))
        for kind in ("text", "interactive", "template")
    }


@needs(META)
@pytest.mark.parametrize("last", [NOW, None])
@MANY
@given(notice=notices())
async def test_a_whatsapp_body_keeps_metas_description(
    last: datetime | None, notice: Outgoing
) -> None:
    client = KeepsBodies()

    async def last_message(_phone: str) -> datetime | None:
        return last

    sender = WhatsAppSender(client, last_message, "aviso", "https://console.example")
    await sender.send(notice, now=NOW)

    body = dict(client.bodies[0])
    # Younger than the description, and at most 512 characters by Meta's page of it.
    assert body.pop("biz_opaque_callback_data") == f"notification:{notice.notification_id}"
    validator = meta_validators()[body["type"]]
    assert [error.message for error in validator.iter_errors(body)] == []
    assert len(client.bodies) == 1
    if body["type"] == "text":  # a limit that the description lacks
        assert len(body["text"]["body"]) <= 4096


# -- Twilio --------------------------------------------------------------------------------------


@cache
def twilio_form() -> Draft202012Validator:
    spec = json.loads((FOLDER / TWILIO).read_text(encoding="utf-8"))
    path = spec["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]
    content = path["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    schema = {**content["schema"], "additionalProperties": False, "components": spec["components"]}
    return Draft202012Validator(schema, format_checker=FormatChecker())


class KeepsForms:
    """Twilio's client without a network: keeps what the sender asks for."""

    def __init__(self) -> None:
        self.forms: list[Mapping[str, Any]] = []

    def create(self, form: Mapping[str, Any]) -> TwilioMessage:
        self.forms.append(form)
        return TwilioMessage(twilio.SID, "queued", form["body"], None, NOW)

    def sent_to(self, number: str, *, since: datetime) -> Iterator[TwilioMessage]:
        raise NotImplementedError


def sms_sender(client: Any) -> SmsSender:
    async def none(*_args: object) -> None:
        return None

    return SmsSender(client, FROM, "https://ponte.example", "https://console.example", 3, none)


@pytest.fixture(scope="module")
def twilio_server() -> Iterator[VendorServer]:
    with serving(VendorServer(), [twilio.accepted()]) as server:
        yield server


@needs(TWILIO)
@settings(MANY, max_examples=25)  # each makes a real request
@given(notice=notices())
async def test_a_form_for_twilio_keeps_its_description(
    twilio_server: VendorServer, notice: Outgoing
) -> None:
    twilio_server.asked.clear()
    client = TwilioClient(
        account_sid=twilio.ACCOUNT, auth_token="secret", base_url=twilio_server.url
    )

    await sms_sender(client).send(notice, now=NOW)
    client.close()

    [asked] = twilio_server.asked
    form: dict[str, Any] = dict(asked.form)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    if "ValidityPeriod" in form:
        form["ValidityPeriod"] = int(form["ValidityPeriod"])  # a form has text alone
        assert 1 <= form["ValidityPeriod"] <= 36_000
    assert [error.message for error in twilio_form().iter_errors(form)] == []
    # In words of the description, not in its schema: length, E.164, host without underscores.
    assert 1 <= len(form["Body"]) <= 1600
    assert re.fullmatch(r"\+[1-9]\d{9,14}", form["To"])
    assert "_" not in str(urlsplit(form["StatusCallback"]).hostname)


@needs(TWILIO)
@pytest.mark.parametrize(
    "spoil", [{"To": None}, {"ValidityPeriod": "soon"}, {"Extra": "1"}, {"Body": 5}]
)
def test_the_check_of_forms_refuses_a_bad_one(spoil: dict[str, Any]) -> None:
    form = {"To": PHONE, "From": FROM, "Body": "oi", "ValidityPeriod": 60} | spoil

    assert not twilio_form().is_valid({k: v for k, v in form.items() if v is not None})


# -- FCM -----------------------------------------------------------------------------------------


@cache
def fcm_message() -> Draft202012Validator:
    schemas = json.loads((FOLDER / FCM).read_text(encoding="utf-8"))["schemas"]
    return Draft202012Validator(as_schema({"$ref": "SendMessageRequest"}, schemas))


def as_schema(found: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of Google's discovery format as JSON Schema; unknown fields are refused."""
    if "$ref" in found:
        return as_schema(schemas[found["$ref"]], schemas)
    if found.get("type") == "any":
        return {}
    schema: dict[str, Any] = {
        key: found[key] for key in ("type", "enum", "pattern") if key in found
    }
    if found.get("format") == "google-duration":
        schema["pattern"] = r"^\d+(\.\d{1,9})?s$"
    if "items" in found:
        schema["items"] = as_schema(found["items"], schemas)
    if found.get("type") == "object":
        fields = found.get("properties", {})
        schema["properties"] = {name: as_schema(field, schemas) for name, field in fields.items()}
        rest = found.get("additionalProperties")
        schema["additionalProperties"] = False if rest is None else as_schema(rest, schemas)
    return schema


MAPS = {"data", "headers", "payload"}
"""Fields whose keys are ours; the SDK writes all others with underscores, which FCM takes too."""


def camel(value: Any, *, keep: bool = False) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name if keep else re.sub(r"_(\w)", lambda found: found[1].upper(), name): camel(
            item, keep=keep or name in MAPS
        )
        for name, item in value.items()
    }


@needs(FCM)
@pytest.mark.parametrize("recipient", [TOKEN, FID])
@MANY
@given(notice=notices())
def test_a_push_message_keeps_googles_description(recipient: str, notice: Outgoing) -> None:
    sender = PushSender(None, "https://console.example")  # type: ignore[arg-type]

    message = sender.message(replace(notice, recipient=recipient), now=NOW)

    body = camel({"message": encoded(message), "validate_only": False})
    assert [error.message for error in fcm_message().iter_errors(body)] == []
    assert size_of(message) <= PAYLOAD_LIMIT
    # In words of the description: one target; headers of APNs and web push are text.
    assert len({"token", "fid", "topic", "condition"} & body["message"].keys()) == 1
    for part in ("apns", "webpush"):
        assert all(isinstance(value, str) for value in body["message"][part]["headers"].values())
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", body["message"]["webpush"]["headers"]["Topic"])
    assert len(body["message"]["apns"]["headers"]["apns-collapse-id"].encode()) <= 64


@needs(FCM)
@pytest.mark.parametrize(
    "spoil",
    [{"token": 5}, {"unknown": "x"}, {"data": {"n": 1}}, {"android": {"ttl": "soon"}}],
)
def test_the_check_of_push_messages_refuses_a_bad_one(spoil: dict[str, Any]) -> None:
    assert not fcm_message().is_valid({"message": {"token": TOKEN, **spoil}})
    assert fcm_message().is_valid({"message": {"token": TOKEN}})
