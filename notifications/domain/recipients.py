"""Who gets a notice: audiences of the policies turned into addresses, each once a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from notifications.domain.events import PolicyEvent
from notifications.domain.jobs import Channel
from notifications.domain.policies import Audience, Policies

LANGUAGES = ("pt", "en", "es")
"""Languages notices exist in, the default first."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an e-mail address, and the language of their notices."""

    email: str
    language: str = LANGUAGES[0]


@dataclass(frozen=True, slots=True)
class Holder:
    """The agent who has a ticket, and whether they work now."""

    person: Person
    on_duty: bool


@dataclass(frozen=True, slots=True)
class Admin:
    """Where the admin is reached. Either may be missing."""

    person: Person | None = None
    phone: str | None = None

    def address(self, channel: Channel) -> str | None:
        """E-mail address or E.164 number for this channel, if there is one."""
        match channel:
            case Channel.EMAIL:
                return self.person.email if self.person else None
            case Channel.WHATSAPP:
                return self.phone

    @property
    def language(self) -> str:
        """The language of the admin's notices."""
        return self.person.language if self.person else LANGUAGES[0]


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


def notice_language(languages: Sequence[str]) -> str:
    """The language to write to an agent who speaks these, the default when none is ours."""
    if not languages or LANGUAGES[0] in languages:
        return LANGUAGES[0]
    return next((language for language in languages if language in LANGUAGES), LANGUAGES[0])


def choose_notices(
    events: Sequence[PolicyEvent],
    *,
    policies: Policies,
    on_duty: Sequence[Person],
    admin: Admin,
    holder: Holder | None = None,
) -> tuple[Notice, ...]:
    """The notices for one happening, at most one for each address and channel.

    Where agents should be told and none of them is on duty, the admin is told too, by e-mail or,
    without an address, by WhatsApp, and the notice says so. The result is empty when nobody can be
    reached; the caller records that.
    """
    chosen: dict[tuple[Channel, str], Notice] = {}
    for event in events:
        policy = policies[event]
        for route in policy.routes:
            people, somebody_works = _agents(route.to, on_duty=on_duty, holder=holder)
            notices = [
                Notice(event, route.channel, person.email, person.language, policy.urgent)
                for person in people
            ]
            if not somebody_works:
                notices += _to_admin(
                    event,
                    route.channel,
                    admin=admin,
                    urgent=policy.urgent,
                    alone=route.to is not Audience.ADMIN,
                )
            for notice in notices:
                _add(chosen, notice)
    return tuple(chosen.values())


def _agents(
    audience: Audience, *, on_duty: Sequence[Person], holder: Holder | None
) -> tuple[tuple[Person, ...], bool]:
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


def _to_admin(
    event: PolicyEvent, channel: Channel, *, admin: Admin, urgent: bool, alone: bool
) -> list[Notice]:
    others = [other for other in Channel if other is not channel] if alone else []
    for option in (channel, *others):
        address = admin.address(option)
        if address is not None:
            return [Notice(event, option, address, admin.language, urgent, nobody_on_duty=alone)]
    return []


def _add(chosen: dict[tuple[Channel, str], Notice], notice: Notice) -> None:
    """Keep the first notice for an address, but never lose the word that nobody is on duty."""
    key = (notice.channel, notice.recipient)
    present = chosen.get(key)
    if present is None:
        chosen[key] = notice
    elif notice.nobody_on_duty and not present.nobody_on_duty:
        chosen[key] = Notice(
            present.event,
            present.channel,
            present.recipient,
            present.language,
            present.urgent,
            nobody_on_duty=True,
        )
