"""Who gets a notice: audiences of the policies turned into addresses, each once a channel."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.policies import DEFAULT_LIFETIME, Audience, Policies, Route
from notifications.domain.quiet_hours import QuietHours, quiet_until
from ticketing.domain.enums import DeliveryGuarantee

LANGUAGES = ("pt", "en", "es")
"""Languages notices exist in, the default first."""

DEFAULT_ZONE = "America/Sao_Paulo"
"""Of somebody who named none; the same default stands in `notification_preferences`."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who can be told, with their addresses and wishes.

    Attributes:
        email: E-mail address; None for an admin who is only a number.
        language: One of `LANGUAGES`.
        phone: E.164, for WhatsApp and SMS.
        push_tokens: One for each device.
        channels: Event to the channels they leave on for it; an event that is not there: all.
        quiet: When they do not want to be disturbed.
        time_zone: IANA name of the zone of `quiet`.
        quiet_for_urgent: Whether even urgent notices wait for the end of the quiet hours.
        agent_id: None for an admin who is no agent.
    """

    email: str | None
    language: str = LANGUAGES[0]
    phone: str | None = None
    push_tokens: tuple[str, ...] = ()
    channels: Mapping[str, frozenset[Channel]] = field(default_factory=dict, hash=False)
    quiet: QuietHours | None = None
    time_zone: str = DEFAULT_ZONE
    quiet_for_urgent: bool = False
    agent_id: uuid.UUID | None = None

    def addresses(self, channel: Channel) -> tuple[str, ...]:
        """Where they are reached on a channel: one address, several devices, or nowhere."""
        match channel:
            case Channel.EMAIL:
                return () if self.email is None else (self.email,)
            case Channel.WHATSAPP | Channel.SMS:
                return () if self.phone is None else (self.phone,)
            case Channel.PUSH:
                return self.push_tokens

    def wants(self, event: str, channel: Channel) -> bool:
        """Whether they left this channel on for this event."""
        left_on = self.channels.get(event)
        return left_on is None or channel in left_on

    def held_until(self, now: datetime, *, urgent: bool) -> datetime | None:
        """The end of their quiet hours, when a notice made now has to wait for it."""
        hours = self.hours_for(urgent=urgent)
        return None if hours is None else quiet_until(now, quiet=hours[0], zone=hours[1])

    def hours_for(self, *, urgent: bool) -> tuple[QuietHours, ZoneInfo] | None:
        """The quiet hours that such a notice has to respect, and where they are."""
        if self.quiet is None or (urgent and not self.quiet_for_urgent):
            return None
        return self.quiet, zone_named(self.time_zone)


@dataclass(frozen=True, slots=True)
class Holder:
    """The agent who has a ticket, and whether they work now."""

    person: Recipient
    on_duty: bool


def zone_named(name: str) -> ZoneInfo:
    """The zone of this IANA name; UTC when the system's tables do not know it (any more)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to make: to one address on one channel."""

    event: PolicyEvent
    channel: Channel
    recipient: str
    language: str
    urgent: bool
    nobody_on_duty: bool = False
    """The admin gets it because no agent of the queue is on duty."""
    not_before: datetime | None = None
    """The end of the recipient's quiet hours, when it has to wait for it."""
    guarantee: DeliveryGuarantee = DeliveryGuarantee.AT_LEAST_ONCE
    expires: timedelta = DEFAULT_LIFETIME
    digest: timedelta | None = None
    """See `notifications.domain.policies.Policy`."""
    agent_id: uuid.UUID | None = None
    """Whose address it is; None: nobody's who is an agent."""
    acknowledge: bool = False
    quiet: tuple[QuietHours, ZoneInfo] | None = None
    """Those that hold it: what waits for its digest must not leave in them either."""

    def put_off(self, until: datetime) -> datetime:
        """When it leaves, if it waits until then: after the quiet hours that this lies in."""
        if self.quiet is None:
            return until
        hours, zone = self.quiet
        return quiet_until(until, quiet=hours, zone=zone) or until


def notice_language(languages: Sequence[str]) -> str:
    """The language to write to an agent who speaks these, the default when none is ours."""
    if not languages or LANGUAGES[0] in languages:
        return LANGUAGES[0]
    return next((language for language in languages if language in LANGUAGES), LANGUAGES[0])


def choose_notices(
    events: Sequence[PolicyEvent],
    *,
    policies: Policies,
    on_duty: Sequence[Recipient],
    admin: Recipient | None,
    holder: Holder | None = None,
    now: datetime | None = None,
    refused: Collection[tuple[Channel, str]] = frozenset(),
) -> tuple[Notice, ...]:
    """The notices for one happening, at most one for each address and channel.

    Where agents should be told and none of them is on duty, the admin is told too, by e-mail or,
    without an address, by WhatsApp, and the notice says so. Channels that somebody turned off are
    left out, and with `now` a notice in their quiet hours waits for the end of them. When
    everybody turned an urgent event off, they are told all the same: an alert that reaches nobody
    is none. The result is empty when nobody can be reached; the caller records that.

    Args:
        events: The occasions it is, the weightiest first.
        policies: Who is told of what.
        on_duty: The agents on duty of the queue it is about.
        admin: The admin, if there is one.
        holder: The agent who has the ticket.
        now: When; None: quiet hours do not count.
        refused: Addresses that may not be written to, also not when it is urgent.
    """
    choice = _Choice(policies, on_duty, admin, holder, now, refused)
    chosen = choice.of(events, heed_wishes=True)
    if not chosen and any(policies[event].urgent for event in events):
        chosen = choice.of(events, heed_wishes=False)
    return chosen


@dataclass(frozen=True, slots=True)
class _Choice:
    """What notices are chosen from."""

    policies: Policies
    on_duty: Sequence[Recipient]
    admin: Recipient | None
    holder: Holder | None
    now: datetime | None
    refused: Collection[tuple[Channel, str]]

    def of(self, events: Sequence[PolicyEvent], *, heed_wishes: bool) -> tuple[Notice, ...]:
        chosen: dict[tuple[Channel, str], Notice] = {}
        for event in events:
            for route in self.policies[event].routes:
                for notice in self._by_route(event, route, heed_wishes=heed_wishes):
                    _add(chosen, notice)
        return tuple(chosen.values())

    def _by_route(self, event: PolicyEvent, route: Route, *, heed_wishes: bool) -> list[Notice]:
        people, somebody_works = _agents(route.to, on_duty=self.on_duty, holder=self.holder)
        notices: list[Notice] = []
        for person in people:
            notices += self._to_person(event, route, person, heed_wishes=heed_wishes)
        if somebody_works or self.admin is None:
            return notices
        if route.to is Audience.ADMIN:
            return self._to_person(event, route, self.admin, heed_wishes=heed_wishes)
        for channel in dict.fromkeys((route.channel, *Channel)):
            if heed_wishes and not self.admin.wants(event.value, channel):
                continue
            if found := self._notices(event, channel, self.admin, alone=True):
                return notices + found
        return notices

    def _to_person(
        self, event: PolicyEvent, route: Route, person: Recipient, *, heed_wishes: bool
    ) -> list[Notice]:
        for channel in (route.channel, route.otherwise):
            if channel is None:
                break
            if heed_wishes and not person.wants(event.value, channel):
                # Who turned a channel off did not ask for another one in its place.
                break
            if found := self._notices(event, channel, person):
                return found
        return []

    def _notices(
        self, event: PolicyEvent, channel: Channel, person: Recipient, *, alone: bool = False
    ) -> list[Notice]:
        policy = self.policies[event]
        held = None if self.now is None else person.held_until(self.now, urgent=policy.urgent)
        return [
            Notice(
                event,
                channel,
                address,
                person.language,
                policy.urgent,
                alone,
                held,
                policy.guarantee,
                policy.expires,
                policy.digest,
                person.agent_id,
                policy.acknowledge,
                None if self.now is None else person.hours_for(urgent=policy.urgent),
            )
            for address in person.addresses(channel)
            if (channel, address) not in self.refused
        ]


def _agents(
    audience: Audience, *, on_duty: Sequence[Recipient], holder: Holder | None
) -> tuple[tuple[Recipient, ...], bool]:
    """The agents of an audience, each once, and whether one of them is on duty."""
    match audience:
        case Audience.ADMIN:
            return (), False
        case Audience.ON_DUTY_AGENTS:
            return tuple(on_duty), bool(on_duty)
        case Audience.HOLDER if holder is not None and holder.on_duty:
            return (holder.person,), True
        case Audience.HOLDER:
            # A holder who is away reads it later; somebody should look now.
            away = () if holder is None else (holder.person,)
            return tuple(dict.fromkeys((*away, *on_duty))), bool(on_duty)


def _add(chosen: dict[tuple[Channel, str], Notice], notice: Notice) -> None:
    """Keep the first notice for an address, but never lose the word that nobody is on duty."""
    key = (notice.channel, notice.recipient)
    present = chosen.get(key)
    if present is None:
        chosen[key] = notice
    elif notice.nobody_on_duty and not present.nobody_on_duty:
        chosen[key] = replace(present, nobody_on_duty=True)
