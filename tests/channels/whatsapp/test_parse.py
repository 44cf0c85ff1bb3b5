from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.message import (
    ChannelNotice,
    HumanEcho,
    InboundMessage,
    MessageKind,
    SenderIdentity,
    StatusUpdate,
)
from channels.whatsapp.parse import MalformedWebhookError, parse_webhook

MEDIA = {"id": "190864", "mime_type": "image/jpeg", "sha256": "abc", "url": "https://lookaside/x"}


def only(body: bytes) -> Any:
    parsed = parse_webhook(body)
    assert len(parsed.items) == 1, parsed
    return parsed.items[0]


def only_message(item: dict[str, Any], **parts: Any) -> InboundMessage:
    found = only(samples.webhook(item, **parts))
    assert isinstance(found, InboundMessage), found
    return found


def interactive(kind: str, **reply: Any) -> dict[str, Any]:
    return samples.message("interactive", {"type": kind, kind: reply})


TYPES: list[tuple[dict[str, Any], MessageKind, dict[str, Any]]] = [
    (samples.text("Oi ☕ ação"), MessageKind.TEXT, {"text": "Oi ☕ ação"}),
    (
        interactive("button_reply", id="/affirm", title="Sim"),
        MessageKind.BUTTON_REPLY,
        {"text": "Sim", "reply_id": "/affirm"},
    ),
    (
        interactive("list_reply", id="/boleto", title="2a via", description="boleto"),
        MessageKind.LIST_REPLY,
        {"text": "2a via", "reply_id": "/boleto", "data": {"description": "boleto"}},
    ),
    (
        samples.message("button", {"text": "Parar", "payload": "stop"}),
        MessageKind.BUTTON,
        {"text": "Parar", "reply_id": "stop", "context_id": None},
    ),
    (
        interactive("nfm_reply", name="flow", body="Sent", response_json='{"cpf": "1"}'),
        MessageKind.INTERACTIVE_OTHER,
        {"text": "Sent"},
    ),
    (
        interactive("call_permission_reply", response="accept"),
        MessageKind.INTERACTIVE_OTHER,
        {"text": None},
    ),
    (samples.message("image", {**MEDIA, "caption": "veja"}), MessageKind.IMAGE, {"text": "veja"}),
    (samples.message("video", MEDIA), MessageKind.VIDEO, {"text": None}),
    (samples.message("audio", {**MEDIA, "voice": True}), MessageKind.VOICE, {}),
    (samples.message("audio", {**MEDIA, "voice": False}), MessageKind.AUDIO, {}),
    (samples.message("document", {**MEDIA, "filename": "a.pdf"}), MessageKind.DOCUMENT, {}),
    (samples.message("sticker", {**MEDIA, "animated": True}), MessageKind.STICKER, {}),
    (
        samples.message("location", {"latitude": -23.5, "longitude": -46.6}),
        MessageKind.LOCATION,
        {},
    ),
    (samples.message("contacts", [{"name": {"formatted_name": "X"}}]), MessageKind.CONTACTS, {}),
    (samples.message("reaction", {"message_id": "w1", "emoji": "👍"}), MessageKind.REACTION, {}),
    (samples.message("reaction", {"message_id": "w1"}), MessageKind.REACTION, {}),
    (
        samples.message("order", {"catalog_id": "1", "text": "dois", "product_items": []}),
        MessageKind.ORDER,
        {"text": "dois"},
    ),
    (
        samples.message("system", {"body": "mudou", "type": "user_changed_number", "wa_id": "55"}),
        MessageKind.SYSTEM,
        {"text": "mudou"},
    ),
    (
        samples.message("unsupported", errors=[{"code": 131051, "title": "Unsupported"}]),
        MessageKind.UNSUPPORTED,
        {"text": None},
    ),
    (
        samples.message(
            "edit",
            {
                "original_message_id": "w0",
                "message": {"type": "text", "text": {"body": "corrigido"}},
            },
        ),
        MessageKind.EDIT,
        {"text": "corrigido", "data": {"original_message_id": "w0"}},
    ),
    (
        samples.message("revoke", {"original_message_id": "w0"}),
        MessageKind.REVOKE,
        {"data": {"original_message_id": "w0"}},
    ),
    (samples.message("request_welcome"), MessageKind.REQUEST_WELCOME, {}),
    (samples.message("hologram", {"x": 1}), MessageKind.UNKNOWN, {"data": {"type": "hologram"}}),
    (samples.message("unknown"), MessageKind.UNKNOWN, {}),
]


@pytest.mark.parametrize(("item", "kind", "expected"), TYPES, ids=lambda value: str(value)[:40])
def test_every_documented_type_is_read(
    item: dict[str, Any], kind: MessageKind, expected: dict[str, Any]
) -> None:
    found = only_message(item)

    assert found.kind == kind
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.sender == SenderIdentity(
        user_id=samples.USER_ID,
        phone="+" + samples.WA_ID,
        username="ana.lima",
        profile_name="Ana Lima",
    )
    assert found.dedup_key == samples.WAMID
    assert found.account_id == samples.PHONE_NUMBER_ID
    assert found.timestamp == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert found.raw == item


@pytest.mark.parametrize(
    ("item", "readable", "answer"),
    [
        (samples.text(), True, True),
        (interactive("button_reply", id="/a", title="A"), True, True),
        (interactive("list_reply", id="/a", title="A"), True, True),
        (samples.message("button", {"text": "A", "payload": "a"}), True, True),
        (samples.message("image", MEDIA), False, True),
        (samples.message("unsupported"), False, True),
        (samples.message("hologram"), False, True),
        (samples.message("reaction", {"message_id": "w"}), False, False),
        (samples.message("system", {"body": "x"}), False, False),
        (samples.message("edit", {}), False, False),
        (samples.message("revoke", {}), False, False),
        (samples.message("request_welcome"), False, False),
        (samples.text(group_id="g1"), False, False),
        (samples.message("text", {}), False, True),
    ],
)
def test_a_message_says_whether_the_bot_can_read_it_and_whether_it_wants_an_answer(
    item: dict[str, Any], *, readable: bool, answer: bool
) -> None:
    found = only_message(item)

    assert (found.readable_by_bot, found.needs_answer) == (readable, answer)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1795348800", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        (1795348800, datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("1795348800250", datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(milliseconds=250)),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("0", None),
        ("9" * 400, None),
        (True, None),
        ([], None),
    ],
)
def test_a_timestamp_may_be_in_seconds_or_milliseconds_or_missing(
    written: Any, expected: datetime | None
) -> None:
    assert only_message(samples.text(timestamp=written)).timestamp == expected


def test_every_message_of_every_change_of_every_entry_is_found_in_order() -> None:
    changes = [
        [
            samples.change(samples.value(messages=[samples.text(id=f"w{e}{c}{m}") for m in "123"]))
            for c in "12"
        ]
        for e in "12"
    ]

    parsed = parse_webhook(samples.body(samples.envelope(*changes)))

    expected = [f"w{e}{c}{m}" for e in "12" for c in "12" for m in "123"]
    assert [item.dedup_key for item in parsed.items] == expected
    assert parsed.problems == ()


def test_each_message_of_a_batch_gets_its_own_contact() -> None:
    people = [
        {"profile": {"name": "B"}, "wa_id": "5521999990002", "user_id": "BR.2"},
        {"profile": {"name": "C"}, "user_id": "BR.3"},
        {"profile": {"name": "A"}, "wa_id": "5531999990001"},
    ]
    items = [
        samples.text(id="a", from_="553199990001", from_user_id=None),  # no ninth digit here
        samples.text(id="b", from_="5521999990002", from_user_id=None),
        samples.text(id="c", from_=None, from_user_id="BR.3"),
    ]

    parsed = parse_webhook(samples.webhook(*items, contacts=people))

    assert [(item.sender.profile_name, item.sender.user_id) for item in parsed.items] == [  # type: ignore[union-attr]  # all are messages
        ("A", None),
        ("B", "BR.2"),
        ("C", "BR.3"),
    ]


def test_a_lone_contact_of_another_person_is_not_taken() -> None:
    other = {"profile": {"name": "Other"}, "wa_id": "5521999990002"}

    found = only_message(samples.text(from_user_id=None), contacts=[other])

    assert found.sender == SenderIdentity(phone="+" + samples.WA_ID)


@pytest.mark.parametrize("contacts", [None, [], [{}], ["x"], "x"])
def test_missing_or_odd_contacts_cost_nothing_but_the_name(contacts: Any) -> None:
    found = only_message(samples.text(), contacts=contacts)

    assert found.sender == SenderIdentity(user_id=samples.USER_ID, phone="+" + samples.WA_ID)


def test_a_person_without_a_number_is_known_by_the_user_id() -> None:
    contact = {"profile": {"name": "Ana", "username": "ana"}, "user_id": "BR.9"}

    found = only_message(samples.text(from_=None, from_user_id="BR.9"), contacts=[contact])

    assert (found.sender.user_id, found.sender.phone) == ("BR.9", None)


def test_a_sender_that_is_no_number_still_identifies_the_person() -> None:
    found = only_message(samples.text(from_="US.1349", from_user_id=None), contacts=None)

    assert found.sender == SenderIdentity(user_id="US.1349")


def test_a_message_from_nobody_is_kept_as_a_notice_and_the_others_are_read() -> None:
    nobody = samples.text(id="n", from_=None, from_user_id=None)

    parsed = parse_webhook(samples.webhook(nobody, samples.text(id="s"), 7, None, contacts=[]))

    kinds = [type(item).__name__ for item in parsed.items]
    assert kinds == ["ChannelNotice", "InboundMessage", "ChannelNotice", "ChannelNotice"]
    assert [problem.path for problem in parsed.problems] == [
        f"entry[0].changes[0].value.messages[{number}]" for number in (0, 2, 3)
    ]
    assert parsed.items[0].raw == nobody


def test_a_message_without_an_id_has_the_same_key_again_on_redelivery() -> None:
    body = samples.webhook(samples.text(id=None))

    assert only(body).dedup_key == only(body).dedup_key
    assert only(body).dedup_key != only(samples.webhook(samples.text("b", id=None))).dedup_key


@pytest.mark.parametrize("written", ["{not json", '"text"', "[1]", "", None, 5])
def test_a_flow_answer_that_is_no_object_is_kept_as_written(written: Any) -> None:
    found = only_message(interactive("nfm_reply", name="flow", response_json=written))

    assert found.data["flow"] == {"name": "flow", "response": None, "written": written}


def test_a_flow_answer_is_read() -> None:
    found = only_message(interactive("nfm_reply", response_json='{"cpf": "123"}'))

    assert found.data["flow"]["response"] == {"cpf": "123"}


def test_context_and_referral_are_kept() -> None:
    item = samples.text(
        context={"from": "55", "id": "w0", "forwarded": True},
        referral={"source_type": "ad", "source_id": "1"},
    )

    found = only_message(item)

    assert found.context_id == "w0"
    assert found.data == {"forwarded": True}
    assert found.referral == {"source_type": "ad", "source_id": "1"}


@pytest.mark.parametrize("name", ["sent", "delivered", "read", "played", "DELETED", "something"])
def test_a_status_is_read_with_its_callback_data(name: str) -> None:
    body = samples.body(
        samples.envelope([samples.change(samples.value(statuses=[samples.status(name)]))])
    )

    found = only(body)

    assert isinstance(found, StatusUpdate)
    assert found.status == name.lower()
    assert found.dedup_key == f"{samples.WAMID}:{name.lower()}"
    assert found.callback_data == "0199-turn"
    assert found.recipient.phone == "+" + samples.WA_ID


@pytest.mark.parametrize("contacts", [None, [{"wa_id": samples.WA_ID}]])
def test_a_failed_status_is_read_with_and_without_contacts(contacts: Any) -> None:
    part = samples.value(statuses=[samples.failed_status()], contacts=contacts)

    found = only(samples.body(samples.envelope([samples.change(part)])))

    assert isinstance(found, StatusUpdate)
    assert found.errors[0].code == 131047
    assert found.errors[0].details == "More than 24 hours have passed."


def test_messages_statuses_and_errors_of_one_value_are_all_found() -> None:
    part = samples.value(
        messages=[samples.text()],
        statuses=[samples.status(), {"id": "only an id"}],
        errors=[{"code": 130429, "title": "Rate limit hit"}],
    )

    parsed = parse_webhook(samples.body(samples.envelope([samples.change(part)])))

    assert [type(item).__name__ for item in parsed.items] == [
        "InboundMessage",
        "StatusUpdate",
        "ChannelNotice",
        "ChannelNotice",
    ]
    notice = parsed.items[3]
    assert isinstance(notice, ChannelNotice)
    assert (notice.topic, notice.errors[0].code) == ("error", 130429)


@pytest.mark.parametrize(
    "field",
    [
        "message_template_status_update",
        "account_update",
        "calls",
        "history",
        "user_preferences",
        "phone_number_quality_update",
        "something_of_next_year",
    ],
)
def test_another_field_is_a_notice(field: str) -> None:
    part = {"event": "APPROVED", "message_template_name": "x"}
    body = samples.body(samples.envelope([samples.change(part, field)]))

    found = only(body)

    assert isinstance(found, ChannelNotice)
    assert found.topic == field
    assert found.raw["value"] == part
    assert found.dedup_key == only(body).dedup_key


def test_a_message_answered_in_the_phone_app_is_a_human_echo() -> None:
    echo = samples.text("Já resolvi", from_="551155501234", from_user_id=None, to=samples.WA_ID)
    part = samples.value(message_echoes=[echo])

    found = only(samples.body(samples.envelope([samples.change(part, "smb_message_echoes")])))

    assert isinstance(found, HumanEcho)
    assert (found.recipient.phone, found.text) == ("+" + samples.WA_ID, "Já resolvi")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        None,
        5,
        "x",
        {"object": "page", "entry": []},
        {"object": "whatsapp_business_account"},
        {"object": "whatsapp_business_account", "entry": {}},
        {"object": "whatsapp_business_account", "entry": [None]},
        {"object": "whatsapp_business_account", "entry": [{"changes": {}}]},
        {"object": "whatsapp_business_account", "entry": [{"changes": [None]}]},
        {"object": "whatsapp_business_account", "entry": [{"changes": [{"value": []}]}]},
        {
            "object": "whatsapp_business_account",
            "entry": [{"changes": [{"value": {"messages": {}}}]}],
        },
    ],
)
def test_a_strange_envelope_becomes_one_notice(payload: Any) -> None:
    assert isinstance(only(samples.body(payload)), ChannelNotice)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"<html>", b"{'a': 1}"])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedWebhookError):
        parse_webhook(body)


def test_characters_that_a_database_refuses_are_replaced() -> None:
    body = samples.webhook(samples.text("a\x00b\ud800c"))

    found = only(body)

    assert found.text == "ab\ufffdc"
    assert json.dumps(found.raw, ensure_ascii=False).encode()


@pytest.mark.parametrize("depth", [100, 100_000])
def test_json_nested_without_end_is_kept_as_text(depth: int) -> None:
    found = only(b"[" * depth + b"]" * depth)

    assert isinstance(found, ChannelNotice)
    assert found.dedup_key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = (
    *("text", "interactive", "image", "button", "system", "location", "contacts", "edit"),
    *("reaction", "order", "from", "id", "timestamp", "type", "context", "referral", "errors"),
    *("nfm_reply", "button_reply", "status", "recipient_id", "group_id"),
)
NAMES = st.sampled_from(FIELDS)
ODD_ITEMS = st.dictionaries(NAMES, JSON | NAMES)


@given(JSON)
def test_no_json_whatever_raises(payload: Any) -> None:
    for item in parse_webhook(json.dumps(payload).encode()).items:
        assert item.dedup_key


@settings(max_examples=300)
@given(st.lists(ODD_ITEMS | JSON, max_size=3), st.lists(ODD_ITEMS | JSON, max_size=3), JSON)
def test_every_item_of_any_shape_is_kept_once(
    messages: list[Any], statuses: list[Any], contacts: Any
) -> None:
    part = {"messages": messages, "statuses": statuses, "contacts": contacts}

    parsed = parse_webhook(samples.body(samples.envelope([samples.change(part)])))

    assert len(parsed.items) == max(len(messages) + len(statuses), 1)
    assert all(item.dedup_key for item in parsed.items)
