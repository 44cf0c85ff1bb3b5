from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from notifications.domain.failure import Consequence, Failure, FailureKind
from notifications.domain.jobs import Channel
from notifications.domain.phone import InvalidPhoneError, phone_number
from notifications.services.addresses import note, opt_out, refusals
from notifications.services.preferences import (
    MOST_DEVICES,
    DeviceNotFoundError,
    NotRefusedError,
    PreferenceError,
    Wishes,
    add_device,
    preferences_of,
    remove_device,
    resume,
    save_preferences,
    turn_off_email,
)
from notifications.services.recipients import (
    AdminContact,
    find_admin,
    find_agent,
    on_duty_agents,
)
from ticketing.db.notification_tables import PushDevice

PHONE = "+5511912345678"
TOKEN = "token-of-a-browser-000001"


def wishes(**changes: Any) -> Wishes:
    values: dict[str, Any] = {
        "phone": None, "channels": {}, "quiet_from": None, "quiet_to": None,
    }  # fmt: skip
    return Wishes(**values | changes)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("+5511912345678", PHONE),
        ("+55 (11) 91234-5678", PHONE),
        ("(11) 91234-5678", PHONE),
        ("+1 202 555 0123", "+12025550123"),
        ("+34612345678", "+34612345678"),
    ],
)
def test_a_phone_number_has_one_spelling(written: str, expected: str) -> None:
    assert phone_number(written) == expected


@pytest.mark.parametrize(
    "written", ["", "abc", "+5521", "+55119123456789012", "+0000000000", "190", "+5500912345678"]
)
def test_a_number_that_cannot_exist_is_refused_without_being_repeated(written: str) -> None:
    with pytest.raises(InvalidPhoneError) as refused:
        phone_number(written)
    assert not written or written not in str(refused.value)


async def test_wishes_are_what_a_recipient_is_made_of(world: Any) -> None:
    queue = await world.make_queue()
    agent = await world.make_agent("ana@example.com", queue)
    now = world.clock.now()
    async with world.db.transaction() as session:
        wanted = wishes(
            phone="(11) 91234-5678",
            channels={"ticket-opened": ["push"], "sla-alert": ["email", "whatsapp", "sms", "push"]},
            quiet_from=time(22),
            quiet_to=time(7),
        )
        await save_preferences(session, agent.id, wanted, now=now)
        await add_device(session, agent.id, token=TOKEN, name="Chrome", now=now)

    async with world.db.transaction() as session:
        [person] = await on_duty_agents(session, "n1")
        by_mail = await find_agent(session, "ANA@example.com")
        by_id = await find_agent(session, str(agent.id))
        nobody = await find_agent(session, "nobody")
        admin = await find_admin(session, AdminContact("ana@example.com", "+5511900000000"))
        admin_own = await find_admin(session, AdminContact("ana@example.com"))
        number_only = await find_admin(session, AdminContact(None, PHONE))

    assert person == by_mail == by_id
    assert nobody is None
    assert person.addresses(Channel.EMAIL) == ("ana@example.com",)
    assert person.addresses(Channel.SMS) == person.addresses(Channel.WHATSAPP) == (PHONE,)
    assert person.addresses(Channel.PUSH) == (TOKEN,)
    assert person.agent_id == agent.id
    assert person.wants("ticket-opened", Channel.PUSH)
    assert not person.wants("ticket-opened", Channel.EMAIL)
    assert person.wants("sla-alert", Channel.EMAIL)
    assert person.wants("an-event-of-tomorrow", Channel.SMS)
    night = now.replace(hour=3, minute=0)  # midnight in São Paulo
    assert person.held_until(night, urgent=True) is None
    held = person.held_until(night, urgent=False)
    assert held is not None
    assert held > night
    assert admin is not None
    assert admin.addresses(Channel.SMS) == ("+5511900000000",)
    assert admin.push_tokens == (TOKEN,)
    assert admin_own is not None
    assert admin_own.phone == PHONE
    assert number_only is not None
    assert (number_only.email, number_only.phone) == (None, PHONE)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"channels": {"no-such-event": ["email"]}}, "channels"),
        ({"channels": {"ticket-opened": ["pigeon"]}}, "channels.ticket-opened"),
        ({"quiet_from": time(22)}, "quiet_to"),
        ({"quiet_to": time(7)}, "quiet_from"),
        ({"quiet_from": time(7), "quiet_to": time(7)}, "quiet_to"),
        ({"time_zone": "Mars/Phobos"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"phone": "12"}, "phone"),
    ],
)
async def test_a_wish_that_cannot_be_kept_names_its_field(
    world: Any, changes: Any, field: str
) -> None:
    agent = await world.make_agent("ana@example.com")
    async with world.db.transaction() as session:
        with pytest.raises((PreferenceError, InvalidPhoneError)) as refused:
            await save_preferences(session, agent.id, wishes(**changes), now=world.clock.now())
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: expected ")


async def test_saving_again_takes_the_place_of_what_was_there(world: Any) -> None:
    agent = await world.make_agent("ana@example.com")
    now = world.clock.now()
    async with world.db.transaction() as session:
        await save_preferences(session, agent.id, wishes(phone=PHONE), now=now)
    async with world.db.transaction() as session:
        await save_preferences(session, agent.id, wishes(), now=now + timedelta(seconds=1))
        seen = await preferences_of(session, agent.id, now=now)
    assert seen.phone is None
    assert seen.updated_at == now + timedelta(seconds=1)


async def test_turning_one_kind_of_email_off_leaves_everything_else(world: Any) -> None:
    agent = await world.make_agent("ana@example.com")
    now = world.clock.now()
    async with world.db.transaction() as session:
        assert await turn_off_email(session, agent.id, "ticket-opened", now=now)
    async with world.db.transaction() as session:
        assert not await turn_off_email(session, agent.id, "ticket-opened", now=now)
        seen = await preferences_of(session, agent.id, now=now)
    assert seen.channels["ticket-opened"] == ("whatsapp", "sms", "push")
    assert seen.channels["sla-alert"] == ("email", "whatsapp", "sms", "push")


async def test_only_a_no_is_taken_back(world: Any) -> None:
    agent = await world.make_agent("ana@example.com")
    now = world.clock.now()
    gone = Failure(FailureKind.PERMANENT, "x", consequence=Consequence.DISABLE_RECIPIENT)
    async with world.db.transaction() as session:
        await save_preferences(session, agent.id, wishes(phone=PHONE), now=now)
        await opt_out(session, Channel.SMS, PHONE, code="STOP", now=now)
        await note(session, Channel.WHATSAPP, PHONE, gone, now=now)
        seen = await preferences_of(session, agent.id, now=now)
    assert seen.refused == {"sms": "opted_out", "whatsapp": "disabled"}

    async with world.db.transaction() as session:
        await resume(session, agent.id, Channel.SMS, now=now)
        with pytest.raises(NotRefusedError):
            await resume(session, agent.id, Channel.WHATSAPP, now=now)
        with pytest.raises(NotRefusedError):
            await resume(session, agent.id, Channel.SMS, now=now)


async def test_the_same_token_is_the_same_device_of_whoever_registered_it_last(world: Any) -> None:
    ana = await world.make_agent("ana@example.com")
    bia = await world.make_agent("bia@example.com")
    now = world.clock.now()
    async with world.db.transaction() as session:
        first = await add_device(session, ana.id, token=TOKEN, name="Um", now=now)
        again = await add_device(session, ana.id, token=TOKEN, name="Dois", now=now)
        hers = await add_device(session, bia.id, token=TOKEN, name="Três", now=now)
        assert first.id == again.id == hers.id
        assert hers.name == "Três"
        assert (await preferences_of(session, ana.id, now=now)).devices == ()


async def test_a_token_that_was_gone_is_written_to_again_when_it_is_registered(world: Any) -> None:
    agent = await world.make_agent("ana@example.com")
    now = world.clock.now()
    gone = Failure(FailureKind.PERMANENT, "U", consequence=Consequence.DISABLE_RECIPIENT)
    async with world.db.transaction() as session:
        await note(session, Channel.PUSH, TOKEN, gone, now=now)
        await add_device(session, agent.id, token=TOKEN, name="x", now=now)
        assert not await refusals(session, [(Channel.PUSH, TOKEN)], now=now)


async def test_of_too_many_devices_the_one_unused_longest_makes_room(world: Any) -> None:
    agent = await world.make_agent("ana@example.com")
    for number in range(MOST_DEVICES + 2):
        world.clock.advance(timedelta(seconds=1))
        async with world.db.transaction() as session:
            await add_device(
                session, agent.id, token=f"{TOKEN}{number}", name="x", now=world.clock.now()
            )
    async with world.db.transaction() as session:
        tokens = set(await session.scalars(select(PushDevice.token)))
    assert len(tokens) == MOST_DEVICES
    assert {f"{TOKEN}0", f"{TOKEN}1"}.isdisjoint(tokens)


@pytest.mark.parametrize(
    ("token", "name"), [("short", "x"), ("with a blank in it 12345", "x"), (TOKEN, "  "),
                        (TOKEN, "x" * 81), (TOKEN + "\n", "x")]
)  # fmt: skip
async def test_a_device_that_cannot_be_one_is_refused(world: Any, token: str, name: str) -> None:
    agent = await world.make_agent("ana@example.com")
    async with world.db.transaction() as session:
        with pytest.raises(PreferenceError):
            await add_device(session, agent.id, token=token, name=name, now=world.clock.now())


async def test_a_device_is_forgotten_by_its_owner_alone(world: Any) -> None:
    ana = await world.make_agent("ana@example.com")
    bia = await world.make_agent("bia@example.com")
    async with world.db.transaction() as session:
        device = await add_device(session, ana.id, token=TOKEN, name="x", now=world.clock.now())
        with pytest.raises(DeviceNotFoundError):
            await remove_device(session, bia.id, device.id)
        await remove_device(session, ana.id, device.id)
        with pytest.raises(DeviceNotFoundError):
            await remove_device(session, ana.id, device.id)
        assert await session.scalar(select(func.count()).select_from(PushDevice)) == 0
