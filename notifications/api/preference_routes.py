"""Routes of one's own notices: preferences, devices; and of addresses that are left alone."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import time
from typing import Annotated

from pydantic import Field, StrictBool
from sqlalchemy import select

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.phone import InvalidPhoneError
from notifications.domain.recipients import DEFAULT_ZONE
from notifications.services import address_views, preferences
from notifications.services.address_views import AddressView
from notifications.services.preferences import DeviceView, PreferencesView, Wishes
from ticketing.api.calls import Answer, Call, Route
from ticketing.db.tables import Agent
from ticketing.domain.enums import AddressState
from ticketing.domain.permissions import Permission
from ticketing.http.problems import Problem, ProblemError
from ticketing.http.schemas import Key, NoBody, Strict

_EXAMPLE = {
    "phone": "+5511912345678",
    "channels": {"ticket-opened": ["push"], "ticket-assigned": ["email", "push"]},
    "quiet_from": "22:00",
    "quiet_to": "07:00",
    "time_zone": DEFAULT_ZONE,
    "quiet_for_urgent": False,
}

Clock = Annotated[time | None, Field(description="A time of day such as 22:00.")]


class PreferencesBody(Strict):
    """All preferences; they take the place of what was there."""

    phone: Annotated[
        str | None, Field(min_length=8, max_length=32, description="E.164, such as +5511912345678.")
    ] = None
    channels: Annotated[
        dict[PolicyEvent, tuple[Channel, ...]],
        Field(
            description="Channels left on, by event; an event that is not named has all on.",
            default_factory=dict,
        ),
    ]
    quiet_from: Clock = None
    quiet_to: Clock = None
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = DEFAULT_ZONE
    quiet_for_urgent: StrictBool = False


class DeviceBody(Strict):
    """A browser or phone that FCM gave a token to."""

    token: Annotated[str, Field(min_length=20, max_length=4096, pattern=r"^[!-~]+$")]
    name: Annotated[Key, Field(max_length=preferences.LONGEST_DEVICE_NAME)]


class ResumeBody(Strict):
    """Take one's own no back."""

    channel: Channel
    confirm: Annotated[
        StrictBool, Field(description="True: I want messages on this channel again.")
    ]


class AddressQuery(Strict):
    """Filters of addresses."""

    state: AddressState | None = None
    channel: Channel | None = None
    after: Annotated[uuid.UUID | None, Field(description="Id of the last one seen.")] = None
    limit: Annotated[int, Field(ge=1, le=address_views.MOST)] = 50


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of which something is known, the latest first."""

    addresses: tuple[AddressView, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """The device that is gone."""

    removed: uuid.UUID


def preference_routes() -> tuple[Route, ...]:
    """The routes, for the web process."""
    own, manage = Permission.ACCOUNT_OWN, Permission.NOTIFICATIONS_MANAGE
    return (
        Route(
            "GET", "/me/notification-preferences", "my_notification_preferences", "Notices",
            "What you are told, on which channels, and when not",
            own, _telling(_mine), PreferencesView,
        ),
        Route(
            "PUT", "/me/notification-preferences", "set_notification_preferences", "Notices",
            "Say what you want to be told; everything that is not named gets its default",
            own, _telling(_save), PreferencesView, body=PreferencesBody, example=_EXAMPLE,
        ),
        Route(
            "POST", "/me/notification-preferences/resume", "resume_notifications", "Notices",
            "Take back your own no on a channel (STOP)",
            own, _telling(_resume), PreferencesView, body=ResumeBody, codes=("not_refused",),
            session_only=True, example={"channel": "sms", "confirm": True},
        ),
        Route(
            "POST", "/me/push-devices", "add_push_device", "Notices",
            "Register this browser or phone for push; the same token again is the same device",
            own, _telling(_add_device), DeviceView, body=DeviceBody, secret=True,
            example={"token": "dGhpcyBpcyBhbiBleGFtcGxl:APA91bE-example", "name": "Chrome, casa"},
        ),
        Route(
            "DELETE", "/me/push-devices/{device_id}", "remove_push_device", "Notices",
            "Forget one of your devices",
            own, _telling(_remove_device), Removed, body=NoBody, codes=("device_not_found",),
        ),
        Route(
            "GET", "/agents/{agent_id}/notification-preferences", "agents_preferences", "Notices",
            "What an agent is told; only they can change it",
            Permission.PEOPLE_READ, _telling(_of_agent), PreferencesView,
            codes=("agent_not_found",),
        ),
        Route(
            "GET", "/notification-addresses", "list_notification_addresses", "Notices",
            "Addresses that are not written to, masked, and why",
            manage, _telling(_addresses), Addresses, query=AddressQuery,
        ),
        Route(
            "POST", "/notification-addresses/{address_id}/lift", "lift_notification_address",
            "Notices", "Write to a suspended or disabled address again; a person's no stays",
            manage, _telling(_lift), AddressView, body=NoBody,
            codes=("address_not_found", "address_opted_out"),
        ),
    )  # fmt: skip


Handler = Callable[[Call], Awaitable[Answer]]


def _telling(handler: Handler) -> Handler:
    """The handler, with this package's errors as problems of the API."""

    async def told(call: Call) -> Answer:
        try:
            return await handler(call)
        except (preferences.PreferenceError, InvalidPhoneError) as error:
            raise ProblemError(Problem("invalid_value", str(error), field=error.field)) from error
        except preferences.DeviceNotFoundError as error:
            detail = "expected the id of one of your own devices"
            raise ProblemError(Problem("device_not_found", detail)) from error
        except preferences.NotRefusedError as error:
            detail = "expected a channel on which you said no"
            raise ProblemError(Problem("not_refused", detail, field="channel")) from error
        except address_views.AddressNotFoundError as error:
            detail = "expected the id of an address of which something is known"
            raise ProblemError(Problem("address_not_found", detail)) from error
        except address_views.AddressOptedOutError as error:
            raise ProblemError(Problem("address_opted_out", str(error))) from error

    return told


async def _view(call: Call, agent_id: uuid.UUID) -> Answer:
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        if await session.scalar(select(Agent.id).where(Agent.id == agent_id)) is None:
            detail = "expected the id of an agent"
            raise ProblemError(Problem("agent_not_found", detail, field="agent_id"))
        return Answer(await preferences.preferences_of(session, agent_id, now=deps.clock.now()))


async def _mine(call: Call) -> Answer:
    return await _view(call, call.login.agent_id)


async def _of_agent(call: Call) -> Answer:
    return await _view(call, call.ids["agent_id"])


async def _save(call: Call) -> Answer:
    body: PreferencesBody = call.body
    deps = call.desk.deps
    wishes = Wishes(
        phone=body.phone,
        channels={
            event.value: tuple(channel.value for channel in left_on)
            for event, left_on in body.channels.items()
        },
        quiet_from=body.quiet_from,
        quiet_to=body.quiet_to,
        time_zone=body.time_zone,
        quiet_for_urgent=body.quiet_for_urgent,
    )
    async with deps.db.transaction() as session:
        await preferences.save_preferences(
            session, call.login.agent_id, wishes, now=deps.clock.now()
        )
    return await _mine(call)


async def _resume(call: Call) -> Answer:
    body: ResumeBody = call.body
    if not body.confirm:
        detail = "confirm: expected true; it says that you want messages on this channel again"
        raise ProblemError(Problem("invalid_value", detail, field="confirm"))
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        await preferences.resume(session, call.login.agent_id, body.channel, now=deps.clock.now())
    return await _mine(call)


async def _add_device(call: Call) -> Answer:
    body: DeviceBody = call.body
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        return Answer(
            await preferences.add_device(
                session,
                call.login.agent_id,
                token=body.token,
                name=body.name,
                now=deps.clock.now(),
            )
        )


async def _remove_device(call: Call) -> Answer:
    device_id = call.ids["device_id"]
    async with call.desk.deps.db.transaction() as session:
        await preferences.remove_device(session, call.login.agent_id, device_id)
    return Answer(Removed(device_id))


async def _addresses(call: Call) -> Answer:
    query: AddressQuery = call.query
    async with call.desk.deps.db.transaction() as session:
        found = await address_views.list_addresses(
            session,
            state=query.state,
            channel=query.channel,
            after=query.after,
            limit=query.limit,
        )
    return Answer(Addresses(found))


async def _lift(call: Call) -> Answer:
    deps = call.desk.deps
    async with deps.db.transaction() as session:
        lifted = await address_views.lift(
            session,
            call.ids["address_id"],
            actor=call.actor,
            now=deps.clock.now(),
            correlation_id=call.correlation_id,
        )
        if call.seal is not None:
            await call.seal(session, lifted)
    return Answer(lifted)
